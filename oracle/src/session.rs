//! The oracle's stream to the dispatcher: dial, log in, stay alive, dial again.
//!
//! One task owns the connection. It hands messages and the stream's comings and goings to the
//! oracle in order, beats the heart on its own clock (a slow chain endpoint never looks like a dead
//! oracle) and reconnects with growing, jittered pauses for ever. It refuses a dispatcher of
//! another network or, if one is configured, another identity, before it signs anything: the login
//! binds both nonces and the server's address, so it cannot be passed on.

use std::path::PathBuf;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use proofgrid_core::crypto::eip712::WalletMessage;
use proofgrid_core::crypto::secp::WalletKey;
use proofgrid_core::ids::{Address, ChainId, LoginNonce, NetworkId, Role};
use proofgrid_proto::convert::{
    Challenge, ConvertError, Hello, LoginProof, OracleMessage, OracleOrder,
};
use proofgrid_proto::dial::Dialer;
use proofgrid_proto::{MESSAGE_BYTES_MAX, v1};
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;
use tonic::transport::{Certificate, Channel, ClientTlsConfig};
use v1::oracle_service_client::OracleServiceClient;
use zeroize::Zeroizing;

use crate::config::OracleConfig;
use crate::key::OracleKey;

/// Messages that may wait for the stream, and for the oracle.
const QUEUE_LEN: usize = 256;
/// Longest wait for a connection and for each answer of the login.
const LOGIN_STEP_TIMEOUT: Duration = Duration::from_secs(15);
/// Longest wait for room in the stream.
pub const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// HTTP/2 ping interval: finds dead paths that TCP does not.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(20);
/// First and longest pause before dialling again.
const REDIAL_PAUSE_MIN: Duration = Duration::from_millis(250);
const REDIAL_PAUSE_MAX: Duration = Duration::from_secs(30);
/// Bounds for the heartbeat interval and the patience that a dispatcher may ask for.
const HEARTBEAT_MS: (u64, u64) = (100, 60_000);
const DEAD_AFTER_MS: (u64, u64) = (1_000, 600_000);

/// Why a session did not come about or ended.
#[derive(Debug, Error)]
pub enum SessionError {
    /// The address is malformed or its certificate authority unusable.
    #[error("cannot use `dispatcher_url` {url}: {why}")]
    Address {
        /// The address.
        url: String,
        /// What is wrong.
        why: String,
    },
    /// Nobody listens, or the path is broken.
    #[error("cannot reach the dispatcher: {0}; check that it runs and that the address is right")]
    Unreachable(String),
    /// The dispatcher answered with a status.
    #[error("the dispatcher refused the session: {0}")]
    Status(Box<tonic::Status>),
    /// The dispatcher answered with a refusal.
    #[error("the dispatcher refused the oracle: {0}")]
    Refused(String),
    /// It is silent.
    #[error("the dispatcher was silent for {0:?} during {1}")]
    Silent(Duration, &'static str),
    /// It is not the one that was asked for.
    #[error(
        "the dispatcher is of another network or identity: {0}; check `dispatcher_url`, \
         `dispatcher_address` and `contracts`"
    )]
    Stranger(String),
    /// A message out of order.
    #[error("the dispatcher broke the protocol: expected {expected}")]
    Protocol {
        /// What should have come.
        expected: &'static str,
    },
    /// A message that does not convert.
    #[error("the dispatcher sent a malformed message: {0}; it is of another version")]
    Malformed(#[from] ConvertError),
    /// The system gave no randomness or the key is unusable.
    #[error("cannot log in: {0}")]
    Login(String),
    /// It said goodbye.
    #[error("the dispatcher closed the session: {text}")]
    Goaway {
        /// Its words.
        text: String,
        /// How long to stay away.
        pause: Duration,
    },
    /// The stream ended.
    #[error("the stream ended")]
    Ended,
}

