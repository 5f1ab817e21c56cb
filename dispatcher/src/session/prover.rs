//! What a prover's messages mean.

use proofgrid_core::bond::{AcceptedLease, BondedLease, LeaseTerms};
use proofgrid_core::crypto::secp::WalletSignature;
use proofgrid_core::ids::{Address, JobId, Role};
use proofgrid_core::job::JobSpec;
use proofgrid_core::network::{
    Answer, Input, LeaseRef, ProofReport, ProverCapabilities, Refusal, State, TaskState, Try,
};
use proofgrid_core::statement::OpenedStatement;
use proofgrid_core::units::UnixMillis;
use proofgrid_proto::convert::{
    Challenge, CompletionReply, EntryAnswer, EntryReply, Hello, LoginProof, OracleOrder,
    ProverMessage, ProverOrder, Welcome,
};
use proofgrid_proto::v1;
use tokio::sync::mpsc;
use tonic::Status;

use super::directory::Outbound;
use super::{Flow, Handler, Open, Protocol};
use crate::actor::View;
use crate::error::EdgeError;
use crate::grpc::status::{After, refused};

/// The prover's stream.
#[derive(Debug)]
pub struct ProverProtocol;

impl Protocol for ProverProtocol {
    const ROLE: Role = Role::Prover;
    type WireUp = v1::ProverServiceSessionRequest;
    type WireDown = v1::ProverServiceSessionResponse;
    type Message = ProverMessage;
    type Order = ProverOrder;

    fn hello(message: ProverMessage) -> Option<Hello> {
        if let ProverMessage::Hello(hello) = message { Some(hello) } else { None }
    }

    fn login(message: ProverMessage) -> Option<LoginProof> {
        if let ProverMessage::Login(proof) = message { Some(proof) } else { None }
    }

    fn challenge(challenge: Challenge) -> ProverOrder {
        ProverOrder::Challenge(challenge)
    }

    fn welcome(welcome: Welcome) -> ProverOrder {
        ProverOrder::Welcome(welcome)
    }

    fn refused(refused: v1::Refused) -> ProverOrder {
        ProverOrder::Refused(refused)
    }

    fn goaway(goaway: v1::Goaway) -> ProverOrder {
        ProverOrder::Goaway(goaway)
    }

    fn heartbeat_ack(sequence: u64) -> ProverOrder {
        ProverOrder::HeartbeatAck { sequence }
    }

    fn outbound(sender: mpsc::Sender<Result<ProverOrder, Status>>) -> Outbound {
        Outbound::Prover(sender)
    }
}

/// Handles one prover's messages.
#[derive(Debug, Default)]
pub struct ProverGate {
    registered: bool,
}

type Link = Open<ProverProtocol>;

/// Sends an answer of the actor to the peer. Runs inside the actor, after the flush and before the
/// effects of the same batch, so that a peer sees its registration before its first assignment.
fn reply(
    link: &Link,
    order: impl FnOnce(Answer) -> Option<ProverOrder> + Send + 'static,
) -> crate::actor::Reply {
    let sender = link.sender.clone();
    Box::new(move |answer: Result<Answer, Refusal>, _: &View<'_>| {
        let order = match answer {
            Ok(answer) => order(answer),
            Err(refusal) => {
                let error = EdgeError::Refused(refusal);
                Some(ProverOrder::Refused(refused(&error, After::GoOn)))
            }
        };
        if let Some(order) = order {
            // A full queue means a peer that does not read; its session ends by other means.
            let _ = sender.try_send(Ok(order));
        }
    })
}

/// Whether a proof for this lease would still count, although the lease may have passed on: the try was
/// the prover's own, and nobody has proved the task. Its bytes have to come in first.
fn may_come_late(state: &State, prover: &Address, lease: &LeaseRef) -> bool {
    let Ok((_, task)) = state.task(&lease.task) else { return false };
    let unproved = matches!(task.state, TaskState::Queued | TaskState::Leased(_));
    let is_own = |found: &Try| {
        (found.attempt, found.token, found.prover) == (lease.attempt, lease.token, *prover)
    };
    unproved && task.tries.iter().any(is_own)
}

