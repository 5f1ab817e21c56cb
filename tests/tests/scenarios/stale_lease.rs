//! A prover whose lease passed on: what it says about the task is refused and the new holder works on
//! undisturbed; only a good proof still counts, once.

use anyhow::ensure;
use proofgrid_core::network::{CancelReason, TaskFault};
use proofgrid_proto::convert::{CompletionReply, ProverMessage, ProverOrder};
use proofgrid_proto::v1::RefusalReason;
use proofgrid_tests::Scenario;
use proofgrid_tests::peer::{Prover, lease_of};

use crate::hired::{hired, paid};

/// What it says is refused.
pub fn words(scenario: &mut Scenario) -> anyhow::Result<()> {
    let first = hired(scenario, "stale-1")?;
    let stale = first.lease();
    first.peer.fall_silent();
    let mut second = Prover::join(scenario, "holder-1")?;
    let lease = lease_of(&*second.assigned()?);
    ensure!(lease.task == stale.task && lease.token > stale.token, "a new lease: {lease:?}");
    let mut back = Prover::rejoin(scenario, "stale-1", vec![stale])?;
    ensure!(back.resumed.is_empty(), "the lease is not its own any more: {:?}", back.resumed);
    back.send(ProverMessage::Fail { lease: stale, fault: TaskFault::Backend("sabotage".into()) })?;
    let refused = back.refusal()?;
    ensure!(refused.reason() == RefusalReason::StaleLease, "{refused:?}");
    let phase = "sabotage".to_owned();
    back.send(ProverMessage::Progress { lease: stale, phase, done_permille: 1 })?;
    let refused = back.refusal()?;
    ensure!(refused.reason() == RefusalReason::StaleLease, "{refused:?}");
    // With the holder's own token it is no better off.
    back.send(ProverMessage::Fail { lease, fault: TaskFault::Backend("sabotage".into()) })?;
    let refused = back.refusal()?;
    ensure!(refused.reason() == RefusalReason::StaleLease, "{refused:?}");

    let proof = second.prove(&first.work, &first.input)?;
    second.deliver(lease, &proof)?;
    let reply = second.reply(lease)?;
    ensure!(reply == CompletionReply::Accepted, "the holder was not disturbed: {reply:?}");
    paid(scenario, first.job, &second.address().to_string())
}

/// Its good proof counts, and the holder is stopped without blame.
pub fn late_proof(scenario: &mut Scenario) -> anyhow::Result<()> {
    let first = hired(scenario, "late-1")?;
    let (stale, proof) = (first.lease(), first.prove()?);
    first.peer.fall_silent();
    let mut second = Prover::join(scenario, "holder-2")?;
    let lease = lease_of(&*second.assigned()?);
    let mut back = Prover::rejoin(scenario, "late-1", vec![stale])?;
    back.deliver(stale, &proof)?;
    let reply = back.reply(stale)?;
    ensure!(reply == CompletionReply::Accepted, "a late but good proof: {reply:?}");
    let reason = second.expect("the end of the other try", |order| match order {
        ProverOrder::Cancel { task, reason, .. } if task == lease.task => Ok(reason),
        other => Err(other),
    })?;
    ensure!(reason == CancelReason::AlreadyProved, "without blame: {reason:?}");
    let own = second.prove(&first.work, &first.input)?;
    second.deliver(lease, &own)?;
    let reply = second.reply(lease)?;
    ensure!(reply == CompletionReply::AlreadyDone, "one proof counts: {reply:?}");
    paid(scenario, first.job, &back.address().to_string())
}