/// What the oracle hears of its session, in order.
#[derive(Debug)]
pub enum Link {
    /// A session is open; send with this.
    Up(SessionSender),
    /// An order of the open session. Never part of the login, never a heartbeat.
    Order(Box<OracleOrder>),
    /// The session is over.
    Down,
}

/// The sending half of an open session.
#[derive(Debug, Clone)]
pub struct SessionSender {
    up: mpsc::Sender<v1::OracleServiceSessionRequest>,
    hang_up: CancellationToken,
}

impl SessionSender {
    /// Ends the session. After the next login the dispatcher orders anew whatever it is owed.
    pub fn hang_up(&self) {
        self.hang_up.cancel();
    }

    /// Sends, waiting for room in the stream for at most [`SEND_TIMEOUT`]. A dispatcher that does
    /// not read for that long is hung up on.
    ///
    /// # Errors
    /// [`SessionError::Ended`] or [`SessionError::Silent`]; the session is over then.
    pub async fn send(&self, message: OracleMessage) -> Result<(), SessionError> {
        match timeout(SEND_TIMEOUT, self.up.send(message.into())).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(SessionError::Ended),
            Err(_) => {
                self.hang_up.cancel();
                Err(SessionError::Silent(SEND_TIMEOUT, "a message"))
            }
        }
    }
}

/// Whom to dial and as whom.
#[derive(Debug, Clone)]
pub struct DialSettings {
    /// How the dispatcher is dialled.
    pub dialer: Dialer,
    /// The dispatcher's address.
    pub url: String,
    /// Its certificate authority, for https.
    pub ca_file: Option<PathBuf>,
    /// Its account, if it must be a certain one.
    pub server: Option<Address>,
    /// The network that the login names.
    pub network: NetworkId,
    /// The oracle's wallet.
    pub key: OracleKey,
    /// The chain that the oracle serves.
    pub chain: ChainId,
}

impl DialSettings {
    /// From a configuration and its loaded key.
    #[must_use]
    pub fn new(config: &OracleConfig, key: OracleKey) -> Self {
        Self {
            dialer: Dialer::tcp(),
            url: config.dispatcher_url.clone(),
            ca_file: config.dispatcher_ca_file.clone(),
            server: config.dispatcher_address.map(|address| address.0),
            network: config.network(),
            key,
            chain: config.chain(),
        }
    }
}

/// Keeps a session open until `stop`; what happens comes out of the receiver.
#[must_use]
pub fn keep_dialled(settings: DialSettings, stop: CancellationToken) -> mpsc::Receiver<Link> {
    let (to_oracle, links) = mpsc::channel(QUEUE_LEN);
    tokio::spawn(async move {
        let work = dial_for_ever(&settings, &to_oracle);
        stop.run_until_cancelled(work).await;
    });
    links
}

async fn dial_for_ever(settings: &DialSettings, to_oracle: &mpsc::Sender<Link>) {
    let pauses = ExponentialBuilder::default()
        .with_min_delay(REDIAL_PAUSE_MIN)
        .with_max_delay(REDIAL_PAUSE_MAX)
        .without_max_times()
        .with_jitter();
    let mut pause = pauses.build();
    while !to_oracle.is_closed() {
        let error = match Session::open(settings).await {
            Ok(session) => {
                tracing::info!(url = settings.url, "session with the dispatcher is open");
                // A login that worked ends the waiting: the next loss is a new one.
                pause = pauses.build();
                let error = session.pump(to_oracle).await;
                if to_oracle.send(Link::Down).await.is_err() {
                    return;
                }
                error
            }
            Err(error) => error,
        };
        let asked = match &error {
            SessionError::Goaway { pause, .. } => *pause,
            _ => Duration::ZERO,
        };
        let wait = pause.next().unwrap_or(REDIAL_PAUSE_MAX).max(asked.min(REDIAL_PAUSE_MAX));
        tracing::warn!(%error, ?wait, "no session with the dispatcher; dialling again");
        tokio::time::sleep(wait).await;
    }
}

