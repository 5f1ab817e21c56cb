//! A proof is certified, and nobody shows it. A stranger demands it on the chain, with a bond: whoever
//! shows it has the bond; if nobody does, the leaf is withdrawn, the fee comes back, nobody is slashed.

use alloy_primitives::U256;
use anyhow::{Context, ensure};
use proofgrid_core::ids::JobId;
use proofgrid_node::devnet::dispute;
use proofgrid_node::devnet::network::DevnetOptions;
use proofgrid_tests::{NewJob, Scenario};
use serde_json::Value;

use crate::challenge::{Challenger, NOT_FOUND, REFUSED, WHOLE, shares};
use crate::common::text;
use crate::deadline::{credit, escrow};

/// The registry's window, in which proofs can be demanded; nothing here waits for it on a real clock.
const WINDOW_SECONDS: u32 = 600;
/// What a demand may wait for its answer, long enough for the slowest machine.
const ANSWER_SECONDS: u64 = 600;
/// The jobs' deadline; the chain's clock is moved more than once below it.
const DEADLINE_SECONDS: u64 = 7_200;
/// The bond of a demand on a development network.
const DEMAND_BOND: u128 = WHOLE / 10;
/// What a contract job escrows.
const FEE_WEI: u128 = 1_000_000;
/// The verifier with the network's only mirror.
const MIRROR: &str = "verifier-1";

/// The network of these faults: its batches have a challenge window.
pub fn network(options: &mut DevnetOptions) {
    let deploy = &mut options.deploy;
    deploy.epochs.challengeSeconds = u64::from(WINDOW_SECONDS);
    deploy.game.answerSeconds = ANSWER_SECONDS;
    deploy.tasks.graceSeconds = u64::from(WINDOW_SECONDS) + 100;
    deploy.races.judgeSeconds = WINDOW_SECONDS + 1;
    deploy.races.holdSecondsMax = WINDOW_SECONDS + 1;
}

/// A stranger with coins.
fn stranger<'a>(scenario: &'a mut Scenario, name: &str) -> anyhow::Result<Challenger<'a>> {
    let address = scenario.devnet.new_wallet_if_missing(name)?.address();
    scenario.fund(address, U256::from(WHOLE))?;
    Ok(Challenger::new(scenario, name))
}

/// A job whose proof the chain can judge, and whose certificate is posted and soft.
fn certified(scenario: &mut Scenario) -> anyhow::Result<JobId> {
    crate::deadline::fund(scenario)?;
    let (program, path) = dispute::input(&scenario.devnet)?;
    let job = scenario.submit(&NewJob {
        program: program.to_owned(),
        input: std::fs::read(path)?,
        contract: true,
        deadline_s: DEADLINE_SECONDS,
        ..NewJob::fibonacci(scenario.nonce())
    })?;
    let asks = stranger(scenario, "stranger")?;
    let dry = ["demand", &job.to_string(), "--although-found", "--dry-run"];
    asks.scenario.wait_until("its certificate is posted", || {
        Ok(asks.run(&dry)?.status.success().then_some(()))
    })?;
    Ok(job)
}

/// Demands the job's proof, which the only mirror withholds. Gives the statement and the last second.
fn demanded(scenario: &mut Scenario, job: JobId) -> anyhow::Result<(String, u64)> {
    let id = job.to_string();
    let found = Challenger::new(scenario, "stranger").run(&["demand", &id])?;
    ensure!(found.status.code() == Some(REFUSED), "the mirror has it: {}", text(&found));
    ensure!(text(&found).contains("can be had"), "it says so: {}", text(&found));
    scenario.kill(MIRROR)?;
    let asks = Challenger::new(scenario, "stranger");
    let view = asks.json(&["demand", &id])?;
    let statement = view["statement"].as_str().context("a statement")?.to_owned();
    let until = view["until_unix_s"].as_u64().context("a last second")?;
    ensure!(shown(scenario, job)?["state"] == "open", "everybody sees it");
    let words = scenario.cli(&["challenge", "show", &id])?;
    ensure!(text(&words).contains(&until.to_string()), "until when is said: {}", text(&words));
    let again = asks.run(&["demand", &id])?;
    ensure!(again.status.code() == Some(REFUSED), "once: {}", text(&again));
    Ok((statement, until))
}

/// The demand on the job's only proof, as it is shown.
fn shown(scenario: &Scenario, job: JobId) -> anyhow::Result<Value> {
    let output = scenario.cli(&["challenge", "show", &job.to_string(), "--output", "json"])?;
    ensure!(output.status.success(), "{}", text(&output));
    let view: Value = serde_json::from_slice(&output.stdout)?;
    let demand = view["demands"].get(0).context("a demand")?;
    Ok(demand.clone())
}

