//! From a snapshot and the records after it to the state: at a start, and for the next snapshot.

use std::path::Path;

use futures::StreamExt;
use proofgrid_core::network::{Fact, State};
use proofgrid_store::journal::{Journal, Record, Sequence};
use tokio_util::sync::CancellationToken;

use crate::actor::Feeds;
use crate::error::DispatcherError;

use super::files::{Directory, SnapshotError};
use super::image;

/// A state, and the record that it is up to.
#[derive(Debug)]
pub(crate) struct Recovered {
    /// The state.
    pub(crate) state: State,
    /// What happened to each job.
    pub(crate) feeds: Feeds,
    /// The last record of the snapshot, 0 without one.
    pub(crate) snapshot: Sequence,
    /// The last record that is in it.
    last: Sequence,
}

/// Rebuilds the state of a journal; without a directory from the journal alone.
///
/// # Errors
/// When the newest snapshot or a record must not be used, or the two do not belong together.
pub(crate) async fn recover(
    directory: Option<&Path>,
    journal: &Journal,
) -> Result<Recovered, DispatcherError> {
    let mut recovered = match directory {
        Some(path) => {
            let directory = Directory::new(path.to_path_buf());
            directory.clear_partial()?;
            Recovered::from_newest(&directory, journal)?
        }
        None => Recovered::empty(),
    };
    recovered.replay(journal, None, None).await?;
    Ok(recovered)
}

impl Recovered {
    fn empty() -> Self {
        let none = Sequence::new(0);
        Self { state: State::default(), feeds: Feeds::default(), snapshot: none, last: none }
    }

    /// What the newest snapshot has, if it fits the journal.
    pub(super) fn from_newest(
        directory: &Directory,
        journal: &Journal,
    ) -> Result<Self, DispatcherError> {
        let recovered = match directory.list()?.last() {
            Some(newest) => Self::from_snapshot(directory, *newest)?,
            None => Self::empty(),
        };
        let (first, snapshot) = (journal.first_sequence(), recovered.snapshot);
        if first > snapshot.next() {
            let directory = directory.path().to_path_buf();
            return Err(SnapshotError::Gap { first, directory, snapshot }.into());
        }
        let last = Sequence::new(journal.stats().last_sequence);
        if snapshot > last {
            let path = directory.file(snapshot);
            return Err(SnapshotError::Ahead { path, last }.into());
        }
        Ok(recovered)
    }

    fn from_snapshot(directory: &Directory, last: Sequence) -> Result<Self, DispatcherError> {
        let bytes = directory.read(last)?;
        let (state, feeds) = image::decode(&bytes).map_err(|problem| {
            let path = directory.file(last);
            SnapshotError::Unusable { path, problem }
        })?;
        Ok(Self { state, feeds, snapshot: last, last })
    }

    /// Takes the records after it in, one at a time: up to `to`, or all that are durable.
    pub(super) async fn replay(
        &mut self,
        journal: &Journal,
        to: Option<Sequence>,
        stop: Option<&CancellationToken>,
    ) -> Result<(), DispatcherError> {
        let mut records = std::pin::pin!(journal.replay(self.last.next()));
        while to.is_none_or(|to| self.last < to) {
            if stop.is_some_and(CancellationToken::is_cancelled) {
                return Ok(());
            }
            let Some(record) = records.next().await else { return Ok(()) };
            self.take(&record?)?;
        }
        Ok(())
    }

    fn take(&mut self, record: &Record) -> Result<(), DispatcherError> {
        let sequence = record.sequence;
        let fact = Fact::decode(&record.payload)
            .map_err(|source| DispatcherError::Fact { sequence: sequence.get(), source })?;
        self.state
            .evolve(&fact)
            .map_err(|source| DispatcherError::Replay { sequence: sequence.get(), source })?;
        self.feeds.absorb(&fact, &self.state);
        self.last = sequence;
        Ok(())
    }

    /// The bytes of its snapshot.
    pub(super) fn image(&self) -> Vec<u8> {
        image::encode(&self.state, &self.feeds)
    }

    /// The last record that is in it.
    pub(super) const fn last(&self) -> Sequence {
        self.last
    }

    /// Records that were taken in after the snapshot.
    pub(crate) const fn replayed(&self) -> u64 {
        self.last.get().saturating_sub(self.snapshot.get())
    }
}
