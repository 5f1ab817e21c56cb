//! Sealed votes: who committed, when the commit phase ends, and which votes open what was committed.
//!
//! Until the commit set stands no vote is taken at all, so that there is no tally that anybody could
//! copy from. A vote counts if it opens its voter's commitment in the set before the reveal phase is
//! over; any other is kept as evidence.

use crate::epoch::MemberSet;
use crate::ids::{Address, EpochNumber, MemberIndex, StatementDigest};
use crate::limits::SITTINGS_MAX;
use crate::network::effect::{Effect, Peer};
use crate::network::fact::Change;
use crate::network::input::{Answer, InvalidDetail};
use crate::network::live::Timer;
use crate::network::refusal::Refusal;
use crate::network::state::{Round, SealedRound, StatementStage, VotePhase};
use crate::network::{Network, Step};
use crate::quorum::is_quorum;
use crate::sealed::{Salt, SealedVote, commitment_to};
use crate::statement::Verdict;
use crate::units::{Millis, Stake, UnixMillis};
use crate::vote::VerifiedVote;

/// How far the commit phase of a vote is.
struct Commits {
    /// Stake that committed, in earlier sittings too.
    committed: Stake,
    /// Whether anybody committed in this sitting.
    any: bool,
    /// Members that neither committed nor abstained.
    silent: bool,
    abstained: bool,
    /// Whether those who are relied on and committed are two thirds.
    quorum: bool,
}

impl Commits {
    /// Whether the phase may close without those who are missing.
    const fn suffice(&self) -> bool {
        self.any && self.quorum
    }
}

impl Network {
    pub(super) fn on_commit(
        &mut self,
        step: &mut Step,
        sealed: SealedVote,
    ) -> Result<Answer, Refusal> {
        let SealedVote { operator, epoch, statement, commitment, .. } = sealed;
        let book =
            self.state.statements.get(&statement).ok_or(Refusal::UnknownStatement(statement))?;
        let Some(round) = book.rounds.get(&epoch) else {
            return Err(Refusal::NoSuchRound { statement, epoch });
        };
        if round.tally.table() != sealed.table {
            let text = "the commitment names another table of its epoch";
            return Err(Refusal::Miscounted(text.into()));
        }
        let Some(member) = self.state.epoch(epoch)?.table().index_of(operator) else {
            return Err(Refusal::NotInEpoch(operator));
        };
        let known = self.state.sealed.round(statement, epoch);
        match known.and_then(|known| known.commitments.get(&operator)) {
            Some(known) if *known == commitment => return Ok(Answer::Done),
            Some(_) => return Err(Refusal::CommittedOtherwise { statement, epoch }),
            None => {}
        }
        let open = self.state.sealed.phase(statement, epoch) == VotePhase::Committing
            && book.stage == (StatementStage::Voting { epoch });
        if !open || self.state.excluded_from(epoch).contains(member) {
            return Ok(Answer::Late);
        }
        let job = book.opened.job();
        let before = self.commits(statement, epoch)?.suffice();
        self.record(step, Change::CommitmentRecorded { sealed })?;
        if !before && self.commits(statement, epoch)?.suffice() {
            let linger = Millis::new(self.config.commit_linger_ms);
            self.live.arm(step.now.after(linger), Timer::Commits(statement, epoch));
        }
        self.live.dirty_jobs.insert(job);
        Ok(Answer::Done)
    }

    fn commits(&self, statement: StatementDigest, epoch: EpochNumber) -> Result<Commits, Refusal> {
        let table = self.state.epoch(epoch)?.table();
        let excluded = self.state.excluded_from(epoch);
        let round = self.state.statement(&statement)?.rounds.get(&epoch);
        let sealed = self.state.sealed.round(statement, epoch);
        let any = sealed.is_some_and(|sealed| sealed.sitting().next().is_some());
        let relied_on = self.relied_on(statement, epoch)?;
        let (mut committed, mut counted) = (MemberSet::EMPTY, MemberSet::EMPTY);
        let (mut silent, mut abstained) = (false, false);
        for (index, member) in table.indices().zip(table.members()) {
            let (operator, waited) = (&member.operator, relied_on.contains(index));
            if excluded.contains(index) {
                continue;
            }
            if sealed.is_some_and(|sealed| sealed.commitments.contains_key(operator)) {
                committed.insert(index);
                if waited {
                    counted.insert(index);
                }
                continue;
            }
            // Who left a commitment unopened may have been cut off, and has its time again.
            let left = sealed.is_some_and(|sealed| sealed.unreliable.contains(operator));
            let unable = round.is_some_and(|round| round.abstentions.contains_key(operator));
            abstained |= waited && unable && !left;
            silent |= waited && (!unable || left);
        }
        let quorum = is_quorum(table.stake_of(&counted), table.total());
        let committed = table.stake_of(&committed);
        Ok(Commits { committed, any, silent, abstained, quorum })
    }

