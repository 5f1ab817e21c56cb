//! Provers: registering, resuming, delivering, failing, draining.
//!
//! A stale token never touches the current lease. A completion under a stale token is a candidate
//! as long as the task is unproved: if intake accepts it, it counts once and the running try is
//! cancelled without blame.

use std::collections::BTreeMap;

use crate::ids::{Address, Attempt, SessionId, TaskId};
use crate::limits;
use crate::network::effect::{CancelReason, Effect, IntakeDepth, Peer};
use crate::network::fact::{Change, JobEnd, LeaseEnd};
use crate::network::input::{
    Answer, Input, IntakeOutcome, LeaseRef, ProofReport, ProverCapabilities, TaskFault,
};
use crate::network::live::{ProverSession, Timer};
use crate::network::refusal::Refusal;
use crate::network::state::{FailReason, Task, TaskState, Try, TryOutcome};
use crate::network::{Network, Step};
use crate::statement::SegmentRecord;
use crate::units::{ByteCount, Millis};

/// Most programs that one prover may register.
const PROGRAMS_MAX: u64 = 64;

/// Whether a lease is the one that runs.
fn holds(task: &Task, prover: &Address, lease: &LeaseRef) -> bool {
    matches!(
        &task.state,
        TaskState::Leased(running)
            if running.prover == *prover
                && running.attempt == lease.attempt
                && running.token == lease.token
    )
}

/// What a refusal at intake means for the lease and for the prover.
fn refused_at_intake(code: String, text: String) -> (LeaseEnd, Answer) {
    let end = LeaseEnd::IntakeRefused { code: code.clone(), text: text.clone() };
    (end, Answer::ProofRefused { code, text })
}

/// The try that a lease was granted for.
fn try_for<'a>(task: &'a Task, prover: &Address, lease: &LeaseRef) -> Option<&'a Try> {
    task.tries.iter().find(|found| {
        found.attempt == lease.attempt && found.token == lease.token && found.prover == *prover
    })
}

impl Network {
    pub(super) fn handle_prover(
        &mut self,
        step: &mut Step,
        input: Input,
    ) -> Result<Answer, Refusal> {
        match input {
            Input::ProverConnected { prover, session, capabilities, holding } => {
                let peer = Peer { address: prover, session };
                self.on_prover_connected(step, peer, capabilities, &holding)
            }
            Input::ProverHeartbeat { prover, session, free_memory_bytes } => {
                self.hear(step, &prover, session)?;
                self.on_free_memory(prover, session, free_memory_bytes);
                Ok(Answer::Done)
            }
            Input::ProverProgress { prover, session, lease, phase, done_permille } => {
                self.hear(step, &prover, session)?;
                let (_, task) = self.task_of(&lease.task)?;
                if !holds(task, &prover, &lease) {
                    return Err(Refusal::StaleLease(lease.task));
                }
                if let Some(found) = self.live.prover_session(&prover, session) {
                    found.progress.insert(lease.task, (phase, done_permille.min(1000)));
                }
                let job = self.task_of(&lease.task)?.0.id;
                step.changed.insert(job);
                Ok(Answer::Done)
            }
            Input::ProverDraining { prover, session } => {
                self.hear(step, &prover, session)?;
                if let Some(found) = self.live.prover_session(&prover, session) {
                    found.draining = true;
                }
                self.reindex(prover);
                Ok(Answer::Done)
            }
            Input::ProverDisconnected { prover, session } => {
                // Its leases stay until it was silent for too long: it may come back with them.
                if self.live.prover_session(&prover, session).is_some() {
                    self.live.disconnect(&prover);
                    // What was kept for it may now go to a free prover that failed it before.
                    self.live.schedule_due = true;
                }
                Ok(Answer::Done)
            }
            Input::TaskCompleted { prover, lease, report } => {
                self.on_completed(step, prover, lease, report)
            }
            Input::TaskFailed { prover, lease, fault } => {
                self.on_failed(step, prover, lease, fault)
            }
            Input::IntakeJudged { task, attempt, prover, outcome } => {
                self.on_judged(step, (task, attempt), prover, outcome)
            }
            Input::DrainProver { prover, drain } => {
                self.record(step, Change::ProverDrained { prover, drain })?;
                Ok(Answer::Done)
            }
            Input::RequeueTask { task } => self.on_requeue(step, task),
            _ => Ok(Answer::Done),
        }
    }

