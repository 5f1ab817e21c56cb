//! Quorums, batches and attestations.
//!
//! Votes come in through `sealed` and are tallied by `quorum`, per statement and epoch. Only statements with a quorum for valid
//! are batched; a batch that stays short of 2/3 is split by voter set, down to one statement, so
//! that one contested statement never sinks another.

use crate::batch::{Ballot, BatchPlan, Candidate, CertifiableStatement, plan_batches};
use crate::certificate::{Certificate, TrustedEpoch};
use crate::ids::{Address, BatchRoot, EpochNumber, JobId, StatementDigest};
use crate::network::fact::{BatchClose, Change};
use crate::network::input::Answer;
use crate::network::live::Timer;
use crate::network::refusal::Refusal;
use crate::network::state::{BatchStage, HoldReason, JobState, StatementStage, VotePhase};
use crate::network::{Network, Step};
use crate::quorum::is_quorum;
use crate::statement::Verdict;
use crate::units::Millis;
use crate::vote::VerifiedAttestation;

use super::streams::Waiting;

impl Network {
    pub(super) fn on_abstained(
        &mut self,
        step: &mut Step,
        operator: Address,
        epoch: EpochNumber,
        statement: StatementDigest,
        reason: String,
    ) -> Result<Answer, Refusal> {
        let book =
            self.state.statements.get(&statement).ok_or(Refusal::UnknownStatement(statement))?;
        let Some(round) = book.rounds.get(&epoch) else {
            return Err(Refusal::NoSuchRound { statement, epoch });
        };
        let member = self.state.epoch(epoch)?.table().index_of(operator);
        if member.is_none() {
            return Err(Refusal::NotInEpoch(operator));
        }
        let phase = self.state.sealed.phase(statement, epoch);
        if book.stage != (StatementStage::Voting { epoch }) || phase != VotePhase::Committing {
            return Ok(Answer::Late);
        }
        let sealed = self.state.sealed.round(statement, epoch);
        let committed = sealed.is_some_and(|known| known.commitments.contains_key(&operator));
        if committed || round.abstentions.contains_key(&operator) {
            return Ok(Answer::Done);
        }
        let job = book.opened.job();
        self.record(step, Change::Abstained { operator, epoch, statement, reason })?;
        self.live.dirty_jobs.insert(job);
        Ok(Answer::Done)
    }

    /// The next step of a statement: ask an epoch, take a quorum, repair, or hold.
    pub(super) fn advance_statement(
        &mut self,
        step: &mut Step,
        job: JobId,
        digest: StatementDigest,
    ) -> Result<(), Refusal> {
        let book = self.state.statement(&digest)?;
        match book.stage {
            StatementStage::Waiting => match self.state.newest_epoch() {
                Some(epoch) => self.open_voting(step, digest, epoch),
                None => Ok(()),
            },
            StatementStage::Voting { epoch } => {
                self.advance_commits(step, digest, epoch)?;
                let book = self.state.statement(&digest)?;
                let Some(round) = book.rounds.get(&epoch) else { return Ok(()) };
                if let Some(verdict) = round.tally.outcome() {
                    let statement = digest;
                    self.record(step, Change::QuorumReached { statement, epoch, verdict })?;
                    self.batches_may_be_full();
                    return Ok(());
                }
                if self.reopen_commits(step, digest, epoch)? {
                    return Ok(());
                }
                let Some(round) = self.state.statement(&digest)?.rounds.get(&epoch) else {
                    return Ok(());
                };
                let verifying = matches!(self.state.job(&job)?.state, JobState::Verifying { .. });
                let outstanding = self.may_still_vote(digest, epoch)?;
                if verifying && !round.tally.reachable(outstanding) {
                    let reason = self.why_unreachable(&digest, epoch)?;
                    return self.hold(step, job, reason);
                }
                Ok(())
            }
            // Its quorum needed somebody who was excluded since.
            StatementStage::Pending { epoch, .. } if self.lost_quorum(&digest, epoch) => {
                let newest = self.state.newest_epoch().unwrap_or(epoch);
                self.open_voting(step, digest, newest)
            }
            StatementStage::Refused => self.repair(step, job),
            _ => Ok(()),
        }
    }

    /// Whether a statement that had a quorum of an epoch for valid has it no more.
    fn lost_quorum(&self, digest: &StatementDigest, epoch: EpochNumber) -> bool {
        let round = self.state.statements.get(digest).and_then(|book| book.rounds.get(&epoch));
        round.is_some_and(|round| round.tally.outcome().is_none())
    }

