//! What is voted on: segment records, the statement over them, and the verdict.
//!
//! A statement names no epoch, so that it can be voted on again under the next one. A proof's bytes
//! are never an identity: the statement digest is.

use borsh::{BorshDeserialize, BorshSerialize};
use thiserror::Error;

use crate::crypto::hash::{AbiWords, HashedText, keccak256_concat};
use crate::ids::{
    Address, BlobDigest, Claim, JobId, ManifestDigest, ProgramId, PublicValuesDigest, SegmentsRoot,
    StatementAttempt, StatementDigest, VkDigest, codes,
};
use crate::job::JobSpec;
use crate::merkle::{LEAF_PREFIX, MerkleError, MerkleTree};
use crate::units::WorkUnits;

/// What one proof covers.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SegmentRecord {
    /// Position among the job's segments, from 0.
    pub index: u32,
    /// First item of the input that it covers.
    pub first: u64,
    /// Number of items.
    pub count: u64,
    /// Verifying key that the proof was made for.
    pub vk: VkDigest,
    /// Digest of the proof's public values.
    pub public_values: PublicValuesDigest,
    /// Digest of the proof envelope's bytes. Never an identity: proofs can be re-randomised.
    pub proof: BlobDigest,
    /// Who is paid.
    pub prover: Address,
    /// What it is paid by.
    pub work_units: WorkUnits,
}

/// Type string of a segment record.
pub static SEGMENT_TYPE: HashedText = HashedText::new(
    "ProofgridSegment(uint32 index,uint64 first,uint64 count,\
bytes32 vkDigest,bytes32 publicValuesDigest,bytes32 proofDigest,address prover,uint64 workUnits)",
);
/// Type string of the statement digest.
pub static STATEMENT_TYPE: HashedText = HashedText::new(
    "ProofgridStatement(bytes32 job,uint32 statementAttempt,\
bytes32 programId,bytes32 manifest,bytes32 claim,uint32 numSegments,bytes32 segmentsRoot)",
);

/// Why records cannot be put under one root.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SegmentsError {
    /// A record is not at the position that it names.
    #[error("segment record at position {position} has index {index}; order the records by index")]
    Order {
        /// Where the record stands, from 0.
        position: usize,
        /// What it says.
        index: u32,
    },
    /// There are none or too many.
    #[error("segment records: {0}")]
    Tree(#[from] MerkleError),
}

impl SegmentRecord {
    /// The record's nine ABI words.
    #[must_use]
    pub fn canonical_bytes(&self) -> AbiWords {
        AbiWords::typed(&SEGMENT_TYPE)
            .uint(u64::from(self.index))
            .uint(self.first)
            .uint(self.count)
            .word(self.vk.as_bytes())
            .word(self.public_values.as_bytes())
            .word(self.proof.as_bytes())
            .address(&self.prover)
            .uint(self.work_units.get())
    }

    /// The record's leaf under the segments root.
    #[must_use]
    pub fn leaf(&self) -> [u8; 32] {
        keccak256_concat(&[&[LEAF_PREFIX], self.canonical_bytes().as_bytes()])
    }
}

/// The tree over the records, for paths to single ones.
///
/// # Errors
/// When there are none, too many, or one is not at the position that its index names.
pub fn segments_tree(records: &[SegmentRecord]) -> Result<MerkleTree, SegmentsError> {
    for (position, record) in records.iter().enumerate() {
        if usize::try_from(record.index) != Ok(position) {
            return Err(SegmentsError::Order { position, index: record.index });
        }
    }
    Ok(MerkleTree::new(records.iter().map(SegmentRecord::leaf).collect())?)
}

/// The root over the records in order of their index.
///
/// # Errors
/// As [`segments_tree`].
pub fn segments_root(records: &[SegmentRecord]) -> Result<SegmentsRoot, SegmentsError> {
    segments_tree(records).map(|tree| SegmentsRoot::from_bytes(tree.root()))
}

/// What the whole job says, over its ordered segment records.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Statement {
    /// The job.
    pub job: JobId,
    /// Which statement of the job.
    pub attempt: StatementAttempt,
    /// The program.
    pub program: ProgramId,
    /// The exact verifier build that judges it.
    pub manifest: ManifestDigest,
    /// Digest of the public values that the job expects.
    pub claim: Claim,
    /// Number of segment records under the root.
    pub num_segments: u32,
    /// Merkle root of the ordered records.
    pub segments_root: SegmentsRoot,
}

