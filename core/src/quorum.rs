//! Counting stake: the quorum predicate, the tally of a statement's votes, the tally of a batch's
//! attestations.
//!
//! Only verified votes of members of one epoch are taken, each member counts once, and two epochs
//! are never added. A second, different vote of a member is kept as evidence and never counted. A
//! member that its epoch's contract excluded counts for nothing; its stake stays in the total.
//! A tally judges nobody: what an equivocation costs is decided elsewhere.

use std::collections::BTreeMap;

use alloy_primitives::U256;
use borsh::{BorshDeserialize, BorshSerialize};
use thiserror::Error;

use crate::epoch::{EpochTable, MemberSet};
use crate::ids::{Address, EpochNumber, MemberIndex, StatementDigest, TableDigest};
use crate::statement::Verdict;
use crate::units::Stake;
use crate::vote::{Attestation, SignedVote, VerifiedAttestation, VerifiedVote};

/// `total > 0 && signed > 0 && 3 * signed >= 2 * total`, exactly, for every value.
#[must_use]
pub fn is_quorum(signed: Stake, total: Stake) -> bool {
    let widen = |stake: Stake| U256::from(stake.get());
    total > Stake::ZERO
        && signed > Stake::ZERO
        && widen(signed) * U256::from(3u8) >= widen(total) * U256::from(2u8)
}

/// Why something cannot be counted here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TallyError {
    /// It was made for another epoch or table.
    #[error("it counts in epoch {got}, this tally is of epoch {expected}")]
    OtherEpoch {
        /// The tally's epoch.
        expected: EpochNumber,
        /// The epoch named.
        got: EpochNumber,
    },
    /// It is about another statement.
    #[error("it is about statement {got}, this tally is about {expected}")]
    OtherStatement {
        /// The tally's statement.
        expected: StatementDigest,
        /// The statement named.
        got: StatementDigest,
    },
    /// It is about another batch.
    #[error("the attestation is about another batch or target than this tally")]
    OtherBatch,
    /// Somebody without stake in the epoch.
    #[error("{operator} is no member of epoch {epoch}")]
    NotAMember {
        /// Who.
        operator: Address,
        /// The epoch.
        epoch: EpochNumber,
    },
    /// Somebody whom the epoch's contract excluded.
    #[error("{0} is excluded from signing in its epoch")]
    Excluded(Address),
}

/// Two votes of one key with different verdicts for one statement: an objective fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Equivocation {
    /// The vote that counts.
    pub first: SignedVote,
    /// The one that never will.
    pub second: SignedVote,
}

/// What became of a vote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Counted {
    /// It counts. The verdict is given with the one vote that brings it to a quorum.
    New {
        /// The verdict that has just reached a quorum.
        decided: Option<Verdict>,
    },
    /// The member has voted so before; nothing changed.
    Repeated,
    /// The member has voted otherwise before; the first vote stands and this one is evidence.
    Equivocated(Box<Equivocation>),
}

/// A statement with a quorum of one epoch for one verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct VoteQuorum {
    statement: StatementDigest,
    epoch: EpochNumber,
    table: TableDigest,
    verdict: Verdict,
    voters: MemberSet,
    signed: Stake,
}

impl VoteQuorum {
    /// The statement.
    #[must_use]
    pub const fn statement(&self) -> StatementDigest {
        self.statement
    }

    /// The epoch whose stake signed.
    #[must_use]
    pub const fn epoch(&self) -> EpochNumber {
        self.epoch
    }

    /// Its table.
    #[must_use]
    pub const fn table(&self) -> TableDigest {
        self.table
    }

    /// The verdict with the quorum.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Who voted for it, and so who can attest it.
    #[must_use]
    pub const fn voters(&self) -> &MemberSet {
        &self.voters
    }

    /// Their stake.
    #[must_use]
    pub const fn signed(&self) -> Stake {
        self.signed
    }
}

/// The votes of one epoch on one statement.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Tally {
    statement: StatementDigest,
    epoch: EpochNumber,
    table: TableDigest,
    total: Stake,
    /// Each member's first vote, by position; at most one per member of the table.
    votes: BTreeMap<MemberIndex, VerifiedVote>,
    /// The first contradiction of each member; at most one per member.
    evidence: BTreeMap<MemberIndex, Equivocation>,
    /// Members that could not finish judging and have not voted.
    abstained: BTreeMap<MemberIndex, Stake>,
    /// Members that may no longer sign.
    excluded: BTreeMap<MemberIndex, Stake>,
    decided: Option<Verdict>,
}

