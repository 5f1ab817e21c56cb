//! The discrete Fourier transform of the provers, with a look at the monitor before every one.

use p3_dft::{Layout, Radix2DitParallel, TwoAdicSubgroupDft};
use p3_field::TwoAdicField;
use p3_matrix::bitrev::BitReversedMatrixView;
use p3_matrix::dense::{RowMajorMatrix, RowMajorMatrixView, RowMajorMatrixViewMut};

use super::transcript::Watch;

/// [`Radix2DitParallel`] that stops the proof before a transform once its monitor asks for it.
#[derive(Debug, Clone, Default)]
pub struct WatchedDft<'m, F> {
    inner: Radix2DitParallel<F>,
    watch: Watch<'m>,
}

impl<'m, F: Default> WatchedDft<'m, F> {
    /// A transform under this watch.
    #[must_use]
    pub fn new(watch: Watch<'m>) -> Self {
        Self { inner: Radix2DitParallel::default(), watch }
    }
}

impl<F: TwoAdicField + Ord> TwoAdicSubgroupDft<F> for WatchedDft<'_, F> {
    type Evaluations = BitReversedMatrixView<RowMajorMatrix<F>>;

    fn dft_batch(&self, mat: RowMajorMatrix<F>) -> Self::Evaluations {
        self.watch.check();
        self.inner.dft_batch(mat)
    }

    fn coset_dft_batch(&self, mat: RowMajorMatrix<F>, shift: F) -> Self::Evaluations {
        self.watch.check();
        self.inner.coset_dft_batch(mat, shift)
    }

    fn idft_batch(&self, mat: RowMajorMatrix<F>) -> RowMajorMatrix<F> {
        self.watch.check();
        self.inner.idft_batch(mat)
    }

    fn coset_idft_batch(&self, mat: RowMajorMatrix<F>, shift: F) -> RowMajorMatrix<F> {
        self.watch.check();
        self.inner.coset_idft_batch(mat, shift)
    }

    fn coset_lde_batch_with_transform<T>(
        &self,
        mat: RowMajorMatrix<F>,
        added_bits: usize,
        shift: F,
        transform: T,
    ) -> Self::Evaluations
    where
        T: FnOnce(&mut RowMajorMatrixViewMut<'_, F>, Layout),
    {
        self.watch.check();
        let extended = self.inner.coset_lde_batch_with_transform(mat, added_bits, shift, transform);
        self.watch.check();
        extended
    }

    fn coset_lde_batch_with_blocks<T, K, C>(
        &self,
        mat: RowMajorMatrix<F>,
        added_bits: usize,
        shift: F,
        transform: T,
        make_consumer: K,
    ) -> BitReversedMatrixView<RowMajorMatrix<F>>
    where
        T: FnOnce(&mut RowMajorMatrixViewMut<'_, F>, Layout),
        K: FnOnce(usize) -> C,
        C: Fn(usize, RowMajorMatrixView<'_, F>) + Sync,
    {
        self.watch.check();
        self.inner.coset_lde_batch_with_blocks(mat, added_bits, shift, transform, make_consumer)
    }
}
