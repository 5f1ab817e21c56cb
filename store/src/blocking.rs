//! Work that may block its thread: the file system, and what computes for more than a millisecond.
//!
//! Such work runs beside the runtime, so when it ends depends on the machine. A simulation must not:
//! on a thread that called [`run_in_turn`] it is done, start to end, where it is asked for.

use std::cell::Cell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

thread_local! {
    static IN_TURN: Cell<bool> = const { Cell::new(false) };
}

/// From now on, what this thread asks [`spawn`] and [`complete`] for is over when they return, and
/// the order of everything on this thread is the same in every run. For simulations, whose runtimes
/// all run on one thread.
pub fn run_in_turn() {
    IN_TURN.set(true);
}

/// Runs work that may block on a thread that may, as [`tokio::task::spawn_blocking`] does.
///
/// # Panics
/// Outside a tokio runtime.
pub fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    if !IN_TURN.get() {
        return tokio::task::spawn_blocking(work);
    }
    let done = beside(work);
    tokio::spawn(async move { done.unwrap_or_else(|panic| resume_unwind(panic)) })
}

/// A thread of its own for work that comes again and again. An allocator that keeps memory does so for
/// the thread that gave it back: what needs much each time needs it once here, and once per thread of
/// the pool with [`spawn`].
#[derive(Debug)]
pub struct Lane {
    queue: mpsc::Sender<Work>,
}

type Work = Box<dyn FnOnce() + Send>;

impl Lane {
    /// A thread of this name, which ends with the lane and the work that it was given.
    ///
    /// # Errors
    /// When the system has no thread.
    pub fn new(name: &str) -> io::Result<Self> {
        let (queue, works) = mpsc::channel::<Work>();
        let work_off = move || works.into_iter().for_each(|work| work());
        std::thread::Builder::new().name(name.to_owned()).spawn(work_off)?;
        Ok(Self { queue })
    }

    /// Runs work after all that it was given before. Callers bound how much waits.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn spawn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        if IN_TURN.get() {
            return spawn(work);
        }
        let (sender, outcome) = oneshot::channel();
        let work = move || {
            // Nobody may wait for it any more.
            let _ = sender.send(catch_unwind(AssertUnwindSafe(work)));
        };
        // A thread that is gone drops the work, and whoever waits for it hears of a panic.
        let _ = self.queue.send(Box::new(work));
        tokio::spawn(async move {
            let outcome = outcome.await.unwrap_or_else(|gone| Err(Box::new(gone)));
            outcome.unwrap_or_else(|panic| resume_unwind(panic))
        })
    }
}

/// Waits for a future that itself moves what blocks to another thread of the runtime.
pub async fn complete<T: Send>(future: impl Future<Output = T> + Send) -> T {
    if !IN_TURN.get() {
        return future.await;
    }
    beside(|| futures::executor::block_on(future)).unwrap_or_else(|panic| resume_unwind(panic))
}

/// Runs work on a thread that belongs to no runtime, so that it may block, and waits for its end.
fn beside<T: Send>(work: impl FnOnce() -> T + Send) -> std::thread::Result<T> {
    std::thread::scope(|scope| scope.spawn(work).join())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn in_turn_work_is_over_when_it_was_asked_for() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        run_in_turn();
        runtime.block_on(async {
            static DONE: AtomicU32 = AtomicU32::new(0);
            let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
            let work = spawn(move || {
                // Fails on a thread of a runtime.
                sender.blocking_send(7).expect("room");
                DONE.fetch_add(1, Ordering::Relaxed)
            });
            assert_eq!(DONE.load(Ordering::Relaxed), 1);
            assert_eq!((receiver.try_recv(), work.await.expect("no panic")), (Ok(7), 0));
            let lane = Lane::new("lane").expect("a thread");
            assert_eq!(
                lane.spawn(|| DONE.fetch_add(1, Ordering::Relaxed)).await.expect("no panic"),
                1
            );
            let runtime_is_near = async { tokio::runtime::Handle::try_current().is_ok() };
            assert!(!complete(runtime_is_near).await);
            assert!(spawn(|| panic!("on purpose")).await.is_err_and(|error| error.is_panic()));
        });
    }
    #[tokio::test]
    async fn a_lane_is_one_thread_that_outlives_a_panic() {
        let lane = Lane::new("lane").expect("a thread");
        let thread = || std::thread::current().id();
        let first = lane.spawn(thread).await.expect("no panic");
        assert_ne!(first, thread());
        assert!(lane.spawn(|| panic!("on purpose")).await.is_err_and(|error| error.is_panic()));
        assert_eq!(lane.spawn(thread).await.expect("no panic"), first);
    }
}
