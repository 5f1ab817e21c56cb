//! The two phases of a vote: commitments, then the votes that open them.
//!
//! Kept beside [`super::Round`] and written after the rest of the state, so that a snapshot from
//! before there were phases still reads.

use std::collections::{BTreeMap, BTreeSet};

use borsh::{BorshDeserialize, BorshSerialize};

use crate::ids::{Address, Commitment, EpochNumber, StatementDigest};
use crate::units::UnixMillis;
use crate::vote::VerifiedVote;

/// Which phase one epoch's vote on a statement is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum VotePhase {
    /// Members judge and commit; no verdict is known to anybody but its voter.
    #[default]
    Committing,
    /// The commit set stands and its members open their votes.
    Revealing {
        /// Since when.
        since: UnixMillis,
    },
    /// Every member of the set has opened its vote, or its time was over.
    Over,
}

/// A [`VotePhase`] without its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum VotePhaseKind {
    /// [`VotePhase::Committing`].
    Committing,
    /// [`VotePhase::Revealing`].
    Revealing,
    /// [`VotePhase::Over`].
    Over,
}

impl VotePhase {
    /// The phase without its data.
    #[must_use]
    pub const fn kind(&self) -> VotePhaseKind {
        match self {
            Self::Committing => VotePhaseKind::Committing,
            Self::Revealing { .. } => VotePhaseKind::Revealing,
            Self::Over => VotePhaseKind::Over,
        }
    }
}

impl std::fmt::Display for VotePhaseKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Committing => "Committing",
            Self::Revealing => "Revealing",
            Self::Over => "Over",
        })
    }
}

/// The legal edges of a vote. A commit set never changes; members that are not in it may have one of
/// their own only when it was opened and decided nothing.
pub const VOTE_EDGES: &[(VotePhaseKind, VotePhaseKind)] = &[
    (VotePhaseKind::Committing, VotePhaseKind::Revealing),
    (VotePhaseKind::Revealing, VotePhaseKind::Over),
    (VotePhaseKind::Over, VotePhaseKind::Committing),
];

/// What is sealed of one epoch's vote on a statement.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SealedRound {
    /// Which phase it is in.
    pub phase: VotePhase,
    /// Each member's commitment, those of earlier sittings whose votes are open too.
    pub commitments: BTreeMap<Address, Commitment>,
    /// Members whose votes earlier sittings opened; the commit set is everybody else's commitment.
    pub opened_before: BTreeSet<Address>,
    /// Members that committed in an earlier sitting and have opened nothing since: while the others
    /// could decide without them, nobody waits for them.
    pub unreliable: BTreeSet<Address>,
    /// Commit phases before this one.
    pub sittings: u32,
    /// Each member's first vote that opened no commitment of the set, or came too late. Evidence;
    /// never counted.
    pub late: BTreeMap<Address, VerifiedVote>,
}

impl SealedRound {
    /// The commitments of this sitting: the commit set, once it stands.
    pub fn sitting(&self) -> impl Iterator<Item = (Address, Commitment)> + '_ {
        let commitments = self.commitments.iter();
        let own = commitments.filter(|(operator, _)| !self.opened_before.contains(operator));
        own.map(|(operator, held)| (*operator, *held))
    }
}

/// What is sealed of every vote that is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SealedVotes {
    rounds: BTreeMap<(StatementDigest, EpochNumber), SealedRound>,
    /// Votes in [`VotePhase::Revealing`], whatever became of their statement.
    revealing: BTreeSet<(StatementDigest, EpochNumber)>,
}

impl SealedVotes {
    /// One epoch's vote on a statement; `None` if nobody committed or spoke yet.
    #[must_use]
    pub fn round(&self, statement: StatementDigest, epoch: EpochNumber) -> Option<&SealedRound> {
        self.rounds.get(&(statement, epoch))
    }

    /// Its phase.
    #[must_use]
    pub fn phase(&self, statement: StatementDigest, epoch: EpochNumber) -> VotePhase {
        self.round(statement, epoch).map_or(VotePhase::Committing, |round| round.phase)
    }

    /// Votes whose commit set stands and is not opened completely.
    pub fn revealing(&self) -> impl Iterator<Item = (StatementDigest, EpochNumber)> + '_ {
        self.revealing.iter().copied()
    }

    /// Every vote with something sealed.
    pub fn rounds(
        &self,
    ) -> impl Iterator<Item = (StatementDigest, EpochNumber, &SealedRound)> + '_ {
        self.rounds.iter().map(|((statement, epoch), round)| (*statement, *epoch, round))
    }

    pub(super) fn round_mut(
        &mut self,
        statement: StatementDigest,
        epoch: EpochNumber,
    ) -> &mut SealedRound {
        self.rounds.entry((statement, epoch)).or_default()
    }

    /// Moves a vote along an edge of the table and keeps the index; says whether there is the edge.
    pub(super) fn move_to(
        &mut self,
        statement: StatementDigest,
        epoch: EpochNumber,
        next: VotePhase,
    ) -> bool {
        let round = self.round_mut(statement, epoch);
        if !VOTE_EDGES.contains(&(round.phase.kind(), next.kind())) {
            return false;
        }
        round.phase = next;
        match next {
            VotePhase::Revealing { .. } => self.revealing.insert((statement, epoch)),
            _ => self.revealing.remove(&(statement, epoch)),
        };
        true
    }

    /// Forgets what is sealed of a statement in one epoch.
    pub(super) fn forget(&mut self, statement: StatementDigest, epoch: EpochNumber) {
        self.rounds.remove(&(statement, epoch));
        self.revealing.remove(&(statement, epoch));
    }
}
