//! What an oracle's messages mean. An event is acknowledged after the journal's flush, never before:
//! the oracle moves its cursor on the acknowledgement.

use proofgrid_core::ids::{ChainId, Role};
use proofgrid_core::network::{Answer, Input, Provenance, Refusal};
use proofgrid_proto::convert::{
    ChainNews, Challenge, Hello, LoginProof, OracleMessage, OracleOrder, RaceNews, ReportedEvent,
    Welcome,
};
use proofgrid_proto::v1;
use tokio::sync::mpsc;
use tonic::{Code, Status};

use super::directory::Outbound;
use super::{Flow, Handler, Open, Protocol};
use crate::actor::View;
use crate::error::EdgeError;
use crate::grpc::status::{After, classify, is_retryable, refused};

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

/// Tells the oracle that an event was not taken. A refusal for good is acknowledged, with its
/// reason, so that one bad event cannot block a chain. What may succeed later is only refused, and
/// the oracle sends it again; so is what failed by a fault of this process, which must not be
/// forgotten as if it were stored.
fn refuse(event_id: u64, error: &EdgeError) -> OracleOrder {
    let (code, _) = classify(error);
    if is_retryable(code) || code == Code::Internal {
        OracleOrder::Refused(refused(error, After::GoOn))
    } else {
        ack(event_id, Some(error))
    }
}

/// Acknowledges an event once it is durable, or refuses it.
fn acknowledge(link: &Link, event_id: u64) -> crate::actor::Reply {
    let sender = link.sender.clone();
    Box::new(move |answer: Result<Answer, Refusal>, _: &View<'_>| {
        let order = match answer {
            Ok(_) => ack(event_id, None),
            Err(refusal) => refuse(event_id, &EdgeError::Refused(refusal)),
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
        let accepted = link.shared.bonds.as_ref().map(|bonds| bonds.of_chain(chain));
        let registered: crate::actor::Reply = Box::new(move |_answer, _| {
            // A full queue means a peer that does not read; its session ends by other means.
            let _ = sender.try_send(Ok(OracleOrder::Registered));
            for order in accepted.into_iter().flatten() {
                let _ = sender.try_send(Ok(OracleOrder::PostAcceptance(Box::new(order))));
            }
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
                let _ = link.sender.try_send(Ok(refuse(event_id, &error)));
                return Ok(());
            }
        };
        let epoch_table = link.shared.network.as_contract();
        let input = match news {
            ChainNews::Epoch { event, .. } | ChainNews::MembersExcluded { event, .. }
                if event.contract != epoch_table =>
            {
                let text = "epochs come from the EpochTable of the home chain".to_owned();
                let error = EdgeError::NotAllowed(text);
                let _ = link.sender.try_send(Ok(refuse(event_id, &error)));
                return Ok(());
            }
            ChainNews::Epoch { keys, .. } => Input::EpochFinal { keys: *keys },
            ChainNews::MembersExcluded { epoch, members, .. } => {
                Input::MembersExcluded { epoch, members }
            }
            ChainNews::JobCreated { event, spec } => {
                Input::SubmitJob { spec: *spec, provenance: Provenance::Chain(event) }
            }
            ChainNews::JobExpired { event, job } => Input::JobExpired { job, provenance: event },
            ChainNews::Head { final_block, final_time, latest_block, .. } => {
                tracing::trace!(%chain, %final_block, %latest_block, "head");
                Input::ChainHead { chain, time: final_time }
            }
            ChainNews::Race(RaceNews { event, job, what }) => {
                Input::RaceNews { job, event, step: what }
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

#[cfg(test)]
mod tests {
    use proofgrid_core::ids::{EpochNumber, JobId};
    use proofgrid_core::network::EvolveError;
    use proofgrid_proto::convert::{ConvertError, Problem};

    use super::*;

    #[test]
    fn only_what_is_refused_for_good_is_acknowledged() {
        let damaged = Refusal::Contradiction(EvolveError::Contradiction { what: "a bug" });
        let later = [
            EdgeError::Internal("a worker thread failed".into()),
            EdgeError::ShuttingDown,
            Refusal::QueueFull { live: 1, max: 1 }.into(),
            Refusal::UnknownEpoch(EpochNumber::new(2)).into(),
            damaged.into(),
        ];
        for error in later {
            let order = refuse(7, &error);
            assert!(matches!(order, OracleOrder::Refused(_)), "{error}: {order:?}");
        }
        let for_good = [
            EdgeError::Malformed(ConvertError::new("job", Problem::Missing)),
            EdgeError::NotAllowed("another contract".into()),
            Refusal::UnknownJob(JobId::ZERO).into(),
        ];
        for error in for_good {
            let order = refuse(7, &error);
            let acknowledged = matches!(order, OracleOrder::Ack { event_id: 7, refused: Some(_) });
            assert!(acknowledged, "{error}: {order:?}");
        }
    }
}
