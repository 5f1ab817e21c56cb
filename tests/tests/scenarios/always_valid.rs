//! A verifier that finds everything valid, a prover that proves something else, and no intake: below a
//! third it changes nothing, above a third it can hold the job and never certify it.

use anyhow::ensure;
use proofgrid_core::ids::JobId;
use proofgrid_core::statement::Verdict;
use proofgrid_tests::peer::Verifier;
use proofgrid_tests::{NewJob, Scenario};

use crate::claim::start_liar;
use crate::common::explained;
use crate::verifiers::vote;

/// The named verifier votes valid on a false statement.
fn approved(scenario: &mut Scenario, name: &str) -> anyhow::Result<(Verifier, JobId)> {
    scenario.kill(name)?;
    let mut approver = Verifier::join(scenario, name)?;
    start_liar(scenario)?;
    let job = scenario.submit(&NewJob::keccak(2, scenario.nonce())?)?;
    let offer = approver.statement()?;
    approver.vote(&approver.sign(vote(&offer, Verdict::Valid)))?;
    Ok((approver, job))
}

/// 30 % approve.
pub fn a_minority(scenario: &mut Scenario) -> anyhow::Result<()> {
    let (approver, job) = approved(scenario, "verifier-2")?;
    let failed = scenario.wait_for_state(job, "failed")?;
    ensure!(failed.certificate.is_empty(), "nothing false is certified: {failed:#?}");
    let liar = scenario.devnet.new_wallet_if_missing("prover-1")?.address().to_string();
    explained(scenario, job, &["claim", &liar])?;
    drop(approver);
    scenario.restart("verifier-2")
}

/// 40 % approve: neither verdict has two thirds.
pub fn over_a_third(scenario: &mut Scenario) -> anyhow::Result<()> {
    let (approver, job) = approved(scenario, "verifier-1")?;
    let held = scenario.wait_for_state(job, "held")?;
    ensure!(held.certificate.is_empty(), "nothing false is certified: {held:#?}");
    ensure!(!held.reason.is_empty(), "it says why: {held:#?}");
    drop(approver);
    // The real verifier judges for itself; two thirds then refuse the proof.
    scenario.restart("verifier-1")?;
    let output = scenario.cli(&["cancel", &job.to_string()])?;
    ensure!(output.status.success(), "a held job can be withdrawn: {output:?}");
    Ok(())
}
