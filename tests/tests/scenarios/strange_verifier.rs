//! Verifiers that do not belong here: a key that is in no epoch, and one that cannot read the chain.

use anyhow::{Context, ensure};
use proofgrid_core::crypto::bls::SecretKey;
use proofgrid_tests::peer::Verifier;
use proofgrid_tests::rpc::{Mode, Proxy};
use proofgrid_tests::{NewJob, Scenario};

use crate::common::{explained, settles};

/// The login is refused, and the network does not notice.
pub fn not_in_the_epoch(scenario: &mut Scenario) -> anyhow::Result<()> {
    let key = SecretKey::from_bytes(&[7; 32])?;
    let stranger = scenario.devnet.new_wallet_if_missing("strange-operator")?.address();
    let error = Verifier::join_as(scenario, stranger, key).err().context("it is refused")?;
    ensure!(format!("{error:#}").contains("epoch"), "it is told why: {error:#}");
    let member = scenario.devnet.new_wallet_if_missing("verifier-1-operator")?.address();
    let key = SecretKey::from_bytes(&[7; 32])?;
    let error = Verifier::join_as(scenario, member, key).err().context("it is refused")?;
    ensure!(!format!("{error:#}").is_empty(), "it is told why");
    settles(scenario)?;
    Ok(())
}

/// Its own node does not answer, so it confirms no epoch and signs nothing; 60 % are left, and the job is
/// held until it can read.
pub fn cannot_read_the_chain(scenario: &mut Scenario) -> anyhow::Result<()> {
    let proxy = Proxy::start(&scenario.devnet.network().rpc_url)?;
    proxy.set(Mode::HangUp);
    scenario.kill("verifier-1")?;
    let urls = format!("[\"{}\"]", proxy.url());
    scenario.restart_with(
        "verifier-1",
        &[("PROOFGRID_CHAIN__RPC_URLS", &urls), ("PROOFGRID_VERIFIER__CHAIN_PATIENCE_MS", "500")],
    )?;
    let job = scenario.submit(&NewJob::fibonacci(scenario.nonce()))?;
    let held = scenario.wait_for_state(job, "held")?;
    ensure!(held.certificate.is_empty(), "60 % certify nothing: {held:#?}");
    explained(scenario, job, &[&held.reason])?;
    proxy.set(Mode::Honest);
    scenario.kill("verifier-1")?;
    scenario.restart("verifier-1")?;
    scenario.wait_for_state(job, "settled")?;
    Ok(())
}
