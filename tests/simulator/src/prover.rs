//! Provers: they work on leases, keep finished proofs on disk, and deliver until they are heard.

use std::collections::BTreeMap;

use proofgrid_core::ids::{Address, Attempt, LeaseToken, TaskId};
use proofgrid_core::network::{Assignment, LeaseRef, ProofReport, TaskFault};
use proofgrid_core::units::ByteCount;

use crate::net::{Link, Message, Node};
use crate::plan::ProverKind;
use crate::stakes::address;
use crate::truth::Proof;
use crate::world::{Event, Timer, World};

/// Time between two heartbeats.
const HEARTBEAT_MS: u64 = 2_000;
/// Time after which a delivery that nobody answered is repeated.
const REPEAT_MS: u64 = 3_000;
/// Finished proofs that a prover keeps.
const FINISHED_MAX: usize = 32;

/// How a peer is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// Not at all.
    Down,
    /// Registering.
    Opening(Link),
    /// Registered.
    Open(Link),
}

impl Connection {
    /// The connection that is open or opening.
    pub const fn link(self) -> Option<Link> {
        match self {
            Self::Down => None,
            Self::Opening(link) | Self::Open(link) => Some(link),
        }
    }
}

/// A prover.
#[derive(Debug)]
pub struct Prover {
    /// How it behaves.
    pub kind: ProverKind,
    /// Whether the process runs.
    pub is_up: bool,
    /// Which life of the process this is.
    pub life: u64,
    /// Its connection.
    pub connection: Connection,
    /// What it works on; forgotten by a crash.
    working: BTreeMap<(TaskId, Attempt), Assignment>,
    /// What it has finished and was not told to forget; on disk.
    finished: BTreeMap<(TaskId, Attempt), (LeaseRef, ProofReport)>,
    draining: bool,
}

/// The address of a prover.
pub const fn address_of(index: usize) -> Address {
    address(0x50 + index as u8)
}

/// The prover of an address.
pub fn prover_of(address: Address, provers: usize) -> Option<usize> {
    (0..provers).find(|index| address_of(*index) == address)
}

impl Prover {
    /// A prover that is about to connect.
    pub const fn new(kind: ProverKind) -> Self {
        Self {
            kind,
            is_up: true,
            life: 0,
            connection: Connection::Down,
            working: BTreeMap::new(),
            finished: BTreeMap::new(),
            draining: false,
        }
    }

    fn holding(&self) -> Vec<LeaseRef> {
        let working = self.working.values().map(|assignment| LeaseRef {
            task: assignment.lease.task,
            attempt: assignment.lease.attempt,
            token: assignment.lease.token,
        });
        working.chain(self.finished.values().map(|(lease, _)| *lease)).collect()
    }
}

impl World {
    /// A timer of a prover.
    pub fn prover_timer(&mut self, index: usize, timer: Timer) {
        match timer {
            Timer::Connect => self.prover_connects(index),
            Timer::Heartbeat => {
                if let Connection::Open(link) = self.provers[index].connection {
                    self.prover_says(index, link, Message::Heartbeat);
                    self.arm(Node::Prover(index), HEARTBEAT_MS, Timer::Heartbeat);
                }
            }
            Timer::Repeat => {
                if let Connection::Open(link) = self.provers[index].connection
                    && !self.provers[index].finished.is_empty()
                {
                    self.deliver_all(index, link);
                    self.arm(Node::Prover(index), REPEAT_MS, Timer::Repeat);
                }
            }
            Timer::Work(task, attempt) => self.prover_finishes(index, (task, attempt)),
            _ => {}
        }
    }

    fn prover_says(&mut self, index: usize, link: Link, message: Message) {
        self.send(link, Node::Dispatcher, Node::Prover(index), message);
    }

    fn prover_connects(&mut self, index: usize) {
        let node = Node::Prover(index);
        if self.provers[index].connection != Connection::Down {
            return;
        }
        let link = self.open_link(node);
        self.provers[index].connection = Connection::Opening(link);
        self.provers[index].draining = false;
        let holding = self.provers[index].holding();
        let slots = u32::try_from(self.random.between(1, 3)).expect("small");
        self.prover_says(index, link, Message::RegisterProver(slots, holding));
        self.arm(node, 4_000, Timer::ConnectOver(link));
    }

