//! The dispatcher's blobs lie in an object store: the whole path goes over it, and while it is away,
//! killed in mid-proof, nothing is lost and whoever asks is told to come back.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use proofgrid_node::devnet::anvil::free_port;
use proofgrid_objects::{BUCKET, KEY_ID, SECRET};
use proofgrid_tests::{NewJob, Scenario};

use crate::common::{caught_proving, task};

/// Name of the object store among the processes.
const OBJECTS: &str = "objects";
/// What the keys of the blobs begin with.
const PREFIX: &str = "dispatcher-1";

/// It is killed with signal 9 while a proof is made, the dispatcher too, and both come back.
pub fn run(scenario: &mut Scenario) -> anyhow::Result<()> {
    let port = free_port()?;
    start(scenario, port)?;
    scenario.terminate("dispatcher")?;
    restart_dispatcher(scenario, port)?;
    let (job, prover) = caught_proving(scenario)?;
    scenario.kill(OBJECTS)?;
    scenario.resume(&prover)?;

    let mut refused = NewJob::fibonacci(scenario.nonce());
    let error = scenario.submit(&refused).err().context("nothing is taken that cannot be kept")?;
    let text = format!("{error:#}");
    ensure!(text.contains("try again later"), "whoever asks is told what to do: {text}");
    let url = format!("127.0.0.1:{port}");
    ensure!(!text.contains(&url), "where the blobs lie is nobody's business: {text}");
    let log = scenario.log("dispatcher");
    ensure!(log.contains("the object store is away") && log.contains(&url), "its operator is told");
    scenario.kill("dispatcher")?;
    restart_dispatcher(scenario, port)?;
    let known = scenario.job(job)?.context("the job is known while its blobs are away")?;
    ensure!(known.state != "settled", "a proof that nobody could store counted: {known:#?}");

    start(scenario, port)?;
    let view = scenario.wait_for_state(job, "settled")?;
    ensure!(task(&view)?.attempt == 1, "it was proved once: {view:#?}");
    refused.nonce = scenario.nonce();
    let later = scenario.submit(&refused)?;
    scenario.wait_for_state(later, "settled")?;
    looked_after(scenario)
}

/// The blobs lie in the bucket alone, and no log shows what opens it.
fn looked_after(scenario: &Scenario) -> anyhow::Result<()> {
    let bucket = scenario.folder.path().join(OBJECTS).join(BUCKET).join(PREFIX);
    ensure!(num_files(&bucket) >= 4, "two inputs and two proofs lie in {}", bucket.display());
    for name in ["dispatcher", OBJECTS] {
        ensure!(!scenario.log(name).contains(SECRET), "the log of {name} shows the secret");
    }
    Ok(())
}

fn num_files(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| if entry.path().is_dir() { num_files(&entry.path()) } else { 1 }).sum()
}

/// Starts the object store, or starts it again, over the same folder.
fn start(scenario: &mut Scenario, port: u16) -> anyhow::Result<()> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_proofgrid-objects"));
    command.arg(scenario.folder.path().join(OBJECTS)).arg(port.to_string());
    scenario.devnet.start_role_as(OBJECTS, command)?;
    scenario.wait_until("the object store listens", || {
        Ok(std::net::TcpStream::connect(("127.0.0.1", port)).ok().map(|_| ()))
    })
}

/// Starts the dispatcher again with its blobs in the object store. It bears two minutes of silence: a
/// prover that is paused keeps its lease.
fn restart_dispatcher(scenario: &mut Scenario, port: u16) -> anyhow::Result<()> {
    let endpoint = format!("http://127.0.0.1:{port}");
    let settings = [
        ("PROOFGRID_STORE__BLOBS__KIND", "s3"),
        ("PROOFGRID_STORE__BLOBS__BUCKET", BUCKET),
        ("PROOFGRID_STORE__BLOBS__PREFIX", PREFIX),
        ("PROOFGRID_STORE__BLOBS__ENDPOINT", &endpoint),
        ("PROOFGRID_STORE__BLOBS__ALLOW_HTTP", "true"),
        ("AWS_ACCESS_KEY_ID", KEY_ID),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        ("PROOFGRID_DISPATCHER__DEAD_AFTER_MS", "120000"),
    ];
    scenario.restart_with("dispatcher", &settings)?;
    scenario.wait_for_dispatcher()
}
