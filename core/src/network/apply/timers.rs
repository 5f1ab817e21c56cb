//! What time brings, and what is still owed after a restart.

use crate::ids::{BatchRoot, CertificateId, JobId, StatementDigest, TaskId};
use crate::network::effect::{CancelReason, Effect};
use crate::network::fact::{Change, JobEnd, LeaseEnd};
use crate::network::input::Answer;
use crate::network::input::SubmissionSubject;
use crate::network::live::Timer;
use crate::network::refusal::Refusal;
use crate::network::state::{JobState, JobStateKind, Posting, StatementStage, TaskState};
use crate::network::{Network, Step};
use crate::units::{Millis, UnixMillis};

/// Timers that one tick fires; what is due beyond it has its turn with the next one, at once.
const FIRED_PER_TICK_MAX: usize = 1_024;

impl Network {
    pub(super) fn on_tick(&mut self, step: &mut Step) -> Result<Answer, Refusal> {
        for _ in 0..FIRED_PER_TICK_MAX {
            let next = self.live.timers.first().copied();
            let Some((_, timer)) = next.filter(|(at, _)| *at <= step.now) else { break };
            self.live.timers.pop_first();
            self.fire(step, timer)?;
        }
        Ok(Answer::Done)
    }

    fn fire(&mut self, step: &mut Step, timer: Timer) -> Result<(), Refusal> {
        match timer {
            Timer::Input(job) => self.input_overdue(step, job),
            Timer::Deadline(job) => self.deadline_over(step, job),
            Timer::Retention(job) => self.release_blobs(step, job),
            Timer::Forget(job) => self.forget_job(step, job),
            Timer::Evidence(job) => self.forget_evidence(step, job),
            Timer::Worker(prover) => self.forget_worker(step, prover),
            Timer::Blob(digest) => {
                if self.state.unclaimed_blobs.contains(&digest) {
                    self.record(step, Change::BlobForgotten { digest })?;
                    step.effects.push(Effect::DeleteBlob { digest });
                }
                Ok(())
            }
            Timer::ProverDead(prover) => self.prover_silent(step, prover),
            Timer::Lease(task, attempt) => {
                let running = self.state.task(&task).ok().and_then(|(_, found)| {
                    let TaskState::Leased(lease) = &found.state else { return None };
                    let at_intake = self.state.at_intake.contains(&(task, attempt));
                    (lease.attempt == attempt && !at_intake).then_some(lease.prover)
                });
                if let Some(prover) = running {
                    self.end_lease(step, task, LeaseEnd::TimedOut)?;
                    self.send_cancel(step, prover, (task, attempt), CancelReason::TimedOut);
                }
                Ok(())
            }
            Timer::Vote(statement, epoch) => self.voting_overdue(step, statement, epoch),
            Timer::Commits(statement, epoch) => self.commits_lingered(step, statement, epoch),
            Timer::CommitCap(statement, epoch) => self.commits_capped(step, statement, epoch),
            Timer::Reveals(statement, epoch) => self.reveals_overdue(step, statement, epoch),
            Timer::Batch => {
                self.live.batches_due = true;
                Ok(())
            }
            Timer::Attest(root, round) | Timer::Linger(root, round) => {
                self.batch_overdue(step, root, round)
            }
            Timer::Epoch(number) => self.epoch_over(step, number),
            Timer::Submit(subject) => {
                self.submit_again(step, subject);
                Ok(())
            }
        }
    }

    fn input_overdue(&mut self, step: &mut Step, id: JobId) -> Result<(), Refusal> {
        let Some(job) = self.state.jobs.get(&id) else { return Ok(()) };
        match job.state {
            JobState::AwaitingInput { until } if !job.is_contract() && until <= step.now => {
                self.end_job(step, id, JobEnd::Expired)
            }
            _ => Ok(()),
        }
    }

    /// A direct job that is not certified by its deadline and grace is of no use any more. A contract
    /// job expires by its chain's word alone.
    fn deadline_over(&mut self, step: &mut Step, id: JobId) -> Result<(), Refusal> {
        let Some(job) = self.state.jobs.get(&id) else { return Ok(()) };
        let grace = Millis::new(self.config.deadline_grace_ms);
        let over = job.spec.deadline.as_millis().after(grace) <= step.now;
        let open = matches!(
            job.state.kind(),
            JobStateKind::AwaitingInput
                | JobStateKind::Accepted
                | JobStateKind::Proving
                | JobStateKind::Verifying
                | JobStateKind::Held
        );
        if over && open && !job.is_contract() {
            self.end_job(step, id, JobEnd::Expired)?;
        }
        Ok(())
    }

