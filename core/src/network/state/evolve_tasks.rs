//! Facts about tasks, leases, proofs and provers.

use crate::ids::{Address, Attempt, JobId, LeaseToken, StatementAttempt, TaskId};
use crate::network::fact::{Change, Decision, LeaseEnd};
use crate::network::input::{Drain, ProofReport};
use crate::statement::SegmentRecord;
use crate::units::UnixMillis;

use super::{
    EvolveError, JobState, RunningLease, State, StatementStage, Task, TaskState, Touched, Try,
    TryOutcome, WorkerBook,
};

/// What a grant says, beside when.
struct Grant<'a> {
    task: TaskId,
    attempt: Attempt,
    token: LeaseToken,
    prover: Address,
    expires_at: UnixMillis,
    decision: &'a Decision,
}

/// A delivered proof and whose it is.
struct Delivery {
    task: TaskId,
    attempt: Attempt,
    prover: Address,
    report: ProofReport,
}

/// A try of a task, for change.
fn try_of(task: &mut Task, attempt: Attempt) -> Result<&mut Try, EvolveError> {
    let id = task.id;
    task.tries
        .iter_mut()
        .find(|found| found.attempt == attempt)
        .ok_or(EvolveError::UnknownTry { task: id, attempt })
}

impl State {
    pub(super) fn evolve_task(
        &mut self,
        at: UnixMillis,
        change: &Change,
        touched: &mut Touched,
    ) -> Result<(), EvolveError> {
        match change {
            Change::LeaseGranted { task, attempt, token, prover, expires_at, decision } => {
                let (task, attempt, token) = (*task, *attempt, *token);
                let (prover, expires_at) = (*prover, *expires_at);
                let grant = Grant { task, attempt, token, prover, expires_at, decision };
                self.lease_granted(at, &grant, touched)
            }
            Change::LeaseEnded { task, attempt, end } => {
                self.end_try(at, *task, *attempt, end)?;
                let running = matches!(
                    &self.task(task)?.1.state,
                    TaskState::Leased(lease) if lease.attempt == *attempt
                );
                if !running {
                    return Err(EvolveError::Contradiction { what: "the ended lease is not held" });
                }
                self.move_task(task, TaskState::Queued, at)
            }
            Change::CandidateDropped { task, attempt, end } => {
                self.end_try(at, *task, *attempt, end)
            }
            Change::ProofDelivered { task, attempt, prover, report } => {
                let (task, attempt, prover) = (*task, *attempt, *prover);
                self.proof_delivered(at, &Delivery { task, attempt, prover, report: *report })
            }
            Change::TaskAccepted { task, attempt, record } => {
                self.task_accepted(at, *task, *attempt, record)?;
                touched.insert(self.task(task)?.0.id);
                Ok(())
            }
            Change::TaskFailed { task, reason } => {
                self.move_task(task, TaskState::Failed { reason: reason.clone() }, at)
            }
            Change::SegmentRejected { job, index, prover, next, reason } => {
                self.segment_rejected(at, *job, *index, *prover, *next, reason, touched)
            }
            Change::ProverDrained { prover, drain } => {
                let book = self.worker(*prover, at);
                book.drain = match drain {
                    Drain::Start => Some(Drain::Start),
                    Drain::Stop => None,
                };
                Ok(())
            }
            _ => Err(EvolveError::Contradiction { what: "not a fact about tasks" }),
        }
    }

    /// The record of a prover that a fact is about.
    fn worker(&mut self, prover: Address, at: UnixMillis) -> &mut WorkerBook {
        let book = self.workers.entry(prover).or_default();
        book.active_at = book.active_at.max(at);
        book
    }

    fn lease_granted(
        &mut self,
        at: UnixMillis,
        grant: &Grant<'_>,
        touched: &mut Touched,
    ) -> Result<(), EvolveError> {
        let (job, task) = self.task(&grant.task)?;
        if grant.token.get() <= self.tokens {
            return Err(EvolveError::Contradiction { what: "a fencing token did not grow" });
        }
        if grant.attempt.get() as usize != task.tries.len() + 1 {
            return Err(EvolveError::Contradiction { what: "an attempt was skipped" });
        }
        let (id, state) = (job.id, job.state.kind());
        let (requester, units) = (job.spec.requester, task.work_units);
        let lease = RunningLease {
            attempt: grant.attempt,
            token: grant.token,
            prover: grant.prover,
            granted_at: at,
            expires_at: grant.expires_at,
        };
        self.move_task(&grant.task, TaskState::Leased(lease), at)?;
        self.tokens = grant.token.get();
        self.queue.serve(&requester, units);
        touched.insert(id);
        self.running.entry(grant.prover).or_default().insert(grant.task);
        self.worker(grant.prover, at);
        let task = self.task_mut(&grant.task)?;
        // Nearly every task needs one try, and room for four is a kilobyte.
        task.tries.reserve_exact(1);
        task.tries.push(Try {
            attempt: grant.attempt,
            token: grant.token,
            prover: grant.prover,
            granted_at: at,
            decision: grant.decision.clone(),
            delivered: None,
            prove_ms: None,
            at_intake: None,
            outcome: TryOutcome::Running,
            ended_at: None,
        });
        if state == super::JobStateKind::Accepted {
            let reason = format!("leased to {}", grant.prover);
            self.move_job(&id, JobState::Proving, at, reason, touched)?;
        }
        Ok(())
    }