impl ProverGate {
    async fn register(
        &mut self,
        link: &Link,
        capabilities: ProverCapabilities,
        holding: Vec<LeaseRef>,
    ) -> Result<(), EdgeError> {
        let (session, prover) = (link.session(), link.address);
        link.shared.directory.set_capabilities(session, capabilities.clone());
        let claimed = holding.clone();
        let late = link.shared.actor.read(move |view| {
            let state = view.network.state();
            claimed.iter().filter(|lease| may_come_late(state, &prover, lease)).count()
        });
        link.shared.directory.count_resumed(session, late.await?);
        let input = Input::ProverConnected { prover: link.address, session, capabilities, holding };
        let directory = std::sync::Arc::clone(&link.shared.directory);
        let answer = reply(link, move |answer| match answer {
            Answer::Registered { resumed, .. } => {
                directory.count_resumed(session, resumed.len());
                Some(ProverOrder::Registered { resumed })
            }
            _ => None,
        });
        link.shared.actor.hand_over(input, answer).await?;
        self.registered = true;
        Ok(())
    }

    /// A completion counts only when the bytes are here: the prover uploads before it completes.
    async fn complete(link: &Link, lease: LeaseRef, report: ProofReport) -> Result<(), EdgeError> {
        // Until the delivery is handed over nobody removes the bytes that it counts on.
        let pin = link.shared.pins.pin(report.proof).await;
        let length = match link.shared.blobs.stored_lately(report.proof) {
            Some(length) => Some(length),
            None => link.shared.blobs.length(report.proof).await?,
        };
        match length {
            Some(length) if length == report.bytes => {}
            Some(_) => {
                let text = "the proof's length is not that of the uploaded blob";
                return Err(EdgeError::WrongState(text.to_owned()));
            }
            None => return Err(EdgeError::UnknownBlob(report.proof)),
        }
        let input = Input::TaskCompleted { prover: link.address, lease, report };
        // Where nothing is judged the verdict follows at once and is the only answer.
        let received = link.shared.config.judge_at_intake.then_some(CompletionReply::Received);
        let answer = reply(link, move |answer| {
            let reply = match answer {
                Answer::AlreadyDone => Some(CompletionReply::AlreadyDone),
                _ => received,
            };
            reply.map(|reply| ProverOrder::Completion { lease, reply })
        });
        let handed_over = link.shared.actor.hand_over(input, answer).await;
        drop(pin);
        handed_over
    }
}

/// The job, the segment and the end of a lease that is running and the prover's own.
fn held(state: &State, prover: &Address, lease: &LeaseRef) -> Option<(JobSpec, u32, UnixMillis)> {
    let (job, task) = state.task(&lease.task).ok()?;
    let TaskState::Leased(running) = &task.state else { return None };
    let holds =
        (running.attempt, running.token, running.prover) == (lease.attempt, lease.token, *prover);
    holds.then(|| (job.spec.clone(), task.index, running.expires_at))
}

impl ProverGate {
    /// Hands an accepted lease to the oracle that posts it.
    async fn accept(
        link: &Link,
        lease: LeaseRef,
        terms: LeaseTerms,
        signature: WalletSignature,
    ) -> Result<(), EdgeError> {
        let (shared, prover) = (&link.shared, link.address);
        let Some(bonds) = &shared.bonds else {
            return Err(EdgeError::NotAllowed("no bonds are asked for here".into()));
        };
        let found = shared.actor.read(move |view| held(view.network.state(), &prover, &lease));
        let Some((spec, segment, expires_at)) = found.await? else {
            let text = "the lease is over or another's; only a running one can be accepted";
            return Err(EdgeError::WrongState(text.into()));
        };
        let (task, asked) = (lease.task, bonds.asked(&spec, expires_at));
        let lease = BondedLease { spec, segment, terms };
        let accepted = AcceptedLease { lease, prover, signature };
        let now = shared.clock.now().as_seconds();
        let (chain, order) = bonds.take(accepted, asked, now)?;
        tracing::info!(%task, %prover, %chain, "acceptance handed to the oracle");
        shared.directory.send_oracle(chain, OracleOrder::PostAcceptance(Box::new(order)));
        Ok(())
    }
}

