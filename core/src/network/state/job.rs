//! A job's states, their legal edges and its bounded history.

use std::collections::VecDeque;

use borsh::{BorshDeserialize, BorshSerialize};

use crate::ids::{CertificateId, JobId, StatementAttempt, StatementDigest, TaskId, TxHash};
use crate::job::JobSpec;
use crate::network::input::{ChainEvent, Inclusion, JobPlan, Provenance};
use crate::units::UnixMillis;

use super::queue::{LaneKey, QueueKey, Ticket, Urgency};
use super::task::{Task, TaskState};

/// Entries that a job's history keeps; the oldest go first, but the first is kept.
pub const HISTORY_ENTRIES_MAX: usize = 64;

/// Why a job cannot go on for now.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum HoldReason {
    /// So much stake could not judge it that neither verdict can reach 2/3: judges that did not
    /// finish, blobs that are gone, a manifest that the chain has stopped.
    Unjudgeable(String),
    /// Votes are so divided that neither verdict can reach 2/3.
    Divided(String),
    /// 2/3 of the stake did not vote in time.
    QuorumUnreachable(String),
    /// 2/3 of the stake voted but did not attest in time.
    AttestationShort(String),
    /// No stake table is final yet.
    NoEpoch,
}

/// Why a job failed for good.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum FailReason {
    /// A task's tries are used up.
    TaskExhausted {
        /// Which segment.
        index: u32,
        /// Tries that count.
        attempts: u32,
        /// The last fault.
        last: String,
    },
    /// A task lost too many workers.
    TaskLost {
        /// Which segment.
        index: u32,
        /// Workers lost.
        losses: u32,
    },
    /// Verifiers refused every statement attempt.
    StatementsRefused {
        /// Statement attempts made.
        attempts: u32,
        /// What was said last.
        last: String,
    },
}

impl std::fmt::Display for HoldReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unjudgeable(detail) => write!(f, "unjudgeable: {detail}"),
            Self::Divided(detail) => write!(f, "verifiers are divided: {detail}"),
            Self::QuorumUnreachable(detail) => write!(f, "no quorum in time: {detail}"),
            Self::AttestationShort(detail) => write!(f, "too few attested: {detail}"),
            Self::NoEpoch => write!(f, "no stake table is final on the home chain yet"),
        }
    }
}

impl std::fmt::Display for FailReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TaskExhausted { index, attempts, last } => {
                write!(f, "segment {index} failed {attempts} times, last: {last}")
            }
            Self::TaskLost { index, losses } => {
                write!(f, "segment {index} lost {losses} workers")
            }
            Self::StatementsRefused { attempts, last } => {
                write!(f, "verifiers refused {attempts} statements, last: {last}")
            }
        }
    }
}

/// Where a job is.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum JobState {
    /// Known; its input is not there yet.
    AwaitingInput {
        /// Until when the input may come.
        until: UnixMillis,
    },
    /// The input is there; it is being cut, or queued.
    Accepted,
    /// At least one task was leased.
    Proving,
    /// A statement is before the verifiers.
    Verifying {
        /// The statement.
        statement: StatementDigest,
    },
    /// Its certificate exists and is to be posted.
    Certified {
        /// The certificate.
        certificate: CertificateId,
    },
    /// Its certificate was broadcast, or is in a block that is not final.
    Submitted {
        /// The certificate.
        certificate: CertificateId,
        /// The newest transaction.
        tx: TxHash,
    },
    /// Its certificate (and, for a contract job, its settlement) is on-chain and final.
    Settled {
        /// The certificate.
        certificate: CertificateId,
        /// The last transaction that it needed.
        inclusion: Inclusion,
    },
    /// The input or the specification is not acceptable.
    Rejected {
        /// Why, for the requester.
        reason: String,
    },
    /// Verification cannot conclude for now.
    Held {
        /// The statement.
        statement: StatementDigest,
        /// Why.
        reason: HoldReason,
    },
    /// Could not be proved or certified.
    Failed {
        /// Why.
        reason: FailReason,
    },
    /// Its time is over; a contract job's fee is refunded.
    Expired {
        /// The chain's word, for a contract job.
        event: Option<ChainEvent>,
    },
    /// The requester withdrew it.
    Cancelled,
    /// Provers race for it: its chain's rounds decide what is judged, and how it ends.
    Racing,
    /// A race that somebody won: its chain has split the fee.
    RaceSettled {
        /// The first winner's statement.
        statement: StatementDigest,
        /// Its certificate, if it was made here.
        certificate: Option<CertificateId>,
        /// The chain's word.
        event: ChainEvent,
    },
}

/// A job state without its data: the vertices of the table of legal edges.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
#[expect(missing_docs, reason = "each names the state of `JobState` that it stands for")]
pub enum JobStateKind {
    AwaitingInput,
    Accepted,
    Proving,
    Verifying,
    Certified,
    Submitted,
    Settled,
    Rejected,
    Held,
    Failed,
    Expired,
    Cancelled,
    Racing,
}

impl JobStateKind {
    /// Every state, in the order of a job's life.
    pub const ALL: [Self; 13] = [
        Self::AwaitingInput,
        Self::Accepted,
        Self::Racing,
        Self::Proving,
        Self::Verifying,
        Self::Certified,
        Self::Submitted,
        Self::Settled,
        Self::Rejected,
        Self::Held,
        Self::Failed,
        Self::Expired,
        Self::Cancelled,
    ];

    /// Whether nothing follows by the network's own doing.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(
            self,
            Self::Settled | Self::Rejected | Self::Failed | Self::Expired | Self::Cancelled
        )
    }
}

impl std::fmt::Display for JobStateKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The variant's name is the word used everywhere: code, wire, documents, CLI.
        write!(f, "{self:?}")
    }
}

