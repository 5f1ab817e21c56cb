//! The dispatcher around the core: inbox, group commit, journal, effects, restart.
//!
//! As the real one it takes what waits, applies it all at one instant, writes the facts, and only
//! after the flush answers and runs effects. A crash loses what was not flushed, or keeps a part of
//! it: facts are written in order, so it is always the first ones.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proofgrid_core::ids::{Address, BlobDigest, JobId, SessionId};
use proofgrid_core::network::{
    Answer, Change, Consequence, Drain, Effect, Fact, Input, IntakeDepth, IntakeOutcome, JobPlan,
    Network, Outcome, Peer, Refusal,
};
use proofgrid_core::units::{Millis, UnixMillis};

use crate::chain::Settlement;
use crate::checks::Promise;
use crate::net::{Link, Message, Node};
use crate::plants::Plant;
use crate::prover;
use crate::queue::Moment;
use crate::stakes;
use crate::truth;
use crate::world::{Event, START, World};

/// Inputs that one flush covers at most.
const GROUP_MAX: u64 = 6;

/// Who waits for an answer.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Nobody.
    Nobody,
    /// A peer, on its connection.
    Peer(Link, Node, Box<Message>),
    /// The oracle, about its news.
    Oracle(Link, u64),
}

/// A durable record.
#[derive(Clone, Debug)]
enum Record {
    /// An encoded fact.
    Bytes(Vec<u8>),
    /// A stake table, whose decoding checks pairings and so is left to the core's own tests.
    Epoch(Box<Fact>),
}

/// What waits for a flush.
#[derive(Debug, Default)]
struct Flush {
    facts: Vec<Fact>,
    effects: Vec<Effect>,
    answers: Vec<(Reply, Result<Answer, Refusal>, Option<Promise>)>,
}

/// The dispatcher's process, disk and clock.
#[derive(Debug)]
pub struct Dispatcher {
    /// The state machine while the process runs.
    pub network: Option<Network>,
    /// Which life of the process this is.
    pub life: u64,
    /// Milliseconds that its clock is ahead.
    pub skew: i64,
    /// Whether it is to die in its next flush, and for how long.
    pub doomed: Option<Moment>,
    journal: Vec<Record>,
    /// Stored blobs.
    pub blobs: BTreeSet<BlobDigest>,
    /// Open connections.
    pub sessions: BTreeMap<Link, Node>,
    inbox: VecDeque<(Input, Reply)>,
    flush: Option<Flush>,
    tick_at: Option<Moment>,
}

impl Dispatcher {
    /// A dispatcher that was just started for the first time.
    pub fn new(network: Network) -> Self {
        Self {
            network: Some(network),
            life: 0,
            skew: 0,
            doomed: None,
            journal: Vec::new(),
            blobs: BTreeSet::new(),
            sessions: BTreeMap::new(),
            inbox: VecDeque::new(),
            flush: None,
            tick_at: None,
        }
    }

    /// Whether a blob is stored.
    pub fn has_blob(&self, digest: &BlobDigest) -> bool {
        self.blobs.contains(digest)
    }

    /// Whether everything that was applied is flushed.
    pub fn is_quiet(&self) -> bool {
        self.flush.is_none() && self.inbox.is_empty()
    }

    fn facts(&self) -> Vec<Fact> {
        let read = |record: &Record| match record {
            Record::Bytes(bytes) => Fact::decode(bytes).expect("written by this build"),
            Record::Epoch(fact) => (**fact).clone(),
        };
        self.journal.iter().map(read).collect()
    }