impl Tally {
    /// An empty tally of a statement under an epoch.
    #[must_use]
    pub const fn new(table: &EpochTable, statement: StatementDigest) -> Self {
        Self {
            statement,
            epoch: table.epoch(),
            table: table.digest(),
            total: table.total(),
            votes: BTreeMap::new(),
            evidence: BTreeMap::new(),
            abstained: BTreeMap::new(),
            excluded: BTreeMap::new(),
            decided: None,
        }
    }

    /// Counts a vote. A vote after an abstention counts: abstaining is no fault and no verdict.
    ///
    /// # Errors
    /// When the vote is about another statement or epoch; nothing is stored then.
    pub fn record(&mut self, vote: VerifiedVote) -> Result<Counted, TallyError> {
        self.check_belongs(&vote)?;
        let member = vote.member();
        if let Some(first) = self.votes.get(&member) {
            if first.vote().verdict == vote.vote().verdict {
                return Ok(Counted::Repeated);
            }
            let found = Equivocation { first: *first.signed(), second: *vote.signed() };
            let kept = self.evidence.entry(member).or_insert(found);
            return Ok(Counted::Equivocated(Box::new(*kept)));
        }
        self.abstained.remove(&member);
        self.votes.insert(member, vote);
        let verdict = vote.vote().verdict;
        let newly_decided = self.decided.is_none() && is_quorum(self.signed(verdict), self.total);
        if newly_decided {
            self.decided = Some(verdict);
        }
        Ok(Counted::New { decided: newly_decided.then_some(verdict) })
    }

    /// Keeps a vote as evidence against its key, which voted otherwise before, here or in another
    /// epoch. It is not counted, and the member may still repeat what it said first.
    ///
    /// # Errors
    /// When the second vote is about another statement or epoch; nothing is stored then.
    pub fn contradict(
        &mut self,
        first: SignedVote,
        second: &VerifiedVote,
    ) -> Result<(), TallyError> {
        self.check_belongs(second)?;
        let found = Equivocation { first, second: *second.signed() };
        self.evidence.entry(second.member()).or_insert(found);
        Ok(())
    }

    fn check_belongs(&self, vote: &VerifiedVote) -> Result<(), TallyError> {
        let vote = vote.vote();
        if vote.statement != self.statement {
            let (expected, got) = (self.statement, vote.statement);
            return Err(TallyError::OtherStatement { expected, got });
        }
        if (vote.epoch, vote.table) != (self.epoch, self.table) {
            return Err(TallyError::OtherEpoch { expected: self.epoch, got: vote.epoch });
        }
        Ok(())
    }

    /// Notes that a member could not finish judging. After its vote it means nothing. Says whether
    /// anything changed.
    ///
    /// # Errors
    /// When the table is another epoch's or the operator is no member; nothing is stored then.
    pub fn abstain(&mut self, table: &EpochTable, operator: Address) -> Result<bool, TallyError> {
        if table.digest() != self.table {
            return Err(TallyError::OtherEpoch { expected: self.epoch, got: table.epoch() });
        }
        let member = table.index_of(operator);
        let (index, stake) = member
            .and_then(|index| table.member(index).map(|member| (index, member.stake)))
            .ok_or(TallyError::NotAMember { operator, epoch: self.epoch })?;
        if self.votes.contains_key(&index) {
            return Ok(false);
        }
        Ok(self.abstained.insert(index, stake).is_none())
    }

    /// Takes a member's abstention back: it has judged after all.
    pub fn unabstain(&mut self, member: MemberIndex) {
        self.abstained.remove(&member);
    }

    /// Takes members out of the count: what they said is kept as evidence, and their stake stays in
    /// the total. A quorum that needs them is none any more.
    ///
    /// # Errors
    /// When the table is another epoch's; nothing changes then.
    pub fn exclude(&mut self, table: &EpochTable, members: &MemberSet) -> Result<(), TallyError> {
        if table.digest() != self.table {
            return Err(TallyError::OtherEpoch { expected: self.epoch, got: table.epoch() });
        }
        self.excluded.extend(stakes(table, members));
        self.decided = self.decided.filter(|verdict| is_quorum(self.signed(*verdict), self.total));
        Ok(())
    }

