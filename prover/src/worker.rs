//! The owner of everything that the worker does: which tasks run, which proofs are held, which lease
//! each is under.
//!
//! One loop takes one event at a time: an order of the dispatcher, a task that ended, a proof that
//! was uploaded, the progress clock, the order to drain. Nothing else changes its state.
//!
//! A lease that the dispatcher no longer confirms does not stop a proof: a late completion may still
//! be the first. Such work only gives way when its slot or memory is needed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use proofgrid_core::ids::{Attempt, TaskId};
use proofgrid_core::job::TaskKind;
use proofgrid_core::limits::INPUT_BYTES_MAX;
use proofgrid_core::network::{
    Assignment, CancelReason, Device, LeaseRef, ProgramOffer, ProverCapabilities, TaskFault,
};
use proofgrid_core::units::ByteCount;
use proofgrid_proto::convert::{
    CompletionReply, ProverMessage, ProverOrder, SessionToken, Welcome,
};
use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::backend::DeviceKind;
use crate::bench::BenchFile;
use crate::config::ProverConfig;
use crate::holdings::{HeldProof, HoldingsError};
use crate::memory::MemoryGate;
use crate::pipeline::{DeliverError, TaskEnd, Workshop, lease_of, memory_needed, unprovable};
use crate::progress::{Progress, TaskControl};
use crate::session::{Outbound, SessionEvent};
use crate::status::{ProverStatus, TaskStatus};

/// The line to the dispatcher.
#[derive(Debug)]
enum Link {
    /// There is none.
    Down,
    /// Logged in, not registered yet: only the registration may be sent.
    Registering(Outbound),
    /// Registered.
    Up(Outbound),
}

/// Whether a running task's lease is still ours, as far as the dispatcher has said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holding {
    /// Ours.
    Ours,
    /// Not confirmed after a reconnect; the work gives way when its slot is needed.
    Lost,
}

/// A task that is being proved.
#[derive(Debug)]
struct Running {
    assignment: Arc<Assignment>,
    /// The newest lease; the assignment keeps the first.
    lease: LeaseRef,
    holding: Holding,
    control: Arc<TaskControl>,
    reserved: ByteCount,
    thread: Id,
    reported: Option<Progress>,
}

/// A finished proof and whether it is on its way.
#[derive(Debug)]
struct Held {
    proof: HeldProof,
    uploading: bool,
}

/// Where draining is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Drain {
    /// Takes work.
    No,
    /// Finishes what runs, until then.
    Until(Instant),
    /// Time is up: what still runs was told to stop.
    Over,
}

/// What the loop is woken by besides its own tasks.
pub struct Wiring {
    /// From the session thread.
    pub events: mpsc::Receiver<SessionEvent>,
    /// The token of the session that is up, for the transfers.
    pub token: watch::Sender<Option<SessionToken>>,
    /// Memory for new tasks, for the heartbeats.
    pub free_memory: Arc<AtomicU64>,
    /// For whoever runs the worker.
    pub status: watch::Sender<ProverStatus>,
    /// Tells the worker to drain.
    pub drain: CancellationToken,
}

/// The owner.
pub struct Worker {
    config: ProverConfig,
    workshop: Arc<Workshop>,
    gate: MemoryGate,
    bench: BenchFile,
    wiring: Wiring,
    link: Link,
    running: BTreeMap<TaskId, Running>,
    pending: VecDeque<Assignment>,
    held: BTreeMap<TaskId, Held>,
    proving: JoinSet<(TaskId, Result<HeldProof, TaskEnd>)>,
    uploads: JoinSet<(TaskId, Result<(), DeliverError>)>,
    drain: Drain,
    counts: ProverStatus,
}

impl Worker {
    /// A worker that holds these proofs from an earlier life.
    #[must_use]
    pub fn new(
        config: ProverConfig,
        workshop: Arc<Workshop>,
        gate: MemoryGate,
        bench: BenchFile,
        held: Vec<HeldProof>,
        wiring: Wiring,
    ) -> Self {
        let held = held.into_iter().map(|proof| (proof.task(), Held { proof, uploading: false }));
        Self {
            config,
            workshop,
            gate,
            bench,
            wiring,
            link: Link::Down,
            running: BTreeMap::new(),
            pending: VecDeque::new(),
            held: held.collect(),
            proving: JoinSet::new(),
            uploads: JoinSet::new(),
            drain: Drain::No,
            counts: ProverStatus::default(),
        }
    }

