//! What can go wrong with a journal, and what the person in front of it can do.

use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use super::engine::EngineError;
use super::record::{RecordError, Sequence};

/// Why a journal operation failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum JournalError {
    /// A record does not fit; nothing of the append was written.
    #[error(
        "record {index} of the append has {got} bytes, a journal record holds at most {max}; \
         store it as a blob and append its digest"
    )]
    RecordTooLarge {
        /// Position within the append, from 0.
        index: usize,
        /// Its bytes.
        got: usize,
        /// Most bytes.
        max: usize,
    },
    /// An append without records.
    #[error("an append needs at least one record; this is an error of the caller")]
    NothingToAppend,
    /// An append that would make a commit too long.
    #[error("the append has {got} records, at most {max} are committed together; split it")]
    TooManyRecords {
        /// Records given.
        got: usize,
        /// Most records.
        max: usize,
    },
    /// Another process has the directory open.
    #[error(
        "the journal {directory} is in use by another process{holder}; stop it or choose another \
         data directory"
    )]
    Locked {
        /// The directory.
        directory: PathBuf,
        /// The other process as far as known, e.g. ` (pid 17)`.
        holder: String,
    },
    /// The directory was written by another engine or layout.
    #[error(
        "the journal {directory} was written by {found}, this node is to use {expected}; name its \
         engine in the configuration, or export it with that engine (with the old build, if the \
         layout differs) and import it into an empty directory"
    )]
    OtherEngine {
        /// The directory.
        directory: PathBuf,
        /// Engine and format found.
        found: String,
        /// Engine and format asked for.
        expected: String,
    },
    /// The configuration names an engine that does not exist.
    #[error("there is no journal engine {name:?}; use \"sled\", \"redb\" or \"memory\"")]
    UnknownEngine {
        /// The name given.
        name: String,
    },
    /// A file operation around the engine failed.
    #[error("cannot {action} {path}: {problem}; check permissions and free space")]
    File {
        /// What was tried.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        problem: String,
    },
    /// Records were asked for that a truncation removed.
    #[error(
        "journal records before {first} were truncated, {from} was asked for; what they said is \
         in a snapshot. Start from the snapshot, or read from {first} on"
    )]
    Truncated {
        /// First record asked for.
        from: Sequence,
        /// Oldest record that is kept.
        first: Sequence,
    },
    /// A truncation that would remove records that were never appended.
    #[error(
        "the journal cannot start at {first}, its next record is {next}; this is an error of the \
         caller"
    )]
    TruncatedAhead {
        /// Where it should start.
        first: Sequence,
        /// The next record's place.
        next: Sequence,
    },
    /// A stored record is damaged, missing or of another version.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The engine failed; fatal when it was a commit.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A commit did not end in time. Fatal: whether it is durable is unknown until a restart.
    #[error(
        "a journal commit takes longer than {limit:?}; the disk or the engine hangs. End this \
         process without waiting for it, check the disk, start again"
    )]
    CommitStalled {
        /// The limit.
        limit: Duration,
    },
    /// No thread could be started.
    #[error("cannot start the journal's thread: {problem}; check the limit of processes")]
    Thread {
        /// What the system said.
        problem: String,
    },
    /// The journal was closed.
    #[error("the journal is closed; this process is shutting down")]
    Closed,
    /// An export file is no export, is cut short or damaged.
    #[error("the export is not usable at byte {offset}: {problem}; export it again")]
    Export {
        /// Where in the file.
        offset: u64,
        /// What is wrong.
        problem: String,
    },
    /// An import into a journal that already holds records.
    #[error(
        "the journal is in use up to record {last}; import only into an empty directory, so that \
         no order is made up"
    )]
    NotEmpty {
        /// The newest sequence found.
        last: Sequence,
    },
}

impl JournalError {
    pub(super) fn file(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |error| Self::File { action, path, problem: error.to_string() }
    }
}