    /// The stake behind a verdict.
    #[must_use]
    pub fn signed(&self, verdict: Verdict) -> Stake {
        sum(self.counted().filter(|v| v.vote().verdict == verdict).map(VerifiedVote::stake))
    }

    /// The stake that has said that it cannot judge.
    #[must_use]
    pub fn abstained(&self) -> Stake {
        let abstained = self.abstained.iter();
        sum(abstained.filter(|(member, _)| !self.is_excluded(**member)).map(|(_, stake)| *stake))
    }

    /// The stake that may no longer sign.
    #[must_use]
    pub fn excluded(&self) -> Stake {
        sum(self.excluded.values().copied())
    }

    fn is_excluded(&self, member: MemberIndex) -> bool {
        self.excluded.contains_key(&member)
    }

    /// The stake that has said nothing yet and still may.
    #[must_use]
    pub fn outstanding(&self) -> Stake {
        let voted = sum(self.counted().map(VerifiedVote::stake));
        let silent = self.total.saturating_sub(voted).saturating_sub(self.abstained());
        silent.saturating_sub(self.excluded())
    }

    /// The verdict that has a quorum, if one does. Only an exclusion takes it back.
    #[must_use]
    pub const fn outcome(&self) -> Option<Verdict> {
        self.decided
    }

    /// Whether some verdict has a quorum or can still get one from stake that may still vote. When
    /// not, the job is held.
    #[must_use]
    pub fn reachable(&self, outstanding: Stake) -> bool {
        Verdict::ALL
            .into_iter()
            .any(|verdict| is_quorum(self.signed(verdict).saturating_add(outstanding), self.total))
    }

    /// The quorum with everyone who has voted for it so far, late voters too.
    #[must_use]
    pub fn quorum(&self) -> Option<VoteQuorum> {
        let verdict = self.decided?;
        let for_it = self.counted().filter(|vote| vote.vote().verdict == verdict);
        Some(VoteQuorum {
            statement: self.statement,
            epoch: self.epoch,
            table: self.table,
            verdict,
            voters: for_it.map(VerifiedVote::member).collect(),
            signed: self.signed(verdict),
        })
    }

    /// The statement.
    #[must_use]
    pub const fn statement(&self) -> StatementDigest {
        self.statement
    }

    /// The epoch.
    #[must_use]
    pub const fn epoch(&self) -> EpochNumber {
        self.epoch
    }

    /// The epoch's table.
    #[must_use]
    pub const fn table(&self) -> TableDigest {
        self.table
    }

    /// The epoch's whole stake.
    #[must_use]
    pub const fn total(&self) -> Stake {
        self.total
    }

    /// Each member's first vote, by position of the voter; of excluded members too.
    pub fn votes(&self) -> impl Iterator<Item = &VerifiedVote> {
        self.votes.values()
    }

    /// The votes that count, by position of the voter.
    pub fn counted(&self) -> impl Iterator<Item = &VerifiedVote> {
        let counts = |(member, _): &(&MemberIndex, &VerifiedVote)| !self.is_excluded(**member);
        self.votes.iter().filter(counts).map(|(_, vote)| vote)
    }

    /// A member's first vote.
    #[must_use]
    pub fn vote_of(&self, member: MemberIndex) -> Option<&VerifiedVote> {
        self.votes.get(&member)
    }

    /// The contradictions seen, one per member.
    pub fn evidence(&self) -> impl Iterator<Item = &Equivocation> {
        self.evidence.values()
    }
}

fn sum(stakes: impl Iterator<Item = Stake>) -> Stake {
    stakes.fold(Stake::ZERO, Stake::saturating_add)
}

/// Members of a table with their stakes; positions outside it are nobody's.
fn stakes(table: &EpochTable, members: &MemberSet) -> impl Iterator<Item = (MemberIndex, Stake)> {
    members.iter().filter_map(|index| table.member(index).map(|member| (index, member.stake)))
}

/// What became of an attestation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attested {
    /// It counts; `complete` with the one that brings the batch to a quorum.
    New {
        /// Whether the quorum has just been reached.
        complete: bool,
    },
    /// The member has attested before; nothing changed.
    Repeated,
}

