//! The dispatcher's edge: what it lets through of what peers send, as inputs of the core.

use proofgrid_core::ids::{Address, BlockNumber, ProgramId, SessionId};
use proofgrid_core::network::{
    ChainEvent, Device, Input, LeaseRef, ProgramOffer, Provenance, ProverCapabilities, TaskState,
};
use proofgrid_core::units::ByteCount;

use crate::dispatcher::Reply;
use crate::net::{CALL, Link, Message, News, Node};
use crate::plants::Plant;
use crate::prover;
use crate::stakes::{self, task_manager};
use crate::world::World;

/// What every prover registers.
fn capabilities(slots: u32) -> ProverCapabilities {
    ProverCapabilities {
        name: "rig".into(),
        version: "1".into(),
        device: Device::Cpu,
        slots,
        memory_bytes: ByteCount::new(8 << 30),
        programs: vec![ProgramOffer {
            program: ProgramId::from_bytes([1; 32]),
            units_per_kilosecond: 100_000,
        }],
    }
}

impl World {
    /// A log of a final block, as the oracle names it.
    fn event(&self, block: u64, log_index: u64) -> ChainEvent {
        let block_hash = self.chain.block(block).expect("a final block").hash;
        let (contract, block) = (task_manager(), BlockNumber::new(block));
        ChainEvent { contract, block, block_hash, log_index }
    }

    fn read_news(&self, news: News) -> Input {
        match news {
            News::Epoch(epoch) => Input::EpochFinal { keys: stakes::epoch_keys(epoch).clone() },
            News::Excluded(epoch, verifier) => {
                let index = stakes::epoch_keys(epoch).table().index_of(stakes::operator(verifier));
                Input::MembersExcluded { epoch, members: index.into_iter().collect() }
            }
            News::Created(spec, block, log) => {
                let provenance = Provenance::Chain(self.event(block, log));
                Input::SubmitJob { spec: *spec, provenance }
            }
            News::Refunded(job, block, log) => {
                Input::JobExpired { job, provenance: self.event(block, log) }
            }
            News::Moved(subject, update) => {
                Input::SubmissionUpdate { chain: stakes::CHAIN, subject, update }
            }
        }
    }
}

impl World {
    /// A message arrives at the dispatcher.
    pub fn dispatcher_receives(&mut self, link: Link, from: Node, message: Message) {
        if self.dispatcher.network.is_none() {
            if link != CALL {
                self.break_link(link);
            }
            return;
        }
        let session = SessionId::new(link);
        let answer = |message: Message| Reply::Peer(link, from, Box::new(message));
        let is_registration = matches!(
            message,
            Message::RegisterProver(..) | Message::RegisterVerifier | Message::RegisterOracle
        );
        if is_registration {
            self.dispatcher.sessions.insert(link, from);
        } else if link != CALL && !self.dispatcher.sessions.contains_key(&link) {
            return;
        }
        let (input, reply) = match (from, message) {
            (Node::Prover(index), Message::RegisterProver(slots, holding)) => {
                let (prover, capabilities) = (prover::address_of(index), capabilities(slots));
                let input = Input::ProverConnected { prover, session, capabilities, holding };
                (input, answer(Message::Registered))
            }
            (Node::Prover(index), message) => {
                let Some(pair) = self.read_prover(link, index, message) else { return };
                pair
            }
            (Node::Verifier(index), Message::RegisterVerifier) => {
                let operator = stakes::operator(index);
                (Input::VerifierConnected { operator, session }, answer(Message::Registered))
            }
            (Node::Verifier(index), message) => {
                let Some(input) = self.read_verifier(index, message) else { return };
                (input, Reply::Nobody)
            }
            (Node::Oracle, Message::RegisterOracle) => {
                let input = Input::OracleConnected { chain: stakes::CHAIN, session };
                (input, answer(Message::Registered))
            }
            (Node::Oracle, Message::News(id, news)) => {
                (self.read_news(news), Reply::Oracle(link, id))
            }
            (Node::Requester(index), message) => {
                let Some(pair) = self.read_requester(index, message) else { return };
                pair
            }
            _ => return,
        };
        self.hand_over(input, reply);
    }

