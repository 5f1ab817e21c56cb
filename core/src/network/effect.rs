//! What the dispatcher does for the core, after the facts behind it are flushed.
//!
//! Every effect may run twice and changes nothing the second time; its key is in its doc comment.
//! After a restart `Network::resume` derives every effect that is still owed.

use crate::batch::BatchLeaf;
use crate::certificate::Certificate;
use crate::ids::{
    Address, Attempt, BatchRoot, BlobDigest, ChainContract, ChainId, EpochNumber, JobId,
    LeaseToken, SessionId, StatementDigest, TableDigest, TaskId,
};
use crate::job::JobSpec;
use crate::race::RaceOffer;
use crate::sealed::CommitSet;
use crate::statement::{OpenedStatement, SegmentRecord, Verdict};
use crate::units::{Millis, UnixMillis};

use super::input::{JobPlan, PlannedSegment, ProofReport};
use super::workforce::Workforce;

/// The fenced, expiring right of one prover to try a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The task.
    pub task: TaskId,
    /// Which try.
    pub attempt: Attempt,
    /// The fencing token.
    pub token: LeaseToken,
    /// Silence after which the lease is lost.
    pub dead_after: Millis,
    /// End of the lease, heartbeats or not.
    pub expires_at: UnixMillis,
}

/// What a leased task is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The right to try it.
    pub lease: Lease,
    /// The job's id.
    pub job: JobId,
    /// The job.
    pub spec: JobSpec,
    /// Position among the job's segments.
    pub index: u32,
    /// The segment.
    pub segment: PlannedSegment,
    /// Number of segments of the job.
    pub num_segments: u32,
}

/// Why a prover stops working on a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CancelReason {
    /// Somebody else's proof was accepted; nobody's fault.
    AlreadyProved,
    /// The job ended.
    JobOver,
    /// The lease ran longer than any lease may.
    TimedOut,
    /// The lease passed on, or never was.
    StaleLease,
    /// An administrator took it back.
    Requeued,
}

/// A batch that verifiers are asked to attest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttestationRequest {
    /// Chain and registry that the certificate is for.
    pub target: ChainContract,
    /// The epoch that attests.
    pub epoch: EpochNumber,
    /// Digest of its table.
    pub table: TableDigest,
    /// Leaves, ascending by statement digest.
    pub leaves: Vec<BatchLeaf>,
    /// Root over them: the batch's name.
    pub root: BatchRoot,
}

