//! What a start would make of a directory of snapshots: every one is read, nothing is changed.

use std::path::{Path, PathBuf};

use proofgrid_store::journal::Sequence;

use super::files::{Directory, SnapshotError};
use super::recover::{Recovered, fits};

/// Where a start begins to replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayStart {
    /// The snapshot that it takes, if there is one.
    pub snapshot: Option<PathBuf>,
    /// The first record that it takes in.
    pub from: Sequence,
}

/// What is in a directory of snapshots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotCheck {
    /// Snapshots that cannot be used, and why, oldest first. A start refuses while the newest of all
    /// is among them.
    pub damaged: Vec<SnapshotError>,
    /// What a start does once the damaged ones are moved away, or why it refuses even then.
    pub start: Result<ReplayStart, SnapshotError>,
}

/// Reads every snapshot of a directory as a start would read it, for a journal that keeps the records
/// from `first` to `last`.
///
/// # Errors
/// When the directory cannot be read.
pub fn check_snapshots(
    directory: &Path,
    first: Sequence,
    last: Sequence,
) -> Result<SnapshotCheck, SnapshotError> {
    let directory = Directory::new(directory.to_path_buf());
    let (mut newest, mut damaged) = (None, Vec::new());
    for snapshot in directory.list()? {
        match Recovered::from_snapshot(&directory, snapshot) {
            Ok(_) => newest = Some(snapshot),
            Err(error) => damaged.push(error),
        }
    }
    let up_to = newest.unwrap_or(Sequence::new(0));
    let snapshot = newest.map(|newest| directory.file(newest));
    let start = ReplayStart { snapshot, from: up_to.next() };
    let start = fits(&directory, up_to, (first, last)).map(|()| start);
    Ok(SnapshotCheck { damaged, start })
}