/// A certified proof that is withheld is demanded, and shown by whoever has it: that one has the bond,
/// and the job is paid.
pub fn answered(scenario: &mut Scenario) -> anyhow::Result<()> {
    let job = certified(scenario)?;
    let (statement, _) = demanded(scenario, job)?;
    stranger(scenario, "responder")?;
    let answer = ["answer", &statement];
    let missing = Challenger::new(scenario, "responder").run(&answer)?;
    ensure!(missing.status.code() == Some(NOT_FOUND), "nobody has it: {}", text(&missing));
    scenario.restart(MIRROR)?;
    let responds = Challenger::new(scenario, "responder");
    scenario.wait_until("the mirror is back and the proof is shown", || {
        Ok(responds.run(&answer)?.status.success().then_some(()))
    })?;
    ensure!(shown(scenario, job)?["state"] == "answered", "everybody sees it");
    let before = responds.coins()?;
    let paid = responds.json(&["withdraw"])?;
    ensure!(paid["demands_wei"] == DEMAND_BOND.to_string(), "the bond: {paid}");
    ensure!(responds.coins()? > before, "it is the responder's");
    scenario.advance_chain(u64::from(WINDOW_SECONDS) + ANSWER_SECONDS)?;
    scenario.wait_for_state(job, "settled")?;
    Ok(())
}

/// The same, and nobody has it: the leaf is withdrawn, the fee is refunded, nobody is slashed.
pub fn unanswered(scenario: &mut Scenario) -> anyhow::Result<()> {
    let job = certified(scenario)?;
    let operators = scenario.devnet.operators().to_vec();
    let stakes = |scenario: &Scenario| -> anyhow::Result<Vec<U256>> {
        operators.iter().map(|operator| shares(scenario, *operator)).collect()
    };
    let stakes_before = stakes(scenario)?;
    let (statement, until) = demanded(scenario, job)?;
    let asks = Challenger::new(scenario, "stranger");
    let early = asks.run(&["close", &statement])?;
    ensure!(early.status.code() == Some(REFUSED), "not before its time: {}", text(&early));
    ensure!(text(&early).contains(&until.to_string()), "it says when: {}", text(&early));
    scenario.advance_chain(ANSWER_SECONDS + 1)?;
    let late = asks.run(&["answer", &statement])?;
    ensure!(late.status.code() == Some(REFUSED), "too late: {}", text(&late));
    let closed = asks.run(&["close", &statement])?;
    ensure!(closed.status.success(), "its leaf is withdrawn: {}", text(&closed));
    let before = asks.coins()?;
    asks.json(&["withdraw"])?;
    ensure!(asks.coins()? > before, "the bond came back");
    ensure!(shown(scenario, job)?["state"] == "unanswered", "everybody sees it");

    let before = credit(scenario, "requester")?;
    let refund = ["refund", &job.to_string()];
    let (code, text) = escrow(scenario, &refund, "requester")?;
    ensure!(code == REFUSED, "not before the escrow is due: {text}");
    scenario.advance_chain(DEADLINE_SECONDS + 60 + u64::from(WINDOW_SECONDS) + 100)?;
    let (code, text) = escrow(scenario, &refund, "requester")?;
    ensure!(code == 0, "it is refunded: {text}");
    ensure!(credit(scenario, "requester")? == before + FEE_WEI, "all of it");
    ensure!(stakes(scenario)? == stakes_before, "nobody is slashed");
    scenario.wait_for_state(job, "expired")?;
    scenario.restart(MIRROR)?;
    Ok(())
}

/// An oracle that knows a mirror shows what is demanded, without anybody's word.
pub fn watched(scenario: &mut Scenario) -> anyhow::Result<()> {
    let job = certified(scenario)?;
    let mirrors = format!("{:?}", scenario.devnet.network().mirror_urls);
    scenario.kill("oracle")?;
    scenario.restart_with("oracle", &[("PROOFGRID_ORACLE__MIRROR_URLS", &mirrors)])?;
    let asks = Challenger::new(scenario, "stranger");
    asks.json(&["demand", &job.to_string(), "--although-found"])?;
    scenario.wait_until("the oracle shows the proof", || {
        Ok((shown(scenario, job)?["state"] == "answered").then_some(()))
    })?;
    scenario.advance_chain(u64::from(WINDOW_SECONDS) + ANSWER_SECONDS)?;
    scenario.wait_for_state(job, "settled")?;
    scenario.kill("oracle")?;
    scenario.restart("oracle")
}
