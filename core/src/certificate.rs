//! Certificates: a batch, who of an epoch attested it, and proof of that which anyone can check
//! offline.
//!
//! Verification recomputes everything that can be: the root from the leaves, the signers' key from
//! the table without the non-signers, the stake; it binds the supplied G2 key and the signature in
//! one pairing check, exactly as the contract does. What it cannot do alone is to say that the table
//! is the real one: that takes a digest from a source that the reader trusts ([`TrustedEpoch`]).

pub mod json;

use borsh::{BorshDeserialize, BorshSerialize};
use thiserror::Error;

use crate::batch::{Batch, BatchError, BatchLeaf, is_about};
use crate::crypto::bls::{
    BlsError, BlsMessage, PublicKeyG1, PublicKeyG2, Signature, verify_aggregate,
};
use crate::crypto::hash::{AbiWords, HashedText};
use crate::epoch::{EpochKeys, EpochTable, MemberSet};
use crate::ids::{
    BatchRoot, BlockHash, BlockNumber, CertificateId, ChainContract, ChainId, EpochNumber, JobId,
    MemberIndex, StatementDigest, TableDigest,
};
use crate::job::JobSpec;
use crate::quorum::{AttestationTally, is_quorum};
use crate::statement::{SegmentRecord, SegmentsError, Statement, Verdict, segments_root};
use crate::units::Stake;
use crate::vote::Attestation;

/// Type string of the certificate id.
pub static CERTIFICATE_TYPE: HashedText = HashedText::new(
    "ProofgridCertificate(uint64 targetChain,\
address targetContract,uint64 epoch,bytes32 tableDigest,bytes32 root,uint32 count)",
);

/// Why a certificate or a job's evidence was refused. Each variant names the field at fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CertificateError {
    /// The supplied table is not the one that the reader trusts.
    #[error("table: the epoch table has digest {got}, the trusted one is {trusted}")]
    Untrusted {
        /// The digest that the reader trusts.
        trusted: TableDigest,
        /// The digest of the supplied table.
        got: TableDigest,
    },
    /// The certificate names another table than the one supplied.
    #[error("table: the certificate names table {named}, the supplied one is {got}")]
    Table {
        /// The digest in the certificate.
        named: TableDigest,
        /// The digest of the supplied table.
        got: TableDigest,
    },
    /// The certificate names another epoch than its table.
    #[error("epoch: the certificate names epoch {named}, its table is of epoch {got}")]
    Epoch {
        /// The epoch in the certificate.
        named: EpochNumber,
        /// The table's epoch.
        got: EpochNumber,
    },
    /// The certificate names another snapshot than its table.
    #[error("snapshot_block or snapshot_hash: not those of the epoch table")]
    Snapshot,
    /// The leaves are not a batch.
    #[error("leaves: {0}")]
    Leaves(#[from] BatchError),
    /// The number of leaves is not the one stated.
    #[error("count: states {stated} leaves, there are {got}")]
    Count {
        /// The number in the certificate.
        stated: u32,
        /// The number of leaves.
        got: u32,
    },
    /// The leaves have another root.
    #[error("root: states {stated}, the leaves have {got}")]
    Root {
        /// The root in the certificate.
        stated: BatchRoot,
        /// The root of the leaves.
        got: BatchRoot,
    },
    /// The non-signers are not strictly ascending positions in the table.
    #[error("non_signers: {index} is not above the one before it or not in the table")]
    NonSigners {
        /// The position at fault.
        index: MemberIndex,
    },
    /// Too little stake signed.
    #[error("non_signers: {signed} of {total} signed, two thirds are needed")]
    NoQuorum {
        /// Stake of the signers.
        signed: Stake,
        /// Stake of the epoch.
        total: Stake,
    },
    /// Signature and keys do not fit the attestation.
    #[error("signature or signer_key: {0}")]
    Signature(#[from] BlsError),
    /// The certificate is assembled from attestations of another batch.
    #[error("attestations: they are not about this batch")]
    OtherBatch,
    /// The job settles elsewhere or has another home.
    #[error("job: its home chain or target is not the certificate's")]
    OtherTarget,
    /// The statement is not about the job.
    #[error("statement: job, program or claim are not those of job {job}")]
    OtherJob {
        /// The job's id, recomputed.
        job: JobId,
    },
    /// The number of segment records is not the one stated.
    #[error("segments: the statement states {stated} records, there are {got}")]
    SegmentCount {
        /// The number in the statement.
        stated: u32,
        /// The number of records.
        got: usize,
    },
    /// The records are not those of the statement.
    #[error("segments: the records do not have the statement's root")]
    SegmentsRoot,
    /// The records have no root.
    #[error(transparent)]
    Segments(#[from] SegmentsError),
    /// The job's statement is not in the batch.
    #[error("leaves: statement {statement} is not among them")]
    NotInBatch {
        /// The statement, recomputed.
        statement: StatementDigest,
    },
}

/// What the reader knows about the epoch table from a source of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrustedEpoch {
    /// The table with this digest is the real one.
    Digest(TableDigest),
    /// Nothing: the certificate can be consistent, but its table is not anchored.
    NotAnchored,
}

/// The certificate of one batch.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Certificate {
    /// The chain and `ProofRegistry` that it is for.
    pub target: ChainContract,
    /// The epoch whose stake signed.
    pub epoch: EpochNumber,
    /// Its table.
    pub table: TableDigest,
    /// The block that the table's stakes were read at.
    pub snapshot_block: BlockNumber,
    /// That block's hash.
    pub snapshot_hash: BlockHash,
    /// Root over the leaves.
    pub root: BatchRoot,
    /// Number of leaves.
    pub count: u32,
    /// The statements and verdicts, strictly ascending by statement digest.
    pub leaves: Vec<BatchLeaf>,
    /// Positions in the table of those who did not sign, strictly ascending.
    pub non_signers: Vec<MemberIndex>,
    /// The sum of the signatures.
    pub signature: Signature,
    /// The sum of the signers' keys in G2.
    pub signer_key: PublicKeyG2,
}

