//! The journal: records in one total order, acknowledged after they are durable.
//!
//! One thread owns the engine's only handle. Callers queue appends; the thread collects what is
//! queued, writes it as one atomic commit, flushes once and then answers all of them (group
//! commit). A second thread watches the first: a commit that takes more than
//! [`COMMIT_TIME_MAX`] makes the journal fail for good.
//!
//! After any failure of a commit nothing more is accepted: what the disk holds is unknown, and only
//! a restart with a replay finds out. The process should end with a non-zero code and without
//! waiting for the engine ([`Journal::failed`]), because a hanging engine also hangs on close.

mod directory;
mod engine;
mod error;
mod memory;
mod owner;
mod pace;
mod record;
mod redb_engine;
mod sled_engine;
mod transfer;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::Duration;

use futures::stream::{self, Stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

pub use self::engine::{Engine, EngineError};
pub use self::error::JournalError;
pub use self::memory::MemoryEngine;
pub use self::pace::Pace;
pub use self::record::{RecordError, Sequence};
pub use self::transfer::{JournalSummary, export, import, verify};

use self::directory::DirectoryLock;
use self::owner::{Command, Owner, Reply, Truncation};
use self::pace::Paced;
use crate::limits::{
    APPEND_RECORDS_MAX, COMMIT_TIME_MAX, GROUP_WAIT, QUEUED_APPENDS_MAX, RECORD_BYTES_MAX,
    REPLAY_PAGE_RECORDS,
};

/// Which engine keeps the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineKind {
    /// sled, pinned to one alpha release, in a directory.
    Sled,
    /// redb, in one file.
    Redb,
    /// A map in memory that is gone with the process; for tests and dry runs.
    Memory,
}

impl EngineKind {
    /// What is used unless something else is configured; why is in `docs/adr/0009`.
    pub const DEFAULT: Self = Self::Redb;

    /// The name in configuration files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sled => "sled",
            Self::Redb => "redb",
            Self::Memory => "memory",
        }
    }
}

impl FromStr for EngineKind {
    type Err = JournalError;

    fn from_str(text: &str) -> Result<Self, JournalError> {
        match text {
            "sled" => Ok(Self::Sled),
            "redb" => Ok(Self::Redb),
            "memory" => Ok(Self::Memory),
            other => Err(JournalError::UnknownEngine { name: other.chars().take(40).collect() }),
        }
    }
}

/// How a journal is opened.
#[derive(Clone, Debug)]
pub struct JournalConfig {
    /// Directory of the journal; created if missing, locked while open. Unused by `memory`.
    pub directory: PathBuf,
    /// The engine.
    pub engine: EngineKind,
    /// How long a commit waits for company while appends keep coming.
    pub group_wait: Duration,
    /// A commit that takes longer is fatal.
    pub commit_time_max: Duration,
}

impl JournalConfig {
    /// The default engine in `directory`, with the default times.
    #[must_use]
    pub fn new(directory: impl AsRef<Path>) -> Self {
        Self {
            directory: directory.as_ref().to_path_buf(),
            engine: EngineKind::DEFAULT,
            group_wait: GROUP_WAIT,
            commit_time_max: COMMIT_TIME_MAX,
        }
    }

    /// An empty journal in memory.
    #[must_use]
    pub fn memory() -> Self {
        Self { engine: EngineKind::Memory, ..Self::new("") }
    }
}

/// One record as it was appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place in the order, from 1, without gaps.
    pub sequence: Sequence,
    /// The bytes that were appended.
    pub payload: Vec<u8>,
}

/// The places that one append was given; both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The first record's sequence.
    pub first: Sequence,
    /// The last record's sequence.
    pub last: Sequence,
}

/// What a journal has done since it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalStats {
    /// Commits, each with exactly one flush.
    pub commits: u64,
    /// Records in them.
    pub records: u64,
    /// The oldest record that is kept; the next append's place if there is none.
    pub first_sequence: Sequence,
    /// Sequence of the newest durable record, truncated or not; 0 if there was none ever.
    pub last_sequence: u64,
    /// Duration of the last commit in microseconds.
    pub last_commit_micros: u64,
}

impl Default for JournalStats {
    fn default() -> Self {
        Self {
            commits: 0,
            records: 0,
            first_sequence: Sequence::FIRST,
            last_sequence: 0,
            last_commit_micros: 0,
        }
    }
}

/// `None` while the journal works, then the reason why it stopped for good.
type Health = Option<Arc<JournalError>>;

