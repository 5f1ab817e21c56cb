//! The dispatcher: the gRPC edge, the single-owner actor around core's state machine, and the
//! effects that it owes the world.
//!
//! Whatever comes from outside is converted and its signature checked at the edge, becomes one
//! `Input`, and is answered only after the facts that follow from it are in the journal. Provers,
//! verifiers and oracles dial in; nobody is dialled. This crate reads the clock; core does not. It
//! knows no chain and no proof system: those are behind the oracle's session and the program
//! registry.

mod actor;
mod auth;
mod blobs;
mod bonds;
pub mod clock;
mod compaction;
pub mod config;
mod effects;
pub mod error;
pub mod grpc;
pub mod limits;
mod recall;
mod session;
mod shared;
#[cfg(test)]
mod testing;

// The fixtures of the tests from outside are shared with those from inside.
#[cfg(test)]
extern crate self as proofgrid_dispatcher;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proofgrid_core::crypto::secp::WalletKey;
use proofgrid_core::network::{Network, NetworkConfig};
use proofgrid_judge::Judge;
use proofgrid_proofs::program::Registry;
use proofgrid_store::blob::BlobStore;
use proofgrid_store::journal::Journal;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio_stream::Stream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use crate::compaction::{
    Problem, ReplayStart, SnapshotCheck, SnapshotError, check_snapshots, compact_now, read_snapshot,
};
pub use crate::config::DispatcherConfig;
pub use crate::error::DispatcherError;
pub use crate::grpc::server::Bound;

use crate::actor::{Actor, Feeds, Parts, WatchHub};
use crate::blobs::{Lanes, Pins};
use crate::bonds::Bonds;
use crate::clock::Clock;
use crate::compaction::Compactor;
use crate::config::ConfigError;
use crate::effects::{EffectParts, Effects, Remover};
use crate::limits::{DRAIN_TIME_MAX, PARTIAL_AGE_MAX, VERIFICATIONS_MAX};
use crate::recall::Recalls;
use crate::session::directory::Directory;
use crate::shared::{LiveEpochs, Shared};

/// How often abandoned uploads and blobs that nobody wants are looked for.
const SWEEP_INTERVAL: Duration = Duration::from_secs(3_600);

/// Starts dispatchers.
#[derive(Debug)]
pub struct Dispatcher;

/// A running dispatcher.
#[derive(Debug)]
pub struct Handle {
    address: SocketAddr,
    task: JoinHandle<Result<(), DispatcherError>>,
}

impl Handle {
    /// Where it listens, with the port that the system chose if it was to.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until it has ended: after its shutdown token was cancelled, or with the reason why it
    /// could not go on.
    ///
    /// # Errors
    /// [`DispatcherError`]; after one the process should end with a non-zero code.
    pub async fn join(self) -> Result<(), DispatcherError> {
        self.task.await.map_err(|_| DispatcherError::TaskEnded("the dispatcher"))?
    }
}

/// What a dispatcher stands on: its key, and this machine's clock and network or a simulation of them.
#[derive(Debug)]
pub struct Ground<B> {
    /// Signs commit sets; its address is `server` in the settings.
    pub key: WalletKey,
    /// Tells the time.
    pub clock: Clock,
    /// Begins to listen; awaited once the state is rebuilt.
    pub bind: B,
}

impl Dispatcher {
    /// Starts a dispatcher on this machine: see [`Self::start_on`].
    ///
    /// # Errors
    /// As [`Self::start_on`], or when the address is taken.
    pub async fn start(
        config: DispatcherConfig,
        key: WalletKey,
        journal: Journal,
        blobs: BlobStore,
        programs: Arc<Registry>,
        judge: Judge,
        shutdown: CancellationToken,
    ) -> Result<Handle, DispatcherError> {
        let bind = grpc::server::bind(config.listen);
        let ground = Ground { key, clock: Clock::default(), bind };
        Box::pin(Self::start_on(ground, config, journal, blobs, programs, judge, shutdown)).await
    }

