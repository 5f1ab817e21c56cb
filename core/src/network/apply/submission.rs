//! Certificates and settlements on their way on-chain.
//!
//! A submission is owed until it is final: reorganised or dropped transactions are sent again,
//! failures wait longer each time. Posting twice is harmless, the contracts take it as a no-op.

use crate::batch::Batch;
use crate::epoch::MemberSet;
use crate::ids::{CertificateId, ChainId, EpochNumber, JobId, SessionId};
use crate::network::effect::Effect;
use crate::network::fact::Change;
use crate::network::input::{
    Answer, Provenance, SubmissionFailure, SubmissionSubject, SubmissionUpdate,
};
use crate::network::live::Timer;
use crate::network::refusal::Refusal;
use crate::network::state::{JobState, Posting, Submission};
use crate::network::{Network, Step};
use crate::units::Millis;

/// Whether an update says what is known already, or comes after the end.
fn is_stale(submission: &Submission, update: &SubmissionUpdate) -> bool {
    match (&submission.posting, update) {
        (Posting::Final(_) | Posting::Dropped, _) => true,
        (Posting::Sent { tx }, SubmissionUpdate::Sent { tx: new }) => tx == new,
        (Posting::Included(old), SubmissionUpdate::Included(new)) => old == new,
        // A transaction that was sent before it was included says nothing new.
        (Posting::Included(old), SubmissionUpdate::Sent { tx }) => old.tx == *tx,
        (Posting::Owed, SubmissionUpdate::Reorged) => true,
        _ => false,
    }
}

impl Network {
    pub(super) fn on_oracle_connected(
        &mut self,
        step: &mut Step,
        chain: ChainId,
        session: SessionId,
    ) -> Result<Answer, Refusal> {
        self.live.oracles.entry(chain).or_default().insert(session);
        self.order_all(step, chain);
        Ok(Answer::Done)
    }

    /// A chain may have several oracles, and of one oracle an older connection may end, or even
    /// begin, after a newer one has begun. What the one that is gone may never have got goes to
    /// those that are left.
    pub(super) fn on_oracle_disconnected(
        &mut self,
        step: &mut Step,
        chain: ChainId,
        session: SessionId,
    ) -> Result<Answer, Refusal> {
        let Some(sessions) = self.live.oracles.get_mut(&chain) else { return Ok(Answer::Done) };
        let was_there = sessions.remove(&session);
        if sessions.is_empty() {
            self.live.oracles.remove(&chain);
        } else if was_there {
            self.order_all(step, chain);
        }
        Ok(Answer::Done)
    }

    /// Orders everything that is owed to a chain.
    fn order_all(&self, step: &mut Step, chain: ChainId) {
        let posting: Vec<CertificateId> = self.state.posting.iter().copied().collect();
        for id in posting {
            if self.state.certificates.get(&id).is_some_and(|b| b.certificate.target.chain == chain)
            {
                step.effects.extend(self.certificate_effect(&id));
                step.effects.extend(self.settle_effects(&id));
            }
        }
        // A race is judged after its certificate is final too.
        for job in self.state.races.racing() {
            let orders = self.judge_effects(&job, None);
            step.effects.extend(orders.filter(
                |order| matches!(order, Effect::JudgeRaceEntry { chain: of, .. } if *of == chain),
            ));
        }
    }

    /// The order to post a certificate, while it is not final and an oracle is there.
    pub(super) fn certificate_effect(&self, id: &CertificateId) -> Option<Effect> {
        let book = self.state.certificates.get(id)?;
        let chain = book.certificate.target.chain;
        if book.submission.is_over() || !self.live.oracles.contains_key(&chain) {
            return None;
        }
        let certificate = Box::new(book.certificate.clone());
        Some(Effect::SubmitCertificate { chain, certificate })
    }

    /// The orders to settle the contract jobs of a certificate, once it is in a block. Not only once
    /// that is final: its oracle may have to hold the escrow, which cannot wait, and the contract
    /// pays for nothing that is not attested in its own state.
    pub(super) fn settle_effects(&self, id: &CertificateId) -> Vec<Effect> {
        let Some(book) = self.state.certificates.get(id) else { return Vec::new() };
        let there = matches!(book.submission.posting, Posting::Included(_) | Posting::Final(_));
        let owed = book.settlements.iter().filter(|(_, submission)| !submission.is_over());
        owed.filter(|_| there).filter_map(|(job, _)| self.settle_effect(id, job)).collect()
    }

    fn settle_effect(&self, id: &CertificateId, job: &JobId) -> Option<Effect> {
        let book = self.state.certificates.get(id)?;
        let chain = book.certificate.target.chain;
        if !self.live.oracles.contains_key(&chain) {
            return None;
        }
        let Provenance::Chain(created) = self.state.jobs.get(job)?.provenance else { return None };
        let (statement, _) = book.statements.iter().find(|(_, owner)| owner == job)?;
        let batch = Batch::new(book.certificate.leaves.clone()).ok()?;
        let (leaf_index, _) = batch.find(*statement)?;
        Some(Effect::SettleJob {
            chain,
            task_manager: created.contract,
            job: *job,
            opened: self.state.statements.get(statement)?.opened.clone(),
            leaf_index,
            path: batch.path(leaf_index).ok()?,
            certificate: Box::new(book.certificate.clone()),
        })
    }

