//! What is being proved: assignments that wait for room, and tasks that run.

use std::sync::Arc;

use proofgrid_core::bond::LeaseTerms;
use proofgrid_core::ids::{Attempt, TaskId};
use proofgrid_core::job::TaskKind;
use proofgrid_core::limits::{INPUT_BYTES_MAX, SEGMENTS_MAX};
use proofgrid_core::network::{Assignment, CancelReason, LeaseRef, TaskFault};
use proofgrid_core::units::ByteCount;
use proofgrid_proto::convert::ProverMessage;
use tokio::task::{Id, JoinError};

use super::{Drain, Worker};
use crate::config::SLOTS_MAX;
use crate::holdings::HeldProof;
use crate::pipeline::{TaskEnd, lease_of, memory_needed, unprovable};
use crate::progress::{Progress, TaskControl};

/// Most assignments that wait for work to stop: a dispatcher never assigns more than the slots.
const PENDING_MAX: usize = SLOTS_MAX as usize;
/// Most finished proofs that wait for an answer before no other work is taken: a registration names
/// no more leases than this.
const HELD_MAX: usize = SEGMENTS_MAX as usize;

/// How the proof of a task ended, and which one it was.
pub(super) type ProvingEnded = Result<(Id, (TaskId, Result<HeldProof, TaskEnd>)), JoinError>;

/// Whether a running task's lease is still ours, as far as the dispatcher has said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holding {
    /// Ours.
    Ours,
    /// Not confirmed after a reconnect; the work gives way when its slot is needed.
    Lost,
}

/// A task that is being proved.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) assignment: Arc<Assignment>,
    /// The newest lease; the assignment keeps the first.
    pub(super) lease: LeaseRef,
    pub(super) holding: Holding,
    pub(super) control: Arc<TaskControl>,
    pub(super) reserved: ByteCount,
    pub(super) thread: Id,
    pub(super) reported: Option<Progress>,
}

impl Worker {
    pub(super) fn on_assign(&mut self, assignment: Assignment) {
        let lease = lease_of(&assignment);
        if self.drain != Drain::No {
            return self.give_up(&lease, TaskFault::Draining);
        }
        if let Some(running) = self.running.get_mut(&lease.task)
            && !running.control.is_cancelled()
        {
            // The same work under a new lease, or the same message again.
            running.lease = lease;
            running.holding = Holding::Ours;
            return;
        }
        if let Some(known) = self.pending.iter_mut().find(|known| known.lease.task == lease.task) {
            *known = assignment;
            return;
        }
        if self.offer_again(&assignment) {
            return;
        }
        if let Err(fault) = self.check(&assignment) {
            return self.give_up(&lease, fault);
        }
        self.pending.push_back(assignment);
    }

    /// What can be refused before anything is fetched.
    fn check(&self, assignment: &Assignment) -> Result<(), TaskFault> {
        if self.pending.len() >= PENDING_MAX || self.held.len() >= HELD_MAX {
            let (pending, held) = (self.pending.len(), self.held.len());
            let text = format!(
                "{pending} tasks wait for room and {held} finished proofs for an answer; \
                 assign fewer tasks"
            );
            return Err(TaskFault::OutOfMemory(text));
        }
        let refuse = |text: String| match unprovable(text) {
            TaskEnd::Fault(fault) => Err(fault),
            TaskEnd::Cancelled => Ok(()),
        };
        let task = TaskId::derive(&assignment.job, TaskKind::Segment, assignment.index);
        if task != assignment.lease.task {
            return refuse(format!("segment {} of the job is task {task}", assignment.index));
        }
        let program = assignment.spec.program;
        if self.workshop.registry.get(&program).is_none() {
            return refuse(format!("this worker has no program {program}"));
        }
        let input_bytes = assignment.spec.limits.input_bytes.get();
        if input_bytes > INPUT_BYTES_MAX {
            return refuse(format!("an input has at most {INPUT_BYTES_MAX} B, not {input_bytes}"));
        }
        Ok(())
    }

    /// Starts what fits. What has to wait for work that is stopping waits; the rest is given up.
    pub(super) fn start_pending(&mut self) {
        while let Some(assignment) = self.pending.front() {
            let lease = lease_of(assignment);
            if self.running.contains_key(&lease.task) {
                // An earlier try of the same task is still stopping: one at a time has its place.
                return;
            }
            let taken = self.running.len() + self.races.slots_taken();
            let full = taken >= self.config.slots as usize;
            let admitted = if full {
                Err(TaskFault::OutOfMemory("every slot is taken; assign fewer tasks".into()))
            } else {
                let needed = memory_needed(assignment);
                let admitted = self.gate.admit(needed);
                admitted.map(|()| needed).map_err(|error| TaskFault::OutOfMemory(error.to_string()))
            };
            match admitted {
                Ok(reserved) => {
                    if let Some(assignment) = self.pending.pop_front() {
                        self.start(assignment, reserved);
                    }
                }
                Err(_) if self.make_room() => return,
                Err(fault) => {
                    self.pending.pop_front();
                    self.give_up(&lease, fault);
                }
            }
        }
    }

