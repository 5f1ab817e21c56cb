//! The second layer: the real dispatcher, provers, verifiers and sessions on a simulated network.
//!
//! Every host is a program of this workspace on a runtime of its own with a clock that stands still
//! until all is done; `turmoil` carries the bytes between their HTTP/2 connections and takes them
//! away. All of it runs on one thread: work that would go to another is done in turn
//! (`proofgrid_store::blocking`), the journal writes at a pace that the seed draws.

mod alone;
mod books;
mod disk;
mod faults;
mod hostile_prover;
mod hostile_verifier;
mod peers;
mod program;
mod restart;
mod rig;
mod setup;
mod truth;

use std::fmt;
use std::iter;
use std::time::Duration;

use borsh::{BorshDeserialize, BorshSerialize};
use proofgrid_core::network::JobStateKind;

use crate::random::Random;

pub use self::alone::run_wire_alone;

use self::books::{Broken, Ledger};
use self::faults::Faults;
use self::peers::Errand;
use self::restart::Restart;
use self::rig::{DISPATCHER, PROVERS, Rig, STAKES};
use self::truth::Truth;

/// One step of the network and of every host.
const TICK: Duration = Duration::from_millis(5);
/// How often the journal is held against the books.
const CHECK: Duration = Duration::from_secs(1);
/// Longest run: faults end after a minute, and every time-out of the network is shorter than the
/// rest.
const LONGEST: Duration = Duration::from_secs(420);

/// A bug on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WirePlant {
    /// The disk says that it has written what it only cached: the dispatcher answers before the
    /// flush.
    DiskLies,
    /// The dispatcher's clock stands still, so nothing that it waits for is ever over.
    ClockStandsStill,
    /// A verifier judges every segment under the binding of the first.
    JudgeMixesUpSegments,
    /// Verifiers believe every envelope.
    JudgeBelieves,
    /// A snapshot says that it holds the record after its last one too.
    SnapshotMissesRecord,
    /// The disk takes one record more away than it was told to.
    TruncatesTooMuch,
}

impl WirePlant {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::DiskLies,
        Self::ClockStandsStill,
        Self::JudgeMixesUpSegments,
        Self::JudgeBelieves,
        Self::SnapshotMissesRecord,
        Self::TruncatesTooMuch,
    ];
}

/// What a run was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct WireReport {
    /// Jobs that are settled.
    pub settled: u32,
    /// Jobs that a hostile prover made fail.
    pub failed: u32,
    /// Facts in the journal.
    pub facts: u32,
    /// Crashes of the dispatcher.
    pub dispatcher_crashes: u32,
    /// Crashes of anybody else.
    pub other_crashes: u32,
    /// Cuts and pauses of the network.
    pub cuts: u32,
    /// Times that the dispatcher's machine stopped in a compaction.
    pub disk_deaths: u32,
    /// Snapshots that were looked at.
    pub snapshots: u32,
    /// Statements that were not so.
    pub lies: u32,
    /// Votes both ways that are on record.
    pub accusations: u32,
    /// Jumps of the dispatcher's clock.
    pub clock_jumps: u32,
    /// Milliseconds that passed in the simulation.
    pub lasted_ms: u64,
    /// Digest of every decision and its time.
    pub digest: [u8; 32],
}

/// A rule that broke under a seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireFailure {
    /// The seed.
    pub seed: u64,
    /// How far the run was.
    pub after: Duration,
    /// The rule.
    pub rule: &'static str,
    /// What broke it.
    pub subject: String,
    /// What went wrong on purpose before.
    pub faults: Vec<String>,
    /// The last facts, the newest last.
    pub facts: Vec<String>,
}

impl fmt::Display for WireFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {} after {:?}: {}: {}", self.seed, self.after, self.rule, self.subject)?;
        for line in self.faults.iter().chain(&self.facts) {
            writeln!(f, "  {line}")?;
        }
        Ok(())
    }
}

fn errands(random: &mut Random) -> Vec<Errand> {
    let mut after = Duration::from_millis(random.between(500, 4_000));
    let errand = |nonce| {
        let input = (0..random.between(3, 200)).map(|_| (random.next() & 0xff) as u8).collect();
        let errand = Errand { after, nonce, input };
        after += Duration::from_millis(random.between(100, 12_000));
        errand
    };
    (1..=6).map(errand).collect()
}

