//! A third of the stake offline: the network goes on. Just over a third: the job is held, and its
//! escrow comes back.

use anyhow::{Context, ensure};
use proofgrid_node::devnet::network::DevnetOptions;
use proofgrid_oracle::deploy;
use proofgrid_tests::{NewJob, Scenario};

/// Nine parts: 3, 3, 2, 1.
const STAKES: [u64; 4] = [3, 3, 2, 1];

fn without(options: &mut DevnetOptions, offline: &[&str]) {
    options.stakes = STAKES.to_vec();
    options.not_started = offline.iter().map(|name| (*name).to_owned()).collect();
    options.deploy.tasks.verifySeconds = 5;
    options.deploy.tasks.graceSeconds = 5;
    options.deploy.races.judgeSeconds = 10;
}

/// A network with a third of its stake offline.
pub fn network_with_quorum(options: &mut DevnetOptions) {
    without(options, &["verifier-1"]);
}

/// A network with four ninths of its stake offline.
pub fn network_without_quorum(options: &mut DevnetOptions) {
    without(options, &["verifier-1", "verifier-4"]);
}

/// A third offline: the network goes on.
pub fn a_third(scenario: &mut Scenario) -> anyhow::Result<()> {
    let job = scenario.submit(&NewJob::keccak(3, scenario.nonce())?)?;
    let settled = scenario.wait_for_state(job, "settled")?;
    let votes = settled.votes.context("a settled job has votes")?;
    ensure!(votes.stake_attested * 3 == votes.stake_total * 2, "exactly two thirds: {votes:?}");
    Ok(())
}

/// More than a third offline: held, and refunded.
pub fn over_a_third(scenario: &mut Scenario) -> anyhow::Result<()> {
    let wallet = scenario.requester()?;
    let requester = wallet.address();
    let ether = alloy_primitives::U256::from(1_000_000_000_000_000_000_u64);
    scenario.fund(requester, ether)?;
    let mut new = NewJob::keccak(3, scenario.nonce())?;
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
