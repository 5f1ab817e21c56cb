//! Answers demands for proofs: what a verifier's mirror has is shown on the chain, so that no leaf is
//! withdrawn because nobody watched.
//!
//! It runs beside the oracle and hands it posts; whether one is due, and whether it lands, is the
//! submitter's. Nothing is kept: a demand lasts for a time that the game names, and after a start as
//! many blocks are read again. Who may lie: the mirrors, whose bytes are worth their digest only.
//! Anybody can demand for its bond, so what one look does is bounded.

use std::collections::VecDeque;
use std::time::Duration;

use alloy::rpc::types::{Filter, Log};
use alloy::sol_types::{SolCall, SolEvent};
use proofgrid_core::ids::{Address, StatementDigest};
use proofgrid_core::units::UnixSeconds;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::abi::{DemandState, IChallengeGame};
use crate::challenge::{Arena, ChallengeError, Demand, DemandId, answer_call, demand_at};
use crate::contracts::evm;
use crate::direct::DIRECT_PROOF_BYTES_MAX;
use crate::mirror;
use crate::posts::{Standing, first_block_at};
use crate::rewards::scan::Scan;
use crate::rpc::{Chain, RpcError};
use crate::submit::record::{Post, Purpose};

/// Pause between two looks: a block of the main chain. A demand lasts many times as long.
const LOOK_INTERVAL: Duration = Duration::from_secs(12);
/// Blocks that every look reads again: a demand may have moved in a reorganisation.
const REREAD_BLOCKS: u64 = 64;
/// Most demands that are looked after at once, but for those of one log query. Beyond it, reading waits.
const DEMANDS_MAX: usize = 256;
/// Demands that one look deals with, in turn: none that cannot be answered keeps others from it.
const DEMANDS_PER_LOOK: usize = 8;
/// Longest search for one: all mirrors together.
const SEARCH_TIMEOUT: Duration = Duration::from_secs(60);

/// Where demands are and where proofs are.
#[derive(Debug)]
pub(crate) struct Answering {
    /// The chain.
    pub chain: Chain,
    /// The registry that names the game.
    pub proof_registry: Address,
    /// Most blocks per log query.
    pub scan_blocks_max: u64,
    /// Verifiers' mirrors.
    pub mirrors: Vec<String>,
}

/// What is known of the open demands.
#[derive(Debug, Default)]
struct Seen {
    next_block: Option<u64>,
    /// Those whose turn it is come first.
    open: VecDeque<DemandId>,
}

impl Answering {
    /// Works until `stop`; what it gives is to be posted. Without mirrors it gives nothing.
    pub(crate) fn start(self, stop: CancellationToken) -> mpsc::Receiver<Post> {
        let (posts, receiver) = mpsc::channel(DEMANDS_PER_LOOK);
        if !self.mirrors.is_empty() {
            tokio::spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = self.run(posts) => {}
                }
            });
        }
        receiver
    }

    async fn run(self, posts: mpsc::Sender<Post>) {
        let mut clock = interval(LOOK_INTERVAL);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seen = Seen::default();
        loop {
            tokio::select! {
                _ = clock.tick() => {}
                () = posts.closed() => return,
            }
            match self.look(&mut seen, &posts).await {
                Ok(()) => {}
                Err(ChallengeError::NoGame) => {
                    tracing::debug!("no challenge game, so nothing is demanded");
                }
                Err(error) => tracing::warn!(%error, "demands are not looked after at the moment"),
            }
        }
    }

    async fn look(
        &self,
        seen: &mut Seen,
        posts: &mpsc::Sender<Post>,
    ) -> Result<(), ChallengeError> {
        let arena = Arena::of(&self.chain, self.proof_registry).await?;
        let head = self.chain.latest().await?;
        let now = UnixSeconds::new(head.timestamp);
        let next = match seen.next_block {
            Some(next) => next,
            None => {
                let lasts = arena.answer_seconds(&self.chain).await?;
                let since = head.timestamp.saturating_sub(lasts);
                first_block_at(&self.chain, since, head.number).await?
            }
        };
        self.read(&arena, seen, (next, head.number)).await?;
        for _ in 0..DEMANDS_PER_LOOK.min(seen.open.len()) {
            let Some(id) = seen.open.front().copied() else { break };
            let demand = arena.demand_of(&self.chain, id).await?;
            seen.open.pop_front();
            if !demand.can_be_answered(now) {
                continue;
            }
            // Posted again while it is open: what is on its way already is not posted twice.
            if let Some(post) = self.post(arena.game, id, &demand).await {
                // Nobody takes it any more; the next turn of the loop ends.
                let _closed = posts.send(post).await;
            }
            seen.open.push_back(id);
        }
        Ok(())
    }

    /// Notes the demands in these blocks.
    async fn read(
        &self,
        arena: &Arena,
        seen: &mut Seen,
        (first, last): (u64, u64),
    ) -> Result<(), RpcError> {
        let filter = Filter::new()
            .address(evm(arena.game))
            .event_signature(IChallengeGame::ProofDemanded::SIGNATURE_HASH);
        let first = first.saturating_sub(REREAD_BLOCKS);
        let mut scan = Scan::new(filter, first, last, self.scan_blocks_max);
        while seen.open.len() < DEMANDS_MAX {
            let Some(logs) = scan.step(&self.chain).await? else { return Ok(()) };
            for id in logs.iter().filter_map(id_of) {
                if !seen.open.contains(&id) {
                    seen.open.push_back(id);
                }
            }
            seen.next_block = Some(scan.next());
        }
        tracing::warn!("{DEMANDS_MAX} demands are open; later ones are read when some are over");
        Ok(())
    }

    /// What answers a demand; `None` while no mirror has it.
    async fn post(&self, game: Address, id: DemandId, demand: &Demand) -> Option<Post> {
        let DemandId { statement, segment } = id;
        let search = mirror::read_from_any(&self.mirrors, demand.proof);
        let envelope = match timeout(SEARCH_TIMEOUT, search).await {
            Ok(Ok(envelope)) => envelope,
            Ok(Err(error)) => {
                tracing::warn!(%statement, segment, ?error, "demanded, and at no mirror");
                return None;
            }
            Err(_) => {
                tracing::warn!(%statement, segment, "demanded, and the mirrors took too long");
                return None;
            }
        };
        if envelope.len() > DIRECT_PROOF_BYTES_MAX {
            tracing::warn!(%statement, segment, "demanded, and too long for a transaction");
            return None;
        }
        tracing::info!(%statement, segment, "demanded; its proof is shown");
        let calldata = answer_call(id, envelope).abi_encode();
        Some(Post { purpose: Purpose::Answer(id), contract: game, calldata })
    }
}

fn id_of(log: &Log) -> Option<DemandId> {
    let told = IChallengeGame::ProofDemanded::decode_log_validate(&log.inner).ok()?;
    let statement = StatementDigest::from_bytes(told.statement.0);
    Some(DemandId { statement, segment: told.index })
}

/// An answer is due while its demand is open and in time; whoever shows the proof first ends it.
pub(crate) async fn answer_standing(
    chain: &Chain,
    game: Address,
    id: DemandId,
) -> Result<Standing, RpcError> {
    let demand = demand_at(chain, game, id).await?;
    let now = UnixSeconds::new(chain.latest().await?.timestamp);
    Ok(match demand.state {
        DemandState::Open if demand.can_be_answered(now) => Standing::Open,
        DemandState::Answered => Standing::void("the proof was shown"),
        _ => Standing::void("the demand is over, or gone from the chain"),
    })
}