    fn why_unreachable(
        &self,
        digest: &StatementDigest,
        epoch: EpochNumber,
    ) -> Result<HoldReason, Refusal> {
        let book = self.state.statement(digest)?;
        let Some(round) = book.rounds.get(&epoch) else { return Ok(HoldReason::NoEpoch) };
        let (tally, committed) = (&round.tally, self.committed(*digest, epoch));
        let phase = self.state.sealed.phase(*digest, epoch);
        let sealed = format!(
            "epoch {epoch}: committed {committed}, abstained {}, excluded {}, total {}",
            tally.abstained(),
            tally.excluded(),
            tally.total(),
        );
        let text = match phase {
            VotePhase::Committing => sealed,
            _ => format!(
                "{sealed}; opened: valid {}, invalid {}",
                tally.signed(Verdict::Valid),
                tally.signed(Verdict::Invalid),
            ),
        };
        let short = phase != VotePhase::Committing && !is_quorum(committed, tally.total());
        let first = round.abstentions.values().next();
        Ok(match first {
            Some(reason) => HoldReason::Unjudgeable(format!("{text}; {reason}")),
            None if short => HoldReason::QuorumUnreachable(text),
            None => HoldReason::Divided(text),
        })
    }

    /// Voting, or waiting for an epoch, took too long.
    pub(super) fn voting_overdue(
        &mut self,
        step: &mut Step,
        digest: StatementDigest,
        epoch: Option<EpochNumber>,
    ) -> Result<(), Refusal> {
        let Some(book) = self.state.statements.get(&digest) else { return Ok(()) };
        let job = book.opened.job();
        let state = self.state.jobs.get(&job).map(|job| &job.state);
        if !matches!(state, Some(JobState::Verifying { .. })) {
            return Ok(());
        }
        let reason = match (book.stage, epoch) {
            (StatementStage::Waiting, None) => HoldReason::NoEpoch,
            (StatementStage::Voting { epoch: current }, Some(epoch)) if current == epoch => {
                let timeout = Millis::new(self.config.vote_timeout_ms);
                let opened_at = book.rounds.get(&epoch).map(|round| round.opened_at);
                if opened_at.is_some_and(|at| step.now < at.after(timeout)) {
                    return Ok(());
                }
                match self.why_unreachable(&digest, epoch)? {
                    HoldReason::Divided(text) => HoldReason::QuorumUnreachable(text),
                    other => other,
                }
            }
            _ => return Ok(()),
        };
        self.hold(step, job, reason)
    }

    fn batches_may_be_full(&mut self) {
        if self.state.pending.len() >= self.config.batch_statements_max {
            self.live.batches_due = true;
        }
    }

    /// A statement with its quorum, as the batcher takes it.
    fn candidate(&self, digest: &StatementDigest, epoch: EpochNumber) -> Option<Candidate> {
        let book = self.state.statements.get(digest)?;
        let spec = &self.state.jobs.get(&book.opened.job())?.spec;
        let quorum = book.rounds.get(&epoch)?.tally.quorum()?;
        let ballot = Ballot::Job(book.opened.clone());
        let statement = CertifiableStatement::from_ballot(spec, &ballot).ok()?;
        Candidate::new(statement, quorum).ok()
    }

    /// Opens batches over pending statements: groups that are full or have waited long enough.
    pub(super) fn open_batches(&mut self, step: &mut Step) -> Result<(), Refusal> {
        let window = Millis::new(self.config.batch_window_ms);
        let mut waiting = Vec::new();
        let mut worn_out = Vec::new();
        for digest in &self.state.pending {
            let Some(book) = self.state.statements.get(digest) else { continue };
            let StatementStage::Pending { epoch, since, rounds } = book.stage else { continue };
            let job = book.opened.job();
            let Some(found) = self.state.jobs.get(&job) else { continue };
            let racing = found.state == JobState::Racing;
            if !racing && !matches!(found.state, JobState::Verifying { .. }) {
                continue;
            }
            if rounds >= self.config.attest_rounds_max {
                // A race is not held: its round ends by its chain's clock. It is tried again when a
                // verifier comes back or an epoch begins.
                if !racing {
                    worn_out.push((job, rounds));
                }
                continue;
            }
            let (sequence, group) = (found.spec.sequence, (found.spec.target, epoch));
            waiting.push(Waiting { digest: *digest, job, sequence, group, since });
        }
        for (job, rounds) in worn_out {
            let text = format!("{rounds} rounds of attestation stayed short of 2/3");
            self.hold(step, job, HoldReason::AttestationShort(text))?;
        }
        for ((_, epoch), (since, digests)) in self.in_order(waiting, step.now) {
            let full = digests.len() >= self.config.batch_statements_max;
            let due = since.after(window);
            if due > step.now && !full {
                self.live.arm(due, Timer::Batch);
                continue;
            }
            self.plan_group(step, epoch, &digests)?;
        }
        Ok(())
    }

