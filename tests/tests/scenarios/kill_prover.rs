//! kill -9 of the prover that works on a task: the other one gets it, and no try is charged.

use anyhow::ensure;
use proofgrid_node::job_view::hex0x;
use proofgrid_proto::v1;
use proofgrid_tests::Scenario;

use crate::common::{caught_proving, explained, provers, settles, task};

pub fn run(scenario: &mut Scenario) -> anyhow::Result<()> {
    let (job, killed) = caught_proving(scenario)?;
    let dead = scenario.devnet.new_wallet_if_missing(&killed)?.address().to_string();
    scenario.kill(&killed)?;
    let view = scenario.wait_for_state(job, "settled")?;
    let done = task(&view)?;
    ensure!(done.prover != dead && done.attempt == 2, "the other one proved it: {done:?}");
    explained(scenario, job, &["the prover was silent for too long", &dead])?;
    let is_dead = |node: &v1::Node| hex0x(&node.operator) == dead;
    ensure!(!scenario.nodes()?.iter().any(is_dead), "it is listed no more");
    scenario.restart(&killed)?;
    settles(scenario)?;
    Ok(())
}

/// It comes back with what it kept on disk, in its own directory, while nobody else is there.
pub fn alone(scenario: &mut Scenario) -> anyhow::Result<()> {
    let (job, killed) = caught_proving(scenario)?;
    for name in provers(scenario) {
        scenario.kill(&name)?;
    }
    scenario.restart(&killed)?;
    let view = scenario.wait_for_state(job, "settled")?;
    let same = scenario.devnet.new_wallet_if_missing(&killed)?.address().to_string();
    ensure!(task(&view)?.prover == same, "it proved it after all: {view:#?}");
    for name in provers(scenario).into_iter().filter(|name| *name != killed) {
        scenario.restart(&name)?;
    }
    Ok(())
}
