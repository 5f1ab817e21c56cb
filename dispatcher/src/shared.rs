//! What the edge shares: settings, the actor's inbox, the directory, blobs, programs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use proofgrid_core::epoch::EpochKeys;
use proofgrid_core::ids::{EpochNumber, NetworkId};
use proofgrid_proofs::program::Registry;
use proofgrid_store::blob::BlobStore;
use proofgrid_store::blocking;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::actor::{ActorHandle, WatchHub};
use crate::auth::AdminNonces;
use crate::blobs::{Accounts, Lanes, Pins};
use crate::bonds::Bonds;
use crate::clock::Clock;
use crate::config::DispatcherConfig;
use crate::error::EdgeError;
use crate::recall::Recalls;
use crate::session::directory::Directory;

/// The epochs whose members count: the newest and the one before it, by number. Published by the
/// actor, so that the edge checks signatures without asking it.
pub type LiveEpochs = Arc<BTreeMap<EpochNumber, Arc<EpochKeys>>>;

/// One dispatcher's edge.
#[derive(Debug)]
pub struct Shared {
    /// Settings.
    pub config: DispatcherConfig,
    /// Tells the time.
    pub clock: Clock,
    /// What every signature is bound to.
    pub network: NetworkId,
    /// The actor's inbox.
    pub actor: ActorHandle,
    /// Who watches which job.
    pub hub: Arc<WatchHub>,
    /// Who is connected.
    pub directory: Arc<Directory>,
    /// Epochs that count.
    pub epochs: watch::Receiver<LiveEpochs>,
    /// Blobs.
    pub blobs: BlobStore,
    /// Who stored what that no job names yet.
    pub accounts: Arc<Accounts>,
    /// Blobs that verifiers are asked to give back.
    pub recalls: Arc<Recalls>,
    /// What provers put at stake, if a bond is asked.
    pub bonds: Option<Arc<Bonds>>,
    /// Which blobs may not be removed just now.
    pub pins: Arc<Pins>,
    /// Programs.
    pub programs: Arc<Registry>,
    /// Nonces of administrators.
    pub admin_nonces: AdminNonces,
    /// Bounds pairings on behalf of peers.
    pub verifications: Arc<Semaphore>,
    /// Bounds estimates.
    pub estimates: Arc<Semaphore>,
    /// Bounds uploads.
    pub uploads: Lanes,
    /// Bounds downloads.
    pub downloads: Lanes,
    /// Ends everything.
    pub shutdown: CancellationToken,
    /// Every task of the edge.
    pub tracker: TaskTracker,
    /// When this process started to serve.
    pub started: Instant,
}

impl Shared {
    /// Runs work of more than a millisecond on a thread that may block, at most a few at a time.
    ///
    /// # Errors
    /// What the work says, or that the process is shutting down.
    pub async fn on_worker<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, EdgeError> + Send + 'static,
    ) -> Result<T, EdgeError> {
        let permit = Arc::clone(&self.verifications).acquire_owned().await;
        let _permit = permit.map_err(|_closed| EdgeError::ShuttingDown)?;
        blocking::spawn(work)
            .await
            .map_err(|error| EdgeError::Internal(format!("a worker thread failed: {error}")))?
    }
}
