//! The Fiat-Shamir transcript: deterministic grinding, a seed from the caller, and the points at
//! which a running proof reports progress and can be stopped.
//!
//! Plonky3's parallel search returns any witness that passes, so two runs of one proof differ.
//! Here the search goes through the candidates in order, block by block, and returns the smallest:
//! the same on any number of threads. The verifier's side is Plonky3's own, unchanged.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use p3_challenger::{CanObserve, CanSample, CanSampleBits, FieldChallenger, GrindingChallenger};
use p3_field::{BasedVectorSpace, PrimeCharacteristicRing, PrimeField32};
use p3_koala_bear::KoalaBear;
use p3_symmetric::MerkleCap;
use rayon::prelude::*;

use crate::program::{Monitor, Phase};

/// Candidates that are tried between two looks at the monitor; about a millisecond of work.
const GRIND_BLOCK: u32 = 1 << 12;

/// The payload with which a stopped proof unwinds; never leaves [`run_watched`].
struct Stopped;

/// The monitor of a running proof, or none while verifying.
#[derive(Clone, Copy, Default)]
pub struct Watch<'m> {
    monitor: Option<&'m dyn Monitor>,
    phases: &'static [Phase],
}

impl fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("watched", &self.monitor.is_some()).finish()
    }
}

impl<'m> Watch<'m> {
    /// Watches a proof that enters `phases[i]` after its `i`-th commitment.
    #[must_use]
    pub const fn new(monitor: &'m dyn Monitor, phases: &'static [Phase]) -> Self {
        Self { monitor: Some(monitor), phases }
    }

    /// Unwinds out of the proof if the monitor asked to stop. Plonky3's provers have no other way
    /// out between their entry and their result; [`run_watched`] turns it into a value.
    pub fn check(&self) {
        if self.monitor.is_some_and(|monitor| monitor.cancelled()) {
            resume_unwind(Box::new(Stopped));
        }
    }

    fn after_commitment(&self, number: usize) {
        if let (Some(monitor), Some(phase)) = (self.monitor, self.phases.get(number)) {
            monitor.phase(*phase, number as u64 + 1, self.phases.len() as u64 + 1);
        }
    }
}

/// Runs a watched proof; `None` means that the monitor stopped it.
///
/// # Panics
/// Resumes any panic that is not the stop itself: those are bugs, and the caller contains them.
pub fn run_watched<T>(proof: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(proof)) {
        Ok(value) => Some(value),
        Err(payload) if is_stop(payload.as_ref()) => None,
        Err(payload) => resume_unwind(payload),
    }
}

fn is_stop(payload: &(dyn Any + Send)) -> bool {
    payload.is::<Stopped>()
}

/// A challenger of Plonky3 with deterministic grinding and a watch.
#[derive(Debug, Clone)]
pub struct Transcript<'m, C> {
    inner: C,
    watch: Watch<'m>,
    num_commitments: usize,
}

impl<'m, C> Transcript<'m, C> {
    /// Wraps a seeded challenger.
    #[must_use]
    pub const fn new(inner: C, watch: Watch<'m>) -> Self {
        Self { inner, watch, num_commitments: 0 }
    }
}

impl<C: CanObserve<KoalaBear>> CanObserve<KoalaBear> for Transcript<'_, C> {
    fn observe(&mut self, value: KoalaBear) {
        self.inner.observe(value);
    }

    fn observe_slice(&mut self, values: &[KoalaBear]) {
        self.inner.observe_slice(values);
    }
}

impl<C, D, const N: usize> CanObserve<MerkleCap<KoalaBear, [D; N]>> for Transcript<'_, C>
where
    C: CanObserve<MerkleCap<KoalaBear, [D; N]>>,
{
    fn observe(&mut self, commitment: MerkleCap<KoalaBear, [D; N]>) {
        self.watch.check();
        self.inner.observe(commitment);
        self.watch.after_commitment(self.num_commitments);
        self.num_commitments += 1;
    }
}

impl<C, EF> CanSample<EF> for Transcript<'_, C>
where
    C: CanSample<EF>,
    EF: BasedVectorSpace<KoalaBear>,
{
    fn sample(&mut self) -> EF {
        self.watch.check();
        self.inner.sample()
    }
}

impl<C: CanSampleBits<usize>> CanSampleBits<usize> for Transcript<'_, C> {
    fn sample_bits(&mut self, bits: usize) -> usize {
        self.inner.sample_bits(bits)
    }
}

impl<C> FieldChallenger<KoalaBear> for Transcript<'_, C> where C: FieldChallenger<KoalaBear> {}

impl<C> GrindingChallenger for Transcript<'_, C>
where
    C: GrindingChallenger<Witness = KoalaBear> + Clone + Send + Sync,
{
    type Witness = KoalaBear;

    fn grind(&mut self, bits: usize) -> KoalaBear {
        if bits == 0 {
            return KoalaBear::ZERO;
        }
        let passes =
            |candidate: &u32| self.inner.clone().check_witness(bits, KoalaBear::new(*candidate));
        let mut start = 0;
        let witness = loop {
            self.watch.check();
            let end = start + GRIND_BLOCK.min(KoalaBear::ORDER_U32 - start);
            let found = (start..end).into_par_iter().find_first(passes);
            if let Some(candidate) = found {
                break KoalaBear::new(candidate);
            }
            // 2^31 candidates at 20 bits all fail with probability e^-2000.
            assert!(end < KoalaBear::ORDER_U32, "no witness of {bits} bits in the whole field");
            start = end;
        };
        assert!(self.inner.check_witness(bits, witness), "the search and the check agree");
        witness
    }

    fn check_witness(&mut self, bits: usize, witness: KoalaBear) -> bool {
        self.inner.check_witness(bits, witness)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use p3_challenger::{HashChallenger, SerializingChallenger32};
    use p3_keccak::Keccak256Hash;

    use super::*;

    type Bytes = SerializingChallenger32<KoalaBear, HashChallenger<u8, Keccak256Hash, 32>>;

    fn transcript(watch: Watch<'_>) -> Transcript<'_, Bytes> {
        Transcript::new(Bytes::from_hasher(b"test".to_vec(), Keccak256Hash), watch)
    }

    #[test]
    fn grinding_returns_the_smallest_witness() {
        let bits = 10;
        let witness = transcript(Watch::default()).grind(bits);
        let first = (0..u32::MAX)
            .map(KoalaBear::new)
            .find(|w| transcript(Watch::default()).check_witness(bits, *w))
            .expect("one passes");
        assert_eq!(witness, first);
    }

    #[test]
    fn zero_bits_need_no_witness() {
        assert_eq!(transcript(Watch::default()).grind(0), KoalaBear::ZERO);
    }

    struct Stop(AtomicBool);

    impl Monitor for Stop {
        fn phase(&self, _phase: Phase, _done: u64, _total: u64) {}

        fn cancelled(&self) -> bool {
            self.0.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn a_monitor_stops_grinding() {
        let stop = Stop(AtomicBool::new(true));
        let outcome = run_watched(|| transcript(Watch::new(&stop, &[])).grind(30));
        assert!(outcome.is_none());
    }

    #[test]
    fn other_panics_pass_through() {
        let outcome = catch_unwind(|| run_watched(|| resume_unwind(Box::new("bug"))));
        let payload = outcome.expect_err("the bug must not look like a stop");
        assert!(!is_stop(payload.as_ref()));
    }
}
