//! Why an input was refused, and what follows from it for whoever sent it.

use thiserror::Error;

use crate::certificate::CertificateError;
use crate::ids::{
    Address, BatchRoot, CertificateId, ChainId, EpochNumber, JobId, StatementDigest, TaskId,
};
use crate::job::Mode;
use crate::race::EntryError;
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
    #[error(
        "the job's origin is not where it came from; submit a direct job by a signed request, \
         create a contract job at its TaskManager"
    )]
    WrongOrigin,
    /// The job names another home.
    #[error("job names home chain {got}, this network's is {expected}; name and sign that one")]
    WrongHome {
        /// This network's.
        expected: ChainId,
        /// The job's.
        got: ChainId,
    },
    /// The job's target is not served.
    #[error(
        "no oracle of this network serves target chain {chain} contract {contract}; \
         choose one that GetNetwork lists"
    )]
    UnknownTarget {
        /// The chain.
        chain: ChainId,
        /// The contract.
        contract: Address,
    },
    /// The mode is not one of direct jobs.
    #[error("mode {} is for jobs of a TaskManager; submit with mode assigned", .0.name())]
    UnsupportedMode(Mode),
    /// The job cannot be raced for.
    #[error("{0}; create it in assigned mode")]
    NotRaceable(&'static str),
    /// A statement that is no entry of a race.
    #[error(transparent)]
    BadEntry(#[from] EntryError),
    /// An entry that a race does not take, or not now.
    #[error("job {job} does not take the entry: {why}")]
    EntryNotTaken {
        /// The job.
        job: JobId,
        /// Why, and what to do.
        why: String,
    },
    /// The chain's word is about a round that is not known, or has no room.
    #[error("round {round} of job {job} has no place for it; check the oracle's cursor")]
    NoRaceRound {
        /// The job.
        job: JobId,
        /// The round.
        round: u8,
    },
    /// The deadline is over.
    #[error("deadline {deadline} is over; submit with a later one")]
    DeadlinePassed {
        /// The job's deadline.
        deadline: UnixSeconds,
    },
    /// A limit of the job is outside what the network admits.
    #[error("{what} must be 1 to {max}, got {got}; submit with one in that range")]
    LimitOutOfRange {
        /// Which limit.
        what: &'static str,
        /// The most admitted.
        max: u64,
        /// The job's.
        got: u64,
    },
    /// A sequence orders the jobs of a stream; outside one it has no meaning.
    #[error("sequence {0} without a stream; name a stream above 0, or sequence 0")]
    SequenceWithoutStream(u64),
    /// Too many live jobs.
    #[error("{live} jobs are live, at most {max} are admitted; try again when some are done")]
    QueueFull {
        /// Live jobs.
        live: usize,
        /// The bound.
        max: usize,
    },
    /// Too many jobs that are over and not forgotten yet.
    #[error("{known} jobs are kept, at most {max} are; try again when old ones are forgotten")]
    TooManyJobs {
        /// Jobs that are known.
        known: usize,
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
    #[error("a blob of {known} is stored under this digest, not one of {got}; check the bytes")]
    BlobLength {
        /// The stored length.
        known: ByteCount,
        /// The length given.
        got: ByteCount,
    },
    /// No such job.
    #[error("no job {0}; check the id, or list your jobs")]
    UnknownJob(JobId),
    /// Somebody else's job.
    #[error("job {0} belongs to another requester; sign with the key that submitted it")]
    NotYours(JobId),
    /// A contract job is cancelled on its chain.
    #[error("job {0} has an escrow; cancel it at its TaskManager")]
    CancelOnChain(JobId),
    /// The job is past that point.
    #[error("job {job} is {state} by now, which rules that out; watch the job for what follows")]
    JobBeyond {
        /// The job.
        job: JobId,
        /// Its state.
        state: JobStateKind,
    },
    /// The chain's word is about another contract than the job's.
    #[error(
        "job {0} was not created by the contract that is said to have expired it; \
         check the oracle's TaskManager address"
    )]
    WrongContract(JobId),
    /// No such task.
    #[error("no task {0}; explain its job for the ids")]
    UnknownTask(TaskId),
    /// The lease was never granted to this prover.
    #[error(
        "task {0} was never leased to this prover under this token; \
         drop it and work on what is assigned"
    )]
    UnknownLease(TaskId),
    /// The lease passed on.
    #[error("the lease of task {0} is no longer yours; stop working on it")]
    StaleLease(TaskId),
    /// The connection was replaced by a newer one, or never registered.
    #[error("this connection of {0} is not registered; connect and register again")]
    StaleSession(Address),
    /// A registration is outside the bounds.
    #[error("{what} must be 1 to {max}, got {got}; register again with one in that range")]
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
    #[error("proof has {got}, its job admits {max}; drop it, the task goes to another try")]
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
    #[error(
        "epoch table is of home chain {got}, this network's is {expected}; \
         point the oracle at the right chain"
    )]
    WrongTable {
        /// This network's home chain.
        expected: ChainId,
        /// The table's.
        got: ChainId,
    },
    /// Two tables claim one number.
    #[error(
        "two different tables claim epoch {0}, so the home chain was reorganised beyond finality \
         or an oracle lies; stop, compare the oracle's RPC with others, keep the journal"
    )]
    EpochConflict(EpochNumber),
    /// An epoch whose table is not here yet.
    #[error("the table of epoch {0} is not known yet; report it first")]
    UnknownEpoch(EpochNumber),
    /// No such statement.
    #[error("no statement {0}; answer only what this dispatcher offered")]
    UnknownStatement(StatementDigest),
    /// The epoch was not asked.
    #[error(
        "statement {statement} is not voted on in epoch {epoch}; \
         vote in the epoch that its offer names"
    )]
    NoSuchRound {
        /// The statement.
        statement: StatementDigest,
        /// The epoch.
        epoch: EpochNumber,
    },
    /// A vote that was opened before anybody may: the commit set does not stand yet.
    #[error(
        "votes on statement {statement} in epoch {epoch} are still sealed; commit, and open the \
         vote when the signed commit set is there"
    )]
    StillSealed {
        /// The statement.
        statement: StatementDigest,
        /// The epoch.
        epoch: EpochNumber,
    },
    /// A second, different commitment of one member.
    #[error(
        "another commitment to a vote on statement {statement} in epoch {epoch} stands; \
         a verifier commits once, check that one process alone uses its key and vote log"
    )]
    CommittedOtherwise {
        /// The statement.
        statement: StatementDigest,
        /// The epoch.
        epoch: EpochNumber,
    },
    /// An invalid vote without a segment of the statement.
    #[error(
        "an invalid vote names no bad segment, or one that is not there; \
         name the first bad one, below {num_segments}"
    )]
    BadDetail {
        /// Segments of the statement.
        num_segments: u32,
    },
    /// The vote or attestation names another table or batch than the one it is for.
    #[error("{0}; sign what the offer names")]
    Miscounted(String),
    /// No such batch.
    #[error("no batch {0}; answer only what this dispatcher asks to attest")]
    UnknownBatch(BatchRoot),
    /// The refused positions are not in the batch.
    #[error(
        "a refused batch names positions that are not its own or not in order; \
         name 1 to {leaves} distinct leaves, ascending"
    )]
    BadPositions {
        /// Leaves of the batch.
        leaves: u32,
    },
    /// No such certificate.
    #[error("no certificate {0}; report only what this dispatcher handed out")]
    UnknownCertificate(CertificateId),
    /// The oracle speaks for another chain.
    #[error(
        "the submission is for chain {expected}, the oracle serves {got}; \
         report what was handed to this oracle"
    )]
    WrongChain {
        /// The submission's.
        expected: ChainId,
        /// The oracle's.
        got: ChainId,
    },
    /// No oracle, or a submission that is not owed.
    #[error(
        "job {0} owes no settlement, it is settled or is no contract job; report nothing for it"
    )]
    NoSettlement(JobId),
    /// The assembled certificate does not verify.
    #[error(
        "the certificate of batch {root} does not verify: {source}; \
         the dispatcher stops before it sends it: keep the journal and report this"
    )]
    BrokenCertificate {
        /// The batch.
        root: BatchRoot,
        /// Why.
        source: CertificateError,
    },
    /// A bug: a decision contradicts the state.
    #[error(
        "a decision contradicts the state: {0}; \
         the dispatcher stops before it does harm: keep the journal and report this"
    )]
    Contradiction(#[from] EvolveError),
}

