//! What goes wrong, and when: drawn from the seed before the run begins.

use std::time::Duration;

use crate::random::Random;

use super::disk::Death;
use super::rig::{DISPATCHER, PROVERS, Rig, STAKES};

/// Faults begin after this time.
const FIRST_MS: u64 = 1_000;
/// The last one begins before this time.
const LAST_MS: u64 = 50_000;
/// Longest fault.
const LONGEST_MS: u64 = 12_000;
/// Farthest that the dispatcher's clock is off.
const CLOCK_MS: u64 = 30_000;
/// What a clock that is off is a fault of.
const CLOCK: &str = "clock";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The host's process is killed and starts again later.
    Crash,
    /// Nothing passes between the host and the dispatcher; what was sent is lost for good.
    Cut,
    /// Nothing passes between them for a while, and then all of it.
    Pause,
    /// The dispatcher's machine stops when its next compaction gets to this point, if it does in time.
    Disk(Death),
    /// The dispatcher's wall clock is so many milliseconds ahead, or behind.
    Clock(i64),
}

#[derive(Clone, Debug)]
struct Fault {
    at: Duration,
    until: Duration,
    host: String,
    kind: Kind,
    begun: bool,
    ended: bool,
}

/// The faults of a run.
#[derive(Default)]
pub struct Faults {
    planned: Vec<Fault>,
    /// What was done, for people.
    pub done: Vec<String>,
    /// Crashes of the dispatcher.
    pub dispatcher_crashes: u32,
    /// Crashes of anybody else.
    pub other_crashes: u32,
    /// Cuts and pauses.
    pub cuts: u32,
    /// Jumps of the dispatcher's clock.
    pub clock_jumps: u32,
    /// Times that the dispatcher's machine stopped in a compaction.
    pub disk_deaths: u32,
}

fn hosts() -> Vec<String> {
    let provers = (0..PROVERS).map(|index| format!("prover-{index}"));
    let verifiers = (0..STAKES.len()).map(|index| format!("verifier-{index}"));
    provers.chain(verifiers).chain(["oracle".to_owned()]).collect()
}

impl Faults {
    /// Draws the faults of a seed. No host has two at a time.
    pub fn draw(random: &mut Random) -> Self {
        let mut faults = Self::default();
        let hosts = hosts();
        for _ in 0..random.between(3, 12) {
            let of_dispatcher = random.chance(350);
            let host = hosts[random.index(hosts.len())].clone();
            let kind = match random.below(3) {
                0 => Kind::Crash,
                1 => Kind::Cut,
                _ => Kind::Pause,
            };
            let (before, after) = (Death::BeforeTruncation, Death::AfterTruncation);
            let death = if random.chance(500) { before } else { after };
            let (host, kind) = match (of_dispatcher, random.chance(500)) {
                (true, true) => (DISPATCHER.to_owned(), Kind::Disk(death)),
                (true, false) => (DISPATCHER.to_owned(), Kind::Crash),
                (false, _) => (host, kind),
            };
            faults.plan(random, host, kind);
        }
        // In every third seed the clock is off sometimes.
        for _ in 0..random.below(9).saturating_sub(5) {
            let off = i64::try_from(random.between(1, CLOCK_MS)).expect("small");
            let off = if random.chance(500) { off } else { -off };
            faults.plan(random, CLOCK.to_owned(), Kind::Clock(off));
        }
        faults
    }

    fn plan(&mut self, random: &mut Random, host: String, kind: Kind) {
        let at = random.between(FIRST_MS, LAST_MS);
        let until = at + random.between(50, LONGEST_MS);
        let (at, until) = (Duration::from_millis(at), Duration::from_millis(until));
        let overlaps = |one: &Fault| one.host == host && one.at <= until && at <= one.until;
        if !self.planned.iter().any(overlaps) {
            self.planned.push(Fault { at, until, host, kind, begun: false, ended: false });
        }
    }

    /// Whether all of them have ended.
    pub fn are_over(&self, now: Duration) -> bool {
        self.planned.iter().all(|fault| fault.ended && fault.until <= now)
    }

    /// Begins and ends what is due.
    pub fn apply(&mut self, now: Duration, sim: &mut turmoil::Sim<'_>, rig: &Rig) {
        if rig.disk().is_dead() {
            self.done.push(format!("{now:?} the dispatcher's machine has stopped"));
            (self.disk_deaths, self.dispatcher_crashes) =
                (self.disk_deaths + 1, self.dispatcher_crashes + 1);
            sim.crash(DISPATCHER);
            rig.disk().power_loss();
        }
        let mut planned = std::mem::take(&mut self.planned);
        for fault in &mut planned {
            if !fault.begun && fault.at <= now {
                fault.begun = true;
                self.done.push(format!("{now:?} {:?} of {}", fault.kind, fault.host));
                self.begin(fault, sim, rig);
            }
            if fault.begun && !fault.ended && fault.until <= now {
                fault.ended = true;
                self.done.push(format!("{now:?} {:?} of {} ends", fault.kind, fault.host));
                match fault.kind {
                    Kind::Crash => sim.bounce(fault.host.as_str()),
                    Kind::Disk(_) => {
                        rig.disk().die_at(None);
                        if !sim.is_host_running(DISPATCHER) {
                            sim.bounce(DISPATCHER);
                        }
                    }
                    Kind::Cut => sim.repair(DISPATCHER, fault.host.as_str()),
                    Kind::Pause => sim.release(DISPATCHER, fault.host.as_str()),
                    Kind::Clock(_) => rig.set_clock_off(0),
                }
            }
        }
        self.planned = planned;
    }

    fn begin(&mut self, fault: &Fault, sim: &mut turmoil::Sim<'_>, rig: &Rig) {
        match fault.kind {
            Kind::Crash => {
                sim.crash(fault.host.as_str());
                if fault.host == DISPATCHER {
                    self.dispatcher_crashes += 1;
                    rig.disk().power_loss();
                } else {
                    self.other_crashes += 1;
                }
            }
            Kind::Cut => {
                self.cuts += 1;
                sim.partition(DISPATCHER, fault.host.as_str());
            }
            Kind::Pause => {
                self.cuts += 1;
                sim.hold(DISPATCHER, fault.host.as_str());
            }
            Kind::Disk(death) => rig.disk().die_at(Some(death)),
            Kind::Clock(off) => {
                self.clock_jumps += 1;
                rig.set_clock_off(off);
            }
        }
    }
}
