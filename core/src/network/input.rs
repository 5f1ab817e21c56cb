//! Everything that can happen to a network, already checked and converted at the edge.
//!
//! A connection is named by its `SessionId`: a message of an older session of the same peer is
//! refused, so a half-dead connection can never speak for its successor.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::epoch::{EpochKeys, MemberSet};
use crate::ids::{
    Address, Attempt, BatchRoot, BlobDigest, BlockHash, BlockNumber, CertificateId, ChainContract,
    ChainId, EpochNumber, JobId, LeaseToken, ManifestDigest, ProgramId, SessionId, StatementDigest,
    TaskId, TxHash, VkDigest,
};
use crate::job::JobSpec;
use crate::race::RaceStep;
use crate::sealed::{Salt, SealedVote};
use crate::statement::{OpenedStatement, SegmentRecord};
use crate::units::{ByteCount, UnixMillis, UnixSeconds, WorkUnits};
use crate::vote::{VerifiedAttestation, VerifiedVote};

/// Where the dispatcher's knowledge of a job comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Provenance {
    /// A signed request.
    Direct,
    /// An event in a block that is final under its chain's policy.
    Chain(ChainEvent),
}

/// One log of a final block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ChainEvent {
    /// The emitting contract and its chain.
    pub contract: ChainContract,
    /// Height of the block.
    pub block: BlockNumber,
    /// Its hash.
    pub block_hash: BlockHash,
    /// Index of the log in the block.
    pub log_index: u64,
}

/// One segment as the program's planner cut it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PlannedSegment {
    /// First item of the input.
    pub first: u64,
    /// Number of items, at least one.
    pub count: u64,
    /// What its prover is paid by.
    pub work_units: WorkUnits,
    /// Memory that proving it takes.
    pub memory_bytes: ByteCount,
}

/// How a job is cut and what it is judged by.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct JobPlan {
    /// The segments, contiguous from item 0.
    pub segments: Vec<PlannedSegment>,
    /// The verifier build that judges them.
    pub manifest: ManifestDigest,
    /// The verifying key of the segments.
    pub vk: VkDigest,
}

/// What kind of device proves.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub enum Device {
    /// Host cores.
    Cpu,
    /// An NVIDIA GPU.
    Cuda,
}

/// One program that a prover offers, with what it measured on itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProgramOffer {
    /// The program.
    pub program: ProgramId,
    /// Work units per 1000 seconds on one slot; 0 if unmeasured.
    pub units_per_kilosecond: u64,
}

/// What a prover registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProverCapabilities {
    /// A name for people, for logs only.
    pub name: String,
    /// Software version, for logs only.
    pub version: String,
    /// Device that proves.
    pub device: Device,
    /// Tasks that it takes at once, at least 1.
    pub slots: u32,
    /// Memory for all slots together.
    pub memory_bytes: ByteCount,
    /// What it can prove.
    pub programs: Vec<ProgramOffer>,
}

/// A lease as its holder knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct LeaseRef {
    /// The task.
    pub task: TaskId,
    /// Which try.
    pub attempt: Attempt,
    /// The fencing token.
    pub token: LeaseToken,
}

/// A finished proof as its prover reports it; the bytes are already stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ProofReport {
    /// Digest of the proof envelope.
    pub proof: BlobDigest,
    /// Its length.
    pub bytes: ByteCount,
    /// Time that proving took.
    pub prove_ms: u64,
}

/// Why a prover gave a task up.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum TaskFault {
    /// The prover is going away; nobody's fault.
    Draining,
    /// The input could not be fetched; nobody's fault.
    InputUnavailable(String),
    /// Admission or the device ran out of memory.
    OutOfMemory(String),
    /// The backend failed or panicked.
    Backend(String),
    /// The prover's own verification refused its proof.
    SelfVerify(String),
    /// The input or the task cannot be proved as it stands.
    Unprovable(String),
}

impl std::fmt::Display for TaskFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Draining => write!(f, "the prover is draining"),
            Self::InputUnavailable(text) => write!(f, "input unavailable: {text}"),
            Self::OutOfMemory(text) => write!(f, "out of memory: {text}"),
            Self::Backend(text) => write!(f, "backend failed: {text}"),
            Self::SelfVerify(text) => write!(f, "own verification refused the proof: {text}"),
            Self::Unprovable(text) => write!(f, "cannot be proved: {text}"),
        }
    }
}

/// Intake's word on one delivered proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IntakeOutcome {
    /// The proof passed; every digest of the record was recomputed from bytes.
    Accepted(SegmentRecord),
    /// A completed refusal: the prover's fault.
    Refused {
        /// Machine-readable reason.
        code: String,
        /// The reason for people.
        text: String,
    },
    /// The judge could not finish, twice; nobody's fault.
    Unjudged {
        /// What stopped it.
        reason: String,
    },
}

