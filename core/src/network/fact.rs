//! What the journal holds: every durable change of a network's state, in order.
//!
//! A fact is a decision already taken, so replaying it needs neither the clock nor the
//! configuration. Its bytes are one version byte, then borsh. Unknown versions, unknown variants
//! and trailing bytes are refused: a journal is read completely or not at all. Variants are only
//! ever appended; golden bytes in the tests hold every one of them.

use borsh::{BorshDeserialize, BorshSerialize};
use thiserror::Error;

use crate::certificate::Certificate;
use crate::epoch::{EpochKeys, MemberSet};
use crate::ids::{
    Address, Attempt, BatchRoot, BlobDigest, CertificateId, ChainContract, ChainId, EpochNumber,
    JobId, LeaseToken, StatementAttempt, StatementDigest, TaskId,
};
use crate::job::JobSpec;
use crate::race::RaceRound;
use crate::sealed::SealedVote;
use crate::statement::{OpenedStatement, SegmentRecord, Verdict};
use crate::units::{ByteCount, UnixMillis};
use crate::vote::{VerifiedAttestation, VerifiedVote};

use super::input::{
    ChainEvent, Drain, InvalidDetail, JobPlan, ProofReport, Provenance, SubmissionSubject,
    SubmissionUpdate, TaskFault,
};
use super::state::{FailReason, HoldReason};

/// Version byte of an encoded fact.
pub const FACT_VERSION: u8 = 1;

/// One durable change and when it was decided, by the dispatcher's clock.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Fact {
    /// When it was decided.
    pub at: UnixMillis,
    /// What changed.
    pub change: Change,
}

/// Why stored bytes are no fact.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FactDecodeError {
    /// There is nothing.
    #[error("an empty journal entry; the journal is damaged, restore it from a copy")]
    Empty,
    /// Written by another version of this software.
    #[error(
        "journal entry has version {got}, this build reads {expected}; \
         use the build that wrote the journal"
    )]
    Version {
        /// The version byte found.
        got: u8,
        /// The only one understood.
        expected: u8,
    },
    /// The bytes are not a fact, or go on after one.
    #[error("journal entry of {len} bytes is not a fact ({reason}); the journal is damaged")]
    Malformed {
        /// Length of the entry.
        len: usize,
        /// What the decoder met.
        reason: String,
    },
}

impl Fact {
    /// The bytes for the journal.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![FACT_VERSION];
        #[expect(clippy::expect_used, reason = "writing to a Vec cannot fail")]
        self.serialize(&mut bytes).expect("a Vec takes every write");
        bytes
    }

    /// Reads back exactly what [`Fact::encode`] wrote.
    ///
    /// # Errors
    /// [`FactDecodeError`] for an empty entry, another version, an unknown variant, a truncated
    /// entry or trailing bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, FactDecodeError> {
        let (&version, body) = bytes.split_first().ok_or(FactDecodeError::Empty)?;
        if version != FACT_VERSION {
            return Err(FactDecodeError::Version { got: version, expected: FACT_VERSION });
        }
        Self::try_from_slice(body).map_err(|error| FactDecodeError::Malformed {
            len: bytes.len(),
            reason: error.to_string(),
        })
    }
}

/// Why a lease ended without a proof of its own.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum LeaseEnd {
    /// The prover was silent for too long.
    WorkerLost,
    /// The prover came back and no longer holds it.
    WorkerForgot,
    /// It ran longer than any lease may.
    TimedOut,
    /// The prover gave it up.
    Fault(TaskFault),
    /// Intake refused its proof.
    IntakeRefused {
        /// Machine-readable reason.
        code: String,
        /// The reason for people.
        text: String,
    },
    /// Intake could not judge its proof.
    Unjudged(String),
    /// An administrator took it back.
    Requeued,
}

