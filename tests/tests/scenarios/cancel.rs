//! A job is withdrawn while it waits and in the middle of its proof: it ends, its prover stops and is
//! free for the next, and nothing of it comes back.

use anyhow::ensure;
use proofgrid_core::ids::JobId;
use proofgrid_tests::{NewJob, Scenario};

use crate::common::{caught_proving, explained, provers, settles};

/// Exit code of a refusal.
const REFUSED: i32 = 3;

fn cancel(scenario: &Scenario, job: JobId) -> anyhow::Result<()> {
    let output = scenario.cli(&["cancel", &job.to_string()])?;
    ensure!(output.status.success(), "{output:?}");
    let view = scenario.wait_for_state(job, "cancelled")?;
    ensure!(view.certificate.is_empty(), "nothing is certified");
    explained(scenario, job, &["withdrawn by its requester"])
}

/// It waits for a prover.
pub fn pending(scenario: &mut Scenario) -> anyhow::Result<()> {
    for name in provers(scenario) {
        scenario.terminate(&name)?;
    }
    let job = scenario.submit(&NewJob::fibonacci(scenario.nonce()))?;
    scenario.wait_for(job, "planned", |view| !view.tasks.is_empty())?;
    cancel(scenario, job)?;
    for name in provers(scenario) {
        scenario.restart(&name)?;
    }
    settles(scenario)?;
    scenario.wait_for_state(job, "cancelled")?;
    Ok(())
}

/// It is being proved.
pub fn proving(scenario: &mut Scenario) -> anyhow::Result<()> {
    // Nobody else may prove it meanwhile.
    scenario.terminate("prover-2")?;
    let (job, name) = caught_proving(scenario)?;
    cancel(scenario, job)?;
    scenario.resume(&name)?;
    // It takes part again, and the proof that was under way is no longer wanted.
    settles(scenario)?;
    scenario.restart("prover-2")?;
    scenario.wait_for_state(job, "cancelled")?;
    Ok(())
}

/// Nobody else may do it, and nobody after the certificate.
pub fn refused(scenario: &mut Scenario) -> anyhow::Result<()> {
    let settled = settles(scenario)?;
    let late = scenario.cli(&["cancel", &settled.id])?;
    ensure!(late.status.code() == Some(REFUSED), "it is too late: {late:?}");
    ensure!(!late.stderr.is_empty(), "the person is told: {late:?}");

    scenario.devnet.new_wallet_if_missing("stranger")?;
    let wallet = scenario.devnet.layout().key("stranger").display().to_string();
    let (job, name) = caught_proving(scenario)?;
    let output = scenario.cli(&["cancel", "--wallet", &wallet, &job.to_string()])?;
    ensure!(output.status.code() == Some(REFUSED), "another's job: {output:?}");
    scenario.resume(&name)?;
    scenario.wait_for_state(job, "settled")?;
    Ok(())
}