    fn task_of(&self, task: &TaskId) -> Result<(&crate::network::state::Job, &Task), Refusal> {
        self.state.task(task).map_err(|_| Refusal::UnknownTask(*task))
    }

    /// Notes a sign of life of the current connection.
    fn hear(&mut self, step: &Step, prover: &Address, session: SessionId) -> Result<(), Refusal> {
        if self.live.prover_session(prover, session).is_none() {
            return Err(Refusal::StaleSession(*prover));
        }
        self.live.heard.insert(*prover, step.now);
        Ok(())
    }

    fn on_prover_connected(
        &mut self,
        step: &mut Step,
        peer: Peer,
        capabilities: ProverCapabilities,
        holding: &[LeaseRef],
    ) -> Result<Answer, Refusal> {
        self.check_registration(&peer.address, &capabilities)?;
        let prover = peer.address;
        if let Some(old) = self.live.provers.get(&prover)
            && old.session != peer.session
        {
            let old = Peer { address: prover, session: old.session };
            step.effects.push(Effect::CloseSession { peer: old });
        }
        let session = ProverSession {
            session: peer.session,
            free_memory: capabilities.memory_bytes,
            capabilities,
            draining: false,
            tokens_before: self.state.tokens,
            progress: BTreeMap::new(),
            indexed: Vec::new(),
        };
        self.live.connect(prover, session);
        self.watch_prover(prover, step);
        self.live.heard.insert(prover, step.now);
        let resumed = self.resume_leases(step, prover, holding)?;
        self.reindex(prover);
        self.offer_races(step, peer);
        let dead_at = step.now.after(Millis::new(self.config.heartbeat_dead_after_ms));
        Ok(Answer::Registered { resumed, dead_at })
    }

    fn check_registration(
        &self,
        prover: &Address,
        capabilities: &ProverCapabilities,
    ) -> Result<(), Refusal> {
        let slots_max = u64::from(self.config.prover_slots_max);
        let ranges = [
            ("slots", slots_max, u64::from(capabilities.slots)),
            ("programs", PROGRAMS_MAX, capabilities.programs.len() as u64),
        ];
        for (what, max, got) in ranges {
            if got == 0 || got > max {
                return Err(Refusal::BadRegistration { what, max, got });
            }
        }
        let max = self.config.provers_max;
        if self.live.provers.len() >= max && !self.live.provers.contains_key(prover) {
            return Err(Refusal::TooManyProvers { max });
        }
        Ok(())
    }

    /// Matches what a prover says that it holds with what it was leased.
    fn resume_leases(
        &mut self,
        step: &mut Step,
        prover: Address,
        holding: &[LeaseRef],
    ) -> Result<Vec<LeaseRef>, Refusal> {
        let slots = limits::SEGMENTS_MAX as usize;
        let mut resumed = Vec::new();
        for lease in holding.iter().take(slots) {
            let held = self.state.task(&lease.task).ok().map(|(_, task)| task);
            if held.is_some_and(|task| holds(task, &prover, lease)) {
                resumed.push(*lease);
                self.live.unsent.remove(&lease.task);
                continue;
            }
            let done = held.is_some_and(|task| matches!(task.state, TaskState::Accepted { .. }));
            let reason = if done { CancelReason::AlreadyProved } else { CancelReason::StaleLease };
            self.send_cancel(step, prover, (lease.task, lease.attempt), reason);
        }
        let running: Vec<TaskId> =
            self.state.running.get(&prover).into_iter().flatten().copied().collect();
        for task in running {
            if resumed.iter().any(|lease| lease.task == task) {
                continue;
            }
            if self.live.unsent.remove(&task) {
                // Leased just before a restart of this side: the assignment may never have left.
                self.send_assignment(step, &task);
                continue;
            }
            self.end_lease(step, task, LeaseEnd::WorkerForgot)?;
        }
        Ok(resumed)
    }

