//! Facts about sealed votes: commitments, the end of each phase, votes that came too late.

use crate::ids::{Address, EpochNumber, StatementDigest};
use crate::network::fact::Change;
use crate::sealed::{CommitSet, SealedVote};
use crate::units::UnixMillis;
use crate::vote::VerifiedVote;

use super::evolve_votes::refused;
use super::{EvolveError, SealedRound, State, Touched, VotePhase};

/// Said of whoever committed and opened nothing.
const UNOPENED: &str = "committed to a vote and did not open it in time";

impl State {
    pub(super) fn evolve_sealed(
        &mut self,
        at: UnixMillis,
        change: &Change,
        touched: &mut Touched,
    ) -> Result<(), EvolveError> {
        match change {
            Change::CommitmentRecorded { sealed } => self.commitment_recorded(sealed),
            Change::CommitsClosed { statement, epoch } => {
                self.commits_closed(at, *statement, *epoch, touched)
            }
            Change::LateVoteRecorded { vote } => self.late_vote_recorded(vote),
            Change::RevealsClosed { statement, epoch } => {
                self.reveals_closed(*statement, *epoch, touched)
            }
            Change::CommitsReopened { statement, epoch } => {
                self.commits_reopened(at, *statement, *epoch, touched)
            }
            _ => Err(EvolveError::Contradiction { what: "not a fact about sealed votes" }),
        }
    }

    fn commitment_recorded(&mut self, sealed: &SealedVote) -> Result<(), EvolveError> {
        let SealedVote { operator, epoch, statement, commitment, .. } = *sealed;
        let table = self.epochs.get(&epoch).ok_or(EvolveError::UnknownEpoch(epoch))?.table();
        let member = table.index_of(operator);
        let Some(member) = member.filter(|_| table.digest() == sealed.table) else {
            return Err(EvolveError::Contradiction { what: "a commitment of no member" });
        };
        let round = self
            .statements
            .get_mut(&statement)
            .ok_or(EvolveError::UnknownStatement(statement))?
            .rounds
            .get_mut(&epoch)
            .ok_or(EvolveError::UnknownEpoch(epoch))?;
        if self.sealed.phase(statement, epoch) != VotePhase::Committing {
            return Err(EvolveError::Contradiction { what: "a commitment after its phase" });
        }
        let commitments = &mut self.sealed.round_mut(statement, epoch).commitments;
        if commitments.insert(operator, commitment).is_some() {
            return Err(EvolveError::Repeated { what: "committing to a vote" });
        }
        // Whoever could not judge at first has judged after all.
        round.abstentions.remove(&operator);
        round.tally.unabstain(member);
        Ok(())
    }

    /// The commit set of a vote, once its commit phase is over.
    #[must_use]
    pub fn commit_set(&self, statement: StatementDigest, epoch: EpochNumber) -> Option<CommitSet> {
        let round = self.sealed.round(statement, epoch)?;
        if round.phase == VotePhase::Committing {
            return None;
        }
        let table = self.epochs.get(&epoch)?.table();
        let named = (epoch, table.digest());
        CommitSet::new(named, statement, round.sittings, round.sitting().collect()).ok()
    }

    fn commits_closed(
        &mut self,
        at: UnixMillis,
        statement: StatementDigest,
        epoch: EpochNumber,
        touched: &mut Touched,
    ) -> Result<(), EvolveError> {
        let excluded = self.excluded_from(epoch);
        let table = self.epochs.get(&epoch).ok_or(EvolveError::UnknownEpoch(epoch))?.table();
        let job = self.statement(&statement)?.opened.job();
        let counts = |index| !excluded.contains(index);
        let round = self.sealed.round_mut(statement, epoch);
        let before = &round.opened_before;
        round.commitments.retain(|operator, _| {
            before.contains(operator) || table.index_of(*operator).is_some_and(counts)
        });
        if round.sitting().next().is_none() {
            return Err(EvolveError::Contradiction { what: "a commit set without a commitment" });
        }
        if !self.sealed.move_to(statement, epoch, VotePhase::Revealing { since: at }) {
            return Err(EvolveError::Repeated { what: "closing the commit phase of a vote" });
        }
        touched.insert(job);
        Ok(())
    }