    /// The members whose commitments close the phase: those who never left one unopened, if they
    /// alone could decide; else everybody, as when the dispatcher was cut off from all of them.
    fn relied_on(
        &self,
        statement: StatementDigest,
        epoch: EpochNumber,
    ) -> Result<MemberSet, Refusal> {
        let table = self.state.epoch(epoch)?.table();
        let excluded = self.state.excluded_from(epoch);
        let sealed = self.state.sealed.round(statement, epoch);
        let unreliable = |operator| sealed.is_some_and(|s| s.unreliable.contains(operator));
        let (mut all, mut reliable) = (MemberSet::EMPTY, MemberSet::EMPTY);
        for (index, member) in table.indices().zip(table.members()) {
            if excluded.contains(index) {
                continue;
            }
            all.insert(index);
            if !unreliable(&member.operator) {
                reliable.insert(index);
            }
        }
        let enough = is_quorum(table.stake_of(&reliable), table.total());
        Ok(if enough { reliable } else { all })
    }

    /// The stake behind the commitments of a vote.
    pub(in crate::network) fn committed(
        &self,
        statement: StatementDigest,
        epoch: EpochNumber,
    ) -> Stake {
        self.commits(statement, epoch).map_or(Stake::ZERO, |commits| commits.committed)
    }

    /// Closes the commit phase when nobody is left to wait for.
    pub(super) fn advance_commits(
        &mut self,
        step: &mut Step,
        statement: StatementDigest,
        epoch: EpochNumber,
    ) -> Result<(), Refusal> {
        if self.state.sealed.phase(statement, epoch) != VotePhase::Committing {
            return Ok(());
        }
        let commits = self.commits(statement, epoch)?;
        // Who abstained may still judge after all: without two thirds it is waited for.
        let all = !commits.silent && (commits.quorum || !commits.abstained);
        if all && commits.any {
            self.close_commits(step, statement, epoch)?;
        }
        Ok(())
    }

    /// The epoch of the vote on a statement and when it was opened, while its commit phase is.
    fn open_commits(&self, statement: StatementDigest, epoch: EpochNumber) -> Option<UnixMillis> {
        let book = self.state.statements.get(&statement)?;
        let open = book.stage == (StatementStage::Voting { epoch })
            && self.state.sealed.phase(statement, epoch) == VotePhase::Committing;
        book.rounds.get(&epoch).filter(|_| open).map(|round| round.opened_at)
    }

    /// Two thirds have committed, and the others had their time.
    pub(super) fn commits_lingered(
        &mut self,
        step: &mut Step,
        statement: StatementDigest,
        epoch: EpochNumber,
    ) -> Result<(), Refusal> {
        if self.open_commits(statement, epoch).is_none() {
            return Ok(());
        }
        if self.commits(statement, epoch)?.suffice() {
            self.close_commits(step, statement, epoch)?;
        }
        Ok(())
    }

    /// The commit phase took as long as it may: it closes with whoever committed. Without anybody
    /// there is nothing to open, and the phase begins anew.
    pub(super) fn commits_capped(
        &mut self,
        step: &mut Step,
        statement: StatementDigest,
        epoch: EpochNumber,
    ) -> Result<(), Refusal> {
        let cap = Millis::new(self.config.commit_cap_ms);
        let opened_at = self.open_commits(statement, epoch);
        if opened_at.is_none_or(|at| step.now < at.after(cap)) {
            return Ok(());
        }
        if self.commits(statement, epoch)?.any {
            return self.close_commits(step, statement, epoch);
        }
        self.live.arm(step.now.after(cap), Timer::CommitCap(statement, epoch));
        Ok(())
    }

