//! The oracle's node hangs, hangs up or lies: nothing false is taken from it, nothing is posted twice,
//! and all goes on when it is honest again.

use anyhow::ensure;
use proofgrid_core::ids::JobId;
use proofgrid_tests::rpc::{Lie, Mode, Proxy};
use proofgrid_tests::{NewJob, Scenario};
use serde_json::{Value, json};

/// Blocks by which a node that lies is ahead.
const AHEAD: u64 = 1_000;

/// Puts the oracle behind a proxy, beside the honest node if that is asked for.
fn behind(scenario: &mut Scenario, beside: bool) -> anyhow::Result<Proxy> {
    let honest = scenario.devnet.network().rpc_url.clone();
    let proxy = Proxy::start(&honest)?;
    let mut urls = vec![proxy.url()];
    if beside {
        urls.insert(0, honest);
    }
    scenario.kill("oracle")?;
    scenario.restart_with(
        "oracle",
        &[
            ("PROOFGRID_ORACLE__RPC_URLS", &json!(urls).to_string()),
            ("PROOFGRID_ORACLE__REQUEST_TIMEOUT_MS", "500"),
            ("PROOFGRID_ORACLE__REQUEST_RETRIES_MAX", "0"),
        ],
    )?;
    crate::common::settles(scenario)?;
    Ok(proxy)
}

/// Waits until the oracle says something that it has not said before.
fn says(scenario: &Scenario, from: usize, words: &str) -> anyhow::Result<()> {
    scenario.wait_until(&format!("the oracle says {words:?}"), || {
        let log = scenario.log("oracle");
        Ok(log.get(from..).unwrap_or_default().contains(words).then_some(()))
    })
}

/// A job that is certified while the node misbehaves.
fn certified(scenario: &Scenario) -> anyhow::Result<JobId> {
    let job = scenario.submit(&NewJob::fibonacci(scenario.nonce()))?;
    scenario.wait_for(job, "certified", |view| !view.certificate.is_empty())?;
    Ok(job)
}

fn back_to_normal(scenario: &mut Scenario, proxy: &Proxy, job: JobId) -> anyhow::Result<()> {
    proxy.set(Mode::Honest);
    scenario.wait_for_state(job, "settled")?;
    scenario.kill("oracle")?;
    scenario.restart("oracle")
}

fn unreachable(scenario: &mut Scenario, mode: Mode) -> anyhow::Result<()> {
    let proxy = behind(scenario, false)?;
    let from = scenario.log("oracle").len();
    proxy.set(mode);
    let job = certified(scenario)?;
    says(scenario, from, "no RPC endpoint answered")?;
    let view = scenario.wait_for_state(job, "certified")?;
    ensure!(view.submissions.is_empty(), "nothing is posted: {view:#?}");
    back_to_normal(scenario, &proxy, job)
}

/// It takes requests and says nothing.
pub fn hangs(scenario: &mut Scenario) -> anyhow::Result<()> {
    unreachable(scenario, Mode::Hang)
}

/// It hangs up.
pub fn hangs_up(scenario: &mut Scenario) -> anyhow::Result<()> {
    unreachable(scenario, Mode::HangUp)
}

fn lied_to(scenario: &mut Scenario, lie: Lie, beside: bool, words: &str) -> anyhow::Result<()> {
    let proxy = behind(scenario, beside)?;
    let from = scenario.log("oracle").len();
    proxy.set(Mode::Lie(lie));
    let job = certified(scenario)?;
    says(scenario, from, words)?;
    let view = scenario.wait_for(job, "known", |_| true)?;
    ensure!(view.state != "settled", "a liar settles nothing: {view:#?}");
    back_to_normal(scenario, &proxy, job)
}

fn latest(method: &str, params: &Value) -> bool {
    method == "eth_getBlockByNumber" && params.get(0).is_some_and(|which| which == "latest")
}

/// Its head is a thousand blocks ahead of the chain.
pub fn lies_ahead(scenario: &mut Scenario) -> anyhow::Result<()> {
    fn ahead(method: &str, params: &Value, mut result: Value) -> Value {
        if latest(method, params)
            && let Some(text) = result["number"].as_str()
            && let Ok(number) = u64::from_str_radix(text.trim_start_matches("0x"), 16)
        {
            result["number"] = json!(format!("{:#x}", number + AHEAD));
        }
        result
    }
    lied_to(scenario, ahead, false, "below it is unknown")
}

/// It serves another chain.
pub fn other_chain(scenario: &mut Scenario) -> anyhow::Result<()> {
    let proxy = behind(scenario, false)?;
    proxy.set(Mode::Lie(
        |method, _, result| if method == "eth_chainId" { json!("0x1") } else { result },
    ));
    // A chain is asked for its id when an oracle starts, and after each failure.
    scenario.kill("oracle")?;
    let from = scenario.log("oracle").len();
    let urls = json!([proxy.url()]).to_string();
    scenario.restart_with("oracle", &[("PROOFGRID_ORACLE__RPC_URLS", &urls)])?;
    let job = certified(scenario)?;
    says(scenario, from, "serves chain 1")?;
    let view = scenario.wait_for_state(job, "certified")?;
    ensure!(view.submissions.is_empty(), "nothing is posted: {view:#?}");
    // The right chain is back; a person corrected the settings.
    scenario.kill("oracle")?;
    scenario.restart("oracle")?;
    scenario.wait_for_state(job, "settled")?;
    Ok(())
}

/// Of two nodes one has another final block: nothing is taken from either.
pub fn two_disagree(scenario: &mut Scenario) -> anyhow::Result<()> {
    fn other_block(method: &str, params: &Value, mut result: Value) -> Value {
        if method == "eth_getBlockByNumber" && !latest(method, params) && result.is_object() {
            result["hash"] = json!("0x".to_owned() + &"ab".repeat(32));
        }
        result
    }
    lied_to(scenario, other_block, true, "disagree on final block")
}
