//! The actor: the one owner of the state machine.
//!
//! It takes what waits in its inbox, applies each input, writes the facts of all of them to the
//! journal in one append, and only after the flush answers callers, shows readers the new state and
//! runs effects. So nobody ever hears of something that a crash could take back. One owner needs no
//! lock; what it costs is that all decisions pass through one task, which takes microseconds each.
//!
//! It refuses to do work: planning, judging and pairing happen elsewhere and come back as inputs.

mod feed;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;

use proofgrid_core::ids::{StatementDigest, TaskId};
use proofgrid_core::network::{
    Answer, Change, Consequence, Effect, Fact, Input, Network, Outcome, Refusal,
};
use proofgrid_core::units::{Millis, UnixMillis};
use proofgrid_store::journal::Journal;
use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::compaction::Compactor;
use crate::effects::Effects;
use crate::error::{DispatcherError, EdgeError};
use crate::limits::{BATCH_INPUTS_MAX, INBOX_MAX, TICK};
use crate::shared::LiveEpochs;

pub use feed::{Feeds, remembered};
pub use watch::WatchHub;

/// Called once with the answer to an input and the state after it, inside the actor after the flush:
/// must be short.
pub type Reply = Box<dyn FnOnce(Result<Answer, Refusal>, &View<'_>) + Send>;
type Reader = Box<dyn FnOnce(&View<'_>) + Send>;

/// What a reader sees: everything durable, and what is known of connected peers.
#[derive(Debug)]
pub struct View<'a> {
    /// The state machine.
    pub network: &'a Network,
    /// Events by job.
    pub feeds: &'a Feeds,
    /// Work done so far.
    pub counters: Counters,
}

/// Work done since the process started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Inputs applied.
    pub inputs: u64,
    /// Facts written.
    pub facts: u64,
    /// Appends to the journal, each flushed before its answers.
    pub appends: u64,
}

enum Command {
    Apply { input: Box<Input>, reply: Reply },
    Read(Reader),
    Note(Note),
}

/// A measurement for people: kept in memory, decides nothing.
#[derive(Clone, Copy, Debug)]
pub enum Note {
    /// Intake judged a task's proof.
    Intake {
        /// The task.
        task: TaskId,
        /// How long it took.
        verify: Millis,
    },
    /// A verifier judged a statement.
    Judged {
        /// The statement.
        statement: StatementDigest,
        /// How long it took, as the verifier says.
        judged_in: Millis,
    },
}

/// The actor's inbox; cheap to clone.
#[derive(Clone)]
pub struct ActorHandle {
    inbox: mpsc::Sender<Command>,
}

impl std::fmt::Debug for ActorHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ActorHandle").field("room", &self.inbox.capacity()).finish()
    }
}

fn refuse_send<T>(error: mpsc::error::TrySendError<T>) -> EdgeError {
    match error {
        mpsc::error::TrySendError::Full(_) => EdgeError::Busy("the dispatcher's queue is full"),
        mpsc::error::TrySendError::Closed(_) => EdgeError::ShuttingDown,
    }
}

/// A reply that somebody waits for, with what a look at the state after the input gives.
fn answered<T: Send + 'static>(
    look: impl FnOnce(Answer, &View<'_>) -> T + Send + 'static,
) -> (Reply, oneshot::Receiver<Result<T, Refusal>>) {
    let (sender, receiver) = oneshot::channel();
    let reply: Reply = Box::new(move |answer, view| {
        // A caller that went away needs no answer; its input counts all the same.
        let _ = sender.send(answer.map(|answer| look(answer, view)));
    });
    (reply, receiver)
}

/// The reply to an input of this process's own making.
fn own_input() -> Reply {
    Box::new(|answer, _| {
        if let Err(refusal) = answer {
            tracing::debug!(%refusal, "an input of our own was refused");
        }
    })
}

