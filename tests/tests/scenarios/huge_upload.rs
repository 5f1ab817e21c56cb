//! A prover uploads a hundred megabytes, says so or not: refused before they are kept, the dispatcher's
//! memory and disk do not grow with them, and the same session delivers its proof afterwards.

use anyhow::{Context, bail, ensure};
use proofgrid_core::crypto::keccak256;
use proofgrid_core::ids::BlobDigest;
use proofgrid_proto::convert::CompletionReply;
use proofgrid_tests::Scenario;

use crate::hired::{hired, paid};

/// What is sent.
const HUGE: usize = 100 << 20;
/// What the dispatcher may grow by meanwhile; it holds a few chunks of 256 KiB.
const GROWTH_MAX: u64 = 50 << 20;

pub fn run(scenario: &mut Scenario) -> anyhow::Result<()> {
    let mut hired = hired(scenario, "flooder")?;
    let lease = hired.lease();
    let before = peak_bytes(scenario)?;
    let bytes = vec![7_u8; HUGE];
    let digest = BlobDigest::from_bytes(keccak256(&bytes));
    for said in [HUGE as u64, 1_000] {
        match hired.peer.upload_as(digest, said, &bytes)? {
            Ok(()) => bail!("{HUGE} bytes were taken as {said}"),
            Err(status) => ensure!(!status.message().is_empty(), "it is told why: {status}"),
        }
    }
    let grown = peak_bytes(scenario)?.saturating_sub(before);
    ensure!(grown < GROWTH_MAX, "the dispatcher grew by {grown} bytes");
    let proof = hired.prove()?;
    hired.peer.deliver(lease, &proof)?;
    let reply = hired.peer.reply(lease)?;
    ensure!(reply == CompletionReply::Accepted, "{reply:?}");
    paid(scenario, hired.job, &hired.peer.address().to_string())
}

/// The most memory that the dispatcher ever had.
fn peak_bytes(scenario: &mut Scenario) -> anyhow::Result<u64> {
    let id = scenario.devnet.process("dispatcher")?.id();
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).context("a peak")?;
    let kib = line.split_whitespace().nth(1).context("a number")?;
    Ok(kib.parse::<u64>()? << 10)
}
