//! Races: rounds as their chain tells of them, entries of provers, orders to judge them.
//!
//! Everything that is worth money is decided on-chain: who committed, who revealed, who won. Here a
//! revealed statement gets its verdict. Nothing of an entry is taken before `commit_until` by the
//! time of the chain's newest final block, so that no reveal can reach a prover that may still commit;
//! an entry's records may come before or after the word of its reveal. An entry whose proofs are not
//! there a grace after `reveal_until` is closed, and nobody votes on it. False proofs are judged like
//! good ones: the certificate of an invalid statement is what takes its prover's bond.

use std::collections::BTreeSet;

use crate::batch::Batch;
use crate::ids::{Address, BlobDigest, CertificateId, ChainId, JobId, StatementDigest};
use crate::job::{JobSpec, Origin};
use crate::network::effect::{Effect, Peer};
use crate::network::fact::{Change, EntryClose};
use crate::network::input::{Answer, ChainEvent, Provenance};
use crate::network::live::EARLY_ENTRIES_MAX;
use crate::network::refusal::Refusal;
use crate::network::state::{EntryStage, JobState, JobStateKind, Posting, RoundBook};
use crate::network::{Network, Step};
use crate::race::{
    PROOFS_GRACE_SECONDS, RACE_COMMITMENTS_MAX, RaceOffer, RaceRound, RaceStep, check_entry,
    is_race,
};
use crate::statement::OpenedStatement;
use crate::units::{ByteCount, UnixSeconds};

impl Network {
    /// Whether a job that asks for a race may be raced for.
    pub(super) fn check_raceable(&self, spec: &JobSpec) -> Result<(), Refusal> {
        if spec.origin != Origin::Contract {
            return Err(Refusal::UnsupportedMode(spec.mode));
        }
        if !self.config.prover_bound.contains(&spec.program) {
            return Err(Refusal::NotRaceable("the program's proofs are not bound to their prover"));
        }
        // A stream keeps certificates back, and a round does not wait.
        if spec.stream != 0 {
            return Err(Refusal::NotRaceable("a race cannot wait for its turn in a stream"));
        }
        Ok(())
    }

    pub(super) fn on_chain_head(
        &mut self,
        chain: ChainId,
        time: UnixSeconds,
    ) -> Result<Answer, Refusal> {
        // Of two oracles of a chain one may be behind.
        let known = self.live.chain_time.entry(chain).or_insert(time);
        *known = time.max(*known);
        self.live.dirty_jobs.extend(self.state.races.racing());
        Ok(Answer::Done)
    }

    /// The time of a job's chain, if its oracle told.
    pub(in crate::network) fn chain_time(&self, job: &JobId) -> Option<UnixSeconds> {
        let Provenance::Chain(created) = self.state.jobs.get(job)?.provenance else { return None };
        self.live.chain_time.get(&created.contract.chain).copied()
    }

    pub(super) fn on_race_news(
        &mut self,
        step: &mut Step,
        job: JobId,
        event: &ChainEvent,
        news: RaceStep,
    ) -> Result<Answer, Refusal> {
        let found = self.state.jobs.get(&job).ok_or(Refusal::UnknownJob(job))?;
        let created = match found.provenance {
            Provenance::Chain(created) if is_race(&found.spec) => created.contract,
            _ => return Err(Refusal::WrongContract(job)),
        };
        if created.chain != event.contract.chain {
            return Err(Refusal::WrongContract(job));
        }
        if found.state.kind().is_terminal() {
            return Ok(Answer::Late);
        }
        match news {
            RaceStep::Opened(round) => self.on_round_opened(step, job, round),
            RaceStep::Revealed { round, prover, statement } => {
                self.on_revealed(step, job, round, (prover, statement))
            }
            RaceStep::Closed { round, winners } => self.on_round_closed(step, job, round, winners),
            RaceStep::Settled { .. } if created != event.contract => {
                Err(Refusal::WrongContract(job))
            }
            RaceStep::Settled { statement } => {
                self.withdraw_statement(step, job, "its race is settled");
                self.live.early.retain(|(_, of), _| *of != job);
                self.record(step, Change::RaceSettled { job, statement, event: *event })?;
                Ok(Answer::Done)
            }
        }
    }