/// What an invalid vote names.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct InvalidDetail {
    /// First bad segment.
    pub segment: u32,
    /// What is wrong with it.
    pub reason: String,
}

/// What a submission update is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub enum SubmissionSubject {
    /// A certificate posted to the registry of its target.
    Certificate(CertificateId),
    /// A contract job's `settle` call.
    Settle(JobId),
}

/// Where a transaction landed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Inclusion {
    /// The transaction; another than the one sent if somebody else posted it first.
    pub tx: TxHash,
    /// Its block.
    pub block: BlockNumber,
    /// Gas that it used.
    pub gas_used: u64,
}

/// Why a submission ended without a transaction.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum SubmissionFailure {
    /// The contract no longer accepts the certificate's epoch.
    EpochNotAccepted,
    /// The contract refuses it for another reason.
    Refused(String),
    /// The chain or the oracle's account is not usable right now.
    Unavailable(String),
    /// These signers of the certificate are excluded from signing in its epoch.
    ExcludedSigner(MemberSet),
}

impl std::fmt::Display for SubmissionFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::EpochNotAccepted => write!(f, "the contract no longer accepts the epoch"),
            Self::Refused(text) => write!(f, "the contract refuses: {text}"),
            Self::Unavailable(text) => write!(f, "the chain is not usable: {text}"),
            Self::ExcludedSigner(members) => {
                write!(f, "{} of its signers are excluded from signing", members.len())
            }
        }
    }
}

/// What the oracle saw of a submission.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum SubmissionUpdate {
    /// Broadcast.
    Sent {
        /// The transaction.
        tx: TxHash,
    },
    /// In a block.
    Included(Inclusion),
    /// In a block that is final under the chain's policy.
    Final(Inclusion),
    /// No longer in the chain.
    Reorged,
    /// Not sent, or failed.
    Failed(SubmissionFailure),
    /// How the oracle brings it on-chain and why, in its words; comes before it is sent.
    Chosen {
        /// One line for people.
        why: String,
    },
}

/// Whether an administrator stops or resumes handing work to a prover.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Drain {
    /// No new leases; what runs may finish.
    Start,
    /// Take part again.
    Stop,
}