    /// Rebuilds the state from the newest snapshot and the records after it, starts the actor and its
    /// workers, and serves.
    ///
    /// # Errors
    /// When the settings contradict themselves, nothing can be listened on, or the newest snapshot or
    /// a record after it must not be used.
    pub async fn start_on<S, Io>(
        ground: Ground<impl Future<Output = Result<Bound<S>, DispatcherError>>>,
        config: DispatcherConfig,
        journal: Journal,
        blobs: BlobStore,
        programs: Arc<Registry>,
        judge: Judge,
        shutdown: CancellationToken,
    ) -> Result<Handle, DispatcherError>
    where
        S: Stream<Item = io::Result<(Io, SocketAddr)>> + Send + Unpin + 'static,
        Io: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        config.check()?;
        config.check_key(&ground.key)?;
        warn_of_choices(&config);
        let machine = state_machine(&config, &programs)?;
        let recovered =
            compaction::recover(config.snapshots.directory.as_deref(), &journal).await?;
        let (snapshot, replayed) = (recovered.snapshot, recovered.replayed());
        let from = (snapshot, recovered.bytes);
        let compactor = config.snapshots.directory.clone().map(|directory| {
            Compactor::new(directory, journal.clone(), config.snapshots.every_records, from)
        });
        let compactor = compactor.transpose().map_err(DispatcherError::Thread)?;
        let feeds = recovered.feeds;
        let network = Network::from_snapshot(machine, recovered.state);
        let bound = ground.bind.await?;
        let address = bound.address;
        tracing::info!(%address, %snapshot, replayed, "dispatcher starts");

        let parts = Assembly {
            clock: ground.clock,
            key: ground.key,
            config,
            network,
            feeds,
            journal,
            compactor,
            blobs,
            programs,
            judge,
            shutdown,
        };
        let (actor, shared) = assemble(parts);
        let task = tokio::spawn(run(bound, actor, shared));
        Ok(Handle { address, task })
    }
}

/// What a dispatcher is made of.
struct Assembly {
    clock: Clock,
    key: WalletKey,
    config: DispatcherConfig,
    network: Network,
    feeds: Feeds,
    journal: Journal,
    compactor: Option<Compactor>,
    blobs: BlobStore,
    programs: Arc<Registry>,
    judge: Judge,
    shutdown: CancellationToken,
}

/// Wires the actor, its workers and the edge; only the workers run already.
fn assemble(parts: Assembly) -> (Actor, Arc<Shared>) {
    let Assembly { clock, key, config, network, .. } = parts;
    let Assembly { feeds, journal, compactor, blobs, programs, judge, shutdown, .. } = parts;
    let (handle, inbox) = actor::inbox();
    let (epochs_sender, epochs) = watch::channel::<LiveEpochs>(Arc::new(BTreeMap::new()));
    let directory = Arc::new(Directory::new(clock.clone()));
    let hub = Arc::new(WatchHub::default());
    let pins = Arc::new(Pins::default());
    let tracker = TaskTracker::new();
    let bonds = Bonds::new(&config).map(Arc::new);
    let parts = EffectParts {
        actor: handle.clone(),
        directory: Arc::clone(&directory),
        blobs: blobs.clone(),
        pins: Arc::clone(&pins),
        programs: Arc::clone(&programs),
        judge,
        expected: config.expected_workforce(),
        bonds: bonds.clone(),
        key: Arc::new(key),
        network: config.network(),
    };
    let effects = Effects::start(&parts, &tracker, &shutdown);
    let actor = Actor::new(Parts {
        clock: clock.clone(),
        network,
        feeds,
        journal,
        inbox,
        effects,
        hub: Arc::clone(&hub),
        epochs: epochs_sender,
        compactor,
    });
    let recalls = Arc::new(Recalls::new(
        Arc::clone(&directory),
        Duration::from_millis(config.recall_timeout_ms),
        tracker.clone(),
        shutdown.clone(),
    ));
    let admin_nonces = auth::AdminNonces::new(clock.now());
    let shared = Arc::new(Shared {
        clock,
        network: config.network(),
        config,
        actor: handle,
        hub,
        directory,
        epochs,
        blobs,
        accounts: Arc::default(),
        bonds,
        recalls,
        pins,
        programs,
        admin_nonces,
        verifications: Arc::new(Semaphore::new(VERIFICATIONS_MAX)),
        estimates: Arc::new(Semaphore::new(limits::ESTIMATES_MAX)),
        uploads: Lanes::new(limits::PEER_UPLOADS_MAX, limits::REQUESTER_UPLOADS_MAX),
        downloads: Lanes::new(limits::PEER_DOWNLOADS_MAX, limits::REQUESTER_DOWNLOADS_MAX),
        shutdown,
        tracker,
        started: Instant::now(),
    });
    (actor, shared)
}

