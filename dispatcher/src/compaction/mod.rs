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

use std::io;
use std::path::{Path, PathBuf};

use futures::FutureExt;
use proofgrid_store::blocking::Lane;
use proofgrid_store::journal::{Journal, Sequence};
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::error::DispatcherError;

pub use check::{ReplayStart, SnapshotCheck, check_snapshots};
pub use files::{Problem, SnapshotError};
pub use recover::read_snapshot;
pub(crate) use recover::{Recovered, recover};

use files::Directory;

/// Bytes of a snapshot that are as dear to read and to write again as one record to keep.
const BYTES_PER_RECORD: u64 = 1_024;

/// Decides when the journal is compacted, and does it beside the actor.
#[derive(Debug)]
pub(crate) struct Compactor {
    directory: PathBuf,
    journal: Journal,
    /// Fewest records between two snapshots.
    records: u64,
    /// The record that the next compaction waits for.
    due: Sequence,
    /// The one that runs, and the record that it is for; it gives the bytes that it wrote.
    running: Option<(Sequence, JoinHandle<u64>)>,
    lane: Lane,
    stop: CancellationToken,
}

impl Compactor {
    /// A compactor after a start that found a snapshot of so many bytes up to the record `snapshot`.
    ///
    /// # Errors
    /// When the system has no thread for it.
    pub(crate) fn new(
        directory: PathBuf,
        journal: Journal,
        records: u64,
        (snapshot, bytes): (Sequence, u64),
    ) -> io::Result<Self> {
        let due = due_after(snapshot, records, bytes);
        let (lane, stop) = (Lane::new("compaction")?, CancellationToken::new());
        Ok(Self { directory, journal, records, due, running: None, lane, stop })
    }

    /// Begins a compaction if enough was committed since the last, and none runs.
    pub(crate) fn committed(&mut self, last: Sequence) {
        if let Some((begun, running)) = &mut self.running {
            let Some(outcome) = running.now_or_never() else { return };
            let begun = *begun;
            self.running = None;
            self.ended(begun, outcome);
        }
        if last < self.due {
            return;
        }
        let (directory, journal) = (self.directory.clone(), self.journal.clone());
        let stop = self.stop.clone();
        let running = self.lane.spawn(move || {
            let directory = Directory::new(directory);
            match futures::executor::block_on(compact(&directory, &journal, last, &stop)) {
                Ok(Some(bytes)) => {
                    tracing::info!(%last, bytes, "the journal was compacted");
                    return bytes;
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "the journal was not compacted"),
            }
            0
        });
        self.running = Some((last, running));
    }

    /// One that failed is tried again after as many records: a full disk is not asked all the time.
    fn ended(&mut self, begun: Sequence, outcome: Result<u64, JoinError>) {
        let bytes = outcome.unwrap_or_else(|_panic| {
            tracing::error!("a compaction panicked; the journal is as it was");
            0
        });
        self.due = due_after(begun, self.records, bytes);
    }

    /// Ends a compaction that runs, at its next record; what it has not written is not there.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        self.idle().await;
    }

    /// Waits until no compaction runs.
    async fn idle(&mut self) {
        if let Some((begun, running)) = self.running.take() {
            let outcome = running.await;
            self.ended(begun, outcome);
        }
    }
}

/// When the snapshot after one is due: a large one is not written again for a few records, so that
/// what compaction costs in all stays in proportion to what was committed.
fn due_after(snapshot: Sequence, records: u64, bytes: u64) -> Sequence {
    Sequence::new(snapshot.get().saturating_add(records.max(bytes / BYTES_PER_RECORD)))
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
) -> Result<Option<u64>, DispatcherError> {
    let mut recovered = Recovered::from_newest(directory, journal)?;
    recovered.replay(journal, Some(last), Some(stop)).await?;
    if stop.is_cancelled() || recovered.replayed() == 0 {
        return Ok(None);
    }
    let bytes = directory.write(recovered.last(), |file| recovered.write(file))?;
    drop(recovered);
    trim(directory, journal).await?;
    Ok(Some(bytes))
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