/// An open, logged-in stream.
struct Session {
    up: mpsc::Sender<v1::OracleServiceSessionRequest>,
    down: Streaming<v1::OracleServiceSessionResponse>,
    heartbeat_interval: Duration,
    dead_after: Duration,
}

impl Session {
    async fn open(settings: &DialSettings) -> Result<Self, SessionError> {
        let channel = connect(settings).await?;
        let mut client = OracleServiceClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let (up, outgoing) = mpsc::channel(QUEUE_LEN);
        let mut nonce = [0u8; 32];
        getrandom::fill(&mut nonce).map_err(|error| SessionError::Login(error.to_string()))?;
        let hello = Hello {
            role: Role::Oracle,
            operator: settings.key.address(),
            client_nonce: LoginNonce::from_bytes(nonce),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        send(&up, OracleMessage::Hello(hello)).await?;
        let request = client.session(ReceiverStream::new(outgoing));
        let mut down = timeout(LOGIN_STEP_TIMEOUT, request)
            .await
            .map_err(|_| SessionError::Silent(LOGIN_STEP_TIMEOUT, "the dial"))?
            .map_err(|status| SessionError::Status(Box::new(status)))?
            .into_inner();

        let OracleOrder::Challenge(challenge) = next(&mut down, "the challenge").await? else {
            return Err(SessionError::Protocol { expected: "Challenge" });
        };
        let login = answer(settings, &challenge, LoginNonce::from_bytes(nonce))?;
        send(&up, OracleMessage::Login(login)).await?;
        let OracleOrder::Welcome(welcome) = next(&mut down, "the login").await? else {
            return Err(SessionError::Protocol { expected: "Welcome" });
        };
        let version = env!("CARGO_PKG_VERSION").to_owned();
        send(&up, OracleMessage::Register { chain: settings.chain, version }).await?;
        let OracleOrder::Registered = next(&mut down, "the registration").await? else {
            return Err(SessionError::Protocol { expected: "OracleRegistered" });
        };
        let interval_ms = welcome.heartbeat_interval.get();
        let heartbeat_ms = interval_ms.clamp(HEARTBEAT_MS.0, HEARTBEAT_MS.1);
        let dead_after_ms = welcome.dead_after.get().clamp(DEAD_AFTER_MS.0, DEAD_AFTER_MS.1);
        Ok(Self {
            up,
            down,
            heartbeat_interval: Duration::from_millis(heartbeat_ms),
            dead_after: Duration::from_millis(dead_after_ms),
        })
    }

    /// Moves messages until the session is over; answers why.
    async fn pump(mut self, to_oracle: &mpsc::Sender<Link>) -> SessionError {
        let hang_up = CancellationToken::new();
        let sender = SessionSender { up: self.up.clone(), hang_up: hang_up.clone() };
        if to_oracle.send(Link::Up(sender)).await.is_err() {
            return SessionError::Ended;
        }
        let mut heart = tokio::time::interval(self.heartbeat_interval);
        let mut sequence = 0;
        let mut heard = Instant::now();
        loop {
            tokio::select! {
                biased;
                () = hang_up.cancelled() => return SessionError::Ended,
                message = self.down.message() => {
                    heard = Instant::now();
                    let order = match message {
                        Ok(Some(response)) => OracleOrder::try_from(response),
                        Ok(None) => return SessionError::Ended,
                        Err(status) => return SessionError::Status(Box::new(status)),
                    };
                    match order {
                        Ok(OracleOrder::HeartbeatAck { .. }) => {}
                        Ok(OracleOrder::Goaway(goaway)) => return farewell(goaway),
                        Ok(OracleOrder::Refused(refused)) if refused.closing => {
                            return SessionError::Refused(refused.text);
                        }
                        Ok(order) => {
                            if to_oracle.send(Link::Order(Box::new(order))).await.is_err() {
                                return SessionError::Ended;
                            }
                        }
                        Err(error) => return SessionError::Malformed(error),
                    }
                }
                _ = heart.tick() => {
                    if heard.elapsed() > self.dead_after {
                        return SessionError::Silent(self.dead_after, "the session");
                    }
                    sequence += 1;
                    let beat = OracleMessage::Heartbeat { sequence }.into();
                    // A full queue means that the stream is stuck; silence will end it.
                    if let Err(mpsc::error::TrySendError::Closed(_)) = self.up.try_send(beat) {
                        return SessionError::Ended;
                    }
                }
            }
        }
    }
}

async fn send(
    up: &mpsc::Sender<v1::OracleServiceSessionRequest>,
    message: OracleMessage,
) -> Result<(), SessionError> {
    up.send(message.into()).await.map_err(|_| SessionError::Ended)
}

fn farewell(goaway: v1::Goaway) -> SessionError {
    let pause = Duration::from_millis(goaway.reconnect_after_ms);
    SessionError::Goaway { text: goaway.text, pause }
}

async fn connect(settings: &DialSettings) -> Result<Channel, SessionError> {
    let address = |why: String| SessionError::Address { url: settings.url.clone(), why };
    let mut endpoint = Channel::from_shared(settings.url.clone())
        .map_err(|error| address(error.to_string()))?
        .connect_timeout(LOGIN_STEP_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_while_idle(true);
    if settings.url.starts_with("https://") {
        let ca_file = settings.ca_file.as_ref().ok_or_else(|| {
            address("https needs `dispatcher_ca_file`, the authority of its certificate".into())
        })?;
        let pem = tokio::fs::read(ca_file)
            .await
            .map_err(|error| address(format!("cannot read {}: {error}", ca_file.display())))?;
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem));
        endpoint = endpoint.tls_config(tls).map_err(|error| address(error.to_string()))?;
    }
    settings.dialer.connect(&endpoint).await.map_err(|error| {
        let mut deepest: &dyn std::error::Error = &error;
        while let Some(source) = deepest.source() {
            deepest = source;
        }
        SessionError::Unreachable(deepest.to_string())
    })
}

