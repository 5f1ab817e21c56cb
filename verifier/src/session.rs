//! One session with the dispatcher: login, then offers in, votes out.
//!
//! Nothing in here decides about a verdict. A dispatcher can slow this verifier down or leave it
//! out; it cannot make it sign. Work is bound to the session: when it ends, unfinished judging is
//! dropped (its children die with it), and the dispatcher offers open statements again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use proofgrid_core::crypto::secp::WalletSignature;
use proofgrid_core::ids::{Address, BlobDigest, LoginNonce, Role, SessionId, StatementDigest};
use proofgrid_core::sealed::CommitSet;
use proofgrid_core::units::ByteCount;
use proofgrid_proto::MESSAGE_BYTES_MAX;
use proofgrid_proto::convert::{
    Challenge, Hello, LoginProof, VerifierMessage, VerifierOrder, Welcome,
};
use proofgrid_proto::v1::verifier_service_client::VerifierServiceClient;
use proofgrid_proto::v1::{VerifierServiceSessionRequest, VerifierServiceSessionResponse};
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;
use tonic::transport::Channel;

use crate::config::VerifierConfig;
use crate::fetch::SessionSource;
use crate::give::Giver;
use crate::limits::{LOGIN_TIME_MAX, OUTGOING_MESSAGES_MAX, RUNNING_OFFERS_MAX, shorten};
use crate::offer::Desk;
use crate::status::OpenStatement;
use crate::vote_log::VoteLogError;

/// What all sessions of one verifier share.
pub(crate) struct Shared {
    pub(crate) config: VerifierConfig,
    pub(crate) desk: Desk,
}