    fn close_commits(
        &mut self,
        step: &mut Step,
        statement: StatementDigest,
        epoch: EpochNumber,
    ) -> Result<(), Refusal> {
        self.record(step, Change::CommitsClosed { statement, epoch })?;
        step.effects.extend(self.reveal_effect(statement, epoch, None));
        Ok(())
    }

    /// Opens another sitting where a commit set was opened, decided nothing, and those without a vote
    /// could still decide. Says whether it did.
    pub(super) fn reopen_commits(
        &mut self,
        step: &mut Step,
        statement: StatementDigest,
        epoch: EpochNumber,
    ) -> Result<bool, Refusal> {
        let sealed = self.state.sealed.round(statement, epoch);
        let due = |sealed: &&SealedRound| {
            sealed.phase == VotePhase::Over && sealed.sittings < SITTINGS_MAX
        };
        let round = self.state.statement(&statement)?.rounds.get(&epoch);
        let (Some(_), Some(round)) = (sealed.filter(due), round) else { return Ok(false) };
        let table = self.state.epoch(epoch)?.table();
        let excluded = self.state.excluded_from(epoch);
        let without = |index: &MemberIndex| {
            round.tally.vote_of(*index).is_none() && !excluded.contains(*index)
        };
        let rest = table.stake_of(&table.indices().filter(without).collect());
        if !round.tally.reachable(rest) {
            return Ok(false);
        }
        self.record(step, Change::CommitsReopened { statement, epoch })?;
        step.effects.extend(self.voting_effect(&statement, None));
        Ok(true)
    }

    /// Asks for the votes of a commit set: everyone connected, or one verifier that came back.
    pub(super) fn reveal_effect(
        &self,
        statement: StatementDigest,
        epoch: EpochNumber,
        only: Option<Peer>,
    ) -> Option<Effect> {
        if !matches!(self.state.sealed.phase(statement, epoch), VotePhase::Revealing { .. }) {
            return None;
        }
        let unopened = self.state.unopened(statement, epoch);
        let asked = |address: &Address| {
            let session = *self.live.verifiers.get(address)?;
            let peer = Peer { address: *address, session };
            only.is_none_or(|only| only == peer).then_some(peer)
        };
        let verifiers: Vec<Peer> = unopened.iter().filter_map(asked).collect();
        if verifiers.is_empty() {
            return None;
        }
        Some(Effect::OpenReveal { verifiers, set: self.state.commit_set(statement, epoch)? })
    }

    pub(super) fn on_vote(
        &mut self,
        step: &mut Step,
        vote: VerifiedVote,
        detail: Option<InvalidDetail>,
        salt: &Salt,
    ) -> Result<Answer, Refusal> {
        let cast = *vote.vote();
        let (statement, epoch) = (cast.statement, cast.epoch);
        let book =
            self.state.statements.get(&statement).ok_or(Refusal::UnknownStatement(statement))?;
        let num_segments = book.opened.statement.num_segments;
        if cast.verdict == Verdict::Invalid
            && detail.as_ref().is_none_or(|detail| detail.segment >= num_segments)
        {
            return Err(Refusal::BadDetail { num_segments });
        }
        let Some(round) = book.rounds.get(&epoch) else {
            return Err(Refusal::NoSuchRound { statement, epoch });
        };
        if round.tally.table() != cast.table {
            return Err(Refusal::Miscounted("the vote names another table of its epoch".into()));
        }
        let phase = self.state.sealed.phase(statement, epoch);
        if phase == VotePhase::Committing && book.stage == (StatementStage::Voting { epoch }) {
            return Err(Refusal::StillSealed { statement, epoch });
        }
        if self.is_said(&vote, round) {
            return Ok(Answer::Done);
        }
        let excluded = self.state.excluded_from(epoch).contains(vote.member());
        let counts = matches!(phase, VotePhase::Revealing { .. }) && self.opens(&vote, salt);
        let job = book.opened.job();
        if counts {
            self.record(step, Change::VoteRecorded { vote, detail })?;
        } else if !self.is_kept_late(&vote) {
            self.record(step, Change::LateVoteRecorded { vote })?;
        }
        self.live.dirty_jobs.insert(job);
        Ok(if counts && !excluded { Answer::Done } else { Answer::Late })
    }