impl ActorHandle {
    /// Hands an input over without waiting for room.
    ///
    /// # Errors
    /// [`EdgeError::Busy`] when the inbox is full, [`EdgeError::ShuttingDown`] at the end.
    fn offer(&self, input: Input, reply: Reply) -> Result<(), EdgeError> {
        let command = Command::Apply { input: Box::new(input), reply };
        self.inbox.try_send(command).map_err(refuse_send)
    }

    /// Hands an input over, after waiting for room. For the messages of a session: its peer does
    /// not send them again, and while it waits here its stream is not read, which slows it down.
    ///
    /// # Errors
    /// [`EdgeError::ShuttingDown`] at the end.
    pub async fn hand_over(&self, input: Input, reply: Reply) -> Result<(), EdgeError> {
        let command = Command::Apply { input: Box::new(input), reply };
        self.inbox.send(command).await.map_err(|_gone| EdgeError::ShuttingDown)
    }

    /// Hands an input over without waiting for room and waits for its answer, which comes after the
    /// flush.
    ///
    /// # Errors
    /// [`EdgeError::Busy`] when the inbox is full, [`EdgeError::ShuttingDown`] at the end, or the
    /// state machine's refusal.
    pub async fn apply(&self, input: Input) -> Result<Answer, EdgeError> {
        self.apply_and_look(input, |answer, _| answer).await
    }

    /// As [`Self::apply`], and looks at the state after the input in the same turn.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub async fn apply_and_look<T: Send + 'static>(
        &self,
        input: Input,
        look: impl FnOnce(Answer, &View<'_>) -> T + Send + 'static,
    ) -> Result<T, EdgeError> {
        let (reply, answer) = answered(look);
        self.offer(input, reply)?;
        Ok(answer.await.map_err(|_gone| EdgeError::ShuttingDown)??)
    }

    /// As [`Self::apply`], but waits for room: for the end of a long upload.
    ///
    /// # Errors
    /// As [`Self::hand_over`], or the state machine's refusal.
    pub async fn apply_when_room(&self, input: Input) -> Result<Answer, EdgeError> {
        let (reply, answer) = answered(|answer, _| answer);
        self.hand_over(input, reply).await?;
        Ok(answer.await.map_err(|_gone| EdgeError::ShuttingDown)??)
    }

    /// Hands over an input of this process's own making: waits for room, drops it only at the end,
    /// when a restart makes it again.
    pub async fn deliver(&self, input: Input) {
        // Fails only when the actor is gone.
        let _ = self.hand_over(input, own_input()).await;
    }

    /// As [`Self::hand_over`], for a thread that may block.
    ///
    /// # Errors
    /// [`EdgeError::ShuttingDown`] at the end.
    pub fn hand_over_blocking(&self, input: Input, reply: Reply) -> Result<(), EdgeError> {
        let command = Command::Apply { input: Box::new(input), reply };
        self.inbox.blocking_send(command).map_err(|_gone| EdgeError::ShuttingDown)
    }

    /// As [`Self::deliver`], for a thread that may block.
    pub fn deliver_blocking(&self, input: Input) {
        // Fails only when the actor is gone.
        let _ = self.hand_over_blocking(input, own_input());
    }

    /// Hands a measurement over; dropped when there is no room.
    pub fn note(&self, note: Note) {
        if self.inbox.try_send(Command::Note(note)).is_err() {
            tracing::debug!("a measurement was dropped; the queue is full");
        }
    }

    /// Looks at the state, after everything that was handed over before is durable.
    ///
    /// # Errors
    /// [`EdgeError::Busy`] when the inbox is full, [`EdgeError::ShuttingDown`] at the end.
    pub async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&View<'_>) -> T + Send + 'static,
    ) -> Result<T, EdgeError> {
        let (sender, receiver) = oneshot::channel();
        let reader: Reader = Box::new(move |view| {
            // A reader that went away needs nothing.
            let _ = sender.send(look(view));
        });
        self.inbox.try_send(Command::Read(reader)).map_err(refuse_send)?;
        receiver.await.map_err(|_gone| EdgeError::ShuttingDown)
    }
}

