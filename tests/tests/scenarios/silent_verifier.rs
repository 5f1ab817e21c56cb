//! Verifiers that are connected and say nothing: with two thirds left the network goes on, with less the
//! job is held, says so, and goes on when they speak.

use anyhow::{Context, ensure};
use proofgrid_tests::{NewJob, Scenario};

use crate::common::explained;
use crate::verifiers::percent;

/// 20 % are silent.
pub fn with_quorum(scenario: &mut Scenario) -> anyhow::Result<()> {
    scenario.pause("verifier-3")?;
    let job = scenario.submit(&NewJob::fibonacci(scenario.nonce()))?;
    let view = scenario.wait_for_state(job, "settled")?;
    let votes = view.votes.context("it was voted on")?;
    let signed = percent(votes.stake_attested, &votes);
    // The last 10 % may come too late for the batch.
    ensure!([70, 80].contains(&signed), "the others signed: {votes:?}");
    scenario.resume("verifier-3")
}

/// 40 % are silent.
pub fn without_quorum(scenario: &mut Scenario) -> anyhow::Result<()> {
    scenario.pause("verifier-1")?;
    let job = scenario.submit(&NewJob::fibonacci(scenario.nonce()))?;
    let held = scenario.wait_for_state(job, "held")?;
    ensure!(held.certificate.is_empty(), "60 % certify nothing: {held:#?}");
    explained(scenario, job, &["held", &held.reason])?;
    scenario.resume("verifier-1")?;
    scenario.wait_for_state(job, "settled")?;
    Ok(())
}
