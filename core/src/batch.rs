//! Batches: which statements are attested together, and the tree over them.
//!
//! The batcher takes only statements that have a vote quorum, of one epoch and one target, grouped
//! so that the voters common to all of them still hold two thirds: then one round of attestations
//! suffices. A batch that stays short is split by voter set, down to single statements, so that one
//! contested statement never sinks another. A canary cannot enter: the input type has no room for
//! one.

use std::collections::BTreeMap;
use std::io;

use borsh::{BorshDeserialize, BorshSerialize};
use thiserror::Error;

use crate::crypto::hash::keccak256_concat;
use crate::epoch::{EpochTable, MemberSet};
use crate::ids::{BatchRoot, ChainContract, EpochNumber, JobId, StatementDigest, TableDigest};
use crate::job::JobSpec;
use crate::limits::{BATCH_STATEMENTS_MAX, MERKLE_LEAVES_MAX};
use crate::merkle::{LEAF_PREFIX, MerkleError, MerkleTree};
use crate::quorum::{VoteQuorum, is_quorum};
use crate::statement::{OpenedStatement, Statement, Verdict};
use crate::vote::Attestation;

/// What verifiers are asked to vote on. They cannot tell the two apart; the batcher must.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Ballot {
    /// A job's own statement.
    Job(OpenedStatement),
    /// A second statement on a real job, made wrong on purpose to see who judges.
    Canary(OpenedStatement),
}

impl Ballot {
    /// What is voted on.
    #[must_use]
    pub const fn opened(&self) -> &OpenedStatement {
        match self {
            Self::Job(opened) | Self::Canary(opened) => opened,
        }
    }
}

/// Why something cannot be put into a batch.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BatchError {
    /// A canary is never certified.
    #[error("statement {statement} is a canary; it can be voted on, never certified")]
    Canary {
        /// The statement.
        statement: StatementDigest,
    },
    /// The statement is not about this job.
    #[error("statement {statement} is not about job {job}: job, program or claim differ")]
    OtherJob {
        /// The statement.
        statement: StatementDigest,
        /// The job.
        job: JobId,
    },
    /// The quorum is about another statement.
    #[error("the quorum is about statement {quorum}, not about {statement}")]
    OtherStatement {
        /// The statement.
        statement: StatementDigest,
        /// What the quorum is about.
        quorum: StatementDigest,
    },
    /// Not strictly ascending by statement digest.
    #[error("leaf {index} is not above the one before it; order the leaves, each statement once")]
    Order {
        /// The leaf's position.
        index: usize,
    },
    /// None or too many.
    #[error("batch: {0}")]
    Tree(#[from] MerkleError),
}

/// A job's statement: the only thing that a batch can be made of. There is no way from a canary to
/// a value of this type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct CertifiableStatement {
    statement: StatementDigest,
    job: JobId,
    target: ChainContract,
}

/// Whether a statement repeats what its job says.
pub(crate) fn is_about(statement: &Statement, spec: &JobSpec) -> bool {
    statement.job == spec.id() && statement.program == spec.program && statement.claim == spec.claim
}

impl CertifiableStatement {
    /// Takes the statement of a ballot on a job.
    ///
    /// # Errors
    /// When the ballot is a canary, or its statement is not about the job.
    pub fn from_ballot(spec: &JobSpec, ballot: &Ballot) -> Result<Self, BatchError> {
        let statement = ballot.opened().statement.digest();
        match ballot {
            Ballot::Canary(_) => Err(BatchError::Canary { statement }),
            Ballot::Job(opened) if is_about(&opened.statement, spec) => {
                Ok(Self { statement, job: opened.job(), target: spec.target })
            }
            Ballot::Job(_) => Err(BatchError::OtherJob { statement, job: spec.id() }),
        }
    }

    /// The statement's digest.
    #[must_use]
    pub const fn statement(&self) -> StatementDigest {
        self.statement
    }

    /// Its job.
    #[must_use]
    pub const fn job(&self) -> JobId {
        self.job
    }

    /// Where its certificate goes.
    #[must_use]
    pub const fn target(&self) -> ChainContract {
        self.target
    }
}

/// One statement of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct BatchLeaf {
    /// The statement.
    pub statement: StatementDigest,
    /// The verdict that has the quorum.
    pub verdict: Verdict,
}

