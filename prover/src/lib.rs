//! The zkProver worker: takes segments under a lease, proves them, and offers the proofs.
//!
//! A node composes it with [`Prover::start`]. One loop ([`worker`]) owns what runs and what is held;
//! the [`session`] has a thread of its own; [`pipeline`] makes one proof; [`backend`] turns a segment
//! into a checked proof. The worker trusts nobody: it recomputes the job's id, the input's digest and
//! claim and the segment's size, and it verifies its own proof before anyone sees it.
//!
//! It refuses to start work that does not fit into memory, to offer a proof that its own verifier
//! refuses, to drop a finished proof before the dispatcher has confirmed it, and to sign a login for
//! a dispatcher or network that is not the configured one.

pub mod backend;
pub mod bench;
pub mod config;
pub mod holdings;
pub mod inputs;
pub mod memory;
pub mod pipeline;
pub mod progress;
pub mod race;
pub mod session;
pub mod stake;
pub mod status;
pub mod transfer;
pub mod worker;

mod channel;
mod disk;

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use proofgrid_core::crypto::secp::WalletKey;
use proofgrid_core::units::ByteCount;
use proofgrid_proofs::program::Registry;
use proofgrid_proto::dial::Dialer;
use proofgrid_store::blocking;
use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use crate::channel::EndpointError;
pub use crate::config::{ConfigError, ProverConfig, TlsConfig};
pub use crate::disk::DiskError;
pub use crate::status::{ProverStatus, TaskStatus};

use crate::backend::{Backend, OpenError};
use crate::bench::BenchFile;
use crate::holdings::{Holdings, HoldingsError};
use crate::inputs::InputCache;
use crate::memory::{MemoryGate, Probe, ProbeError};
use crate::pipeline::Workshop;
use crate::race::{Race, Shelf};
use crate::session::{EVENTS_MAX, Session};
use crate::stake::{Desk, Stake};
use crate::transfer::Transfers;
use crate::worker::{Races, Wiring, Worker};

/// Why a worker did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// A setting is refused.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// URL or TLS settings are refused.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The worker's folder cannot be used.
    #[error(transparent)]
    Holdings(#[from] HoldingsError),
    /// The worker's folder cannot be used.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The machine's memory cannot be read.
    #[error(transparent)]
    Memory(#[from] ProbeError),
    /// The device cannot be used.
    #[error(transparent)]
    Backend(#[from] OpenError),
    /// No thread for the session.
    #[error("cannot start the session's thread: {0}")]
    Thread(std::io::Error),
}

/// A zkProver worker.
#[derive(Debug)]
pub struct Prover;

/// What a worker stands on: this machine and its network, or a simulation of them.
#[derive(Debug)]
pub struct Ground {
    /// How the dispatcher is dialled.
    pub dialer: Dialer,
    /// Reads how much memory there is.
    pub probe: Probe,
    /// Whether the session has a thread of its own, so that no work keeps it from its heartbeats;
    /// else it shares the runtime.
    pub session_thread: bool,
    /// What may be put at stake; nothing if absent.
    pub stake: Option<Stake>,
    /// The races that it may take part in; none if absent.
    pub race: Option<Race>,
}

impl Default for Ground {
    fn default() -> Self {
        Self {
            dialer: Dialer::tcp(),
            probe: Probe::default(),
            session_thread: true,
            stake: None,
            race: None,
        }
    }
}

impl Prover {
    /// Starts a worker on this machine: see [`Self::start_on`].
    ///
    /// # Errors
    /// As [`Self::start_on`].
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(
        config: ProverConfig,
        key: WalletKey,
        registry: Arc<Registry>,
        shutdown: &CancellationToken,
    ) -> Result<Handle, StartError> {
        Self::start_on(Ground::default(), config, key, registry, shutdown)
    }

    /// Starts a worker. It dials, logs in, registers and works until `shutdown`, then drains: it
    /// finishes what runs, within `drain_timeout_ms`, and takes nothing new.
    ///
    /// # Errors
    /// [`StartError`] names the setting, folder or device; nothing is running then.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start_on(
        ground: Ground,
        config: ProverConfig,
        key: WalletKey,
        registry: Arc<Registry>,
        shutdown: &CancellationToken,
    ) -> Result<Handle, StartError> {
        config.check()?;
        let key = Arc::new(key);
        let (holdings, held) = Holdings::open(&config.data_dir)?;
        let (shelf, races) = match ground.race {
            Some(race) => {
                let (shelf, held, entries) = Shelf::open(&config.data_dir)?;
                (Some(shelf), Races::new(Some(race), held, entries))
            }
            None => (None, Races::new(None, Vec::new(), Vec::new())),
        };
        let cache_max = ByteCount::new(config.input_cache_bytes_max);
        let inputs = InputCache::open(&config.data_dir, cache_max)?;
        let reserve = ByteCount::new(config.memory_reserve_bytes);
        let gate = MemoryGate::new(ground.probe, config.memory_max(), reserve)?;
        let threads = config.num_threads();
        let backend = Backend::open(config.device, config.slots as usize, threads)?;
        let bench = BenchFile::load(&config.data_dir, config.device, threads);
        let (token, current) = watch::channel(None);
        let transfers = Transfers::new(channel::lazy(&config, &ground.dialer)?, current);
        let desk = ground.stake.map(|stake| Desk::new(stake, Arc::clone(&key)));
        let workshop = Arc::new(Workshop {
            desk,
            registry,
            backend,
            inputs,
            transfers,
            holdings,
            shelf,
            prover: key.address(),
            fetching: Mutex::new(HashMap::new()),
        });
        let free_memory = Arc::new(AtomicU64::new(0));
        let (events_in, events) = mpsc::channel(EVENTS_MAX);
        let (status, watched) = watch::channel(ProverStatus::default());
        let drain = shutdown.child_token();
        let stop = CancellationToken::new();
        let session = Session {
            config: config.clone(),
            dialer: ground.dialer,
            key,
            events: events_in,
            free_memory: Arc::clone(&free_memory),
            stop: stop.clone(),
        };
        let session = match ground.session_thread {
            true => Err(session.spawn().map_err(StartError::Thread)?),
            false => Ok(tokio::spawn(Box::pin(session.run()))),
        };
        let wiring = Wiring { events, token, free_memory, status, drain: drain.clone() };
        let worker = Worker::new(config, workshop, gate, bench, (held, races), wiring);
        let task = tokio::spawn(async move {
            // Dropping the worker lets go of the stream; what it sent last still leaves.
            Box::pin(worker.run()).await;
            stop.cancel();
            let _ = match session {
                Ok(task) => task.await,
                Err(thread) => blocking::spawn(move || drop(thread.join())).await,
            };
        });
        Ok(Handle { status: watched, drain, task })
    }
}

/// A running worker.
#[derive(Debug)]
pub struct Handle {
    status: watch::Receiver<ProverStatus>,
    drain: CancellationToken,
    task: JoinHandle<()>,
}

impl Handle {
    /// What the worker is doing, as it changes.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<ProverStatus> {
        self.status.clone()
    }

    /// Tells the worker to drain, as a shutdown does.
    pub fn drain(&self) {
        self.drain.cancel();
    }

    /// Waits until the worker has drained and its session is closed.
    ///
    /// # Errors
    /// If the worker's loop panicked; held proofs are on disk all the same.
    pub async fn join(self) -> Result<(), tokio::task::JoinError> {
        self.task.await
    }
}