/// The attestations of one epoch on one batch.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct AttestationTally {
    attestation: Attestation,
    total: Stake,
    signed: BTreeMap<MemberIndex, VerifiedAttestation>,
    declined: BTreeMap<MemberIndex, Stake>,
    /// Members that may no longer sign.
    excluded: BTreeMap<MemberIndex, Stake>,
}

impl AttestationTally {
    /// An empty tally of a batch.
    ///
    /// # Errors
    /// When the attestation is of another epoch than the table.
    pub fn new(table: &EpochTable, attestation: Attestation) -> Result<Self, TallyError> {
        if (attestation.epoch, attestation.table) != (table.epoch(), table.digest()) {
            return Err(TallyError::OtherEpoch { expected: table.epoch(), got: attestation.epoch });
        }
        Ok(Self {
            attestation,
            total: table.total(),
            signed: BTreeMap::new(),
            declined: BTreeMap::new(),
            excluded: BTreeMap::new(),
        })
    }

    /// Counts an attestation.
    ///
    /// # Errors
    /// When it is about anything but this batch, or of an excluded member; nothing is stored then.
    pub fn record(&mut self, verified: VerifiedAttestation) -> Result<Attested, TallyError> {
        if *verified.attestation() != self.attestation {
            return Err(TallyError::OtherBatch);
        }
        if self.excluded.contains_key(&verified.member()) {
            return Err(TallyError::Excluded(verified.operator()));
        }
        if self.signed.contains_key(&verified.member()) {
            return Ok(Attested::Repeated);
        }
        let was_complete = self.is_complete();
        self.declined.remove(&verified.member());
        self.signed.insert(verified.member(), verified);
        Ok(Attested::New { complete: !was_complete && self.is_complete() })
    }

    /// Notes that a member does not attest this batch. Says whether anything changed.
    ///
    /// # Errors
    /// When the table is another epoch's or the operator is no member; nothing is stored then.
    pub fn decline(&mut self, table: &EpochTable, operator: Address) -> Result<bool, TallyError> {
        let epoch = self.attestation.epoch;
        if table.digest() != self.attestation.table {
            return Err(TallyError::OtherEpoch { expected: epoch, got: table.epoch() });
        }
        let member = table.index_of(operator);
        let (index, stake) = member
            .and_then(|index| table.member(index).map(|member| (index, member.stake)))
            .ok_or(TallyError::NotAMember { operator, epoch })?;
        if self.signed.contains_key(&index) || self.excluded.contains_key(&index) {
            return Ok(false);
        }
        Ok(self.declined.insert(index, stake).is_none())
    }

    /// Drops the attestations of members, for good: the contract refuses a certificate that names one
    /// of them as a signer. Their stake stays in the total.
    ///
    /// # Errors
    /// When the table is another epoch's; nothing changes then.
    pub fn exclude(&mut self, table: &EpochTable, members: &MemberSet) -> Result<(), TallyError> {
        let epoch = self.attestation.epoch;
        if table.digest() != self.attestation.table {
            return Err(TallyError::OtherEpoch { expected: epoch, got: table.epoch() });
        }
        self.excluded.extend(stakes(table, members));
        self.signed.retain(|member, _| !members.contains(*member));
        self.declined.retain(|member, _| !members.contains(*member));
        Ok(())
    }

    /// What is attested.
    #[must_use]
    pub const fn attestation(&self) -> &Attestation {
        &self.attestation
    }

    /// The stake that has attested.
    #[must_use]
    pub fn signed(&self) -> Stake {
        sum(self.signed.values().map(VerifiedAttestation::stake))
    }

    /// Whether the batch has its quorum.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        is_quorum(self.signed(), self.total)
    }

    /// Whether a quorum is there or can still come; when not, the batch is split.
    #[must_use]
    pub fn reachable(&self) -> bool {
        let lost = sum(self.declined.values().chain(self.excluded.values()).copied());
        is_quorum(self.total.saturating_sub(lost), self.total)
    }

    /// Who has attested.
    #[must_use]
    pub fn signers(&self) -> MemberSet {
        self.signed.keys().copied().collect()
    }

    /// The attestations, by position of the signer.
    pub fn attestations(&self) -> impl Iterator<Item = &VerifiedAttestation> {
        self.signed.values()
    }
}

#[cfg(test)]
mod tests;