/// Why there is no session (any more); all but the last are followed by another dial.
#[derive(Debug, Error)]
pub(crate) enum SessionError {
    #[error("cannot reach the dispatcher: {0}")]
    Connect(String),
    #[error("the dispatcher did not complete the login within {LOGIN_TIME_MAX:?}")]
    LoginTime,
    #[error("the dispatcher refuses: {0}")]
    Refused(String),
    #[error("the login went wrong: {0}")]
    Login(String),
    #[error("the dispatcher was silent for {0:?}")]
    Silent(Duration),
    #[error("the dispatcher closed the session")]
    Closed,
    #[error("the dispatcher says goodbye: {text}")]
    Goaway { text: String, pause: Duration },
    #[error(transparent)]
    VoteLog(#[from] VoteLogError),
}

type Outgoing = mpsc::Sender<VerifierServiceSessionRequest>;
type Incoming = Streaming<VerifierServiceSessionResponse>;

/// An open session.
struct Session {
    shared: Arc<Shared>,
    source: SessionSource,
    giver: Giver,
    outgoing: Outgoing,
    incoming: Incoming,
    /// Who the login named as the server; it signs commit sets.
    server: Address,
    welcome: Welcome,
    work: JoinSet<Result<Option<StatementDigest>, VoteLogError>>,
    /// Statements that are worked on; the dispatcher may withdraw them.
    statements: HashMap<StatementDigest, AbortHandle>,
    _heartbeat: Heartbeat,
}

/// Dials, logs in and serves until the session ends. `Ok` means that the verifier shuts down.
/// `opened` is called when the login is through.
pub(crate) async fn run(
    shared: &Arc<Shared>,
    shutdown: &CancellationToken,
    opened: impl FnOnce(SessionId),
) -> Result<(), SessionError> {
    let open = tokio::time::timeout(LOGIN_TIME_MAX, Session::open(shared));
    let session = tokio::select! {
        biased;
        () = shutdown.cancelled() => return Ok(()),
        session = open => session.map_err(|_elapsed| SessionError::LoginTime)??,
    };
    opened(session.welcome.session);
    session.serve(shutdown).await
}

impl Session {
    async fn open(shared: &Arc<Shared>) -> Result<Self, SessionError> {
        let config = &shared.config;
        let channel = config
            .dialer
            .connect(&config.dispatcher)
            .await
            .map_err(|error| SessionError::Connect(error_chain(&error)))?;
        let (outgoing, receiver) = mpsc::channel(OUTGOING_MESSAGES_MAX);
        let client_nonce = draw_nonce()?;
        let hello = Hello {
            role: Role::Verifier,
            operator: config.operator,
            client_nonce,
            version: config.version.clone(),
        };
        send(&outgoing, VerifierMessage::Hello(hello)).await?;
        let mut client = VerifierServiceClient::new(channel.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let answer = client
            .session(ReceiverStream::new(receiver))
            .await
            .map_err(|status| SessionError::Refused(status.to_string()))?;
        let mut incoming = answer.into_inner();
        let VerifierOrder::Challenge(challenge) = receive(&mut incoming).await? else {
            return Err(SessionError::Login("the first message is no challenge".to_owned()));
        };
        let proof = answer_challenge(shared, &challenge, client_nonce)?;
        send(&outgoing, VerifierMessage::Login(proof)).await?;
        let VerifierOrder::Welcome(welcome) = receive(&mut incoming).await? else {
            return Err(SessionError::Login("the second message is no welcome".to_owned()));
        };
        let programs = shared.desk.evaluator.registry.iter();
        let manifests = programs.map(|program| program.manifest().digest()).collect();
        let version = config.version.clone();
        send(&outgoing, VerifierMessage::Register { manifests, version }).await?;
        let streams = (outgoing, incoming);
        Self::new(shared, channel, streams, challenge.server, welcome)
    }

    fn new(
        shared: &Arc<Shared>,
        channel: Channel,
        (outgoing, incoming): (Outgoing, Incoming),
        server: Address,
        welcome: Welcome,
    ) -> Result<Self, SessionError> {
        let interval = welcome.heartbeat_interval.into();
        let heartbeat = Heartbeat::start(&shared.config, outgoing.clone(), interval)?;
        let (config, store) = (&shared.config, &shared.desk.archive.store);
        let giver = Giver::new(store.clone(), channel.clone(), welcome.token);
        let status = shared.desk.status.clone();
        let source = SessionSource::new(config, store.clone(), channel, welcome.token, status);
        Ok(Self {
            shared: Arc::clone(shared),
            source,
            giver,
            outgoing,
            incoming,
            server,
            welcome,
            work: JoinSet::new(),
            statements: HashMap::new(),
            _heartbeat: heartbeat,
        })
    }

    async fn serve(mut self, shutdown: &CancellationToken) -> Result<(), SessionError> {
        let patience = Duration::from(self.welcome.dead_after).max(Duration::from_secs(1));
        let mut silence = Silence { heard: Instant::now(), patience };
        loop {
            let may_read = self.work.len() < RUNNING_OFFERS_MAX;
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                Some(done) = self.work.join_next() => {
                    silence.worked(Instant::now(), may_read);
                    self.finished(done)?;
                }
                message = self.incoming.message(), if may_read => {
                    silence.heard = Instant::now();
                    let message = message.map_err(|status| {
                        SessionError::Refused(status.to_string())
                    })?;
                    self.take(message.ok_or(SessionError::Closed)?)?;
                }
                () = tokio::time::sleep_until(silence.ends()), if may_read => {
                    return Err(SessionError::Silent(patience));
                }
            }
        }
    }

    fn finished(
        &mut self,
        done: Result<Result<Option<StatementDigest>, VoteLogError>, tokio::task::JoinError>,
    ) -> Result<(), SessionError> {
        match done {
            Ok(Ok(Some(statement))) => {
                self.statements.remove(&statement);
            }
            Ok(Ok(None)) => {}
            Ok(Err(error)) => return Err(error.into()),
            Err(error) if error.is_cancelled() => {}
            Err(error) => tracing::error!(target: "verifier", %error, "work on an offer panicked"),
        }
        Ok(())
    }

