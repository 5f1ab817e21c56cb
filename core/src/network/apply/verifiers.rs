//! Verifiers and epochs: who is asked to vote, and when a table replaces another.

use crate::epoch::{EpochKeys, MemberSet};
use crate::ids::{Address, EpochNumber, JobId, SessionId, StatementDigest};
use crate::network::effect::{AttestationRequest, Effect, Peer};
use crate::network::fact::{BatchClose, Change};
use crate::network::input::{Answer, SubmissionSubject};
use crate::network::live::Timer;
use crate::network::refusal::Refusal;
use crate::network::state::{EntryStage, JobState, StatementBook, StatementStage, VotePhase};
use crate::network::{Network, Step};

impl Network {
    /// Connected verifiers that count: those of an epoch, or of the newest.
    pub(super) fn connected_members(&self, epoch: Option<EpochNumber>) -> Vec<Peer> {
        let Some(epoch) = epoch.or_else(|| self.state.newest_epoch()) else { return Vec::new() };
        let Some(keys) = self.state.epochs.get(&epoch) else { return Vec::new() };
        let excluded = self.state.excluded_from(epoch);
        let counts = |operator: &Address| {
            keys.table().index_of(*operator).is_some_and(|index| !excluded.contains(index))
        };
        self.live
            .verifiers
            .iter()
            .filter(|(operator, _)| counts(operator))
            .map(|(address, session)| Peer { address: *address, session: *session })
            .collect()
    }

    /// Epochs whose members may log in: the newest and the one before it.
    fn live_epochs(&self) -> impl Iterator<Item = &EpochKeys> {
        self.state.epochs.values().rev().take(2)
    }

    pub(super) fn on_verifier_connected(
        &mut self,
        step: &mut Step,
        operator: Address,
        session: SessionId,
    ) -> Result<Answer, Refusal> {
        if !self.live_epochs().any(|keys| keys.table().index_of(operator).is_some()) {
            return Err(Refusal::NotInEpoch(operator));
        }
        let peer = Peer { address: operator, session };
        if let Some(old) = self.live.verifiers.insert(operator, session)
            && old != session
        {
            let old = Peer { address: operator, session: old };
            step.effects.push(Effect::CloseSession { peer: old });
        }
        let voting: Vec<StatementDigest> = self.state.voting.iter().copied().collect();
        for digest in voting {
            step.effects.extend(self.voting_effect(&digest, Some(peer)));
        }
        for (digest, epoch) in self.state.sealed.revealing() {
            step.effects.extend(self.reveal_effect(digest, epoch, Some(peer)));
        }
        for root in &self.state.open_batches {
            let Some(book) = self.state.batches.get(root) else { continue };
            let Ok(keys) = self.state.epoch(book.epoch) else { continue };
            let asked = keys
                .table()
                .index_of(operator)
                .is_some_and(|index| book.common.contains(index) && !book.answered.contains(index));
            if asked {
                step.effects.extend(self.attestation_effect(root, Some(peer)));
            }
        }
        self.resume_short(step)?;
        Ok(Answer::Done)
    }

    /// Gives statements that too few attested another chance, now that one more verifier is there.
    fn resume_short(&mut self, step: &mut Step) -> Result<(), Refusal> {
        let pending: Vec<StatementDigest> = self.state.pending.iter().copied().collect();
        for digest in pending {
            let book = self.state.statement(&digest)?;
            let job = book.opened.job();
            if let StatementStage::Pending { epoch, rounds, .. } = book.stage
                && rounds >= self.config.attest_rounds_max
                && self.state.is_race(&job)
            {
                // Its votes stand, so it is pending again at once, with its rounds before it.
                self.record(step, Change::VotingOpened { statement: digest, epoch })?;
            }
            if matches!(self.state.job(&job)?.state, JobState::Held { .. }) {
                let reason = "a verifier came back".to_owned();
                self.record(step, Change::JobResumed { job, reason })?;
            }
        }
        Ok(())
    }

