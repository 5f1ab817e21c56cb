//! Connections between peers and the dispatcher, and what goes over them.

use std::collections::BTreeMap;

use proofgrid_core::certificate::Certificate;
use proofgrid_core::ids::{
    Attempt, BatchRoot, BlobDigest, EpochNumber, JobId, StatementDigest, TaskId,
};
use proofgrid_core::job::JobSpec;
use proofgrid_core::network::{
    Assignment, AttestationRequest, InvalidDetail, LeaseRef, ProofReport, SubmissionSubject,
    SubmissionUpdate, TaskFault,
};
use proofgrid_core::sealed::{CommitSet, Salt, SealedVote};
use proofgrid_core::statement::OpenedStatement;
use proofgrid_core::vote::{VerifiedAttestation, VerifiedVote};

use crate::chain::Settlement;
use crate::queue::Moment;
use crate::world::{Event, World};

/// A process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Node {
    /// The dispatcher.
    Dispatcher,
    /// A prover.
    Prover(usize),
    /// A verifier.
    Verifier(usize),
    /// A requester.
    Requester(usize),
    /// The oracle.
    Oracle,
}

/// A connection; the core's session of the same number.
pub type Link = u64;
/// What has no connection: one call, one answer.
pub const CALL: Link = 0;

/// What the oracle tells.
#[derive(Clone, Debug)]
pub enum News {
    /// A final stake table.
    Epoch(EpochNumber),
    /// A final exclusion.
    Excluded(EpochNumber, usize),
    /// A job in a final block.
    Created(Box<JobSpec>, u64, u64),
    /// A refund in a final block.
    Refunded(JobId, u64, u64),
    /// A submission moved.
    Moved(SubmissionSubject, SubmissionUpdate),
}

/// A message.
#[derive(Clone, Debug)]
pub enum Message {
    /// A prover registers its slots and what it holds.
    RegisterProver(u32, Vec<LeaseRef>),
    /// A prover is alive.
    Heartbeat,
    /// A prover works on a lease.
    Progress(LeaseRef),
    /// A prover delivers; the bytes come with it.
    Complete(LeaseRef, ProofReport),
    /// A prover gives up.
    GiveUp(LeaseRef, TaskFault),
    /// A prover takes no more.
    Drain,
    /// A verifier registers.
    RegisterVerifier,
    /// A commitment to a vote.
    Commit(SealedVote),
    /// An opened vote.
    Vote(Box<VerifiedVote>, Option<InvalidDetail>, Salt),
    /// An abstention.
    Abstain(EpochNumber, StatementDigest),
    /// An attestation.
    Attest(Box<VerifiedAttestation>),
    /// Leaves that differ from the vote log.
    AttestRefused(BatchRoot, Vec<u32>),
    /// The oracle registers.
    RegisterOracle,
    /// Something happened on the chain.
    News(u64, News),
    /// A requester submits.
    Submit(Box<JobSpec>),
    /// A requester uploads an input.
    Upload(BlobDigest),
    /// A requester cancels.
    Cancel(JobId),
    /// The dispatcher registered a peer.
    Registered,
    /// A lease.
    Assign(Box<Assignment>),
    /// Stop working on a try.
    Stop(TaskId, Attempt),
    /// A delivery needs no repeating.
    Delivered(LeaseRef),
    /// A statement to vote on.
    OpenVoting(EpochNumber, StatementDigest, Box<OpenedStatement>, Box<JobSpec>),
    /// A commit set to open the own vote to. Who sent it is known here; it carries no signature.
    OpenReveal(Box<CommitSet>),
    /// A batch to attest.
    AskAttest(Box<AttestationRequest>),
    /// A certificate to post.
    Post(Box<Certificate>),
    /// A job to settle.
    SettleJob(Box<Settlement>),
    /// News that is durable, or refused for good.
    Ack(u64),
    /// A submission was answered for good.
    Submitted(JobId),
    /// An upload is durable.
    Uploaded(BlobDigest),
    /// A cancellation was answered for good.
    CancelAnswered(JobId),
}

/// Connections by number.
#[derive(Debug, Default)]
pub struct Net {
    links: BTreeMap<Link, LinkBook>,
    made: Link,
    cut: BTreeMap<Node, Moment>,
}

#[derive(Debug)]
struct LinkBook {
    peer: Node,
    broken: bool,
    /// When the last message of each direction arrives.
    last: [Moment; 2],
}

impl World {
    /// Opens a connection for a peer.
    pub fn open_link(&mut self, peer: Node) -> Link {
        self.net.made += 1;
        let link = self.net.made;
        self.net.links.insert(link, LinkBook { peer, broken: false, last: [0; 2] });
        link
    }

    /// The peer of a connection that still works.
    pub fn peer_of(&self, link: Link) -> Option<Node> {
        self.net.links.get(&link).filter(|book| !book.broken).map(|book| book.peer)
    }

    /// Keeps a peer away from the dispatcher.
    pub fn cut(&mut self, peer: Node, until: Moment) {
        self.net.cut.insert(peer, until);
    }

    /// Ends a connection; each end notices in its own time.
    pub fn break_link(&mut self, link: Link) {
        let Some(book) = self.net.links.get_mut(&link).filter(|book| !book.broken) else { return };
        book.broken = true;
        let peer = book.peer;
        let longest = if self.healed { 100 } else { 3_000 };
        for at in [Node::Dispatcher, peer] {
            let after = self.random.between(10, longest);
            self.schedule(after, Event::LinkDown { link, at });
        }
    }

    /// Ends every connection of a peer, or of all.
    pub fn break_links(&mut self, peer: Option<Node>) {
        let ends = |book: &LinkBook| !book.broken && peer.is_none_or(|peer| peer == book.peer);
        let links = self.net.links.iter().filter(|(_, book)| ends(book));
        let links: Vec<Link> = links.map(|(link, _)| *link).collect();
        for link in links {
            self.break_link(link);
        }
    }

    /// Sends a message over a connection, as far as the weather lets it through.
    pub fn send(&mut self, link: Link, to: Node, from: Node, message: Message) {
        let peer = if to == Node::Dispatcher { from } else { to };
        if link != CALL && self.peer_of(link).is_none() {
            return;
        }
        if self.healed {
            self.carry(link, to, from, 10, false, message);
            return;
        }
        let weather = self.plan.weather;
        let is_cut = self.net.cut.get(&peer).is_some_and(|until| self.now < *until);
        if is_cut || self.random.chance(weather.loss) {
            // Now and then a message is lost and nobody notices, which a real stream does not do.
            if link != CALL && (is_cut || self.random.chance(700)) {
                self.break_link(link);
            }
            return;
        }
        if self.random.chance(weather.twice) {
            self.carry(link, to, from, weather.delay_max, weather.reorder, message.clone());
        }
        self.carry(link, to, from, weather.delay_max, weather.reorder, message);
    }

    fn carry(
        &mut self,
        link: Link,
        to: Node,
        from: Node,
        delay_max: Moment,
        reorder: bool,
        message: Message,
    ) {
        let mut at = self.now + self.random.between(1, delay_max);
        let way = usize::from(to == Node::Dispatcher);
        if let Some(book) = self.net.links.get_mut(&link).filter(|_| !reorder) {
            at = at.max(book.last[way]);
            book.last[way] = at;
        }
        let after = at - self.now;
        self.schedule(after, Event::Deliver { link, from, to, message });
    }
}
