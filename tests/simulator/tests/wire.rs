//! Seeds of the second layer that run with every push, and the bugs on purpose that it has to find.

use proofgrid_simulator::{WirePlant, WireReport, run_wire, sweep};

/// Seeds of every push; `make sim-wire` runs more.
const SEEDS: u64 = 20;

#[test]
fn every_seed_of_a_push_holds() {
    let swept = sweep(0..SEEDS, |seed| run_wire(seed, None));
    println!("{}", swept.pace());
    let reports = swept.held("sim-wire");
    let sum = |part: fn(&WireReport) -> u32| reports.iter().map(part).sum::<u32>();
    // A run in which nothing happens would hold every rule.
    assert!(reports.iter().all(|report| report.jobs == 6 && report.facts > 60));
    assert!(sum(|r| r.dispatcher_crashes) > 10 && sum(|r| r.other_crashes) > 10);
    assert!(sum(|r| r.cuts) > 20);
}

#[test]
fn every_planted_bug_is_caught() {
    for plant in WirePlant::ALL {
        let caught = (0..SEEDS).find_map(|seed| run_wire(seed, Some(plant)).err());
        let failure = caught.unwrap_or_else(|| panic!("{plant:?} is not caught"));
        println!("{plant:?}: seed {}: {}", failure.seed, failure.rule);
        let rule = match plant {
            WirePlant::DiskLies => "nothing acknowledged is lost",
            WirePlant::ClockStandsStill => "every job is settled some time after faults stop",
            WirePlant::JudgeMixesUpSegments => "an honest verifier finds an honest proof valid",
        };
        assert_eq!(failure.rule, rule, "{plant:?}: {failure}");
    }
}

#[test]
fn one_seed_alone_in_a_process_is_one_run() {
    let run = |seed: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_proofgrid-simulate-wire"));
        let output = command.args(["1", seed]).output().expect("it runs");
        let text = String::from_utf8(output.stdout).expect("text");
        text.lines().find(|line| line.starts_with("WireReport")).expect("it holds").to_owned()
    };
    for seed in ["0", "2"] {
        assert_eq!(run(seed), run(seed));
    }
}
