//! What a verifier's messages mean. Every signature is checked singly, off the runtime's threads,
//! before the state machine hears of it; a peer whose signatures keep failing is disconnected.

use proofgrid_core::crypto::bls::Signature;
use proofgrid_core::epoch::EpochKeys;
use proofgrid_core::ids::{EpochNumber, Role};
use proofgrid_core::network::{Answer, Input, InvalidDetail, Refusal};
use proofgrid_core::sealed::{Salt, SealedVote};
use proofgrid_core::vote::{Attestation, SignedAttestation, SignedVote, Vote, VoteError};
use proofgrid_proto::convert::{
    Challenge, Hello, LoginProof, VerifierMessage, VerifierOrder, Welcome,
};
use proofgrid_proto::v1;
use std::sync::Arc;
use tokio::sync::mpsc;
use tonic::Status;

use super::directory::Outbound;
use super::{Flow, Handler, Open, Protocol};
use crate::actor::{Note, View};
use crate::error::EdgeError;
use crate::grpc::status::{After, refused};
use crate::limits::BAD_SIGNATURES_MAX;

/// The verifier's stream.
#[derive(Debug)]
pub struct VerifierProtocol;

impl Protocol for VerifierProtocol {
    const ROLE: Role = Role::Verifier;
    type WireUp = v1::VerifierServiceSessionRequest;
    type WireDown = v1::VerifierServiceSessionResponse;
    type Message = VerifierMessage;
    type Order = VerifierOrder;

    fn hello(message: VerifierMessage) -> Option<Hello> {
        if let VerifierMessage::Hello(hello) = message { Some(hello) } else { None }
    }

    fn login(message: VerifierMessage) -> Option<LoginProof> {
        if let VerifierMessage::Login(proof) = message { Some(proof) } else { None }
    }

    fn challenge(challenge: Challenge) -> VerifierOrder {
        VerifierOrder::Challenge(challenge)
    }

    fn welcome(welcome: Welcome) -> VerifierOrder {
        VerifierOrder::Welcome(welcome)
    }

    fn refused(refused: v1::Refused) -> VerifierOrder {
        VerifierOrder::Refused(refused)
    }

    fn goaway(goaway: v1::Goaway) -> VerifierOrder {
        VerifierOrder::Goaway(goaway)
    }

    fn heartbeat_ack(sequence: u64) -> VerifierOrder {
        VerifierOrder::HeartbeatAck { sequence }
    }

    fn outbound(sender: mpsc::Sender<Result<VerifierOrder, Status>>) -> Outbound {
        Outbound::Verifier(sender)
    }
}

/// Handles one verifier's messages.
#[derive(Debug, Default)]
pub struct VerifierGate {
    bad_signatures: u32,
    registered: bool,
}

type Link = Open<VerifierProtocol>;

/// Tells the peer once its message is durable, or why it was refused.
fn reply(link: &Link, recorded: Option<VerifierOrder>) -> crate::actor::Reply {
    reply_by(link, move |_| recorded)
}

/// As [`reply`], with an order by the answer.
fn reply_by(
    link: &Link,
    order: impl FnOnce(Answer) -> Option<VerifierOrder> + Send + 'static,
) -> crate::actor::Reply {
    let sender = link.sender.clone();
    Box::new(move |answer: Result<Answer, Refusal>, _: &View<'_>| {
        let order = match answer {
            Ok(answer) => order(answer),
            Err(refusal) => {
                let error = EdgeError::Refused(refusal);
                Some(VerifierOrder::Refused(refused(&error, After::GoOn)))
            }
        };
        if let Some(order) = order {
            // A full queue means a peer that does not read; its session ends by other means.
            let _ = sender.try_send(Ok(order));
        }
    })
}

fn keys_of(link: &Link, epoch: EpochNumber) -> Result<Arc<EpochKeys>, EdgeError> {
    let epochs = link.shared.epochs.borrow().clone();
    epochs.get(&epoch).cloned().ok_or_else(|| {
        EdgeError::WrongState(format!("epoch {epoch} is not live; vote in the epoch of the offer"))
    })
}

impl VerifierGate {
    /// Counts failed signatures; one too many ends the session.
    fn judge<T>(&mut self, link: &Link, verified: Result<T, EdgeError>) -> Result<T, EdgeError> {
        if let Err(EdgeError::Vote(VoteError::Signature { .. })) = &verified {
            self.bad_signatures += 1;
            if self.bad_signatures >= BAD_SIGNATURES_MAX {
                let operator = link.address;
                tracing::warn!(%operator, "too many bad signatures; the session is closed");
                link.close();
            }
        }
        verified
    }