impl LeaseEnd {
    /// Whether the task's retry budget pays for it: only for what the worker itself did wrong.
    #[must_use]
    pub const fn burns_budget(&self) -> bool {
        match self {
            Self::TimedOut | Self::IntakeRefused { .. } => true,
            Self::Fault(fault) => {
                !matches!(fault, TaskFault::Draining | TaskFault::InputUnavailable(_))
            }
            Self::WorkerLost | Self::WorkerForgot | Self::Unjudged(_) | Self::Requeued => false,
        }
    }
}

impl std::fmt::Display for LeaseEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::WorkerLost => write!(f, "the prover was silent for too long"),
            Self::WorkerForgot => write!(f, "the prover came back without it"),
            Self::TimedOut => write!(f, "the lease ran out"),
            Self::Fault(fault) => write!(f, "{fault}"),
            Self::IntakeRefused { code, text } => write!(f, "intake refused ({code}): {text}"),
            Self::Unjudged(reason) => write!(f, "intake could not judge: {reason}"),
            Self::Requeued => write!(f, "taken back by an administrator"),
        }
    }
}

/// How a job ended before it was settled.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum JobEnd {
    /// The input or the specification is not acceptable.
    Rejected(String),
    /// It could not be proved or certified.
    Failed(FailReason),
    /// A direct job's time is over.
    Expired,
    /// The chain refunded or cancelled it.
    ExpiredOnChain(ChainEvent),
    /// The requester withdrew it.
    Cancelled,
}

/// Why the scheduler chose a prover; what `explain` prints.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Decision {
    /// Provers with a free slot and the program, when it was decided.
    pub candidates: u32,
    /// The chosen prover's work units per 1000 seconds on this program; 0 if unmeasured.
    pub units_per_kilosecond: u64,
    /// Tasks that it already held.
    pub load: u32,
    /// Its slots.
    pub slots: u32,
    /// Provers that were passed over because they failed this task before.
    pub avoided: u32,
    /// Work units that this requester was served, by which requesters take turns.
    pub requester_served_units: u64,
}

/// Why a batch is no longer open.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum BatchClose {
    /// Too few attested in time; its statements go on in smaller batches.
    Split,
    /// Verifiers hold other verdicts for some leaves; those go on apart.
    Contested,
    /// Its epoch is over.
    EpochOver,
    /// Without members that were excluded, a leaf has no vote quorum any more.
    Excluded,
}

/// Why an entry of a race has no certified verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum EntryClose {
    /// Its records or proofs did not come in time: for its race it was not revealed.
    NoProofs,
    /// Its round is over.
    RoundOver,
    /// Its job ended.
    JobOver,
}

impl std::fmt::Display for EntryClose {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NoProofs => "its proofs did not come in time; nobody votes on it",
            Self::RoundOver => "its round is over",
            Self::JobOver => "its job ended",
        })
    }
}

