//! Snapshots: what makes a restart cost what is live, not what ever happened.
//!
//! Compaction is a restart that runs in the background. A thread loads the newest snapshot, takes in
//! the records after it as a start would, writes the next snapshot, and only then takes records away
//! from the journal. The actor never waits for it and shares nothing with it but the journal.
//!
//! The newest two snapshots are kept, and the records from the older one on. So a newest one that is
//! damaged can be moved away by whoever reads the error, and nothing is lost; nothing here ever
//! decides that by itself.

mod check;
mod files;
mod image;
mod recover;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use proofgrid_store::journal::{Journal, Sequence};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::error::DispatcherError;

pub use check::{ReplayStart, SnapshotCheck, check_snapshots};
pub use files::{Problem, SnapshotError};
pub use recover::read_snapshot;
pub(crate) use recover::{Recovered, recover};

use files::Directory;

/// Decides when the journal is compacted, and does it beside the actor.
#[derive(Debug)]
pub(crate) struct Compactor {
    directory: PathBuf,
    journal: Journal,
    /// Records between two snapshots.
    records: u64,
    /// The record that the next compaction waits for.
    due: Sequence,
    running: Option<JoinHandle<()>>,
    stop: CancellationToken,
}

impl Compactor {
    /// A compactor after a start that found `snapshot`.
    pub(crate) fn new(
        directory: PathBuf,
        journal: Journal,
        records: u64,
        snapshot: Sequence,
    ) -> Self {
        let due = Sequence::new(snapshot.get().saturating_add(records));
        let stop = CancellationToken::new();
        Self { directory, journal, records, due, running: None, stop }
    }

    /// Begins a compaction if enough was committed since the last, and none runs.
    pub(crate) fn committed(&mut self, last: Sequence) {
        let busy = self.running.as_ref().is_some_and(|running| !running.is_finished());
        if last < self.due || busy {
            return;
        }
        // One that fails is tried again after as many records: a full disk is not asked all the time.
        self.due = Sequence::new(last.get().saturating_add(self.records));
        let (directory, journal) = (self.directory.clone(), self.journal.clone());
        let stop = self.stop.clone();
        self.running = Some(proofgrid_store::blocking::spawn(move || {
            let directory = Directory::new(directory);
            match futures::executor::block_on(compact(&directory, &journal, last, &stop)) {
                Ok(Some(bytes)) => tracing::info!(%last, bytes, "the journal was compacted"),
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "the journal was not compacted"),
            }
        }));
    }

    /// Ends a compaction that runs, at its next record; what it has not written is not there.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        self.idle().await;
    }

    /// Waits until no compaction runs.
    async fn idle(&mut self) {
        if let Some(running) = self.running.take()
            && running.await.is_err()
        {
            tracing::error!("a compaction panicked; the journal is as it was");
        }
    }
}

impl Drop for Compactor {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Compacts a journal that no dispatcher has open, and says which record its newest snapshot ends
/// with. Whatever a start would refuse it refuses too.
///
/// # Errors
/// When the newest snapshot or a record must not be used, or the disk says no.
pub async fn compact_now(directory: &Path, journal: &Journal) -> Result<Sequence, DispatcherError> {
    let directory = Directory::new(directory.to_path_buf());
    directory.clear_partial()?;
    let last = Sequence::new(journal.stats().last_sequence);
    compact(&directory, journal, last, &CancellationToken::new()).await?;
    Ok(last)
}

/// Writes the snapshot of everything up to the record `last`, then takes away what no kept snapshot
/// needs. Says how many bytes it wrote, or nothing if nothing is new or it was stopped before.
///
/// Every step leaves a directory and a journal that a start reads to the same state.
async fn compact(
    directory: &Directory,
    journal: &Journal,
    last: Sequence,
    stop: &CancellationToken,
) -> Result<Option<usize>, DispatcherError> {
    let mut recovered = Recovered::from_newest(directory, journal)?;
    recovered.replay(journal, Some(last), Some(stop)).await?;
    if stop.is_cancelled() || recovered.replayed() == 0 {
        return Ok(None);
    }
    let (last, bytes) = (recovered.last(), recovered.image());
    drop(recovered);
    directory.write(last, &bytes)?;
    trim(directory, journal).await?;
    Ok(Some(bytes.len()))
}

/// Takes away what the newest two snapshots make superfluous.
async fn trim(directory: &Directory, journal: &Journal) -> Result<(), DispatcherError> {
    let known = directory.list()?;
    let Some(kept) = known.iter().rev().nth(1) else { return Ok(()) };
    journal.truncate_before(kept.next()).await?;
    for older in known.iter().filter(|one| *one < kept) {
        directory.remove(*older)?;
    }
    Ok(())
}