    /// Ends the running lease of a task and checks its budgets.
    pub(super) fn end_lease(
        &mut self,
        step: &mut Step,
        task: TaskId,
        end: LeaseEnd,
    ) -> Result<(), Refusal> {
        let TaskState::Leased(lease) = &self.task_of(&task)?.1.state else { return Ok(()) };
        let attempt = lease.attempt;
        self.give_memory_back(&task, lease.prover);
        self.record(step, Change::LeaseEnded { task, attempt, end })?;
        self.live.dirty_tasks.insert(task);
        Ok(())
    }

    /// Counts a task's memory as free again until the next heartbeat says it exactly.
    pub(super) fn give_memory_back(&mut self, task: &TaskId, prover: Address) {
        let Ok((_, found)) = self.state.task(task) else { return };
        let memory = found.memory_bytes;
        if let Some(session) = self.live.provers.get_mut(&prover) {
            session.free_memory = session.free_memory.saturating_add(memory);
            session.progress.remove(task);
            self.place(prover);
        }
    }

    /// Takes in how much memory a prover has for new tasks.
    fn on_free_memory(&mut self, prover: Address, session: SessionId, free: ByteCount) {
        let Some(found) = self.live.prover_session(&prover, session) else { return };
        let before = std::mem::replace(&mut found.free_memory, free);
        if before != free {
            self.place(prover);
            self.live.schedule_due |= before < free && !self.state.queue.is_empty();
        }
    }

    fn on_completed(
        &mut self,
        step: &mut Step,
        prover: Address,
        lease: LeaseRef,
        report: ProofReport,
    ) -> Result<Answer, Refusal> {
        let (job, task) = self.task_of(&lease.task)?;
        let Some(found) = try_for(task, &prover, &lease) else {
            return Err(Refusal::UnknownLease(lease.task));
        };
        if let Some(at_intake) = found.at_intake {
            let same = at_intake.proof == report.proof;
            return Ok(if same { Answer::CompletionReceived } else { Answer::AlreadyDone });
        }
        let unproved = matches!(task.state, TaskState::Queued | TaskState::Leased(_));
        // A try that was judged before is not judged again; one that only lost its lease is, and one
        // that nobody could judge may be offered again, but not as other bytes each time.
        let open = match &found.outcome {
            TryOutcome::Running => true,
            TryOutcome::Ended(LeaseEnd::IntakeRefused { .. }) => false,
            TryOutcome::Ended(_) => found.delivered.is_none_or(|known| known == report.proof),
            TryOutcome::Accepted | TryOutcome::Superseded | TryOutcome::RefusedByQuorum(_) => false,
        };
        if !unproved || !open {
            return Ok(Answer::AlreadyDone);
        }
        let max: ByteCount = job.spec.limits.max_proof_bytes;
        if report.bytes > max {
            let refusal = Refusal::ProofTooLarge { max, got: report.bytes };
            if holds(task, &prover, &lease) {
                let (code, text) = ("proof_too_large".into(), refusal.to_string());
                self.end_lease(step, lease.task, LeaseEnd::IntakeRefused { code, text })?;
            }
            return Err(refusal);
        }
        let (id, attempt) = (lease.task, lease.attempt);
        if holds(task, &prover, &lease) {
            self.give_memory_back(&id, prover);
        }
        // A delivery may be the first that the journal hears of these bytes.
        if !self.state.blobs.contains_key(&report.proof) {
            let waiting = self.state.awaiting.get(&report.proof);
            self.live.dirty_jobs.extend(waiting.into_iter().flatten());
        }
        self.record(step, Change::ProofDelivered { task: id, attempt, prover, report })?;
        step.effects.extend(self.intake_effect(&id, attempt));
        Ok(Answer::CompletionReceived)
    }

