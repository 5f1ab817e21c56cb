//! The thread that owns the engine, and the thread that watches it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};

use super::directory::DirectoryLock;
use super::engine::{Engine, EngineError, contained};
use super::error::JournalError;
use super::record::{self, RecordError, Sequence};
use super::{Committed, Health, JournalConfig, JournalStats, Record};
use crate::limits::{GROUP_BYTES_MAX, GROUP_RECORDS_MAX, TRUNCATE_PAGE_RECORDS};

/// Where the answer to a command goes.
pub(super) type Reply<T> = oneshot::Sender<Result<T, JournalError>>;

/// What the owner thread is asked to do. The permit is the place in the queue; it is given back
/// when the command has been answered, so that the queue bounds memory as well.
pub(super) enum Command {
    /// Commit these records together.
    Append { records: Vec<Vec<u8>>, reply: Reply<Committed>, permit: OwnedSemaphorePermit },
    /// Read up to `limit` records from `from` on.
    Read { from: Sequence, limit: usize, reply: Reply<Vec<Record>>, permit: OwnedSemaphorePermit },
    /// Remove every record below `first`, a page at a time between other commands.
    Truncate(Truncation),
    /// End the thread after what is queued.
    Close,
}

/// A truncation that was asked for and is not answered yet.
pub(super) struct Truncation {
    pub(super) first: Sequence,
    pub(super) reply: Reply<()>,
    pub(super) permit: OwnedSemaphorePermit,
}

/// What the watchdog hears.
enum Pulse {
    Begin,
    End,
}

/// Appends that are committed together.
#[derive(Default)]
struct Group {
    values: Vec<(Sequence, Vec<u8>)>,
    bytes: usize,
    replies: Vec<(Reply<Committed>, Committed, OwnedSemaphorePermit)>,
}

impl Group {
    const fn is_full(&self) -> bool {
        self.values.len() >= GROUP_RECORDS_MAX || self.bytes >= GROUP_BYTES_MAX
    }
}

pub(super) struct Owner {
    engine: Box<dyn Engine>,
    /// Held as long as the engine is open.
    lock: Option<DirectoryLock>,
    /// Whether it serves what is queued when it is told to, rather than waiting for more.
    is_told: bool,
    inbox: Receiver<Command>,
    /// The oldest record that is kept; `next` if there is none.
    first: Sequence,
    next: Sequence,
    /// Each holds a permit of the queue.
    truncations: VecDeque<Truncation>,
    health: watch::Sender<Health>,
    stats: watch::Sender<JournalStats>,
    watchdog: SyncSender<Pulse>,
    group_wait: Duration,
    /// Whether the last commit held more than one append: then others are likely on their way.
    has_company: bool,
}

impl Owner {
    /// Starts both threads; the handle is the owner's.
    pub(super) fn start(
        engine: Box<dyn Engine>,
        lock: Option<DirectoryLock>,
        inbox: Receiver<Command>,
        health: watch::Sender<Health>,
        stats: watch::Sender<JournalStats>,
        config: &JournalConfig,
    ) -> Result<JoinHandle<()>, JournalError> {
        let (watchdog, pulses) = sync_channel(2);
        let limit = config.commit_time_max;
        let watched = health.clone();
        let mut owner = Self::new(engine, inbox, health, stats, watchdog)?;
        spawn("journal-watchdog", move || watch_commits(&pulses, limit, &watched))?;
        (owner.lock, owner.group_wait) = (lock, config.group_wait);
        spawn("journal", move || owner.run())
    }

    /// An owner that is told when to serve and waits for nobody: see [`Self::serve_queued`].
    pub(super) fn told(
        engine: Box<dyn Engine>,
        inbox: Receiver<Command>,
        health: watch::Sender<Health>,
        stats: watch::Sender<JournalStats>,
    ) -> Result<Self, JournalError> {
        // Nobody watches commits that are over when they return.
        let (watchdog, _pulses) = sync_channel(0);
        let owner = Self::new(engine, inbox, health, stats, watchdog)?;
        Ok(Self { is_told: true, ..owner })
    }