    fn on_round_opened(
        &mut self,
        step: &mut Step,
        job: JobId,
        round: RaceRound,
    ) -> Result<Answer, Refusal> {
        let newest = self.state.races.book(&job).and_then(|book| book.newest());
        if let Some(newest) = newest {
            if newest.opened == round {
                return Ok(Answer::Done);
            }
            if newest.opened.number >= round.number {
                return Ok(Answer::Late);
            }
            if newest.winners.is_none() {
                // Its end was not told; a next round says that nobody won.
                let number = newest.opened.number;
                self.close_round(step, job, number, 0)?;
            }
        }
        self.record(step, Change::RaceRoundOpened { job, round })?;
        self.offer_race(step, &job, None);
        Ok(Answer::Done)
    }

    fn round_of(&self, job: JobId, round: u8) -> Result<&RoundBook, Refusal> {
        let book = self.state.races.book(&job).and_then(|book| book.rounds.get(&round));
        book.ok_or(Refusal::NoRaceRound { job, round })
    }

    fn on_revealed(
        &mut self,
        step: &mut Step,
        job: JobId,
        round: u8,
        (prover, statement): (Address, StatementDigest),
    ) -> Result<Answer, Refusal> {
        let book = self.round_of(job, round)?;
        if book.entries.contains_key(&prover) {
            return Ok(Answer::Done);
        }
        if book.winners.is_some() {
            return Ok(Answer::Late);
        }
        if book.entries.len() >= RACE_COMMITMENTS_MAX {
            return Err(Refusal::NoRaceRound { job, round });
        }
        self.record(step, Change::RaceRevealed { job, round, prover, statement })?;
        let Some(opened) = self.live.early.remove(&(prover, job)) else {
            return Ok(Answer::Done);
        };
        // Announced before: it is in, unless it is of another round or another statement.
        let attempt = u64::from(opened.statement.attempt.get());
        if opened.statement.digest() == statement && attempt == u64::from(round) {
            self.record(step, Change::RaceEntered { job, round, prover, opened })?;
            if let Some(session) = self.live.provers.get(&prover) {
                let prover = Peer { address: prover, session: session.session };
                step.effects.push(Effect::TakeRaceProofs { prover, job, statement });
            }
        }
        Ok(Answer::Done)
    }

    fn on_round_closed(
        &mut self,
        step: &mut Step,
        job: JobId,
        round: u8,
        winners: u32,
    ) -> Result<Answer, Refusal> {
        if self.round_of(job, round)?.winners.is_some() {
            return Ok(Answer::Done);
        }
        self.close_round(step, job, round, winners)?;
        Ok(Answer::Done)
    }

    fn close_round(
        &mut self,
        step: &mut Step,
        job: JobId,
        round: u8,
        winners: u32,
    ) -> Result<(), Refusal> {
        self.withdraw_statement(step, job, "its round is over");
        self.live.early.retain(|(_, of), _| *of != job);
        self.record(step, Change::RaceRoundClosed { job, round, winners })
    }

    pub(super) fn on_race_entry(
        &mut self,
        step: &mut Step,
        prover: Address,
        opened: OpenedStatement,
    ) -> Result<Answer, Refusal> {
        let job = opened.job();
        let found = self.state.jobs.get(&job).ok_or(Refusal::UnknownJob(job))?;
        let not_taken = |why: String| Refusal::EntryNotTaken { job, why };
        let plan = match (&found.state, &found.plan) {
            (JobState::Racing, Some(plan)) => plan,
            (state, _) => return Err(Refusal::JobBeyond { job, state: state.kind() }),
        };
        let open = self.state.races.book(&job).and_then(|book| book.open());
        let Some(book) = open else {
            return Err(not_taken("no round is open; wait for the next offer".into()));
        };
        let (round, until) = (book.opened.number, book.opened.commit_until);
        let Some(time) = self.chain_time(&job) else {
            return Err(not_taken("the chain's time is not known yet; say it again later".into()));
        };
        if time < until {
            let text = format!(
                "round {round} takes commitments until {until}, its chain's newest \
                                final block is of {time}; say it again later"
            );
            return Err(not_taken(text));
        }
        check_entry(&found.spec, plan, &book.opened, prover, &opened)?;
        let Some(entry) = book.entries.get(&prover) else {
            return self.announce_early(prover, opened);
        };
        if entry.statement != opened.statement.digest() {
            return Err(not_taken(format!("revealed was statement {}", entry.statement)));
        }
        match &entry.stage {
            EntryStage::Closed { reason } => return Err(not_taken(reason.to_string())),
            EntryStage::Revealed => {
                self.record(step, Change::RaceEntered { job, round, prover, opened })?;
            }
            _ => {}
        }
        Ok(Answer::EntryTaken { may_upload: true })
    }

