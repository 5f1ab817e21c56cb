//! Reads what happened on a chain, range by range, at final blocks only.
//!
//! A look asks for the logs between the cursor and the newest final block, at most a bounded number
//! of blocks at once, and accepts them only when the range hangs together: the block at the cursor
//! still has the cursor's hash, and the last block of the range has the same hash before and after
//! the logs were asked for. Otherwise nothing is taken: the caller walks the cursor back to the
//! block that [`ChainReader::look`] names and reads on from there. Events carry block hash and log
//! index, so one that is read twice is known twice. There are no subscriptions, which lose events
//! silently.

use alloy::eips::BlockId;
use alloy::primitives::B256;
use alloy::rpc::types::{Filter, Header, Log};
use proofgrid_core::epoch::EpochKeys;
use proofgrid_core::ids::{Address, BlockHash, BlockNumber, ChainContract, EpochNumber};
use proofgrid_core::network::ChainEvent;
use proofgrid_core::units::UnixSeconds;
use proofgrid_proto::convert::{ChainNews, RaceNews, RaceStep};
use thiserror::Error;

use crate::contracts::{ContractAddresses, Noticed, event_topics, evm, notice};
use crate::cursor::{BlockRef, Cursor};
use crate::finality::FinalityPolicy;
use crate::races::{self, RACE_TOPICS, RaceBook};
use crate::rpc::{Chain, RpcError, block_ref};
use crate::view::{ViewError, read_epoch};

/// Most events that one range may hold; a fuller one is read in halves.
pub const RANGE_EVENTS_MAX: usize = 2_000;

/// Why a look failed. The cursor has not moved; the next look tries again.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The chain could not be asked.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// An announced epoch could not be read.
    #[error("epoch announced in block {block}: {source}")]
    Epoch {
        /// The block.
        block: BlockNumber,
        /// What is wrong.
        source: ViewError,
    },
}

/// How a chain is read.
#[derive(Debug, Clone, Copy)]
pub struct ReadSettings {
    /// Our contracts.
    pub contracts: ContractAddresses,
    /// `RaceRounds`, as the task manager names it.
    pub race_rounds: Address,
    /// When a block is final.
    pub finality: FinalityPolicy,
    /// First block that is read.
    pub start_block: u64,
    /// Most blocks per range, at least 1.
    pub scan_blocks_max: u64,
}

/// What a look found.
#[derive(Debug)]
pub enum Look {
    /// No new final block.
    Nothing,
    /// A block that was final and read is no longer on the chain: walk back to this checkpoint
    /// (`None`: to the start) and look again.
    Reorged(Option<BlockRef>),
    /// The next range.
    Range(Box<Range>),
}

/// Everything of interest in consecutive final blocks.
#[derive(Debug)]
pub struct Range {
    /// Last block of the range: where the cursor goes once every event is acknowledged.
    pub to: BlockRef,
    /// Its time stamp.
    pub to_time: UnixSeconds,
    /// Newest block of the chain.
    pub latest: BlockNumber,
    /// In the order of the chain.
    pub events: Vec<ChainNews>,
}

/// Reads one chain.
#[derive(Debug, Clone)]
pub struct ChainReader {
    chain: Chain,
    settings: ReadSettings,
}

impl ChainReader {
    /// Prepares a reader; asks nothing yet.
    #[must_use]
    pub const fn new(chain: Chain, settings: ReadSettings) -> Self {
        Self { chain, settings }
    }

