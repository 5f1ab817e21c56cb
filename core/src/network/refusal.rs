//! Why an input was refused, and what follows from it for whoever sent it.

use thiserror::Error;

use crate::certificate::CertificateError;
use crate::ids::{
    Address, BatchRoot, CertificateId, ChainId, EpochNumber, JobId, StatementDigest, TaskId,
};
use crate::job::Mode;
use crate::units::{ByteCount, UnixSeconds};

use super::state::{EvolveError, JobStateKind};

/// What a refusal means for the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consequence {
    /// Late, repeated or for now impossible: nobody did anything wrong.
    Ignore,
    /// The request is wrong as it stands; the sender corrects it.
    Reject,
    /// No correct peer sends this.
    Penalize,
    /// The state does not hold together; the process stops before it does harm.
    Halt,
}

/// Why an input changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Another job was submitted under this nonce.
    #[error("nonce was used for job {existing}; submit under a new nonce")]
    NonceUsed {
        /// The job that has it.
        existing: JobId,
    },
    /// The job's origin and its source differ.
    #[error("a contract job comes from its chain, a direct job from a signed request")]
    WrongOrigin,
    /// The job names another home.
    #[error("job names home chain {got}, this network's is {expected}")]
    WrongHome {
        /// This network's.
        expected: ChainId,
        /// The job's.
        got: ChainId,
    },
    /// The job's target is not served.
    #[error("no oracle of this network serves target chain {chain} contract {contract}")]
    UnknownTarget {
        /// The chain.
        chain: ChainId,
        /// The contract.
        contract: Address,
    },
    /// The mode is not deployed.
    #[error("mode {} is not offered yet; submit with mode assigned", .0.name())]
    UnsupportedMode(Mode),
    /// The deadline is over.
    #[error("deadline {deadline} is over; submit with a later one")]
    DeadlinePassed {
        /// The job's deadline.
        deadline: UnixSeconds,
    },
    /// A limit of the job is outside what the network admits.
    #[error("{what} must be 1 to {max}, got {got}")]
    LimitOutOfRange {
        /// Which limit.
        what: &'static str,
        /// The most admitted.
        max: u64,
        /// The job's.
        got: u64,
    },
    /// Too many live jobs.
    #[error("{live} jobs are live, at most {max} are admitted; try again when some are done")]
    QueueFull {
        /// Live jobs.
        live: usize,
        /// The bound.
        max: usize,
    },
    /// The requester has too many live jobs.
    #[error("{live} jobs of this requester are live, at most {max} are admitted; wait for some")]
    RequesterFull {
        /// Its live jobs.
        live: usize,
        /// The bound.
        max: usize,
    },
    /// Too many blobs that no job names.
    #[error("{max} blobs wait for a job that names them; submit the jobs first")]
    TooManyBlobs {
        /// The bound.
        max: usize,
    },
    /// The blob has another length than before.
    #[error("a blob of {known} is stored under this digest, not one of {got}")]
    BlobLength {
        /// The stored length.
        known: ByteCount,
        /// The length given.
        got: ByteCount,
    },
    /// No such job.
    #[error("no job {0}")]
    UnknownJob(JobId),
    /// Somebody else's job.
    #[error("job {0} belongs to another requester")]
    NotYours(JobId),
    /// A contract job is cancelled on its chain.
    #[error("job {0} has an escrow; cancel it at its TaskManager")]
    CancelOnChain(JobId),
    /// The job is past that point.
    #[error("job {job} is {state}; that is no longer possible")]
    JobBeyond {
        /// The job.
        job: JobId,
        /// Its state.
        state: JobStateKind,
    },
    /// The chain's word is about another contract than the job's.
    #[error("job {0} was not created by the contract that is said to have expired it")]
    WrongContract(JobId),
    /// No such task.
    #[error("no task {0}")]
    UnknownTask(TaskId),
    /// The lease was never granted to this prover.
    #[error("task {0} was never leased to this prover under this token")]
    UnknownLease(TaskId),
    /// The lease passed on.
    #[error("the lease of task {0} is no longer yours; stop working on it")]
    StaleLease(TaskId),
    /// The connection was replaced by a newer one, or never registered.
    #[error("this connection of {0} is not registered; connect and register again")]
    StaleSession(Address),
    /// A registration is outside the bounds.
    #[error("{what} must be 1 to {max}, got {got}")]
    BadRegistration {
        /// Which part.
        what: &'static str,
        /// The most admitted.
        max: u64,
        /// What was registered.
        got: u64,
    },
    /// Too many provers.
    #[error("{max} provers are connected, no more are admitted; try another dispatcher")]
    TooManyProvers {
        /// The bound.
        max: usize,
    },
    /// The proof is longer than its job admits.
    #[error("proof has {got}, its job admits {max}")]
    ProofTooLarge {
        /// The job's limit.
        max: ByteCount,
        /// The proof's length.
        got: ByteCount,
    },
    /// No live epoch has this operator.
    #[error("{0} is a member of no live epoch; register, bond and wait for the next snapshot")]
    NotInEpoch(Address),
    /// The table is of another network.
    #[error("epoch table is of home chain {got}, this network's is {expected}")]
    WrongTable {
        /// This network's home chain.
        expected: ChainId,
        /// The table's.
        got: ChainId,
    },
    /// Two tables claim one number.
    #[error("two different tables claim epoch {0}; the home chain was reorganised beyond finality")]
    EpochConflict(EpochNumber),
    /// No such statement.
    #[error("no statement {0}")]
    UnknownStatement(StatementDigest),
    /// The epoch was not asked.
    #[error("statement {statement} is not voted on in epoch {epoch}")]
    NoSuchRound {
        /// The statement.
        statement: StatementDigest,
        /// The epoch.
        epoch: EpochNumber,
    },
    /// An invalid vote without a segment of the statement.
    #[error("an invalid vote names its first bad segment, below {num_segments}")]
    BadDetail {
        /// Segments of the statement.
        num_segments: u32,
    },
    /// The vote or attestation names another table or batch than the one it is for.
    #[error("{0}")]
    Miscounted(String),
    /// No such batch.
    #[error("no batch {0}")]
    UnknownBatch(BatchRoot),
    /// The refused positions are not in the batch.
    #[error("a refusal names 1 to {leaves} distinct leaves of the batch")]
    BadPositions {
        /// Leaves of the batch.
        leaves: u32,
    },
    /// No such certificate.
    #[error("no certificate {0}")]
    UnknownCertificate(CertificateId),
    /// The oracle speaks for another chain.
    #[error("the submission is for chain {expected}, the oracle serves {got}")]
    WrongChain {
        /// The submission's.
        expected: ChainId,
        /// The oracle's.
        got: ChainId,
    },
    /// No oracle, or a submission that is not owed.
    #[error("job {0} owes no settlement")]
    NoSettlement(JobId),
    /// The assembled certificate does not verify.
    #[error("the certificate of batch {root} does not verify: {source}")]
    BrokenCertificate {
        /// The batch.
        root: BatchRoot,
        /// Why.
        source: CertificateError,
    },
    /// A bug: a decision contradicts the state.
    #[error("decision refused by the state: {0}")]
    Contradiction(#[from] EvolveError),
}