/// An inbox and the end that the actor reads.
pub(crate) struct Inbox(mpsc::Receiver<Command>);

#[cfg(test)]
impl Inbox {
    /// The next input and what answers it; anything else is passed over.
    pub(crate) async fn next_input(&mut self) -> (Input, Reply) {
        loop {
            let command = self.0.recv().await.expect("a handle is held");
            if let Command::Apply { input, reply } = command {
                return (*input, reply);
            }
        }
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

pub(crate) fn inbox() -> (ActorHandle, Inbox) {
    let (sender, receiver) = mpsc::channel(INBOX_MAX);
    (ActorHandle { inbox: sender }, Inbox(receiver))
}

/// The owner of the state machine.
pub(crate) struct Actor {
    clock: Clock,
    network: Network,
    feeds: Feeds,
    journal: Journal,
    inbox: mpsc::Receiver<Command>,
    effects: Effects,
    hub: Arc<WatchHub>,
    epochs: tokio::sync::watch::Sender<LiveEpochs>,
    counters: Counters,
    compactor: Option<Compactor>,
    /// Kept between batches: full ones take megabytes, and fresh memory costs more than what is
    /// done with it.
    batch: Batch,
}

/// Everything that an actor is made of.
pub(crate) struct Parts {
    pub(crate) clock: Clock,
    pub(crate) network: Network,
    pub(crate) feeds: Feeds,
    pub(crate) journal: Journal,
    pub(crate) inbox: Inbox,
    pub(crate) effects: Effects,
    pub(crate) hub: Arc<WatchHub>,
    pub(crate) epochs: tokio::sync::watch::Sender<LiveEpochs>,
    /// Without one the journal is kept whole.
    pub(crate) compactor: Option<Compactor>,
}

/// What one batch of inputs left to be done after the flush.
#[derive(Default)]
struct Batch {
    facts: Vec<Fact>,
    effects: Vec<Effect>,
    answers: Vec<(Reply, Result<Answer, Refusal>)>,
    readers: Vec<Reader>,
    halt: Option<Refusal>,
}

impl Actor {
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            clock: parts.clock,
            network: parts.network,
            feeds: parts.feeds,
            journal: parts.journal,
            inbox: parts.inbox.0,
            effects: parts.effects,
            hub: parts.hub,
            epochs: parts.epochs,
            counters: Counters::default(),
            compactor: parts.compactor,
            batch: Batch::default(),
        }
    }

