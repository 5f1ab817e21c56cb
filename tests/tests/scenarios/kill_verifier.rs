//! kill -9 of verifiers that a quorum needs, before and after they committed to their vote: it waits for
//! them, and nobody votes twice.

use anyhow::ensure;
use proofgrid_tests::{NewJob, Scenario};

use crate::verifiers::{committed, each_once};

/// The statement is in their hands and no commitment is out.
pub fn before_the_vote(scenario: &mut Scenario) -> anyhow::Result<()> {
    for name in ["verifier-1", "verifier-2"] {
        scenario.pause(name)?;
    }
    let job = scenario.submit(&NewJob::fibonacci(scenario.nonce()))?;
    committed(scenario, job, 30)?;
    for name in ["verifier-1", "verifier-2"] {
        scenario.kill(name)?;
    }
    scenario.restart("verifier-2")?;
    committed(scenario, job, 60)?;
    let view = scenario.wait_for(job, "known", |_| true)?;
    ensure!(view.certificate.is_empty(), "60 % certify nothing");
    scenario.restart("verifier-1")?;
    each_once(scenario, job)
}

/// Its commitment is out; it opens its vote and attests after the restart, from its log.
pub fn after_the_vote(scenario: &mut Scenario) -> anyhow::Result<()> {
    let others = ["verifier-2", "verifier-3", "verifier-4"];
    for name in others {
        scenario.pause(name)?;
    }
    let job = scenario.submit(&NewJob::fibonacci(scenario.nonce()))?;
    committed(scenario, job, 40)?;
    scenario.kill("verifier-1")?;
    scenario.restart("verifier-1")?;
    for name in others {
        scenario.resume(name)?;
    }
    each_once(scenario, job)
}
