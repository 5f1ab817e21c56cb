//! When what is over is forgotten: jobs, then the votes on them, epochs, provers.

use crate::ids::{Address, JobId};
use crate::network::fact::Change;
use crate::network::live::Timer;
use crate::network::refusal::Refusal;
use crate::network::state::Job;
use crate::network::{Network, Step};
use crate::units::{Millis, UnixMillis};

/// How long something that is due but still under way is left alone before it is looked at again.
const LOOK_AGAIN: Millis = Millis::new(60_000);
/// Timers of one prover that may be armed at a time, by which they are spaced.
const WORKER_TIMERS: u64 = 16;

impl Network {
    /// When a job that is over may be forgotten: its deadline counts too, so that the same job
    /// submitted again is late by then, and by more than any clock is wrong.
    fn forgotten_at(&self, job: &Job) -> UnixMillis {
        let retention = Millis::new(self.config.job_retention_ms);
        job.since().max(job.spec.deadline.as_millis()).after(retention)
    }

    /// Arms what follows the end of a job.
    pub(super) fn arm_ended(&mut self, id: JobId) {
        let Some(job) = self.state.jobs.get(&id) else { return };
        let forgotten = self.forgotten_at(job);
        if self.uses_blobs(&id) {
            let released = job.since().after(Millis::new(self.config.blob_retention_ms));
            self.live.arm(released, Timer::Retention(id));
        }
        self.live.arm(forgotten, Timer::Forget(id));
    }

    /// Whether an ended job keeps blobs; its input is the last that it could keep.
    pub(super) fn uses_blobs(&self, id: &JobId) -> bool {
        let Some(job) = self.state.jobs.get(id) else { return false };
        self.state.blobs.get(&job.spec.input).is_some_and(|book| book.users.contains(id))
    }

    pub(super) fn forget_job(&mut self, step: &mut Step, id: JobId) -> Result<(), Refusal> {
        let Some(job) = self.state.jobs.get(&id) else { return Ok(()) };
        if !job.state.kind().is_terminal() {
            return Ok(());
        }
        let due = self.forgotten_at(job);
        let again =
            if self.state.is_at_rest(job) { due } else { step.now.after(LOOK_AGAIN).max(due) };
        if again > step.now {
            self.live.arm(again, Timer::Forget(id));
            return Ok(());
        }
        if self.uses_blobs(&id) {
            self.release_blobs(step, id)?;
        }
        self.record(step, Change::JobForgotten { job: id })?;
        self.arm_evidence(id);
        Ok(())
    }

    fn arm_evidence(&mut self, id: JobId) {
        let Some(book) = self.state.evidence.get(&id) else { return };
        let retention = Millis::new(self.config.evidence_retention_ms);
        self.live.arm(book.ended_at.after(retention), Timer::Evidence(id));
    }

    pub(super) fn forget_evidence(&mut self, step: &mut Step, id: JobId) -> Result<(), Refusal> {
        let Some(book) = self.state.evidence.get(&id) else { return Ok(()) };
        let due = book.ended_at.after(Millis::new(self.config.evidence_retention_ms));
        if due > step.now {
            self.live.arm(due, Timer::Evidence(id));
            return Ok(());
        }
        self.record(step, Change::EvidenceForgotten { job: id })?;
        self.forget_epochs(step)
    }

    /// Forgets old epochs that nothing refers to any more.
    pub(super) fn forget_epochs(&mut self, step: &mut Step) -> Result<(), Refusal> {
        for epoch in self.state.idle_epochs() {
            self.record(step, Change::EpochForgotten { epoch })?;
        }
        Ok(())
    }

    /// Arms the look at a prover that was active. Rounded, so that a busy one has few timers.
    pub(in crate::network) fn arm_worker(&mut self, prover: Address, active_at: UnixMillis) {
        let span = (self.config.worker_retention_ms / WORKER_TIMERS).max(1);
        let due = active_at.after(Millis::new(self.config.worker_retention_ms)).get();
        let rounded = due.div_ceil(span).saturating_mul(span);
        self.live.arm(UnixMillis::new(rounded), Timer::Worker(prover));
    }

    pub(super) fn forget_worker(
        &mut self,
        step: &mut Step,
        prover: Address,
    ) -> Result<(), Refusal> {
        let Some(book) = self.state.workers.get(&prover) else { return Ok(()) };
        let retention = Millis::new(self.config.worker_retention_ms);
        let recent = book.active_at.after(retention) > step.now;
        let in_use = self.live.provers.contains_key(&prover) || !self.state.is_idle_worker(&prover);
        if recent || in_use {
            let active_at = if in_use { step.now } else { book.active_at };
            self.arm_worker(prover, active_at);
            return Ok(());
        }
        self.record(step, Change::WorkerForgotten { prover })
    }

    /// Arms what a restart forgot about ended jobs, kept votes and idle provers.
    pub(super) fn resume_pruning(&mut self) {
        let over = self.state.jobs.values().filter(|job| job.state.kind().is_terminal());
        let over: Vec<JobId> = over.map(|job| job.id).collect();
        for id in over {
            self.arm_ended(id);
        }
        let evidence: Vec<JobId> = self.state.evidence.keys().copied().collect();
        for id in evidence {
            self.arm_evidence(id);
        }
        let workers: Vec<(Address, UnixMillis)> =
            self.state.workers.iter().map(|(prover, book)| (*prover, book.active_at)).collect();
        for (prover, active_at) in workers {
            self.arm_worker(prover, active_at);
        }
    }
}
