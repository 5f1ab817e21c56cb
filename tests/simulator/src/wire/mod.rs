//! The second layer: the real dispatcher, provers, verifiers and sessions on a simulated network.
//!
//! Every host is a program of this workspace on a runtime of its own with a clock that stands still
//! until all is done; `turmoil` carries the bytes between their HTTP/2 connections and takes them
//! away. All of it runs on one thread: work that would go to another is done in turn
//! (`proofgrid_store::blocking`), the journal writes at a pace that the seed draws.

mod books;
mod disk;
mod faults;
mod peers;
mod program;
mod rig;

use std::fmt;
use std::time::Duration;

use proofgrid_core::network::JobStateKind;

use crate::random::Random;

use self::books::{Broken, Ledger};
use self::faults::Faults;
use self::peers::Errand;
use self::rig::{DISPATCHER, PROVERS, Rig, STAKES};

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
}

impl WirePlant {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::DiskLies, Self::ClockStandsStill, Self::JudgeMixesUpSegments];
}

/// What a run was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireReport {
    /// Jobs, all of them settled.
    pub jobs: usize,
    /// Facts in the journal.
    pub facts: usize,
    /// Crashes of the dispatcher.
    pub dispatcher_crashes: u32,
    /// Crashes of anybody else.
    pub other_crashes: u32,
    /// Cuts and pauses of the network.
    pub cuts: u32,
    /// Time that passed in the simulation.
    pub lasted: Duration,
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

/// Runs a seed, on a thread of its own: what a run leaves on its thread must not be the next one's.
///
/// # Errors
/// The first rule that broke.
pub fn run_wire(seed: u64, plant: Option<WirePlant>) -> Result<WireReport, Box<WireFailure>> {
    let run = std::thread::spawn(move || run_here(seed, plant));
    run.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn run_here(seed: u64, plant: Option<WirePlant>) -> Result<WireReport, Box<WireFailure>> {
    proofgrid_store::blocking::run_in_turn();
    let mut random = Random::new(seed);
    let rig = Rig::new(seed, plant).expect("a directory for the run");
    fastrand::seed(seed);
    let machine = rig::config().state_machine().expect("good settings");
    let mut run =
        Run { seed, rig, ledger: Ledger::new(machine), faults: Faults::draw(&mut random) };
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
        sim.host(format!("prover-{index}"), {
            let rig = of(rig);
            move || rig.clone().prover(index)
        });
    }
    for index in 0..STAKES.len() {
        let rig = of(rig);
        sim.host(format!("verifier-{index}"), move || rig.clone().verifier(index));
    }
    let errands = errands(&mut random);
    let requester = of(rig);
    sim.host("requester", move || requester.clone().requester(errands.clone()));
    run.steps(&mut sim)
}

struct Run {
    seed: u64,
    rig: Rig,
    ledger: Ledger,
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
        self.ledger.read(self.rig.disk())?;
        self.ledger.check(&self.rig.books(), self.rig.now())
    }

    fn report(&self, lasted: Duration) -> WireReport {
        WireReport {
            jobs: self.ledger.count(JobStateKind::Settled),
            facts: self.ledger.facts().len(),
            dispatcher_crashes: self.faults.dispatcher_crashes,
            other_crashes: self.faults.other_crashes,
            cuts: self.faults.cuts,
            lasted,
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
            faults: self.faults.done.clone(),
            facts: last.map(line).collect(),
        }))
    }
}