    /// Whether a vote repeats what counts already, or a contradiction that is kept already.
    fn is_said(&self, vote: &VerifiedVote, round: &Round) -> bool {
        let (cast, operator) = (vote.vote(), vote.operator());
        let repeated = round.tally.vote_of(vote.member());
        let whose = (cast.epoch, operator);
        let otherwise = || self.state.said_otherwise(&cast.statement, whose, cast.verdict);
        let proven = || round.tally.evidence().any(|known| known.second.operator == operator);
        repeated.is_some_and(|known| known.vote().verdict == cast.verdict)
            || (otherwise().is_some() && proven())
    }

    fn is_kept_late(&self, vote: &VerifiedVote) -> bool {
        let cast = vote.vote();
        let sealed = self.state.sealed.round(cast.statement, cast.epoch);
        let known = sealed.and_then(|sealed| sealed.late.get(&vote.operator()));
        known.is_some_and(|known| known.vote().verdict == cast.verdict)
    }

    /// Whether a vote opens its voter's commitment in the commit set.
    fn opens(&self, vote: &VerifiedVote, salt: &Salt) -> bool {
        let (cast, operator) = (vote.vote(), vote.operator());
        let sealed = self.state.sealed.round(cast.statement, cast.epoch);
        let committed = sealed.and_then(|sealed| sealed.commitments.get(&operator));
        let keys = self.state.epochs.get(&cast.epoch);
        let opened = keys.map(|keys| commitment_to(keys.table().network(), vote.signed(), salt));
        opened.is_some() && committed.copied() == opened
    }

    /// The reveal phase of a vote took too long: who opened nothing abstained.
    pub(super) fn reveals_overdue(
        &mut self,
        step: &mut Step,
        statement: StatementDigest,
        epoch: EpochNumber,
    ) -> Result<(), Refusal> {
        let VotePhase::Revealing { since } = self.state.sealed.phase(statement, epoch) else {
            return Ok(());
        };
        if step.now < since.after(Millis::new(self.config.reveal_cap_ms)) {
            return Ok(());
        }
        self.record(step, Change::RevealsClosed { statement, epoch })
    }

    /// The stake that may still vote: before the commit set stands everybody's who said nothing,
    /// then that of the set.
    pub(super) fn may_still_vote(
        &self,
        statement: StatementDigest,
        epoch: EpochNumber,
    ) -> Result<Stake, Refusal> {
        let round = self.state.statement(&statement)?.rounds.get(&epoch);
        Ok(match self.state.sealed.phase(statement, epoch) {
            VotePhase::Committing => round.map_or(Stake::ZERO, |round| round.tally.outstanding()),
            VotePhase::Revealing { .. } => {
                let table = self.state.epoch(epoch)?.table();
                let excluded = self.state.excluded_from(epoch);
                let unopened = self.state.unopened(statement, epoch);
                let members = unopened.iter().filter_map(|operator| table.index_of(*operator));
                table.stake_of(&members.filter(|index| !excluded.contains(*index)).collect())
            }
            VotePhase::Over => Stake::ZERO,
        })
    }

    /// Arms what a restart forgot about phases. Whoever was cut off has a full span again.
    pub(super) fn resume_phases(&mut self, now: UnixMillis) {
        let linger = now.after(Millis::new(self.config.commit_linger_ms));
        let cap = now.after(Millis::new(self.config.commit_cap_ms));
        for digest in &self.state.voting {
            let book = self.state.statements.get(digest);
            let Some(StatementStage::Voting { epoch }) = book.map(|book| book.stage) else {
                continue;
            };
            if self.state.sealed.phase(*digest, epoch) == VotePhase::Committing {
                // The first does nothing without two thirds.
                self.live.arm(linger, Timer::Commits(*digest, epoch));
                self.live.arm(cap, Timer::CommitCap(*digest, epoch));
            }
        }
        let reveal = now.after(Millis::new(self.config.reveal_cap_ms));
        for (digest, epoch) in self.state.sealed.revealing() {
            self.live.arm(reveal, Timer::Reveals(digest, epoch));
        }
    }
}