impl Refusal {
    /// What follows for the sender.
    #[must_use]
    pub const fn consequence(&self) -> Consequence {
        match self {
            Self::QueueFull { .. }
            | Self::RequesterFull { .. }
            | Self::TooManyBlobs { .. }
            | Self::TooManyProvers { .. }
            | Self::JobBeyond { .. }
            | Self::StaleLease(_)
            | Self::StaleSession(_)
            | Self::NoSuchRound { .. }
            | Self::UnknownBatch(_)
            | Self::NotInEpoch(_)
            | Self::NoSettlement(_)
            | Self::UnknownTask(_) => Consequence::Ignore,
            Self::UnknownLease(_)
            | Self::BadDetail { .. }
            | Self::BadPositions { .. }
            | Self::Miscounted(_)
            | Self::ProofTooLarge { .. } => Consequence::Penalize,
            Self::EpochConflict(_) | Self::BrokenCertificate { .. } | Self::Contradiction(_) => {
                Consequence::Halt
            }
            Self::NonceUsed { .. }
            | Self::WrongOrigin
            | Self::WrongHome { .. }
            | Self::UnknownTarget { .. }
            | Self::UnsupportedMode(_)
            | Self::DeadlinePassed { .. }
            | Self::LimitOutOfRange { .. }
            | Self::BlobLength { .. }
            | Self::UnknownJob(_)
            | Self::NotYours(_)
            | Self::CancelOnChain(_)
            | Self::WrongContract(_)
            | Self::BadRegistration { .. }
            | Self::WrongTable { .. }
            | Self::UnknownStatement(_)
            | Self::UnknownCertificate(_)
            | Self::WrongChain { .. } => Consequence::Reject,
        }
    }
}
