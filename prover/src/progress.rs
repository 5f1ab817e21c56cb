//! How far a task is, and how it is told to stop.
//!
//! One [`TaskControl`] per task is shared by the proving threads, the transfers and the worker. The
//! proving threads only touch atomics and a short lock per phase.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use proofgrid_proofs::program::{Monitor, Phase};
use tokio_util::sync::CancellationToken;

/// A running proof never shows more than this, so that 1000 means done.
const PERMILLE_BEFORE_CHECK: u64 = 970;

/// What a task is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Admitted, waiting for a slot that is still stopping other work.
    Waiting,
    /// Fetching the input.
    Fetching,
    /// Proving and checking.
    Proving(Phase),
    /// Writing the proof to disk, uploading and offering it.
    Delivering,
}

impl Stage {
    /// The name on progress bars and on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Fetching => "fetch",
            Self::Proving(phase) => phase.name(),
            Self::Delivering => "deliver",
        }
    }
}

/// How far a task is at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What it is doing.
    pub stage: Stage,
    /// Part of the whole proving time that is behind, in thousandths.
    pub done_permille: u16,
    /// Time since the task was admitted.
    pub elapsed: Duration,
    /// Time that is left, by the worker's own measurement; `None` before there is one.
    pub left: Option<Duration>,
}

#[derive(Debug)]
struct Position {
    stage: Stage,
    /// When proving began.
    proving_since: Option<Instant>,
    steps_done: u64,
    steps_total: u64,
}

/// Shared by everything that works on one task.
#[derive(Debug)]
pub struct TaskControl {
    stop: AtomicBool,
    stopped: CancellationToken,
    admitted: Instant,
    /// What proving will take, from the bench file.
    expected: Option<Duration>,
    position: Mutex<Position>,
}

impl TaskControl {
    /// A control for a task that starts now.
    #[must_use]
    pub fn new(expected: Option<Duration>) -> Self {
        let position =
            Position { stage: Stage::Waiting, proving_since: None, steps_done: 0, steps_total: 0 };
        Self {
            stop: AtomicBool::new(false),
            stopped: CancellationToken::new(),
            admitted: Instant::now(),
            expected,
            position: Mutex::new(position),
        }
    }

    /// Tells the task to stop. Proving threads see it at their next step, transfers at once.
    pub fn cancel(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.stopped.cancel();
    }

    /// Whether the task was told to stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Ends when the task is told to stop.
    pub async fn cancelled(&self) {
        self.stopped.cancelled().await;
    }

    /// Enters a stage.
    pub fn enter(&self, stage: Stage) {
        let mut position = self.position.lock().unwrap_or_else(PoisonError::into_inner);
        position.stage = stage;
        if matches!(stage, Stage::Proving(_)) && position.proving_since.is_none() {
            position.proving_since = Some(Instant::now());
        }
    }

    /// How far the task is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let position = self.position.lock().unwrap_or_else(PoisonError::into_inner);
        let proving = position.proving_since.map_or(Duration::ZERO, |since| since.elapsed());
        let done_permille = match position.stage {
            Stage::Waiting | Stage::Fetching => 0,
            Stage::Delivering => 1000,
            Stage::Proving(Phase::Check) => PERMILLE_BEFORE_CHECK,
            Stage::Proving(_) => part_done(&position, proving, self.expected),
        };
        let left = match position.stage {
            Stage::Delivering => Some(Duration::ZERO),
            _ => self.expected.map(|expected| expected.saturating_sub(proving)),
        };
        Progress {
            stage: position.stage,
            done_permille: u16::try_from(done_permille).unwrap_or(1000),
            elapsed: self.admitted.elapsed(),
            left,
        }
    }
}

/// By time where the program has been measured here, by steps otherwise: steps are of unlike length.
fn part_done(position: &Position, proving: Duration, expected: Option<Duration>) -> u64 {
    let (done, total) = match expected {
        Some(expected) if !expected.is_zero() => (proving.as_millis(), expected.as_millis()),
        _ => (position.steps_done.into(), position.steps_total.into()),
    };
    let permille = done.saturating_mul(1000).checked_div(total).unwrap_or(0);
    u64::try_from(permille).unwrap_or(PERMILLE_BEFORE_CHECK).min(PERMILLE_BEFORE_CHECK)
}

impl Monitor for TaskControl {
    fn phase(&self, phase: Phase, done: u64, total: u64) {
        self.enter(Stage::Proving(phase));
        let mut position = self.position.lock().unwrap_or_else(PoisonError::into_inner);
        position.steps_done = done;
        position.steps_total = total;
    }

    fn cancelled(&self) -> bool {
        self.is_cancelled()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_goes_by_steps_until_there_is_a_measurement() {
        let control = TaskControl::new(None);
        assert_eq!(control.progress().done_permille, 0);
        control.phase(Phase::Commit, 1, 4);
        let progress = control.progress();
        assert_eq!(progress.stage, Stage::Proving(Phase::Commit));
        assert_eq!((progress.done_permille, progress.left), (250, None));
        control.phase(Phase::Open, 4, 4);
        assert_eq!(control.progress().done_permille, 970, "done is only after the check");
        control.enter(Stage::Delivering);
        assert_eq!(control.progress().done_permille, 1000);
    }

    #[test]
    fn a_measurement_gives_a_share_of_time_and_what_is_left() {
        let hour = Duration::from_secs(3600);
        let control = TaskControl::new(Some(hour));
        control.phase(Phase::Open, 3, 4);
        let progress = control.progress();
        assert!(progress.done_permille < 10, "{progress:?}");
        assert!(progress.left.is_some_and(|left| left <= hour && left > hour / 2));
    }

    #[test]
    fn a_total_of_zero_steps_is_no_division() {
        let control = TaskControl::new(None);
        control.phase(Phase::Trace, 0, 0);
        assert_eq!(control.progress().done_permille, 0);
    }

    #[tokio::test]
    async fn cancel_reaches_threads_and_waiters() {
        let control = TaskControl::new(None);
        assert!(!Monitor::cancelled(&control));
        control.cancel();
        assert!(Monitor::cancelled(&control));
        control.cancelled().await;
    }
}