    /// Ends one try by a fault or a loss and counts it; the task's state is the caller's matter.
    fn end_try(
        &mut self,
        at: UnixMillis,
        id: TaskId,
        attempt: Attempt,
        end: &LeaseEnd,
    ) -> Result<(), EvolveError> {
        let task = self.task_mut(&id)?;
        let found = try_of(task, attempt)?;
        found.outcome = TryOutcome::Ended(end.clone());
        found.ended_at = Some(at);
        found.at_intake = None;
        let prover = found.prover;
        if end.burns_budget() {
            task.faults += 1;
        } else if *end != LeaseEnd::Requeued {
            task.losses += 1;
        }
        task.avoid.insert(prover);
        self.at_intake.remove(&(id, attempt));
        let book = self.worker(prover, at);
        if end.burns_budget() {
            book.faults += 1;
            book.consecutive_faults = book.consecutive_faults.saturating_add(1);
        } else if *end != LeaseEnd::Requeued {
            book.losses += 1;
        }
        Ok(())
    }

    fn proof_delivered(&mut self, at: UnixMillis, delivery: &Delivery) -> Result<(), EvolveError> {
        let (job, _) = self.task(&delivery.task)?;
        let job = job.id;
        let task = self.task_mut(&delivery.task)?;
        let found = try_of(task, delivery.attempt)?;
        if found.prover != delivery.prover || found.at_intake.is_some() {
            return Err(EvolveError::Contradiction { what: "a proof was delivered twice" });
        }
        found.at_intake = Some(delivery.report);
        found.delivered = Some(delivery.report.proof);
        found.prove_ms = Some(delivery.report.prove_ms);
        // The prover's slot is free from here on, whatever intake says; unless it is a late proof of
        // an earlier try while the same prover runs a newer one.
        let current = matches!(
            &self.task(&delivery.task)?.1.state,
            TaskState::Leased(lease) if lease.attempt == delivery.attempt
        );
        if current {
            self.stop_running(&delivery.prover, &delivery.task);
        }
        self.at_intake.insert((delivery.task, delivery.attempt));
        // The proof was uploaded before it was delivered, but a crash in between may have kept the
        // upload out of the journal: the delivery vouches for the blob as well.
        self.open_book(at, delivery.report.proof, delivery.report.bytes);
        self.use_blob(&delivery.report.proof, job);
        Ok(())
    }

    fn task_accepted(
        &mut self,
        at: UnixMillis,
        id: TaskId,
        attempt: Attempt,
        record: &SegmentRecord,
    ) -> Result<(), EvolveError> {
        let next = TaskState::Accepted { attempt, record: record.clone(), at };
        self.move_task(&id, next, at)?;
        let (job, _) = self.task(&id)?;
        let (job, program) = (job.id, job.spec.program);
        let task = self.task_mut(&id)?;
        let mut prove_ms = None;
        let mut judged = Vec::new();
        for found in &mut task.tries {
            if found.attempt == attempt {
                prove_ms = found.at_intake.map(|report| report.prove_ms);
                found.outcome = TryOutcome::Accepted;
                found.ended_at = Some(at);
            } else if found.outcome == TryOutcome::Running || found.at_intake.is_some() {
                found.outcome = TryOutcome::Superseded;
                found.ended_at = Some(at);
            }
            if found.at_intake.take().is_some() {
                judged.push((id, found.attempt));
            }
        }
        let Some(prove_ms) = prove_ms else {
            return Err(EvolveError::Contradiction { what: "an accepted proof was not delivered" });
        };
        for key in judged {
            self.at_intake.remove(&key);
        }
        let book = self.worker(record.prover, at);
        book.accepted += 1;
        book.work_units = book.work_units.saturating_add(record.work_units.get());
        book.consecutive_faults = 0;
        book.measure(program, record.work_units, prove_ms);
        let job = self.job_mut(&job)?;
        job.tasks_accepted += 1;
        let waiting = job.finish_dependency(id);
        self.release_ready(at, &waiting)
    }

    #[expect(clippy::too_many_arguments, reason = "one fact's fields")]
    fn segment_rejected(
        &mut self,
        at: UnixMillis,
        id: JobId,
        index: u32,
        prover: Address,
        next: StatementAttempt,
        reason: &str,
        touched: &mut Touched,
    ) -> Result<(), EvolveError> {
        let job = self.job_mut(&id)?;
        let statement = job.statement;
        job.statement_attempt = next;
        job.tasks_accepted = job.tasks_accepted.saturating_sub(1);
        let Some(task) = job.tasks.get_mut(index as usize) else {
            return Err(EvolveError::Contradiction { what: "the rejected segment does not exist" });
        };
        let task_id = task.id;
        task.avoid.insert(prover);
        for found in &mut task.tries {
            if found.outcome == TryOutcome::Accepted {
                found.outcome = TryOutcome::RefusedByQuorum(reason.to_owned());
            }
        }
        if let Some(book) = statement.and_then(|digest| self.statements.get_mut(&digest)) {
            book.stage = StatementStage::Refused;
        }
        let text = format!("segment {index} of {prover} refused by a quorum: {reason}");
        self.move_job(&id, JobState::Proving, at, text, touched)?;
        self.move_task(&task_id, TaskState::Queued, at)?;
        let book = self.worker(prover, at);
        book.refused_by_quorum += 1;
        book.faults += 1;
        book.consecutive_faults = book.consecutive_faults.saturating_add(1);
        Ok(())
    }
}
