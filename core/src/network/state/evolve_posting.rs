//! Facts about certificates on their way on-chain.

use crate::ids::{CertificateId, JobId, TxHash};
use crate::network::input::SubmissionUpdate;
use crate::units::UnixMillis;

use super::{
    CertificateBook, EvolveError, Job, JobState, JobStateKind, Posting, State, StatementStage,
    Submission, Touched,
};

impl State {
    pub(super) fn certificate_dropped(
        &mut self,
        at: UnixMillis,
        id: CertificateId,
        reason: &str,
        touched: &mut Touched,
    ) -> Result<(), EvolveError> {
        let book = self.certificates.get_mut(&id).ok_or(EvolveError::UnknownCertificate(id))?;
        book.submission.posting = Posting::Dropped;
        book.submission.since = at;
        let statements = book.statements.clone();
        self.posting.remove(&id);
        for (statement, job) in statements {
            self.entry_uncertified(statement, id, touched)?;
            if !self.is_on_its_way(&job, id) {
                continue;
            }
            self.statement_mut(&statement)?.stage = StatementStage::Waiting;
            self.voting.insert(statement);
            let next = JobState::Verifying { statement };
            self.move_job(&job, next, at, reason.to_owned(), touched)?;
        }
        Ok(())
    }

    /// Whether a job waits for this certificate to reach its chain.
    fn is_on_its_way(&self, job: &JobId, id: CertificateId) -> bool {
        match self.jobs.get(job).map(|job| &job.state) {
            Some(JobState::Certified { certificate } | JobState::Submitted { certificate, .. }) => {
                *certificate == id
            }
            _ => false,
        }
    }

    pub(super) fn certificate_moved(
        &mut self,
        at: UnixMillis,
        id: CertificateId,
        update: &SubmissionUpdate,
        touched: &mut Touched,
    ) -> Result<(), EvolveError> {
        let book = self.certificates.get_mut(&id).ok_or(EvolveError::UnknownCertificate(id))?;
        let jobs: Vec<JobId> = book.statements.iter().map(|(_, job)| *job).collect();
        if let SubmissionUpdate::Chosen { why } = update {
            return self.publishing_chosen(at, id, &jobs, why, touched);
        }
        book.submission.advance(at, update);
        for job in jobs {
            if self.is_on_its_way(&job, id) {
                self.job_posted(at, &job, id, update, touched)?;
            }
        }
        self.forget_posted(id);
        Ok(())
    }

    /// Writes how they are published down for the jobs that wait for it. Moves nothing.
    fn publishing_chosen(
        &mut self,
        at: UnixMillis,
        id: CertificateId,
        jobs: &[JobId],
        why: &str,
        touched: &mut Touched,
    ) -> Result<(), EvolveError> {
        for job in
            jobs.iter().filter(|job| self.awaits_word(job, id, why)).copied().collect::<Vec<_>>()
        {
            self.job_mut(&job)?.remember(at, why.to_owned());
            touched.insert(job);
        }
        Ok(())
    }

    /// Whether a job waits for this certificate and this was not said of it yet.
    pub(in crate::network) fn awaits_word(
        &self,
        job: &JobId,
        id: CertificateId,
        why: &str,
    ) -> bool {
        let said = |job: &Job| job.history.iter().any(|entry| entry.reason == why);
        self.is_on_its_way(job, id) && self.jobs.get(job).is_some_and(|job| !said(job))
    }

