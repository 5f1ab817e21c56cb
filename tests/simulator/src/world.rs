//! One run: the loop, and what it reports.

use std::collections::VecDeque;

use proofgrid_core::ids::{Attempt, EpochNumber, StatementDigest, TaskId};
use proofgrid_core::network::{Drain, Input, JobStateKind, Network, State, TaskState};
use proofgrid_core::units::{Millis, UnixMillis};

use crate::chain::{Chain, Escrow, Tx};
use crate::checks::Books;
use crate::dispatcher::Dispatcher;
use crate::net::{Link, Message, Net, Node};
use crate::oracle::Oracle;
use crate::plan::{Endpoint, Fault, Plan};
use crate::plants::Plant;
use crate::prover::{Connection, Prover};
use crate::queue::{Moment, Queue};
use crate::random::Random;
use crate::requester::Requester;
use crate::stakes::VERIFIERS;
use crate::truth::Truth;
use crate::verifier::Verifier;

/// The true time at which every run starts.
pub const START: UnixMillis = UnixMillis::new(1_700_000_000_000);
/// Time between two blocks.
const BLOCK_MS: Moment = 1_000;
/// Time after the last deadline by which every job is over once faults have stopped.
const LIVENESS_MS: Moment = 60_000;
/// Longest deadline that a requester draws, by the clock of the run.
const DEADLINE_MAX_MS: Moment = 80_000;
/// Most events of one run; a run that goes on for longer spins.
const STEPS_MAX: u64 = 200_000;
/// Most wake-ups until no timer is left, once everything is over.
const WAKEUPS_MAX: u32 = 2_000;
/// Events that a failure shows.
const TRACE_MAX: usize = 60;

/// Something that is going to happen.
#[derive(Debug)]
pub enum Event {
    /// A message arrives.
    Deliver { link: Link, from: Node, to: Node, message: Message },
    /// One end notices that its connection ended.
    LinkDown { link: Link, at: Node },
    /// A process wakes itself up.
    Timer { node: Node, life: u64, timer: Timer },
    /// The journal is flushed.
    Flushed { life: u64 },
    /// The dispatcher dies while it flushes.
    DieInFlush { life: u64, down: Moment },
    /// A timer of the core is due.
    Tick { life: u64 },
    /// The dispatcher has planned or judged.
    Worked { life: u64, input: Box<Input> },
    /// Something breaks.
    Fault(Fault),
    /// The connections of a peer end.
    BreakNode(Node),
    /// A process starts again.
    Restart(Node),
    /// A block is due.
    Block,
    /// Faults stop.
    Heal,
}

/// Why a process wakes itself up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// To connect.
    Connect,
    /// To give a connection up that was not answered.
    ConnectOver(Link),
    /// To say that it is alive.
    Heartbeat,
    /// To repeat what nobody answered.
    Repeat,
    /// Its proof is done.
    Work(TaskId, Attempt),
    /// Its judge is done.
    Judge(StatementDigest, EpochNumber),
    /// To look at the chain, or at its jobs.
    Look,
}

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Events.
    pub steps: u64,
    /// Jobs that the dispatcher knew.
    pub jobs: u64,
    /// Those of them that were settled.
    pub settled: u64,
    /// Those of them that were held at some time.
    pub held: u64,
    /// Restarts of the dispatcher.
    pub restarts: u64,
    /// Reorgs.
    pub reorgs: u64,
    /// Certificates.
    pub certificates: u64,
}

/// A rule that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// The event after which it did not hold, from 1.
    pub step: u64,
    /// Milliseconds since the start of the run.
    pub at_ms: u64,
    /// The rule.
    pub rule: String,
    /// What breaks it.
    pub subject: String,
    /// The last events before it.
    pub events: Vec<String>,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for event in &self.events {
            writeln!(f, "  {event}")?;
        }
        let Self { seed, step, at_ms, rule, subject, .. } = self;
        write!(f, "seed {seed}, step {step}, {at_ms} ms: broken: {rule} ({subject})")
    }
}