    /// Works until drained.
    pub async fn run(mut self) {
        let mut clock = interval(self.config.progress_interval());
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let drain = self.wiring.drain.clone();
        loop {
            self.publish();
            if self.is_finished() {
                break;
            }
            let time_is_up = self.drain_deadline();
            tokio::select! {
                event = self.wiring.events.recv() => match event {
                    Some(event) => self.on_session(event).await,
                    // The session thread ends only when told to, or with a bug: leave in order.
                    None => self.start_drain(),
                },
                Some(ended) = self.proving.join_next(), if !self.proving.is_empty() => {
                    self.on_proving_ended(ended).await;
                }
                Some(ended) = self.uploads.join_next(), if !self.uploads.is_empty() => {
                    self.on_upload_ended(ended).await;
                }
                _ = clock.tick() => self.report_progress(),
                () = drain.cancelled(), if self.drain == Drain::No => self.start_drain(),
                () = sleep_until(time_is_up.unwrap_or_else(Instant::now)),
                    if time_is_up.is_some() => self.end_drain(),
            }
            self.start_pending();
        }
        self.uploads.shutdown().await;
    }

    // Session.

    async fn on_session(&mut self, event: SessionEvent) {
        match event {
            SessionEvent::Up { welcome, outbound } => self.on_up(&welcome, outbound).await,
            SessionEvent::Order(order) => self.on_order(order).await,
            SessionEvent::Down => self.on_down(),
        }
    }

    async fn on_up(&mut self, welcome: &Welcome, outbound: Outbound) {
        self.drop_overdue(welcome).await;
        self.wiring.token.send_replace(Some(welcome.token));
        let message =
            ProverMessage::Register { capabilities: self.capabilities(), holding: self.leases() };
        // The stream is fresh and its queue empty; if it is gone already, `Down` follows.
        if outbound.try_send(message.into()).is_ok() {
            self.link = Link::Registering(outbound);
        }
    }

    fn on_down(&mut self) {
        self.link = Link::Down;
        self.wiring.token.send_replace(None);
    }

    async fn drop_overdue(&mut self, welcome: &Welcome) {
        let now = welcome.now.as_seconds();
        let overdue: Vec<TaskId> = self
            .held
            .iter()
            .filter(|(_, held)| held.proof.deadline < now)
            .map(|(task, _)| *task)
            .collect();
        for task in overdue {
            tracing::warn!(%task, "a held proof is past its job's deadline and is dropped");
            self.forget(&task).await;
        }
    }