    fn write(&mut self, facts: &[Fact], plant: Option<Plant>) {
        for fact in facts {
            let lost = match fact.change {
                Change::ProofDelivered { .. } => plant == Some(Plant::DeliveriesNotJournaled),
                Change::VoteRecorded { .. } => plant == Some(Plant::VotesNotJournaled),
                Change::CommitsClosed { .. } => plant == Some(Plant::CommitSetsNotJournaled),
                _ => false,
            };
            if lost {
                continue;
            }
            self.journal.push(match fact.change {
                Change::EpochRecorded { .. } => Record::Epoch(Box::new(fact.clone())),
                _ => Record::Bytes(fact.encode()),
            });
        }
    }
}

impl World {
    /// The dispatcher's clock.
    pub fn dispatcher_clock(&self) -> UnixMillis {
        let ahead = Millis::new(self.now.saturating_add_signed(self.dispatcher.skew));
        START.after(ahead)
    }

    /// Puts an input into the inbox.
    pub fn hand_over(&mut self, input: Input, reply: Reply) {
        if self.dispatcher.network.is_some() {
            self.dispatcher.inbox.push_back((input, reply));
            self.take_inbox();
        }
    }

    /// Applies what waits, unless a flush is under way.
    fn take_inbox(&mut self) {
        if self.dispatcher.flush.is_some() || self.dispatcher.inbox.is_empty() {
            return;
        }
        let mut flush = Flush::default();
        for _ in 0..self.random.between(1, GROUP_MAX) {
            let Some((input, reply)) = self.dispatcher.inbox.pop_front() else { break };
            self.apply(&mut flush, input, reply);
            if self.broken.is_some() {
                return;
            }
        }
        if self.plan.plant == Some(Plant::AnswerBeforeFlush) {
            self.answer(std::mem::take(&mut flush.answers));
        }
        if self.plan.plant == Some(Plant::EffectBeforeFlush) {
            self.run_effects(std::mem::take(&mut flush.effects));
        }
        self.set_tick();
        let life = self.dispatcher.life;
        if flush.facts.is_empty() {
            self.dispatcher.flush = Some(flush);
            self.schedule(0, Event::Flushed { life });
            return;
        }
        let takes = self.random.between(1, self.plan.flush_max);
        self.dispatcher.flush = Some(flush);
        if let Some(down) = self.dispatcher.doomed.take() {
            let after = self.random.below(takes);
            self.schedule(after, Event::DieInFlush { life, down });
        }
        self.schedule(takes, Event::Flushed { life });
    }

    fn apply(&mut self, flush: &mut Flush, input: Input, reply: Reply) {
        let promise = Promise::of(&input);
        let clock = self.dispatcher_clock();
        let label = self.trace.is_some().then(|| brief(&input));
        let Some(network) = self.dispatcher.network.as_mut() else { return };
        let Outcome { facts, effects, answer } = network.apply(input, clock);
        if let Some(label) = label {
            let facts: Vec<String> = facts.iter().map(|fact| brief(&fact.change)).collect();
            self.note(format!("apply {label} -> {answer:?}; facts {facts:?}"));
        }
        if let Err(refusal) = &answer
            && refusal.consequence() == Consequence::Halt
        {
            self.fail("the dispatcher never halts", refusal.to_string());
            return;
        }
        if !facts.is_empty() {
            self.check_core();
            self.check_facts(&facts);
        }
        flush.facts.extend(facts);
        flush.effects.extend(effects);
        flush.answers.push((reply, answer, promise));
    }

    /// The flush is done: answers leave, then effects.
    pub fn flushed(&mut self, life: u64) {
        if life != self.dispatcher.life || self.dispatcher.network.is_none() {
            return;
        }
        let Some(flush) = self.dispatcher.flush.take() else { return };
        self.dispatcher.write(&flush.facts, self.plan.plant);
        self.answer(flush.answers);
        self.run_effects(flush.effects);
        self.take_inbox();
    }

