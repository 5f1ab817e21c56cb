//! The dispatcher is away, killed or hanging, while a proof is being made: the work that was done
//! meanwhile counts, and whoever asks is told that nobody answers.

use std::time::{Duration, Instant};

use anyhow::ensure;
use proofgrid_tests::{NewJob, Scenario};

use crate::common::{provers, task};

/// Exit code of a command that reaches nobody.
const UNREACHABLE: i32 = 8;
/// Exit code of a command about a job that nobody knows.
const NOT_FOUND: i32 = 4;
/// Longer than any silence that these networks bear.
const HANG: Duration = Duration::from_secs(4);

/// A dispatcher that bears two minutes of silence.
const PATIENT: [(&str, &str); 1] = [("PROOFGRID_DISPATCHER__DEAD_AFTER_MS", "120000")];

/// It is killed while a prover works and comes back after the proof is done: the proof is delivered under
/// the lease of before.
pub fn killed(scenario: &mut Scenario) -> anyhow::Result<()> {
    let before: usize = proved(scenario);
    let job = scenario.submit(&NewJob::slow(scenario.nonce()))?;
    // Its prover has the input: without it nothing can be proved meanwhile.
    scenario.wait_for(job, "in the middle", |view| {
        view.tasks
            .first()
            .is_some_and(|task| task.progress_permille > 0 || task.state == "accepted")
    })?;
    scenario.kill("dispatcher")?;
    let away = scenario.cli(&["status", &job.to_string()])?;
    ensure!(away.status.code() == Some(UNREACHABLE), "a script can tell: {away:?}");
    ensure!(!away.stderr.is_empty(), "so can a person: {away:?}");
    scenario.wait_until("the proof is done without the dispatcher", || {
        Ok((proved(scenario) > before).then_some(()))
    })?;
    // However long its prover takes to dial again.
    scenario.restart_with("dispatcher", &PATIENT)?;
    let view = scenario.wait_for_state(job, "settled")?;
    ensure!(task(&view)?.attempt == 1, "it was proved once: {view:#?}");
    let nobodys = "0x".to_owned() + &"ab".repeat(32);
    let unknown = scenario.cli(&["status", &nobodys])?;
    ensure!(unknown.status.code() == Some(NOT_FOUND), "a script can tell: {unknown:?}");
    scenario.kill("dispatcher")?;
    scenario.restart("dispatcher")?;
    scenario.wait_for_dispatcher()
}

/// Proofs that this network's provers have made.
fn proved(scenario: &Scenario) -> usize {
    let done = |name: String| scenario.log(&name).matches(" proved ").count();
    provers(scenario).into_iter().map(done).sum()
}

/// It hangs for longer than any peer may be silent, and everybody with it.
pub fn hangs(scenario: &mut Scenario) -> anyhow::Result<()> {
    let job = scenario.submit(&NewJob::slow(scenario.nonce()))?;
    scenario.wait_for(job, "planned", |view| !view.tasks.is_empty())?;
    scenario.pause("dispatcher")?;
    // The fault itself takes time; nothing is waited for.
    let until = Instant::now() + HANG;
    while Instant::now() < until {
        std::thread::sleep(until.saturating_duration_since(Instant::now()));
    }
    scenario.resume("dispatcher")?;
    scenario.wait_for_state(job, "settled")?;
    Ok(())
}
