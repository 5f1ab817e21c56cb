//! Provers put a bond at stake for assigned work: who delivers has it back, who does not pays for it.

use alloy_primitives::{U256, keccak256};
use anyhow::{Context, bail, ensure};
use proofgrid_core::ids::JobId;
use proofgrid_oracle::deploy::DeployConfig;
use proofgrid_tests::{NewJob, Scenario};
use serde_json::Value;

use crate::common::{holds, named, provers, task, text};
use crate::deadline::{credit, fund};

/// Exit code of a request that was refused.
const REFUSED: i32 = 3;
/// Wei in a coin.
const COIN: u64 = 1_000_000_000_000_000_000;
/// What each prover bonds, and what is asked for a lease.
const BOND: u128 = 1_000_000;
const AT_STAKE: u128 = 100_000;
/// Longest lease, and a step of the chain's clock beyond it.
const LEASE_SECONDS: u64 = 600;
const BEYOND_SECONDS: u64 = 700;
/// The event of a penalty.
const PENALISED: &str = "LockPenalised(bytes32,bytes32,address,uint256,address,uint256)";
/// Times that a prover may be faster than the scenario that wants to catch it at work.
const CATCHES_MAX: usize = 5;

/// A prover's bond, as its owner is told.
#[derive(Debug, PartialEq, Eq)]
struct Bond {
    free: u128,
    locked: u128,
    states: Vec<String>,
}

/// What the command line says to a wallet of this network about its bond.
fn bond(scenario: &Scenario, arguments: &[&str], wallet: &str) -> anyhow::Result<(i32, String)> {
    let key = scenario.devnet.layout().key(wallet).display().to_string();
    let all = [["prover", "bond"].as_slice(), arguments, &["--wallet", &key]].concat();
    let output = scenario.cli(&all)?;
    Ok((output.status.code().context("it ended by itself")?, text(&output)))
}

fn bond_of(scenario: &Scenario, prover: &str) -> anyhow::Result<Bond> {
    let address = scenario.devnet.new_wallet_if_missing(prover)?.address().to_string();
    let output = scenario.cli(&["prover", "bond", "status", &address, "--output", "json"])?;
    ensure!(output.status.success(), "the bond is shown: {output:?}");
    let view: Value = serde_json::from_slice(&output.stdout)?;
    let wei =
        |key: &str| view[key].as_str().context("an amount")?.parse().map_err(anyhow::Error::new);
    let locks = view["locks"].as_array().context("a list of locks")?;
    let states = locks.iter().filter_map(|lock| lock["state"].as_str().map(str::to_owned));
    Ok(Bond { free: wei("free_wei")?, locked: wei("locked_wei")?, states: states.collect() })
}

fn bond_becomes(scenario: &Scenario, prover: &str, expected: &Bond) -> anyhow::Result<()> {
    let what = format!("the bond of {prover} is {expected:?}");
    scenario.wait_until(&what, || Ok((bond_of(scenario, prover)? == *expected).then_some(())))
}

fn free(wei: u128) -> Bond {
    Bond { free: wei, locked: 0, states: Vec::new() }
}

fn locked(state: &str) -> Bond {
    Bond { free: BOND - AT_STAKE, locked: AT_STAKE, states: vec![state.to_owned()] }
}

/// The settings under which a prover may bond.
fn settings(scenario: &Scenario) -> Vec<(&'static str, String)> {
    let network = scenario.devnet.network();
    vec![
        ("PROOFGRID_BOND__CHAIN_ID", network.home_chain_id.to_string()),
        ("PROOFGRID_BOND__RPC_URLS", format!("[{:?}]", network.rpc_url)),
        ("PROOFGRID_BOND__TASK_MANAGER", network.task_manager.clone()),
        ("PROOFGRID_BOND__AMOUNT_WEI_MAX", AT_STAKE.to_string()),
    ]
}

fn restart_bonded(scenario: &mut Scenario, prover: &str) -> anyhow::Result<()> {
    let settings = settings(scenario);
    let settings: Vec<(&str, &str)> =
        settings.iter().map(|(key, value)| (*key, value.as_str())).collect();
    scenario.restart_with(prover, &settings)
}

/// The dispatcher asks for bonds, and every prover has one.
fn everybody_is_bonded(scenario: &mut Scenario) -> anyhow::Result<()> {
    fund(scenario)?;
    scenario.kill("dispatcher")?;
    let (at_stake, lease_ms) = (AT_STAKE.to_string(), (LEASE_SECONDS * 1000).to_string());
    let asked = [
        ("PROOFGRID_DISPATCHER__LEASE_BOND_WEI", at_stake.as_str()),
        ("PROOFGRID_DISPATCHER__TIMING__LEASE_MAX_MS", &lease_ms),
    ];
    scenario.restart_with("dispatcher", &asked)?;
    scenario.wait_for_dispatcher()?;
    for prover in provers(scenario) {
        scenario.terminate(&prover)?;
        let address = scenario.devnet.new_wallet_if_missing(&prover)?.address();
        scenario.fund(address, U256::from(COIN))?;
        let had = bond_of(scenario, &prover)?.free;
        if had < BOND {
            let (code, text) = bond(scenario, &["deposit", &(BOND - had).to_string()], &prover)?;
            ensure!(code == 0, "it is taken: {text}");
        }
        ensure!(bond_of(scenario, &prover)? == free(BOND), "all of it is free");
        restart_bonded(scenario, &prover)?;
    }
    Ok(())
}

