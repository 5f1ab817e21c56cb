//! Wakes those who watch a job. A wake carries nothing: the watcher reads what is new, so a slow
//! one misses no event and costs no queue.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use proofgrid_core::ids::JobId;
use tokio::sync::watch;

use crate::error::EdgeError;
use crate::limits::WATCHERS_MAX;

/// Who watches which job.
#[derive(Debug, Default)]
pub struct WatchHub {
    jobs: Mutex<HashMap<JobId, watch::Sender<u64>>>,
}

/// One watcher's ear; its job is forgotten with the last one.
#[derive(Debug)]
pub struct Watcher {
    hub: Arc<WatchHub>,
    job: JobId,
    wakes: watch::Receiver<u64>,
}

impl WatchHub {
    fn lock(&self) -> MutexGuard<'_, HashMap<JobId, watch::Sender<u64>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts to watch a job.
    ///
    /// # Errors
    /// [`EdgeError::Busy`] when too many watch already.
    pub fn watch(self: &Arc<Self>, job: JobId) -> Result<Watcher, EdgeError> {
        let mut jobs = self.lock();
        let watching: usize = jobs.values().map(watch::Sender::receiver_count).sum();
        if watching >= WATCHERS_MAX {
            return Err(EdgeError::Busy("too many watch jobs at this dispatcher"));
        }
        let wakes = jobs.entry(job).or_insert_with(|| watch::Sender::new(0)).subscribe();
        Ok(Watcher { hub: Arc::clone(self), job, wakes })
    }

    /// Wakes the watchers of a job.
    pub fn wake(&self, job: &JobId) {
        if let Some(sender) = self.lock().get(job) {
            sender.send_modify(|wakes| *wakes = wakes.wrapping_add(1));
        }
    }
}

impl Watcher {
    /// Waits until something is new. Wakes that came since the last call count.
    pub async fn woken(&mut self) {
        // The sender lives in the hub for as long as this watcher does.
        let _ = self.wakes.changed().await;
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let mut jobs = self.hub.lock();
        // This watcher's own receiver still counts here.
        if jobs.get(&self.job).is_some_and(|sender| sender.receiver_count() <= 1) {
            jobs.remove(&self.job);
        }
    }
}
