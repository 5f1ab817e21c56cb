//! Verifiers are paid by the commands that they would type: a job's fee becomes a pot, a reward at the
//! restaking core, a line of a distribution, and coins.

use std::collections::BTreeMap;

use alloy_primitives::U256;
use anyhow::{Context, ensure};
use proofgrid_core::ids::Address;
use proofgrid_oracle::abi::IDevToken;
use proofgrid_oracle::contracts::evm;
use proofgrid_tests::{Scenario, messages};
use serde_json::Value;

use crate::common::text;

/// Exit code of a request that was refused.
const REFUSED: i32 = 3;
/// Exit code of a file that does not verify.
const INVALID: i32 = 5;
/// What the job escrows, in wei.
const FEE: u64 = 1_000_000;
/// The verifiers' part of it, of 10 000.
const VERIFIER_BPS: u64 = 1_900;

fn json(scenario: &Scenario, arguments: &[&str]) -> anyhow::Result<Value> {
    let output = scenario.cli(&[arguments, &["--output", "json"]].concat())?;
    ensure!(output.status.success(), "{arguments:?}: {}", text(&output));
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn word<'a>(value: &'a Value, key: &str) -> anyhow::Result<&'a str> {
    value[key].as_str().with_context(|| format!("no {key} in {value}"))
}

/// A job with a fee settles, and the day passes: the file with what everybody has earned, and its lines.
fn pay(scenario: &Scenario) -> anyhow::Result<(String, BTreeMap<String, U256>)> {
    let folder = scenario.devnet.layout().root().display().to_string();
    let paid = json(scenario, &["devnet", "pay-rewards", "--dir", &folder])?;
    let mut earned = BTreeMap::new();
    for (earner, wei) in paid["earned"].as_object().context("earners")? {
        earned.insert(earner.clone(), wei.as_str().context("an amount")?.parse()?);
    }
    Ok((word(&paid, "distribution")?.to_owned(), earned))
}

fn balance(scenario: &Scenario, coin: &str, account: Address) -> anyhow::Result<U256> {
    let asking = scenario.devnet.chain().sender(&scenario.requester()?)?;
    let call = IDevToken::balanceOfCall { account: evm(account) };
    Ok(scenario.handle().block_on(asking.view(coin.parse()?, &call))?)
}

/// Every operator and staker claims what the distribution says, once and to the wei.
pub fn run(scenario: &mut Scenario) -> anyhow::Result<()> {
    let input = scenario.folder.path().join("paid.hex");
    std::fs::write(&input, messages(2)?)?;
    let (input, fee) = (input.display().to_string(), FEE.to_string());
    let submit = ["submit", "--input", &input, "--contract", "--fee-wei", &fee, "--wait"];
    let output = scenario.cli(&submit)?;
    ensure!(output.status.success(), "the job settles: {}", text(&output));
    let (file, earned) = pay(scenario)?;
    let pot = U256::from(FEE * VERIFIER_BPS / 10_000);
    let all: U256 = earned.values().sum();
    ensure!(!all.is_zero() && all <= pot, "{all} of the {pot} wei in the pot: {earned:?}");

    let mut claimed = U256::ZERO;
    for verifier in 1..=4 {
        for role in ["operator", "staker"] {
            let name = format!("verifier-{verifier}-{role}");
            claimed += claims(scenario, &name, &file, &earned)?;
        }
    }
    ensure!(claimed == all, "{claimed} of {all} wei were claimed");

    let (again, still) = pay(scenario)?;
    ensure!((&again, &still) == (&file, &earned), "nothing new: {still:?}");
    let other = scenario.folder.path().join("other.jsonl");
    std::fs::write(
        &other,
        std::fs::read_to_string(&file)?.replacen("_amount\":\"", "_amount\":\"9", 1),
    )?;
    let other = other.display().to_string();
    let account = earned.keys().next().context("an earner")?;
    let claim = ["operator", "rewards", "claim", "--earner", account, "--distribution", &other];
    let output = scenario.cli(&claim)?;
    let said = text(&output);
    ensure!(output.status.code() == Some(INVALID) && said.contains("no root"), "{said}");
    Ok(())
}

/// Claims what a wallet of the network has earned, if anything; returns how much that is.
fn claims(
    scenario: &Scenario,
    name: &str,
    file: &str,
    earned: &BTreeMap<String, U256>,
) -> anyhow::Result<U256> {
    let account = scenario.devnet.new_wallet_if_missing(name)?.address();
    let Some(wei) = earned.get(&account.to_string()) else {
        return Ok(U256::ZERO);
    };
    let wallet = scenario.devnet.layout().key(name).display().to_string();
    let claim = ["operator", "rewards", "claim", "--wallet", &wallet, "--distribution", file];
    let view = json(scenario, &claim)?;
    ensure!(word(&view, "claimed_wei")? == wei.to_string(), "{name} claims {wei}: {view}");
    let balance = balance(scenario, word(&view, "coin")?, account)?;
    ensure!(balance == *wei, "{name} has {balance}, not {wei}");
    let output = scenario.cli(&claim)?;
    let said = text(&output);
    ensure!(output.status.code() == Some(REFUSED) && said.contains("has claimed all"), "{said}");
    let show = ["operator", "rewards", "show", &account.to_string(), "--distribution", file];
    let view = json(scenario, &show)?;
    ensure!(word(&view, "claimable_wei")? == "0", "all is claimed: {view}");
    ensure!(word(&view, "claimed_wei")? == wei.to_string(), "and shown: {view}");
    Ok(*wei)
}