impl Certificate {
    /// Puts a batch and its attestations together. The result is not verified; the caller does that
    /// once with [`Self::verify`] before it hands it out.
    ///
    /// # Errors
    /// When the attestations are of another batch or epoch, too few, or cancel out.
    pub fn assemble(
        keys: &EpochKeys,
        batch: &Batch,
        tally: &AttestationTally,
    ) -> Result<Self, CertificateError> {
        let (table, attestation) = (keys.table(), *tally.attestation());
        if (attestation.root, attestation.count) != (batch.root(), batch.count()) {
            return Err(CertificateError::OtherBatch);
        }
        if attestation.table != table.digest() {
            let (named, got) = (attestation.table, table.digest());
            return Err(CertificateError::Table { named, got });
        }
        if !tally.is_complete() {
            let (signed, total) = (tally.signed(), table.total());
            return Err(CertificateError::NoQuorum { signed, total });
        }
        let signatures = tally.attestations().map(|verified| &verified.signed().signature);
        let signers = tally.signers();
        let signer_keys = signers.iter().filter_map(|index| keys.key(index)).collect::<Vec<_>>();
        Ok(Self {
            target: attestation.target,
            epoch: attestation.epoch,
            table: attestation.table,
            snapshot_block: table.snapshot_block(),
            snapshot_hash: table.snapshot_hash(),
            root: attestation.root,
            count: attestation.count,
            leaves: batch.leaves().to_vec(),
            non_signers: table.others(&signers),
            signature: Signature::aggregate(signatures)?,
            signer_key: PublicKeyG2::aggregate(signer_keys)?,
        })
    }

    /// What the signers signed.
    #[must_use]
    pub const fn attestation(&self) -> Attestation {
        Attestation {
            target: self.target,
            epoch: self.epoch,
            table: self.table,
            root: self.root,
            count: self.count,
        }
    }

