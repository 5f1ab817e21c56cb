//! kill -9 of the dispatcher at 20 seeded journal positions: each job settles once, under the id that
//! its submit named.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use proofgrid_core::ids::JobId;
use proofgrid_tests::{NewJob, PATIENCE, POLL, Scenario};

/// Kills, one job each.
const KILLS: u64 = 20;
/// Records that a small job takes at least; kills are spread over them.
const RECORDS_PER_JOB: u64 = 24;
/// Chosen once; a failure prints it with the position.
const SEED: u64 = 0x5eed_2026;

/// The positions after which the dispatcher is killed, from a linear congruential generator
/// (multiplier of Knuth's MMIX), so that a run can be repeated.
fn positions() -> Vec<u64> {
    let mut state = SEED;
    (0..KILLS)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % RECORDS_PER_JOB
        })
        .collect()
}

/// The newest journal position that the dispatcher's log names.
fn position(scenario: &Scenario) -> u64 {
    scenario
        .log("dispatcher")
        .lines()
        .rev()
        .find_map(|line| {
            let rest = line.split("committed_to=").nth(1)?;
            rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok()
        })
        .unwrap_or(0)
}

/// Waits until the journal has grown by `records`, or the job has ended before that.
fn wait_for_position(
    scenario: &Scenario,
    from: u64,
    records: u64,
    job: JobId,
) -> anyhow::Result<()> {
    let started = Instant::now();
    while position(scenario) < from + records {
        ensure!(started.elapsed() < PATIENCE, "the journal stands still");
        let look = Instant::now() + POLL;
        while position(scenario) < from + records && Instant::now() < look {
            std::thread::sleep(Duration::from_millis(2));
        }
        if scenario.job(job)?.is_some_and(|view| view.ended()) {
            break;
        }
    }
    Ok(())
}

/// A dispatcher killed anywhere settles every job once.
pub fn run(scenario: &mut Scenario) -> anyhow::Result<()> {
    for (round, records) in positions().into_iter().enumerate() {
        let new = NewJob::keccak(1 + round % 3, scenario.nonce())?;
        let from = position(scenario);
        let job = scenario.submit(&new)?;
        wait_for_position(scenario, from, records, job)?;
        scenario.devnet.process("dispatcher")?.kill();
        scenario.devnet.start_role("dispatcher")?;
        let view = scenario
            .wait_for_state(job, "settled")
            .with_context(|| format!("seed {SEED:#x}, round {round}, killed after {records}"))?;
        ensure!(view.id == job.to_string(), "the job keeps its id");
        let certificates =
            view.submissions.iter().filter(|tx| tx.kind == "certificate" && tx.state == "final");
        ensure!(certificates.count() == 1, "one certificate is final: {:#?}", view.submissions);
    }
    let events = scenario.registry_events()?;
    let distinct: BTreeSet<_> = events.iter().collect();
    ensure!(distinct.len() == events.len(), "nothing is stored twice on-chain: {events:#?}");
    Ok(())
}

/// Whoever watches a job when the dispatcher is killed goes on watching, and sees each event once.
pub fn watched(scenario: &mut Scenario) -> anyhow::Result<()> {
    let job = scenario.submit(&NewJob::slow(scenario.nonce()))?;
    let mut watching = scenario.spawn(&["watch", &job.to_string(), "--output", "json"])?;
    let mut events = BufReader::new(watching.stdout.take().context("it is kept")?).lines();
    let first = events.next().context("what happened so far")??;
    scenario.devnet.process("dispatcher")?.kill();
    scenario.devnet.start_role("dispatcher")?;
    let rest = events.collect::<Result<Vec<String>, _>>()?;
    let watched = watching.wait_with_output()?;
    ensure!(watched.status.success(), "it ends with the job: {watched:?}");
    let last = rest.last().context("it went on")?;
    ensure!(last.contains(r#""state":"settled""#), "{rest:#?}");
    let begins = rest.iter().filter(|event| **event == first).count();
    ensure!(begins == 0, "it does not begin anew: {rest:#?}");
    Ok(())
}
