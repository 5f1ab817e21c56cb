//! Seeds of the second layer that run with every push, and the bugs on purpose that it has to find.
//! Each seed has a process of its own, as in `make sim-wire`.

use std::path::Path;

use proofgrid_simulator::{WirePlant, WireReport, run_wire_alone, sweep};

/// Seeds of every push; `make sim-wire` runs more.
const SEEDS: u64 = 20;

fn run(seed: u64, plant: Option<WirePlant>) -> Result<WireReport, String> {
    run_wire_alone(Path::new(env!("CARGO_BIN_EXE_proofgrid-simulate-wire")), seed, plant)
}

#[test]
fn every_seed_of_a_push_holds() {
    let swept = sweep(0..SEEDS, |seed| run(seed, None));
    println!("{}", swept.pace());
    let reports = swept.held("sim-wire");
    let sum = |part: fn(&WireReport) -> u32| reports.iter().map(part).sum::<u32>();
    // A run in which nothing happens would hold every rule.
    assert!(reports.iter().all(|report| report.settled + report.failed == 6));
    assert!(reports.iter().all(|report| report.facts > 60));
    assert!(sum(|r| r.failed) < 6, "a hostile prover stops few jobs");
    assert!(sum(|r| r.dispatcher_crashes) > 10 && sum(|r| r.other_crashes) > 10);
    assert!(sum(|r| r.cuts) > 20 && sum(|r| r.clock_jumps) > 5);
    assert!(sum(|r| r.disk_deaths) > 0, "machines stop in compactions");
    assert!(sum(|r| r.snapshots) > 20, "the journal is compacted");
    assert!(sum(|r| r.lies) > 10 && sum(|r| r.accusations) > 3, "hostile peers are heard");
}

#[test]
fn every_planted_bug_is_caught() {
    for plant in WirePlant::ALL {
        let caught = (0..SEEDS).find_map(|seed| Some((seed, run(seed, Some(plant)).err()?)));
        let (seed, failure) = caught.unwrap_or_else(|| panic!("{plant:?} is not caught"));
        println!("{plant:?}: {}", failure.lines().next().unwrap_or_default());
        let rule = match plant {
            WirePlant::DiskLies => "nothing acknowledged is lost",
            WirePlant::ClockStandsStill => "every job is settled some time after faults stop",
            WirePlant::JudgeMixesUpSegments | WirePlant::JudgeBelieves => {
                "an honest verifier finds what is so"
            }
            WirePlant::SnapshotMissesRecord | WirePlant::TruncatesTooMuch => {
                "a restart finds what was decided"
            }
        };
        assert!(failure.contains(rule), "{plant:?}, seed {seed}: {failure}");
    }
}

#[test]
fn one_seed_is_one_run() {
    for seed in [0, 2] {
        assert_eq!(run(seed, None), run(seed, None));
    }
}
