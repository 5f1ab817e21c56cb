//! A task's states, their legal edges and its tries.

use std::collections::BTreeSet;

use borsh::{BorshDeserialize, BorshSerialize};

use crate::ids::{Address, Attempt, BlobDigest, LeaseToken, TaskId};
use crate::job::TaskKind;
use crate::network::fact::{Decision, LeaseEnd};
use crate::network::input::ProofReport;
use crate::statement::SegmentRecord;
use crate::units::{ByteCount, UnixMillis, WorkUnits};

use super::job::FailReason;

/// A running lease.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RunningLease {
    /// Which try.
    pub attempt: Attempt,
    /// The fencing token.
    pub token: LeaseToken,
    /// Whose.
    pub prover: Address,
    /// Since when.
    pub granted_at: UnixMillis,
    /// End, heartbeats or not.
    pub expires_at: UnixMillis,
}

/// Where a task is.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum TaskState {
    /// Needs the proofs of other tasks first.
    Waiting {
        /// Tasks of the same job, by position, that are not accepted yet.
        deps: BTreeSet<u32>,
    },
    /// May be leased.
    Queued,
    /// A prover tries it, or its proof is at intake.
    Leased(RunningLease),
    /// Proved and passed intake.
    Accepted {
        /// The try whose proof counts.
        attempt: Attempt,
        /// Its record.
        record: SegmentRecord,
        /// When.
        at: UnixMillis,
    },
    /// Its tries are used up.
    Failed {
        /// Why.
        reason: FailReason,
    },
    /// Its job ended first.
    Cancelled,
}

/// A task state without its data: the vertices of the table of legal edges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each names the state of `TaskState` that it stands for")]
pub enum TaskStateKind {
    Waiting,
    Queued,
    Leased,
    Accepted,
    Failed,
    Cancelled,
}

impl TaskStateKind {
    /// Every state, in the order of a task's life.
    pub const ALL: [Self; 6] =
        [Self::Waiting, Self::Queued, Self::Leased, Self::Accepted, Self::Failed, Self::Cancelled];
}

impl std::fmt::Display for TaskStateKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

/// The legal edges of a task.
pub const TASK_EDGES: &[(TaskStateKind, TaskStateKind)] = {
    use TaskStateKind::{Accepted, Cancelled, Failed, Leased, Queued, Waiting};
    &[
        (Waiting, Queued),
        (Waiting, Cancelled),
        (Queued, Leased),
        // A late but valid proof of an earlier try.
        (Queued, Accepted),
        (Queued, Failed),
        (Queued, Cancelled),
        (Leased, Queued),
        (Leased, Accepted),
        (Leased, Cancelled),
        // An invalid quorum named this segment.
        (Accepted, Queued),
    ]
};

impl TaskState {
    /// The state without its data.
    #[must_use]
    pub const fn kind(&self) -> TaskStateKind {
        match self {
            Self::Waiting { .. } => TaskStateKind::Waiting,
            Self::Queued => TaskStateKind::Queued,
            Self::Leased(_) => TaskStateKind::Leased,
            Self::Accepted { .. } => TaskStateKind::Accepted,
            Self::Failed { .. } => TaskStateKind::Failed,
            Self::Cancelled => TaskStateKind::Cancelled,
        }
    }
}

/// What became of one try.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum TryOutcome {
    /// The prover works on it.
    Running,
    /// Its lease ended.
    Ended(LeaseEnd),
    /// Its proof counts.
    Accepted,
    /// Another try's proof counts, or the job ended.
    Superseded,
    /// Its proof was accepted at intake and refused by the verifiers.
    RefusedByQuorum(String),
}

/// One try at a task.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Try {
    /// Which.
    pub attempt: Attempt,
    /// Its fencing token.
    pub token: LeaseToken,
    /// Whose.
    pub prover: Address,
    /// Since when.
    pub granted_at: UnixMillis,
    /// Why this prover.
    pub decision: Decision,
    /// The proof that was delivered, if one was.
    pub delivered: Option<BlobDigest>,
    /// The proof that is at intake, if one is.
    pub at_intake: Option<ProofReport>,
    /// Time that proving took, as reported.
    pub prove_ms: Option<u64>,
    /// What became of it.
    pub outcome: TryOutcome,
    /// When that was decided.
    pub ended_at: Option<UnixMillis>,
}

/// A task and its tries.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// What it produces.
    pub kind: TaskKind,
    /// Position among the job's tasks of this kind.
    pub index: u32,
    /// What its prover is paid by.
    pub work_units: WorkUnits,
    /// Memory that it takes.
    pub memory_bytes: ByteCount,
    /// Where it is.
    pub state: TaskState,
    /// Since when.
    pub since: UnixMillis,
    /// Every try, oldest first.
    pub tries: Vec<Try>,
    /// Tries that its retry budget paid for.
    pub faults: u32,
    /// Tries that ended by nobody's fault.
    pub losses: u32,
    /// Provers that failed it and do not get it first.
    pub avoid: BTreeSet<Address>,
}