    fn new(
        engine: Box<dyn Engine>,
        inbox: Receiver<Command>,
        health: watch::Sender<Health>,
        stats: watch::Sender<JournalStats>,
        watchdog: SyncSender<Pulse>,
    ) -> Result<Self, JournalError> {
        let Extent { first, next } = extent(engine.as_ref())?;
        stats.send_modify(|stats| {
            stats.first_sequence = first;
            stats.last_sequence = next.get().saturating_sub(1);
        });
        Ok(Self {
            engine,
            lock: None,
            is_told: false,
            inbox,
            first,
            next,
            truncations: VecDeque::new(),
            health,
            stats,
            watchdog,
            group_wait: Duration::ZERO,
            has_company: false,
        })
    }

    fn run(mut self) {
        self.serve_queued();
        drop(self.lock);
    }

    /// Serves commands; an owner that is told stops when there is no more to do.
    pub(super) fn serve_queued(&mut self) {
        if let Err(error) = self.serve() {
            tracing::error!(target: "store", %error, "journal failed");
            fail(&self.health, error);
        }
    }

    /// Serves commands until the journal is closed or fails.
    fn serve(&mut self) -> Result<(), JournalError> {
        // A command that was taken from the queue while a group was collected, but ends the group.
        let mut set_aside = None;
        loop {
            match set_aside.take().map_or_else(|| self.receive(), Ok) {
                Ok(Command::Close) | Err(TryRecvError::Disconnected) => return Ok(()),
                Ok(Command::Read { from, limit, reply, permit }) => {
                    let answer = self.read(from, limit);
                    drop(permit);
                    // A reader that went away needs no answer.
                    let _ = reply.send(answer);
                }
                Ok(Command::Append { records, reply, permit }) => {
                    let mut group = Group::default();
                    self.join(&mut group, records, reply, permit);
                    set_aside = self.collect(&mut group);
                    self.commit(group)?;
                }
                Ok(Command::Truncate(truncation)) => self.truncations.push_back(truncation),
                Err(TryRecvError::Empty) if self.truncations.is_empty() => return Ok(()),
                Err(TryRecvError::Empty) => {}
            }
            self.truncate_page()?;
        }
    }

    /// The next command; `Empty` while there is none and either a truncation has work left or this
    /// owner waits for nobody.
    fn receive(&self) -> Result<Command, TryRecvError> {
        match self.truncations.is_empty() && !self.is_told {
            true => self.inbox.recv().map_err(|_all_handles_dropped| TryRecvError::Disconnected),
            false => self.inbox.try_recv(),
        }
    }

    fn join(
        &mut self,
        group: &mut Group,
        records: Vec<Vec<u8>>,
        reply: Reply<Committed>,
        permit: OwnedSemaphorePermit,
    ) {
        let first = self.next;
        let mut last = first;
        for payload in records {
            last = self.next;
            group.bytes = group.bytes.saturating_add(payload.len());
            group.values.push((last, record::encode(last, &payload)));
            self.next = last.next();
        }
        group.replies.push((reply, Committed { first, last }, permit));
    }

