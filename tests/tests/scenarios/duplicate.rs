//! The same proof is delivered again and again: it counts once.

use anyhow::ensure;
use proofgrid_proto::convert::CompletionReply;
use proofgrid_tests::Scenario;

use crate::common::task;
use crate::hired::{hired, paid};

pub fn run(scenario: &mut Scenario) -> anyhow::Result<()> {
    let mut hired = hired(scenario, "stutterer")?;
    let (lease, proof) = (hired.lease(), hired.prove()?);
    let digest = hired.peer.deliver(lease, &proof)?;
    let reply = hired.peer.reply(lease)?;
    ensure!(reply == CompletionReply::Accepted, "an honest proof: {reply:?}");
    for _ in 0..3 {
        hired.peer.complete(lease, digest, proof.len())?;
        let reply = hired.peer.reply(lease)?;
        ensure!(reply == CompletionReply::AlreadyDone, "it counted before: {reply:?}");
    }
    paid(scenario, hired.job, &hired.peer.address().to_string())?;
    let view = scenario.wait_for_state(hired.job, "settled")?;
    ensure!(task(&view)?.attempt == 1, "one try: {view:#?}");
    Ok(())
}
