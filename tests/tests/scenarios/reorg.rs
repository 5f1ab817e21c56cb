//! The chain reorganises under our certificate and under a job: the one is posted again, the other was
//! never there.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use proofgrid_node::devnet::network::DevnetOptions;
use proofgrid_oracle::deploy;
use proofgrid_tests::rpc::call;
use proofgrid_tests::{NewJob, Scenario};
use serde_json::{Value, json};

/// Wei in a coin.
const COIN: u64 = 1_000_000_000_000_000_000;

/// The network of these faults: a block is final when two are on it.
pub fn network(options: &mut DevnetOptions) {
    options.tuning.finality = "depth=3".into();
    options.provers = 1;
    options.deploy.tasks.verifySeconds = 5;
    options.deploy.tasks.graceSeconds = 5;
    options.deploy.races.judgeSeconds = 10;
}

/// Calls a method of the development node.
pub fn chain(scenario: &Scenario, method: &str, params: &Value) -> anyhow::Result<Value> {
    call(&scenario.devnet.network().rpc_url, method, params)
}

/// Seconds between blocks; with 0 blocks come only when they are asked for.
pub fn mine_every(scenario: &Scenario, seconds: u64) -> anyhow::Result<()> {
    chain(scenario, "evm_setIntervalMining", &json!([seconds])).map(|_| ())
}

/// The block of our certificate is replaced by an empty one before it is final.
pub fn of_the_certificate(scenario: &mut Scenario) -> anyhow::Result<()> {
    mine_every(scenario, 0)?;
    let job = scenario.submit(&NewJob::fibonacci(scenario.nonce()))?;
    let included = mined_by_hand(scenario, || {
        scenario.wait_for(job, "included", |view| {
            view.submission("certificate").is_some_and(|found| found.state == "included")
        })
    })?;
    chain(scenario, "anvil_reorg", &json!([1, []]))?;
    mine_every(scenario, 1)?;
    let settled = scenario.wait_for_state(job, "settled")?;
    let (before, after) = (included.submission("certificate"), settled.submission("certificate"));
    let (before, after) = (before.context("included")?, after.context("settled")?);
    ensure!(after.block_number > before.block_number, "another block: {after:?}, not {before:?}");
    let told = scenario.cli(&["watch", &job.to_string()])?;
    let told = String::from_utf8_lossy(&told.stdout);
    ensure!(told.contains("no longer on the chain"), "the person is told:\n{told}");
    Ok(())
}

/// The block of a job is replaced by an empty one before it is final: the network never hears of the job,
/// nothing is escrowed, and the same nonce can be used again.
pub fn of_the_job(scenario: &mut Scenario) -> anyhow::Result<()> {
    let wallet = scenario.requester()?;
    scenario.fund(wallet.address(), alloy_primitives::U256::from(COIN))?;
    let mut new = NewJob::fibonacci(scenario.nonce());
    new.contract = true;
    mine_every(scenario, 0)?;
    let lost = mined_by_hand(scenario, || scenario.submit(&new))?;
    scenario.forget(lost);
    chain(scenario, "anvil_reorg", &json!([1, []]))?;
    mine_every(scenario, 1)?;
    new.deadline_s += 60;
    let job = scenario.submit(&new)?;
    ensure!(job != lost, "another deadline, another job");
    scenario.wait_for_state(job, "settled")?;
    ensure!(scenario.job(lost)?.is_none(), "nobody heard of the job that the chain forgot");
    let manager = scenario.devnet.chain().contracts().task_manager;
    let sender = scenario.devnet.chain().sender(&wallet)?;
    let escrow = scenario.block_on(deploy::escrow(&sender, manager, lost))?;
    ensure!(escrow.fee_wei == 0, "nothing is escrowed: {escrow:?}");
    Ok(())
}

/// Mines a block whenever a transaction waits, while something is done.
pub fn mined_by_hand<T>(
    scenario: &Scenario,
    act: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let (url, done) = (scenario.devnet.network().rpc_url.clone(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let miner = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let waiting = call(&url, "txpool_status", &json!([]))?;
                if waiting["pending"].as_str().is_some_and(|count| count != "0x0") {
                    call(&url, "evm_mine", &json!([]))?;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            anyhow::Ok(())
        });
        let result = act();
        done.store(true, Ordering::Relaxed);
        miner.join().map_err(|_| anyhow::anyhow!("the miner panicked"))??;
        result
    })
}