    /// The submission that an update is about, and its chain.
    fn submission_of(
        &self,
        subject: &SubmissionSubject,
    ) -> Result<(&Submission, ChainId, CertificateId), Refusal> {
        let (id, job) = match subject {
            SubmissionSubject::Certificate(id) => (*id, None),
            SubmissionSubject::Settle(job) => match &self.state.jobs.get(job).map(|j| &j.state) {
                Some(JobState::Submitted { certificate, .. }) => (*certificate, Some(*job)),
                Some(JobState::Settled { certificate, .. }) => (*certificate, Some(*job)),
                Some(_) => return Err(Refusal::NoSettlement(*job)),
                None => return Err(Refusal::UnknownJob(*job)),
            },
        };
        let book = self.state.certificates.get(&id).ok_or(Refusal::UnknownCertificate(id))?;
        let submission = match job {
            None => &book.submission,
            Some(job) => book.settlements.get(&job).ok_or(Refusal::NoSettlement(job))?,
        };
        Ok((submission, book.certificate.target.chain, id))
    }

    pub(super) fn on_submission(
        &mut self,
        step: &mut Step,
        chain: ChainId,
        subject: SubmissionSubject,
        update: SubmissionUpdate,
    ) -> Result<Answer, Refusal> {
        let (submission, expected, id) = self.submission_of(&subject)?;
        if expected != chain {
            return Err(Refusal::WrongChain { expected, got: chain });
        }
        if is_stale(submission, &update) || self.is_known_word(id, &subject, &update) {
            return Ok(Answer::Done);
        }
        let is_certificate = matches!(subject, SubmissionSubject::Certificate(_));
        let over = update == SubmissionUpdate::Failed(SubmissionFailure::EpochNotAccepted);
        if over && is_certificate && self.has_newer_epoch(&id) {
            let reason = "its epoch is no longer accepted on-chain; voted on again".to_owned();
            self.record(step, Change::CertificateDropped { id, reason })?;
            return Ok(Answer::Done);
        }
        if let SubmissionUpdate::Failed(SubmissionFailure::ExcludedSigner(members)) = &update
            && is_certificate
            && let Some(epoch) = self.epoch_signed_by(&id, members)
        {
            // Believed from the chain's head: to count less stake can never certify anything false.
            self.exclude(step, epoch, *members)?;
            let reason = "one of its signers is excluded on-chain; attested again without".into();
            self.record(step, Change::CertificateDropped { id, reason })?;
            return Ok(Answer::Done);
        }
        self.record(step, Change::SubmissionMoved { chain, subject, update: update.clone() })?;
        match update {
            SubmissionUpdate::Included(_) | SubmissionUpdate::Final(_) if is_certificate => {
                step.effects.extend(self.settle_effects(&id));
                self.order_judging(step, &id);
            }
            SubmissionUpdate::Reorged => self.submit_again(step, subject),
            SubmissionUpdate::Failed(_) => self.retry_later(step, subject),
            _ => {}
        }
        Ok(Answer::Done)
    }

    /// Whether an update only says how something is published, of jobs that know it or that do not
    /// wait any more. Oracles say it again after every login.
    fn is_known_word(
        &self,
        id: CertificateId,
        subject: &SubmissionSubject,
        update: &SubmissionUpdate,
    ) -> bool {
        let SubmissionUpdate::Chosen { why } = update else { return false };
        let Some(book) = self.state.certificates.get(&id) else { return true };
        let concerned = |job: &JobId| match subject {
            SubmissionSubject::Certificate(_) => true,
            SubmissionSubject::Settle(settled) => settled == job,
        };
        let mut jobs = book.statements.iter().map(|(_, job)| job).filter(|job| concerned(job));
        !jobs.any(|job| self.state.awaits_word(job, id, why))
    }

    /// The epoch of a certificate, if one of these members signed it.
    fn epoch_signed_by(&self, id: &CertificateId, members: &MemberSet) -> Option<EpochNumber> {
        let certificate = &self.state.certificates.get(id)?.certificate;
        let table = self.state.epochs.get(&certificate.epoch)?.table();
        let mut signers = table.indices().filter(|i| !certificate.non_signers.contains(i));
        signers.any(|index| members.contains(index)).then_some(certificate.epoch)
    }

    fn has_newer_epoch(&self, id: &CertificateId) -> bool {
        let epoch = self.state.certificates.get(id).map(|book| book.certificate.epoch);
        epoch < self.state.newest_epoch()
    }

    /// Sends a submission again that is still owed.
    pub(super) fn submit_again(&self, step: &mut Step, subject: SubmissionSubject) {
        let Ok((submission, _, id)) = self.submission_of(&subject) else { return };
        if submission.posting != Posting::Owed {
            return;
        }
        match subject {
            SubmissionSubject::Certificate(id) => step.effects.extend(self.certificate_effect(&id)),
            SubmissionSubject::Settle(job) => step.effects.extend(self.settle_effect(&id, &job)),
        }
    }

    fn retry_later(&mut self, step: &Step, subject: SubmissionSubject) {
        let Ok((submission, ..)) = self.submission_of(&subject) else { return };
        // Without an end: what is owed ends when its epoch is over and a newer one is known, or when
        // its chain refunds it.
        let doubled = self.config.submit_retry_ms.saturating_mul(1 << submission.failures.min(20));
        let wait = Millis::new(doubled.min(self.config.submit_retry_max_ms));
        self.live.arm(step.now.after(wait), Timer::Submit(subject));
    }
}