    fn answer(&mut self, answers: Vec<(Reply, Result<Answer, Refusal>, Option<Promise>)>) {
        for (reply, answer, promise) in answers {
            // An answer that nobody gets promises nothing.
            let is_heard = !matches!(reply, Reply::Nobody) || self.plan.plant.is_none();
            if let (Ok(answer), Some(promise), true) = (&answer, promise, is_heard) {
                self.books.promise(promise, answer);
            }
            match (reply, answer) {
                (Reply::Nobody, _) => {}
                (Reply::Peer(link, to, message), Ok(_)) => {
                    self.send(link, to, Node::Dispatcher, *message);
                }
                (Reply::Peer(link, to, message), Err(refusal)) => {
                    let for_good = refusal.consequence() != Consequence::Ignore
                        || matches!(refusal, Refusal::JobBeyond { .. });
                    if for_good && !matches!(*message, Message::Registered) {
                        self.send(link, to, Node::Dispatcher, *message);
                    }
                }
                (Reply::Oracle(link, id), answer) => {
                    let again = answer.is_err_and(|r| r.consequence() == Consequence::Ignore);
                    // What is not acknowledged is told again.
                    if !again {
                        self.send(link, Node::Oracle, Node::Dispatcher, Message::Ack(id));
                    }
                }
            }
        }
    }

