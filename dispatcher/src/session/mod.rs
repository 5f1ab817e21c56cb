//! Sessions: one bidirectional stream per peer, opened by the peer.
//!
//! The handshake, heartbeats, budgets and the end of a session are the same for every role and live
//! here; what a role's messages mean is in the module of the role. A session refuses to go on after
//! a message that no correct peer sends too often, after silence, and when a newer one replaces it.

pub mod directory;
mod handshake;
mod oracle;
mod prover;
mod verifier;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use proofgrid_core::ids::{Address, Role, SessionId};
use proofgrid_core::network::{Consequence, Refusal};
use proofgrid_proto::convert::{Challenge, ConvertError, Hello, LoginProof, Welcome};
use proofgrid_proto::v1;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use crate::error::EdgeError;
use crate::grpc::status::{After, classify, refused};
use crate::limits::{BAD_MESSAGES_MAX, LOGIN_TIME_MAX, OUTBOUND_MAX, RECONNECT_AFTER};
use crate::shared::Shared;

use directory::{Entrant, Membership, Outbound};

pub use oracle::{OracleGate, OracleProtocol};
pub use prover::{ProverGate, ProverProtocol};
pub use verifier::{VerifierGate, VerifierProtocol};

/// The words of one role's stream.
pub trait Protocol: Send + Sync + 'static {
    /// The role.
    const ROLE: Role;
    /// Message of the peer on the wire.
    type WireUp: Send + 'static;
    /// Message to the peer on the wire.
    type WireDown: From<Self::Order> + Send + 'static;
    /// Message of the peer, converted.
    type Message: TryFrom<Self::WireUp, Error = ConvertError> + Send;
    /// Message to the peer.
    type Order: Send + 'static;

    /// The peer's first message, if it is one.
    fn hello(message: Self::Message) -> Option<Hello>;
    /// The peer's second message, if it is one.
    fn login(message: Self::Message) -> Option<LoginProof>;
    /// Asks the peer to log in.
    fn challenge(challenge: Challenge) -> Self::Order;
    /// Opens the session.
    fn welcome(welcome: Welcome) -> Self::Order;
    /// Refuses a message.
    fn refused(refused: v1::Refused) -> Self::Order;
    /// Ends the session.
    fn goaway(goaway: v1::Goaway) -> Self::Order;
    /// Answers a heartbeat.
    fn heartbeat_ack(sequence: u64) -> Self::Order;
    /// The sending half, for the directory.
    fn outbound(sender: mpsc::Sender<Result<Self::Order, Status>>) -> Outbound;
}

/// What a message meant for the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Nothing to say.
    Quiet,
    /// Answer this heartbeat.
    Heartbeat(u64),
}

/// What a role does with its messages.
pub trait Handler<P: Protocol>: Send + 'static {
    /// Called once, when the session is open.
    fn opened(&mut self, open: &Open<P>) -> impl Future<Output = Result<(), EdgeError>> + Send;
    /// Called for every message after the login.
    fn message(
        &mut self,
        open: &Open<P>,
        message: P::Message,
    ) -> impl Future<Output = Result<Flow, EdgeError>> + Send;
    /// Called once, when the session is over, however it ended.
    fn closed(&mut self, open: &Open<P>) -> impl Future<Output = ()> + Send;
}

/// An open session.
#[derive(Debug)]
pub struct Open<P: Protocol> {
    /// Everything that sessions share.
    pub shared: Arc<Shared>,
    /// Who it is.
    pub address: Address,
    /// Its place in the directory.
    pub membership: Membership,
    /// To the peer.
    pub sender: mpsc::Sender<Result<P::Order, Status>>,
    close: CancellationToken,
}

impl<P: Protocol> Open<P> {
    /// The session's number.
    #[must_use]
    pub const fn session(&self) -> SessionId {
        self.membership.session()
    }

    /// Ends the session soon.
    pub fn close(&self) {
        self.close.cancel();
    }
}

/// The stream of answers of one session.
pub type Answers<P> = std::pin::Pin<
    Box<dyn futures::Stream<Item = Result<<P as Protocol>::WireDown, Status>> + Send>,
>;