    /// Keeps an entry until the word of its reveal is here.
    fn announce_early(
        &mut self,
        prover: Address,
        opened: OpenedStatement,
    ) -> Result<Answer, Refusal> {
        let job = opened.job();
        let known = self.live.early.contains_key(&(prover, job));
        let own = self.live.early.keys().filter(|(of, _)| *of == prover).count();
        if !known && (own >= EARLY_ENTRIES_MAX || !self.live.provers.contains_key(&prover)) {
            let why = format!(
                "its reveal is not final here, and {own} entries of this prover wait for theirs; \
                 say it again later"
            );
            return Err(Refusal::EntryNotTaken { job, why });
        }
        self.live.early.insert((prover, job), opened);
        Ok(Answer::EntryTaken { may_upload: false })
    }

    /// The next step of a race: entries whose proofs are there go to the verifiers, those whose time
    /// is over are closed, votes go on.
    pub(super) fn advance_race(&mut self, step: &mut Step, job: JobId) -> Result<(), Refusal> {
        let Some(book) = self.state.races.book(&job).and_then(|book| book.open()) else {
            return Ok(());
        };
        let round = book.opened.number;
        let last = book.opened.reveal_until.get().saturating_add(PROOFS_GRACE_SECONDS);
        let over = self.chain_time(&job).is_some_and(|time| time.get() >= last);
        let (mut ready, mut late, mut judged) = (Vec::new(), Vec::new(), Vec::new());
        for (prover, entry) in &book.entries {
            let stored = |proof| self.state.blobs.contains_key(proof);
            match &entry.stage {
                EntryStage::Uploading { .. } if entry.proofs.iter().all(stored) => {
                    ready.push(*prover);
                }
                EntryStage::Uploading { .. } | EntryStage::Revealed if over => late.push(*prover),
                EntryStage::Judging => judged.push(entry.statement),
                _ => {}
            }
        }
        for prover in ready {
            self.record(step, Change::RaceEntryOpened { job, round, prover })?;
        }
        for prover in late {
            let reason = EntryClose::NoProofs;
            self.record(step, Change::RaceEntryClosed { job, round, prover, reason })?;
        }
        for statement in judged {
            self.advance_statement(step, job, statement)?;
        }
        Ok(())
    }

    /// A race's open round, as provers are told of it while it takes commitments.
    fn offer_of(&self, job: &JobId) -> Option<RaceOffer> {
        let found = self.state.jobs.get(job).filter(|job| job.state == JobState::Racing)?;
        let Provenance::Chain(created) = found.provenance else { return None };
        let round = self.state.races.book(job)?.open()?.opened;
        if self.chain_time(job).is_some_and(|time| time >= round.commit_until) {
            return None;
        }
        Some(RaceOffer {
            job: *job,
            spec: found.spec.clone(),
            segments: found.plan.as_ref()?.segments.clone(),
            round: round.number,
            commit_until: round.commit_until,
            reveal_until: round.reveal_until,
            task_manager: created.contract,
        })
    }

    /// Offers a race to every prover that can prove it, or to one that came back.
    pub(super) fn offer_race(&self, step: &mut Step, job: &JobId, only: Option<Peer>) {
        let Some(offer) = self.offer_of(job) else { return };
        for (address, session) in &self.live.provers {
            let peer = Peer { address: *address, session: session.session };
            let asked = only.is_none_or(|only| only == peer);
            if asked && session.offers(&offer.spec.program) && !self.is_draining(address, session) {
                let offer = Box::new(offer.clone());
                step.effects.push(Effect::OfferRace { prover: peer, offer });
            }
        }
    }

