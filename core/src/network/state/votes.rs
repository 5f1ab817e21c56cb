//! Statements before the verifiers, batches being attested, certificates being posted.

use std::collections::{BTreeMap, BTreeSet};

use borsh::{BorshDeserialize, BorshSerialize};

use crate::batch::Batch;
use crate::certificate::Certificate;
use crate::epoch::MemberSet;
use crate::ids::{
    Address, BatchRoot, CertificateId, ChainContract, EpochNumber, JobId, StatementDigest, TxHash,
};
use crate::network::fact::BatchClose;
use crate::network::input::{Inclusion, InvalidDetail};
use crate::quorum::{AttestationTally, Tally};
use crate::statement::OpenedStatement;
use crate::units::UnixMillis;
use crate::vote::VerifiedAttestation;

/// One epoch's votes on a statement. Votes of two epochs are never added.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Round {
    /// When the members were asked.
    pub opened_at: UnixMillis,
    /// The votes, verified singly, and the evidence.
    pub tally: Tally,
    /// What invalid votes name.
    pub details: BTreeMap<Address, InvalidDetail>,
    /// What stopped those who could not judge.
    pub abstentions: BTreeMap<Address, String>,
}

/// How far a statement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum StatementStage {
    /// No epoch's members were asked yet, or the last one's no longer count.
    Waiting,
    /// An epoch's members vote.
    Voting {
        /// The epoch.
        epoch: EpochNumber,
    },
    /// It has a quorum for valid and is to be batched.
    Pending {
        /// The epoch of the quorum.
        epoch: EpochNumber,
        /// Since when.
        since: UnixMillis,
        /// Rounds of attestation that it was in as the only statement.
        rounds: u32,
    },
    /// It is being attested.
    Batched {
        /// The batch.
        root: BatchRoot,
    },
    /// It is certified.
    Certified {
        /// The certificate.
        certificate: CertificateId,
    },
    /// It has a quorum for invalid.
    Refused,
    /// Its job ended.
    Closed,
}

/// A statement and its votes.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct StatementBook {
    /// The statement with its records.
    pub opened: OpenedStatement,
    /// Votes by epoch.
    pub rounds: BTreeMap<EpochNumber, Round>,
    /// How far it is.
    pub stage: StatementStage,
    /// Batches that it was ever in.
    pub batches: BTreeSet<BatchRoot>,
    /// Certificates that were ever made of it.
    pub certificates: BTreeSet<CertificateId>,
}

/// What is left of a forgotten job: whose votes are still evidence.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct EvidenceBook {
    /// When the job ended.
    pub ended_at: UnixMillis,
    /// Its statements, oldest first; none is decided on any more.
    pub statements: Vec<StatementDigest>,
}

/// How far a batch is.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum BatchStage {
    /// Verifiers are asked.
    Open,
    /// Ended without a certificate.
    Closed(BatchClose),
    /// Ended with one.
    Certified(CertificateId),
}

/// A batch and its attestations.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct BatchBook {
    /// Leaves and tree.
    pub batch: Batch,
    /// Where its certificate goes.
    pub target: ChainContract,
    /// The epoch that attests.
    pub epoch: EpochNumber,
    /// Members that voted for every leaf, when it was opened.
    pub common: MemberSet,
    /// Attestations and refusals.
    pub tally: AttestationTally,
    /// Members that answered, either way.
    pub answered: MemberSet,
    /// Leaves that members refused.
    pub refused: BTreeMap<Address, Vec<u32>>,
    /// Attestations of members that voted otherwise on a leaf: evidence, never counted.
    pub contradicting: BTreeMap<Address, VerifiedAttestation>,
    /// The first such attestation of each member in the earlier rounds of the same leaves.
    pub contradicted_before: BTreeMap<Address, VerifiedAttestation>,
    /// When it was opened.
    pub opened_at: UnixMillis,
    /// How often exactly this batch was opened.
    pub round: u32,
    /// How far it is.
    pub stage: BatchStage,
}

/// How far a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Posting {
    /// It is to be sent.
    Owed,
    /// It was broadcast.
    Sent {
        /// The transaction.
        tx: TxHash,
    },
    /// It is in a block.
    Included(Inclusion),
    /// It is final.
    Final(Inclusion),
    /// It will never be sent.
    Dropped,
}

/// A transaction that an oracle is to bring on-chain.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Submission {
    /// How far it is.
    pub posting: Posting,
    /// When that was noted.
    pub since: UnixMillis,
    /// Failures so far.
    pub failures: u32,
    /// The last failure.
    pub last_failure: Option<String>,
}

impl Submission {
    /// One that is to be sent.
    pub(super) const fn owed(since: UnixMillis) -> Self {
        Self { posting: Posting::Owed, since, failures: 0, last_failure: None }
    }

    /// Whether nothing remains to be done.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        matches!(self.posting, Posting::Final(_) | Posting::Dropped)
    }
}

/// A certificate and its way on-chain.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct CertificateBook {
    /// The certificate.
    pub certificate: Certificate,
    /// Its statements and their jobs, in the order of its leaves.
    pub statements: Vec<(StatementDigest, JobId)>,
    /// The `attest` transaction.
    pub submission: Submission,
    /// `settle` transactions of its contract jobs; they are owed once the certificate is in a block.
    pub settlements: BTreeMap<JobId, Submission>,
    /// When it was made.
    pub certified_at: UnixMillis,
}

impl CertificateBook {
    /// Whether nothing remains to be posted.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.submission.posting == Posting::Dropped
            || self.submission.is_over() && self.settlements.values().all(Submission::is_over)
    }
}