    /// Adds queued appends to the group; returns a command that is none.
    fn collect(&mut self, group: &mut Group) -> Option<Command> {
        let until = Instant::now() + self.group_wait;
        while !group.is_full() {
            let command = match self.inbox.try_recv() {
                Ok(command) => command,
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) => {
                    if !self.has_company && group.replies.len() == 1 {
                        return None;
                    }
                    let left = until.saturating_duration_since(Instant::now());
                    match self.inbox.recv_timeout(left) {
                        Ok(command) => command,
                        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                            return None;
                        }
                    }
                }
            };
            match command {
                Command::Append { records, reply, permit } => {
                    self.join(group, records, reply, permit);
                }
                other => return Some(other),
            }
        }
        None
    }

    fn commit(&mut self, group: Group) -> Result<(), JournalError> {
        let Group { values, replies, .. } = group;
        let (num_records, last) = (values.len() as u64, values.last().map_or(0, |v| v.0.get()));
        self.has_company = replies.len() > 1;
        let begin = Instant::now();
        self.watched("commit", |engine| engine.commit(values))?;
        let micros = u64::try_from(begin.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.stats.send_modify(|stats| {
            stats.commits += 1;
            stats.records += num_records;
            stats.last_sequence = last;
            stats.last_commit_micros = micros;
        });
        for (reply, committed, permit) in replies {
            drop(permit);
            // A writer that went away is not told, but its records stay.
            let _ = reply.send(Ok(committed));
        }
        Ok(())
    }

    /// Writes with the watchdog looking on and panics contained.
    fn watched(
        &mut self,
        action: &'static str,
        write: impl FnOnce(&mut dyn Engine) -> Result<(), EngineError>,
    ) -> Result<(), JournalError> {
        // The watchdog ends after it has fired; then the journal has failed already.
        let _ = self.watchdog.send(Pulse::Begin);
        let engine = self.engine.as_mut();
        let name = engine.name();
        let result = contained(name, action, || Ok::<_, Infallible>(write(engine))).flatten();
        let _ = self.watchdog.send(Pulse::End);
        result?;
        // A write that ended after the watchdog fired is durable, but its callers were told that
        // this is unknown; nothing may be acknowledged any more.
        match self.health.borrow().as_ref() {
            Some(error) => Err(JournalError::clone(error)),
            None => Ok(()),
        }
    }

    /// Takes the oldest truncation one page further and answers it when it is done.
    fn truncate_page(&mut self) -> Result<(), JournalError> {
        let Some(truncation) = self.truncations.pop_front() else { return Ok(()) };
        if truncation.first > self.next {
            let error = JournalError::TruncatedAhead { first: truncation.first, next: self.next };
            drop(truncation.permit);
            let _ = truncation.reply.send(Err(error));
            return Ok(());
        }
        if truncation.first > self.first {
            let page_end = Sequence::new(self.first.get().saturating_add(TRUNCATE_PAGE_RECORDS));
            let first = truncation.first.min(page_end);
            self.watched("truncate", |engine| {
                engine.truncate_before(first, record::encode_start(first))
            })?;
            self.first = first;
            self.stats.send_modify(|stats| stats.first_sequence = first);
        }
        if truncation.first > self.first {
            self.truncations.push_front(truncation);
        } else {
            drop(truncation.permit);
            // Whoever went away is not told, but the records are gone.
            let _ = truncation.reply.send(Ok(()));
        }
        Ok(())
    }

    fn read(&self, from: Sequence, limit: usize) -> Result<Vec<Record>, JournalError> {
        let from = from.max(Sequence::FIRST);
        if from < self.first {
            return Err(JournalError::Truncated { from, first: self.first });
        }
        read_records(self.engine.as_ref(), from, limit)
    }
}

/// Where a journal begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// The oldest record that is kept; `next` if there is none.
    pub(super) first: Sequence,
    /// The place of the next append.
    pub(super) next: Sequence,
}

/// Reads where a journal begins and ends.
pub(super) fn extent(engine: &dyn Engine) -> Result<Extent, JournalError> {
    let first = match engine.read(Sequence::START, 1)?.pop() {
        Some((Sequence::START, value)) => record::decode_start(value)?,
        _ => Sequence::FIRST,
    };
    let next = engine.last()?.map_or(first, Sequence::next).max(first);
    Ok(Extent { first, next })
}

/// Reads and checks records; each must follow the one before.
pub(super) fn read_records(
    engine: &dyn Engine,
    from: Sequence,
    limit: usize,
) -> Result<Vec<Record>, JournalError> {
    let mut expected = from;
    let mut records = Vec::new();
    for (sequence, value) in engine.read(expected, limit)? {
        if sequence != expected {
            return Err(RecordError::Missing { expected, got: sequence }.into());
        }
        records.push(Record { sequence, payload: record::decode(sequence, value)? });
        expected = sequence.next();
    }
    Ok(records)
}

fn fail(health: &watch::Sender<Health>, error: JournalError) {
    // The first reason stays: later ones are its consequences.
    health.send_if_modified(|health| {
        let is_first = health.is_none();
        if is_first {
            *health = Some(Arc::new(error));
        }
        is_first
    });
}

fn watch_commits(pulses: &Receiver<Pulse>, limit: Duration, health: &watch::Sender<Health>) {
    while let Ok(pulse) = pulses.recv() {
        if matches!(pulse, Pulse::End) {
            continue;
        }
        match pulses.recv_timeout(limit) {
            Ok(_) => {}
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                tracing::error!(target: "store", ?limit, "journal commit stalled");
                return fail(health, JournalError::CommitStalled { limit });
            }
        }
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, JournalError> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map_err(|error| JournalError::Thread { problem: error.to_string() })
}