    fn read_prover(
        &mut self,
        link: Link,
        index: usize,
        message: Message,
    ) -> Option<(Input, Reply)> {
        let (prover, session) = (prover::address_of(index), SessionId::new(link));
        let node = Node::Prover(index);
        Some(match message {
            Message::Heartbeat => {
                let free_memory_bytes = ByteCount::new(8 << 30);
                (Input::ProverHeartbeat { prover, session, free_memory_bytes }, Reply::Nobody)
            }
            Message::Progress(lease) => {
                let (phase, done_permille) = ("prove".into(), 500);
                let input = Input::ProverProgress { prover, session, lease, phase, done_permille };
                (input, Reply::Nobody)
            }
            Message::Complete(lease, report) => {
                self.dispatcher.blobs.insert(report.proof);
                let lease = self.fenced(lease);
                let received = Box::new(Message::Delivered(lease));
                let input = Input::TaskCompleted {
                    prover: self.fenced_prover(lease, prover),
                    lease,
                    report,
                };
                (input, Reply::Peer(link, node, received))
            }
            Message::GiveUp(lease, fault) => {
                (Input::TaskFailed { prover, lease, fault }, Reply::Nobody)
            }
            Message::Drain => (Input::ProverDraining { prover, session }, Reply::Nobody),
            _ => return None,
        })
    }

    /// The lease as it came; with the plant, the one that runs now.
    fn fenced(&self, lease: LeaseRef) -> LeaseRef {
        let mut lease = lease;
        if self.plan.plant == Some(Plant::FenceForgotten)
            && let Some(network) = &self.dispatcher.network
            && let Ok((_, task)) = network.state().task(&lease.task)
            && let TaskState::Leased(running) = &task.state
        {
            lease.attempt = running.attempt;
            lease.token = running.token;
        }
        lease
    }

    fn fenced_prover(&self, lease: LeaseRef, prover: Address) -> Address {
        if self.plan.plant == Some(Plant::FenceForgotten)
            && let Some(network) = &self.dispatcher.network
            && let Ok((_, task)) = network.state().task(&lease.task)
            && let TaskState::Leased(running) = &task.state
        {
            return running.prover;
        }
        prover
    }

    /// What the edge lets through of a verifier's message: only members of live epochs are heard.
    fn read_verifier(&mut self, index: usize, message: Message) -> Option<Input> {
        let state = self.dispatcher.network.as_ref()?.state();
        let operator = stakes::operator(index);
        let is_live = |epoch| state.epochs.keys().rev().take(2).any(|live| *live == epoch);
        Some(match message {
            Message::Commit(sealed) if is_live(sealed.epoch) => Input::CommitReceived { sealed },
            Message::Vote(vote, detail, salt) if is_live(vote.vote().epoch) => {
                Input::VoteReceived { vote: *vote, detail, salt }
            }
            Message::Abstain(epoch, statement) => {
                let reason = "the judge did not finish".into();
                Input::Abstained { operator, epoch, statement, reason }
            }
            Message::Attest(attestation) if is_live(attestation.attestation().epoch) => {
                Input::AttestationReceived { attestation: *attestation }
            }
            Message::AttestRefused(batch, positions) => {
                Input::AttestationRefused { operator, batch, positions }
            }
            _ => return None,
        })
    }

    fn read_requester(&mut self, index: usize, message: Message) -> Option<(Input, Reply)> {
        let to = |message| Reply::Peer(CALL, Node::Requester(index), Box::new(message));
        Some(match message {
            Message::Submit(spec) => {
                let submitted = Message::Submitted(spec.id());
                let provenance = Provenance::Direct;
                (Input::SubmitJob { spec: *spec, provenance }, to(submitted))
            }
            Message::Upload(digest) => {
                self.dispatcher.blobs.insert(digest);
                let bytes = ByteCount::new(100);
                (Input::BlobStored { digest, bytes }, to(Message::Uploaded(digest)))
            }
            Message::Cancel(job) => {
                let requester = self.requesters[index].address;
                (Input::CancelJob { job, requester }, to(Message::CancelAnswered(job)))
            }
            _ => return None,
        })
    }
}
