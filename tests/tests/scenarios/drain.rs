//! An administrator drains a prover: it stays connected and gets nothing, nor after a restart, until it is
//! taken back; with nobody else a job waits and says so.

use anyhow::ensure;
use proofgrid_proto::v1;
use proofgrid_tests::{NewJob, Scenario};

use crate::common::{explained, settles, task};

pub fn run(scenario: &mut Scenario) -> anyhow::Result<()> {
    let [first, second] = ["prover-1", "prover-2"]
        .map(|name| scenario.devnet.new_wallet_if_missing(name).map(|key| key.address()));
    let (first, second) = (first?, second?);
    scenario.drain(first, v1::Drain::Start)?;
    let view = settles(scenario)?;
    ensure!(task(&view)?.prover == second.to_string(), "the other one works: {view:#?}");

    scenario.terminate("prover-2")?;
    let job = scenario.submit(&NewJob::fibonacci(scenario.nonce()))?;
    let waits = |scenario: &Scenario| {
        scenario.wait_until("the job waits for a prover that is drained", || {
            Ok(scenario.explain(job)?.contains("draining").then_some(()))
        })
    };
    // It is still connected: its process did not end.
    waits(scenario)?;
    scenario.terminate("prover-1")?;
    scenario.restart("prover-1")?;
    waits(scenario)?;
    scenario.drain(first, v1::Drain::Stop)?;
    let view = scenario.wait_for_state(job, "settled")?;
    ensure!(task(&view)?.prover == first.to_string(), "it takes part again: {view:#?}");
    scenario.restart("prover-2")?;
    explained(scenario, job, &[&first.to_string()])
}