/// Resolves once the records of one append are durable.
///
/// Dropping it does not take the append back.
#[must_use = "an append counts only after its acknowledgement"]
pub struct Ack {
    outcome: Pin<Box<dyn Future<Output = Result<Committed, JournalError>> + Send>>,
}

impl Ack {
    fn new(
        answer: oneshot::Receiver<Result<Committed, JournalError>>,
        health: watch::Receiver<Health>,
        pause: Duration,
    ) -> Self {
        let outcome = Box::pin(async move {
            let outcome = tokio::select! {
                biased;
                Ok(outcome) = answer => outcome,
                error = failure(health) => Err(error),
            };
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            outcome
        });
        Self { outcome }
    }
}

impl Future for Ack {
    type Output = Result<Committed, JournalError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.outcome.as_mut().poll(cx)
    }
}

impl std::fmt::Debug for Ack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ack").finish_non_exhaustive()
    }
}

/// A handle on an open journal; cheap to clone, closed when the last one is dropped.
#[derive(Clone, Debug)]
pub struct Journal {
    commands: std::sync::mpsc::SyncSender<Command>,
    slots: Arc<Semaphore>,
    health: watch::Receiver<Health>,
    stats: watch::Receiver<JournalStats>,
    thread: Arc<std::sync::Mutex<Option<JoinHandle<()>>>>,
    /// Instead of a thread.
    paced: Option<Paced>,
}

impl Journal {
    /// Opens or creates a journal. Blocks for as long as the engine takes to recover.
    ///
    /// # Errors
    /// [`JournalError::Locked`] if another process has the directory open,
    /// [`JournalError::OtherEngine`] if it was written by another engine, or what the engine says.
    pub fn open(config: &JournalConfig) -> Result<Self, JournalError> {
        let (engine, lock) = open_engine(config)?;
        Self::start(engine, lock, config)
    }

    /// Runs a journal on an engine that is already open; how other engines and fault-injecting
    /// tests come in. `config.directory` and `config.engine` are not looked at.
    ///
    /// # Errors
    /// What the engine says about its newest record, or that no thread could be started.
    pub fn with_engine(
        engine: Box<dyn Engine>,
        config: &JournalConfig,
    ) -> Result<Self, JournalError> {
        Self::start(engine, None, config)
    }

    /// Runs a journal without threads, on the caller's runtime and its clock: what is queued is
    /// written, and then answered, after as long as `pace` says each time. Whatever was not written
    /// when that runtime ends is lost, as in a crash. For simulations.
    ///
    /// # Errors
    /// What the engine says about its newest record.
    pub fn paced(
        engine: Box<dyn Engine>,
        pace: impl FnMut() -> Pace + Send + 'static,
    ) -> Result<Self, JournalError> {
        let (commands, inbox) = std::sync::mpsc::sync_channel(QUEUED_APPENDS_MAX + 1);
        let (health_sender, health) = watch::channel(None);
        let (stats_sender, stats) = watch::channel(JournalStats::default());
        let owner = Owner::told(engine, inbox, health_sender, stats_sender)?;
        Ok(Self {
            commands,
            slots: Arc::new(Semaphore::new(QUEUED_APPENDS_MAX)),
            health,
            stats,
            thread: Arc::default(),
            paced: Some(Paced::new(owner, pace)),
        })
    }

    fn start(
        engine: Box<dyn Engine>,
        lock: Option<DirectoryLock>,
        config: &JournalConfig,
    ) -> Result<Self, JournalError> {
        // One place more than there are permits: the close command holds none.
        let (commands, inbox) = std::sync::mpsc::sync_channel(QUEUED_APPENDS_MAX + 1);
        let (health_sender, health) = watch::channel(None);
        let (stats_sender, stats) = watch::channel(JournalStats::default());
        let thread = Owner::start(engine, lock, inbox, health_sender, stats_sender, config)?;
        Ok(Self {
            commands,
            slots: Arc::new(Semaphore::new(QUEUED_APPENDS_MAX)),
            health,
            stats,
            thread: Arc::new(std::sync::Mutex::new(Some(thread))),
            paced: None,
        })
    }