/// One event for [`super::Network::apply`].
#[derive(Clone, Debug)]
pub enum Input {
    /// A job, signed or from a chain.
    SubmitJob {
        /// What is asked.
        spec: JobSpec,
        /// Who says so.
        provenance: Provenance,
    },
    /// A blob is completely stored and its digest checked.
    BlobStored {
        /// Its digest.
        digest: BlobDigest,
        /// Its length.
        bytes: ByteCount,
    },
    /// The program's planner read the input. Answers `Effect::PlanJob`.
    JobPlanned {
        /// The job.
        job: JobId,
        /// The cut.
        plan: JobPlan,
    },
    /// The program or the input is not acceptable. Answers `Effect::PlanJob`.
    JobRefused {
        /// The job.
        job: JobId,
        /// Why, for the requester.
        reason: String,
    },
    /// The requester no longer wants the job.
    CancelJob {
        /// The job.
        job: JobId,
        /// Who asks.
        requester: Address,
    },
    /// The chain refunded or cancelled a contract job.
    JobExpired {
        /// The job.
        job: JobId,
        /// The event.
        provenance: ChainEvent,
    },
    /// A prover logged in.
    ProverConnected {
        /// Its address.
        prover: Address,
        /// This connection.
        session: SessionId,
        /// What it offers.
        capabilities: ProverCapabilities,
        /// Leases that it still works on, after a reconnect.
        holding: Vec<LeaseRef>,
    },
    /// A prover is alive.
    ProverHeartbeat {
        /// Its address.
        prover: Address,
        /// This connection.
        session: SessionId,
        /// Memory that it could give to new tasks, beside those that run.
        free_memory_bytes: ByteCount,
    },
    /// A prover is somewhere in a task; counts as a heartbeat.
    ProverProgress {
        /// Its address.
        prover: Address,
        /// This connection.
        session: SessionId,
        /// The lease.
        lease: LeaseRef,
        /// Phase, in the program's words.
        phase: String,
        /// Share done, in 1/1000.
        done_permille: u16,
    },
    /// A prover takes no more tasks but finishes what it has.
    ProverDraining {
        /// Its address.
        prover: Address,
        /// This connection.
        session: SessionId,
    },
    /// A prover's connection ended.
    ProverDisconnected {
        /// Its address.
        prover: Address,
        /// The connection that ended.
        session: SessionId,
    },
    /// A prover delivered a proof.
    TaskCompleted {
        /// Its address.
        prover: Address,
        /// The lease.
        lease: LeaseRef,
        /// The proof.
        report: ProofReport,
    },
    /// A prover gave a task up.
    TaskFailed {
        /// Its address.
        prover: Address,
        /// The lease.
        lease: LeaseRef,
        /// Why.
        fault: TaskFault,
    },
    /// Intake judged a delivered proof. Answers `Effect::JudgeIntake`.
    IntakeJudged {
        /// The task.
        task: TaskId,
        /// The try that delivered it.
        attempt: Attempt,
        /// Who delivered it.
        prover: Address,
        /// The judgement.
        outcome: IntakeOutcome,
    },
    /// A stake table is final on the home chain.
    EpochFinal {
        /// The table, with the members' keys in G2 for aggregation.
        keys: EpochKeys,
    },
    /// The home chain excluded members of an epoch from signing; final, and never taken back.
    MembersExcluded {
        /// The epoch.
        epoch: EpochNumber,
        /// The members.
        members: MemberSet,
    },
    /// A verifier logged in.
    VerifierConnected {
        /// Its operator.
        operator: Address,
        /// This connection.
        session: SessionId,
    },
    /// A verifier's connection ended.
    VerifierDisconnected {
        /// Its operator.
        operator: Address,
        /// The connection that ended.
        session: SessionId,
    },
    /// A verifier committed to a vote, on its own session.
    CommitReceived {
        /// What it committed to.
        sealed: SealedVote,
    },
    /// A verifier opened a vote, whose signature was verified singly.
    VoteReceived {
        /// The vote.
        vote: VerifiedVote,
        /// For an invalid vote: the first bad segment.
        detail: Option<InvalidDetail>,
        /// What its commitment was hidden with.
        salt: Salt,
    },
    /// A verifier could not judge a statement.
    Abstained {
        /// Who.
        operator: Address,
        /// In which epoch.
        epoch: EpochNumber,
        /// Which statement.
        statement: StatementDigest,
        /// What stopped it.
        reason: String,
    },
    /// An attestation whose signature was verified.
    AttestationReceived {
        /// The attestation.
        attestation: VerifiedAttestation,
    },
    /// A verifier did not attest because leaves differ from its vote log.
    AttestationRefused {
        /// Who.
        operator: Address,
        /// The batch's root.
        batch: BatchRoot,
        /// Positions of the leaves that differ.
        positions: Vec<u32>,
    },
    /// An oracle logged in for a chain.
    OracleConnected {
        /// The chain.
        chain: ChainId,
        /// This connection.
        session: SessionId,
    },
    /// An oracle's connection ended.
    OracleDisconnected {
        /// The chain.
        chain: ChainId,
        /// The connection that ended.
        session: SessionId,
    },
    /// A submission moved.
    SubmissionUpdate {
        /// The chain.
        chain: ChainId,
        /// What was submitted.
        subject: SubmissionSubject,
        /// How far it is.
        update: SubmissionUpdate,
    },
    /// An administrator drains a prover or takes it back.
    DrainProver {
        /// Its address.
        prover: Address,
        /// Which of the two.
        drain: Drain,
    },
    /// An administrator takes a running lease back and queues its task again. A lease whose proof
    /// is at intake stays: the work is done, and its verdict decides.
    RequeueTask {
        /// The task.
        task: TaskId,
    },
    /// A race moved on; final on its chain.
    RaceNews {
        /// The job.
        job: JobId,
        /// Where the chain says so.
        event: ChainEvent,
        /// What happened.
        step: RaceStep,
    },
    /// A prover tells the records of what it revealed in a race.
    RaceEntry {
        /// Who.
        prover: Address,
        /// The statement with its records, which are those under its root.
        opened: OpenedStatement,
    },
    /// A chain moved on.
    ChainHead {
        /// The chain.
        chain: ChainId,
        /// The time of its newest final block.
        time: UnixSeconds,
    },
    /// Time passed; due timers fire.
    Tick,
}

/// What [`super::Network::apply`] says to whoever caused the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Done; nothing to say.
    Done,
    /// The job is known under this id from now on.
    JobAccepted(JobId),
    /// The same job was submitted before.
    AlreadyKnown(JobId),
    /// The proof is recorded and goes to intake.
    CompletionReceived,
    /// The task is proved already, by this prover or another; keep nothing.
    AlreadyDone,
    /// The judged proof passed intake; its task is done.
    ProofAccepted,
    /// The judged proof did not pass intake: its prover's fault.
    ProofRefused {
        /// Machine-readable reason.
        code: String,
        /// The reason for people.
        text: String,
    },
    /// Intake could not judge the proof; nobody's fault.
    ProofUnjudged {
        /// What stopped it.
        reason: String,
    },
    /// It came after the decision, or after its phase. A vote is kept, not counted, as one that opens
    /// no commitment of the set; a commitment or attestation is not counted either. What intake says
    /// of a proof that nobody waits for any more is dropped.
    Late,
    /// An entry is in its round.
    EntryTaken {
        /// Whether its proofs are taken: its reveal is final here.
        may_upload: bool,
    },
    /// A prover is registered.
    Registered {
        /// Leases that are still its own, to go on with.
        resumed: Vec<LeaseRef>,
        /// When it must have been heard of again.
        dead_at: UnixMillis,
    },
}