async fn next(
    down: &mut Streaming<v1::OracleServiceSessionResponse>,
    what: &'static str,
) -> Result<OracleOrder, SessionError> {
    let message = timeout(LOGIN_STEP_TIMEOUT, down.message())
        .await
        .map_err(|_| SessionError::Silent(LOGIN_STEP_TIMEOUT, what))?
        .map_err(|status| SessionError::Status(Box::new(status)))?
        .ok_or(SessionError::Ended)?;
    match OracleOrder::try_from(message)? {
        OracleOrder::Refused(refused) => Err(SessionError::Refused(refused.text)),
        OracleOrder::Goaway(goaway) => Err(farewell(goaway)),
        order => Ok(order),
    }
}

/// Checks who asks and signs the login.
fn answer(
    settings: &DialSettings,
    challenge: &Challenge,
    client_nonce: LoginNonce,
) -> Result<LoginProof, SessionError> {
    let server = challenge.server;
    if settings.server.is_some_and(|expected| expected != server) {
        return Err(SessionError::Stranger(format!("its account is {server}")));
    }
    if challenge.network != settings.network {
        let NetworkId { home_chain, epoch_table } = challenge.network;
        let got = format!("it serves EpochTable {epoch_table} on chain {home_chain}");
        return Err(SessionError::Stranger(got));
    }
    let login = challenge.login(Role::Oracle, settings.key.address(), client_nonce);
    let secret = Zeroizing::new(settings.key.secret_bytes());
    let wallet =
        WalletKey::from_bytes(&secret).map_err(|error| SessionError::Login(error.to_string()))?;
    let message = WalletMessage::Login { network: settings.network, login };
    Ok(LoginProof::Wallet(wallet.sign(&message)))
}
