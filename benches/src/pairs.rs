//! Two sides timed in turn, and the ratio between them.

use std::cell::RefCell;
use std::time::{Duration, Instant};

/// Timings of both sides of a comparison.
#[derive(Debug, Default)]
pub struct Pairs {
    pairs: RefCell<Vec<(Duration, Duration)>>,
}

impl Pairs {
    /// Runs both sides once and keeps their times. Which side goes first alternates.
    pub fn run(
        &self,
        ours: impl FnOnce() -> Duration,
        bare: impl FnOnce() -> Duration,
    ) -> (Duration, Duration) {
        let ours_first = self.pairs.borrow().len().is_multiple_of(2);
        let pair = if ours_first {
            let ours = ours();
            (ours, bare())
        } else {
            let bare = bare();
            (ours(), bare)
        };
        self.pairs.borrow_mut().push(pair);
        pair
    }

    /// Median of the ratios of our time to the bare time.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        let pairs = self.pairs.borrow();
        median(pairs.iter().map(|(ours, bare)| ours.as_secs_f64() / bare.as_secs_f64()).collect())
    }

    /// Median of our times, in seconds.
    #[must_use]
    pub fn ours_seconds(&self) -> f64 {
        median(self.pairs.borrow().iter().map(|(ours, _)| ours.as_secs_f64()).collect())
    }

    /// Median of the bare times, in seconds.
    #[must_use]
    pub fn bare_seconds(&self) -> f64 {
        median(self.pairs.borrow().iter().map(|(_, bare)| bare.as_secs_f64()).collect())
    }

    /// Pairs measured.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pairs.borrow().len()
    }

    /// Whether nothing was measured, as when a filter left the bench out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The time that a call takes.
pub fn timed<T>(call: impl FnOnce() -> T) -> Duration {
    let started = Instant::now();
    std::hint::black_box(call());
    started.elapsed()
}

/// The median; not a number if there are none.
#[must_use]
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_is_the_median_of_the_pairs() {
        let pairs = Pairs::default();
        for (ours, bare) in [(2, 1), (30, 10), (1, 1)] {
            pairs.run(|| Duration::from_secs(ours), || Duration::from_secs(bare));
        }
        assert!((pairs.ratio() - 2.0).abs() < 1e-9);
        assert!((pairs.ours_seconds() - 2.0).abs() < 1e-9);
        assert_eq!(pairs.len(), 3);
    }
}
