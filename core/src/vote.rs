//! Votes and attestations: the two things that a verifier of an epoch signs about proofs.
//!
//! A [`SignedVote`] is what arrived; a [`VerifiedVote`] is one whose signature was checked against a
//! member of its epoch. Only the latter can be tallied, and only verification makes one. Nothing
//! here decides anything: `quorum` counts.

use borsh::{BorshDeserialize, BorshSerialize};
use thiserror::Error;

use crate::crypto::bls::{BlsError, BlsMessage, SecretKey, Signature};
use crate::epoch::{EpochKeys, EpochTable};
use crate::ids::{
    Address, BatchRoot, ChainContract, EpochNumber, MemberIndex, NetworkId, StatementDigest,
    TableDigest,
};
use crate::statement::Verdict;
use crate::units::Stake;

/// Why a vote or attestation was not accepted as a member's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum VoteError {
    /// It names another epoch or table than the one it was checked against.
    #[error("it was made for epoch {got_epoch} and table {got}, not for {epoch} and {table}")]
    OtherEpoch {
        /// The epoch checked against.
        epoch: EpochNumber,
        /// Its table.
        table: TableDigest,
        /// The epoch named.
        got_epoch: EpochNumber,
        /// The table named.
        got: TableDigest,
    },
    /// The signer has no stake in the epoch.
    #[error("{operator} is no member of epoch {epoch}")]
    NotAMember {
        /// Who claims to have signed.
        operator: Address,
        /// The epoch.
        epoch: EpochNumber,
    },
    /// The signature is not the member's.
    #[error("{operator}: {source}")]
    Signature {
        /// Who claims to have signed.
        operator: Address,
        /// What is wrong.
        source: BlsError,
    },
}

/// A verdict on one statement under one epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub struct Vote {
    /// The epoch that the vote counts in.
    pub epoch: EpochNumber,
    /// Its table.
    pub table: TableDigest,
    /// What is voted on.
    pub statement: StatementDigest,
    /// The outcome of the voter's own verification.
    pub verdict: Verdict,
}

impl Vote {
    /// Signs the vote for a network. The verifier's vote log comes first.
    #[must_use]
    pub fn sign(self, network: NetworkId, operator: Address, key: &SecretKey) -> SignedVote {
        let signature = key.sign(&BlsMessage::Vote { network, vote: self });
        SignedVote { operator, vote: self, signature }
    }
}

/// A vote as it arrived: the signature is well-formed, and not yet checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SignedVote {
    /// Who claims to have signed.
    pub operator: Address,
    /// What was signed.
    pub vote: Vote,
    /// The signature.
    pub signature: Signature,
}

/// Position and stake of a signer that the table has, for an epoch that fits.
fn find_member(
    table: &EpochTable,
    operator: Address,
    named: (EpochNumber, TableDigest),
) -> Result<(MemberIndex, Stake), VoteError> {
    let (epoch, digest) = (table.epoch(), table.digest());
    if named != (epoch, digest) {
        let (got_epoch, got) = named;
        return Err(VoteError::OtherEpoch { epoch, table: digest, got_epoch, got });
    }
    let index = table.index_of(operator);
    index
        .and_then(|index| table.member(index).map(|member| (index, member.stake)))
        .ok_or(VoteError::NotAMember { operator, epoch })
}

fn check_signature(
    keys: &EpochKeys,
    operator: Address,
    index: MemberIndex,
    message: &BlsMessage,
    signature: &Signature,
) -> Result<(), VoteError> {
    let epoch = keys.table().epoch();
    let key = keys.key(index).ok_or(VoteError::NotAMember { operator, epoch })?;
    key.verify(message, signature).map_err(|source| VoteError::Signature { operator, source })
}