    /// Reads the range after the cursor.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn look(&self, cursor: &Cursor) -> Result<Look, ReadError> {
        let Some(final_head) = self.chain.final_head(self.settings.finality).await? else {
            return Ok(Look::Nothing);
        };
        // A chain that lost blocks may be shorter than what was read of it, as may what an endpoint
        // knows that is behind: whatever both have tells them apart.
        let common = cursor.newest_up_to(BlockNumber::new(final_head.number));
        if let Some(common) = common
            && !self.is_on_chain(common).await?
        {
            return Ok(Look::Reorged(self.last_agreed(cursor).await?));
        }
        let from = match cursor.position() {
            None => self.settings.start_block,
            Some(at) => at.number.get().saturating_add(1),
        };
        if from > final_head.number {
            return Ok(Look::Nothing);
        }
        let last = from.saturating_add(self.settings.scan_blocks_max.max(1) - 1);
        self.range(from, last.min(final_head.number)).await
    }

    async fn is_on_chain(&self, block: BlockRef) -> Result<bool, RpcError> {
        let header = self.chain.header(block.number).await?;
        Ok(header.is_some_and(|header| block_ref(&header) == block))
    }

    async fn last_agreed(&self, cursor: &Cursor) -> Result<Option<BlockRef>, RpcError> {
        for checkpoint in cursor.earlier() {
            if self.is_on_chain(checkpoint).await? {
                return Ok(Some(checkpoint));
            }
        }
        Ok(None)
    }

    /// Reads `from..=to`, halving the range while it holds too many events.
    async fn range(&self, from: u64, mut to: u64) -> Result<Look, ReadError> {
        loop {
            let Some(before) = self.chain.header(BlockNumber::new(to)).await? else {
                return Ok(Look::Nothing);
            };
            let logs = match self.logs(from, to).await {
                Ok(logs) => logs,
                // Endpoints refuse what they think is too much; the words differ, a smaller
                // question helps with all of them.
                Err(RpcError::Refused { message, .. }) if to > from => {
                    tracing::debug!(from, to, message, "log query refused; asking for half");
                    to = from + (to - from) / 2;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let after = self.chain.header(BlockNumber::new(to)).await?;
            if after.as_ref().map(block_ref) != Some(block_ref(&before)) {
                // It moved while we read; the next look sees one or the other.
                return Ok(Look::Nothing);
            }
            if logs.len() > RANGE_EVENTS_MAX && to > from {
                to = from + (to - from) / 2;
                continue;
            }
            return self.assemble(&before, logs).await.map(|range| Look::Range(Box::new(range)));
        }
    }

    async fn logs(&self, from: u64, to: u64) -> Result<Vec<Log>, RpcError> {
        let contracts = &self.settings.contracts;
        let filter = Filter::new()
            .from_block(from)
            .to_block(to)
            .address(vec![
                evm(contracts.epoch_table),
                evm(contracts.task_manager),
                evm(self.settings.race_rounds),
            ])
            .event_signature([event_topics(), RACE_TOPICS.to_vec()].concat());
        let mut logs = self.chain.logs(filter).await?;
        logs.retain(|log| !log.removed);
        logs.sort_by_key(|log| (log.block_number, log.log_index));
        Ok(logs)
    }

    async fn assemble(&self, to: &Header, logs: Vec<Log>) -> Result<Range, ReadError> {
        let mut events = Vec::with_capacity(logs.len());
        for log in &logs {
            let Some(event) = position(&self.chain, log) else {
                let what = "eth_getLogs";
                let why = "a log of a mined block has no block, hash or index".into();
                return Err(RpcError::Unusable { what, why }.into());
            };
            match notice(log, self.chain.id(), &self.settings.contracts) {
                Ok(Some(noticed)) => events.push(self.news(event, noticed).await?),
                Ok(None) => events.extend(self.race_news(event, log).await?),
                // Our own contracts refuse what does not convert, so this is not one of them or a
                // newer one. Holding the whole chain back for it would let anybody stop the oracle.
                Err(reason) => tracing::error!(?event, reason, "event skipped"),
            }
        }
        let latest = BlockNumber::new(self.chain.latest().await?.number);
        let to_time = UnixSeconds::new(to.timestamp);
        Ok(Range { to: block_ref(to), to_time, latest, events })
    }

    async fn news(&self, event: ChainEvent, noticed: Noticed) -> Result<ChainNews, ReadError> {
        Ok(match noticed {
            Noticed::JobCreated(spec) => ChainNews::JobCreated { event, spec },
            Noticed::JobExpired(job) => ChainNews::JobExpired { event, job },
            Noticed::OperatorsExcluded { epoch, members } => {
                ChainNews::MembersExcluded { event, epoch, members }
            }
            Noticed::EpochCreated(number) => {
                let keys = self.epoch(&event, number).await;
                let keys =
                    keys.map_err(|source| ReadError::Epoch { block: event.block, source })?;
                ChainNews::Epoch { event, keys: Box::new(keys) }
            }
        })
    }
}

impl ChainReader {
    /// What a log says of a race.
    async fn race_news(&self, event: ChainEvent, log: &Log) -> Result<Option<ChainNews>, RpcError> {
        let settings = &self.settings;
        let (races, task_manager) = (settings.race_rounds, settings.contracts.task_manager);
        let (job, what) = match races::notice(log, (races, task_manager)) {
            Ok(Some(noticed)) => noticed,
            Ok(None) => return Ok(None),
            Err(reason) => {
                tracing::error!(?event, reason, "event skipped");
                return Ok(None);
            }
        };
        // Of assigned work the dispatcher hears by the submission that it ordered.
        if let RaceStep::Settled { .. } = what {
            let book = RaceBook::at(self.chain.clone(), task_manager, races);
            if !book.is_race(job).await? {
                return Ok(None);
            }
        }
        Ok(Some(ChainNews::Race(RaceNews { event, job, what })))
    }

    /// Table and keys in the state of the event's block. An endpoint that has dropped that state is
    /// asked for the newest one: the table cannot change, and a key that did is refused by its
    /// table.
    async fn epoch(&self, event: &ChainEvent, number: EpochNumber) -> Result<EpochKeys, ViewError> {
        let contracts = &self.settings.contracts;
        let at = BlockId::from(B256::from(*event.block_hash.as_bytes()));
        match read_epoch(&self.chain, contracts, number, at).await {
            Err(ViewError::Rpc(RpcError::Refused { message, .. })) => {
                tracing::debug!(%number, message, "state of the epoch's block refused");
                read_epoch(&self.chain, contracts, number, BlockId::latest()).await
            }
            other => other,
        }
    }
}

fn position(chain: &Chain, log: &Log) -> Option<ChainEvent> {
    let contract = Address::from_bytes(log.address().into_array());
    Some(ChainEvent {
        contract: ChainContract { chain: chain.id(), contract },
        block: BlockNumber::new(log.block_number?),
        block_hash: BlockHash::from_bytes(log.block_hash?.0),
        log_index: log.log_index?,
    })
}
