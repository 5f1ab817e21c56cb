//! A prover delivers what is no proof of its task: intake refuses it, names it, and somebody else
//! proves the task.

use anyhow::Context;
use proofgrid_tests::{NewJob, Scenario};

use crate::hired::hired;

/// One bit of a good proof is flipped.
pub fn flipped_bit(scenario: &mut Scenario) -> anyhow::Result<()> {
    let hired = hired(scenario, "flipper")?;
    let mut proof = hired.prove()?;
    let middle = proof.len() / 2;
    *proof.get_mut(middle).context("a proof has bytes")? ^= 1;
    hired.must_be_refused(scenario, &proof)
}

/// A good proof of another sequence.
pub fn other_values(scenario: &mut Scenario) -> anyhow::Result<()> {
    let hired = hired(scenario, "changer")?;
    let proof = hired.peer.prove(&hired.work, b"7 7 1024")?;
    hired.must_be_refused(scenario, &proof)
}

/// The start of a good proof.
pub fn truncated(scenario: &mut Scenario) -> anyhow::Result<()> {
    let hired = hired(scenario, "cutter")?;
    let mut proof = hired.prove()?;
    proof.truncate(proof.len() / 2);
    hired.must_be_refused(scenario, &proof)
}

/// Bytes that are nothing.
pub fn garbage(scenario: &mut Scenario) -> anyhow::Result<()> {
    let hired = hired(scenario, "scribbler")?;
    let noise: Vec<u8> =
        (0_u32..10_000).flat_map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
    hired.must_be_refused(scenario, &noise)
}

/// A good proof of the same values, made for another job.
pub fn other_job(scenario: &mut Scenario) -> anyhow::Result<()> {
    let mut hired = hired(scenario, "repeater")?;
    let lease = hired.lease();
    let proof = hired.prove()?;
    hired.peer.deliver(lease, &proof)?;
    hired.peer.reply(lease)?;
    let again = NewJob { input: hired.input.clone(), ..NewJob::fibonacci(scenario.nonce()) };
    hired.job = scenario.submit(&again)?;
    hired.work = hired.peer.assigned()?;
    hired.must_be_refused(scenario, &proof)
}
