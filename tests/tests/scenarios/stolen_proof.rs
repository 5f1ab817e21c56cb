//! A prover delivers another's proof as its own: refused, and the one who made it is paid for it, late
//! as it is.

use anyhow::ensure;
use proofgrid_proto::convert::CompletionReply;
use proofgrid_tests::Scenario;
use proofgrid_tests::peer::{Prover, lease_of};

use crate::hired::{hired, paid};

pub fn run(scenario: &mut Scenario) -> anyhow::Result<()> {
    let maker = hired(scenario, "maker")?;
    let (first, proof) = (maker.lease(), maker.prove()?);
    maker.peer.fall_silent();
    // The maker is silent for too long; the thief gets its task and has its bytes.
    let mut thief = Prover::join(scenario, "thief")?;
    let second = lease_of(&*thief.assigned()?);
    ensure!(second.task == first.task && second.token > first.token, "a new lease: {second:?}");
    thief.deliver(second, &proof)?;
    let reply = thief.reply(second)?;
    ensure!(matches!(reply, CompletionReply::Refused(_)), "a stolen proof: {reply:?}");

    let mut back = Prover::rejoin(scenario, "maker", vec![first])?;
    back.deliver(first, &proof)?;
    let reply = back.reply(first)?;
    let counted = [CompletionReply::Accepted, CompletionReply::AlreadyDone].contains(&reply);
    ensure!(counted, "its own proof, late: {reply:?}");
    scenario.wait_for_state(maker.job, "settled")?;
    if reply == CompletionReply::Accepted {
        paid(scenario, maker.job, &back.address().to_string())?;
    }
    Ok(())
}