    /// Acts on one message. One that makes no sense is counted and ignored: the others may be fine.
    fn take(&mut self, message: VerifierServiceSessionResponse) -> Result<(), SessionError> {
        let order = match VerifierOrder::try_from(message) {
            Ok(order) => order,
            Err(error) => {
                tracing::warn!(target: "verifier", %error, "ignored a message of the dispatcher");
                self.shared.desk.status.send_modify(|status| {
                    status.bad_messages += 1;
                    status.last_error = Some(error.to_string());
                });
                return Ok(());
            }
        };
        match order {
            VerifierOrder::Segment(offer) => {
                let (shared, source) = (Arc::clone(&self.shared), self.source.clone());
                self.work.spawn(async move {
                    shared.desk.segment(&offer, &source).await;
                    Ok(None)
                });
            }
            VerifierOrder::Statement(offer) => self.start_statement(offer),
            VerifierOrder::Attest { target, epoch, table, batch } => {
                let (shared, outgoing) = (Arc::clone(&self.shared), self.outgoing.clone());
                self.work.spawn(async move {
                    let answer = shared.desk.attest(target, epoch, table, &batch).await;
                    // A session that ended takes no answer; the batch is asked for again.
                    let _ = outgoing.send(answer.into()).await;
                    Ok(None)
                });
            }
            VerifierOrder::BlobWanted { digest, length } => self.give_back(digest, length),
            VerifierOrder::Withdrawn { statement, text } => {
                if let Some(work) = self.statements.remove(&statement) {
                    tracing::info!(target: "verifier", %statement, why = text, "withdrawn");
                    work.abort();
                }
            }
            VerifierOrder::Refused(refused) if refused.closing => {
                return Err(SessionError::Refused(refused.text));
            }
            VerifierOrder::Refused(refused) => {
                tracing::warn!(
                    target: "verifier", why = refused.text, reason = ?refused.reason(),
                    "the dispatcher refused a message"
                );
            }
            VerifierOrder::Goaway(goaway) => {
                let pause = Duration::from_millis(goaway.reconnect_after_ms);
                return Err(SessionError::Goaway { text: goaway.text, pause });
            }
            VerifierOrder::Reveal { set, signature } => self.start_reveal(set, signature),
            VerifierOrder::CommitRecorded(statement) => {
                tracing::debug!(target: "verifier", %statement, "the commitment is recorded");
            }
            VerifierOrder::VoteRecorded(statement) => {
                tracing::debug!(target: "verifier", %statement, "the vote is recorded");
            }
            VerifierOrder::AttestationRecorded(root) => {
                tracing::debug!(target: "verifier", %root, "the attestation is recorded");
            }
            VerifierOrder::HeartbeatAck { .. } => {}
            VerifierOrder::Challenge(_) | VerifierOrder::Welcome(_) => {
                return Err(SessionError::Login("a second login on one session".to_owned()));
            }
        }
        Ok(())
    }

    fn give_back(&mut self, digest: BlobDigest, length: ByteCount) {
        let (giver, outgoing) = (self.giver.clone(), self.outgoing.clone());
        self.work.spawn(async move {
            if let Err(error) = giver.give(digest, length).await {
                tracing::info!(target: "verifier", %digest, %error, "a blob is not given back");
                let text = shorten(&error.to_string());
                // A session that ended takes no answer; the dispatcher asks somebody else.
                let _ =
                    outgoing.send(VerifierMessage::BlobUnavailable { digest, text }.into()).await;
            }
            Ok(None)
        });
    }

    fn start_reveal(&mut self, set: CommitSet, signature: WalletSignature) {
        let (shared, outgoing) = (Arc::clone(&self.shared), self.outgoing.clone());
        let server = self.server;
        self.work.spawn(async move {
            if let Some(answer) = shared.desk.reveal(set, signature, server).await? {
                // A session that ended takes no answer; the set is sent again.
                let _ = outgoing.send(answer.into()).await;
            }
            Ok(None)
        });
    }

    fn start_statement(&mut self, offer: Box<proofgrid_proto::convert::StatementOffer>) {
        let (shared, source) = (Arc::clone(&self.shared), self.source.clone());
        let (outgoing, statement) = (self.outgoing.clone(), offer.digest);
        let open = OpenStatement::new(self.shared.desk.status.clone());
        let work = self.work.spawn(async move {
            let _open = open;
            let answer = shared.desk.statement(&offer, &source).await?;
            // A session that ended takes no answer; the statement is offered again.
            let _ = outgoing.send(answer.into()).await;
            Ok(Some(statement))
        });
        self.statements.insert(statement, work);
    }
}

/// How long the dispatcher has been silent.
#[derive(Clone, Copy, Debug)]
struct Silence {
    heard: Instant,
    patience: Duration,
}

impl Silence {
    /// Notes that work was done. While too much of it ran nothing was read, so that the dispatcher
    /// could not be heard: its silence begins only now.
    fn worked(&mut self, now: Instant, could_read: bool) {
        if !could_read {
            self.heard = now;
        }
    }