    async fn commit(link: &Link, sealed: SealedVote) -> Result<(), EdgeError> {
        let statement = sealed.statement;
        let order = move |answer: Answer| {
            Some(match answer {
                // The set stands without it; what it judged stays in its log for another epoch.
                Answer::Late => {
                    let text = "the commit phase of this vote is over".to_owned();
                    VerifierOrder::Withdrawn { statement, text }
                }
                _ => VerifierOrder::CommitRecorded(statement),
            })
        };
        let input = Input::CommitReceived { sealed };
        link.shared.actor.hand_over(input, reply_by(link, order)).await
    }

    async fn reveal(
        &mut self,
        link: &Link,
        (vote, signature): (Vote, Signature),
        detail: Option<InvalidDetail>,
        salt: Salt,
    ) -> Result<(), EdgeError> {
        let keys = keys_of(link, vote.epoch)?;
        let signed = SignedVote { operator: link.address, vote, signature };
        let verified = link.shared.on_worker(move || Ok(signed.verify(&keys)?)).await;
        let vote = self.judge(link, verified)?;
        let recorded = VerifierOrder::VoteRecorded(vote.vote().statement);
        let input = Input::VoteReceived { vote, detail, salt };
        link.shared.actor.hand_over(input, reply(link, Some(recorded))).await
    }

    async fn attest(
        &mut self,
        link: &Link,
        attestation: Attestation,
        signature: Signature,
    ) -> Result<(), EdgeError> {
        let keys = keys_of(link, attestation.epoch)?;
        let signed = SignedAttestation { operator: link.address, attestation, signature };
        let verified = link.shared.on_worker(move || Ok(signed.verify(&keys)?)).await;
        let attestation = self.judge(link, verified)?;
        let recorded = VerifierOrder::AttestationRecorded(attestation.attestation().root);
        let input = Input::AttestationReceived { attestation };
        link.shared.actor.hand_over(input, reply(link, Some(recorded))).await
    }
}

impl Handler<VerifierProtocol> for VerifierGate {
    async fn opened(&mut self, _link: &Link) -> Result<(), EdgeError> {
        Ok(())
    }

    async fn message(&mut self, link: &Link, message: VerifierMessage) -> Result<Flow, EdgeError> {
        let operator = link.address;
        if !self.registered && !matches!(message, VerifierMessage::Register { .. }) {
            return Err(EdgeError::Protocol("the message after the login is RegisterVerifier"));
        }
        match message {
            VerifierMessage::Hello(_) | VerifierMessage::Login(_) => {
                return Err(EdgeError::Protocol("the session is open already"));
            }
            VerifierMessage::Register { manifests, version } => {
                let num_manifests = manifests.len();
                tracing::info!(%operator, num_manifests, %version, "verifier registered");
                let input = Input::VerifierConnected { operator, session: link.session() };
                link.shared.actor.hand_over(input, reply(link, None)).await?;
                self.registered = true;
                link.shared.directory.set_registered(link.session());
            }
            VerifierMessage::Heartbeat { sequence } => return Ok(Flow::Heartbeat(sequence)),
            VerifierMessage::Commit { epoch, table, statement, commitment } => {
                let sealed = SealedVote { operator, epoch, table, statement, commitment };
                tracing::debug!(%operator, %statement, "commitment");
                Self::commit(link, sealed).await?;
            }
            VerifierMessage::Reveal { vote, signature, detail, judged_in, salt } => {
                let statement = vote.statement;
                tracing::debug!(%operator, %statement, %judged_in, "vote");
                self.reveal(link, (vote, signature), detail, salt).await?;
                link.shared.actor.note(Note::Judged { statement, judged_in });
            }
            VerifierMessage::Abstain { epoch, statement, reason, text } => {
                let reason = format!("{}: {text}", reason.name());
                let input = Input::Abstained { operator, epoch, statement, reason };
                link.shared.actor.hand_over(input, reply(link, None)).await?;
            }
            VerifierMessage::Attest { attestation, signature } => {
                self.attest(link, attestation, signature).await?;
            }
            VerifierMessage::AttestRefused { root, positions, text } => {
                tracing::warn!(%operator, %root, ?positions, %text, "a batch was refused");
                let input = Input::AttestationRefused { operator, batch: root, positions };
                link.shared.actor.hand_over(input, reply(link, None)).await?;
            }
            VerifierMessage::BlobUnavailable { digest, text } => {
                link.shared.recalls.unavailable(operator, digest, text);
            }
        }
        Ok(Flow::Quiet)
    }

    async fn closed(&mut self, link: &Link) {
        if self.registered {
            let (operator, session) = (link.address, link.session());
            link.shared.actor.deliver(Input::VerifierDisconnected { operator, session }).await;
        }
    }
}
