//! A third of the stake offline: the network goes on. Just over a third: the job is held, and its
//! escrow comes back.

use anyhow::{Context, ensure};
use proofgrid_oracle::deploy;
use proofgrid_tests::{NewJob, Scenario};

/// Nine parts: 3, 3, 2, 1.
const STAKES: [u64; 4] = [3, 3, 2, 1];

fn without(offline: &[&str]) -> anyhow::Result<Scenario> {
    let offline: Vec<String> = offline.iter().map(|name| (*name).to_owned()).collect();
    Scenario::start(|options| {
        options.stakes = STAKES.to_vec();
        options.not_started = offline;
        options.deploy.tasks.verifySeconds = 5;
        options.deploy.tasks.graceSeconds = 5;
    })
}

#[test]
fn a_third_of_the_stake_offline_still_settles() -> anyhow::Result<()> {
    let scenario = without(&["verifier-1"])?;
    let job = scenario.submit(&NewJob::keccak(3, 1)?)?;
    let settled = scenario.wait_for_state(job, "settled")?;
    let votes = settled.votes.context("a settled job has votes")?;
    ensure!(votes.stake_attested * 3 == votes.stake_total * 2, "exactly two thirds: {votes:?}");
    Ok(())
}

#[test]
fn just_over_a_third_offline_is_held_and_refunded() -> anyhow::Result<()> {
    let mut scenario = without(&["verifier-1", "verifier-4"])?;
    let wallet = scenario.requester()?;
    let requester = wallet.address();
    let ether = alloy_primitives::U256::from(1_000_000_000_000_000_000_u64);
    scenario.fund(requester, ether)?;
    let mut new = NewJob::keccak(3, 1)?;
    new.contract = true;
    new.deadline_s = 60;
    let job = scenario.submit(&new)?;
    let held = scenario.wait_for_state(job, "held")?;
    ensure!(!held.reason.is_empty(), "a held job says why");

    scenario.advance_chain(120)?;
    let manager = scenario.devnet.chain().contracts().task_manager;
    let mut sender = scenario.devnet.chain().sender(&wallet)?;
    let (before, after) = scenario.block_on(async {
        let before = deploy::escrow(&sender, manager, job).await?;
        deploy::refund(&mut sender, manager, job).await?;
        anyhow::Ok((before, deploy::escrow(&sender, manager, job).await?))
    })?;
    ensure!(before.fee_wei == 1_000_000, "the fee was in escrow: {before:?}");
    ensure!(after.state != before.state, "the job is refunded: {after:?}");
    scenario.wait_for_state(job, "expired")?;
    Ok(())
}
