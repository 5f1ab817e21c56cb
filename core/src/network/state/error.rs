//! Why a fact does not fit the state: a damaged journal, or a bug. Never a panic.

use thiserror::Error;

use crate::ids::{Attempt, BatchRoot, CertificateId, EpochNumber, JobId, StatementDigest, TaskId};

use super::{JobStateKind, TaskStateKind};

/// Why a fact was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EvolveError {
    /// The fact names a job that does not exist.
    #[error("no job {0}; the journal is incomplete")]
    UnknownJob(JobId),
    /// The fact names a task that does not exist.
    #[error("no task {0}; the journal is incomplete")]
    UnknownTask(TaskId),
    /// The fact names a try that was never made.
    #[error("task {task} has no try {attempt}; the journal is incomplete")]
    UnknownTry {
        /// The task.
        task: TaskId,
        /// The try.
        attempt: Attempt,
    },
    /// The fact names a statement that does not exist.
    #[error("no statement {0}; the journal is incomplete")]
    UnknownStatement(StatementDigest),
    /// The fact names an epoch that does not exist.
    #[error("no epoch {0}; the journal is incomplete")]
    UnknownEpoch(EpochNumber),
    /// The fact names a batch that does not exist or is closed.
    #[error("no open batch {0}; the journal is incomplete")]
    UnknownBatch(BatchRoot),
    /// The fact names a certificate that does not exist.
    #[error("no certificate {0}; the journal is incomplete")]
    UnknownCertificate(CertificateId),
    /// The fact repeats something that happens once.
    #[error("{what} happened before; the journal holds an entry twice")]
    Repeated {
        /// What.
        what: &'static str,
    },
    /// The edge is not in the table of job states.
    #[error("job {job} cannot go from {from} to {to}")]
    JobEdge {
        /// The job.
        job: JobId,
        /// Its state.
        from: JobStateKind,
        /// The refused one.
        to: JobStateKind,
    },
    /// The edge is not in the table of task states.
    #[error("task {task} cannot go from {from} to {to}")]
    TaskEdge {
        /// The task.
        task: TaskId,
        /// Its state.
        from: TaskStateKind,
        /// The refused one.
        to: TaskStateKind,
    },
    /// A part of the fact contradicts the state.
    #[error("{what}")]
    Contradiction {
        /// What, in one sentence.
        what: &'static str,
    },
    /// Keys, tallies or certificates refused what the fact holds.
    #[error("{what}: {source_text}")]
    Refused {
        /// What was attempted.
        what: &'static str,
        /// The refusal.
        source_text: String,
    },
}

/// Why stored bytes are no state.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StateDecodeError {
    /// There is nothing.
    #[error("the state is empty; it is damaged")]
    Empty,
    /// Written by another version of this software.
    #[error(
        "the state has version {got}, this build reads {expected}; use the build that wrote it"
    )]
    Version {
        /// The version byte found.
        got: u8,
        /// The only one understood.
        expected: u8,
    },
    /// The bytes are not a state, or go on after one.
    #[error("not a state: {reason}; it is damaged")]
    Malformed {
        /// What the decoder met.
        reason: String,
    },
}