    /// Connected members of an epoch that have neither committed nor voted on a statement in it.
    fn silent_members(&self, book: &StatementBook, epoch: EpochNumber) -> Vec<Peer> {
        let Some(round) = book.rounds.get(&epoch) else { return Vec::new() };
        let sealed = self.state.sealed.round(round.tally.statement(), epoch);
        let spoke = |peer: &Peer| {
            sealed.is_some_and(|sealed| sealed.commitments.contains_key(&peer.address))
                || round.tally.votes().any(|v| v.operator() == peer.address)
        };
        let mut verifiers = self.connected_members(Some(epoch));
        verifiers.retain(|peer| !spoke(peer));
        verifiers
    }

    /// Spares verifiers the rest of their work on a statement that is about to leave voting for
    /// good. Call before the fact that takes it out.
    pub(super) fn withdraw_statement(&self, step: &mut Step, job: JobId, reason: &str) {
        let newest = self.state.jobs.get(&job).and_then(|job| job.statement);
        let raced = self.state.races.book(&job).into_iter().flat_map(|book| book.entries());
        let judged = raced.filter(|(_, _, entry)| entry.stage == EntryStage::Judging);
        for statement in newest.into_iter().chain(judged.map(|(_, _, entry)| entry.statement)) {
            self.withdraw(step, statement, reason);
        }
    }

    /// As [`Self::withdraw_statement`], of one statement.
    fn withdraw(&self, step: &mut Step, statement: StatementDigest, reason: &str) {
        let Some(book) = self.state.statements.get(&statement) else { return };
        let epoch = match book.stage {
            StatementStage::Voting { epoch } => Some(epoch),
            // Refused by a quorum; the newest round decided.
            StatementStage::Refused => book.rounds.keys().next_back().copied(),
            _ => None,
        };
        let verifiers = epoch.map_or_else(Vec::new, |epoch| self.silent_members(book, epoch));
        if !verifiers.is_empty() {
            let reason = reason.to_owned();
            step.effects.push(Effect::WithdrawStatement { verifiers, statement, reason });
        }
    }

    /// Asks for commitments to votes on a statement: everyone connected, or one verifier that came
    /// back. Once the commit set stands nobody is asked any more.
    pub(super) fn voting_effect(
        &self,
        digest: &StatementDigest,
        only: Option<Peer>,
    ) -> Option<Effect> {
        let book = self.state.statements.get(digest)?;
        let StatementStage::Voting { epoch } = book.stage else { return None };
        if self.state.sealed.phase(*digest, epoch) != VotePhase::Committing {
            return None;
        }
        let keys = self.state.epochs.get(&epoch)?;
        let mut verifiers = self.silent_members(book, epoch);
        verifiers.retain(|peer| only.is_none_or(|only| only == *peer));
        if verifiers.is_empty() {
            return None;
        }
        Some(Effect::OpenVoting {
            verifiers,
            epoch,
            table: keys.table().digest(),
            digest: *digest,
            opened: book.opened.clone(),
            spec: self.state.jobs.get(&book.opened.job())?.spec.clone(),
        })
    }

    /// Asks for attestations of a batch: everyone who voted for every leaf and has not answered.
    pub(super) fn attestation_effect(
        &self,
        root: &crate::ids::BatchRoot,
        only: Option<Peer>,
    ) -> Option<Effect> {
        let book = self.state.batches.get(root)?;
        let table = self.state.epochs.get(&book.epoch)?.table();
        let mut verifiers = self.connected_members(Some(book.epoch));
        verifiers.retain(|peer| {
            only.is_none_or(|only| only == *peer)
                && table.index_of(peer.address).is_some_and(|index| {
                    book.common.contains(index) && !book.answered.contains(index)
                })
        });
        if verifiers.is_empty() {
            return None;
        }
        let request = AttestationRequest {
            target: book.target,
            epoch: book.epoch,
            table: table.digest(),
            leaves: book.batch.leaves().to_vec(),
            root: *root,
        };
        Some(Effect::RequestAttestation { verifiers, request })
    }

