//! The disk is full under one role: what could not be written is not answered for, the person is told,
//! and the role goes on when there is room.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, ensure};
use proofgrid_tests::{NewJob, Scenario};

use crate::common::{explained, settles};

/// KiB that a file may still grow by: more than a small job needs.
const ROOM_KIB: u64 = 512;
/// Jobs of which the records do not fit into a journal that cannot grow.
const SUBMITS_MAX: usize = 200;

/// How far a file reaches, in KiB.
fn length_kib(found: &fs::Metadata) -> u64 {
    found.len().div_ceil(1_024)
}

/// What a file occupies, in KiB: an engine may reserve more for later.
fn occupied_kib(found: &fs::Metadata) -> u64 {
    found.blocks().div_ceil(2)
}

/// The size of the largest file below a folder.
fn largest_kib(folder: &Path, size: fn(&fs::Metadata) -> u64) -> anyhow::Result<u64> {
    let mut largest = 0;
    for entry in fs::read_dir(folder).with_context(|| format!("{}", folder.display()))? {
        let entry = entry?;
        let found = entry.metadata()?;
        let kib = if found.is_dir() { largest_kib(&entry.path(), size)? } else { size(&found) };
        largest = largest.max(kib);
    }
    Ok(largest)
}

/// The length of a role's log, in KiB: it has to be able to grow.
fn log_kib(scenario: &Scenario, name: &str) -> anyhow::Result<u64> {
    Ok(length_kib(&fs::metadata(scenario.devnet.layout().log(name))?))
}

/// An input does not fit on the dispatcher's disk: its upload is refused, small jobs go on, and the same
/// submit is taken when there is room.
pub fn of_the_dispatcher(scenario: &mut Scenario) -> anyhow::Result<()> {
    settles(scenario)?;
    scenario.kill("dispatcher")?;
    let largest = largest_kib(&scenario.devnet.layout().data("dispatcher"), length_kib)?;
    let kib = largest.max(log_kib(scenario, "dispatcher")?) + ROOM_KIB;
    scenario.restart_on_full_disk("dispatcher", u32::try_from(kib)?)?;
    scenario.wait_for_dispatcher()?;
    let path = scenario.folder.path().join("large-input");
    let line = "ab".repeat(1 << 14) + "\n";
    fs::write(&path, line.repeat(usize::try_from(kib / 32 + 4)?))?;
    let nonce = scenario.nonce().to_string();
    let deadline = (proofgrid_node::client::unix_seconds() + 3_000).to_string();
    let path = path.display().to_string();
    let arguments = [
        "submit",
        "--program",
        "keccak",
        "--input",
        &path,
        "--nonce",
        &nonce,
        "--deadline-unix-s",
        &deadline,
        "--output",
        "json",
    ];
    let full = scenario.cli(&arguments)?;
    ensure!(!full.status.success(), "what does not fit is refused: {full:?}");
    ensure!(!full.stderr.is_empty(), "the person is told: {full:?}");
    settles(scenario)?;

    scenario.kill("dispatcher")?;
    scenario.restart("dispatcher")?;
    scenario.wait_for_dispatcher()?;
    let again = scenario.cli(&arguments)?;
    ensure!(again.status.success(), "with room it is taken: {again:?}");
    let view: serde_json::Value = serde_json::from_slice(&again.stdout)?;
    let job = view["job"].as_str().context("a job")?;
    let output = scenario.cli(&["cancel", job])?;
    ensure!(output.status.success(), "{output:?}");
    Ok(())
}

/// No file of its journal can grow: nothing is answered for that is not written, and everything that was
/// answered for is there afterwards.
pub fn of_the_journal(scenario: &mut Scenario) -> anyhow::Result<()> {
    scenario.kill("dispatcher")?;
    let journal = scenario.devnet.layout().data("dispatcher").join("journal");
    let kib = u32::try_from(largest_kib(&journal, occupied_kib)?)?;
    scenario.restart_on_full_disk("dispatcher", kib)?;
    // Whoever is told that a job is taken is in `Scenario::jobs`; `Scenario::check` asks for it.
    let refused = (0..SUBMITS_MAX)
        .find_map(|_| scenario.submit(&NewJob::fibonacci(scenario.nonce())).err())
        .context("so many jobs do not fit")?;
    ensure!(!format!("{refused:#}").is_empty(), "the person is told");
    scenario.kill("dispatcher")?;
    scenario.restart("dispatcher")?;
    scenario.wait_for_dispatcher()?;
    settles(scenario)?;
    Ok(())
}

/// A verifier cannot write its vote down, so it does not vote; the job is held until it can.
pub fn of_a_verifier(scenario: &mut Scenario) -> anyhow::Result<()> {
    scenario.kill("verifier-1")?;
    scenario.restart_on_full_disk("verifier-1", 0)?;
    let job = scenario.submit(&NewJob::fibonacci(scenario.nonce()))?;
    let held = scenario.wait_for_state(job, "held")?;
    ensure!(held.certificate.is_empty(), "60 % certify nothing: {held:#?}");
    explained(scenario, job, &[&held.reason])?;
    scenario.kill("verifier-1")?;
    scenario.restart("verifier-1")?;
    scenario.wait_for_state(job, "settled")?;
    Ok(())
}

/// The only prover cannot keep its proof: the job fails and says why; with room the prover works.
pub fn of_a_prover(scenario: &mut Scenario) -> anyhow::Result<()> {
    scenario.terminate("prover-2")?;
    scenario.kill("prover-1")?;
    // A proof is a new file, longer than the log; an input that lies there already may be longer.
    let kib = log_kib(scenario, "prover-1")? + 4;
    scenario.restart_on_full_disk("prover-1", u32::try_from(kib)?)?;
    let job = scenario.submit(&NewJob::fibonacci(scenario.nonce()))?;
    let prover = scenario.devnet.new_wallet_if_missing("prover-1")?.address().to_string();
    scenario.wait_until("a try is given up", || {
        let text = scenario.explain(job)?;
        Ok((text.contains(&prover) && text.contains("try 2")).then_some(()))
    })?;
    scenario.kill("prover-1")?;
    for name in ["prover-1", "prover-2"] {
        scenario.restart(name)?;
    }
    let ended = scenario.wait_for(job, "ended", |view| view.ended())?;
    let told = ended.state == "settled" || !ended.reason.is_empty();
    ensure!(told, "it says why: {ended:#?}");
    settles(scenario)?;
    Ok(())
}
