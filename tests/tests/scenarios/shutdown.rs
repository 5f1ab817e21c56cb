//! Roles are asked to end with work in flight: each ends well, its port and its directory are free at
//! once, and the work goes on where it was.

use anyhow::ensure;
use proofgrid_tests::{NewJob, Scenario};

use crate::common::{provers, settles, task};

/// A prover that is asked to end finishes what it holds.
pub fn prover(scenario: &mut Scenario) -> anyhow::Result<()> {
    let job = scenario.submit(&NewJob::slow(scenario.nonce()))?;
    scenario.wait_for_state(job, "proving")?;
    for name in provers(scenario) {
        let status = scenario.terminate(&name)?;
        ensure!(status.success(), "{name} ends well: {status}");
    }
    let view = scenario.wait_for_state(job, "settled")?;
    ensure!(task(&view)?.attempt == 1, "nobody proved it again: {view:#?}");
    for name in provers(scenario) {
        scenario.restart(&name)?;
    }
    settles(scenario)?;
    Ok(())
}

/// Everything ends, with a job that waits for provers.
pub fn everything(scenario: &mut Scenario) -> anyhow::Result<()> {
    for name in provers(scenario) {
        ensure!(scenario.terminate(&name)?.success(), "{name} ends well");
    }
    let job = scenario.submit(&NewJob::fibonacci(scenario.nonce()))?;
    let roles = scenario.devnet.roles();
    for name in roles.iter().filter(|name| !name.starts_with("prover")) {
        let status = scenario.terminate(name)?;
        ensure!(status.success(), "{name} ends well: {status}\n{}", scenario.log(name));
    }
    for name in &roles {
        scenario.restart(name)?;
    }
    scenario.wait_for_state(job, "settled")?;
    Ok(())
}