impl SignedVote {
    /// Checks epoch, membership and signature, in this order; about 2 ms.
    ///
    /// # Errors
    /// When any of them does not hold.
    pub fn verify(self, keys: &EpochKeys) -> Result<VerifiedVote, VoteError> {
        let table = keys.table();
        let (member, stake) =
            find_member(table, self.operator, (self.vote.epoch, self.vote.table))?;
        let message = BlsMessage::Vote { network: table.network(), vote: self.vote };
        check_signature(keys, self.operator, member, &message, &self.signature)?;
        Ok(VerifiedVote { signed: self, member, stake })
    }
}

/// A vote of a member of its epoch, with its weight.
///
/// Borsh is the encoding of a node's own journal and of nothing else: what a peer sends is a
/// [`SignedVote`], and only [`SignedVote::verify`] makes one of these from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct VerifiedVote {
    signed: SignedVote,
    member: MemberIndex,
    stake: Stake,
}

impl VerifiedVote {
    /// The signed vote, for evidence.
    #[must_use]
    pub const fn signed(&self) -> &SignedVote {
        &self.signed
    }

    /// The vote.
    #[must_use]
    pub const fn vote(&self) -> &Vote {
        &self.signed.vote
    }

    /// Who voted.
    #[must_use]
    pub const fn operator(&self) -> Address {
        self.signed.operator
    }

    /// The voter's position in the table.
    #[must_use]
    pub const fn member(&self) -> MemberIndex {
        self.member
    }

    /// The voter's weight.
    #[must_use]
    pub const fn stake(&self) -> Stake {
        self.stake
    }
}

/// What a verifier says about a batch: that it voted so on every statement in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub struct Attestation {
    /// The chain and `ProofRegistry` that the certificate is for.
    pub target: ChainContract,
    /// The epoch.
    pub epoch: EpochNumber,
    /// Its table.
    pub table: TableDigest,
    /// Root over the batch.
    pub root: BatchRoot,
    /// Number of statements.
    pub count: u32,
}

impl Attestation {
    /// Signs the attestation. The signer has held every leaf against its own vote log.
    #[must_use]
    pub fn sign(self, operator: Address, key: &SecretKey) -> SignedAttestation {
        let signature = key.sign(&BlsMessage::Attest(self));
        SignedAttestation { operator, attestation: self, signature }
    }
}

/// An attestation as it arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SignedAttestation {
    /// Who claims to have signed.
    pub operator: Address,
    /// What was signed.
    pub attestation: Attestation,
    /// The signature.
    pub signature: Signature,
}

impl SignedAttestation {
    /// Checks epoch, membership and signature, in this order; about 2 ms.
    ///
    /// # Errors
    /// When any of them does not hold.
    pub fn verify(self, keys: &EpochKeys) -> Result<VerifiedAttestation, VoteError> {
        let named = (self.attestation.epoch, self.attestation.table);
        let (member, stake) = find_member(keys.table(), self.operator, named)?;
        let message = BlsMessage::Attest(self.attestation);
        check_signature(keys, self.operator, member, &message, &self.signature)?;
        Ok(VerifiedAttestation { signed: self, member, stake })
    }
}

/// An attestation of a member of its epoch, with its weight. Borsh as for [`VerifiedVote`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct VerifiedAttestation {
    signed: SignedAttestation,
    member: MemberIndex,
    stake: Stake,
}

impl VerifiedAttestation {
    /// The signed attestation.
    #[must_use]
    pub const fn signed(&self) -> &SignedAttestation {
        &self.signed
    }

    /// The attestation.
    #[must_use]
    pub const fn attestation(&self) -> &Attestation {
        &self.signed.attestation
    }

    /// Who attested.
    #[must_use]
    pub const fn operator(&self) -> Address {
        self.signed.operator
    }

    /// The signer's position in the table.
    #[must_use]
    pub const fn member(&self) -> MemberIndex {
        self.member
    }

    /// The signer's weight.
    #[must_use]
    pub const fn stake(&self) -> Stake {
        self.stake
    }
}

#[cfg(test)]
mod tests;