/// What an operator should not overlook.
/// The state machine's settings, with what the programs say of themselves.
fn state_machine(
    config: &DispatcherConfig,
    programs: &Registry,
) -> Result<NetworkConfig, ConfigError> {
    let mut machine = config.state_machine()?;
    let bound = programs.iter().filter(|program| program.prover_bound());
    machine.prover_bound = bound.map(|program| program.id()).collect();
    Ok(machine)
}

fn warn_of_choices(config: &DispatcherConfig) {
    if !config.judge_at_intake {
        tracing::warn!(
            "judge_at_intake = false: proofs reach the verifiers unjudged; bad ones cost them work"
        );
    }
    if config.tls.is_none() && !config.listen.ip().is_loopback() {
        tracing::warn!(listen = %config.listen, "allow_plaintext = true: traffic is readable");
    }
}

/// Runs the server and the actor; ends both when one ends or the shutdown token is cancelled.
///
/// The order of an end: no new connections and calls, sessions say goodbye, then the actor makes
/// durable what was handed over, and only then everything stops.
async fn run<S, Io>(
    bound: Bound<S>,
    actor: Actor,
    shared: Arc<Shared>,
) -> Result<(), DispatcherError>
where
    S: Stream<Item = io::Result<(Io, SocketAddr)>> + Send + Unpin + 'static,
    Io: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let actor_stop = CancellationToken::new();
    let mut owner = tokio::spawn(actor.run(actor_stop.clone()));
    let serving = grpc::server::serve(bound, Arc::clone(&shared), shared.shutdown.clone());
    let mut serving = tokio::spawn(serving);
    shared.tracker.spawn(keep_house(Arc::clone(&shared)));
    let ended_early = tokio::select! {
        biased;
        () = shared.shutdown.cancelled() => None,
        ended = &mut owner => {
            Some(ended.unwrap_or(Err(DispatcherError::TaskEnded("the actor"))))
        }
        ended = &mut serving => {
            Some(ended.unwrap_or(Err(DispatcherError::TaskEnded("the gRPC server"))))
        }
    };
    shared.shutdown.cancel();
    shared.tracker.close();
    if tokio::time::timeout(DRAIN_TIME_MAX, shared.tracker.wait()).await.is_err() {
        tracing::warn!("some sessions did not end in time");
    }
    if let Some(ended) = ended_early {
        owner.abort();
        serving.abort();
        return ended;
    }
    actor_stop.cancel();
    let owned = owner.await.unwrap_or(Err(DispatcherError::TaskEnded("the actor")));
    if tokio::time::timeout(DRAIN_TIME_MAX, &mut serving).await.is_err() {
        tracing::warn!("some connections did not close in time");
        serving.abort();
    }
    tracing::info!("dispatcher ended");
    owned
}

/// Sweeps at the start and every hour until shutdown.
async fn keep_house(shared: Arc<Shared>) {
    let mut sweeps = tokio::time::interval(SWEEP_INTERVAL);
    let sweeping = async {
        loop {
            sweeps.tick().await;
            sweep(&shared).await;
        }
    };
    tokio::select! {
        biased;
        () = shared.shutdown.cancelled() => {}
        () = sweeping => {}
    }
}

async fn sweep(shared: &Shared) {
    match shared.blobs.sweep_partial(PARTIAL_AGE_MAX).await {
        Ok(0) => {}
        Ok(removed) => tracing::info!(removed, "removed abandoned uploads"),
        Err(error) => tracing::warn!(%error, "abandoned uploads could not be removed"),
    }
    let remover = Remover {
        blobs: shared.blobs.clone(),
        actor: shared.actor.clone(),
        pins: Arc::clone(&shared.pins),
    };
    match remover.sweep().await {
        Ok(0) => {}
        Ok(removed) => tracing::info!(removed, "removed blobs that nobody wants"),
        Err(error) => tracing::warn!(%error, "blobs that nobody wants could not be removed"),
    }
}
