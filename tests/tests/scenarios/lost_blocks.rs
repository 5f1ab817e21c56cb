//! Blocks that were final are gone: the chain is reorganised deeper than its policy, or its node is
//! killed and comes back with an older state. What is under way settles once, and the person is told.

use std::path::PathBuf;

use anyhow::{Context, anyhow, ensure};
use proofgrid_core::ids::JobId;
use proofgrid_node::devnet::network::CHAIN;
use proofgrid_node::job_view::JobView;
use proofgrid_tests::{NewJob, Scenario};
use serde_json::{Value, json};

use crate::common::{caught, provers};
use crate::deadline::{credit, fund, provers_part};
use crate::reorg::{chain, mine_every, mined_by_hand};

/// Blocks after which the policy of this network, `depth=3`, calls one final.
const DEPTH: u64 = 3;
/// What the oracle says.
const TOLD: &str = "blocks that were final are gone";
/// What the requester is told of a settlement.
const NO_JOB: &str = "the chain has no such job";

fn head(scenario: &Scenario) -> anyhow::Result<u64> {
    let number = chain(scenario, "eth_blockNumber", &json!([]))?;
    let digits = number.as_str().and_then(|text| text.strip_prefix("0x")).context("a number")?;
    Ok(u64::from_str_radix(digits, 16)?)
}

/// A contract job with which the same words are the same job.
fn contract_job(scenario: &Scenario, new: NewJob) -> anyhow::Result<NewJob> {
    Ok(NewJob { contract: true, deadline_unix_s: Some(now(scenario)? + 3_600), ..new })
}

/// The chain's clock.
fn now(scenario: &Scenario) -> anyhow::Result<u64> {
    let block = chain(scenario, "eth_getBlockByNumber", &json!(["latest", false]))?;
    let time = block["timestamp"].as_str().and_then(|text| text.strip_prefix("0x"));
    Ok(u64::from_str_radix(time.context("a block has a time")?, 16)?)
}

/// Waits for what the oracle says from a place of its log on.
fn told(scenario: &Scenario, from: usize) -> anyhow::Result<()> {
    scenario.wait_until("the oracle says that final blocks are gone", || {
        let log = scenario.log("oracle");
        Ok(log.get(from..).unwrap_or_default().contains(TOLD).then_some(()))
    })
}

fn paid(scenario: &Scenario, prover: &str, before: u128) -> anyhow::Result<()> {
    let after = credit(scenario, prover)?;
    ensure!(after == before + provers_part(), "paid once: {before} before, {after} after");
    Ok(())
}

/// The block of a job in mid-proof goes, and that of another job's certificate, all of them final. The
/// network keeps its word about the one. The other has no escrow any more, which it is told when it
/// would be paid; created again by its requester it is the same job, and is paid once.
pub fn reorganised(scenario: &mut Scenario) -> anyhow::Result<()> {
    fund(scenario)?;
    let first_lost = head(scenario)? + 1;
    let settled = scenario.submit(&NewJob::fibonacci(scenario.nonce()))?;
    scenario.wait_for_state(settled, "settled")?;
    let slow = |scenario: &Scenario| contract_job(scenario, NewJob::slow(scenario.nonce()));
    let (new, job, prover) = caught(scenario, slow)?;
    for other in scenario.jobs().into_iter().filter(|other| *other != job) {
        scenario.wait_for(other, "over", JobView::ended)?;
    }
    let log = scenario.log("oracle").len();

    mine_every(scenario, 0)?;
    let depth = head(scenario)?.saturating_sub(first_lost) + 1;
    ensure!(depth > DEPTH, "deeper than the policy");
    chain(scenario, "anvil_reorg", &json!([depth, []]))?;
    mine_every(scenario, 1)?;
    told(scenario, log)?;
    let before = credit(scenario, &prover)?;
    scenario.resume(&prover)?;
    scenario.wait_for(job, "told that there is nothing to pay from, and owed", |view| {
        let settlement = view.submission("settlement");
        let told = settlement.is_some_and(|found| found.text.contains(NO_JOB));
        told && view.state == "submitted"
    })?;

    let again = scenario.submit(&new)?;
    ensure!(again == job, "the same words, the same job");
    scenario.wait_for_state(job, "settled")?;
    paid(scenario, &prover, before)?;
    scenario.wait_for_state(settled, "settled")?;
    let watched = scenario.cli(&["watch", &job.to_string()])?;
    let history = String::from_utf8_lossy(&watched.stdout);
    ensure!(history.contains(NO_JOB), "the person is told:\n{history}");
    Ok(())
}

/// The EVM node is killed with signal 9 and comes back without the blocks of a certificate, which was
/// final, and of its settlement, which was not: both are posted again, and the job is paid once.
pub fn killed(scenario: &mut Scenario) -> anyhow::Result<()> {
    fund(scenario)?;
    let [prover] =
        provers(scenario).try_into().map_err(|all| anyhow!("one prover, not {all:?}"))?;
    scenario.pause(&prover)?;
    let job = scenario.submit(&contract_job(scenario, NewJob::fibonacci(scenario.nonce()))?)?;
    scenario.wait_for(job, "known", |view| ["accepted", "proving"].contains(&&*view.state))?;
    let (before, log) = (credit(scenario, &prover)?, scenario.log("oracle").len());
    mine_every(scenario, 0)?;
    let older = dumped(scenario, head(scenario)?)?;
    scenario.resume(&prover)?;
    let view = mined_by_hand(scenario, || {
        scenario.wait_for(job, "paid, in a block", |view| {
            view.submission("settlement").is_some_and(|found| found.state == "included")
        })
    })?;
    certificate_is_final(scenario, job, &view)?;

    scenario.kill(CHAIN)?;
    std::fs::write(scenario.devnet.chain_state(), older)?;
    scenario.devnet.start_chain()?;
    told(scenario, log)?;
    scenario.wait_for_state(job, "settled")?;
    paid(scenario, &prover, before)
}

/// Mines until a job's certificate is final and its settlement is not.
fn certificate_is_final(scenario: &Scenario, job: JobId, view: &JobView) -> anyhow::Result<()> {
    let block = |kind| view.submission(kind).map(|found| found.block_number).context("included");
    let (certificate, settlement) = (block("certificate")?, block("settlement")?);
    ensure!(certificate < settlement, "one after the other: {view:#?}");
    for _ in head(scenario)?..certificate + DEPTH {
        chain(scenario, "evm_mine", &json!([]))?;
    }
    let view = scenario.wait_for(job, "final, its certificate", |view| {
        view.submission("certificate").is_some_and(|found| found.state == "final")
    })?;
    ensure!(view.state == "submitted", "not settled yet: {view:#?}");
    Ok(())
}

/// What the node has written of itself, once a block is in it. It writes once a second, over what it
/// wrote before, so a read may meet half of it.
fn dumped(scenario: &Scenario, block: u64) -> anyhow::Result<Vec<u8>> {
    let path: PathBuf = scenario.devnet.chain_state();
    scenario.wait_until("the node has written its state", || {
        let bytes = std::fs::read(&path)?;
        let Ok(state) = serde_json::from_slice::<Value>(&bytes) else { return Ok(None) };
        let best = state["best_block_number"].as_u64().context("a state names its block")?;
        Ok((best >= block).then_some(bytes))
    })
}