    /// A message arrives at a prover.
    pub fn prover_receives(&mut self, index: usize, link: Link, message: Message) {
        if self.provers[index].connection.link() != Some(link) {
            return;
        }
        match message {
            Message::Registered if self.provers[index].connection == Connection::Opening(link) => {
                self.provers[index].connection = Connection::Open(link);
                self.arm(Node::Prover(index), HEARTBEAT_MS, Timer::Heartbeat);
                self.arm(Node::Prover(index), REPEAT_MS, Timer::Repeat);
                self.deliver_all(index, link);
            }
            Message::Assign(assignment) => self.prover_starts(index, *assignment),
            Message::Stop(task, attempt) => {
                self.provers[index].working.remove(&(task, attempt));
                self.noise(index, link, task, attempt);
            }
            Message::Delivered(lease) => {
                self.provers[index].finished.remove(&(lease.task, lease.attempt));
            }
            _ => {}
        }
    }

    /// What a noisy prover says about a lease that it lost.
    fn noise(&mut self, index: usize, link: Link, task: TaskId, attempt: Attempt) {
        if self.provers[index].kind != ProverKind::Noisy {
            return;
        }
        let token = LeaseToken::new(self.random.below(8));
        let lease = LeaseRef { task, attempt, token };
        let messages = [
            Message::Progress(lease),
            Message::GiveUp(lease, TaskFault::Draining),
            Message::RegisterProver(1, vec![lease]),
        ];
        let message = self.random.index(messages.len());
        self.prover_says(index, link, messages[message].clone());
    }

    fn prover_starts(&mut self, index: usize, assignment: Assignment) {
        let key = (assignment.lease.task, assignment.lease.attempt);
        let prover = &mut self.provers[index];
        // The same assignment again changes nothing.
        if prover.working.contains_key(&key) || prover.finished.contains_key(&key) {
            return;
        }
        prover.working.insert(key, assignment);
        if prover.kind == ProverKind::Silent {
            return;
        }
        let takes = self.random.between(100, 3_000);
        self.arm(Node::Prover(index), takes, Timer::Work(key.0, key.1));
    }

    fn prover_finishes(&mut self, index: usize, key: (TaskId, Attempt)) {
        let kind = self.provers[index].kind;
        let Some(assignment) = self.provers[index].working.remove(&key) else { return };
        let token = assignment.lease.token;
        let lease = LeaseRef { task: key.0, attempt: key.1, token };
        let link = self.provers[index].connection.link();
        if !self.healed && self.random.chance(self.plan.giving_up) {
            let fault = match self.random.below(3) {
                0 => TaskFault::InputUnavailable("no answer".into()),
                1 => TaskFault::OutOfMemory("4 GiB".into()),
                _ => TaskFault::Draining,
            };
            if let Some(link) = link {
                self.prover_says(index, link, Message::GiveUp(lease, fault));
            }
            return;
        }
        let author = match kind {
            ProverKind::Thief => address_of(0),
            _ => address_of(index),
        };
        let holds = kind != ProverKind::Wrong;
        let proof = Proof { author, job: assignment.job, index: assignment.index, holds };
        let length = if kind == ProverKind::Oversized { 20_000 } else { 1_000 };
        let report = ProofReport {
            proof: self.truth.make(proof),
            bytes: ByteCount::new(length),
            prove_ms: 100,
        };
        let finished = &mut self.provers[index].finished;
        if finished.len() >= FINISHED_MAX {
            finished.pop_first();
        }
        finished.insert(key, (lease, report));
        if let Connection::Open(link) = self.provers[index].connection {
            self.prover_says(index, link, Message::Progress(lease));
            self.deliver_all(index, link);
            self.arm(Node::Prover(index), REPEAT_MS, Timer::Repeat);
        }
    }

    fn deliver_all(&mut self, index: usize, link: Link) {
        let finished: Vec<_> = self.provers[index].finished.values().copied().collect();
        for (lease, report) in finished {
            self.prover_says(index, link, Message::Complete(lease, report));
            if self.provers[index].kind == ProverKind::Noisy {
                let mut other = lease;
                other.token = LeaseToken::new(self.random.below(9));
                self.prover_says(index, link, Message::Complete(other, report));
                let known = self.truth.proof(&report.proof).copied();
                let again = known.map(|proof| self.truth.make(Proof { holds: false, ..proof }));
                let report = again.map_or(report, |proof| ProofReport { proof, ..report });
                self.prover_says(index, link, Message::Complete(lease, report));
            }
        }
    }

    /// A prover stops taking work, finishes, goes, and comes back.
    pub fn drain_prover(&mut self, index: usize) {
        if let Connection::Open(link) = self.provers[index].connection
            && !self.provers[index].draining
        {
            self.provers[index].draining = true;
            self.prover_says(index, link, Message::Drain);
            self.schedule(5_000, Event::BreakNode(Node::Prover(index)));
        }
    }

    /// A prover's process dies.
    pub fn crash_prover(&mut self, index: usize) {
        let prover = &mut self.provers[index];
        prover.is_up = false;
        prover.life += 1;
        prover.working.clear();
        prover.connection = Connection::Down;
    }
}