    pub(super) fn on_epoch(&mut self, step: &mut Step, keys: EpochKeys) -> Result<Answer, Refusal> {
        let table = keys.table();
        let number = table.epoch();
        let (expected, got) = (self.config.home_chain, table.network().home_chain);
        if expected != got {
            return Err(Refusal::WrongTable { expected, got });
        }
        if let Some(known) = self.state.epochs.get(&number) {
            let same = known.table().digest() == table.digest();
            return if same { Ok(Answer::Done) } else { Err(Refusal::EpochConflict(number)) };
        }
        if self.state.newest_epoch().is_some_and(|newest| number < newest) {
            return Ok(Answer::Late);
        }
        self.record(step, Change::EpochRecorded { keys })?;
        // Whoever waits for an epoch, or could not conclude under the last one, starts over at once;
        // what still runs under the last one has until its grace is over.
        let voting: Vec<StatementDigest> = self.state.voting.iter().copied().collect();
        for digest in voting {
            let book = self.state.statement(&digest)?;
            let job = book.opened.job();
            let held = matches!(self.state.job(&job)?.state, JobState::Held { .. });
            if book.stage == StatementStage::Waiting {
                self.live.dirty_jobs.insert(job);
            } else if held {
                self.open_voting(step, digest, number)?;
            }
        }
        self.submit_old_ones_again(step, number);
        self.forget_epochs(step)?;
        Ok(Answer::Done)
    }

    /// Certificates of older epochs that are still to be sent are tried again now: the chain's next
    /// word that an epoch is over can be acted on, since there is one to vote under.
    fn submit_old_ones_again(&mut self, step: &Step, number: EpochNumber) {
        for id in &self.state.posting {
            let Some(book) = self.state.certificates.get(id) else { continue };
            if book.certificate.epoch < number {
                self.live.arm(step.now, Timer::Submit(SubmissionSubject::Certificate(*id)));
            }
        }
    }

    pub(super) fn on_excluded(
        &mut self,
        step: &mut Step,
        epoch: EpochNumber,
        members: MemberSet,
    ) -> Result<Answer, Refusal> {
        if !self.state.epochs.contains_key(&epoch) {
            let over = self.state.newest_epoch().is_some_and(|newest| epoch < newest);
            return if over { Ok(Answer::Late) } else { Err(Refusal::UnknownEpoch(epoch)) };
        }
        self.exclude(step, epoch, members)?;
        Ok(Answer::Done)
    }

    /// Takes members of a known epoch out of the count. What that undoes (quorums, batches) follows
    /// from the state.
    pub(super) fn exclude(
        &mut self,
        step: &mut Step,
        epoch: EpochNumber,
        members: MemberSet,
    ) -> Result<(), Refusal> {
        let table = self.state.epoch(epoch)?.table();
        let known = self.state.excluded_from(epoch);
        let members: MemberSet =
            table.indices().filter(|i| members.contains(*i) && !known.contains(*i)).collect();
        if members.is_empty() {
            return Ok(());
        }
        self.record(step, Change::MembersExcluded { epoch, members })?;
        self.live.dirty_batches.extend(self.state.open_batches.iter().copied());
        Ok(())
    }

    pub(super) fn open_voting(
        &mut self,
        step: &mut Step,
        statement: StatementDigest,
        epoch: EpochNumber,
    ) -> Result<(), Refusal> {
        self.record(step, Change::VotingOpened { statement, epoch })?;
        step.effects.extend(self.voting_effect(&statement, None));
        Ok(())
    }

    /// The grace of the epochs before `number` is over: what they left open starts over under it.
    pub(super) fn epoch_over(
        &mut self,
        step: &mut Step,
        number: EpochNumber,
    ) -> Result<(), Refusal> {
        if self.state.newest_epoch() != Some(number) {
            return Ok(());
        }
        let batches: Vec<_> = self.state.open_batches.iter().copied().collect();
        for root in batches {
            let old = self.state.batches.get(&root).is_some_and(|book| book.epoch < number);
            if old {
                self.record(step, Change::BatchClosed { root, close: BatchClose::EpochOver })?;
            }
        }
        let open = self.state.voting.iter().chain(&self.state.pending);
        let open: Vec<StatementDigest> = open.copied().collect();
        for digest in open {
            let old = match self.stage(&digest) {
                Some(StatementStage::Voting { epoch } | StatementStage::Pending { epoch, .. }) => {
                    epoch < number
                }
                _ => false,
            };
            if old {
                self.open_voting(step, digest, number)?;
            }
        }
        self.submit_old_ones_again(step, number);
        Ok(())
    }
}
