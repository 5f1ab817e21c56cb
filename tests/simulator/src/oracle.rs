//! The oracle: it reads final blocks in order, tells until it is acknowledged, and posts what it is
//! asked to post until it is final.

use std::collections::{BTreeMap, VecDeque};

use proofgrid_core::certificate::Certificate;
use proofgrid_core::epoch::MemberSet;
use proofgrid_core::ids::TxHash;
use proofgrid_core::network::{SubmissionFailure, SubmissionSubject, SubmissionUpdate};

use crate::chain::{Escrow, Landed, Log, Revert, Settlement, Tx};
use crate::net::{Link, Message, News, Node};
use crate::plan::Endpoint;
use crate::plants::Plant;
use crate::prover::Connection;
use crate::queue::Moment;
use crate::stakes;
use crate::world::{Timer, World};

/// Time between two looks at the chain.
const LOOK_MS: u64 = 700;
/// Time after which news that nobody acknowledged are told again.
const TELL_AGAIN_MS: u64 = 2_500;

/// What the oracle posts.
#[derive(Clone, Debug)]
enum Post {
    Certificate(Box<Certificate>),
    Settle(Box<Settlement>),
}

/// A posting, kept on disk before it is broadcast.
#[derive(Clone, Debug)]
struct Posting {
    post: Post,
    tx: Option<TxHash>,
    /// What was told last; forgotten when a connection ends.
    told: Option<SubmissionUpdate>,
    /// Where it was last seen in a block.
    seen: Option<Landed>,
    failed: bool,
}

/// The oracle.
#[derive(Debug)]
pub struct Oracle {
    /// Whether the process runs.
    pub is_up: bool,
    /// Which life of the process this is.
    pub life: u64,
    /// Its connection.
    pub connection: Connection,
    /// How its endpoint behaves, and until when.
    pub endpoint: (Endpoint, Moment),
    /// Blocks whose news are acknowledged; on disk. The next to read.
    cursor: u64,
    /// Postings; on disk.
    postings: BTreeMap<SubmissionSubject, Posting>,
    /// News of one block that are not acknowledged.
    pending: BTreeMap<u64, News>,
    /// Updates of postings that are not acknowledged.
    updates: VecDeque<(u64, News)>,
    reading: Option<u64>,
    told_at: Moment,
    ids: u64,
}

impl Oracle {
    /// An oracle that is about to connect.
    pub const fn new() -> Self {
        Self {
            is_up: true,
            life: 0,
            connection: Connection::Down,
            endpoint: (Endpoint::Good, 0),
            cursor: 0,
            postings: BTreeMap::new(),
            pending: BTreeMap::new(),
            updates: VecDeque::new(),
            reading: None,
            told_at: 0,
            ids: 0,
        }
    }
}

impl World {
    /// A timer of the oracle.
    pub fn oracle_timer(&mut self, timer: Timer) {
        match timer {
            Timer::Connect if self.oracle.connection == Connection::Down => {
                let link = self.open_link(Node::Oracle);
                self.oracle.connection = Connection::Opening(link);
                self.send(link, Node::Dispatcher, Node::Oracle, Message::RegisterOracle);
                self.arm(Node::Oracle, 4_000, Timer::ConnectOver(link));
            }
            Timer::Look => {
                self.oracle_looks();
                self.arm(Node::Oracle, LOOK_MS, Timer::Look);
            }
            _ => {}
        }
    }

    fn oracle_says(&mut self, message: Message) {
        if let Connection::Open(link) = self.oracle.connection {
            self.send(link, Node::Dispatcher, Node::Oracle, message);
        }
    }

    /// A message arrives at the oracle.
    pub fn oracle_receives(&mut self, link: Link, message: Message) {
        if self.oracle.connection.link() != Some(link) {
            return;
        }
        match message {
            Message::Registered => {
                self.oracle.connection = Connection::Open(link);
                self.oracle.told_at = 0;
            }
            Message::Ack(id) => self.oracle_acknowledged(id),
            Message::Post(certificate) => {
                let subject = SubmissionSubject::Certificate(certificate.id());
                self.take_order(subject, Post::Certificate(certificate));
            }
            Message::SettleJob(settlement) => {
                let subject = SubmissionSubject::Settle(settlement.job);
                self.take_order(subject, Post::Settle(settlement));
            }
            _ => {}
        }
    }

