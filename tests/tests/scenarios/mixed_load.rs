//! A long job and small ones behind it on one prover: all of them settle.

use proofgrid_tests::{NewJob, Scenario};

pub fn run(scenario: &mut Scenario) -> anyhow::Result<()> {
    scenario.terminate("prover-2")?;
    let mut jobs = vec![scenario.submit(&NewJob::slow(scenario.nonce()))?];
    for _ in 0..4 {
        jobs.push(scenario.submit(&NewJob::fibonacci(scenario.nonce()))?);
    }
    for job in jobs {
        scenario.wait_for_state(job, "settled")?;
    }
    scenario.restart("prover-2")
}

/// More jobs at once than provers.
pub fn concurrent(scenario: &mut Scenario) -> anyhow::Result<()> {
    let jobs = (0..4).map(|_| scenario.submit(&NewJob::fibonacci(scenario.nonce())));
    for job in jobs.collect::<anyhow::Result<Vec<_>>>()? {
        scenario.wait_for_state(job, "settled")?;
    }
    Ok(())
}
