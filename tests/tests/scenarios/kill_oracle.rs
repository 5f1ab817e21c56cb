//! kill -9 of the oracle before and after it sent the certificate: posted once, settled.

use anyhow::ensure;
use proofgrid_node::devnet::network::CHAIN;
use proofgrid_tests::{NewJob, Scenario};

/// The certificate is ready and not sent.
pub fn before_it_sends(scenario: &mut Scenario) -> anyhow::Result<()> {
    scenario.pause("oracle")?;
    let job = scenario.submit(&NewJob::fibonacci(scenario.nonce()))?;
    scenario.wait_for_state(job, "certified")?;
    scenario.kill("oracle")?;
    scenario.restart("oracle")?;
    scenario.wait_for_state(job, "settled")?;
    Ok(())
}

/// Its transaction is out and not final.
pub fn after_it_sent(scenario: &mut Scenario) -> anyhow::Result<()> {
    let job = scenario.submit(&NewJob::fibonacci(scenario.nonce()))?;
    let sent = scenario.wait_for(job, "sent", |view| !view.submissions.is_empty())?;
    scenario.kill("oracle")?;
    scenario.restart("oracle")?;
    let settled = scenario.wait_for_state(job, "settled")?;
    let first = sent.submission("certificate").map(|found| found.tx_hash.clone());
    let last = settled.submission("certificate").map(|found| found.tx_hash.clone());
    ensure!(first == last, "the same transaction, or it would count twice: {settled:#?}");
    Ok(())
}

/// The EVM node ends and comes back with its state, while a certificate waits to be posted.
pub fn chain_restarts(scenario: &mut Scenario) -> anyhow::Result<()> {
    scenario.pause("oracle")?;
    let job = scenario.submit(&NewJob::fibonacci(scenario.nonce()))?;
    scenario.wait_for_state(job, "certified")?;
    scenario.terminate(CHAIN)?;
    let before = scenario.log("oracle").len();
    scenario.resume("oracle")?;
    scenario.wait_until("the oracle says that nobody answers", || {
        let log = scenario.log("oracle");
        let new = log.get(before..).unwrap_or_default();
        Ok(new.contains("no RPC endpoint answered").then_some(()))
    })?;
    let view = scenario.wait_for_state(job, "certified")?;
    ensure!(view.submissions.is_empty(), "nothing is posted to a node that is gone");
    scenario.devnet.start_chain()?;
    scenario.wait_for_state(job, "settled")?;
    // The node keeps no states of before its restart: wait until its final block is a new one.
    let epoch = proofgrid_core::ids::EpochNumber::new(1);
    scenario.wait_until("a final block after the restart", || {
        Ok(scenario.block_on(scenario.devnet.chain().epoch_digest(epoch)).ok().map(|_| ()))
    })
}
