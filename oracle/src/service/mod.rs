//! The oracle itself: one owner of cursor, submissions and session.
//!
//! Each turn of the loop takes one thing (a message of the session, or a look at the chain) and
//! deals with it completely. Reading waits for the dispatcher: at most one range is out for
//! acknowledgement, and the cursor moves when its last event is acknowledged, which the dispatcher
//! does after its journal is flushed. Posting does not wait: what was promised is posted while no
//! dispatcher is there. After a reconnect everything unacknowledged is told again; the dispatcher
//! knows events by position and submissions by subject, so hearing one twice changes nothing.

mod orders;

use proofgrid_core::ids::BlockNumber;
use proofgrid_core::network::{SubmissionSubject, SubmissionUpdate};
use proofgrid_core::units::UnixSeconds;
use proofgrid_proto::convert::{ChainNews, OracleMessage, ReportedEvent};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use self::orders::FoundProof;
use crate::answering::Answering;
use crate::bonds::BondBook;
use crate::config::{ConfigError, OracleConfig};
use crate::contracts::{ContractAddresses, check_deployed};
use crate::cursor::{BlockRef, Cursor, CursorError};
use crate::epochs;
use crate::finality::FinalityPolicy;
use crate::key::OracleKey;
use crate::posts::Archive;
use crate::races::RaceBook;
use crate::reader::{ChainReader, Look, Range, ReadError, ReadSettings};
use crate::rewards::Payroll;
use crate::rewards::pots::PotBook;
use crate::rpc::{Chain, RpcError};
use crate::session::{DialSettings, Link, SessionSender, keep_dialled};
use crate::submit::record::{Post, RecordError};
use crate::submit::{SubmitError, SubmitSettings, Submitter, Update};

/// Why an oracle stopped or could not start. What passes by itself (an endpoint or the dispatcher
/// being away) is not among them: that is waited out.
#[derive(Debug, Error)]
pub enum OracleError {
    /// The configuration is not usable.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data directory cannot be made.
    #[error("cannot create data directory {path}: {source}")]
    Directory {
        /// The directory.
        path: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The cursor cannot be read or kept.
    #[error(transparent)]
    Cursor(#[from] CursorError),
    /// The submissions cannot be read or kept.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The endpoints or contracts are others than configured.
    #[error(transparent)]
    Rpc(#[from] RpcError),
}

/// What is not acknowledged after this long is told again. A dispatcher that was too busy for an
/// event, or whose answer was lost, must not hold up the chain until the next login.
const TELL_AGAIN_INTERVAL: Duration = Duration::from_secs(10);

/// Pause between two looks at whether an epoch is due: a block of the main chain. An epoch lasts
/// many times as long.
const ROLL_LOOK_INTERVAL: Duration = Duration::from_secs(12);

/// Pause between two looks at whether verifiers' pay is due. It is for whole days, so it does not
/// hurry.
const PAY_LOOK_INTERVAL: Duration = Duration::from_secs(60);

/// Ranges without news that are read before anything else gets its turn.
const RANGES_PER_TURN: u32 = 8;

/// The range that waits for acknowledgement.
struct OutRange {
    to: BlockRef,
    /// By event id.
    events: BTreeMap<u64, ChainNews>,
}

/// Proofs that are looked for at once.
const SEARCHES_MAX: usize = 4;
/// One oracle.
pub struct Oracle {
    reader: ChainReader,
    cursor: Cursor,
    submitter: Submitter,
    poll_interval: Duration,
    dial: DialSettings,
    chain: Chain,
    contracts: ContractAddresses,
    book: BondBook,
    races: RaceBook,
    roll_epochs: bool,
    /// The vault's pots, if handing them out is this oracle's part.
    pots: Option<PotBook>,
    mirrors: Vec<String>,
    scan_blocks_max: u64,
    /// Proofs that were looked for, and where they are announced.
    found: (mpsc::Sender<FoundProof>, mpsc::Receiver<FoundProof>),
    searches: Arc<Semaphore>,
    finality: FinalityPolicy,
    session: Option<SessionSender>,
    next_event_id: u64,
    out_range: Option<OutRange>,
    /// Updates that are out: which subject is over once the id is acknowledged.
    out_endings: BTreeMap<u64, SubmissionSubject>,
}

impl Oracle {
    /// Opens the data directory and checks that the chain is the configured one and holds our
    /// contracts. `key` pays for the transactions and logs in.
    ///
    /// # Errors
    /// See [`OracleError`].
    pub async fn open(config: &OracleConfig, key: OracleKey) -> Result<Self, OracleError> {
        config.check()?;
        let folder = config.data_directory.clone();
        tokio::fs::create_dir_all(&folder).await.map_err(|source| OracleError::Directory {
            path: folder.display().to_string(),
            source,
        })?;
        let chain = Chain::new(&config.rpc())?;
        let contracts = config.addresses();
        check_deployed(&chain, &contracts).await?;
        let book = BondBook::of(chain.clone(), contracts.task_manager).await?;
        let races = RaceBook::of(chain.clone(), contracts.task_manager).await?;
        let submit = SubmitSettings {
            archive: Archive { contracts, scan_blocks_max: config.scan_blocks_max },
            finality: config.finality,
            fees: config.fees.bounds(),
            raise_after_blocks: config.fees.raise_after_blocks,
            in_flight_max: usize::try_from(config.fees.in_flight_max).unwrap_or(usize::MAX),
        };
        let read = ReadSettings {
            contracts,
            race_rounds: races.address(),
            finality: config.finality,
            start_block: config.start_block,
            scan_blocks_max: config.scan_blocks_max,
        };
        let pots = if config.distribute_rewards {
            let payroll = Payroll::of(&chain, &contracts).await?;
            Some(PotBook::new(payroll, config.start_block, config.scan_blocks_max))
        } else {
            None
        };
        Ok(Self {
            reader: ChainReader::new(chain.clone(), read),
            cursor: Cursor::open(&folder, config.chain())?,
            submitter: Submitter::open(chain.clone(), key.clone(), submit, &folder)?,
            chain,
            roll_epochs: config.roll_epochs,
            pots,
            mirrors: config.mirror_urls.clone(),
            scan_blocks_max: config.scan_blocks_max,
            found: mpsc::channel(SEARCHES_MAX),
            searches: Arc::new(Semaphore::new(SEARCHES_MAX)),
            poll_interval: config.poll_interval(),
            dial: DialSettings::new(config, key),
            contracts,
            book,
            races,
            finality: config.finality,
            session: None,
            next_event_id: 1,
            out_range: None,
            out_endings: BTreeMap::new(),
        })
    }

    /// Works until `stop`. Everything that passes by itself is waited out.
    ///
    /// # Errors
    /// Only when its own files can no longer be kept.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), OracleError> {
        let mut answers = self.answering().start(stop.child_token());
        let hang_up = stop.child_token();
        let mut links = keep_dialled(self.dial.clone(), hang_up);
        let mut clock = interval(self.poll_interval);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut again = interval(TELL_AGAIN_INTERVAL);
        again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut rolls = interval(ROLL_LOOK_INTERVAL);
        rolls.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut pays = interval(PAY_LOOK_INTERVAL);
        pays.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                link = links.recv() => match link {
                    Some(link) => self.hear(link).await?,
                    None => return Ok(()),
                },
                _ = clock.tick() => {
                    self.post().await?;
                    self.read().await?;
                }
                Some(found) = self.found.1.recv() => self.take_on_direct(found).await?,
                Some(answer) = answers.recv() => self.order(vec![answer]).await?,
                _ = again.tick() => self.tell_unacknowledged_again().await,
                _ = rolls.tick() => self.roll_epochs().await?,
                _ = pays.tick() => self.distribute_rewards().await?,
            }
        }
    }

