//! A journal without threads, for simulations: its work takes the time that it is told to take, on
//! the clock of the runtime that it is used on.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::owner::Owner;

/// How long one append takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// Until it is durable. A crash before that loses it.
    pub write: Duration,
    /// From then until its acknowledgement. A crash in between keeps what nobody was told of.
    pub answer: Duration,
}

/// An owner that works at a pace.
#[derive(Clone)]
pub(super) struct Paced {
    owner: Arc<Mutex<Owner>>,
    pace: Arc<Mutex<dyn FnMut() -> Pace + Send>>,
}

impl fmt::Debug for Paced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Paced").finish_non_exhaustive()
    }
}

impl Paced {
    pub(super) fn new(owner: Owner, pace: impl FnMut() -> Pace + Send + 'static) -> Self {
        Self { owner: Arc::new(Mutex::new(owner)), pace: Arc::new(Mutex::new(pace)) }
    }

    /// Sees to it that what is queued is served, and returns how long the answer takes after that.
    ///
    /// Outside a runtime that is now and at once: work in turn (`crate::blocking`) holds every clock up
    /// until it is over.
    pub(super) fn serve(&self) -> Duration {
        if tokio::runtime::Handle::try_current().is_err() {
            self.owner.lock().unwrap_or_else(PoisonError::into_inner).serve_queued();
            return Duration::ZERO;
        }
        let pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner)();
        let owner = Arc::clone(&self.owner);
        tokio::spawn(async move {
            tokio::time::sleep(pace.write).await;
            owner.lock().unwrap_or_else(PoisonError::into_inner).serve_queued();
        });
        pace.answer
    }
}

#[cfg(test)]
mod tests {
    use tokio::runtime::{Builder, Runtime};
    use tokio::time::Instant;

    use super::super::{Engine, EngineError, Journal, MemoryEngine, Sequence};
    use super::*;

    /// A disk that outlives the process that writes to it.
    #[derive(Clone, Default)]
    struct Disk(Arc<Mutex<MemoryEngine>>);

    impl Engine for Disk {
        fn name(&self) -> &'static str {
            "disk"
        }

        fn last(&self) -> Result<Option<Sequence>, EngineError> {
            self.0.lock().expect("a disk").last()
        }

        fn read(
            &self,
            from: Sequence,
            limit: usize,
        ) -> Result<Vec<(Sequence, Vec<u8>)>, EngineError> {
            self.0.lock().expect("a disk").read(from, limit)
        }

        fn commit(&mut self, values: Vec<(Sequence, Vec<u8>)>) -> Result<(), EngineError> {
            self.0.lock().expect("a disk").commit(values)
        }

        fn truncate_before(&mut self, first: Sequence, start: Vec<u8>) -> Result<(), EngineError> {
            self.0.lock().expect("a disk").truncate_before(first, start)
        }
    }

    const PACE: Pace = Pace { write: Duration::from_millis(7), answer: Duration::from_millis(4) };

    fn runtime() -> Runtime {
        Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime")
    }

    fn journal(disk: &Disk) -> Journal {
        Journal::paced(Box::new(disk.clone()), || PACE).expect("opens")
    }

    #[test]
    fn an_append_takes_the_time_that_it_is_told_to_take() {
        let disk = Disk::default();
        runtime().block_on(async {
            let journal = journal(&disk);
            let begin = Instant::now();
            let first = journal.append(vec![b"a".to_vec()]).await.expect("queued");
            assert_eq!(first.await.expect("durable").last, Sequence::FIRST);
            assert_eq!(begin.elapsed(), PACE.write + PACE.answer);
            journal.truncate_before(Sequence::new(2)).await.expect("removed");
            assert_eq!(journal.first_sequence(), Sequence::new(2));
            journal.close().await.expect("closes");
        });
    }

    #[test]
    fn a_crash_loses_what_was_not_written_and_keeps_what_was() {
        let disk = Disk::default();
        // Between the steps, not beside them: a timer may be a millisecond late.
        for (wait, kept) in [(5, None), (9, Some(Sequence::FIRST))] {
            let wait = Duration::from_millis(wait);
            runtime().block_on(async {
                let journal = journal(&disk);
                let append = journal.append(vec![b"a".to_vec()]).await.expect("queued");
                let answered = tokio::time::timeout(wait, append).await;
                assert!(answered.is_err(), "nobody is told before {PACE:?}");
            });
            assert_eq!(disk.last().expect("reads"), kept, "after {wait:?}");
        }
    }
    /// As work in turn does, which holds every clock up.
    #[test]
    fn outside_a_runtime_everything_is_answered_at_once() {
        let disk = Disk::default();
        let journal = journal(&disk);
        let last = futures::executor::block_on(async {
            let append = journal.append(vec![b"a".to_vec(), b"b".to_vec()]).await.expect("queued");
            append.await.expect("durable").last
        });
        assert_eq!(disk.last().expect("reads"), Some(last));
    }
}
