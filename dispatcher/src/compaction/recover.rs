//! From a snapshot and the records after it to the state: at a start, and for the next snapshot.

use std::io;
use std::path::Path;

use futures::StreamExt;
use proofgrid_core::network::{Fact, State};
use proofgrid_store::journal::{Journal, Record, Sequence};
use tokio_util::sync::CancellationToken;

use crate::actor::Feeds;
use crate::error::DispatcherError;

use super::files::{self, Directory, Problem, SnapshotError};
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
    /// Bytes of the snapshot.
    pub(crate) bytes: u64,
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

/// The state in the bytes of a snapshot file that is named after the record `last`, checked as a
/// start checks it.
///
/// # Errors
/// When they are not exactly what was written under that name.
pub fn read_snapshot(last: Sequence, bytes: &[u8]) -> Result<State, Problem> {
    parse(last, bytes).map(|(state, _)| state)
}

fn parse(last: Sequence, bytes: &[u8]) -> Result<(State, Feeds), Problem> {
    image::read(files::image_of(last, bytes)?)
}

/// Checks that a journal of the records from `first` to `last` goes on where a snapshot ends.
pub(super) fn fits(
    directory: &Directory,
    snapshot: Sequence,
    (first, last): (Sequence, Sequence),
) -> Result<(), SnapshotError> {
    if first > snapshot.next() {
        let directory = directory.path().to_path_buf();
        return Err(SnapshotError::Gap { first, directory, snapshot });
    }
    if snapshot > last {
        return Err(SnapshotError::Ahead { path: directory.file(snapshot), last });
    }
    Ok(())
}

impl Recovered {
    fn empty() -> Self {
        let none = Sequence::new(0);
        let (state, feeds) = (State::default(), Feeds::default());
        Self { state, feeds, snapshot: none, bytes: 0, last: none }
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
        let kept = (journal.first_sequence(), Sequence::new(journal.stats().last_sequence));
        fits(directory, recovered.snapshot, kept)?;
        Ok(recovered)
    }

    pub(super) fn from_snapshot(
        directory: &Directory,
        last: Sequence,
    ) -> Result<Self, SnapshotError> {
        let parsed = directory.read(last).and_then(|bytes| {
            let (state, feeds) = parse(last, &bytes)?;
            Ok(Self { state, feeds, snapshot: last, bytes: bytes.len() as u64, last })
        });
        parsed.map_err(|problem| {
            let path = directory.file(last);
            SnapshotError::Unusable { path, problem }
        })
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

    /// Writes the image of its snapshot.
    pub(super) fn write(&self, writer: &mut impl io::Write) -> io::Result<()> {
        image::write(&self.state, &self.feeds, writer)
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