impl ProverGate {
    /// Takes the records of what a prover revealed; whatever follows is the answer to the entry.
    async fn race_entry(link: &Link, job: JobId, opened: OpenedStatement) -> Result<(), EdgeError> {
        let statement = opened.statement.digest();
        let input = Input::RaceEntry { prover: link.address, opened };
        let sender = link.sender.clone();
        let answer: crate::actor::Reply = Box::new(move |answer, _| {
            let reply = match answer {
                Ok(Answer::EntryTaken { may_upload: true }) => EntryReply::Upload,
                Ok(_) => EntryReply::Waiting("the word that its reveal is final".to_owned()),
                Err(refusal) => EntryReply::Refused(refusal.to_string()),
            };
            // A full queue means a peer that does not read; its session ends by other means.
            let order = ProverOrder::RaceEntry(EntryAnswer { job, statement, reply });
            let _ = sender.try_send(Ok(order));
        });
        link.shared.actor.hand_over(input, answer).await
    }
}

impl Handler<ProverProtocol> for ProverGate {
    async fn opened(&mut self, _link: &Link) -> Result<(), EdgeError> {
        Ok(())
    }

    async fn message(&mut self, link: &Link, message: ProverMessage) -> Result<Flow, EdgeError> {
        let (prover, session) = (link.address, link.session());
        let quiet = |_| None;
        if !self.registered && !matches!(message, ProverMessage::Register { .. }) {
            return Err(EdgeError::Protocol("the message after the login is RegisterProver"));
        }
        match message {
            ProverMessage::Hello(_) | ProverMessage::Login(_) => {
                return Err(EdgeError::Protocol("the session is open already"));
            }
            ProverMessage::Register { capabilities, holding } => {
                self.register(link, capabilities, holding).await?;
            }
            ProverMessage::Heartbeat { sequence, free_memory } => {
                let free_memory_bytes = free_memory;
                let input = Input::ProverHeartbeat { prover, session, free_memory_bytes };
                link.shared.actor.hand_over(input, reply(link, quiet)).await?;
                return Ok(Flow::Heartbeat(sequence));
            }
            ProverMessage::Progress { lease, phase, done_permille } => {
                let input = Input::ProverProgress { prover, session, lease, phase, done_permille };
                link.shared.actor.hand_over(input, reply(link, quiet)).await?;
            }
            ProverMessage::Complete { lease, report } => {
                Self::complete(link, lease, report).await?;
            }
            ProverMessage::Fail { lease, fault } => {
                let input = Input::TaskFailed { prover, lease, fault };
                link.shared.actor.hand_over(input, reply(link, quiet)).await?;
            }
            ProverMessage::Accept { lease, terms, signature } => {
                Self::accept(link, lease, terms, signature).await?;
            }
            ProverMessage::RaceEntry { job, opened } => {
                Self::race_entry(link, job, *opened).await?;
            }
            ProverMessage::Drain => {
                let input = Input::ProverDraining { prover, session };
                link.shared.actor.hand_over(input, reply(link, quiet)).await?;
            }
        }
        Ok(Flow::Quiet)
    }

    async fn closed(&mut self, link: &Link) {
        if self.registered {
            let (prover, session) = (link.address, link.session());
            link.shared.actor.deliver(Input::ProverDisconnected { prover, session }).await;
        }
    }
}