    /// Whether room is coming: work that is stopping, or a race or work whose lease is lost, which stops
    /// now.
    fn make_room(&mut self) -> bool {
        if self.running.values().any(|running| running.control.is_cancelled()) {
            return true;
        }
        if self.races.give_way() {
            return true;
        }
        let lost = self.running.values().find(|running| running.holding == Holding::Lost);
        if let Some(running) = lost {
            tracing::info!(task = %running.lease.task, "work without a lease gives way");
            running.control.cancel();
        }
        lost.is_some()
    }

    fn start(&mut self, assignment: Assignment, reserved: ByteCount) {
        let lease = lease_of(&assignment);
        let measured = self.bench.of(&assignment.spec.program);
        let expected = measured.and_then(|known| known.expected(assignment.segment.work_units));
        let control = Arc::new(TaskControl::new(expected));
        let assignment = Arc::new(assignment);
        tracing::info!(task = %lease.task, token = %lease.token, ?expected, "task started");
        if let Some(desk) = &self.workshop.desk {
            desk.started(&assignment);
        }
        let proving =
            Arc::clone(&self.workshop).prove(Arc::clone(&assignment), Arc::clone(&control));
        let thread = self.proving.spawn(async move { (lease.task, Box::pin(proving).await) }).id();
        let running = Running {
            assignment,
            lease,
            holding: Holding::Ours,
            control,
            reserved,
            thread,
            reported: None,
        };
        self.running.insert(lease.task, running);
    }

    pub(super) async fn on_proving_ended(&mut self, ended: ProvingEnded) {
        let (task, result) = match ended {
            Ok((_, ended)) => ended,
            Err(error) => {
                let id = error.id();
                let mut running = self.running.iter();
                let Some((task, _)) = running.find(|(_, running)| running.thread == id) else {
                    return;
                };
                let fault = TaskFault::Backend(format!("the worker failed: {error}"));
                (*task, Err(TaskEnd::Fault(fault)))
            }
        };
        let Some(running) = self.running.remove(&task) else { return };
        self.gate.release(running.reserved);
        let cancelled = running.control.is_cancelled();
        match result {
            Ok(proof) if cancelled => self.workshop.forget(proof).await,
            Ok(proof) => {
                tracing::info!(%task, ms = proof.prove_ms, "proved");
                if let Some(desk) = &self.workshop.desk {
                    desk.proved(proof.job, &task, &proof.record);
                }
                self.hold(HeldProof { lease: running.lease, ..proof });
            }
            Err(TaskEnd::Fault(fault)) if !cancelled => self.give_up(&running.lease, fault),
            Err(_) if self.drain == Drain::Over => {
                self.give_up(&running.lease, TaskFault::Draining);
            }
            Err(_) => tracing::info!(%task, "stopped"),
        }
        self.forget_terms(&task);
    }

    /// The bond that the dispatcher asks for a lease that is here.
    pub(super) fn on_terms(&self, lease: LeaseRef, terms: LeaseTerms) {
        let waits = || self.pending.iter().any(|known| lease_of(known) == lease);
        let runs = self.running.get(&lease.task).is_some_and(|running| running.lease == lease);
        match &self.workshop.desk {
            Some(desk) if runs || waits() => desk.asked(lease, terms),
            _ => tracing::debug!(task = %lease.task, "a bond is asked; works without one"),
        }
    }

    /// A task is worked on no more, unless it runs.
    fn forget_terms(&self, task: &TaskId) {
        if let Some(desk) = &self.workshop.desk
            && !self.running.contains_key(task)
        {
            desk.forget(task);
        }
    }

    pub(super) fn give_up(&mut self, lease: &LeaseRef, fault: TaskFault) {
        tracing::warn!(task = %lease.task, token = %lease.token, ?fault, "task given up");
        self.counts.failed = self.counts.failed.saturating_add(1);
        self.forget_terms(&lease.task);
        self.send(ProverMessage::Fail { lease: *lease, fault });
    }

    pub(super) async fn on_cancel(
        &mut self,
        task: &TaskId,
        attempt: Attempt,
        reason: &CancelReason,
    ) {
        tracing::info!(%task, %attempt, ?reason, "cancelled by the dispatcher");
        self.pending.retain(|known| known.lease.task != *task || known.lease.attempt > attempt);
        if let Some(running) = self.running.get(task)
            && running.lease.attempt <= attempt
        {
            running.control.cancel();
        }
        self.forget_terms(task);
        // A finished proof costs nothing to offer, unless nobody can have a use for it any more.
        let useless = matches!(reason, CancelReason::AlreadyProved | CancelReason::JobOver);
        if useless {
            self.forget(task).await;
        }
    }
}
