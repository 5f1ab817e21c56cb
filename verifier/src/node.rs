//! The running verifier: opens what it owns, then dials until it is told to stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use proofgrid_core::crypto::bls::SecretKey;
use proofgrid_proofs::program::Registry;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::archive::{Archive, ArchiveError};
use crate::chain_view::ChainView;
use crate::config::VerifierConfig;
use crate::epochs::{Epochs, Identity};
use crate::evaluate::Evaluator;
use crate::limits::{REDIAL_PAUSE_MAX, REDIAL_PAUSE_MIN};
use crate::mirror;
use crate::offer::Desk;
use crate::segments::{ProofJudge, Segments};
use crate::session::{self, SessionError, Shared};
use crate::signer::Signer;
use crate::status::VerifierStatus;
use crate::vote_log::{VoteLog, VoteLogError};

/// Why a verifier does not start, or stopped for good.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum VerifierError {
    /// The vote log cannot be used; nothing may be signed without it.
    #[error(transparent)]
    VoteLog(#[from] VoteLogError),
    /// The directory of judged proofs cannot be used.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The mirror's address cannot be used.
    #[error(
        "cannot listen on mirror_listen = {address}: {problem}; choose another address or port"
    )]
    Mirror {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        problem: String,
    },
    /// The verifier's task panicked: a bug.
    #[error("the verifier stopped on a bug: {0}; report it, then start again")]
    Bug(String),
}

/// The verifier; see [`Verifier::start`].
#[derive(Debug)]
pub struct Verifier;

/// A running verifier. Dropping it does not stop it; the shutdown token does.
#[derive(Debug)]
pub struct VerifierHandle {
    status: watch::Receiver<VerifierStatus>,
    mirror: Option<SocketAddr>,
    task: JoinHandle<Result<(), VerifierError>>,
}

impl VerifierHandle {
    /// What it is doing now.
    #[must_use]
    pub fn status(&self) -> VerifierStatus {
        self.status.borrow().clone()
    }

    /// Where its mirror listens, with the port that the system chose if it was to.
    #[must_use]
    pub const fn mirror(&self) -> Option<SocketAddr> {
        self.mirror
    }

    /// The status and every change of it.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<VerifierStatus> {
        self.status.clone()
    }

    /// Waits until the verifier has stopped, by the shutdown token or for good.
    ///
    /// # Errors
    /// Why it stopped by itself: the vote log failed, or a bug.
    pub async fn stopped(self) -> Result<(), VerifierError> {
        self.task.await.unwrap_or_else(|error| Err(VerifierError::Bug(error.to_string())))
    }
}

impl Verifier {
    /// Opens vote log and proofs, then serves sessions until `shutdown`. Must be called on a
    /// runtime. The key never leaves the returned verifier and is wiped with it.
    ///
    /// # Errors
    /// When the vote log is in use, damaged or unreadable, the data directory cannot be used, or the
    /// mirror's address is taken.
    pub fn start(
        config: VerifierConfig,
        key: SecretKey,
        registry: Arc<Registry>,
        judge: impl ProofJudge + 'static,
        view: Arc<dyn ChainView>,
        shutdown: CancellationToken,
    ) -> Result<VerifierHandle, VerifierError> {
        let log = VoteLog::open(&config.vote_log_path())?;
        let archive = Archive::open(&config)?;
        let listen = |address| {
            mirror::bind(address)
                .map_err(|error| VerifierError::Mirror { address, problem: error.to_string() })
        };
        let listener = config.mirror_listen.map(listen).transpose()?;
        let (status_sender, status) = watch::channel(VerifierStatus {
            logged_verdicts: log.len() as u64,
            ..VerifierStatus::default()
        });
        let signer = Arc::new(Signer::new(key, config.network, config.operator, log));
        let around = Around { signer, registry, view, status: status_sender, archive };
        let desk = desk(&config, Arc::new(judge), around);
        let mirror = listener.as_ref().and_then(|listener| listener.local_addr().ok());
        let task = tokio::spawn(run(Shared { config, desk }, listener, shutdown));
        Ok(VerifierHandle { status, mirror, task })
    }
}

/// What a desk stands on.
pub(crate) struct Around {
    pub(crate) signer: Arc<Signer>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) view: Arc<dyn ChainView>,
    pub(crate) status: watch::Sender<VerifierStatus>,
    pub(crate) archive: Archive,
}

pub(crate) fn desk(config: &VerifierConfig, judge: Arc<dyn ProofJudge>, around: Around) -> Desk {
    let Around { signer, registry, view, status, archive } = around;
    let (network, operator) = (config.network, config.operator);
    let identity = Identity { network, operator, key: signer.public_key() };
    let patience = config.chain_patience;
    let epochs = Epochs::new(Arc::clone(&view), identity, patience);
    let segments = Segments::new(judge);
    let evaluator = Evaluator { network, registry, view, patience, segments };
    Desk { epochs, evaluator, signer, archive, status }
}

/// Serves sessions, and beside them the mirror and the order in the archive, until one ends it.
async fn run(
    shared: Shared,
    listener: Option<TcpListener>,
    shutdown: CancellationToken,
) -> Result<(), VerifierError> {
    let shared = Arc::new(shared);
    let archive = &shared.desk.archive;
    // Ends the mirror when this verifier ends by itself.
    let closing = shutdown.child_token();
    let _closing = closing.clone().drop_guard();
    if let Some(listener) = listener {
        tokio::spawn(mirror::serve(listener, archive.store.clone(), closing));
    }
    tokio::select! {
        biased;
        ended = serve(&shared, &shutdown) => ended,
        never = archive.keep_in_order() => match never {},
    }
}

async fn serve(shared: &Arc<Shared>, shutdown: &CancellationToken) -> Result<(), VerifierError> {
    let status = &shared.desk.status;
    let mut pauses = pauses();
    loop {
        let mut was_open = false;
        let ended = session::run(shared, shutdown, |session| {
            was_open = true;
            tracing::info!(
                target: "verifier", session = session.get(), operator = %shared.config.operator,
                "session open"
            );
            status.send_modify(|status| {
                status.session = Some(session);
                status.sessions += 1;
            });
        });
        let error = match Box::pin(ended).await {
            Ok(()) => return Ok(()),
            Err(SessionError::VoteLog(error)) => {
                tracing::error!(target: "verifier", %error, "the verifier stops");
                status.send_modify(|status| status.session = None);
                return Err(error.into());
            }
            Err(error) => error,
        };
        if was_open {
            pauses = self::pauses();
        }
        let mut pause = pauses.next().unwrap_or(REDIAL_PAUSE_MAX);
        if let SessionError::Goaway { pause: asked, .. } = &error {
            // A dispatcher cannot send this verifier away for longer than it would wait anyway.
            pause = pause.max((*asked).min(REDIAL_PAUSE_MAX));
        }
        tracing::warn!(target: "verifier", %error, ?pause, "no session; dialling again");
        status.send_modify(|status| {
            status.session = None;
            status.last_error = Some(error.to_string());
        });
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return Ok(()),
            () = tokio::time::sleep(pause) => {}
        }
    }
}

fn pauses() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_jitter()
        .with_min_delay(REDIAL_PAUSE_MIN)
        .with_max_delay(REDIAL_PAUSE_MAX)
        .without_max_times()
        .build()
}
