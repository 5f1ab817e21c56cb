//! The worker's line to the dispatcher: one stream, dialled again forever.
//!
//! It runs on an operating-system thread of its own with a runtime of its own, and so do the
//! heartbeats: whatever the proving threads and the main runtime are busy with, the dispatcher hears
//! that the worker lives. The thread decides nothing about tasks; it hands orders to the worker and
//! the worker's messages to the stream.
//!
//! It refuses a dispatcher that is not the configured one or serves another network: a login signed
//! for it could otherwise be passed on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use proofgrid_core::crypto::eip712::WalletMessage;
use proofgrid_core::crypto::secp::WalletKey;
use proofgrid_core::ids::{Address, LoginNonce, NetworkId, Role};
use proofgrid_core::units::ByteCount;
use proofgrid_proto::MESSAGE_BYTES_MAX;
use proofgrid_proto::convert::{
    Challenge, ConvertError, Hello, LoginProof, ProverMessage, ProverOrder, Welcome,
};
use proofgrid_proto::dial::Dialer;
use proofgrid_proto::v1;
use proofgrid_proto::v1::prover_service_client::ProverServiceClient;
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, Streaming};

use crate::channel::{EndpointError, endpoint};
use crate::config::ProverConfig;

/// Messages that may wait for the stream; the worker sends a handful per task.
const OUTBOUND_MAX: usize = 256;
/// Events that may wait for the worker.
pub const EVENTS_MAX: usize = 256;
/// How long the dispatcher may take to end a stream that was closed in good order.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest pause that a dispatcher may ask for.
const GOAWAY_PAUSE_MAX: Duration = Duration::from_secs(300);

/// Where the worker's messages go while a session is up.
pub type Outbound = mpsc::Sender<v1::ProverServiceSessionRequest>;

/// What the session tells the worker.
#[derive(Debug)]
pub enum SessionEvent {
    /// Logged in; the worker must register first.
    Up {
        /// What the dispatcher said.
        welcome: Welcome,
        /// Where messages go. Dropping it closes the session in good order.
        outbound: Outbound,
    },
    /// An order.
    Order(ProverOrder),
    /// The session is gone; another follows unless the worker stops.
    Down,
}

