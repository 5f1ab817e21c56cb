//! A deadline passes: a contract job's fee comes back on-chain, once; a direct job ends and says so.

use anyhow::{Context, anyhow, ensure};
use proofgrid_oracle::deploy::DeployConfig;
use proofgrid_tests::{NewJob, Scenario};

use crate::common::{explained, provers, text};

/// Exit codes of the command line.
const REFUSED: i32 = 3;
const JOB_FAILED: i32 = 7;
/// Wei in a coin.
const COIN: u64 = 1_000_000_000_000_000_000;
/// What a contract job escrows.
const FEE_WEI: u128 = 1_000_000;

/// What a prover gets of it; the rest is the verifiers' and the reserve's.
pub fn provers_part() -> u128 {
    FEE_WEI * u128::from(DeployConfig::development().fees.proverBps) / 10_000
}

pub fn fund(scenario: &mut Scenario) -> anyhow::Result<()> {
    let requester = scenario.requester()?.address();
    scenario.fund(requester, alloy_primitives::U256::from(COIN))
}

/// What a wallet of this network can withdraw, in wei.
pub fn credit(scenario: &Scenario, wallet: &str) -> anyhow::Result<u128> {
    let (code, text) = escrow(scenario, &["credit", "--output", "json"], wallet)?;
    ensure!(code == 0, "{text}");
    let view: serde_json::Value = serde_json::from_str(&text)?;
    Ok(view["credit_wei"].as_str().context("a credit")?.parse()?)
}

/// What the command line says to a wallet of this network about its escrow.
pub fn escrow(
    scenario: &Scenario,
    arguments: &[&str],
    wallet: &str,
) -> anyhow::Result<(i32, String)> {
    let key = scenario.devnet.layout().key(wallet).display().to_string();
    let all: Vec<&str> =
        ["escrow"].iter().chain(arguments).copied().chain(["--wallet", &key]).collect();
    let output = scenario.cli(&all)?;
    Ok((output.status.code().context("it ended by itself")?, text(&output)))
}

/// A job that is settled is paid once, and is not refunded.
pub fn paid_once(scenario: &mut Scenario) -> anyhow::Result<()> {
    fund(scenario)?;
    let mut new = NewJob::fibonacci(scenario.nonce());
    new.contract = true;
    let [name] = provers(scenario).try_into().map_err(|all| anyhow!("one prover, not {all:?}"))?;
    let before = credit(scenario, &name)?;
    let job = scenario.submit(&new)?;
    scenario.wait_for_state(job, "settled")?;
    let prover = scenario.devnet.new_wallet_if_missing(&name)?.address();
    scenario.fund(prover, alloy_primitives::U256::from(COIN))?;

    let (code, text) = escrow(scenario, &["refund", &job.to_string()], "requester")?;
    ensure!(code == REFUSED, "a settled job is not refunded: {text}");
    ensure!(credit(scenario, &name)? == before + provers_part(), "its part of the fee, once");
    let (code, text) = escrow(scenario, &["withdraw"], &name)?;
    ensure!(code == 0, "it is paid out: {text}");
    let (code, text) = escrow(scenario, &["withdraw"], &name)?;
    ensure!(code == REFUSED, "it is paid out once: {text}");
    Ok(())
}

/// Nobody proves a contract job in time.
pub fn of_a_contract_job(scenario: &mut Scenario) -> anyhow::Result<()> {
    fund(scenario)?;
    for name in provers(scenario) {
        scenario.terminate(&name)?;
    }
    let mut new = NewJob::fibonacci(scenario.nonce());
    (new.contract, new.deadline_s) = (true, 60);
    let before = credit(scenario, "requester")?;
    let job = scenario.submit(&new)?;
    let id = job.to_string();
    scenario.wait_for_state(job, "accepted")?;
    let (code, text) = escrow(scenario, &["refund", &id], "requester")?;
    ensure!(code == REFUSED, "not before the deadline: {text}");

    scenario.advance_chain(120)?;
    let (code, text) = escrow(scenario, &["refund", &id], "requester")?;
    ensure!(code == 0, "it comes back: {text}");
    let (code, text) = escrow(scenario, &["refund", &id], "requester")?;
    ensure!(code == REFUSED, "once: {text}");
    scenario.wait_for_state(job, "expired")?;
    explained(scenario, job, &["refunded on-chain"])?;
    ensure!(credit(scenario, "requester")? == before + FEE_WEI, "it is the requester's, once");
    for name in provers(scenario) {
        scenario.restart(&name)?;
    }
    Ok(())
}

/// Nobody proves a direct job in time.
pub fn of_a_direct_job(scenario: &mut Scenario) -> anyhow::Result<()> {
    for name in provers(scenario) {
        scenario.terminate(&name)?;
    }
    scenario.kill("dispatcher")?;
    let grace = [("PROOFGRID_DISPATCHER__TIMING__DEADLINE_GRACE_MS", "100")];
    scenario.restart_with("dispatcher", &grace)?;
    scenario.wait_for_dispatcher()?;
    let mut new = NewJob::fibonacci(scenario.nonce());
    new.deadline_s = 5;
    let job = scenario.submit(&new)?;
    scenario.wait_for_state(job, "expired")?;
    explained(scenario, job, &["its time is over"])?;
    let output = scenario.cli(&["watch", &job.to_string()])?;
    ensure!(output.status.code() == Some(JOB_FAILED), "a script can tell: {output:?}");
    scenario.kill("dispatcher")?;
    scenario.restart("dispatcher")?;
    scenario.wait_for_dispatcher()?;
    for name in provers(scenario) {
        scenario.restart(&name)?;
    }
    crate::common::settles(scenario)?;
    scenario.wait_for_state(job, "expired")?;
    Ok(())
}