impl Statement {
    /// The statement of a job over its finished records.
    ///
    /// # Errors
    /// When the records have no root, see [`segments_root`].
    pub fn over(
        spec: &JobSpec,
        attempt: StatementAttempt,
        manifest: ManifestDigest,
        records: &[SegmentRecord],
    ) -> Result<Self, SegmentsError> {
        Self::of_job(spec.id(), spec, attempt, manifest, records)
    }

    /// As [`Self::over`], for a job whose id is known already.
    ///
    /// # Errors
    /// As [`Self::over`].
    pub fn of_job(
        job: JobId,
        spec: &JobSpec,
        attempt: StatementAttempt,
        manifest: ManifestDigest,
        records: &[SegmentRecord],
    ) -> Result<Self, SegmentsError> {
        let segments_root = segments_root(records)?;
        // The tree admits at most 65 536 leaves, so the count always fits.
        let num_segments = u32::try_from(records.len()).unwrap_or(u32::MAX);
        Ok(Self {
            job,
            attempt,
            program: spec.program,
            manifest,
            claim: spec.claim,
            num_segments,
            segments_root,
        })
    }

    /// The bytes whose Keccak-256 is the digest: eight ABI words.
    #[must_use]
    pub fn canonical_bytes(&self) -> AbiWords {
        AbiWords::typed(&STATEMENT_TYPE)
            .word(self.job.as_bytes())
            .uint(u64::from(self.attempt.get()))
            .word(self.program.as_bytes())
            .word(self.manifest.as_bytes())
            .word(self.claim.as_bytes())
            .uint(u64::from(self.num_segments))
            .word(self.segments_root.as_bytes())
    }

    /// What is voted on.
    #[must_use]
    pub fn digest(&self) -> StatementDigest {
        StatementDigest::from_bytes(self.canonical_bytes().digest())
    }
}

/// A completed judgement. Time-outs, kills and missing bytes are no verdict: they are abstentions.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub enum Verdict {
    /// Every segment verified and the claim fits.
    Valid,
    /// A completed refusal: shape, length, id, claim, algebra or a deterministic limit.
    Invalid,
}

codes!(Verdict, "verdict", { Valid = 1 "valid", Invalid = 2 "invalid" });

/// The job that a statement belongs to, with the records that its root commits to.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct OpenedStatement {
    /// The statement.
    pub statement: Statement,
    /// Its records, by index.
    pub records: Vec<SegmentRecord>,
}

impl OpenedStatement {
    /// The job.
    #[must_use]
    pub const fn job(&self) -> JobId {
        self.statement.job
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{job, opened, record};

    #[test]
    fn every_field_changes_the_statement_digest() {
        let base = opened(&job(1)).statement;
        let changes: [fn(&mut Statement); 7] = [
            |s| s.job = JobId::ZERO,
            |s| s.attempt = StatementAttempt::new(2),
            |s| s.program = ProgramId::ZERO,
            |s| s.manifest = ManifestDigest::ZERO,
            |s| s.claim = Claim::ZERO,
            |s| s.num_segments += 1,
            |s| s.segments_root = SegmentsRoot::ZERO,
        ];
        for (field, change) in changes.iter().enumerate() {
            let mut changed = base.clone();
            change(&mut changed);
            assert_ne!(changed.digest(), base.digest(), "field {field}");
        }
    }

    #[test]
    fn every_field_of_a_record_changes_the_root() {
        let records: Vec<_> = (0..3).map(record).collect();
        let base = segments_root(&records).unwrap();
        let changes: [fn(&mut SegmentRecord); 7] = [
            |r| r.first += 1,
            |r| r.count += 1,
            |r| r.vk = VkDigest::ZERO,
            |r| r.public_values = PublicValuesDigest::ZERO,
            |r| r.proof = BlobDigest::ZERO,
            |r| r.prover = Address::ZERO,
            |r| r.work_units = WorkUnits::new(1),
        ];
        for (field, change) in changes.iter().enumerate() {
            let mut changed = records.clone();
            change(&mut changed[1]);
            assert_ne!(segments_root(&changed).unwrap(), base, "field {field}");
        }
    }

    #[test]
    fn records_stand_in_order_without_gaps() {
        let order = |position, index| Err(SegmentsError::Order { position, index });
        assert_eq!(segments_root(&[record(1)]), order(0, 1));
        assert_eq!(segments_root(&[record(0), record(0)]), order(1, 0));
        assert_eq!(segments_root(&[record(0), record(2)]), order(1, 2));
        let none = SegmentsError::Tree(MerkleError::Count { got: 0 });
        assert_eq!(segments_root(&[]), Err(none));
    }
}