impl BatchLeaf {
    /// `keccak256(0x00 || statementDigest || uint8(verdict))`.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        keccak256_concat(&[&[LEAF_PREFIX], self.statement.as_bytes(), &[self.verdict.code()]])
    }
}

/// The ordered leaves of a batch with the tree over them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    leaves: Vec<BatchLeaf>,
    tree: MerkleTree,
}

impl Batch {
    /// Builds the tree over leaves.
    ///
    /// # Errors
    /// When there are none or too many, or they are not strictly ascending by statement digest.
    pub fn new(leaves: Vec<BatchLeaf>) -> Result<Self, BatchError> {
        let mut last: Option<StatementDigest> = None;
        for (index, leaf) in leaves.iter().enumerate() {
            if last.is_some_and(|last| leaf.statement <= last) {
                return Err(BatchError::Order { index });
            }
            last = Some(leaf.statement);
        }
        let tree = MerkleTree::new(leaves.iter().map(BatchLeaf::hash).collect())?;
        Ok(Self { leaves, tree })
    }

    /// The root that is attested.
    #[must_use]
    pub const fn root(&self) -> BatchRoot {
        BatchRoot::from_bytes(self.tree.root())
    }

    /// Number of statements.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.tree.count()
    }

    /// The leaves, strictly ascending by statement digest.
    #[must_use]
    pub fn leaves(&self) -> &[BatchLeaf] {
        &self.leaves
    }

    /// Position and leaf of a statement, if it is in the batch.
    #[must_use]
    pub fn find(&self, statement: StatementDigest) -> Option<(u32, &BatchLeaf)> {
        let found = self.leaves.binary_search_by_key(&statement, |leaf| leaf.statement).ok()?;
        Some((u32::try_from(found).ok()?, self.leaves.get(found)?))
    }

    /// The path of a leaf, for `settle`.
    ///
    /// # Errors
    /// When there is no such leaf.
    pub fn path(&self, index: u32) -> Result<Vec<[u8; 32]>, MerkleError> {
        self.tree.path(index)
    }

    /// The positions where a verifier's own vote log says something else or nothing; it attests only
    /// if there are none.
    pub fn disagreements(
        &self,
        mut own: impl FnMut(&StatementDigest) -> Option<Verdict>,
    ) -> Vec<u32> {
        (0u32..)
            .zip(&self.leaves)
            .filter(|(_, leaf)| own(&leaf.statement) != Some(leaf.verdict))
            .map(|(index, _)| index)
            .collect()
    }
}

impl BorshSerialize for Batch {
    fn serialize<W: io::Write>(&self, writer: &mut W) -> io::Result<()> {
        self.leaves.serialize(writer)
    }
}

impl BorshDeserialize for Batch {
    /// Builds the tree again, as [`Batch::new`] does.
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        let leaves = Vec::deserialize_reader(reader)?;
        Self::new(leaves).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

/// A statement that may be batched: certifiable, and with a vote quorum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Candidate {
    statement: CertifiableStatement,
    quorum: VoteQuorum,
}

impl Candidate {
    /// Joins a statement and its quorum.
    ///
    /// # Errors
    /// When the quorum is about another statement.
    pub fn new(statement: CertifiableStatement, quorum: VoteQuorum) -> Result<Self, BatchError> {
        if statement.statement == quorum.statement() {
            Ok(Self { statement, quorum })
        } else {
            let (statement, quorum) = (statement.statement, quorum.statement());
            Err(BatchError::OtherStatement { statement, quorum })
        }
    }

    /// The statement.
    #[must_use]
    pub const fn statement(&self) -> &CertifiableStatement {
        &self.statement
    }

    /// Its quorum.
    #[must_use]
    pub const fn quorum(&self) -> &VoteQuorum {
        &self.quorum
    }

    const fn leaf(&self) -> BatchLeaf {
        BatchLeaf { statement: self.statement.statement, verdict: self.quorum.verdict() }
    }
}

/// A batch to be attested: statements of one epoch and target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchPlan {
    target: ChainContract,
    epoch: EpochNumber,
    table: TableDigest,
    /// Strictly ascending by statement digest; never empty.
    candidates: Vec<Candidate>,
    common: MemberSet,
    batch: Batch,
}