    /// The certificate's identity; who signed is no part of it.
    #[must_use]
    pub fn id(&self) -> CertificateId {
        certificate_id(&self.attestation())
    }

    /// Checks everything about the certificate against its epoch's table; about 3 ms.
    ///
    /// # Errors
    /// When the table is not the trusted or the named one, or any field does not fit.
    pub fn verify(
        &self,
        table: &EpochTable,
        trust: TrustedEpoch,
    ) -> Result<VerifiedCertificate, CertificateError> {
        self.check_table(table, trust)?;
        let batch = self.check_batch()?;
        let (signers, signer_key) = self.check_signers(table)?;
        let signed = table.stake_of(&signers);
        if !is_quorum(signed, table.total()) {
            return Err(CertificateError::NoQuorum { signed, total: table.total() });
        }
        let message = BlsMessage::Attest(self.attestation());
        verify_aggregate(&message, &signer_key, &self.signer_key, &self.signature)?;
        Ok(VerifiedCertificate {
            id: self.id(),
            target: self.target,
            home_chain: table.network().home_chain,
            trust,
            batch,
            signers,
            signed,
            total: table.total(),
        })
    }

    fn check_table(&self, table: &EpochTable, trust: TrustedEpoch) -> Result<(), CertificateError> {
        let got = table.digest();
        if let TrustedEpoch::Digest(trusted) = trust
            && trusted != got
        {
            return Err(CertificateError::Untrusted { trusted, got });
        }
        if self.table != got {
            return Err(CertificateError::Table { named: self.table, got });
        }
        if self.epoch != table.epoch() {
            return Err(CertificateError::Epoch { named: self.epoch, got: table.epoch() });
        }
        if (self.snapshot_block, self.snapshot_hash)
            != (table.snapshot_block(), table.snapshot_hash())
        {
            return Err(CertificateError::Snapshot);
        }
        Ok(())
    }

    fn check_batch(&self) -> Result<Batch, CertificateError> {
        let batch = Batch::new(self.leaves.clone())?;
        if self.count != batch.count() {
            return Err(CertificateError::Count { stated: self.count, got: batch.count() });
        }
        if self.root != batch.root() {
            return Err(CertificateError::Root { stated: self.root, got: batch.root() });
        }
        Ok(batch)
    }

    /// The signers and the sum of their G1 keys: the table without the non-signers.
    fn check_signers(
        &self,
        table: &EpochTable,
    ) -> Result<(MemberSet, PublicKeyG1), CertificateError> {
        let mut signers: MemberSet = table.indices().collect();
        let mut absent = Vec::with_capacity(self.non_signers.len());
        let mut last: Option<MemberIndex> = None;
        for index in self.non_signers.iter().copied() {
            let member = table.member(index).filter(|_| last.is_none_or(|last| index > last));
            absent.push(&member.ok_or(CertificateError::NonSigners { index })?.key);
            signers.remove(index);
            last = Some(index);
        }
        if signers.is_empty() {
            let total = table.total();
            return Err(CertificateError::NoQuorum { signed: Stake::ZERO, total });
        }
        Ok((signers, table.aggregate().without(absent)?))
    }
}

/// `keccak256(abi.encode(CERTIFICATE_TYPEHASH, target, epoch, table, root, count))`.
#[must_use]
pub fn certificate_id(attestation: &Attestation) -> CertificateId {
    let words = AbiWords::typed(&CERTIFICATE_TYPE)
        .uint(attestation.target.chain.get())
        .address(&attestation.target.contract)
        .uint(attestation.epoch.get())
        .word(attestation.table.as_bytes())
        .word(attestation.root.as_bytes())
        .uint(u64::from(attestation.count));
    CertificateId::from_bytes(words.digest())
}