    /// Runs until it is told to stop, or until the journal fails.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) -> Result<(), DispatcherError> {
        self.publish_epochs();
        let owed = self.network.resume(self.clock.now());
        self.effects.run(owed, &self.network);
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let first = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                error = self.journal.failed() => return Err(error.into()),
                command = self.inbox.recv() => command,
                _ = ticks.tick() => self.tick_if_due(),
            };
            if let Some(first) = first {
                self.take(first);
                self.finish().await?;
                // An inbox that is never empty would keep the ticks above from their turn.
                if let Some(tick) = self.tick_if_due() {
                    self.take(tick);
                    self.finish().await?;
                }
            }
        }
        // What was handed over before the end is still made durable and answered.
        self.inbox.close();
        while let Ok(command) = self.inbox.try_recv() {
            self.take(command);
            self.finish().await?;
        }
        if let Some(compactor) = self.compactor.take() {
            compactor.stop().await;
        }
        Ok(())
    }

    fn tick_if_due(&self) -> Option<Command> {
        let due = self.network.next_wakeup().is_some_and(|at| at <= self.clock.now());
        let tick = || Command::Apply { input: Box::new(Input::Tick), reply: Box::new(|_, _| {}) };
        due.then(tick)
    }

    /// Applies what waits, up to a bound, all at one instant.
    fn take(&mut self, first: Command) {
        let now = self.clock.now();
        self.apply(first, now);
        for _ in 1..BATCH_INPUTS_MAX {
            let Ok(command) = self.inbox.try_recv() else { break };
            self.apply(command, now);
            if self.batch.halt.is_some() {
                break;
            }
        }
    }

    fn apply(&mut self, command: Command, now: UnixMillis) {
        match command {
            Command::Apply { input, reply } => {
                self.counters.inputs += 1;
                self.wake_for_progress(&input);
                let outcome = self.network.apply(*input, now);
                self.collect(outcome, reply);
            }
            Command::Read(reader) => self.batch.readers.push(reader),
            Command::Note(Note::Intake { task, verify }) => {
                self.feeds.note_intake(self.network.state(), task, verify);
            }
            Command::Note(Note::Judged { statement, judged_in }) => {
                self.feeds.note_judged(self.network.state(), statement, judged_in);
            }
        }
    }

    /// Progress changes no durable state, so no fact and no effect tells the watchers of it.
    fn wake_for_progress(&self, input: &Input) {
        if let Input::ProverProgress { lease, .. } = input
            && let Ok((job, _)) = self.network.state().task(&lease.task)
        {
            self.hub.wake(&job.id);
        }
    }

    fn collect(&mut self, outcome: Outcome, reply: Reply) {
        let batch = &mut self.batch;
        for fact in &outcome.facts {
            self.feeds.absorb(fact, self.network.state());
            feed::warn_of_contradictions(fact, self.network.state());
        }
        if let Err(refusal) = &outcome.answer
            && refusal.consequence() == Consequence::Halt
        {
            batch.halt = Some(refusal.clone());
        }
        batch.facts.extend(outcome.facts);
        batch.effects.extend(outcome.effects);
        batch.answers.push((reply, outcome.answer));
    }

    /// Flushes, then answers, shows and acts.
    async fn finish(&mut self) -> Result<(), DispatcherError> {
        if let Some(refusal) = self.batch.halt.take() {
            tracing::error!(%refusal, "halted before anything of the batch was written");
            return Err(DispatcherError::Halted(refusal));
        }
        self.write().await?;
        let is_epoch = |fact: &Fact| matches!(fact.change, Change::EpochRecorded { .. });
        if self.batch.facts.iter().any(is_epoch) {
            self.publish_epochs();
        }
        let Batch { facts, effects, answers, readers, .. } = &mut self.batch;
        facts.clear();
        let view = View { network: &self.network, feeds: &self.feeds, counters: self.counters };
        for (reply, answer) in answers.drain(..) {
            reply(answer, &view);
        }
        for reader in readers.drain(..) {
            reader(&view);
        }
        for job in self.feeds.take_touched() {
            self.hub.wake(&job);
        }
        for effect in &*effects {
            if let Effect::JobChanged { job } = effect {
                self.hub.wake(job);
            }
        }
        self.effects.run(effects.drain(..), &self.network);
        Ok(())
    }

    async fn write(&mut self) -> Result<(), DispatcherError> {
        let facts = &self.batch.facts;
        if facts.is_empty() {
            return Ok(());
        }
        let mut last = None;
        for chunk in facts.chunks(proofgrid_store::limits::APPEND_RECORDS_MAX) {
            last = Some(self.journal.append(chunk.iter().map(Fact::encode).collect()).await?);
            self.counters.appends += 1;
        }
        // Appends are committed in order, so the last acknowledgement covers all of them.
        if let Some(ack) = last {
            let committed = ack.await?;
            tracing::debug!(target: "journal", committed_to = committed.last.get(), "flushed");
            if let Some(compactor) = &mut self.compactor {
                compactor.committed(committed.last);
            }
        }
        self.counters.facts += facts.len() as u64;
        Ok(())
    }

    /// Tells the edge which epochs count.
    fn publish_epochs(&self) {
        let epochs = &self.network.state().epochs;
        let newest = epochs.iter().rev().take(2);
        let live: BTreeMap<_, _> =
            newest.map(|(number, keys)| (*number, Arc::new(keys.clone()))).collect();
        self.epochs.send_replace(Arc::new(live));
    }
}