    /// What looks after demands for proofs, beside all other work.
    fn answering(&self) -> Answering {
        Answering {
            chain: self.chain.clone(),
            proof_registry: self.contracts.proof_registry,
            scan_blocks_max: self.scan_blocks_max,
            mirrors: self.mirrors.clone(),
        }
    }

    async fn hear(&mut self, link: Link) -> Result<(), OracleError> {
        match link {
            Link::Up(session) => {
                self.session = Some(session);
                self.out_endings.clear();
                self.tell_range_again().await;
                for update in self.submitter.standings() {
                    self.tell_update(update).await;
                }
            }
            Link::Down => self.session = None,
            Link::Order(order) => self.obey(*order).await?,
        }
        Ok(())
    }

    async fn acknowledged(&mut self, event_id: u64) -> Result<(), OracleError> {
        if let Some(subject) = self.out_endings.remove(&event_id) {
            self.submitter.forget(subject).await?;
        }
        let Some(range) = &mut self.out_range else {
            return Ok(());
        };
        if range.events.remove(&event_id).is_some() && range.events.is_empty() {
            let to = range.to;
            self.out_range = None;
            self.cursor.advance(to).await?;
        }
        Ok(())
    }

    /// Orders what keeps epochs rolling, if that is this oracle's part. What is ordered already is
    /// not ordered twice.
    async fn roll_epochs(&mut self) -> Result<(), OracleError> {
        if !self.roll_epochs {
            return Ok(());
        }
        let posts = match epochs::due_posts(&self.chain, &self.contracts).await {
            Ok(posts) => posts,
            Err(error) => {
                tracing::warn!(%error, "epochs are not looked after at the moment");
                return Ok(());
            }
        };
        self.order(posts).await
    }

    /// Orders that due pots are handed to the core, if that is this oracle's part.
    async fn distribute_rewards(&mut self) -> Result<(), OracleError> {
        let Some(pots) = &mut self.pots else {
            return Ok(());
        };
        match pots.due_posts(&self.chain, self.finality).await {
            Ok(posts) => self.order(posts).await,
            Err(error) => {
                tracing::warn!(%error, "verifiers' pay is not looked after at the moment");
                Ok(())
            }
        }
    }