impl Refusal {
    /// What follows for the sender.
    #[must_use]
    pub const fn consequence(&self) -> Consequence {
        match self {
            Self::QueueFull { .. }
            | Self::TooManyJobs { .. }
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
            | Self::UnknownEpoch(_)
            | Self::EntryNotTaken { .. }
            | Self::UnknownTask(_) => Consequence::Ignore,
            Self::UnknownLease(_)
            | Self::BadDetail { .. }
            | Self::BadPositions { .. }
            | Self::StillSealed { .. }
            | Self::CommittedOtherwise { .. }
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
            | Self::NotRaceable(_)
            | Self::BadEntry(_)
            | Self::NoRaceRound { .. }
            | Self::DeadlinePassed { .. }
            | Self::LimitOutOfRange { .. }
            | Self::SequenceWithoutStream(_)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Address;

    /// One of every variant.
    fn every_refusal() -> Vec<Refusal> {
        let (job, task) = (JobId::ZERO, TaskId::ZERO);
        let (root, statement) = (BatchRoot::ZERO, StatementDigest::ZERO);
        let (chain, other) = (ChainId::new(1), ChainId::new(2));
        let (few, many) = (ByteCount::new(1), ByteCount::new(2));
        let (contract, what) = (Address::ZERO, "slots");
        let source = CertificateError::OtherBatch;
        vec![
            Refusal::NonceUsed { existing: job },
            Refusal::WrongOrigin,
            Refusal::WrongHome { expected: chain, got: other },
            Refusal::UnknownTarget { chain, contract },
            Refusal::UnsupportedMode(Mode::Race),
            Refusal::NotRaceable("its program is not bound to its prover"),
            Refusal::BadEntry(EntryError::OtherStatement),
            Refusal::EntryNotTaken { job, why: "no round is open; wait for one".into() },
            Refusal::NoRaceRound { job, round: 1 },
            Refusal::DeadlinePassed { deadline: UnixSeconds::new(1) },
            Refusal::LimitOutOfRange { what, max: 1, got: 2 },
            Refusal::SequenceWithoutStream(1),
            Refusal::QueueFull { live: 1, max: 1 },
            Refusal::TooManyJobs { known: 1, max: 1 },
            Refusal::RequesterFull { live: 1, max: 1 },
            Refusal::TooManyBlobs { max: 1 },
            Refusal::BlobLength { known: few, got: many },
            Refusal::UnknownJob(job),
            Refusal::NotYours(job),
            Refusal::CancelOnChain(job),
            Refusal::JobBeyond { job, state: JobStateKind::Settled },
            Refusal::WrongContract(job),
            Refusal::UnknownTask(task),
            Refusal::UnknownLease(task),
            Refusal::StaleLease(task),
            Refusal::StaleSession(contract),
            Refusal::BadRegistration { what, max: 1, got: 2 },
            Refusal::TooManyProvers { max: 1 },
            Refusal::ProofTooLarge { max: few, got: many },
            Refusal::NotInEpoch(contract),
            Refusal::WrongTable { expected: chain, got: other },
            Refusal::EpochConflict(EpochNumber::new(1)),
            Refusal::UnknownEpoch(EpochNumber::new(1)),
            Refusal::UnknownStatement(statement),
            Refusal::NoSuchRound { statement, epoch: EpochNumber::new(1) },
            Refusal::StillSealed { statement, epoch: EpochNumber::new(1) },
            Refusal::CommittedOtherwise { statement, epoch: EpochNumber::new(1) },
            Refusal::BadDetail { num_segments: 1 },
            Refusal::Miscounted("the vote names another table".into()),
            Refusal::UnknownBatch(root),
            Refusal::BadPositions { leaves: 1 },
            Refusal::UnknownCertificate(CertificateId::ZERO),
            Refusal::WrongChain { expected: chain, got: other },
            Refusal::NoSettlement(job),
            Refusal::BrokenCertificate { root, source },
            Refusal::Contradiction(EvolveError::UnknownJob(job)),
        ]
    }

    #[test]
    fn every_refusal_says_what_to_do() {
        for refusal in every_refusal() {
            let text = refusal.to_string();
            let advice = text.rsplit_once("; ").map(|(_, advice)| advice);
            assert!(advice.is_some_and(|advice| !advice.is_empty()), "{text}");
            assert!(!text.contains('\n') && !text.contains("  "), "{text}");
        }
    }
}