    fn ends(&self) -> Instant {
        self.heard + self.patience
    }
}

/// An error with what caused it: tonic's own text stops at `transport error`.
fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn draw_nonce() -> Result<LoginNonce, SessionError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| SessionError::Login(error.to_string()))?;
    Ok(LoginNonce::from_bytes(bytes))
}

fn answer_challenge(
    shared: &Shared,
    challenge: &Challenge,
    client_nonce: LoginNonce,
) -> Result<LoginProof, SessionError> {
    let config = &shared.config;
    if challenge.network != config.network {
        let text = format!("the dispatcher serves {:?}, not this network", challenge.network);
        return Err(SessionError::Login(text));
    }
    if config.server.is_some_and(|server| server != challenge.server) {
        let text = format!("the dispatcher is {}, another one is expected", challenge.server);
        return Err(SessionError::Login(text));
    }
    let login = challenge.login(Role::Verifier, config.operator, client_nonce);
    Ok(LoginProof::Bls(shared.desk.signer.login(login)))
}

async fn send(outgoing: &Outgoing, message: VerifierMessage) -> Result<(), SessionError> {
    outgoing.send(message.into()).await.map_err(|_closed| SessionError::Closed)
}

/// The next message of the handshake.
async fn receive(incoming: &mut Incoming) -> Result<VerifierOrder, SessionError> {
    let message = incoming
        .message()
        .await
        .map_err(|status| SessionError::Refused(status.to_string()))?
        .ok_or(SessionError::Closed)?;
    match VerifierOrder::try_from(message) {
        Ok(VerifierOrder::Refused(refused)) => Err(SessionError::Refused(refused.text)),
        Ok(VerifierOrder::Goaway(goaway)) => Err(SessionError::Goaway {
            text: goaway.text,
            pause: Duration::from_millis(goaway.reconnect_after_ms),
        }),
        Ok(order) => Ok(order),
        Err(error) => Err(SessionError::Login(error.to_string())),
    }
}

/// Signs of life until it is dropped.
enum Heartbeat {
    /// From a thread of their own, so that a busy runtime is not taken for a dead one.
    Thread(#[expect(dead_code, reason = "dropped to stop the thread")] std::sync::mpsc::Sender<()>),
    /// From the runtime and its clock.
    Task(AbortHandle),
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        if let Self::Task(task) = self {
            task.abort();
        }
    }
}

/// Sends one; `false` when the session is over.
fn beat(outgoing: &Outgoing, sequence: &mut u64) -> bool {
    *sequence += 1;
    let message = VerifierMessage::Heartbeat { sequence: *sequence };
    // A full queue means that the dispatcher reads nothing; a beat would not help.
    !matches!(outgoing.try_send(message.into()), Err(mpsc::error::TrySendError::Closed(_)))
}

impl Heartbeat {
    fn start(
        config: &VerifierConfig,
        outgoing: Outgoing,
        interval: Duration,
    ) -> Result<Self, SessionError> {
        let mut sequence = 0;
        if !config.heartbeat_thread {
            let beats = async move {
                loop {
                    tokio::time::sleep(interval).await;
                    if !beat(&outgoing, &mut sequence) {
                        return;
                    }
                }
            };
            return Ok(Self::Task(tokio::spawn(beats).abort_handle()));
        }
        let (stop, stopped) = std::sync::mpsc::channel();
        let beats = move || {
            let goes_on = Err(std::sync::mpsc::RecvTimeoutError::Timeout);
            while stopped.recv_timeout(interval) == goes_on && beat(&outgoing, &mut sequence) {}
        };
        std::thread::Builder::new()
            .name("verifier-heartbeat".to_owned())
            .spawn(beats)
            .map_err(|error| SessionError::Connect(format!("no heartbeat thread: {error}")))?;
        Ok(Self::Thread(stop))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_verifier_does_not_take_the_dispatcher_for_dead() {
        let (start, patience) = (Instant::now(), Duration::from_secs(30));
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut silence = Silence { heard: start, patience };
        silence.worked(after(100), false);
        assert_eq!(silence.ends(), after(130), "nothing was read until then");
        silence.worked(after(110), true);
        assert_eq!(silence.ends(), after(130), "work is no sign of life of the dispatcher");
    }
}
