//! The owner of everything that the worker does: which tasks run, which proofs are held, which lease
//! each is under.
//!
//! One loop takes one event at a time: an order of the dispatcher, a task that ended, a proof that
//! was uploaded, the progress clock, the order to drain. Nothing else changes its state. `tasks` has
//! what is being proved, `deliveries` what is finished and not confirmed yet, `races` what is raced for.
//!
//! A lease that the dispatcher no longer confirms does not stop a proof: a late completion may still
//! be the first. Such work only gives way when its slot or memory is needed.

mod deliveries;
mod races;
mod tasks;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use proofgrid_core::ids::TaskId;
use proofgrid_core::network::{
    Assignment, Device, LeaseRef, ProgramOffer, ProverCapabilities, TaskFault,
};
use proofgrid_proto::convert::{ProverMessage, ProverOrder, SessionToken, Welcome};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::backend::DeviceKind;
use crate::bench::BenchFile;
use crate::config::ProverConfig;
use crate::holdings::HeldProof;
use crate::memory::MemoryGate;
use crate::pipeline::{DeliverError, TaskEnd, Workshop, lease_of};
use crate::session::{Outbound, SessionEvent};
use crate::status::{ProverStatus, TaskStatus};

use self::deliveries::Held;
pub(crate) use self::races::Races;
use self::tasks::{Holding, Running};

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
    races: Races,
    proving: JoinSet<(TaskId, Result<HeldProof, TaskEnd>)>,
    uploads: JoinSet<(TaskId, Result<(), DeliverError>)>,
    drain: Drain,
    counts: ProverStatus,
}

impl Worker {
    /// A worker that holds these proofs from an earlier life, and takes part in these races.
    #[must_use]
    pub(crate) fn new(
        config: ProverConfig,
        workshop: Arc<Workshop>,
        gate: MemoryGate,
        bench: BenchFile,
        (held, races): (Vec<HeldProof>, Races),
        wiring: Wiring,
    ) -> Self {
        let held = held.into_iter().map(|proof| (proof.task(), Held::new(proof)));
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
            races,
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
        let mut dialling = true;
        loop {
            self.publish();
            if self.is_finished() {
                break;
            }
            let time_is_up = self.drain_deadline();
            // What comes from others stands last, so that no flood of it keeps the rest from its turn.
            tokio::select! {
                biased;
                () = drain.cancelled(), if self.drain == Drain::No => self.start_drain(),
                () = sleep_until(time_is_up.unwrap_or_else(Instant::now)),
                    if time_is_up.is_some() => self.end_drain(),
                _ = clock.tick() => {
                    self.report_progress();
                    self.offer_unanswered();
                    self.tend_races().await;
                }
                Some(ended) = self.races.proving.join_next_with_id(),
                    if !self.races.proving.is_empty() => self.on_race_proving_ended(ended).await,
                Some(ended) = self.races.uploads.join_next_with_id(),
                    if !self.races.uploads.is_empty() => self.on_race_upload_ended(ended),
                Some(ended) = self.proving.join_next_with_id(), if !self.proving.is_empty() => {
                    self.on_proving_ended(ended).await;
                }
                Some(ended) = self.uploads.join_next_with_id(), if !self.uploads.is_empty() => {
                    self.on_upload_ended(ended).await;
                }
                event = self.wiring.events.recv(), if dialling => match event {
                    Some(event) => self.on_session(event).await,
                    // The session thread ends only when told to, or with a bug: leave in order.
                    None => {
                        dialling = false;
                        self.on_down();
                        self.start_drain();
                    }
                },
            }
            self.start_pending();
            self.start_uploads();
            self.start_races();
            self.start_race_uploads();
        }
        self.uploads.shutdown().await;
        self.races.uploads.shutdown().await;
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
        self.drop_overdue(welcome.now.as_seconds()).await;
        self.race_session(welcome.now.as_seconds());
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
        if let Some(desk) = &self.workshop.desk {
            desk.down();
        }
        self.wiring.token.send_replace(None);
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
            // The dispatcher keeps new work away by itself. This worker stays, so that it can be taken
            // back; only its own shutdown ends it.
            ProverOrder::Drain { text } => {
                tracing::info!(%text, "no new work comes until this prover is taken back");
            }
            ProverOrder::Terms { lease, terms } => self.on_terms(lease, terms),
            ProverOrder::Refused(refused) => {
                tracing::warn!(reason = refused.reason, text = %refused.text, "refused");
            }
            ProverOrder::RaceOffer(offer) => self.on_race_offer(*offer),
            ProverOrder::RaceEntry(answer) => self.on_entry_answer(answer),
            ProverOrder::HeartbeatAck { .. } => {}
            ProverOrder::Challenge(_) | ProverOrder::Welcome(_) | ProverOrder::Goaway(_) => {
                tracing::warn!("the dispatcher sent a login message to a running session");
            }
        }
    }

    fn on_registered(&mut self, resumed: &[LeaseRef]) {
        self.link = match std::mem::replace(&mut self.link, Link::Down) {
            Link::Registering(outbound) | Link::Up(outbound) => Link::Up(outbound),
            Link::Down => Link::Down,
        };
        if let (Some(desk), Link::Up(outbound)) = (&self.workshop.desk, &self.link) {
            desk.up(outbound, resumed);
        }
        for running in self.running.values_mut() {
            let ours = resumed.contains(&running.lease);
            running.holding = if ours { Holding::Ours } else { Holding::Lost };
            running.reported = None;
        }
        // Not begun yet, so nothing is lost by leaving it to its new holder.
        self.pending.retain(|assignment| resumed.contains(&lease_of(assignment)));
        self.offer_all();
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

    // Draining.

    fn start_drain(&mut self) {
        if self.drain != Drain::No {
            return;
        }
        tracing::info!(running = self.running.len(), held = self.held.len(), "draining");
        self.drain = Drain::Until(Instant::now() + self.config.drain_timeout());
        self.send(ProverMessage::Drain);
        self.races.stop_all();
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
        let delivered = self.held.values().all(Held::is_left_over);
        let idle = self.running.is_empty() && self.races.is_idle();
        match self.drain {
            Drain::No => false,
            Drain::Until(_) => idle && (delivered || matches!(self.link, Link::Down)),
            Drain::Over => idle,
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
            tasks: tasks.chain(self.races.tasks()).collect(),
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