fn back_to_usual(scenario: &mut Scenario) -> anyhow::Result<()> {
    for name in provers(scenario) {
        scenario.kill(&name)?;
    }
    scenario.kill("dispatcher")?;
    scenario.restart("dispatcher")?;
    scenario.wait_for_dispatcher()?;
    for name in provers(scenario) {
        scenario.restart(&name)?;
    }
    crate::common::settles(scenario)?;
    Ok(())
}

fn contract_job(scenario: &Scenario) -> NewJob {
    NewJob { contract: true, ..NewJob::slow(scenario.nonce()) }
}

/// It accepts, delivers while the verifiers are away, and has its bond back when they are not.
pub fn delivered(scenario: &mut Scenario) -> anyhow::Result<()> {
    everybody_is_bonded(scenario)?;
    let verifiers: Vec<String> =
        scenario.devnet.roles().into_iter().filter(|name| name.starts_with("verifier")).collect();
    for name in &verifiers {
        scenario.kill(name)?;
    }
    let job = scenario.submit(&contract_job(scenario))?;
    let view = scenario.wait_for(job, "proved", |view| {
        view.tasks.first().is_some_and(|task| task.state == "accepted")
    })?;
    let prover = named(scenario, &task(&view)?.prover)?;
    bond_becomes(scenario, &prover, &locked("delivered"))?;
    let (code, text) = bond(scenario, &["withdraw", &BOND.to_string()], &prover)?;
    ensure!(code == REFUSED, "what is at stake stays: {text}");

    for name in &verifiers {
        scenario.restart(name)?;
    }
    scenario.wait_for_state(job, "settled")?;
    bond_becomes(scenario, &prover, &free(BOND))?;
    let (code, text) = bond(scenario, &["withdraw"], &prover)?;
    ensure!(code == 0, "it is paid out: {text}");
    ensure!(bond_of(scenario, &prover)? == free(0), "all of it");
    back_to_usual(scenario)
}

/// A prover that has accepted and is at work, paused.
fn caught_with_a_bond(scenario: &mut Scenario) -> anyhow::Result<(JobId, String)> {
    for _ in 0..CATCHES_MAX {
        let job = scenario.submit(&contract_job(scenario))?;
        let view = scenario.wait_for(job, "leased", |view| {
            view.tasks.first().is_some_and(|task| ["leased", "accepted"].contains(&&*task.state))
        })?;
        let (id, address) = (task(&view)?.id.clone(), task(&view)?.prover.clone());
        let handed_on = |line: &str| line.contains("acceptance handed to the oracle");
        scenario.wait_until("the lease is accepted", || {
            let log = scenario.log("dispatcher");
            Ok(log.lines().any(|line| handed_on(line) && line.contains(&id)).then_some(()))
        })?;
        let name = named(scenario, &address)?;
        scenario.pause(&name)?;
        if holds(scenario, job, &address)? {
            return Ok((job, name));
        }
        scenario.resume(&name)?;
        scenario.wait_for_state(job, "settled")?;
    }
    bail!("{CATCHES_MAX} proofs were done before they could be interrupted")
}

/// It is killed after it accepted. Another one proves the task after its time, and the oracle sees to
/// it that the missed deadline is paid for, to the requester, and that no coin is lost.
pub fn missed(scenario: &mut Scenario) -> anyhow::Result<()> {
    everybody_is_bonded(scenario)?;
    let (job, killed) = caught_with_a_bond(scenario)?;
    bond_becomes(scenario, &killed, &locked("locked"))?;
    let before = credit(scenario, "requester")?;
    // Nobody takes over before the lock's time is over: what the chain sees is a late certificate.
    let others: Vec<String> =
        provers(scenario).into_iter().filter(|name| *name != killed).collect();
    for name in &others {
        scenario.kill(name)?;
    }
    scenario.kill(&killed)?;
    scenario.advance_chain(BEYOND_SECONDS)?;
    for name in &others {
        scenario.restart(name)?;
    }
    scenario.wait_for_state(job, "settled")?;
    let penalty = AT_STAKE * u128::from(DeployConfig::development().bonds.missedBps) / 10_000;
    bond_becomes(scenario, &killed, &free(BOND - penalty))?;
    ensure!(credit(scenario, "requester")? == before + penalty, "it is the requester's");
    let penalised = format!("{}", keccak256(PENALISED));
    let book = scenario.devnet.chain().deployment().bonds;
    let events = scenario.events(&book.to_string())?;
    let of_it = events.iter().filter(|topics| topics.first() == Some(&penalised));
    ensure!(of_it.count() == 1, "once: {events:?}");
    back_to_usual(scenario)
}