    fn plan_group(
        &mut self,
        step: &mut Step,
        epoch: EpochNumber,
        digests: &[StatementDigest],
    ) -> Result<(), Refusal> {
        let mut together = Vec::new();
        let mut plans = Vec::new();
        for digest in digests {
            let Some(candidate) = self.candidate(digest, epoch) else { continue };
            // What stayed short on its own is tried on its own, or it would sink the others.
            let alone = matches!(
                self.stage(digest),
                Some(StatementStage::Pending { rounds, .. }) if rounds > 0
            );
            if alone {
                plans.extend(plan_batches(self.state.epoch(epoch)?.table(), &[candidate]));
            } else {
                together.push(candidate);
            }
        }
        plans.extend(plan_batches(self.state.epoch(epoch)?.table(), &together));
        for plan in plans {
            self.open_in_order(step, &plan)?;
        }
        Ok(())
    }

    pub(super) fn open_batch(&mut self, step: &mut Step, plan: &BatchPlan) -> Result<(), Refusal> {
        let named = plan.attestation();
        let statements: Vec<StatementDigest> =
            plan.batch().leaves().iter().map(|leaf| leaf.statement).collect();
        let rounds = match (statements.as_slice(), statements.first()) {
            ([_], Some(only)) => match self.stage(only) {
                Some(StatementStage::Pending { rounds, .. }) => rounds,
                _ => 0,
            },
            _ => 0,
        };
        let (root, target, epoch) = (named.root, named.target, named.epoch);
        let round = rounds + 1;
        self.record(step, Change::BatchOpened { root, target, epoch, statements, round })?;
        step.effects.extend(self.attestation_effect(&root, None));
        Ok(())
    }

    pub(super) fn on_attestation(
        &mut self,
        step: &mut Step,
        attestation: VerifiedAttestation,
    ) -> Result<Answer, Refusal> {
        let root = attestation.attestation().root;
        let book = self.state.batches.get(&root).ok_or(Refusal::UnknownBatch(root))?;
        if attestation.attestation().epoch < book.epoch {
            // The same statements were batched in an older epoch too; it answers for that batch.
            return Ok(Answer::Late);
        }
        if attestation.attestation() != book.tally.attestation() {
            let text = "the attestation names another target, epoch or count than its batch";
            return Err(Refusal::Miscounted(text.into()));
        }
        let excluded = self.state.excluded_from(book.epoch).contains(attestation.member());
        // Whoever has no counted vote on every leaf signs nothing that is paid. One who voted
        // otherwise proves something against itself.
        let voted = book.common.contains(attestation.member())
            || self.state.contradicts_itself(book, attestation.operator());
        if book.stage != BatchStage::Open || excluded || !voted {
            return Ok(Answer::Late);
        }
        let contradicting = book.contradicting.contains_key(&attestation.operator());
        if contradicting || book.tally.signers().contains(attestation.member()) {
            return Ok(Answer::Done);
        }
        let was_complete = book.tally.is_complete();
        let round = book.round;
        self.record(step, Change::AttestationRecorded { attestation })?;
        let complete = self.state.batches.get(&root).is_some_and(|book| book.tally.is_complete());
        if complete && !was_complete {
            let linger = Millis::new(self.config.attest_linger_ms);
            self.live.arm(step.now.after(linger), Timer::Linger(root, round));
        }
        self.live.dirty_batches.insert(root);
        Ok(Answer::Done)
    }

