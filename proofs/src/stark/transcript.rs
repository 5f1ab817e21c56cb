//! The Fiat-Shamir transcript: deterministic grinding, a seed from the caller, and the points at
//! which a running proof reports progress and can be stopped.
//!
//! Plonky3's parallel search returns any witness that passes, so two runs of one proof differ.
//! Here the search goes through the candidates in order, block by block, and returns the smallest:
//! the same on any number of threads. The verifier's side is Plonky3's own, unchanged.

use std::any::Any;
use std::fmt;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use p3_challenger::{
    ByteGrindingChallenger, CanObserve, CanSample, CanSampleBits, DuplexChallenger,
    FieldChallenger, GrindingChallenger, HashChallenger, SerializingChallenger32,
};
use p3_field::{BasedVectorSpace, PrimeCharacteristicRing, PrimeField64};
use p3_keccak::Keccak256Hash;
use p3_koala_bear::{KoalaBear, Poseidon2KoalaBear};
use p3_symmetric::MerkleCap;
use rayon::prelude::*;

use crate::program::{Monitor, Phase};

/// Candidates that are tried between two looks at the monitor; about a millisecond of work.
const GRIND_BLOCK: u64 = 1 << 13;

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
    C: SmallestWitness + Send + Sync,
{
    type Witness = KoalaBear;

    fn grind(&mut self, bits: usize) -> KoalaBear {
        if bits == 0 {
            return KoalaBear::ZERO;
        }
        self.inner.grind_smallest(bits, self.watch)
    }

    fn check_witness(&mut self, bits: usize, witness: KoalaBear) -> bool {
        self.inner.check_witness(bits, witness)
    }
}

/// A challenger that can find the smallest witness that passes.
pub trait SmallestWitness: GrindingChallenger<Witness = KoalaBear> + Clone {
    /// Finds the smallest witness of at least one bit and takes it into the transcript, as
    /// [`GrindingChallenger::grind`] does with any witness.
    fn grind_smallest(&mut self, bits: usize, watch: Watch<'_>) -> KoalaBear;
}

impl SmallestWitness for DuplexChallenger<KoalaBear, Poseidon2KoalaBear<16>, 16, 8> {
    fn grind_smallest(&mut self, bits: usize, watch: Watch<'_>) -> KoalaBear {
        let passes =
            |candidate: u64| self.clone().check_witness(bits, KoalaBear::from_u64(candidate));
        let found = smallest(KoalaBear::ORDER_U64, watch, |block| {
            block.into_par_iter().find_first(|candidate| passes(*candidate))
        });
        let witness = KoalaBear::from_u64(found.unwrap_or_default());
        // 2^31 candidates at 20 bits all fail with probability e^-2000.
        assert!(self.check_witness(bits, witness), "no witness of {bits} bits in the whole field");
        witness
    }
}

/// Plonky3 hashes what is pending once and then hands the search to the byte challenger, whose
/// order is ours: a search over copies of the whole challenger would hash it for every candidate.
impl SmallestWitness for SerializingChallenger32<KoalaBear, OrderedBytes<'_>> {
    fn grind_smallest(&mut self, bits: usize, _watch: Watch<'_>) -> KoalaBear {
        self.grind(bits)
    }
}

/// The byte challenger of Keccak-256, which tries candidates in their order.
#[derive(Debug, Clone)]
pub struct OrderedBytes<'m> {
    inner: HashChallenger<u8, Keccak256Hash, 32>,
    watch: Watch<'m>,
}

impl<'m> OrderedBytes<'m> {
    /// A challenger that has observed these bytes.
    #[must_use]
    pub const fn new(start: Vec<u8>, watch: Watch<'m>) -> Self {
        Self { inner: HashChallenger::new(start, Keccak256Hash), watch }
    }
}

impl CanObserve<u8> for OrderedBytes<'_> {
    fn observe(&mut self, value: u8) {
        self.inner.observe(value);
    }

    fn observe_slice(&mut self, values: &[u8]) {
        self.inner.observe_slice(values);
    }
}

impl CanSample<u8> for OrderedBytes<'_> {
    fn sample(&mut self) -> u8 {
        self.inner.sample()
    }
}

impl ByteGrindingChallenger for OrderedBytes<'_> {
    fn find_witness<const W: usize, const S: usize>(
        &self,
        num_candidates: u64,
        encode: impl Fn(u64) -> [u8; W] + Sync,
        accepts: impl Fn([u8; S]) -> bool + Sync,
    ) -> Option<u64> {
        smallest(num_candidates, self.watch, |block| {
            // Plonky3 hashes a vector of candidates at once and returns any that passes; whatever
            // comes before it is searched again, so the last one found is the smallest.
            let mut found = None;
            let mut end = block.end;
            while let Some(offset) = self.inner.find_witness(
                end.saturating_sub(block.start),
                |offset| encode(block.start.saturating_add(offset)),
                &accepts,
            ) {
                end = block.start.saturating_add(offset);
                found = Some(end);
            }
            found
        })
    }
}

/// The smallest candidate that passes, given how to find it in a block of candidates.
fn smallest(
    num_candidates: u64,
    watch: Watch<'_>,
    first_of: impl Fn(Range<u64>) -> Option<u64>,
) -> Option<u64> {
    (0..num_candidates.div_ceil(GRIND_BLOCK)).find_map(|block| {
        watch.check();
        let start = block * GRIND_BLOCK;
        first_of(start..num_candidates.min(start + GRIND_BLOCK))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    type Bytes<'m> = SerializingChallenger32<KoalaBear, OrderedBytes<'m>>;

    fn transcript(watch: Watch<'_>) -> Transcript<'_, Bytes<'_>> {
        Transcript::new(Bytes::new(OrderedBytes::new(b"test".to_vec(), watch)), watch)
    }

    #[test]
    fn grinding_returns_the_smallest_witness() {
        // At 2 bits a block holds many that pass, at 14 the first is likely behind a block.
        for (bits, seed) in [(2, 1), (2, 2), (10, 3), (14, 4), (14, 5), (14, 6)] {
            let seeded = || {
                let mut transcript = transcript(Watch::default());
                transcript.observe(KoalaBear::new(seed));
                transcript
            };
            let first = (0..u32::MAX)
                .map(KoalaBear::new)
                .find(|w| seeded().check_witness(bits, *w))
                .expect("one passes");
            assert_eq!(seeded().grind(bits), first, "{bits} bits, seed {seed}");
        }
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