    /// Whoever is in the commit set and has not opened its vote.
    pub(in crate::network) fn unopened(
        &self,
        statement: StatementDigest,
        epoch: EpochNumber,
    ) -> Vec<Address> {
        let Some(sealed) = self.sealed.round(statement, epoch) else { return Vec::new() };
        let round = self.statements.get(&statement).and_then(|book| book.rounds.get(&epoch));
        let (Some(round), Some(keys)) = (round, self.epochs.get(&epoch)) else {
            return Vec::new();
        };
        let voted = |operator: &&Address| {
            let member = keys.table().index_of(**operator);
            member.is_some_and(|member| round.tally.vote_of(member).is_some())
        };
        sealed.commitments.keys().filter(|operator| !voted(operator)).copied().collect()
    }

    /// Ends the reveal phase of a vote that was opened completely.
    pub(super) fn end_complete_reveals(&mut self, statement: StatementDigest, epoch: EpochNumber) {
        let revealing = matches!(self.sealed.phase(statement, epoch), VotePhase::Revealing { .. });
        if revealing && self.unopened(statement, epoch).is_empty() {
            self.sealed.move_to(statement, epoch, VotePhase::Over);
        }
    }

    fn late_vote_recorded(&mut self, vote: &VerifiedVote) -> Result<(), EvolveError> {
        let cast = *vote.vote();
        let whose = (cast.epoch, vote.operator());
        let first = self.said_otherwise(&cast.statement, whose, cast.verdict);
        let round = self.round_mut(&cast.statement, cast.epoch)?;
        if let Some(first) = first {
            let kept = round.tally.contradict(first, vote);
            return kept.map_err(|error| refused("a late vote is no evidence", error));
        }
        let late = &mut self.sealed.round_mut(cast.statement, cast.epoch).late;
        late.entry(vote.operator()).or_insert(*vote);
        Ok(())
    }

    /// Committing without opening is an abstention.
    fn reveals_closed(
        &mut self,
        statement: StatementDigest,
        epoch: EpochNumber,
        touched: &mut Touched,
    ) -> Result<(), EvolveError> {
        let missing = self.unopened(statement, epoch);
        if !self.sealed.move_to(statement, epoch, VotePhase::Over) {
            return Err(EvolveError::Repeated { what: "closing the reveal phase of a vote" });
        }
        let keys = self.epochs.get(&epoch).ok_or(EvolveError::UnknownEpoch(epoch))?;
        let book =
            self.statements.get_mut(&statement).ok_or(EvolveError::UnknownStatement(statement))?;
        let round = book.rounds.get_mut(&epoch).ok_or(EvolveError::UnknownEpoch(epoch))?;
        for operator in missing {
            let changed = round.tally.abstain(keys.table(), operator);
            if changed.map_err(|error| refused("an abstention does not count", error))? {
                round.abstentions.insert(operator, UNOPENED.to_owned());
            }
        }
        touched.insert(book.opened.job());
        Ok(())
    }

    /// Another sitting for whoever has no vote yet. What was opened stays.
    fn commits_reopened(
        &mut self,
        at: UnixMillis,
        statement: StatementDigest,
        epoch: EpochNumber,
        touched: &mut Touched,
    ) -> Result<(), EvolveError> {
        let missing = self.unopened(statement, epoch);
        if !self.sealed.move_to(statement, epoch, VotePhase::Committing) {
            return Err(EvolveError::Contradiction { what: "a vote reopened before it was over" });
        }
        let sealed = self.sealed.round_mut(statement, epoch);
        sealed.sittings = sealed.sittings.saturating_add(1);
        for operator in missing {
            sealed.commitments.remove(&operator);
            sealed.unreliable.insert(operator);
        }
        sealed.opened_before = sealed.commitments.keys().copied().collect();
        let SealedRound { unreliable, opened_before, .. } = sealed;
        unreliable.retain(|operator| !opened_before.contains(operator));
        self.round_mut(&statement, epoch)?.opened_at = at;
        touched.insert(self.statement(&statement)?.opened.job());
        Ok(())
    }
}