    /// Offers every race that takes commitments to a prover that came back.
    pub(super) fn offer_races(&self, step: &mut Step, prover: Peer) {
        for job in self.state.races.racing() {
            self.offer_race(step, &job, Some(prover));
        }
    }

    /// Orders the entries of a certificate to be judged on-chain, once it is in a block.
    pub(super) fn order_judging(&self, step: &mut Step, id: &CertificateId) {
        let Some(book) = self.state.certificates.get(id) else { return };
        let jobs: BTreeSet<JobId> = book.statements.iter().map(|(_, job)| *job).collect();
        for job in jobs {
            step.effects.extend(self.judge_effects(&job, Some(*id)));
        }
    }

    /// The orders to judge that a race owes: certified entries of its open round whose certificate
    /// is in a block; those of one certificate, or all.
    pub(super) fn judge_effects(
        &self,
        job: &JobId,
        only: Option<CertificateId>,
    ) -> impl Iterator<Item = Effect> {
        let racing = self.state.jobs.get(job).is_some_and(|job| job.state == JobState::Racing);
        let open = self.state.races.book(job).and_then(|book| book.open()).filter(|_| racing);
        let entries = open.into_iter().flat_map(|book| &book.entries);
        entries.filter_map(move |(prover, entry)| match &entry.stage {
            EntryStage::Certified { certificate, .. }
                if only.is_none_or(|only| only == *certificate) =>
            {
                self.judge_effect(job, *prover)
            }
            _ => None,
        })
    }

    fn judge_effect(&self, job: &JobId, prover: Address) -> Option<Effect> {
        let book = self.state.races.book(job)?.open()?;
        let entry = book.entries.get(&prover)?;
        let EntryStage::Certified { certificate: id, verdict } = entry.stage else { return None };
        let certified = self.state.certificates.get(&id)?;
        let posted = certified.submission.posting;
        let chain = certified.certificate.target.chain;
        let there = matches!(posted, Posting::Included(_) | Posting::Final(_));
        if !there || !self.live.oracles.contains_key(&chain) {
            return None;
        }
        let Provenance::Chain(created) = self.state.jobs.get(job)?.provenance else { return None };
        let batch = Batch::new(certified.certificate.leaves.clone()).ok()?;
        let (leaf_index, _) = batch.find(entry.statement)?;
        Some(Effect::JudgeRaceEntry {
            chain,
            task_manager: created.contract,
            prover,
            round: book.opened.number,
            verdict,
            opened: self.state.statements.get(&entry.statement)?.opened.clone(),
            leaf_index,
            path: batch.path(leaf_index).ok()?,
            certificate: Box::new(certified.certificate.clone()),
        })
    }
}

impl Network {
    /// Whether a prover may read an input because it was offered a race over it, until that ends.
    #[must_use]
    pub fn may_race_with(&self, prover: &Address, input: &BlobDigest) -> bool {
        let Some(session) = self.live.provers.get(prover) else { return false };
        self.blob_jobs(input).any(|job| {
            let found = self.state.jobs.get(&job);
            found.is_some_and(|found| {
                found.state.kind() == JobStateKind::Racing
                    && found.spec.input == *input
                    && session.offers(&found.spec.program)
                    && self.state.races.book(&job).is_some()
            })
        })
    }

    /// The most bytes that a prover may upload under a digest because its entry in a race names it,
    /// and the chain said that it was revealed; `None` if none does.
    #[must_use]
    pub fn race_proof_max(&self, prover: &Address, proof: &BlobDigest) -> Option<ByteCount> {
        let racing = self.state.races.racing();
        let open = racing.filter_map(|job| Some((job, self.state.races.book(&job)?.open()?)));
        let mut named = open.filter(|(_, book)| {
            book.entries.get(prover).is_some_and(|entry| {
                let taken =
                    !matches!(entry.stage, EntryStage::Revealed | EntryStage::Closed { .. });
                taken && entry.proofs.contains(proof)
            })
        });
        let (job, _) = named.next()?;
        self.state.jobs.get(&job).map(|job| job.spec.limits.max_proof_bytes)
    }
}