    pub(super) fn on_attestation_refused(
        &mut self,
        step: &mut Step,
        operator: Address,
        root: BatchRoot,
        positions: Vec<u32>,
    ) -> Result<Answer, Refusal> {
        let book = self.state.batches.get(&root).ok_or(Refusal::UnknownBatch(root))?;
        if book.stage != BatchStage::Open {
            return Ok(Answer::Late);
        }
        let member = self.state.epoch(book.epoch)?.table().index_of(operator);
        let Some(member) = member else { return Err(Refusal::NotInEpoch(operator)) };
        let leaves = book.batch.count();
        let ascending = positions.windows(2).all(|pair| pair.first() < pair.last());
        let inside = positions.last().is_some_and(|last| *last < leaves);
        if !ascending || !inside {
            return Err(Refusal::BadPositions { leaves });
        }
        if book.answered.contains(member) {
            return Ok(Answer::Done);
        }
        self.record(step, Change::AttestationRefused { operator, root, positions })?;
        self.live.dirty_batches.insert(root);
        Ok(Answer::Done)
    }

    /// Certifies a batch that everyone answered, splits one that cannot reach 2/3 any more.
    pub(super) fn advance_batch(
        &mut self,
        step: &mut Step,
        root: BatchRoot,
    ) -> Result<(), Refusal> {
        let Some(book) = self.state.batches.get(&root) else { return Ok(()) };
        if book.stage != BatchStage::Open {
            return Ok(());
        }
        let epoch = book.epoch;
        let statements = book.batch.leaves().iter().map(|leaf| leaf.statement);
        let lost: Vec<StatementDigest> =
            statements.filter(|digest| self.lost_quorum(digest, epoch)).collect();
        if !lost.is_empty() {
            self.record(step, Change::BatchClosed { root, close: BatchClose::Excluded })?;
            for digest in lost {
                self.live.dirty_jobs.insert(self.state.statement(&digest)?.opened.job());
            }
            return Ok(());
        }
        let all_answered = book.common.intersection(&book.answered) == book.common;
        let (complete, reachable) = (book.tally.is_complete(), book.tally.reachable());
        if complete && all_answered {
            return self.certify(step, root);
        }
        if !complete && (all_answered || !reachable) {
            return self.split(step, root);
        }
        Ok(())
    }

    /// The time of a batch is over: it is certified as it is, or split.
    pub(super) fn batch_overdue(
        &mut self,
        step: &mut Step,
        root: BatchRoot,
        round: u32,
    ) -> Result<(), Refusal> {
        let Some(book) = self.state.batches.get(&root) else { return Ok(()) };
        if book.stage != BatchStage::Open || book.round != round {
            return Ok(());
        }
        if book.tally.is_complete() { self.certify(step, root) } else { self.split(step, root) }
    }

    fn certify(&mut self, step: &mut Step, root: BatchRoot) -> Result<(), Refusal> {
        let Some(book) = self.state.batches.get(&root) else { return Ok(()) };
        let keys = self.state.epoch(book.epoch)?;
        let broken = |source| Refusal::BrokenCertificate { root, source };
        let certificate = Certificate::assemble(keys, &book.batch, &book.tally).map_err(broken)?;
        // Once, before anybody gets it: an aggregate of checked signatures always holds.
        certificate.verify(keys.table(), TrustedEpoch::NotAnchored).map_err(broken)?;
        let id = certificate.id();
        self.record(step, Change::BatchCertified { root, id, certificate })?;
        step.effects.extend(self.certificate_effect(&id));
        Ok(())
    }

    fn split(&mut self, step: &mut Step, root: BatchRoot) -> Result<(), Refusal> {
        let Some(book) = self.state.batches.get(&root) else { return Ok(()) };
        let epoch = book.epoch;
        let close = if book.refused.is_empty() { BatchClose::Split } else { BatchClose::Contested };
        let digests: Vec<StatementDigest> =
            book.batch.leaves().iter().map(|leaf| leaf.statement).collect();
        self.record(step, Change::BatchClosed { root, close })?;
        if digests.len() < 2 {
            return Ok(());
        }
        // What is left of the batch: jobs may have ended meanwhile.
        let candidates: Vec<Candidate> = digests
            .iter()
            .filter(|digest| self.state.pending.contains(digest))
            .filter_map(|digest| self.candidate(digest, epoch))
            .collect();
        let plans = plan_batches(self.state.epoch(epoch)?.table(), &candidates);
        for plan in plans {
            match plan.split() {
                Some(parts) if plan.candidates().len() == digests.len() => {
                    for part in parts {
                        self.open_in_order(step, &part)?;
                    }
                }
                _ => self.open_in_order(step, &plan)?,
            }
        }
        Ok(())
    }
}
