//! A prover takes work and delivers nothing, in every way there is.

use anyhow::{bail, ensure};
use proofgrid_core::crypto::keccak256;
use proofgrid_core::ids::BlobDigest;
use proofgrid_core::network::{CancelReason, TaskFault};
use proofgrid_proto::convert::{CompletionReply, ProverMessage, ProverOrder};
use proofgrid_proto::v1::RefusalReason;
use proofgrid_tests::Scenario;

use crate::common::explained;
use crate::hired::{hired, paid, rescued};

/// Longest lease of the dispatcher in `until_the_lease_ends`.
const LEASE_MAX: [(&str, &str); 1] = [("PROOFGRID_DISPATCHER__TIMING__LEASE_MAX_MS", "2000")];

/// It sends heartbeats and nothing else, until its lease runs out.
pub fn until_the_lease_ends(scenario: &mut Scenario) -> anyhow::Result<()> {
    scenario.kill("dispatcher")?;
    scenario.restart_with("dispatcher", &LEASE_MAX)?;
    scenario.wait_for_dispatcher()?;
    let mut hired = hired(scenario, "idler")?;
    let lease = hired.lease();
    let reason = hired.peer.expect("the end of the lease", |order| match order {
        ProverOrder::Cancel { task, reason, .. } if task == lease.task => Ok(reason),
        other => Err(other),
    })?;
    ensure!(reason == CancelReason::TimedOut, "{reason:?}");
    explained(scenario, hired.job, &["the lease ran out", &hired.peer.address().to_string()])?;
    // The honest prover is not hurried.
    scenario.kill("dispatcher")?;
    scenario.restart("dispatcher")?;
    rescued(scenario, hired.job)
}

/// It is connected and says nothing at all.
pub fn silence(scenario: &mut Scenario) -> anyhow::Result<()> {
    let hired = hired(scenario, "mute")?;
    hired.peer.fall_silent();
    rescued(scenario, hired.job)?;
    explained(scenario, hired.job, &["the prover was silent for too long"])
}

/// It says that it is done and has uploaded nothing, or names another length: refused, and the lease is
/// still its own.
pub fn never_uploaded(scenario: &mut Scenario) -> anyhow::Result<()> {
    let mut hired = hired(scenario, "boaster")?;
    let lease = hired.lease();
    hired.peer.complete(lease, BlobDigest::from_bytes(keccak256(b"never")), 1_000)?;
    let refused = hired.peer.refusal()?;
    ensure!(refused.reason() == RefusalReason::UnknownBlob, "{refused:?}");

    let proof = hired.prove()?;
    let Ok(digest) = hired.peer.upload(&proof)? else { bail!("an honest upload is taken") };
    hired.peer.complete(lease, digest, proof.len() + 1)?;
    let refused = hired.peer.refusal()?;
    ensure!(refused.reason() == RefusalReason::WrongState, "{refused:?}");

    hired.peer.complete(lease, digest, proof.len())?;
    let reply = hired.peer.reply(lease)?;
    ensure!(reply == CompletionReply::Accepted, "it may still deliver: {reply:?}");
    paid(scenario, hired.job, &hired.peer.address().to_string())
}

/// It gives up, and says so twice: that counts once, and somebody else proves the task.
pub fn gives_up(scenario: &mut Scenario) -> anyhow::Result<()> {
    let mut hired = hired(scenario, "quitter")?;
    let lease = hired.lease();
    for _ in 0..2 {
        let fault = TaskFault::Backend("out of ideas".into());
        hired.peer.send(ProverMessage::Fail { lease, fault })?;
    }
    let refused = hired.peer.refusal()?;
    ensure!(refused.reason() == RefusalReason::StaleLease, "{refused:?}");
    rescued(scenario, hired.job)?;
    explained(scenario, hired.job, &["out of ideas", &hired.peer.address().to_string()])
}

/// The only prover gives up every time: the job fails, and says why.
pub fn exhausted(scenario: &mut Scenario) -> anyhow::Result<()> {
    ensure!(scenario.terminate("prover-1")?.success(), "the honest prover ends well");
    let mut hired = hired(scenario, "hopeless")?;
    let mut lease = hired.lease();
    let failed = loop {
        let fault = TaskFault::Backend("no luck".into());
        hired.peer.send(ProverMessage::Fail { lease, fault })?;
        let view = scenario.wait_for(hired.job, "leased again or failed", |view| {
            let attempt = view.tasks.first().map(|task| task.attempt);
            view.state == "failed" || attempt > Some(lease.attempt.get())
        })?;
        if view.state == "failed" {
            break view;
        }
        lease = proofgrid_tests::peer::lease_of(&*hired.peer.assigned()?);
    };
    ensure!(failed.reason.contains("no luck"), "the last fault is named: {failed:#?}");
    ensure!(failed.certificate.is_empty(), "nothing is certified");
    drop(hired);
    scenario.restart("prover-1")?;
    crate::common::settles(scenario)?;
    Ok(())
}