    /// Queues records to be committed together, in order, after everything queued before.
    ///
    /// Returns as soon as they are queued (waiting only while the queue is full); the returned
    /// [`Ack`] resolves after the flush. Appends of one caller keep their order.
    ///
    /// # Errors
    /// [`JournalError::RecordTooLarge`], [`JournalError::NothingToAppend`] and
    /// [`JournalError::TooManyRecords`] refuse this append alone; every other error is for good.
    pub async fn append(&self, records: Vec<Vec<u8>>) -> Result<Ack, JournalError> {
        check_append(&records)?;
        let permit = self.permit().await?;
        let (reply, answer) = oneshot::channel();
        let pause = self.send(Command::Append { records, reply, permit })?;
        Ok(Ack::new(answer, self.health.clone(), pause))
    }

    /// The oldest record that is kept, where a replay may begin: [`Sequence::FIRST`] until a
    /// truncation; the next append's place if nothing is kept.
    #[must_use]
    pub fn first_sequence(&self) -> Sequence {
        self.stats().first_sequence
    }

    /// Removes every record below `first`; the next append's place does not change. Resolves when
    /// the removal is durable.
    ///
    /// Records are removed in pages between the commits of others. Each page also stores where the
    /// journal now starts, so after a kill or when the returned future is dropped the journal is
    /// whole and starts somewhere on the way. Nothing happens if `first` was truncated already.
    ///
    /// # Errors
    /// [`JournalError::TruncatedAhead`] refuses this truncation alone; every other error is for good.
    pub async fn truncate_before(&self, first: Sequence) -> Result<(), JournalError> {
        self.ask(|reply, permit| Command::Truncate(Truncation { first, reply, permit })).await
    }

    /// The records from `from` on, in order, up to what is durable when the stream reaches its end.
    ///
    /// The stream ends with an error at the first record that is damaged, missing or truncated, and
    /// names it.
    pub fn replay(
        &self,
        from: Sequence,
    ) -> impl Stream<Item = Result<Record, JournalError>> + Send + 'static {
        let state = Replay {
            journal: self.clone(),
            next: Some(from),
            page: Vec::new().into_iter(),
            ahead: None,
        };
        stream::unfold(state, |mut state| async move {
            let item = state.next_record().await?;
            Some((item, state))
        })
    }

    /// What the journal has done so far.
    #[must_use]
    pub fn stats(&self) -> JournalStats {
        *self.stats.borrow()
    }

    /// Resolves when the journal has failed for good, with the reason. Whoever runs the process
    /// waits for it and then exits non-zero without closing the journal.
    pub async fn failed(&self) -> JournalError {
        failure(self.health.clone()).await
    }

    /// Commits what is queued, closes the engine and releases the directory.
    ///
    /// # Errors
    /// The reason why the journal failed earlier, if it did.
    pub async fn close(self) -> Result<(), JournalError> {
        self.check()?;
        let permits = u32::try_from(QUEUED_APPENDS_MAX).unwrap_or(u32::MAX);
        let all = tokio::select! {
            all = Arc::clone(&self.slots).acquire_many_owned(permits) => all,
            error = self.failed() => return Err(error),
        };
        let _all = all.map_err(|_closed| JournalError::Closed)?;
        self.slots.close();
        self.send(Command::Close)?;
        let thread = self.thread.lock().ok().and_then(|mut slot| slot.take());
        if let Some(thread) = thread {
            tokio::task::spawn_blocking(move || thread.join())
                .await
                .map_err(|_cancelled| JournalError::Closed)?
                .map_err(|_panicked| JournalError::Closed)?;
        }
        self.check()
    }

    fn check(&self) -> Result<(), JournalError> {
        match self.health.borrow().as_ref() {
            Some(error) => Err(JournalError::clone(error)),
            None => Ok(()),
        }
    }

    /// Queues a command; returns how long its answer takes beyond its work.
    fn send(&self, command: Command) -> Result<Duration, JournalError> {
        // Every command but `Close` holds one of the permits, so the channel has room.
        self.commands.try_send(command).map_err(|_| match self.check() {
            Err(error) => error,
            Ok(()) => JournalError::Closed,
        })?;
        Ok(self.paced.as_ref().map_or(Duration::ZERO, Paced::serve))
    }

    /// Queues the read of a page.
    async fn request_page(&self, from: Sequence) -> Result<Answer<Vec<Record>>, JournalError> {
        let limit = REPLAY_PAGE_RECORDS;
        self.request(|reply, permit| Command::Read { from, limit, reply, permit }).await
    }

    /// Queues a command and waits for its answer.
    async fn ask<T>(
        &self,
        command: impl FnOnce(Reply<T>, OwnedSemaphorePermit) -> Command,
    ) -> Result<T, JournalError> {
        let answer = self.request(command).await?;
        self.answer(answer).await
    }

    /// Queues a command.
    async fn request<T>(
        &self,
        command: impl FnOnce(Reply<T>, OwnedSemaphorePermit) -> Command,
    ) -> Result<Answer<T>, JournalError> {
        let permit = self.permit().await?;
        let (reply, answer) = oneshot::channel();
        self.send(command(reply, permit))?;
        Ok(answer)
    }

    /// Waits for the answer to a command.
    async fn answer<T>(&self, answer: Answer<T>) -> Result<T, JournalError> {
        tokio::select! {
            biased;
            answer = answer => match answer {
                Ok(answer) => answer,
                Err(_gone) => Err(self.failed().await),
            },
            error = self.failed() => Err(error),
        }
    }

    /// A place in the queue; waits while it is full.
    async fn permit(&self) -> Result<OwnedSemaphorePermit, JournalError> {
        self.check()?;
        tokio::select! {
            permit = Arc::clone(&self.slots).acquire_owned() => {
                permit.map_err(|_closed| JournalError::Closed)
            }
            error = self.failed() => Err(error),
        }
    }
}