/// A certificate that holds; only [`Certificate::verify`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedCertificate {
    id: CertificateId,
    target: ChainContract,
    home_chain: ChainId,
    trust: TrustedEpoch,
    batch: Batch,
    signers: MemberSet,
    signed: Stake,
    total: Stake,
}

impl VerifiedCertificate {
    /// The certificate's identity.
    #[must_use]
    pub const fn id(&self) -> CertificateId {
        self.id
    }

    /// Where it goes.
    #[must_use]
    pub const fn target(&self) -> ChainContract {
        self.target
    }

    /// What the table's authenticity rests on. With [`TrustedEpoch::NotAnchored`] the certificate
    /// says only that somebody's keys signed.
    #[must_use]
    pub const fn trust(&self) -> TrustedEpoch {
        self.trust
    }

    /// The batch with its tree.
    #[must_use]
    pub const fn batch(&self) -> &Batch {
        &self.batch
    }

    /// Who signed.
    #[must_use]
    pub const fn signers(&self) -> &MemberSet {
        &self.signers
    }

    /// The signers' stake.
    #[must_use]
    pub const fn signed(&self) -> Stake {
        self.signed
    }

    /// The epoch's stake.
    #[must_use]
    pub const fn total(&self) -> Stake {
        self.total
    }
}

/// A job with its statement and records: what ties a job to a leaf of a certificate.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct JobEvidence {
    /// The job.
    pub job: JobSpec,
    /// The statement that was voted on.
    pub statement: Statement,
    /// Its segment records, by index.
    pub segments: Vec<SegmentRecord>,
}

/// What a certificate says about one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedJob {
    /// The job.
    pub job: JobId,
    /// Its statement.
    pub statement: StatementDigest,
    /// The verdict that the epoch's stake signed.
    pub verdict: Verdict,
    /// The leaf's position in the batch.
    pub leaf_index: u32,
    /// The leaf's path, for `settle`.
    pub path: Vec<[u8; 32]>,
}

impl JobEvidence {
    /// Recomputes job id, segments root and statement digest and finds the statement in the batch.
    ///
    /// # Errors
    /// When anything does not fit, or the statement is not in the batch.
    pub fn verify(
        &self,
        certificate: &VerifiedCertificate,
    ) -> Result<VerifiedJob, CertificateError> {
        let job = self.job.id();
        if (self.job.target, self.job.home_chain) != (certificate.target, certificate.home_chain) {
            return Err(CertificateError::OtherTarget);
        }
        if !is_about(&self.statement, &self.job) {
            return Err(CertificateError::OtherJob { job });
        }
        let (stated, got) = (self.statement.num_segments, self.segments.len());
        if usize::try_from(stated) != Ok(got) {
            return Err(CertificateError::SegmentCount { stated, got });
        }
        if segments_root(&self.segments)? != self.statement.segments_root {
            return Err(CertificateError::SegmentsRoot);
        }
        let statement = self.statement.digest();
        let missing = CertificateError::NotInBatch { statement };
        let (leaf_index, leaf) = certificate.batch.find(statement).ok_or(missing)?;
        let path = certificate.batch.path(leaf_index).map_err(BatchError::from)?;
        Ok(VerifiedJob { job, statement, verdict: leaf.verdict, leaf_index, path })
    }
}

/// A certificate together with the evidence of the job that it was asked for: what a file holds.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct JobCertificate {
    /// The batch's certificate.
    pub certificate: Certificate,
    /// The job in it.
    pub evidence: JobEvidence,
}

impl JobCertificate {
    /// Checks the certificate, then the job in it.
    ///
    /// # Errors
    /// As [`Certificate::verify`] and [`JobEvidence::verify`].
    pub fn verify(
        &self,
        table: &EpochTable,
        trust: TrustedEpoch,
    ) -> Result<(VerifiedCertificate, VerifiedJob), CertificateError> {
        let certificate = self.certificate.verify(table, trust)?;
        let job = self.evidence.verify(&certificate)?;
        Ok((certificate, job))
    }
}

#[cfg(test)]
mod tests;