    fn oracle_acknowledged(&mut self, id: u64) {
        let oracle = &mut self.oracle;
        let done = oracle.updates.iter().find(|(known, _)| *known == id).map(|(_, news)| news);
        if let Some(News::Moved(subject, SubmissionUpdate::Failed(_))) = done {
            oracle.postings.remove(&subject.clone());
        }
        oracle.updates.retain(|(known, _)| *known != id);
        if oracle.pending.remove(&id).is_some()
            && oracle.pending.is_empty()
            && let Some(block) = oracle.reading.take()
        {
            oracle.cursor = block + 1;
        }
    }

    /// An order for what is being posted already only makes the oracle tell again how far it is.
    fn take_order(&mut self, subject: SubmissionSubject, post: Post) {
        let plant = self.plan.plant;
        let fresh = Posting { post, tx: None, told: None, seen: None, failed: false };
        let known = self.oracle.postings.entry(subject).or_insert(fresh);
        known.told = None;
        if plant == Some(Plant::SettlePaysAgain) {
            known.tx = None;
        }
    }

    fn oracle_looks(&mut self) {
        let (endpoint, until) = self.oracle.endpoint;
        let endpoint = if self.now < until { endpoint } else { Endpoint::Good };
        if endpoint == Endpoint::Down {
            return;
        }
        if !matches!(self.oracle.connection, Connection::Open(_)) {
            return;
        }
        if endpoint == Endpoint::Repeating && self.oracle.reading.is_none() {
            self.oracle.cursor = self.oracle.cursor.saturating_sub(2);
        }
        self.read_blocks(endpoint);
        let subjects: Vec<SubmissionSubject> = self.oracle.postings.keys().copied().collect();
        if !matches!(endpoint, Endpoint::Behind(_)) {
            for subject in subjects {
                self.step(subject);
            }
        }
        if self.now >= self.oracle.told_at + TELL_AGAIN_MS {
            self.oracle.told_at = self.now;
            let pending = self.oracle.pending.iter().map(|(id, news)| (*id, news.clone()));
            let all: Vec<_> = pending.chain(self.oracle.updates.iter().cloned()).collect();
            for (id, news) in all {
                self.oracle_says(Message::News(id, news));
            }
        }
    }

    /// Reads on, block by block, as long as nothing waits for its acknowledgement.
    fn read_blocks(&mut self, endpoint: Endpoint) {
        let known_final = match endpoint {
            Endpoint::Behind(blocks) => self.chain.finalized.saturating_sub(blocks),
            // Blocks that cannot be read are not read, whatever is said about them.
            _ => self.chain.finalized,
        };
        while self.oracle.pending.is_empty() && self.oracle.cursor <= known_final {
            let number = self.oracle.cursor;
            let block = self.chain.block(number).expect("a final block");
            let logs = block.logs.clone();
            let news = (0u64..).zip(logs).filter_map(|(at, log)| match log {
                Log::Epoch(epoch) => Some(News::Epoch(epoch)),
                Log::Excluded(epoch, verifier) => Some(News::Excluded(epoch, verifier)),
                Log::Created(spec) => Some(News::Created(Box::new(spec), number, at)),
                Log::Refunded(job) => Some(News::Refunded(job, number, at)),
                Log::Settled(..) => None,
            });
            let news: Vec<News> = news.collect();
            if news.is_empty() || self.plan.plant == Some(Plant::CursorBeforeAck) {
                self.oracle.cursor = number + 1;
            } else {
                self.oracle.reading = Some(number);
            }
            for one in news {
                self.oracle.ids += 1;
                let id = self.oracle.ids;
                if self.plan.plant != Some(Plant::CursorBeforeAck) {
                    self.oracle.pending.insert(id, one.clone());
                }
                self.oracle_says(Message::News(id, one));
            }
            self.oracle.told_at = self.now;
        }
    }

