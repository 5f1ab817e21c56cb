//! Seeds that run with every push, and the bugs on purpose that the simulator has to find.

use proofgrid_simulator::{Plant, Report, run, sweep};

/// Seeds of every push; `make sim` runs more.
const SEEDS: u64 = 500;

#[test]
fn every_seed_of_a_push_holds() {
    let reports = sweep(0..SEEDS, |seed| run(seed, None)).held("sim");
    let sum = |part: fn(&Report) -> u64| reports.iter().map(part).sum::<u64>();
    let (jobs, settled) = (sum(|r| r.jobs), sum(|r| r.settled));
    // A run in which nothing happens would hold every rule.
    assert!(jobs > 2 * SEEDS && settled > jobs / 2, "{settled} of {jobs} jobs settled");
    assert!(sum(|r| r.held) > jobs / 50, "jobs are held");
    assert!(sum(|r| r.restarts) > SEEDS / 4 && sum(|r| r.reorgs) > SEEDS / 10, "much breaks");
}

#[test]
fn one_seed_is_one_run() {
    for seed in [3, 842] {
        assert_eq!(run(seed, None), run(seed, None));
    }
    let (first, second) = (run(0, Some(Plant::NoResume)), run(0, Some(Plant::NoResume)));
    assert_eq!(first, second, "a failure says the same twice");
}

/// Seeds from 0 within which each planted bug is caught, and the rules that may catch it.
const CAUGHT: &[(Plant, u64, &[&str])] = &[
    (Plant::AnswerBeforeFlush, 100, &["nothing acknowledged is lost"]),
    (Plant::EffectBeforeFlush, 100, &["no lease that left is forgotten"]),
    (Plant::DeliveriesNotJournaled, 100, &["the journal can be replayed"]),
    (Plant::VotesNotJournaled, 100, &["the journal can be replayed"]),
    (
        Plant::NoResume,
        100,
        &["every lease holder is watched", "every job is over some time after faults stop"],
    ),
    (Plant::FenceForgotten, 100, &["an honest prover is not blamed"]),
    (Plant::OpensBeforeTheSet, 100, &["no honest verdict is known before the commit phase closed"]),
    (
        Plant::CommitSetsNotJournaled,
        100,
        &["no vote is known before the commit set stands", "the journal can be replayed"],
    ),
    (Plant::IntakeBelievesProver, 100, &["a record pays whoever made the proof"]),
    (Plant::AttestWithoutLog, 300, &["a verifier attests only what it voted"]),
    (Plant::UnjudgedIsInvalid, 100, &["an honest verifier votes as its judge found"]),
    (Plant::FinalWhenIncluded, 100, &["what is called final is final on the chain"]),
    (Plant::CursorBeforeAck, 200, &["every job is over some time after faults stop"]),
    (Plant::ReorgIgnored, 600, &["what is called final is final on the chain"]),
    (Plant::SettlePaysAgain, 100, &["nothing is paid, settled or refunded twice"]),
    (Plant::RefundAfterSettle, 100, &["nothing is paid, settled or refunded twice"]),
];

#[test]
fn every_planted_bug_is_caught() {
    assert_eq!(CAUGHT.len(), Plant::ALL.len());
    for (plant, within, rules) in CAUGHT {
        let caught = (0..*within).find_map(|seed| run(seed, Some(*plant)).err());
        let failure = caught.unwrap_or_else(|| panic!("{plant:?} is not caught in {within} seeds"));
        println!("{plant:?}: seed {}: {}", failure.seed, failure.rule);
        assert!(rules.contains(&failure.rule.as_str()), "{plant:?}: {failure}");
        assert!(!failure.events.is_empty(), "a failure shows what led to it");
    }
}