    pub(super) fn release_blobs(&mut self, step: &mut Step, id: JobId) -> Result<(), Refusal> {
        let Some(job) = self.state.jobs.get(&id) else { return Ok(()) };
        let retention = Millis::new(self.config.blob_retention_ms);
        let due = job.since().after(retention);
        if !job.state.kind().is_terminal() || step.now < due || !self.uses_blobs(&id) {
            return Ok(());
        }
        let mut digests = Vec::new();
        digests.push(job.spec.input);
        digests.extend(self.state.job_blobs(&id));
        digests.retain(|digest| {
            let users = self.state.blobs.get(digest).map(|book| &book.users);
            users.is_some_and(|users| users.len() == 1 && users.contains(&id))
        });
        digests.sort_unstable();
        digests.dedup();
        self.record(step, Change::BlobsReleased { job: id })?;
        step.effects.extend(digests.into_iter().map(|digest| Effect::DeleteBlob { digest }));
        Ok(())
    }

    /// Call once after [`Network::replay`]: derives every effect that is owed and needs no connection.
    /// What needs one (leases, votes, attestations, submissions) follows when its peer dials in;
    /// steps that a crash cut off follow with the first `Input::Tick`, which is due at once.
    pub fn resume(&mut self, now: UnixMillis) -> Vec<Effect> {
        self.resume_jobs();
        self.resume_provers(now);
        self.resume_statements(now);
        self.resume_phases(now);
        self.resume_pruning();
        self.live.arm(now, Timer::Batch);
        let mut effects: Vec<Effect> = Vec::new();
        let unplanned = self
            .state
            .jobs
            .values()
            .filter(|job| job.state == JobState::Accepted && job.plan.is_none());
        effects.extend(unplanned.filter_map(|job| self.plan_effect(job.id)));
        for (task, attempt) in &self.state.at_intake {
            effects.extend(self.intake_effect(task, *attempt));
        }
        effects
    }

    fn resume_jobs(&mut self) {
        let grace = Millis::new(self.config.deadline_grace_ms);
        for (id, job) in &self.state.jobs {
            if job.state.kind().is_terminal() {
                continue;
            }
            self.live.dirty_jobs.insert(*id);
            if !job.is_contract() {
                let over = job.spec.deadline.as_millis().after(grace);
                self.live.arm(over, Timer::Deadline(*id));
            }
            if let JobState::AwaitingInput { until } = job.state {
                self.live.arm(until, Timer::Input(*id));
            }
            for task in &job.tasks {
                if task.state == TaskState::Queued && task.faults + task.losses > 0 {
                    self.live.dirty_tasks.insert(task.id);
                }
            }
        }
        let unclaimed = Millis::new(self.config.unclaimed_blob_ms);
        for digest in &self.state.unclaimed_blobs {
            let Some(book) = self.state.blobs.get(digest) else { continue };
            self.live.arm(book.stored_at.after(unclaimed), Timer::Blob(*digest));
        }
    }

    /// Every lease gets a fresh grace, so that provers that reconnect go on with what they hold.
    fn resume_provers(&mut self, now: UnixMillis) {
        let dead_at = now.after(Millis::new(self.config.heartbeat_dead_after_ms));
        for (prover, tasks) in &self.state.running {
            self.live.heard.insert(*prover, now);
            self.live.arm(dead_at, Timer::ProverDead(*prover));
            self.live.unsent.extend(tasks.iter().copied());
        }
        let running: Vec<TaskId> = self.live.unsent.iter().copied().collect();
        for id in running {
            if let Ok((_, task)) = self.state.task(&id)
                && let TaskState::Leased(lease) = &task.state
            {
                self.live.arm(lease.expires_at, Timer::Lease(id, lease.attempt));
            }
        }
    }

    fn resume_statements(&mut self, now: UnixMillis) {
        let timeout = now.after(Millis::new(self.config.vote_timeout_ms));
        let voting: Vec<StatementDigest> = self.state.voting.iter().copied().collect();
        for digest in voting {
            let epoch = match self.stage(&digest) {
                Some(StatementStage::Voting { epoch }) => Some(epoch),
                _ => None,
            };
            self.live.arm(timeout, Timer::Vote(digest, epoch));
        }
        let attest = now.after(Millis::new(self.config.attest_timeout_ms));
        let batches: Vec<BatchRoot> = self.state.open_batches.iter().copied().collect();
        for root in batches {
            let round = self.state.batches.get(&root).map_or(0, |book| book.round);
            self.live.arm(attest, Timer::Attest(root, round));
            self.live.dirty_batches.insert(root);
        }
        if let Some(newest) = self.state.newest_epoch() {
            let grace = now.after(Millis::new(self.config.epoch_grace_ms));
            self.live.arm(grace, Timer::Epoch(newest));
        }
        let posting: Vec<CertificateId> = self.state.posting.iter().copied().collect();
        for id in posting {
            let Some(book) = self.state.certificates.get(&id) else { continue };
            if book.submission.posting == Posting::Owed {
                self.live.arm(now, Timer::Submit(SubmissionSubject::Certificate(id)));
            }
        }
    }
}
