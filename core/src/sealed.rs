//! Sealed votes: a verifier commits to its signed vote first and opens it when nobody can choose a
//! vote any more (`docs/protocol.md` section 2.1).
//!
//! A commitment hides the verdict behind a salt and binds the operator, so that what others
//! committed to cannot be repeated as one's own. A [`CommitSet`] is what a dispatcher closed the
//! commit phase with; it signs it, and a verifier opens its vote only to a set that holds its own
//! commitment. Nothing here decides when a phase ends: `network` does.

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use thiserror::Error;
use zeroize::Zeroize;

use crate::crypto::bls::BlsMessage;
use crate::crypto::hash::{AbiWords, HashedText, keccak256};
use crate::ids::{
    Address, CommitSetDigest, Commitment, EpochNumber, NetworkId, StatementDigest, TableDigest,
};
use crate::limits::{EPOCH_MEMBERS_MAX, SITTINGS_MAX};
use crate::vote::SignedVote;

/// Type string of a commitment; hashed, never signed.
pub static COMMITMENT_TYPE: HashedText = HashedText::new(
    "ProofgridCommitment(bytes32 vote,uint256 signatureX,uint256 signatureY,\
address operator,bytes32 salt)",
);
/// Type string of what a dispatcher signs about a commit set.
pub static COMMIT_SET_TYPE: HashedText = HashedText::new(
    "CommitSet(uint64 epoch,bytes32 tableDigest,bytes32 statementDigest,uint32 sitting,\
uint32 count,bytes32 commitments)",
);

/// What hides a verdict until its commitment is opened. Never printed, wiped when dropped.
#[derive(Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Salt([u8; 32]);

impl Salt {
    /// Takes 32 bytes of the caller's randomness.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes: for the message that opens the commitment, and for the vote log.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(redacted)")
    }
}

impl Drop for Salt {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// The commitment to a signed vote: `keccak256(abi.encode(COMMITMENT_TYPEHASH, vote, signature,
/// operator, salt))`, where `vote` is the digest that the signature is over and so carries chain,
/// epoch, table, statement and verdict.
#[must_use]
pub fn commitment_to(network: NetworkId, signed: &SignedVote, salt: &Salt) -> Commitment {
    let message = BlsMessage::Vote { network, vote: signed.vote };
    let words = AbiWords::typed(&COMMITMENT_TYPE)
        .word(&message.digest())
        .words(&signed.signature.to_bytes())
        .address(&signed.operator)
        .word(salt.as_bytes());
    Commitment::from_bytes(words.digest())
}

/// What a verifier sends while the commit phase is open. It needs no signature of its own: the
/// session is the operator's, and a set that holds another commitment than the operator's own is
/// opened to by nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SealedVote {
    /// Who commits.
    pub operator: Address,
    /// The epoch that the vote is for.
    pub epoch: EpochNumber,
    /// Its table.
    pub table: TableDigest,
    /// What is voted on.
    pub statement: StatementDigest,
    /// The commitment.
    pub commitment: Commitment,
}

/// Why commitments are no commit set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CommitSetError {
    /// Nobody, or more than an epoch has members.
    #[error("a commit set has 1 to {EPOCH_MEMBERS_MAX} commitments, got {got}")]
    Count {
        /// Commitments given.
        got: usize,
    },
    /// A vote has not as many sittings.
    #[error("a vote has sittings 0 to {SITTINGS_MAX}, this is {got}")]
    Sitting {
        /// The sitting named.
        got: u32,
    },
    /// Not strictly ascending by operator: unsorted, or somebody twice.
    #[error("commitments must be strictly ascending by operator; {operator} is out of order")]
    Order {
        /// The first operator out of order.
        operator: Address,
    },
}

/// The commitments that a commit phase of one vote closed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitSet {
    epoch: EpochNumber,
    table: TableDigest,
    statement: StatementDigest,
    sitting: u32,
    commitments: Vec<(Address, Commitment)>,
}

impl CommitSet {
    /// A set over commitments in the order of their operators. Sittings count from 0.
    ///
    /// # Errors
    /// When there is none, too many, they are not strictly ascending, or the sitting is none.
    pub fn new(
        (epoch, table): (EpochNumber, TableDigest),
        statement: StatementDigest,
        sitting: u32,
        commitments: Vec<(Address, Commitment)>,
    ) -> Result<Self, CommitSetError> {
        if sitting > SITTINGS_MAX {
            return Err(CommitSetError::Sitting { got: sitting });
        }
        if commitments.is_empty() || commitments.len() > EPOCH_MEMBERS_MAX {
            return Err(CommitSetError::Count { got: commitments.len() });
        }
        for pair in commitments.windows(2) {
            if let [(before, _), (operator, _)] = pair
                && before >= operator
            {
                return Err(CommitSetError::Order { operator: *operator });
            }
        }
        Ok(Self { epoch, table, statement, sitting, commitments })
    }

    /// The epoch that votes.
    #[must_use]
    pub const fn epoch(&self) -> EpochNumber {
        self.epoch
    }

    /// Its table.
    #[must_use]
    pub const fn table(&self) -> TableDigest {
        self.table
    }

    /// What is voted on.
    #[must_use]
    pub const fn statement(&self) -> StatementDigest {
        self.statement
    }

    /// Which commit phase of the vote this is the set of, from 0.
    #[must_use]
    pub const fn sitting(&self) -> u32 {
        self.sitting
    }

    /// The commitments, strictly ascending by operator.
    #[must_use]
    pub fn commitments(&self) -> &[(Address, Commitment)] {
        &self.commitments
    }

    /// Whether an operator's commitment is in the set, and is this one.
    #[must_use]
    pub fn holds(&self, operator: Address, commitment: Commitment) -> bool {
        let found = self.commitments.binary_search_by_key(&operator, |(operator, _)| *operator);
        let found = found.ok().and_then(|at| self.commitments.get(at));
        found.is_some_and(|(_, held)| *held == commitment)
    }

    /// The EIP-712 `hashStruct`: what the dispatcher signs, and the set's name in a vote log.
    #[must_use]
    pub fn digest(&self) -> CommitSetDigest {
        let mut list = Vec::with_capacity(self.commitments.len() * 64);
        for (operator, commitment) in &self.commitments {
            list.extend_from_slice(&[0; 12]);
            list.extend_from_slice(operator.as_bytes());
            list.extend_from_slice(commitment.as_bytes());
        }
        let words = AbiWords::typed(&COMMIT_SET_TYPE)
            .uint(self.epoch.get())
            .word(self.table.as_bytes())
            .word(self.statement.as_bytes())
            .uint(u64::from(self.sitting))
            .uint(self.commitments.len() as u64)
            .word(&keccak256(&list));
        CommitSetDigest::from_bytes(words.digest())
    }
}

#[cfg(test)]
mod tests;