    fn run_effects(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            self.run_effect(effect);
        }
    }

    fn send_to(&mut self, peer: Peer, message: Message) {
        let link = peer.session.get();
        if let Some(to) = self.peer_of(link) {
            self.send(link, to, Node::Dispatcher, message);
        }
    }

    fn verifier_sessions(&self) -> Vec<Peer> {
        let sessions = self.dispatcher.sessions.iter();
        let peers = sessions.filter_map(|(link, node)| match node {
            Node::Verifier(index) => {
                let (address, session) = (stakes::operator(*index), SessionId::new(*link));
                Some(Peer { address, session })
            }
            _ => None,
        });
        peers.collect()
    }

    fn send_to_oracle(&mut self, message: Message) {
        let sessions = self.dispatcher.sessions.iter().rev();
        let link =
            sessions.filter(|(_, peer)| **peer == Node::Oracle).map(|(link, _)| *link).next();
        if let Some(link) = link {
            self.send(link, Node::Oracle, Node::Dispatcher, message);
        }
    }

    fn run_effect(&mut self, effect: Effect) {
        match effect {
            Effect::PlanJob { job, spec, .. } => {
                let input = match truth::plan(&spec) {
                    Ok(plan) => Input::JobPlanned { job, plan },
                    Err(reason) => Input::JobRefused { job, reason },
                };
                self.work_here(input);
            }
            Effect::AssignTask { prover, assignment } => {
                self.books.granted(&assignment.lease, prover.address);
                self.send_to(prover, Message::Assign(assignment));
            }
            Effect::CancelTask { prover, task, attempt, .. } => {
                self.send_to(prover, Message::Stop(task, attempt));
            }
            Effect::JudgeIntake {
                task, attempt, prover, report, job, plan, index, verify, ..
            } => {
                let outcome = self.judge(prover, report.proof, (job, index), &plan, verify);
                self.work_here(Input::IntakeJudged { task, attempt, prover, outcome });
            }
            Effect::OpenVoting { verifiers, epoch, digest, opened, spec, .. } => {
                for peer in verifiers {
                    let (opened, spec) = (Box::new(opened.clone()), Box::new(spec.clone()));
                    self.send_to(peer, Message::OpenVoting(epoch, digest, opened, spec));
                }
            }
            Effect::OpenReveal { verifiers, set } => {
                self.check_commit_set(&set);
                for peer in verifiers {
                    self.send_to(peer, Message::OpenReveal(Box::new(set.clone())));
                }
            }
            Effect::RequestAttestation { mut verifiers, request } => {
                // Verifiers believe nobody: now and then all are asked, also who did not vote.
                if !self.healed && self.random.chance(50) {
                    verifiers = self.verifier_sessions();
                }
                for peer in verifiers {
                    self.send_to(peer, Message::AskAttest(Box::new(request.clone())));
                }
            }
            Effect::SubmitCertificate { certificate, .. } => {
                self.send_to_oracle(Message::Post(certificate));
            }
            Effect::SettleJob { job, opened, leaf_index, path, certificate, .. } => {
                let (root, count) = (certificate.root, certificate.count);
                let settlement = Settlement { job, opened, leaf_index, path, root, count };
                self.send_to_oracle(Message::SettleJob(Box::new(settlement)));
            }
            Effect::DeleteBlob { digest } => {
                self.check_unneeded(&digest);
                if !self.is_wanted(&digest) {
                    self.dispatcher.blobs.remove(&digest);
                }
            }
            Effect::CloseSession { peer } => self.break_link(peer.session.get()),
            // No job of these runs is raced for.
            Effect::OfferRace { .. }
            | Effect::TakeRaceProofs { .. }
            | Effect::JudgeRaceEntry { .. }
            | Effect::OfferSegment { .. }
            | Effect::WithdrawStatement { .. }
            | Effect::JobChanged { .. } => {}
        }
    }

    /// Whether somebody named a blob, or stored it, since its removal was decided.
    fn is_wanted(&self, digest: &BlobDigest) -> bool {
        let network = self.dispatcher.network.as_ref();
        let comes = |(input, _): &(Input, Reply)| match input {
            Input::BlobStored { digest: stored, .. } => stored == digest,
            Input::TaskCompleted { report, .. } => report.proof == *digest,
            _ => false,
        };
        network.is_some_and(|n| n.wants_blob(digest)) || self.dispatcher.inbox.iter().any(comes)
    }

    /// What intake makes of a proof.
    fn judge(
        &mut self,
        prover: Address,
        proof: BlobDigest,
        (job, index): (JobId, u32),
        plan: &JobPlan,
        verify: IntakeDepth,
    ) -> IntakeOutcome {
        if !self.dispatcher.has_blob(&proof) {
            return IntakeOutcome::Unjudged { reason: "the blob is gone".into() };
        }
        if !self.healed && self.random.chance(self.plan.unjudged) {
            return IntakeOutcome::Unjudged { reason: "the judge did not finish".into() };
        }
        if self.plan.plant == Some(Plant::IntakeBelievesProver) {
            return IntakeOutcome::Accepted(truth::record(plan, index, prover, proof));
        }
        let refused = |code: &str| IntakeOutcome::Refused { code: code.into(), text: code.into() };
        let Some(known) = self.truth.proof(&proof) else { return refused("garbage") };
        if (known.job, known.index) != (job, index) {
            return refused("claim_mismatch");
        }
        if verify == IntakeDepth::Judge && !known.holds {
            return refused("algebra");
        }
        IntakeOutcome::Accepted(truth::record(plan, index, known.author, proof))
    }

    /// Something that the dispatcher works out apart from its actor.
    fn work_here(&mut self, input: Input) {
        let life = self.dispatcher.life;
        let after = self.random.between(5, 300);
        self.schedule(after, Event::Worked { life, input: Box::new(input) });
    }

    /// That work is done.
    pub fn worked(&mut self, life: u64, input: Input) {
        if life == self.dispatcher.life {
            self.hand_over(input, Reply::Nobody);
        }
    }

    /// A connection ended.
    pub fn dispatcher_link_down(&mut self, link: Link) {
        let Some(peer) = self.dispatcher.sessions.remove(&link) else { return };
        let session = SessionId::new(link);
        let input = match peer {
            Node::Prover(index) => {
                Input::ProverDisconnected { prover: prover::address_of(index), session }
            }
            Node::Verifier(index) => {
                Input::VerifierDisconnected { operator: stakes::operator(index), session }
            }
            Node::Oracle => Input::OracleDisconnected { chain: stakes::CHAIN, session },
            Node::Dispatcher | Node::Requester(_) => return,
        };
        self.hand_over(input, Reply::Nobody);
    }

    /// Wakes the dispatcher when a timer of the core is due.
    fn set_tick(&mut self) {
        let Some(due) = self.dispatcher.network.as_ref().and_then(Network::next_wakeup) else {
            return;
        };
        let clock = self.dispatcher_clock();
        // Never twice at one instant: a timer that is overdue fires with the next millisecond.
        let at = self.now + due.since(clock).get().max(1);
        if self.dispatcher.tick_at.is_none_or(|known| at < known || known <= self.now) {
            self.dispatcher.tick_at = Some(at);
            let life = self.dispatcher.life;
            self.schedule(at - self.now, Event::Tick { life });
        }
    }

    /// A timer of the core may be due.
    pub fn tick(&mut self, life: u64) {
        if life != self.dispatcher.life || self.dispatcher.tick_at.is_none_or(|at| at > self.now) {
            return;
        }
        self.dispatcher.tick_at = None;
        let due = self.dispatcher.network.as_ref().and_then(Network::next_wakeup);
        if due.is_some_and(|at| at <= self.dispatcher_clock()) {
            self.hand_over(Input::Tick, Reply::Nobody);
        } else {
            self.set_tick();
        }
    }

    /// An administrator takes every running lease back.
    pub fn requeue_all(&mut self) {
        let Some(network) = &self.dispatcher.network else { return };
        let running: Vec<_> = network.state().running.values().flatten().copied().collect();
        for task in running {
            self.hand_over(Input::RequeueTask { task }, Reply::Nobody);
        }
    }

    /// An administrator drains a prover, or takes it back.
    pub fn administer(&mut self, prover: usize, drain: Drain) {
        let prover = prover::address_of(prover);
        self.hand_over(Input::DrainProver { prover, drain }, Reply::Nobody);
    }

    /// The process dies; of what was being flushed the first facts may be on the disk.
    pub fn crash_dispatcher(&mut self, down: Moment) {
        let Some(network) = self.dispatcher.network.take() else { return };
        self.dispatcher.life += 1;
        self.report.restarts += 1;
        self.dispatcher.inbox.clear();
        self.dispatcher.sessions.clear();
        self.dispatcher.tick_at = None;
        let flush = self.dispatcher.flush.take().unwrap_or_default();
        if self.plan.plant.is_none() {
            let facts = self.dispatcher.facts().into_iter().chain(flush.facts.iter().cloned());
            match Network::replay(network.config().clone(), facts) {
                Ok(replayed) if replayed.state() == network.state() => {}
                Ok(_) => self.fail("replaying the facts gives the same state", String::new()),
                Err(error) => self.fail("the facts can be replayed", error.to_string()),
            }
        }
        let kept = self.random.index(flush.facts.len() + 1);
        self.dispatcher.write(&flush.facts[..kept], self.plan.plant);
        self.break_links(None);
        self.schedule(down, Event::Restart(Node::Dispatcher));
    }

    /// The process starts again: replay, `resume`, effects that are owed.
    pub fn restart_dispatcher(&mut self) {
        if self.dispatcher.network.is_some() {
            return;
        }
        let facts = self.dispatcher.facts();
        let mut network = match Network::replay(self.plan.config.clone(), facts) {
            Ok(network) => network,
            Err(error) => return self.fail("the journal can be replayed", error.to_string()),
        };
        let clock = self.dispatcher_clock();
        let effects = match self.plan.plant {
            Some(Plant::NoResume) => Vec::new(),
            _ => network.resume(clock),
        };
        // What the crash cut off is made up for with the first input; the core's rules hold after it.
        self.dispatcher.network = Some(network);
        self.check_promises();
        self.run_effects(effects);
        self.set_tick();
    }
}

/// The first words of a value, for people.
fn brief(value: &impl std::fmt::Debug) -> String {
    let text = format!("{value:?}");
    text.chars().take(160).collect()
}