/// Everything that a run is made of.
pub struct World {
    pub now: Moment,
    pub random: Random,
    pub plan: Plan,
    pub net: Net,
    pub dispatcher: Dispatcher,
    pub provers: Vec<Prover>,
    pub verifiers: Vec<Verifier>,
    pub requesters: Vec<Requester>,
    pub oracle: Oracle,
    pub chain: Chain,
    pub truth: Truth,
    pub books: Books,
    pub healed: bool,
    pub broken: Option<(&'static str, String)>,
    pub report: Report,
    pub trace: Option<VecDeque<String>>,
    queue: Queue<Event>,
}

/// Runs a seed, with a planted bug or without.
///
/// # Errors
/// The first rule that did not hold, with the events before it.
pub fn run(seed: u64, plant: Option<Plant>) -> Result<Report, Box<Failure>> {
    let mut world = World::new(seed, plant, None);
    world.play();
    if world.broken.is_none() {
        return Ok(world.report);
    }
    // The same again, this time with a pen: writing events down costs more than running them.
    let mut world = World::new(seed, plant, Some(VecDeque::new()));
    world.play();
    let (rule, subject) = world.broken.take().expect("a seed is one run");
    Err(Box::new(Failure {
        seed,
        step: world.report.steps,
        at_ms: world.now,
        rule: rule.into(),
        subject,
        events: world.trace.take().unwrap_or_default().into(),
    }))
}

impl World {
    fn new(seed: u64, plant: Option<Plant>, trace: Option<VecDeque<String>>) -> Self {
        let mut random = Random::new(seed);
        let plan = Plan::draw(&mut random, plant);
        let chain = Chain::new(START.as_seconds().get(), plan.finality_lag, plant);
        let mut world = Self {
            now: 0,
            random,
            net: Net::default(),
            dispatcher: Dispatcher::new(Network::new(plan.config.clone())),
            provers: plan.provers.iter().map(|kind| Prover::new(*kind)).collect(),
            verifiers: plan.verifiers.iter().map(|kind| Verifier::new(*kind)).collect(),
            requesters: Vec::new(),
            oracle: Oracle::new(),
            chain,
            truth: Truth::default(),
            books: Books::default(),
            healed: false,
            broken: None,
            report: Report::default(),
            trace,
            queue: Queue::new(),
            plan,
        };
        world.note(format!("plan {:?}", world.plan));
        world.draw_requesters();
        for (at, fault) in world.plan.faults.clone() {
            world.queue.push(at, Event::Fault(fault));
        }
        world.queue.push(world.plan.heal_at, Event::Heal);
        world.queue.push(BLOCK_MS, Event::Block);
        for node in world.peers() {
            let after = world.random.between(1, 200);
            world.arm(node, after, Timer::Connect);
        }
        world.arm(Node::Oracle, 500, Timer::Look);
        world
    }

    fn peers(&self) -> Vec<Node> {
        let provers = (0..self.provers.len()).map(Node::Prover);
        let verifiers = (0..VERIFIERS).map(Node::Verifier);
        provers.chain(verifiers).chain([Node::Oracle]).collect()
    }

    /// Adds an event.
    pub fn schedule(&mut self, after: Moment, event: Event) {
        self.queue.push(self.now + after, event);
    }

    /// Wakes a process up later in this life of it.
    pub fn arm(&mut self, node: Node, after: Moment, timer: Timer) {
        let life = self.life_of(node);
        self.schedule(after, Event::Timer { node, life, timer });
    }

    fn life_of(&self, node: Node) -> u64 {
        match node {
            Node::Dispatcher => self.dispatcher.life,
            Node::Prover(index) => self.provers[index].life,
            Node::Verifier(index) => self.verifiers[index].life,
            Node::Requester(_) => 0,
            Node::Oracle => self.oracle.life,
        }
    }

    /// Notes the first rule that does not hold; the run ends with this event.
    pub fn fail(&mut self, rule: &'static str, subject: String) {
        if self.broken.is_none() {
            self.broken = Some((rule, subject));
        }
    }