/// Runs a seed, the only one of this process: what a run leaves behind would be in the next one. See
/// [`run_wire_alone`].
///
/// # Errors
/// The first rule that broke.
pub fn run_wire(seed: u64, plant: Option<WirePlant>) -> Result<WireReport, Box<WireFailure>> {
    proofgrid_store::blocking::run_in_turn();
    let mut random = Random::new(seed);
    let rig = Rig::new(seed, plant).expect("a directory for the run");
    fastrand::seed(seed);
    let machine = rig.config().state_machine().expect("good settings");
    let (ledger, restart) = (Ledger::new(machine, rig.setup()), Restart::new(rig.snapshots()));
    let mut run = Run { seed, rig, ledger, restart, faults: Faults::draw(&mut random) };
    let slowest = Duration::from_millis(random.between(2, 80));
    let mut sim = turmoil::Builder::new()
        .simulation_duration(LONGEST)
        .tick_duration(TICK)
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(slowest)
        .tcp_capacity(1 << 16)
        .epoch(std::time::UNIX_EPOCH + Duration::from_millis(rig::BEGIN_MS))
        .rng_seed(random.next())
        .enable_random_order()
        .build();
    let rig = &run.rig;
    let of = |rig: &Rig| rig.clone();
    sim.host(DISPATCHER, {
        let rig = of(rig);
        move || rig.clone().dispatcher()
    });
    sim.host("oracle", {
        let rig = of(rig);
        move || rig.clone().oracle()
    });
    for index in 0..PROVERS {
        let rig = of(rig);
        match rig.setup().prover.filter(|(hostile, _)| *hostile == index) {
            None => sim.host(format!("prover-{index}"), move || rig.clone().prover(index)),
            Some((_, kind)) => {
                sim.host(format!("prover-{index}"), move || rig.clone().hostile_prover(index, kind))
            }
        }
    }
    for index in 0..STAKES.len() {
        let rig = of(rig);
        match rig.setup().verifier.filter(|(hostile, _)| *hostile == index) {
            None => sim.host(format!("verifier-{index}"), move || rig.clone().verifier(index)),
            Some((_, kind)) => sim.host(format!("verifier-{index}"), move || {
                rig.clone().hostile_verifier(index, kind)
            }),
        }
    }
    let errands = errands(&mut random);
    let requester = of(rig);
    sim.host("requester", move || requester.clone().requester(errands.clone()));
    run.steps(&mut sim)
}

fn few(number: usize) -> u32 {
    u32::try_from(number).expect("a short run")
}

struct Run {
    seed: u64,
    rig: Rig,
    ledger: Ledger,
    restart: Restart,
    faults: Faults,
}

impl Run {
    fn steps(&mut self, sim: &mut turmoil::Sim<'_>) -> Result<WireReport, Box<WireFailure>> {
        let mut next_check = CHECK;
        loop {
            let now = sim.elapsed();
            self.rig.set_now(now);
            self.faults.apply(now, sim, &self.rig);
            if let Err(error) = sim.step() {
                return self.fail(now, "no host gives up", error.to_string());
            }
            if now < next_check {
                continue;
            }
            next_check = now + CHECK;
            let checked = self.check();
            if let Err(Broken { rule, subject }) = checked {
                return self.fail(now, rule, subject);
            }
            if self.faults.are_over(now) && self.ledger.is_over(&self.rig.books()) {
                return Ok(self.report(now));
            }
            if now + CHECK + TICK >= LONGEST {
                let left = self.ledger.left();
                return self.fail(now, "every job is settled some time after faults stop", left);
            }
        }
    }

    fn check(&mut self) -> Result<(), Broken> {
        let disk = self.rig.disk();
        self.ledger.read(disk, &self.rig.books())?;
        self.restart.spoil(self.rig.plant(), disk);
        self.restart.check(disk, self.ledger.state())?;
        self.ledger.check(&self.rig.books(), self.rig.dispatcher_now())
    }

    fn report(&self, lasted: Duration) -> WireReport {
        WireReport {
            settled: few(self.ledger.count(JobStateKind::Settled)),
            failed: few(self.ledger.count(JobStateKind::Failed)),
            facts: few(self.ledger.facts().len()),
            dispatcher_crashes: self.faults.dispatcher_crashes,
            other_crashes: self.faults.other_crashes,
            cuts: self.faults.cuts,
            disk_deaths: self.faults.disk_deaths,
            snapshots: self.restart.seen,
            lies: few(self.ledger.num_lies()),
            accusations: few(Truth::accusations(self.ledger.state())),
            clock_jumps: self.faults.clock_jumps,
            lasted_ms: u64::try_from(lasted.as_millis()).expect("a short run"),
            digest: self.ledger.digest(),
        }
    }

    fn fail<T>(
        &self,
        after: Duration,
        rule: &'static str,
        subject: String,
    ) -> Result<T, Box<WireFailure>> {
        let facts = self.ledger.facts();
        let last = facts.iter().skip(facts.len().saturating_sub(20));
        let line = |fact: &proofgrid_core::network::Fact| {
            let at = fact.at.get().saturating_sub(rig::BEGIN_MS);
            let text: String = format!("{:?}", fact.change).chars().take(160).collect();
            format!("{at} ms {text}")
        };
        Err(Box::new(WireFailure {
            seed: self.seed,
            after,
            rule,
            subject,
            faults: iter::once(format!("{:?}", self.rig.setup()))
                .chain(self.faults.done.iter().cloned())
                .collect(),
            facts: last.map(line).collect(),
        }))
    }
}