    /// The order to judge a delivered proof.
    pub(super) fn intake_effect(&self, id: &TaskId, attempt: Attempt) -> Option<Effect> {
        let (job, task) = self.state.task(id).ok()?;
        let found = task.tries.iter().find(|found| found.attempt == attempt)?;
        let verify =
            if self.config.judge_at_intake { IntakeDepth::Judge } else { IntakeDepth::DigestsOnly };
        Some(Effect::JudgeIntake {
            task: *id,
            attempt,
            prover: found.prover,
            report: found.at_intake?,
            job: job.id,
            spec: job.spec.clone(),
            plan: job.plan.clone()?,
            index: task.index,
            verify,
        })
    }

    fn on_failed(
        &mut self,
        step: &mut Step,
        prover: Address,
        lease: LeaseRef,
        fault: TaskFault,
    ) -> Result<Answer, Refusal> {
        let (_, task) = self.task_of(&lease.task)?;
        let running = self.state.running.get(&prover).is_some_and(|t| t.contains(&lease.task));
        if !holds(task, &prover, &lease) || !running {
            return Err(Refusal::StaleLease(lease.task));
        }
        self.end_lease(step, lease.task, LeaseEnd::Fault(fault))?;
        Ok(Answer::Done)
    }

    fn on_requeue(&mut self, step: &mut Step, id: TaskId) -> Result<Answer, Refusal> {
        let (job, task) = self.task_of(&id)?;
        match &task.state {
            TaskState::Leased(lease) => {
                let (prover, attempt) = (lease.prover, lease.attempt);
                // A proof at intake is finished work: its verdict decides, not a new try.
                if self.state.at_intake.contains(&(id, attempt)) {
                    return Ok(Answer::Done);
                }
                self.end_lease(step, id, LeaseEnd::Requeued)?;
                self.send_cancel(step, prover, (id, attempt), CancelReason::Requeued);
                Ok(Answer::Done)
            }
            TaskState::Queued | TaskState::Waiting { .. } => Ok(Answer::Done),
            _ => Err(Refusal::JobBeyond { job: job.id, state: job.state.kind() }),
        }
    }

    fn on_judged(
        &mut self,
        step: &mut Step,
        (id, attempt): (TaskId, Attempt),
        prover: Address,
        outcome: IntakeOutcome,
    ) -> Result<Answer, Refusal> {
        let (_, task) = self.task_of(&id)?;
        let found = task.tries.iter().find(|t| t.attempt == attempt && t.prover == prover);
        let Some(report) = found.and_then(|found| found.at_intake) else {
            return Ok(Answer::Late);
        };
        let (end, answer) = match outcome {
            IntakeOutcome::Accepted(record) => match self.record_fault(&id, &report, &record) {
                None if record.prover == prover => {
                    return self.accept(step, id, attempt, record);
                }
                fault => {
                    let text = fault.unwrap_or("the record pays another prover");
                    refused_at_intake("record_mismatch".into(), text.into())
                }
            },
            IntakeOutcome::Refused { code, text } => refused_at_intake(code, text),
            IntakeOutcome::Unjudged { reason } => {
                (LeaseEnd::Unjudged(reason.clone()), Answer::ProofUnjudged { reason })
            }
        };
        let current = matches!(
            &self.task_of(&id)?.1.state,
            TaskState::Leased(lease) if lease.attempt == attempt
        );
        if current {
            self.record(step, Change::LeaseEnded { task: id, attempt, end })?;
        } else {
            self.record(step, Change::CandidateDropped { task: id, attempt, end })?;
        }
        self.live.dirty_tasks.insert(id);
        Ok(answer)
    }