/// Where the answer to a queued command arrives.
type Answer<T> = oneshot::Receiver<Result<T, JournalError>>;

/// Reads ahead: while one page is looked at, the journal's thread reads the next.
struct Replay {
    journal: Journal,
    /// Where the next page starts; `None` after the end or an error.
    next: Option<Sequence>,
    page: std::vec::IntoIter<Record>,
    /// The next page, on its way.
    ahead: Option<Answer<Vec<Record>>>,
}

impl Replay {
    async fn next_record(&mut self) -> Option<Result<Record, JournalError>> {
        if let Some(record) = self.page.next() {
            return Some(Ok(record));
        }
        let from = self.next.take()?;
        let page = match self.read_page(from).await {
            Ok(page) => page,
            Err(error) => return Some(Err(error)),
        };
        self.next = page.last().map(|record| record.sequence.next());
        self.page = page.into_iter();
        self.page.next().map(Ok)
    }

    async fn read_page(&mut self, from: Sequence) -> Result<Vec<Record>, JournalError> {
        let page = match self.ahead.take() {
            Some(ahead) => self.journal.answer(ahead).await?,
            None => Vec::new(),
        };
        // What was read ahead may have been the end then and not be it any more.
        let page = if page.is_empty() {
            let request = self.journal.request_page(from).await?;
            self.journal.answer(request).await?
        } else {
            page
        };
        if let Some(last) = page.last() {
            self.ahead = Some(self.journal.request_page(last.sequence.next()).await?);
        }
        Ok(page)
    }
}

async fn failure(mut health: watch::Receiver<Health>) -> JournalError {
    match health.wait_for(Option::is_some).await {
        Ok(reason) => reason.as_ref().map_or(JournalError::Closed, |error| (**error).clone()),
        Err(_closed) => JournalError::Closed,
    }
}

fn check_append(records: &[Vec<u8>]) -> Result<(), JournalError> {
    if records.is_empty() {
        return Err(JournalError::NothingToAppend);
    }
    if records.len() > APPEND_RECORDS_MAX {
        return Err(JournalError::TooManyRecords { got: records.len(), max: APPEND_RECORDS_MAX });
    }
    match records.iter().position(|record| record.len() > RECORD_BYTES_MAX) {
        Some(index) => Err(JournalError::RecordTooLarge {
            index,
            got: records.get(index).map_or(0, Vec::len),
            max: RECORD_BYTES_MAX,
        }),
        None => Ok(()),
    }
}

/// Opens the engine of a configuration, with the lock that keeps other processes out.
fn open_engine(
    config: &JournalConfig,
) -> Result<(Box<dyn Engine>, Option<DirectoryLock>), JournalError> {
    match config.engine {
        EngineKind::Memory => Ok((Box::new(MemoryEngine::default()), None)),
        EngineKind::Sled => {
            let lock = DirectoryLock::take(&config.directory, config.engine)?;
            let engine = sled_engine::SledEngine::open(&config.directory.join("sled"))?;
            Ok((Box::new(engine), Some(lock)))
        }
        EngineKind::Redb => {
            let lock = DirectoryLock::take(&config.directory, config.engine)?;
            let engine = redb_engine::RedbEngine::open(&config.directory.join("records.redb"))?;
            Ok((Box::new(engine), Some(lock)))
        }
    }
}