    fn capabilities(&self) -> ProverCapabilities {
        let device = match self.workshop.backend.kind() {
            DeviceKind::Cpu => Device::Cpu,
            DeviceKind::Cuda => Device::Cuda,
        };
        let offers = self.workshop.registry.iter().map(|program| {
            let id = program.id();
            let measured = self.bench.of(&id).map_or(0, |known| known.milli_units_per_s);
            ProgramOffer { program: id, units_per_kilosecond: measured }
        });
        ProverCapabilities {
            name: format!("{} x {}", device_name(device), self.config.num_threads()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            device,
            slots: self.config.slots,
            memory_bytes: self.gate.capacity(),
            programs: offers.collect(),
        }
    }

    fn leases(&self) -> Vec<LeaseRef> {
        let running = self.running.values().filter(|running| !running.control.is_cancelled());
        running
            .map(|running| running.lease)
            .chain(self.pending.iter().map(lease_of))
            .chain(self.held.values().map(|held| held.proof.lease))
            .collect()
    }

    async fn on_order(&mut self, order: ProverOrder) {
        match order {
            ProverOrder::Registered { resumed } => self.on_registered(&resumed),
            ProverOrder::Assign(assignment) => self.on_assign(*assignment),
            ProverOrder::Cancel { task, attempt, reason } => {
                self.on_cancel(&task, attempt, &reason).await;
            }
            ProverOrder::Completion { lease, reply } => self.on_completion(&lease, reply).await,
            ProverOrder::Drain { text } => {
                tracing::info!(%text, "the dispatcher asks to drain");
                self.start_drain();
            }
            ProverOrder::Refused(refused) => {
                tracing::warn!(reason = refused.reason, text = %refused.text, "refused");
            }
            ProverOrder::HeartbeatAck { .. } => {}
            ProverOrder::Challenge(_) | ProverOrder::Welcome(_) | ProverOrder::Goaway(_) => {
                tracing::warn!("the dispatcher sent a login message to a running session");
            }
        }
    }

    fn on_registered(&mut self, resumed: &[LeaseRef]) {
        if let Link::Registering(outbound) = std::mem::replace(&mut self.link, Link::Down) {
            self.link = Link::Up(outbound);
        }
        for running in self.running.values_mut() {
            let ours = resumed.contains(&running.lease);
            running.holding = if ours { Holding::Ours } else { Holding::Lost };
            running.reported = None;
        }
        // Not begun yet, so nothing is lost by leaving it to its new holder.
        self.pending.retain(|assignment| resumed.contains(&lease_of(assignment)));
        // A finished proof is offered in any case: a late completion counts if it is the first.
        for task in self.held.keys().copied().collect::<Vec<_>>() {
            self.start_upload(&task);
        }
        if self.drain != Drain::No {
            self.send(ProverMessage::Drain);
        }
        tracing::info!(held = self.held.len(), running = self.running.len(), "registered");
    }

    /// Sends if registered. What cannot be sent is said again, in effect, by the next registration.
    fn send(&mut self, message: ProverMessage) {
        if let Link::Up(outbound) = &self.link
            && let Err(mpsc::error::TrySendError::Full(_)) = outbound.try_send(message.into())
        {
            tracing::warn!("the stream is stuck; the session is dropped");
            self.on_down();
        }
    }

    // Assignments.

    fn on_assign(&mut self, assignment: Assignment) {
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

    /// Offers the held proof of a task that is assigned again, under the new lease.
    fn offer_again(&mut self, assignment: &Assignment) -> bool {
        let lease = lease_of(assignment);
        let Some(held) = self.held.get_mut(&lease.task) else { return false };
        let record = &held.proof.record;
        let same = held.proof.job == assignment.job
            && held.proof.program == assignment.spec.program
            && (record.index, record.first, record.count)
                == (assignment.index, assignment.segment.first, assignment.segment.count);
        if same {
            held.proof.lease = lease;
            self.start_upload(&lease.task);
        }
        same
    }

    /// What can be refused before anything is fetched.
    fn check(&self, assignment: &Assignment) -> Result<(), TaskFault> {
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
    fn start_pending(&mut self) {
        while let Some(assignment) = self.pending.front() {
            let lease = lease_of(assignment);
            let full = self.running.len() >= self.config.slots as usize;
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

    /// Whether room is coming: work that is stopping, or whose lease is lost and that stops now.
    fn make_room(&mut self) -> bool {
        if self.running.values().any(|running| running.control.is_cancelled()) {
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

    async fn on_proving_ended(
        &mut self,
        ended: Result<(TaskId, Result<HeldProof, TaskEnd>), JoinError>,
    ) {
        let (task, result) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                let id = error.id();
                let Some(task) = self
                    .running
                    .iter()
                    .find_map(|(task, running)| (running.thread == id).then_some(*task))
                else {
                    return;
                };
                let fault = TaskFault::Backend(format!("the worker failed: {error}"));
                (task, Err(TaskEnd::Fault(fault)))
            }
        };
        let Some(running) = self.running.remove(&task) else { return };
        self.gate.release(running.reserved);
        let cancelled = running.control.is_cancelled();
        match result {
            Ok(proof) if cancelled => self.workshop.forget(proof).await,
            Ok(proof) => {
                let proof = HeldProof { lease: running.lease, ..proof };
                tracing::info!(%task, ms = proof.prove_ms, "proved");
                self.held.insert(task, Held { proof, uploading: false });
                self.start_upload(&task);
            }
            Err(TaskEnd::Fault(fault)) if !cancelled => self.give_up(&running.lease, fault),
            Err(_) if self.drain == Drain::Over => {
                self.give_up(&running.lease, TaskFault::Draining)
            }
            Err(_) => tracing::info!(%task, "stopped"),
        }
    }

    fn give_up(&mut self, lease: &LeaseRef, fault: TaskFault) {
        tracing::warn!(task = %lease.task, token = %lease.token, ?fault, "task given up");
        self.counts.failed = self.counts.failed.saturating_add(1);
        self.send(ProverMessage::Fail { lease: *lease, fault });
    }

    async fn on_cancel(&mut self, task: &TaskId, attempt: Attempt, reason: &CancelReason) {
        tracing::info!(%task, %attempt, ?reason, "cancelled by the dispatcher");
        self.pending.retain(|known| known.lease.task != *task || known.lease.attempt > attempt);
        if let Some(running) = self.running.get(task)
            && running.lease.attempt <= attempt
        {
            running.control.cancel();
        }
        // A finished proof costs nothing to offer, unless nobody can have a use for it any more.
        let useless = matches!(reason, CancelReason::AlreadyProved | CancelReason::JobOver);
        if useless {
            self.forget(task).await;
        }
    }

    // Finished proofs.

    fn start_upload(&mut self, task: &TaskId) {
        if !matches!(self.link, Link::Up(_)) {
            return;
        }
        let Some(held) = self.held.get_mut(task) else { return };
        if held.uploading {
            return;
        }
        held.uploading = true;
        let (task, proof) = (*task, held.proof.clone());
        let upload = Arc::clone(&self.workshop).deliver(proof);
        self.uploads.spawn(async move { (task, Box::pin(upload).await) });
    }

    async fn on_upload_ended(
        &mut self,
        ended: Result<(TaskId, Result<(), DeliverError>), JoinError>,
    ) {
        let Ok((task, result)) = ended else { return };
        let Some(held) = self.held.get_mut(&task) else { return };
        held.uploading = false;
        let (lease, report) = (held.proof.lease, held.proof.report());
        match result {
            // Under the lease that is newest now, not when the upload began.
            Ok(()) => self.send(ProverMessage::Complete { lease, report }),
            Err(DeliverError::Holdings(HoldingsError::Corrupt(digest))) => {
                tracing::error!(%task, %digest, "the proof has changed on disk and is dropped");
                self.forget(&task).await;
                let text = "the finished proof was damaged on disk".into();
                self.give_up(&lease, TaskFault::Backend(text));
            }
            Err(error) => {
                // It stays held; the next session offers it again.
                tracing::warn!(%task, %error, "a finished proof was not delivered");
            }
        }
    }

    async fn on_completion(&mut self, lease: &LeaseRef, reply: CompletionReply) {
        let task = lease.task;
        match reply {
            CompletionReply::Received | CompletionReply::Accepted => {
                if self.forget(&task).await {
                    self.counts.delivered = self.counts.delivered.saturating_add(1);
                }
            }
            CompletionReply::AlreadyDone => {
                self.forget(&task).await;
            }
            CompletionReply::Refused(text) => {
                tracing::error!(%task, %text, "intake refused the proof; report it");
                self.counts.refused = self.counts.refused.saturating_add(1);
                self.forget(&task).await;
            }
            CompletionReply::Unjudged(text) => {
                tracing::warn!(%task, %text, "intake could not judge the proof");
                self.forget(&task).await;
            }
        }
    }

    /// Drops a held proof, on disk too. Awaited, so that a new proof of the task never races it.
    async fn forget(&mut self, task: &TaskId) -> bool {
        match self.held.remove(task) {
            Some(held) => {
                self.workshop.forget(held.proof).await;
                true
            }
            None => false,
        }
    }

    // Draining.

    fn start_drain(&mut self) {
        if self.drain != Drain::No {
            return;
        }
        tracing::info!(running = self.running.len(), held = self.held.len(), "draining");
        self.drain = Drain::Until(Instant::now() + self.config.drain_timeout());
        self.send(ProverMessage::Drain);
        while let Some(assignment) = self.pending.pop_front() {
            self.give_up(&lease_of(&assignment), TaskFault::Draining);
        }
    }

    const fn drain_deadline(&self) -> Option<Instant> {
        match self.drain {
            Drain::Until(deadline) => Some(deadline),
            Drain::No | Drain::Over => None,
        }
    }

    fn end_drain(&mut self) {
        tracing::warn!(running = self.running.len(), "drain_timeout_ms is over; tasks are stopped");
        self.drain = Drain::Over;
        for running in self.running.values() {
            running.control.cancel();
        }
    }

    /// Drained: nothing runs, and what is held is confirmed or cannot be delivered now. It is on
    /// disk and will be offered by the next start.
    fn is_finished(&self) -> bool {
        let undelivered = !self.held.is_empty() && !matches!(self.link, Link::Down);
        match self.drain {
            Drain::No => false,
            Drain::Until(_) => self.running.is_empty() && !undelivered,
            Drain::Over => self.running.is_empty(),
        }
    }

    // Reports.

    fn report_progress(&mut self) {
        if !matches!(self.link, Link::Up(_)) {
            return;
        }
        let mut news = Vec::new();
        for running in self.running.values_mut() {
            let now = running.control.progress();
            let known = running.reported.map(|known| (known.stage, known.done_permille));
            let told = running.holding == Holding::Lost || running.control.is_cancelled();
            if told || known == Some((now.stage, now.done_permille)) {
                continue;
            }
            running.reported = Some(now);
            news.push(ProverMessage::Progress {
                lease: running.lease,
                phase: now.stage.name().to_owned(),
                done_permille: now.done_permille,
            });
        }
        for message in news {
            self.send(message);
        }
    }

    fn publish(&mut self) {
        let free_memory = self.gate.free_now();
        self.wiring.free_memory.store(free_memory.get(), Ordering::Relaxed);
        let tasks = self.running.iter().map(|(task, running)| TaskStatus {
            task: *task,
            job: running.assignment.job,
            progress: running.control.progress(),
        });
        self.wiring.status.send_replace(ProverStatus {
            registered: matches!(self.link, Link::Up(_)),
            draining: self.drain != Drain::No,
            tasks: tasks.collect(),
            held: self.held.len(),
            free_memory,
            ..self.counts.clone()
        });
    }
}

const fn device_name(device: Device) -> &'static str {
    match device {
        Device::Cpu => "cpu",
        Device::Cuda => "cuda",
    }
}