    /// Takes on what nobody but this oracle asked for.
    async fn order(&mut self, posts: Vec<Post>) -> Result<(), OracleError> {
        for post in posts {
            match self.submitter.enqueue(post).await {
                // Certificates and payments go first; the next look comes back to it.
                Ok(()) | Err(RecordError::Full) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// One step of every submission.
    async fn post(&mut self) -> Result<(), OracleError> {
        match self.submitter.step().await {
            Ok(updates) => {
                for update in updates {
                    self.tell_update(update).await;
                }
            }
            Err(SubmitError::Record(error)) => return Err(error.into()),
            Err(error) => {
                tracing::warn!(%error, "posting is held up");
                for update in self.submitter.standings() {
                    self.tell_update(update).await;
                }
            }
        }
        Ok(())
    }

    /// Reads ranges until one has to be waited for, at most [`RANGES_PER_TURN`]: orders, posting and a
    /// shutdown come in between while a long way is caught up.
    async fn read(&mut self) -> Result<(), OracleError> {
        for _ in 0..RANGES_PER_TURN {
            if self.session.is_none() || self.out_range.is_some() {
                return Ok(());
            }
            match self.reader.look(&self.cursor).await {
                Ok(Look::Nothing) => return Ok(()),
                Ok(Look::Reorged(to)) => return self.lost_blocks(to).await,
                Ok(Look::Range(range)) => self.tell_range(*range).await?,
                Err(error @ (ReadError::Rpc(_) | ReadError::Epoch { .. })) => {
                    tracing::warn!(%error, "reading is held up");
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Final blocks are gone. What they held is read again where it is now. What was told of them
    /// stays told: jobs and what is final do not go back. What is still owed is asked for anew, since
    /// what it stands on may be gone too.
    async fn lost_blocks(&mut self, to: Option<BlockRef>) -> Result<(), OracleError> {
        let read_to = self.cursor.position().map(|at| at.number);
        let agreed = to.map(|at| at.number);
        tracing::error!(
            chain = %self.dial.chain, ?read_to, ?agreed, finality = %self.finality,
            "blocks that were final are gone from the chain: it was reorganised deeper than \
             `finality`, or its node lost blocks. Jobs, certificates and payments of theirs may be \
             gone. Reading again from the last block that is still there; compare the RPC with \
             others, and choose a deeper `finality`"
        );
        self.cursor.walk_back(to).await?;
        if let Some(pots) = &mut self.pots {
            pots.walk_back(to.map(|at| at.number));
        }
        if let Some(session) = self.session.take() {
            session.hang_up();
        }
        Ok(())
    }

    async fn tell_range(&mut self, range: Range) -> Result<(), OracleError> {
        let Range { to, to_time, latest, events } = range;
        let mut out = BTreeMap::new();
        for news in events {
            // Before the cursor moves on: what is read is not read again after a restart.
            if let ChainNews::Race(news) = &news {
                self.watch_round(news).await?;
            }
            let event_id = self.event_id();
            self.tell(event_id, news.clone()).await;
            out.insert(event_id, news);
        }
        let head = self.head(to, to_time, latest);
        let event_id = self.event_id();
        self.tell(event_id, head).await;
        if out.is_empty() {
            self.cursor.advance(to).await?;
        } else {
            self.out_range = Some(OutRange { to, events: out });
        }
        Ok(())
    }

    fn head(&self, to: BlockRef, final_time: UnixSeconds, latest_block: BlockNumber) -> ChainNews {
        ChainNews::Head { final_block: to.number, final_hash: to.hash, final_time, latest_block }
    }

    async fn tell_range_again(&mut self) {
        let events = self.out_range.as_ref().map(|range| range.events.clone()).unwrap_or_default();
        for (event_id, news) in events {
            self.tell(event_id, news).await;
        }
    }

    /// Every event is idempotent by its position, and every update by its subject.
    async fn tell_unacknowledged_again(&mut self) {
        self.tell_range_again().await;
        if self.out_endings.is_empty() {
            return;
        }
        self.out_endings.clear();
        for update in self.submitter.standings() {
            self.tell_update(update).await;
        }
    }

    async fn tell_update(&mut self, Update { subject, update }: Update) {
        let event_id = self.event_id();
        if matches!(update, SubmissionUpdate::Final(_) | SubmissionUpdate::Failed(_)) {
            self.out_endings.insert(event_id, subject);
        }
        self.tell(event_id, ChainNews::Submission { subject, update }).await;
    }

    const fn event_id(&mut self) -> u64 {
        let event_id = self.next_event_id;
        self.next_event_id += 1;
        event_id
    }

    /// Sends, or gives the session up: what is not told now is told after the next login.
    async fn tell(&mut self, event_id: u64, news: ChainNews) {
        let Some(session) = &self.session else {
            return;
        };
        let event = ReportedEvent { event_id, news: news.into_event(event_id) };
        if let Err(error) = session.send(OracleMessage::Event(event)).await {
            tracing::warn!(%error, event_id, "not told; told again after the next login");
            self.session = None;
        }
    }
}