/// The legal edges of a job. Anything else is a damaged journal or a bug, and is refused.
pub const JOB_EDGES: &[(JobStateKind, JobStateKind)] = {
    use JobStateKind::{
        Accepted, AwaitingInput, Cancelled, Certified, Expired, Failed, Held, Proving, Racing,
        Rejected, Settled, Submitted, Verifying,
    };
    &[
        (AwaitingInput, Accepted),
        (AwaitingInput, Rejected),
        (AwaitingInput, Expired),
        (AwaitingInput, Cancelled),
        // A race that was decided without this dispatcher.
        (AwaitingInput, Settled),
        (Accepted, Proving),
        (Accepted, Rejected),
        (Accepted, Failed),
        (Accepted, Expired),
        (Accepted, Cancelled),
        (Accepted, Racing),
        (Accepted, Settled),
        (Racing, Settled),
        (Racing, Expired),
        (Proving, Verifying),
        (Proving, Failed),
        (Proving, Expired),
        (Proving, Cancelled),
        (Verifying, Proving),
        (Verifying, Held),
        (Verifying, Certified),
        (Verifying, Failed),
        (Verifying, Expired),
        (Verifying, Cancelled),
        (Held, Verifying),
        (Held, Failed),
        (Held, Expired),
        (Held, Cancelled),
        (Certified, Submitted),
        (Certified, Verifying),
        (Certified, Settled),
        (Certified, Expired),
        (Submitted, Certified),
        (Submitted, Verifying),
        (Submitted, Settled),
        (Submitted, Expired),
        // A contract job that the network gave up is still refunded by its chain.
        (Rejected, Expired),
        (Failed, Expired),
    ]
};

impl JobState {
    /// The state without its data.
    #[must_use]
    pub const fn kind(&self) -> JobStateKind {
        match self {
            Self::AwaitingInput { .. } => JobStateKind::AwaitingInput,
            Self::Accepted => JobStateKind::Accepted,
            Self::Proving => JobStateKind::Proving,
            Self::Verifying { .. } => JobStateKind::Verifying,
            Self::Certified { .. } => JobStateKind::Certified,
            Self::Submitted { .. } => JobStateKind::Submitted,
            Self::Settled { .. } => JobStateKind::Settled,
            Self::Rejected { .. } => JobStateKind::Rejected,
            Self::Held { .. } => JobStateKind::Held,
            Self::Failed { .. } => JobStateKind::Failed,
            Self::Expired { .. } => JobStateKind::Expired,
            Self::Cancelled => JobStateKind::Cancelled,
            Self::Racing => JobStateKind::Racing,
            Self::RaceSettled { .. } => JobStateKind::Settled,
        }
    }
}

/// One step of a job's life, for those who start watching late.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct HistoryEntry {
    /// When.
    pub at: UnixMillis,
    /// The state from then on.
    pub state: JobStateKind,
    /// Why, in one line.
    pub reason: String,
}

/// A job and everything that belongs to it alone.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// What it asks.
    pub spec: JobSpec,
    /// Who says so.
    pub provenance: Provenance,
    /// When it was first known.
    pub submitted_at: UnixMillis,
    /// Its number in order of arrival.
    pub serial: u64,
    /// Where it is.
    pub state: JobState,
    /// How it is cut, once planned.
    pub plan: Option<JobPlan>,
    /// Its tasks; segment `i` is task `i`.
    pub tasks: Vec<Task>,
    /// Tasks that are accepted.
    pub tasks_accepted: u32,
    /// The statement attempt that is being worked on.
    pub statement_attempt: StatementAttempt,
    /// The newest statement.
    pub statement: Option<StatementDigest>,
    /// Every statement, oldest first.
    pub statements: Vec<StatementDigest>,
    /// What happened, oldest first.
    pub history: VecDeque<HistoryEntry>,
}

impl Job {
    /// Adds the present state to the history.
    pub(super) fn remember(&mut self, at: UnixMillis, reason: String) {
        if self.history.len() >= HISTORY_ENTRIES_MAX {
            self.history.remove(1);
        }
        self.history.push_back(HistoryEntry { at, state: self.state.kind(), reason });
    }

    /// Since when it is where it is; for a job that is over, when it ended.
    #[must_use]
    pub fn since(&self) -> UnixMillis {
        self.history.back().map_or(self.submitted_at, |entry| entry.at)
    }

    /// Where a task of this job stands in the queue.
    #[must_use]
    pub fn ticket(&self, task: &Task) -> Ticket {
        let urgency = if task.tries.is_empty() { Urgency::Fresh } else { Urgency::Again };
        Ticket {
            lane: LaneKey::new(self.spec.program, task.kind, task.memory_bytes),
            requester: self.spec.requester,
            key: QueueKey {
                urgency,
                deadline: self.spec.deadline,
                fee: std::cmp::Reverse(self.spec.fee_cap),
                serial: self.serial,
                index: task.index,
            },
            task: task.id,
        }
    }

    /// Whether its chain decides when it expires.
    #[must_use]
    pub const fn is_contract(&self) -> bool {
        matches!(self.provenance, Provenance::Chain(_))
    }
}

impl Job {
    /// Strikes a finished task from what its job's other tasks wait for, and names those of them
    /// that wait for nothing any more.
    pub(super) fn finish_dependency(&mut self, done: TaskId) -> Vec<TaskId> {
        let Some(position) = self.tasks.iter().position(|task| task.id == done) else {
            return Vec::new();
        };
        let mut ready = Vec::new();
        for task in &mut self.tasks {
            if let TaskState::Waiting { deps } = &mut task.state {
                let struck = u32::try_from(position).is_ok_and(|position| deps.remove(&position));
                if struck && deps.is_empty() {
                    ready.push(task.id);
                }
            }
        }
        ready
    }
}