    /// Writes something down for whoever reads a failure.
    pub fn note(&mut self, text: String) {
        let now = self.now;
        if let Some(trace) = &mut self.trace {
            if trace.len() >= TRACE_MAX {
                trace.remove(1);
            }
            trace.push_back(format!("{now:>7} {text}"));
        }
    }

    fn play(&mut self) {
        let end = DEADLINE_MAX_MS.max(self.plan.heal_at) + LIVENESS_MS;
        while let Some((at, event)) = self.queue.pop() {
            if at > end {
                self.fail("every job is over some time after faults stop", self.open_jobs());
                return;
            }
            self.now = at;
            self.report.steps += 1;
            if self.trace.is_some() {
                let text: String = format!("{event:?}").chars().take(200).collect();
                self.note(text);
            }
            let is_block = matches!(event, Event::Block);
            self.happen(event);
            if self.report.steps > STEPS_MAX {
                self.fail("a run ends", format!("{STEPS_MAX} events"));
            }
            if self.broken.is_some() {
                return;
            }
            if is_block && self.is_over() {
                break;
            }
        }
        self.check_promises();
        self.count();
        self.check_end();
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Deliver { link, from, to, message } => self.deliver(link, from, to, message),
            Event::LinkDown { link, at } => self.link_down(link, at),
            Event::Timer { node, life, timer } => {
                if life == self.life_of(node) {
                    self.wake(node, timer);
                }
            }
            Event::Flushed { life } => self.flushed(life),
            Event::DieInFlush { life, down } => {
                if life == self.dispatcher.life {
                    self.crash_dispatcher(down);
                }
            }
            Event::Tick { life } => self.tick(life),
            Event::Worked { life, input } => self.worked(life, *input),
            Event::Fault(fault) => self.suffer(fault),
            Event::BreakNode(node) => self.break_links(Some(node)),
            Event::Restart(node) => self.restart(node),
            Event::Block => self.mine(),
            Event::Heal => self.heal(),
        }
    }

    fn deliver(&mut self, link: Link, from: Node, to: Node, message: Message) {
        match to {
            Node::Dispatcher => self.dispatcher_receives(link, from, message),
            Node::Prover(index) => self.prover_receives(index, link, message),
            Node::Verifier(index) => self.verifier_receives(index, link, message),
            Node::Requester(index) => self.requester_receives(index, message),
            Node::Oracle => self.oracle_receives(link, message),
        }
    }

    fn wake(&mut self, node: Node, timer: Timer) {
        if let Timer::ConnectOver(link) = timer {
            if self.connection(node).is_some_and(|c| *c == Connection::Opening(link)) {
                self.break_link(link);
            }
            return;
        }
        match node {
            Node::Prover(index) => self.prover_timer(index, timer),
            Node::Verifier(index) => self.verifier_timer(index, timer),
            Node::Oracle => self.oracle_timer(timer),
            Node::Requester(index) => self.requester_looks(index),
            Node::Dispatcher => {}
        }
    }

    fn connection(&mut self, node: Node) -> Option<&mut Connection> {
        match node {
            Node::Prover(index) => Some(&mut self.provers[index].connection),
            Node::Verifier(index) => Some(&mut self.verifiers[index].connection),
            Node::Oracle => Some(&mut self.oracle.connection),
            Node::Dispatcher | Node::Requester(_) => None,
        }
    }

    fn link_down(&mut self, link: Link, at: Node) {
        if at == Node::Dispatcher {
            self.dispatcher_link_down(link);
            return;
        }
        let Some(connection) = self.connection(at).filter(|c| c.link() == Some(link)) else {
            return;
        };
        *connection = Connection::Down;
        if at == Node::Oracle {
            self.forget_told();
        }
        let longest = if self.healed { 200 } else { 2_000 };
        let after = self.random.between(20, longest);
        self.arm(at, after, Timer::Connect);
    }

