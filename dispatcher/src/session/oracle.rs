//! What an oracle's messages mean. An event is acknowledged after the journal's flush, never before:
//! the oracle moves its cursor on the acknowledgement.

use proofgrid_core::ids::{ChainId, Role};
use proofgrid_core::network::{Answer, Consequence, Input, Provenance, Refusal};
use proofgrid_proto::convert::{
    ChainNews, Challenge, Hello, LoginProof, OracleMessage, OracleOrder, ReportedEvent, Welcome,
};
use proofgrid_proto::v1;
use tokio::sync::mpsc;
use tonic::Status;

use super::directory::Outbound;
use super::{Flow, Handler, Open, Protocol};
use crate::error::EdgeError;
use crate::grpc::status::{After, refused};

/// The oracle's stream.
#[derive(Debug)]
pub struct OracleProtocol;

impl Protocol for OracleProtocol {
    const ROLE: Role = Role::Oracle;
    type WireUp = v1::OracleServiceSessionRequest;
    type WireDown = v1::OracleServiceSessionResponse;
    type Message = OracleMessage;
    type Order = OracleOrder;

    fn hello(message: OracleMessage) -> Option<Hello> {
        if let OracleMessage::Hello(hello) = message { Some(hello) } else { None }
    }

    fn login(message: OracleMessage) -> Option<LoginProof> {
        if let OracleMessage::Login(proof) = message { Some(proof) } else { None }
    }

    fn challenge(challenge: Challenge) -> OracleOrder {
        OracleOrder::Challenge(challenge)
    }

    fn welcome(welcome: Welcome) -> OracleOrder {
        OracleOrder::Welcome(welcome)
    }

    fn refused(refused: v1::Refused) -> OracleOrder {
        OracleOrder::Refused(refused)
    }

    fn goaway(goaway: v1::Goaway) -> OracleOrder {
        OracleOrder::Goaway(goaway)
    }

    fn heartbeat_ack(sequence: u64) -> OracleOrder {
        OracleOrder::HeartbeatAck { sequence }
    }

    fn outbound(sender: mpsc::Sender<Result<OracleOrder, Status>>) -> Outbound {
        Outbound::Oracle(sender)
    }
}

/// Handles one oracle's messages.
#[derive(Debug, Default)]
pub struct OracleGate {
    chain: Option<ChainId>,
}

type Link = Open<OracleProtocol>;

fn ack(event_id: u64, refusal: Option<&EdgeError>) -> OracleOrder {
    let refused = refusal.map(|error| refused(error, After::GoOn));
    OracleOrder::Ack { event_id, refused }
}

/// Acknowledges an event once it is durable. A refusal for good is acknowledged too, with its
/// reason, so that one bad event cannot block a chain; what may succeed later is only refused, and
/// the oracle sends it again.
fn acknowledge(link: &Link, event_id: u64) -> crate::actor::Reply {
    let sender = link.sender.clone();
    Box::new(move |answer: Result<Answer, Refusal>| {
        let order = match answer {
            Ok(_) => ack(event_id, None),
            Err(refusal) => {
                let is_temporary =
                    matches!(refusal, Refusal::QueueFull { .. } | Refusal::RequesterFull { .. })
                        || refusal.consequence() == Consequence::Halt;
                let error = EdgeError::Refused(refusal);
                if is_temporary {
                    OracleOrder::Refused(refused(&error, After::GoOn))
                } else {
                    ack(event_id, Some(&error))
                }
            }
        };
        // A full queue means a peer that does not read; its session ends by other means.
        let _ = sender.try_send(Ok(order));
    })
}

impl OracleGate {
    async fn register(
        &mut self,
        link: &Link,
        chain: ChainId,
        version: &str,
    ) -> Result<(), EdgeError> {
        let oracle = link.address;
        if !link.shared.config.chains_of_oracle(oracle).any(|allowed| allowed == chain) {
            let text = format!("{oracle} may not speak for chain {chain}");
            return Err(EdgeError::NotAllowed(text));
        }
        if self.chain.is_some_and(|registered| registered != chain) {
            return Err(EdgeError::Protocol("a session serves one chain"));
        }
        tracing::info!(%oracle, %chain, %version, "oracle registered");
        link.shared.directory.set_chain(link.session(), chain);
        let sender = link.sender.clone();
        let registered: crate::actor::Reply = Box::new(move |_answer| {
            // A full queue means a peer that does not read; its session ends by other means.
            let _ = sender.try_send(Ok(OracleOrder::Registered));
        });
        let input = Input::OracleConnected { chain, session: link.session() };
        link.shared.actor.hand_over(input, registered).await?;
        self.chain = Some(chain);
        Ok(())
    }

    async fn event(&self, link: &Link, event: ReportedEvent) -> Result<(), EdgeError> {
        let chain = self.chain.ok_or(EdgeError::Protocol("RegisterOracle comes first"))?;
        let event_id = event.event_id;
        // An epoch costs two pairings per member, so reading it leaves the runtime.
        let news = match link.shared.on_worker(move || Ok(event.read(chain)?)).await {
            Ok(news) => news,
            Err(error) => {
                tracing::warn!(%chain, event_id, %error, "an oracle's event was refused");
                let _ = link.sender.try_send(Ok(ack(event_id, Some(&error))));
                return Ok(());
            }
        };
        let is_home = chain == link.shared.network.home_chain;
        let input = match news {
            ChainNews::Epoch { event, keys } => {
                let table = link.shared.network.epoch_table;
                if !is_home || event.contract.contract != table {
                    let text = "epochs come from the EpochTable of the home chain".to_owned();
                    let error = EdgeError::NotAllowed(text);
                    let _ = link.sender.try_send(Ok(ack(event_id, Some(&error))));
                    return Ok(());
                }
                Input::EpochFinal { keys: *keys }
            }
            ChainNews::JobCreated { event, spec } => {
                Input::SubmitJob { spec: *spec, provenance: Provenance::Chain(event) }
            }
            ChainNews::JobExpired { event, job } => Input::JobExpired { job, provenance: event },
            ChainNews::Head { final_block, latest_block, .. } => {
                tracing::trace!(%chain, %final_block, %latest_block, "head");
                let _ = link.sender.try_send(Ok(ack(event_id, None)));
                return Ok(());
            }
            ChainNews::Submission { subject, update } => {
                Input::SubmissionUpdate { chain, subject, update }
            }
        };
        link.shared.actor.hand_over(input, acknowledge(link, event_id)).await
    }
}

impl Handler<OracleProtocol> for OracleGate {
    async fn opened(&mut self, _link: &Link) -> Result<(), EdgeError> {
        Ok(())
    }

    async fn message(&mut self, link: &Link, message: OracleMessage) -> Result<Flow, EdgeError> {
        match message {
            OracleMessage::Hello(_) | OracleMessage::Login(_) => {
                return Err(EdgeError::Protocol("the session is open already"));
            }
            OracleMessage::Register { chain, version } => {
                self.register(link, chain, &version).await?;
            }
            OracleMessage::Heartbeat { sequence } => return Ok(Flow::Heartbeat(sequence)),
            OracleMessage::Event(event) => self.event(link, event).await?,
        }
        Ok(Flow::Quiet)
    }

    async fn closed(&mut self, link: &Link) {
        if let Some(chain) = self.chain {
            let session = link.session();
            link.shared.actor.deliver(Input::OracleDisconnected { chain, session }).await;
        }
    }
}
