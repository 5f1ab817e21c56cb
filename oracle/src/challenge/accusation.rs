//! Accusations as the challenge game takes them: what was signed, why it is wrong, and the salt that
//! blinds the commitment. Nothing is asked of a chain here.

use alloy::primitives::{B256, Bytes, U256, keccak256};
use alloy::sol_types::SolCall;
use proofgrid_core::crypto::secp::WalletKey;
use proofgrid_core::epoch::EpochKeys;
use proofgrid_core::ids::{Address, MemberIndex, StatementDigest};
use proofgrid_core::statement::{OpenedStatement, Statement, Verdict, segments_tree};
use proofgrid_core::vote::SignedVote;

use super::ChallengeError;
use crate::abi::{self, IChallengeGame};
use crate::contracts::{g1_signature, g2_key};
use crate::deploy::LeafPosition;
use crate::posts::record_words;

/// What no other hash of this crate begins with.
const SALT_DOMAIN: &[u8] = b"PROOFGRID_CHALLENGE_SALT_V1";

/// Blinds a commitment: who does not know it cannot tell what is committed to.
#[derive(Clone, Copy)]
pub struct Salt(B256);

impl std::fmt::Debug for Salt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Salt(..)")
    }
}

impl Salt {
    /// The same for the same challenger, operator and statement, so that an accusation that was cut
    /// off after its commitment is revealed by making it again, and nothing has to be kept meanwhile.
    #[must_use]
    pub fn derive(challenger: &WalletKey, operator: Address, statement: StatementDigest) -> Self {
        let secret = challenger.to_bytes();
        let parts: [&[u8]; 4] =
            [SALT_DOMAIN, &secret[..], operator.as_bytes(), statement.as_bytes()];
        Self(keccak256(parts.concat()))
    }
}

/// A member of an epoch that signed a posted certificate, and the leaf of it that is held against it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attested {
    /// Its place in the epoch's table.
    pub member: MemberIndex,
    /// What the leaf says.
    pub verdict: Verdict,
    /// Where the leaf is.
    pub leaf: LeafPosition,
}

/// An accusation, ready to be committed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accusation {
    pub(super) reveal: Bytes,
}

impl Accusation {
    /// A member voted `valid` on a statement with a segment whose proof is refused. `shown` is the
    /// proof's envelope, byte for byte as its digest in the record says.
    ///
    /// # Errors
    /// [`ChallengeError::NoSegment`], [`ChallengeError::NotAMember`].
    pub fn false_vote(
        opened: &OpenedStatement,
        segment: u32,
        shown: Vec<u8>,
        (vote, keys): (&SignedVote, &EpochKeys),
        salt: Salt,
    ) -> Result<Self, ChallengeError> {
        let (refutation, salt) = (refutation(opened, segment, shown)?, salt.0);
        let vote = signed_vote(vote, keys)?;
        let reveal = IChallengeGame::revealVoteCall { refutation, vote, salt }.abi_encode();
        Ok(Self { reveal: reveal.into() })
    }

    /// A member attested `valid` of a statement with a segment whose proof is refused. `shown` is the
    /// proof's envelope, as in [`Self::false_vote`].
    ///
    /// # Errors
    /// [`ChallengeError::NoSegment`].
    pub fn false_attestation(
        opened: &OpenedStatement,
        segment: u32,
        shown: Vec<u8>,
        attested: &Attested,
        salt: Salt,
    ) -> Result<Self, ChallengeError> {
        let (refutation, salt) = (refutation(opened, segment, shown)?, salt.0);
        let attested = attested_words(attested);
        let call = IChallengeGame::revealAttestationCall { refutation, attested, salt };
        Ok(Self { reveal: call.abi_encode().into() })
    }

    /// A key voted for one verdict of a statement and attested the other.
    ///
    /// # Errors
    /// [`ChallengeError::NotAMember`].
    pub fn vote_and_attestation(
        statement: &Statement,
        (vote, keys): (&SignedVote, &EpochKeys),
        attested: &Attested,
        salt: Salt,
    ) -> Result<Self, ChallengeError> {
        let call = IChallengeGame::revealVoteAndAttestationCall {
            statement: statement_words(statement),
            vote: signed_vote(vote, keys)?,
            attested: attested_words(attested),
            salt: salt.0,
        };
        Ok(Self { reveal: call.abi_encode().into() })
    }

    /// A key signed both verdicts of one statement.
    ///
    /// # Errors
    /// [`ChallengeError::NotAMember`].
    pub fn equivocation(
        statement: &Statement,
        first: (&SignedVote, &EpochKeys),
        second: (&SignedVote, &EpochKeys),
        salt: Salt,
    ) -> Result<Self, ChallengeError> {
        let call = IChallengeGame::revealVotesCall {
            statement: statement_words(statement),
            first: signed_vote(first.0, first.1)?,
            second: signed_vote(second.0, second.1)?,
            salt: salt.0,
        };
        Ok(Self { reveal: call.abi_encode().into() })
    }
}

fn refutation(
    opened: &OpenedStatement,
    index: u32,
    shown: Vec<u8>,
) -> Result<abi::Refutation, ChallengeError> {
    let (record, path) = segment_words(opened, index)?;
    let (statement, shown) = (statement_words(&opened.statement), shown.into());
    Ok(abi::Refutation { statement, record, path, shown })
}

/// A segment's record, and its path to the statement's root.
pub(super) fn segment_words(
    opened: &OpenedStatement,
    index: u32,
) -> Result<(abi::SegmentRecord, Vec<B256>), ChallengeError> {
    let segments = opened.statement.num_segments;
    let unknown = || ChallengeError::NoSegment { index, segments };
    let position = usize::try_from(index).ok();
    let record = position.and_then(|position| opened.records.get(position)).ok_or_else(unknown)?;
    let tree = segments_tree(&opened.records).ok();
    let path = tree.and_then(|tree| tree.path(index).ok()).ok_or_else(unknown)?;
    Ok((record_words(record), path.into_iter().map(B256::from).collect()))
}

fn attested_words(attested: &Attested) -> abi::Attested {
    abi::Attested {
        member: U256::from(attested.member.get()),
        verdict: attested.verdict.code(),
        leaf: attested.leaf.words(),
    }
}

/// A statement as the contracts take it.
pub(crate) fn statement_words(statement: &Statement) -> abi::Statement {
    abi::Statement {
        job: B256::from(*statement.job.as_bytes()),
        statementAttempt: statement.attempt.get(),
        programId: B256::from(*statement.program.as_bytes()),
        manifest: B256::from(*statement.manifest.as_bytes()),
        claim: B256::from(*statement.claim.as_bytes()),
        numSegments: statement.num_segments,
        segmentsRoot: B256::from(*statement.segments_root.as_bytes()),
    }
}

/// Position in the table and key of a member.
fn member(operator: Address, keys: &EpochKeys) -> Result<(U256, abi::G2Point), ChallengeError> {
    let index = keys.table().index_of(operator);
    let found = index.and_then(|index| keys.key(index).map(|key| (index, key)));
    let epoch = keys.table().epoch();
    let (index, key) = found.ok_or(ChallengeError::NotAMember { operator, epoch })?;
    Ok((U256::from(index.get()), g2_key(key)))
}

fn signed_vote(signed: &SignedVote, keys: &EpochKeys) -> Result<abi::Vote, ChallengeError> {
    let (member, key2) = member(signed.operator, keys)?;
    Ok(abi::Vote {
        epoch: signed.vote.epoch.get(),
        member,
        verdict: signed.vote.verdict.code(),
        signature: g1_signature(&signed.signature),
        key2,
    })
}