    fn suffer(&mut self, fault: Fault) {
        if self.healed && !matches!(fault, Fault::Snapshot(_)) {
            return;
        }
        match fault {
            Fault::Crash(Node::Dispatcher, down) => self.crash_dispatcher(down),
            Fault::Crash(node, down) => self.crash_peer(node, down),
            Fault::CrashMidFlush(down) => self.dispatcher.doomed = Some(down),
            Fault::Cut(node, span) => {
                let until = self.now + span;
                self.cut(node, until);
            }
            Fault::Break(node) => self.break_links(Some(node)),
            Fault::Skew(ahead) => self.dispatcher.skew = ahead,
            Fault::Reorg(depth) => self.reorg(depth),
            Fault::Snapshot(epoch) => {
                self.chain.submit(Tx::Snapshot(epoch));
                let known = self.chain.newest_final().contracts.epochs.contains_key(&epoch);
                if !known {
                    self.schedule(5_000, Event::Fault(fault));
                }
            }
            Fault::Exclude(epoch, verifier) => {
                self.chain.submit(Tx::Exclude(epoch, verifier));
            }
            Fault::Endpoint(kind, span) => self.oracle.endpoint = (kind, self.now + span),
            Fault::Drain(prover) => {
                if self.random.chance(500) {
                    self.drain_prover(prover);
                } else {
                    self.administer(prover, Drain::Start);
                }
            }
            Fault::Requeue => self.requeue_all(),
        }
    }

    fn crash_peer(&mut self, node: Node, down: Moment) {
        match node {
            Node::Prover(index) => self.crash_prover(index),
            Node::Verifier(index) => self.crash_verifier(index),
            Node::Oracle => self.crash_oracle(),
            Node::Dispatcher | Node::Requester(_) => return,
        }
        self.break_links(Some(node));
        self.schedule(down, Event::Restart(node));
    }

    fn restart(&mut self, node: Node) {
        let is_up = match node {
            Node::Dispatcher => return self.restart_dispatcher(),
            Node::Prover(index) => &mut self.provers[index].is_up,
            Node::Verifier(index) => &mut self.verifiers[index].is_up,
            Node::Oracle => &mut self.oracle.is_up,
            Node::Requester(_) => return,
        };
        if std::mem::replace(is_up, true) {
            return;
        }
        self.arm(node, 10, Timer::Connect);
        if node == Node::Oracle {
            self.arm(node, 500, Timer::Look);
        }
    }

    fn second(&self) -> u64 {
        START.after(Millis::new(self.now)).as_seconds().get()
    }

    fn mine(&mut self) {
        let second = self.second();
        let lazy = if self.healed { 0 } else { 100 };
        let Self { chain, random, .. } = self;
        chain.mine(second, || random.chance(lazy));
        self.check_chain();
        self.schedule(BLOCK_MS, Event::Block);
    }

    fn reorg(&mut self, depth: u64) {
        let second = self.second();
        let Self { chain, random, .. } = self;
        let gone = chain.reorg(depth, || random.chance(250));
        if gone > 0 {
            self.report.reorgs += 1;
        }
        for back in (0..gone).rev() {
            let Self { chain, random, .. } = self;
            chain.mine(second - back, || random.chance(500));
            self.check_chain();
        }
    }

    /// Faults stop: everybody runs, connections are made anew and lose nothing any more.
    fn heal(&mut self) {
        self.healed = true;
        self.oracle.endpoint = (Endpoint::Good, 0);
        self.dispatcher.doomed = None;
        self.break_links(None);
        let mut nodes = self.peers();
        nodes.push(Node::Dispatcher);
        for node in nodes {
            self.schedule(50, Event::Restart(node));
        }
        for index in 0..self.provers.len() {
            self.schedule(
                200,
                Event::Worked {
                    life: self.dispatcher.life,
                    input: Box::new(Input::DrainProver {
                        prover: crate::prover::address_of(index),
                        drain: Drain::Stop,
                    }),
                },
            );
        }
    }