/// A peer's open connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Peer {
    /// Who.
    pub address: Address,
    /// Which connection.
    pub session: SessionId,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Read the input and cut the job; answered by `JobPlanned` or `JobRefused`. Key: job.
    PlanJob {
        /// The job's id.
        job: JobId,
        /// The job.
        spec: JobSpec,
        /// Provers that could work on it now, for the planner; `None` if none is connected.
        workforce: Option<Workforce>,
    },
    /// Send a lease to a prover. Key: (task, attempt).
    AssignTask {
        /// The prover.
        prover: Peer,
        /// The work.
        assignment: Box<Assignment>,
    },
    /// Tell a prover to stop. Key: (task, attempt).
    CancelTask {
        /// The prover.
        prover: Peer,
        /// The task.
        task: TaskId,
        /// The try to stop.
        attempt: Attempt,
        /// Why.
        reason: CancelReason,
    },
    /// Recompute a delivered proof's digests and, if `verify`, judge it in the sandbox; answered by
    /// `IntakeJudged`. Key: (task, attempt).
    JudgeIntake {
        /// The task.
        task: TaskId,
        /// The try.
        attempt: Attempt,
        /// Who delivered.
        prover: Address,
        /// What was delivered.
        report: ProofReport,
        /// The job's id.
        job: JobId,
        /// The job.
        spec: JobSpec,
        /// How the job is cut.
        plan: JobPlan,
        /// Which segment this proof is for.
        index: u32,
        /// Whether intake verifies the proof and its claim, or only recomputes digests.
        verify: IntakeDepth,
    },
    /// Let verifiers judge a segment before its statement is complete. Key: (record, operator).
    OfferSegment {
        /// Verifiers that are connected.
        verifiers: Vec<Peer>,
        /// The job's id.
        job: JobId,
        /// The job.
        spec: JobSpec,
        /// How the job is cut.
        plan: JobPlan,
        /// The segment's record.
        record: SegmentRecord,
    },
    /// Ask verifiers to judge and commit. Key: (statement, epoch, operator).
    OpenVoting {
        /// Verifiers to ask.
        verifiers: Vec<Peer>,
        /// The epoch of the votes.
        epoch: EpochNumber,
        /// Digest of its table.
        table: TableDigest,
        /// Digest of the statement.
        digest: StatementDigest,
        /// The statement with its records.
        opened: OpenedStatement,
        /// The job.
        spec: JobSpec,
    },
    /// Sign a commit set and ask for the votes in it. Key: (set, operator).
    OpenReveal {
        /// Verifiers to ask; each has a commitment in the set.
        verifiers: Vec<Peer>,
        /// The commit set.
        set: CommitSet,
    },
    /// Tell verifiers that a statement needs no vote any more. Key: (statement, operator). Owed to
    /// nobody after a restart: whoever is not told judges for nothing, which harms nothing else.
    WithdrawStatement {
        /// Verifiers that were asked and did not vote.
        verifiers: Vec<Peer>,
        /// The statement.
        statement: StatementDigest,
        /// Why, for people.
        reason: String,
    },
    /// Ask verifiers to attest a batch. Key: (batch root, operator).
    RequestAttestation {
        /// Verifiers to ask.
        verifiers: Vec<Peer>,
        /// The batch.
        request: AttestationRequest,
    },
    /// Post a certificate on its target. Key: certificate id.
    SubmitCertificate {
        /// The chain whose oracle does it.
        chain: ChainId,
        /// The certificate.
        certificate: Box<Certificate>,
    },
    /// Settle a contract job against its attested batch. Key: job.
    SettleJob {
        /// The chain whose oracle does it.
        chain: ChainId,
        /// The `TaskManager` that holds the escrow.
        task_manager: ChainContract,
        /// The job.
        job: JobId,
        /// The statement with its records.
        opened: OpenedStatement,
        /// Position of its leaf in the batch.
        leaf_index: u32,
        /// Path from the leaf to the batch root.
        path: Vec<[u8; 32]>,
        /// The certificate that holds the leaf.
        certificate: Box<Certificate>,
    },
    /// Tell a prover of a round of a race that it may enter. Key: (job, round, prover).
    OfferRace {
        /// The prover.
        prover: Peer,
        /// The round.
        offer: Box<RaceOffer>,
    },
    /// Tell a prover that the proofs of its entry are taken now. Key: (statement, prover).
    TakeRaceProofs {
        /// The prover.
        prover: Peer,
        /// The job.
        job: JobId,
        /// The entry's statement.
        statement: StatementDigest,
    },
    /// Note the certified verdict on an entry of a race on its chain. Key: (job, round, prover).
    JudgeRaceEntry {
        /// The chain whose oracle does it.
        chain: ChainId,
        /// The `TaskManager` that created the job.
        task_manager: ChainContract,
        /// Whose entry.
        prover: Address,
        /// Which round.
        round: u8,
        /// The verdict.
        verdict: Verdict,
        /// The statement with its records.
        opened: OpenedStatement,
        /// Position of its leaf in the batch.
        leaf_index: u32,
        /// Path from the leaf to the batch root.
        path: Vec<[u8; 32]>,
        /// The certificate that holds the leaf.
        certificate: Box<Certificate>,
    },
    /// Remove a blob that no live job needs. Key: digest.
    DeleteBlob {
        /// The blob.
        digest: BlobDigest,
    },
    /// Close a connection that a newer one of the same peer replaced. Key: session.
    CloseSession {
        /// The old connection.
        peer: Peer,
    },
    /// Wake those who watch a job. Key: none needed.
    JobChanged {
        /// The job.
        job: JobId,
    },
}

/// How much intake does with a delivered proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntakeDepth {
    /// Recompute digests, verify the proof, compare the claim.
    Judge,
    /// Recompute digests only; the verifiers judge.
    DigestsOnly,
}