    fn job_posted(
        &mut self,
        at: UnixMillis,
        job: &JobId,
        certificate: CertificateId,
        update: &SubmissionUpdate,
        touched: &mut Touched,
    ) -> Result<(), EvolveError> {
        match update {
            SubmissionUpdate::Sent { tx } => {
                self.job_submitted_in(at, job, certificate, *tx, "certificate sent", touched)
            }
            SubmissionUpdate::Included(inclusion) => {
                let text = format!("certificate in block {}", inclusion.block);
                self.job_submitted_in(at, job, certificate, inclusion.tx, &text, touched)
            }
            SubmissionUpdate::Final(inclusion) if self.job(job)?.is_contract() => {
                let text = format!("certificate final in block {}", inclusion.block);
                self.job_submitted_in(at, job, certificate, inclusion.tx, &text, touched)
            }
            SubmissionUpdate::Final(inclusion) => {
                let next = JobState::Settled { certificate, inclusion: *inclusion };
                let text = format!("certificate final in block {}", inclusion.block);
                self.move_job(job, next, at, text, touched)
            }
            SubmissionUpdate::Reorged => {
                self.job_unsubmitted(at, job, certificate, "reorganised away".into(), touched)
            }
            SubmissionUpdate::Failed(failure) => {
                self.job_unsubmitted(at, job, certificate, failure.to_string(), touched)
            }
            SubmissionUpdate::Chosen { .. } => Ok(()),
        }
    }

    fn job_submitted_in(
        &mut self,
        at: UnixMillis,
        job: &JobId,
        certificate: CertificateId,
        tx: TxHash,
        text: &str,
        touched: &mut Touched,
    ) -> Result<(), EvolveError> {
        let next = JobState::Submitted { certificate, tx };
        let found = self.job_mut(job)?;
        if found.state.kind() == JobStateKind::Submitted {
            // The same state with a newer transaction, or one block further.
            found.state = next;
            found.remember(at, text.to_owned());
            touched.insert(*job);
            return Ok(());
        }
        self.move_job(job, next, at, text.to_owned(), touched)
    }

    fn job_unsubmitted(
        &mut self,
        at: UnixMillis,
        job: &JobId,
        certificate: CertificateId,
        text: String,
        touched: &mut Touched,
    ) -> Result<(), EvolveError> {
        if self.job(job)?.state.kind() == JobStateKind::Certified {
            return Ok(());
        }
        self.move_job(job, JobState::Certified { certificate }, at, text, touched)
    }

    pub(super) fn settlement_moved(
        &mut self,
        at: UnixMillis,
        id: JobId,
        update: &SubmissionUpdate,
        touched: &mut Touched,
    ) -> Result<(), EvolveError> {
        let certificate = match &self.job(&id)?.state {
            JobState::Submitted { certificate, .. } => *certificate,
            _ => return Ok(()),
        };
        if let SubmissionUpdate::Chosen { why } = update {
            return self.publishing_chosen(at, certificate, &[id], why, touched);
        }
        let book = self
            .certificates
            .get_mut(&certificate)
            .ok_or(EvolveError::UnknownCertificate(certificate))?;
        let Some(settlement) = book.settlements.get_mut(&id) else {
            return Err(EvolveError::Contradiction { what: "the job owes no settlement" });
        };
        settlement.advance(at, update);
        if let SubmissionUpdate::Final(inclusion) = update {
            let next = JobState::Settled { certificate, inclusion: *inclusion };
            let text = format!("settled in block {}", inclusion.block);
            self.move_job(&id, next, at, text, touched)?;
        }
        self.forget_posted(certificate);
        Ok(())
    }

    /// Drops a certificate from the list of those with something left to post.
    pub(super) fn forget_posted(&mut self, id: CertificateId) {
        if self.certificates.get(&id).is_some_and(CertificateBook::is_over) {
            self.posting.remove(&id);
        }
    }
}

impl Submission {
    fn advance(&mut self, at: UnixMillis, update: &SubmissionUpdate) {
        let posting = match update {
            SubmissionUpdate::Sent { tx } => Posting::Sent { tx: *tx },
            SubmissionUpdate::Included(inclusion) => Posting::Included(*inclusion),
            SubmissionUpdate::Final(inclusion) => Posting::Final(*inclusion),
            SubmissionUpdate::Reorged => Posting::Owed,
            SubmissionUpdate::Failed(failure) => {
                self.failures = self.failures.saturating_add(1);
                self.last_failure = Some(failure.to_string());
                Posting::Owed
            }
            // Nothing was sent for it yet.
            SubmissionUpdate::Chosen { .. } => return,
        };
        self.since = at;
        self.posting = posting;
    }
}
