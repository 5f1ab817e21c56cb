//! A prover that hangs: its lease is lost, another one proves the task, and when it comes back its own
//! proof changes nothing.

use anyhow::ensure;
use proofgrid_tests::Scenario;

use crate::common::{caught_proving, explained, settles, task};

pub fn run(scenario: &mut Scenario) -> anyhow::Result<()> {
    let (job, paused) = caught_proving(scenario)?;
    let settled = scenario.wait_for_state(job, "settled")?;
    let other = task(&settled)?.clone();
    let slow = scenario.devnet.new_wallet_if_missing(&paused)?.address().to_string();
    ensure!(other.prover != slow, "the other one proved it: {other:?}");
    explained(scenario, job, &["the prover was silent for too long"])?;

    let before = scenario.log(&paused).len();
    scenario.resume(&paused)?;
    // It finds its session gone, logs in again and learns that the task is somebody else's.
    scenario.wait_until("the paused prover registers again", || {
        let log = scenario.log(&paused);
        let new = log.get(before..).unwrap_or_default();
        Ok(new.contains("registered").then_some(()))
    })?;
    settles(scenario)?;
    let now = scenario.wait_for_state(job, "settled")?;
    let same = task(&now)?;
    ensure!((&same.prover, same.attempt) == (&other.prover, other.attempt), "{same:?}");
    Ok(())
}
