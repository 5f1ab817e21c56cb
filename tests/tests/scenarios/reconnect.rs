//! A prover's connection breaks: it goes on where it was, or is told that it is too late.

use anyhow::ensure;
use proofgrid_core::ids::TaskId;
use proofgrid_core::network::{CancelReason, LeaseRef};
use proofgrid_proto::convert::{CompletionReply, ProverOrder};
use proofgrid_tests::Scenario;
use proofgrid_tests::peer::Prover;

use crate::common::task;
use crate::hired::{Hired, hired, paid, rescued};

/// It is back at once with its lease, and proves the task in its first try.
pub fn resumes(scenario: &mut Scenario) -> anyhow::Result<()> {
    let Hired { peer, job, input, work } = hired(scenario, "blinker")?;
    let lease = proofgrid_tests::peer::lease_of(&work);
    drop(peer);
    let mut back = Prover::rejoin(scenario, "blinker", vec![lease])?;
    ensure!(back.resumed == [lease], "the lease goes on: {:?}", back.resumed);
    let proof = back.prove(&work, &input)?;
    back.deliver(lease, &proof)?;
    let reply = back.reply(lease)?;
    ensure!(reply == CompletionReply::Accepted, "{reply:?}");
    paid(scenario, job, &back.address().to_string())?;
    let view = scenario.wait_for_state(job, "settled")?;
    ensure!(task(&view)?.attempt == 1, "one try: {view:#?}");
    Ok(())
}

/// A second login of the same prover ends the first session, and the work goes on.
pub fn replaces(scenario: &mut Scenario) -> anyhow::Result<()> {
    let mut hired = hired(scenario, "twin")?;
    let lease = hired.lease();
    let twin = Prover::rejoin(scenario, "twin", vec![lease])?;
    ensure!(twin.resumed == [lease], "the lease goes on: {:?}", twin.resumed);
    let first = std::mem::replace(&mut hired.peer, twin);
    drop(first);
    let proof = hired.prove()?;
    hired.peer.deliver(lease, &proof)?;
    let reply = hired.peer.reply(lease)?;
    ensure!(reply == CompletionReply::Accepted, "{reply:?}");
    paid(scenario, hired.job, &hired.peer.address().to_string())
}

/// It comes back with work of a job that was withdrawn meanwhile.
pub fn after_the_end(scenario: &mut Scenario) -> anyhow::Result<()> {
    let Hired { peer, job, input, work } = hired(scenario, "sleeper")?;
    let lease = proofgrid_tests::peer::lease_of(&work);
    drop(peer);
    let output = scenario.cli(&["cancel", &job.to_string()])?;
    ensure!(output.status.success(), "{output:?}");
    let mut back = Prover::rejoin(scenario, "sleeper", vec![lease])?;
    ensure!(back.resumed.is_empty(), "nothing goes on: {:?}", back.resumed);
    let reason = back.expect("the end of its work", |order| match order {
        ProverOrder::Cancel { task, reason, .. } if task == lease.task => Ok(reason),
        other => Err(other),
    })?;
    ensure!(reason == CancelReason::StaleLease, "{reason:?}");
    let proof = back.prove(&work, &input)?;
    // The job is over: its proof is not even stored, or changes nothing.
    if let Ok(digest) = back.upload(&proof)? {
        back.complete(lease, digest, proof.len())?;
    }
    scenario.wait_for_state(job, "cancelled")?;
    Ok(())
}

/// It comes back with nothing: the work is taken from it and done by somebody else.
pub fn forgot(scenario: &mut Scenario) -> anyhow::Result<()> {
    let Hired { peer, job, .. } = hired(scenario, "forgetter")?;
    drop(peer);
    let back = Prover::join(scenario, "forgetter")?;
    back.fall_silent();
    rescued(scenario, job)
}

/// It comes back with work that nobody ever gave it.
pub fn unknown(scenario: &mut Scenario) -> anyhow::Result<()> {
    let hired = hired(scenario, "dreamer-1")?;
    let lease = hired.lease();
    let unknown = LeaseRef { task: TaskId::from_bytes([9; 32]), ..lease };
    // Somebody else's lease is not its own either.
    let mut dreamer = Prover::rejoin(scenario, "dreamer-2", vec![unknown, lease])?;
    ensure!(dreamer.resumed.is_empty(), "nothing goes on: {:?}", dreamer.resumed);
    for task in [unknown.task, lease.task] {
        let reason = dreamer.expect("the end of what it dreamt", |order| match order {
            ProverOrder::Cancel { task: found, reason, .. } if found == task => Ok(reason),
            other => Err(other),
        })?;
        ensure!(reason == CancelReason::StaleLease, "{reason:?}");
    }
    drop(dreamer);
    let mut holder = hired;
    let proof = holder.prove()?;
    holder.peer.deliver(lease, &proof)?;
    let reply = holder.peer.reply(lease)?;
    ensure!(reply == CompletionReply::Accepted, "the holder was not disturbed: {reply:?}");
    paid(scenario, holder.job, &holder.peer.address().to_string())
}
