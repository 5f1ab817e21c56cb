//! Many seeds on all cores: what the tests and the programs of both layers share.

use std::fmt::{Debug, Display};
use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What became of a range of seeds.
#[derive(Debug)]
pub struct Sweep<T, F> {
    /// The first seed.
    pub from: u64,
    /// Seeds that were begun, all of them unless one failed.
    pub ran: u64,
    /// How long it took.
    pub took: Duration,
    /// What each seed that held reports, in no order.
    pub reports: Vec<T>,
    /// The seeds that failed, the lowest first: one, or a few that ran beside it.
    pub failures: Vec<(u64, F)>,
}

/// Runs every seed of a range on all cores, until one fails.
///
/// # Panics
/// When a run does.
pub fn sweep<T: Send, F: Send>(
    seeds: Range<u64>,
    run: impl Fn(u64) -> Result<T, F> + Sync,
) -> Sweep<T, F> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let (next, stop) = (AtomicU64::new(seeds.start), AtomicBool::new(false));
    let begun = Instant::now();
    let share = || {
        let (mut reports, mut failures) = (Vec::new(), Vec::new());
        while !stop.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                break;
            }
            match run(seed) {
                Ok(report) => reports.push(report),
                Err(failure) => {
                    stop.store(true, Ordering::Relaxed);
                    failures.push((seed, failure));
                }
            }
        }
        (reports, failures)
    };
    let (mut reports, mut failures) = (Vec::new(), Vec::new());
    std::thread::scope(|scope| {
        let shares: Vec<_> = (0..cores).map(|_| scope.spawn(share)).collect();
        for share in shares {
            let (held, failed) = share.join().unwrap_or_else(|panic| resume_unwind(panic));
            reports.extend(held);
            failures.extend(failed);
        }
    });
    failures.sort_by_key(|(seed, _)| *seed);
    let ran = next.into_inner().min(seeds.end).saturating_sub(seeds.start);
    Sweep { from: seeds.start, ran, took: begun.elapsed(), reports, failures }
}

impl<T, F> Sweep<T, F> {
    /// How fast it was, for people.
    #[must_use]
    pub fn pace(&self) -> String {
        let seconds = self.took.as_secs_f64();
        let rate = self.ran as f64 / seconds * 60.0;
        let Self { from, ran, .. } = self;
        format!("{ran} seeds from {from} in {seconds:.1} s: {rate:.0} seeds/minute")
    }

    /// The reports of seeds that all have to hold; `target` is what `make` calls the layer.
    ///
    /// # Panics
    /// When one failed: with its failure, and how to run it again.
    #[must_use]
    pub fn held(self, target: &str) -> Vec<T>
    where
        F: Display,
    {
        if let Some((seed, failure)) = self.failures.first() {
            panic!("{failure}\nagain: make {target} SEEDS=1 FROM={seed}");
        }
        self.reports
    }
}

/// A number of the command line; `otherwise` if there is none at `position`.
///
/// # Errors
/// When it is no number.
pub fn argument(position: usize, otherwise: u64, usage: &str) -> Result<u64, String> {
    let Some(text) = std::env::args().nth(position) else { return Ok(otherwise) };
    text.parse().map_err(|_| format!("`{text}` is no number; usage: {usage}"))
}

/// The planted bug that the command line names at `position`, if it names one.
///
/// # Errors
/// When there is none of this name.
pub fn plant<T: Copy + Debug>(position: usize, all: &[T]) -> Result<Option<T>, String> {
    let Some(text) = std::env::args().nth(position) else { return Ok(None) };
    let found = all.iter().copied().find(|plant| format!("{plant:?}") == text);
    found.map(Some).ok_or_else(|| format!("`{text}` is no plant; one of {all:?}"))
}