/// Starts a session's task and returns its stream.
pub fn start<P: Protocol, H: Handler<P>>(
    shared: &Arc<Shared>,
    request: Request<Streaming<P::WireUp>>,
    handler: H,
) -> Response<Answers<P>> {
    let remote = request.remote_addr().map_or_else(String::new, |remote| remote.to_string());
    let (sender, receiver) = mpsc::channel(OUTBOUND_MAX);
    let session =
        Session::<P> { shared: Arc::clone(shared), inbound: request.into_inner(), sender, remote };
    shared.tracker.spawn(session.run(handler));
    let answers = ReceiverStream::new(receiver).map(|order| order.map(P::WireDown::from));
    Response::new(Box::pin(answers))
}

struct Session<P: Protocol> {
    shared: Arc<Shared>,
    inbound: Streaming<P::WireUp>,
    sender: mpsc::Sender<Result<P::Order, Status>>,
    remote: String,
}

/// Why a session ended, where the peer is to be told.
enum End {
    /// The peer went away, or was disconnected without a word.
    Gone,
    /// The peer is told why.
    Told(EdgeError),
}

impl<P: Protocol> Session<P> {
    async fn run<H: Handler<P>>(mut self, mut handler: H) {
        let login = tokio::time::timeout(LOGIN_TIME_MAX, self.log_in()).await;
        let opened = login.unwrap_or(Err(EdgeError::TimedOut("the login")));
        let (open, welcome) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                tracing::info!(role = %P::ROLE, remote = %self.remote, %error, "refused a login");
                // The peer may be gone already.
                let _ = self.sender.send(Err(error.into())).await;
                return;
            }
        };
        let (session, address) = (open.session(), open.address);
        tracing::info!(role = %P::ROLE, %session, %address, remote = %self.remote, "session open");
        if self.sender.send(Ok(P::welcome(welcome))).await.is_err() {
            return;
        }
        let end = match handler.opened(&open).await {
            Ok(()) => self.talk(&open, &mut handler).await,
            Err(error) => End::Told(error),
        };
        handler.closed(&open).await;
        tracing::info!(role = %P::ROLE, %session, %address, "session over");
        if let End::Told(error) = end {
            self.say_goodbye(error).await;
        }
    }

    /// A peer that does not read is not waited for.
    async fn say_goodbye(&self, error: EdgeError) {
        let goodbye = async {
            if error == EdgeError::ShuttingDown {
                let (_, reason) = classify(&error);
                let pause = u64::try_from(RECONNECT_AFTER.as_millis()).unwrap_or(u64::MAX);
                let goaway = v1::Goaway {
                    reason: reason.into(),
                    text: error.to_string(),
                    reconnect_after_ms: pause,
                };
                let _ = self.sender.send(Ok(P::goaway(goaway))).await;
            } else {
                let _ = self.sender.send(Err(error.into())).await;
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(1), goodbye).await;
    }

    async fn talk<H: Handler<P>>(&mut self, open: &Open<P>, handler: &mut H) -> End {
        let silence_max = Duration::from_millis(self.shared.config.dead_after_ms);
        let mut bad_messages = 0;
        loop {
            let received = tokio::select! {
                biased;
                () = self.shared.shutdown.cancelled() => return End::Told(EdgeError::ShuttingDown),
                () = open.close.cancelled() => return End::Gone,
                received = tokio::time::timeout(silence_max, self.inbound.message()) => received,
            };
            let wire = match received {
                Err(_silent) => return End::Told(EdgeError::TimedOut("the next heartbeat")),
                Ok(Err(_) | Ok(None)) => return End::Gone,
                Ok(Ok(Some(wire))) => wire,
            };
            open.membership.touch();
            let handled = match P::Message::try_from(wire) {
                Ok(message) => handler.message(open, message).await,
                Err(error) => Err(EdgeError::Malformed(error)),
            };
            let answer = match handled {
                Ok(Flow::Quiet) => continue,
                Ok(Flow::Heartbeat(sequence)) => P::heartbeat_ack(sequence),
                Err(error) => {
                    bad_messages += u32::from(is_fault(&error));
                    if bad_messages > BAD_MESSAGES_MAX {
                        return End::Told(error);
                    }
                    P::refused(refused(&error, After::GoOn))
                }
            };
            if self.sender.try_send(Ok(answer)).is_err() {
                return End::Gone;
            }
        }
    }
}

/// Whether a refusal says something about the peer, rather than about bad luck or timing.
fn is_fault(error: &EdgeError) -> bool {
    match error {
        EdgeError::Malformed(_) | EdgeError::Protocol(_) => true,
        EdgeError::Refused(refusal) => consequence_is_fault(refusal),
        _ => false,
    }
}

fn consequence_is_fault(refusal: &Refusal) -> bool {
    matches!(refusal.consequence(), Consequence::Penalize)
}