    /// Why a record is not the one that the plan asks for, if it is not.
    fn record_fault(
        &self,
        id: &TaskId,
        report: &ProofReport,
        record: &SegmentRecord,
    ) -> Option<&'static str> {
        let (job, task) = self.state.task(id).ok()?;
        let plan = job.plan.as_ref()?;
        let segment = plan.segments.get(task.index as usize)?;
        if record.index != task.index
            || (record.first, record.count) != (segment.first, segment.count)
        {
            return Some("the proof covers another segment");
        }
        if record.vk != plan.vk {
            return Some("the proof is for another verifying key");
        }
        if record.work_units != segment.work_units {
            return Some("the record claims other work units than planned");
        }
        (record.proof != report.proof).then_some("the record names another proof")
    }

    fn accept(
        &mut self,
        step: &mut Step,
        task: TaskId,
        attempt: Attempt,
        record: SegmentRecord,
    ) -> Result<Answer, Refusal> {
        let other = match &self.task_of(&task)?.1.state {
            TaskState::Leased(lease) if lease.attempt != attempt => {
                Some((lease.prover, lease.attempt))
            }
            _ => None,
        };
        self.record(step, Change::TaskAccepted { task, attempt, record: record.clone() })?;
        if let Some((prover, attempt)) = other {
            self.give_memory_back(&task, prover);
            self.reindex(prover);
            self.send_cancel(step, prover, (task, attempt), CancelReason::AlreadyProved);
        }
        let verifiers = self.connected_members(None);
        let (job, _) = self.task_of(&task)?;
        if let (Some(plan), false) = (job.plan.clone(), verifiers.is_empty()) {
            let (id, spec) = (job.id, job.spec.clone());
            step.effects.push(Effect::OfferSegment { verifiers, job: id, spec, plan, record });
        }
        Ok(Answer::ProofAccepted)
    }

    /// Fails a job whose task has used up its tries.
    pub(super) fn check_budget(&mut self, step: &mut Step, id: TaskId) -> Result<(), Refusal> {
        let Ok((job, task)) = self.state.task(&id) else { return Ok(()) };
        if task.state != TaskState::Queued || task.tries.iter().any(|t| t.at_intake.is_some()) {
            return Ok(());
        }
        let last = task.tries.iter().rev().find_map(|found| match &found.outcome {
            TryOutcome::Ended(end) if end.burns_budget() => Some(end.to_string()),
            TryOutcome::RefusedByQuorum(reason) => Some(reason.clone()),
            _ => None,
        });
        let reason = if task.faults >= self.config.task_attempts_max {
            let last = last.unwrap_or_default();
            FailReason::TaskExhausted { index: task.index, attempts: task.faults, last }
        } else if task.losses >= self.config.task_losses_max {
            FailReason::TaskLost { index: task.index, losses: task.losses }
        } else {
            return Ok(());
        };
        let job = job.id;
        self.record(step, Change::TaskFailed { task: id, reason: reason.clone() })?;
        self.end_job(step, job, JobEnd::Failed(reason))
    }

    /// A prover's silence: its leases go back to the queue, outside the retry budget.
    pub(super) fn prover_silent(
        &mut self,
        step: &mut Step,
        prover: Address,
    ) -> Result<(), Refusal> {
        let Some(heard) = self.live.heard.get(&prover).copied() else { return Ok(()) };
        let dead_at = heard.after(Millis::new(self.config.heartbeat_dead_after_ms));
        if step.now < dead_at {
            self.live.arm(dead_at, Timer::ProverDead(prover));
            return Ok(());
        }
        self.live.heard.remove(&prover);
        if let Some(session) = self.live.disconnect(&prover) {
            let peer = Peer { address: prover, session: session.session };
            step.effects.push(Effect::CloseSession { peer });
            self.live.schedule_due = true;
        }
        let running: Vec<TaskId> =
            self.state.running.get(&prover).into_iter().flatten().copied().collect();
        for task in running {
            self.end_lease(step, task, LeaseEnd::WorkerLost)?;
        }
        Ok(())
    }
}