/// Every durable change. Variants are appended, never reordered.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Change {
    /// A new job; it waits for its input.
    JobSubmitted {
        /// Its id.
        job: JobId,
        /// What it asks.
        spec: JobSpec,
        /// Who says so.
        provenance: Provenance,
        /// Until when the input may come.
        input_until: UnixMillis,
    },
    /// A blob is stored.
    BlobStored {
        /// Its digest.
        digest: BlobDigest,
        /// Its length.
        bytes: ByteCount,
    },
    /// A job's input is there, with the right length.
    InputReady {
        /// The job.
        job: JobId,
    },
    /// A job is cut into segments and queued.
    JobPlanned {
        /// The job.
        job: JobId,
        /// The cut.
        plan: JobPlan,
    },
    /// A job ended without being settled.
    JobEnded {
        /// The job.
        job: JobId,
        /// How.
        end: JobEnd,
    },
    /// A prover may try a task.
    LeaseGranted {
        /// The task.
        task: TaskId,
        /// Which try.
        attempt: Attempt,
        /// The fencing token.
        token: LeaseToken,
        /// To whom.
        prover: Address,
        /// End of the lease, heartbeats or not.
        expires_at: UnixMillis,
        /// Why this prover.
        decision: Decision,
    },
    /// A lease ended without a proof; the task is queued again.
    LeaseEnded {
        /// The task.
        task: TaskId,
        /// Which try.
        attempt: Attempt,
        /// Why.
        end: LeaseEnd,
    },
    /// A prover delivered a proof; intake looks at it.
    ProofDelivered {
        /// The task.
        task: TaskId,
        /// Which try.
        attempt: Attempt,
        /// Who.
        prover: Address,
        /// The proof.
        report: ProofReport,
    },
    /// Intake did not accept the proof of a try that no longer holds the lease.
    CandidateDropped {
        /// The task.
        task: TaskId,
        /// Which try.
        attempt: Attempt,
        /// Why; an intake refusal is the prover's fault.
        end: LeaseEnd,
    },
    /// A proof passed intake: the task is done.
    TaskAccepted {
        /// The task.
        task: TaskId,
        /// The try whose proof it is.
        attempt: Attempt,
        /// Its record.
        record: SegmentRecord,
    },
    /// A task's tries are used up. The job's end follows.
    TaskFailed {
        /// The task.
        task: TaskId,
        /// Why.
        reason: FailReason,
    },
    /// All segments of a job are accepted; this is what it says.
    StatementOpened {
        /// Digest of the statement.
        digest: StatementDigest,
        /// The statement with its records.
        opened: OpenedStatement,
    },
    /// The members of an epoch are asked to vote on a statement.
    VotingOpened {
        /// The statement.
        statement: StatementDigest,
        /// The epoch.
        epoch: EpochNumber,
    },
    /// A verified vote that opens its commitment, counted or kept as evidence.
    VoteRecorded {
        /// The vote.
        vote: VerifiedVote,
        /// For an invalid vote: the first bad segment.
        detail: Option<InvalidDetail>,
    },
    /// A verifier could not judge.
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
    /// Two thirds of an epoch's stake voted for one verdict.
    QuorumReached {
        /// The statement.
        statement: StatementDigest,
        /// The epoch.
        epoch: EpochNumber,
        /// The verdict.
        verdict: Verdict,
    },
    /// An invalid quorum named a segment: it is proven again, under the next statement attempt.
    SegmentRejected {
        /// The job.
        job: JobId,
        /// The bad segment.
        index: u32,
        /// Whose proof it was.
        prover: Address,
        /// The next statement attempt.
        next: StatementAttempt,
        /// What the verifiers said.
        reason: String,
    },
    /// A job cannot go on for now.
    JobHeld {
        /// The job.
        job: JobId,
        /// Why.
        reason: HoldReason,
    },
    /// What held a job is over.
    JobResumed {
        /// The job.
        job: JobId,
        /// Why.
        reason: String,
    },
    /// A final stake table.
    EpochRecorded {
        /// The table and the members' keys in G2.
        keys: EpochKeys,
    },
    /// Statements are attested together.
    BatchOpened {
        /// Root over the leaves.
        root: BatchRoot,
        /// Where the certificate goes.
        target: ChainContract,
        /// The epoch that attests.
        epoch: EpochNumber,
        /// Statements, ascending by digest.
        statements: Vec<StatementDigest>,
        /// How often attestation of exactly this batch was asked for, from 1.
        round: u32,
    },
    /// A verified attestation.
    AttestationRecorded {
        /// The attestation.
        attestation: VerifiedAttestation,
    },
    /// A verifier refused a batch because of some leaves.
    AttestationRefused {
        /// Who.
        operator: Address,
        /// The batch.
        root: BatchRoot,
        /// The leaves.
        positions: Vec<u32>,
    },
    /// A batch ended without a certificate.
    BatchClosed {
        /// The batch.
        root: BatchRoot,
        /// Why.
        close: BatchClose,
    },
    /// A batch has its certificate.
    BatchCertified {
        /// The batch.
        root: BatchRoot,
        /// The certificate's id.
        id: CertificateId,
        /// The certificate.
        certificate: Certificate,
    },
    /// A certificate can no longer be posted; its statements are voted on again.
    CertificateDropped {
        /// The certificate.
        id: CertificateId,
        /// Why.
        reason: String,
    },
    /// A submission moved.
    SubmissionMoved {
        /// The chain.
        chain: ChainId,
        /// What was submitted.
        subject: SubmissionSubject,
        /// How far it is.
        update: SubmissionUpdate,
    },
    /// An administrator drained a prover or took it back.
    ProverDrained {
        /// Its address.
        prover: Address,
        /// Which of the two.
        drain: Drain,
    },
    /// An ended job no longer needs its blobs.
    BlobsReleased {
        /// The job.
        job: JobId,
    },
    /// A blob that no job came to name is forgotten.
    BlobForgotten {
        /// The blob.
        digest: BlobDigest,
    },
    /// Members of an epoch no longer count.
    MembersExcluded {
        /// The epoch.
        epoch: EpochNumber,
        /// The members.
        members: MemberSet,
    },
    /// A job that ended long ago is forgotten; the votes on its statements are kept as evidence.
    JobForgotten {
        /// The job.
        job: JobId,
    },
    /// The votes on a forgotten job's statements are forgotten too.
    EvidenceForgotten {
        /// The job.
        job: JobId,
    },
    /// An old stake table that no kept vote belongs to is forgotten.
    EpochForgotten {
        /// The epoch.
        epoch: EpochNumber,
    },
    /// A prover that was idle for long is forgotten.
    WorkerForgotten {
        /// Its address.
        prover: Address,
    },
    /// A member committed to its vote.
    CommitmentRecorded {
        /// What it committed to.
        sealed: SealedVote,
    },
    /// The commit phase of a vote is over: the commitments are the commit set from now on.
    CommitsClosed {
        /// The statement.
        statement: StatementDigest,
        /// The epoch.
        epoch: EpochNumber,
    },
    /// A verified vote that opens no commitment of the set, or came too late: evidence, not counted.
    LateVoteRecorded {
        /// The vote.
        vote: VerifiedVote,
    },
    /// The reveal phase of a vote is over: who opened nothing abstained.
    RevealsClosed {
        /// The statement.
        statement: StatementDigest,
        /// The epoch.
        epoch: EpochNumber,
    },
    /// A commit set was opened and decided nothing: whoever has no vote yet may commit again.
    CommitsReopened {
        /// The statement.
        statement: StatementDigest,
        /// The epoch.
        epoch: EpochNumber,
    },
    /// A round of a race takes commitments on its chain.
    RaceRoundOpened {
        /// The job.
        job: JobId,
        /// The round.
        round: RaceRound,
    },
    /// A prover revealed on its chain what it committed to.
    RaceRevealed {
        /// The job.
        job: JobId,
        /// Which round.
        round: u8,
        /// Who.
        prover: Address,
        /// What.
        statement: StatementDigest,
    },
    /// A prover told the records of what it revealed; its proofs are waited for.
    RaceEntered {
        /// The job.
        job: JobId,
        /// Which round.
        round: u8,
        /// Who.
        prover: Address,
        /// The statement with its records.
        opened: OpenedStatement,
    },
    /// Every proof of an entry is stored: its statement goes to the verifiers.
    RaceEntryOpened {
        /// The job.
        job: JobId,
        /// Which round.
        round: u8,
        /// Whose.
        prover: Address,
    },
    /// An entry is over without a certified verdict.
    RaceEntryClosed {
        /// The job.
        job: JobId,
        /// Which round.
        round: u8,
        /// Whose.
        prover: Address,
        /// Why.
        reason: EntryClose,
    },
    /// A round of a race is over on its chain.
    RaceRoundClosed {
        /// The job.
        job: JobId,
        /// Which round.
        round: u8,
        /// Commitments that were found valid.
        winners: u32,
    },
    /// The chain split a race's fee among its winners.
    RaceSettled {
        /// The job.
        job: JobId,
        /// The first winner's statement.
        statement: StatementDigest,
        /// The chain's word.
        event: ChainEvent,
    },
}