/// Why a session ended.
#[derive(Debug, Error)]
pub enum SessionError {
    /// The settings do not give an endpoint.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// No connection.
    #[error("cannot reach the dispatcher: {0}")]
    Connect(tonic::transport::Error),
    /// A step of the login took too long.
    #[error("the dispatcher did not answer the login in {0:?}")]
    LoginTimeout(Duration),
    /// Another dispatcher answered.
    #[error("expected the dispatcher {expected}, {got} answered; check dispatcher_identity")]
    WrongServer {
        /// The configured one.
        expected: Address,
        /// Who answered.
        got: Address,
    },
    /// The dispatcher serves another network.
    #[error("the dispatcher serves {got:?}, this worker is set to {expected:?}; check both")]
    WrongNetwork {
        /// The configured one.
        expected: NetworkId,
        /// The dispatcher's.
        got: NetworkId,
    },
    /// A message that does not belong there.
    #[error("the dispatcher sent something else than its {0}; check its version")]
    OutOfOrder(&'static str),
    /// A message that cannot be read.
    #[error("the dispatcher sent a malformed message: {0}; check its version")]
    Malformed(#[from] ConvertError),
    /// The dispatcher ended the stream with a status.
    #[error("the dispatcher ended the session: {0}")]
    Status(#[from] Box<Status>),
    /// The dispatcher ended the stream.
    #[error("the dispatcher closed the stream")]
    Closed,
    /// The dispatcher asked to leave.
    #[error("the dispatcher ends the session: {text}")]
    Goaway {
        /// What it said.
        text: String,
        /// When to come back.
        pause: Duration,
        /// Whether another worker has logged in with the same key.
        replaced: bool,
    },
    /// Nothing came for too long.
    #[error("the dispatcher was silent for {0:?}")]
    Silent(Duration),
    /// The system gives no randomness.
    #[error("the system gives no randomness for the login: {0}")]
    Random(getrandom::Error),
    /// The worker is gone.
    #[error("the worker stopped")]
    WorkerGone,
}

/// Everything that the session thread owns.
pub struct Session {
    /// Settings.
    pub config: ProverConfig,
    /// How the dispatcher is dialled.
    pub dialer: Dialer,
    /// Signs logins.
    pub key: Arc<WalletKey>,
    /// Where events go.
    pub events: mpsc::Sender<SessionEvent>,
    /// Memory for new tasks, in bytes; kept up to date by the worker.
    pub free_memory: Arc<AtomicU64>,
    /// Ends the thread.
    pub stop: CancellationToken,
}

impl Session {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system refuses a thread or its runtime.
    pub fn spawn(self) -> std::io::Result<std::thread::JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new()
            .name("prover-session".into())
            .spawn(move || runtime.block_on(Box::pin(self.run())))
    }

    /// Dials, logs in and serves, again and again, until it is stopped or the worker is gone.
    pub async fn run(self) {
        let mut pauses = self.pauses();
        while !self.stop.is_cancelled() {
            let mut registered = false;
            let ended = Box::pin(self.one_session(&mut registered)).await;
            if self.events.send(SessionEvent::Down).await.is_err() {
                return;
            }
            if registered {
                pauses = self.pauses();
            }
            let pause = match ended {
                Ok(()) => continue,
                Err(error) => self.pause_after(&error, &mut pauses),
            };
            tokio::select! {
                biased;
                () = self.stop.cancelled() => {}
                () = sleep(pause) => {}
            }
        }
    }

    fn pauses(&self) -> ExponentialBackoff {
        // The jitter adds up to as much again.
        let longest = Duration::from_millis(self.config.reconnect_delay_ms_max) / 2;
        ExponentialBuilder::default()
            .with_jitter()
            .with_min_delay(Duration::from_millis(self.config.reconnect_delay_ms_min))
            .with_max_delay(longest)
            .without_max_times()
            .build()
    }

    /// How long to wait after a session; what a person must mend is tried at the slowest pace.
    fn pause_after(&self, error: &SessionError, pauses: &mut ExponentialBackoff) -> Duration {
        let slowest = Duration::from_millis(self.config.reconnect_delay_ms_max);
        let next = pauses.next().map_or(slowest, |pause| pause.min(slowest));
        let pause = match error {
            SessionError::Goaway { replaced: true, .. } => slowest,
            SessionError::Goaway { pause, .. } => next.max((*pause).min(GOAWAY_PAUSE_MAX)),
            SessionError::Status(status) if is_login_refusal(status) => slowest,
            SessionError::WrongServer { .. }
            | SessionError::WrongNetwork { .. }
            | SessionError::Endpoint(_) => slowest,
            _ => {
                tracing::warn!(%error, ?next, "session ended; dialling again");
                return next;
            }
        };
        tracing::error!(%error, ?pause, "session refused or closed; dialling again");
        pause
    }

    async fn one_session(&self, registered: &mut bool) -> Result<(), SessionError> {
        let login = Box::pin(self.login());
        let limit = self.config.connect_timeout().saturating_mul(2);
        let (welcome, outbound, inbound) = tokio::select! {
            biased;
            done = timeout(limit, login) => {
                done.map_err(|_| SessionError::LoginTimeout(limit))??
            }
            () = self.stop.cancelled() => return Ok(()),
            () = self.events.closed() => return Err(SessionError::WorkerGone),
        };
        tracing::info!(session = %welcome.session, "logged in");
        // The thread keeps only a weak end, so that the stream closes when the worker lets go.
        let beats = outbound.downgrade();
        let up = SessionEvent::Up { welcome, outbound };
        self.events.send(up).await.map_err(|_| SessionError::WorkerGone)?;
        self.serve(&welcome, &beats, inbound, registered).await
    }

    async fn login(
        &self,
    ) -> Result<(Welcome, Outbound, Streaming<v1::ProverServiceSessionResponse>), SessionError>
    {
        let channel = endpoint(&self.config)?;
        let channel = self.dialer.connect(&channel).await.map_err(SessionError::Connect)?;
        let mut client = ProverServiceClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let (outbound, receiver) = mpsc::channel(OUTBOUND_MAX);
        let operator = self.key.address();
        let mut nonce = [0u8; 32];
        getrandom::fill(&mut nonce).map_err(SessionError::Random)?;
        let client_nonce = LoginNonce::from_bytes(nonce);
        let hello = Hello {
            role: Role::Prover,
            operator,
            client_nonce,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        send(&outbound, ProverMessage::Hello(hello)).await?;
        let call = client.session(ReceiverStream::new(receiver));
        let mut inbound = call.await.map_err(Box::new)?.into_inner();
        let ProverOrder::Challenge(challenge) = next_order(&mut inbound).await? else {
            return Err(SessionError::OutOfOrder("challenge"));
        };
        self.check_challenge(&challenge)?;
        let login = challenge.login(Role::Prover, operator, client_nonce);
        let message = WalletMessage::Login { network: challenge.network, login };
        let proof = LoginProof::Wallet(self.key.sign(&message));
        send(&outbound, ProverMessage::Login(proof)).await?;
        let ProverOrder::Welcome(welcome) = next_order(&mut inbound).await? else {
            return Err(SessionError::OutOfOrder("welcome"));
        };
        Ok((welcome, outbound, inbound))
    }

    /// Who may lie: whoever answers on the port. Nothing is signed for another name or network.
    fn check_challenge(&self, challenge: &Challenge) -> Result<(), SessionError> {
        let expected = self.config.dispatcher_identity;
        if challenge.server != expected {
            return Err(SessionError::WrongServer { expected, got: challenge.server });
        }
        let expected = self.config.network();
        if challenge.network != expected {
            return Err(SessionError::WrongNetwork { expected, got: challenge.network });
        }
        Ok(())
    }

    /// Hands orders on and sends heartbeats until the session ends.
    async fn serve(
        &self,
        welcome: &Welcome,
        beats: &mpsc::WeakSender<v1::ProverServiceSessionRequest>,
        mut inbound: Streaming<v1::ProverServiceSessionResponse>,
        registered: &mut bool,
    ) -> Result<(), SessionError> {
        let asked = Duration::from(welcome.heartbeat_interval).max(Duration::from_millis(10));
        let every = asked.min(self.config.heartbeat_interval());
        let dead_after = Duration::from(welcome.dead_after).max(every.saturating_mul(4));
        let mut beat = interval_at(Instant::now() + every, every);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut sequence = 0u64;
        let mut heard = Instant::now();
        loop {
            // Orders stand before the heartbeat: what waits after a pause of this machine is a sign of
            // life that is heard before silence is judged.
            tokio::select! {
                biased;
                () = self.events.closed() => {
                    finish_sending(&mut inbound).await;
                    return Err(SessionError::WorkerGone);
                }
                () = self.stop.cancelled() => {
                    finish_sending(&mut inbound).await;
                    return Ok(());
                }
                order = next_order(&mut inbound) => {
                    heard = Instant::now();
                    let order = order?;
                    *registered |= matches!(order, ProverOrder::Registered { .. });
                    let handed = self.hand_on(order).await;
                    if matches!(handed, Err(SessionError::WorkerGone)) {
                        finish_sending(&mut inbound).await;
                    }
                    handed?;
                }
                _ = beat.tick(), if *registered => {
                    if heard.elapsed() > dead_after {
                        return Err(SessionError::Silent(heard.elapsed()));
                    }
                    sequence = sequence.saturating_add(1);
                    self.send_heartbeat(beats, sequence);
                }
            }
        }
    }

    async fn hand_on(&self, order: ProverOrder) -> Result<(), SessionError> {
        match order {
            ProverOrder::Goaway(goaway) => Err(goaway_error(goaway)),
            ProverOrder::Refused(refused) if refused.closing => Err(SessionError::Goaway {
                text: refused.text,
                pause: Duration::ZERO,
                replaced: refused.reason == i32::from(v1::RefusalReason::Replaced),
            }),
            order => {
                let event = SessionEvent::Order(order);
                self.events.send(event).await.map_err(|_| SessionError::WorkerGone)
            }
        }
    }

    fn send_heartbeat(
        &self,
        beats: &mpsc::WeakSender<v1::ProverServiceSessionRequest>,
        sequence: u64,
    ) {
        let free_memory = ByteCount::new(self.free_memory.load(Ordering::Relaxed));
        let beat = ProverMessage::Heartbeat { sequence, free_memory };
        // A full queue means that the stream is stuck; the silence check ends it.
        if let Some(outbound) = beats.upgrade()
            && outbound.try_send(beat.into()).is_err()
        {
            tracing::debug!(sequence, "a heartbeat found the stream full");
        }
    }
}

/// The worker has let go; what it sent last still leaves. Dropping the answers at once would reset
/// the stream and take the unsent messages with it.
async fn finish_sending(inbound: &mut Streaming<v1::ProverServiceSessionResponse>) {
    let rest = async { while inbound.next().await.is_some() {} };
    let _ = timeout(CLOSE_TIMEOUT, rest).await;
}

fn goaway_error(goaway: v1::Goaway) -> SessionError {
    SessionError::Goaway {
        text: goaway.text,
        pause: Duration::from_millis(goaway.reconnect_after_ms),
        replaced: goaway.reason == i32::from(v1::RefusalReason::Replaced),
    }
}

fn is_login_refusal(status: &Status) -> bool {
    matches!(status.code(), Code::Unauthenticated | Code::PermissionDenied)
}

async fn send(outbound: &Outbound, message: ProverMessage) -> Result<(), SessionError> {
    outbound.send(message.into()).await.map_err(|_| SessionError::Closed)
}

async fn next_order(
    inbound: &mut Streaming<v1::ProverServiceSessionResponse>,
) -> Result<ProverOrder, SessionError> {
    let message = inbound.message().await.map_err(Box::new)?.ok_or(SessionError::Closed)?;
    Ok(ProverOrder::try_from(message)?)
}