    /// Whether everything that anybody asked for has ended, and all of it is written down.
    fn is_over(&self) -> bool {
        let Some(network) = &self.dispatcher.network else { return false };
        let jobs = &network.state().jobs;
        let asked = self.requesters.iter().flat_map(|requester| &requester.errands);
        let wishes = asked.map(|errand| &errand.wish);
        let on_chain = &self.chain.newest_final().contracts.jobs;
        let started = wishes.clone().all(|wish| {
            jobs.contains_key(&wish.id)
                || self.second() > wish.spec.deadline.get()
                    && !self.chain.latest().contracts.jobs.contains_key(&wish.id)
        });
        started
            && self.healed
            && self.dispatcher.is_quiet()
            && jobs.values().all(|job| match on_chain.get(&job.id).map(|paid| paid.escrow) {
                Some(Escrow::Open) => false,
                Some(Escrow::Settled) => job.state.kind() == JobStateKind::Settled,
                Some(Escrow::Refunded) => job.state.kind() == JobStateKind::Expired,
                None => job.state.kind().is_terminal(),
            })
            && leftovers(network.state()).iter().all(|(_, count)| *count == 0)
    }

    /// What is still open, for people.
    fn open_jobs(&self) -> String {
        let Some(network) = &self.dispatcher.network else { return "no dispatcher".into() };
        let on_chain = &self.chain.newest_final().contracts.jobs;
        let asked = self.requesters.iter().flat_map(|requester| &requester.errands);
        let mut open = Vec::new();
        for wish in asked.map(|errand| &errand.wish) {
            let known = network.state().jobs.get(&wish.id);
            let state = known.map(|job| job.state.kind());
            let escrow = on_chain.get(&wish.id).map(|paid| paid.escrow);
            let last = known.and_then(|job| job.history.back()).map(|entry| entry.reason.clone());
            let tasks = known.map_or(0, |job| {
                job.tasks.iter().filter(|t| matches!(t.state, TaskState::Leased(_))).count()
            });
            open.push(format!(
                "{}: {state:?} ({last:?}), {tasks} leased, escrow {escrow:?}",
                wish.id
            ));
        }
        let quiet = self.dispatcher.is_quiet();
        format!("{open:#?}, left over {:?}, quiet {quiet}", leftovers(network.state()))
    }

    /// Once peers are gone nothing is left over, neither timers nor blobs.
    fn check_end(&mut self) {
        let Some(mut network) = self.dispatcher.network.take() else { return };
        // An administrator's drain is kept for as long as nobody takes it back.
        let clock = self.dispatcher_clock();
        for index in 0..self.provers.len() {
            let prover = crate::prover::address_of(index);
            network.apply(Input::DrainProver { prover, drain: Drain::Stop }, clock);
        }
        let mut wakeups = 0;
        while let Some(at) = network.next_wakeup() {
            network.apply(Input::Tick, at);
            wakeups += 1;
            if wakeups > WAKEUPS_MAX {
                self.fail("no timer is left over", format!("{at} is due after {wakeups} others"));
                break;
            }
        }
        let blobs = network.state().blobs.len();
        if blobs > 0 {
            self.fail("no blob is left over", format!("{blobs} blobs"));
        }
        self.dispatcher.network = Some(network);
    }

    fn count(&mut self) {
        let Some(network) = &self.dispatcher.network else { return };
        for job in network.state().jobs.values() {
            self.report.jobs += 1;
            self.report.settled += u64::from(job.state.kind() == JobStateKind::Settled);
            let held = job.history.iter().any(|entry| entry.state == JobStateKind::Held);
            self.report.held += u64::from(held);
        }
    }
}

/// What is still under way.
fn leftovers(state: &State) -> [(&'static str, usize); 9] {
    [
        ("running leases", state.running.len()),
        ("proofs at intake", state.at_intake.len()),
        ("queued tasks", state.queue.len()),
        ("statements being voted on", state.voting.len()),
        ("statements without a batch", state.pending.len()),
        ("open batches", state.open_batches.len()),
        ("live jobs", state.live_jobs),
        ("jobs waiting for input", state.awaiting.len()),
        ("certificates to post", state.posting.len()),
    ]
}