    /// Takes one posting as far as the chain lets it go.
    fn step(&mut self, subject: SubmissionSubject) {
        let Some(posting) = self.oracle.postings.get(&subject).cloned() else { return };
        if posting.failed {
            return;
        }
        let latest = self.chain.latest();
        let contracts = &latest.contracts;
        let done = match &posting.post {
            Post::Certificate(c) => contracts.batches.get(&(c.root, c.count)).map(|b| b.by),
            Post::Settle(s) => contracts
                .jobs
                .get(&s.job)
                .filter(|paid| paid.escrow == Escrow::Settled)
                .and_then(|paid| paid.moved_by),
        };
        let done = done.or(posting.seen.filter(|_| self.plan.plant == Some(Plant::ReorgIgnored)));
        if let Some(landed) = done {
            let again = self.plan.plant == Some(Plant::SettlePaysAgain) && posting.tx.is_none();
            if let (true, Post::Settle(settlement)) = (again, &posting.post) {
                let tx = self.chain.submit(Tx::Settle(settlement.clone()));
                self.posting(subject).tx = Some(tx);
            }
            self.posting(subject).seen = Some(landed);
            let inclusion = self.chain.inclusion(landed);
            let is_final = landed.block <= self.chain.finalized
                || self.plan.plant == Some(Plant::FinalWhenIncluded);
            let update = if is_final {
                SubmissionUpdate::Final(inclusion)
            } else {
                SubmissionUpdate::Included(inclusion)
            };
            self.tell_moved(subject, update);
            return;
        }
        if posting.seen.is_some() {
            self.posting(subject).seen = None;
            self.tell_moved(subject, SubmissionUpdate::Reorged);
            return;
        }
        let second = latest.time + 1;
        let standing = match &posting.post {
            Post::Certificate(c) => contracts.check_attest(c, second),
            Post::Settle(s) => match contracts.jobs.get(&s.job).map(|paid| paid.escrow) {
                Some(Escrow::Refunded) => Err(Revert::Refused("refunded")),
                _ => contracts.check_settle(s, second),
            },
        };
        match standing {
            Ok(()) => self.broadcast(subject, &posting),
            Err(revert) => self.give_up(subject, &posting.post, revert),
        }
    }

    fn posting(&mut self, subject: SubmissionSubject) -> &mut Posting {
        self.oracle.postings.get_mut(&subject).expect("a posting")
    }

    fn broadcast(&mut self, subject: SubmissionSubject, posting: &Posting) {
        let tx = match posting.tx {
            // The same bytes again: at most one of them takes effect.
            Some(tx) => {
                self.chain.submit_again(tx);
                tx
            }
            None => self.chain.submit(match &posting.post {
                Post::Certificate(certificate) => Tx::Attest(certificate.clone()),
                Post::Settle(settlement) => Tx::Settle(settlement.clone()),
            }),
        };
        // A call that was mined without effect is made anew.
        let waits = self.chain.is_pending(tx);
        self.posting(subject).tx = waits.then_some(tx);
        self.tell_moved(subject, SubmissionUpdate::Sent { tx });
    }

    fn give_up(&mut self, subject: SubmissionSubject, post: &Post, revert: Revert) {
        let failure = match (revert, post) {
            (Revert::EpochNotUsable, _) => SubmissionFailure::EpochNotAccepted,
            (Revert::ExcludedSigner(verifier), Post::Certificate(certificate)) => {
                let table = stakes::epoch_keys(certificate.epoch).table();
                let index = table.index_of(stakes::operator(verifier));
                let members: MemberSet = index.into_iter().collect();
                SubmissionFailure::ExcludedSigner(members)
            }
            (Revert::Early, _) | (Revert::ExcludedSigner(_), Post::Settle(_)) => return,
            (Revert::Refused(text), _) => SubmissionFailure::Refused(text.into()),
        };
        self.posting(subject).failed = true;
        self.tell_moved(subject, SubmissionUpdate::Failed(failure));
    }

    /// Tells the dispatcher how far a posting is, if it has not heard of it.
    fn tell_moved(&mut self, subject: SubmissionSubject, update: SubmissionUpdate) {
        let posting = self.posting(subject);
        if posting.told.as_ref() == Some(&update) {
            return;
        }
        posting.told = Some(update.clone());
        let about = |news: &News| matches!(news, News::Moved(known, _) if *known == subject);
        self.oracle.updates.retain(|(_, news)| !about(news));
        self.oracle.ids += 1;
        let (id, news) = (self.oracle.ids, News::Moved(subject, update));
        self.oracle.updates.push_back((id, news.clone()));
        self.oracle_says(Message::News(id, news));
    }

    /// The oracle's process dies; cursor and postings stay.
    pub fn crash_oracle(&mut self) {
        let oracle = &mut self.oracle;
        oracle.is_up = false;
        oracle.life += 1;
        oracle.connection = Connection::Down;
        self.forget_told();
    }

    /// What was told over a connection that ended may never have arrived.
    pub fn forget_told(&mut self) {
        let oracle = &mut self.oracle;
        oracle.pending.clear();
        oracle.updates.clear();
        oracle.reading = None;
        // A posting that failed without anybody hearing of it is tried again.
        for posting in oracle.postings.values_mut() {
            posting.told = None;
            posting.failed = false;
        }
    }
}