impl BatchPlan {
    /// Builds the plan over candidates that the caller has grouped: same target and table.
    fn of(mut candidates: Vec<Candidate>) -> Option<Self> {
        candidates.sort_by_key(|candidate| candidate.statement.statement);
        candidates.dedup_by_key(|candidate| candidate.statement.statement);
        let first = candidates.first()?;
        let (target, epoch, table) =
            (first.statement.target, first.quorum.epoch(), first.quorum.table());
        let common = common_voters(&candidates);
        let batch = Batch::new(candidates.iter().map(Candidate::leaf).collect()).ok()?;
        Some(Self { target, epoch, table, candidates, common, batch })
    }

    /// What the verifiers are asked to sign.
    #[must_use]
    pub const fn attestation(&self) -> Attestation {
        Attestation {
            target: self.target,
            epoch: self.epoch,
            table: self.table,
            root: self.batch.root(),
            count: self.batch.count(),
        }
    }

    /// Leaves and tree.
    #[must_use]
    pub const fn batch(&self) -> &Batch {
        &self.batch
    }

    /// The statements, strictly ascending by digest.
    #[must_use]
    pub fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// The members that voted for every leaf: those that can attest.
    #[must_use]
    pub const fn common_voters(&self) -> &MemberSet {
        &self.common
    }

    /// Splits a batch that stayed short of a quorum: one plan per set of voters, or two halves when
    /// all sets are equal. `None` for a single statement, which cannot be split.
    ///
    /// Every part is smaller than the whole, so repeated splitting ends at single statements.
    #[must_use]
    pub fn split(&self) -> Option<Vec<Self>> {
        if self.candidates.len() < 2 {
            return None;
        }
        let mut by_voters: BTreeMap<MemberSet, Vec<Candidate>> = BTreeMap::new();
        for candidate in &self.candidates {
            by_voters.entry(*candidate.quorum.voters()).or_default().push(*candidate);
        }
        let parts: Vec<Vec<Candidate>> = if by_voters.len() > 1 {
            by_voters.into_values().collect()
        } else {
            let half = self.candidates.len().div_ceil(2);
            self.candidates.chunks(half).map(<[Candidate]>::to_vec).collect()
        };
        Some(parts.into_iter().filter_map(Self::of).collect())
    }
}

fn common_voters(candidates: &[Candidate]) -> MemberSet {
    let mut sets = candidates.iter().map(|candidate| *candidate.quorum.voters());
    let first = sets.next().unwrap_or_default();
    sets.fold(first, |common, voters| common.intersection(&voters))
}

/// A batch being filled.
struct Group {
    target: ChainContract,
    common: MemberSet,
    candidates: Vec<Candidate>,
}

/// Groups candidates into batches, each of one target, of at most [`BATCH_STATEMENTS_MAX`]
/// statements, and with common voters that hold two thirds of the epoch's stake.
///
/// Candidates of another table than `table` are left out: they are planned with their own. A
/// statement given twice is taken once. The plan depends only on the set of candidates, not on
/// their order. O(candidates * batches).
#[must_use]
pub fn plan_batches(table: &EpochTable, candidates: &[Candidate]) -> Vec<BatchPlan> {
    let mut sorted: Vec<Candidate> = candidates
        .iter()
        .filter(|candidate| candidate.quorum.table() == table.digest())
        .copied()
        .collect();
    // Larger voter sets first: they leave a group the most room for those that follow.
    sorted.sort_by_key(|candidate| {
        let voters = table.stake_of(candidate.quorum.voters());
        (candidate.statement.target, std::cmp::Reverse(voters), candidate.statement.statement)
    });
    sorted.dedup_by_key(|candidate| candidate.statement.statement);
    let mut groups: Vec<Group> = Vec::new();
    for candidate in sorted {
        let (target, voters) = (candidate.statement.target, *candidate.quorum.voters());
        let fits = |group: &Group| {
            let stake = table.stake_of(&group.common.intersection(&voters));
            group.target == target
                && group.candidates.len() < BATCH_STATEMENTS_MAX
                && is_quorum(stake, table.total())
        };
        if let Some(group) = groups.iter_mut().find(|group| fits(group)) {
            group.common = group.common.intersection(&voters);
            group.candidates.push(candidate);
        } else {
            groups.push(Group { target, common: voters, candidates: vec![candidate] });
        }
    }
    groups.into_iter().filter_map(|group| BatchPlan::of(group.candidates)).collect()
}

const _: () = assert!(BATCH_STATEMENTS_MAX <= MERKLE_LEAVES_MAX, "a batch must fit a tree");

#[cfg(test)]
mod tests;
