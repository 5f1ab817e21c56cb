//! A job settles; its certificate verifies in an empty folder without a network and fails for every
//! flipped field; every verifier's own log shows its own child-process judgement of each segment.

use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context, ensure};
use proofgrid_node::cli::certificate::{CERTIFICATE_FILE, EPOCH_TABLE_FILE, fetch, write_files};
use proofgrid_node::client::Client;
use proofgrid_node::job_view::JobView;
use proofgrid_tests::{NewJob, Scenario, binary};
use serde_json::Value;
use tempfile::tempdir;

/// Exit codes of `certificate verify`, as documented.
const INVALID: i32 = 5;
const NOT_ANCHORED: i32 = 6;

fn verify(folder: &Path, arguments: &[&str]) -> anyhow::Result<Output> {
    Command::new(binary()?)
        .args(["certificate", "verify", "--certificate", CERTIFICATE_FILE])
        .args(["--epoch-table", EPOCH_TABLE_FILE])
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .output()
        .context("the binary runs")
}

/// Every copy of the document with one scalar changed: digits of text, numbers by one.
fn flipped(document: &Value) -> Vec<(String, Value)> {
    let mut paths = Vec::new();
    collect(document, String::new(), &mut paths);
    paths
        .into_iter()
        .map(|path| {
            let mut copy = document.clone();
            let value = copy.pointer_mut(&path).expect("the path was just found");
            *value = flip(value);
            (path, copy)
        })
        .collect()
}

fn collect(value: &Value, path: String, paths: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                collect(field, format!("{path}/{name}"), paths);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect(item, format!("{path}/{index}"), paths);
            }
        }
        _ => paths.push(path),
    }
}

fn flip(value: &Value) -> Value {
    match value {
        Value::Number(number) => Value::from(number.as_u64().unwrap_or(0) + 1),
        Value::Bool(flag) => Value::from(!flag),
        Value::String(text) => Value::from(flip_text(text)),
        other => other.clone(),
    }
}

/// Another word of a closed list, another digit, or another number.
fn flip_text(text: &str) -> String {
    for pair in [("valid", "invalid"), ("direct", "contract"), ("assigned", "race")] {
        if text == pair.0 {
            return pair.1.to_owned();
        }
    }
    let mut letters: Vec<char> = text.chars().collect();
    if let Some(last) = letters.last_mut() {
        *last = if *last == '1' { '2' } else { '1' };
    }
    letters.into_iter().collect()
}

fn settle(scenario: &Scenario) -> anyhow::Result<JobView> {
    let job = scenario.submit(&NewJob::keccak(40, scenario.nonce())?)?;
    scenario.wait_for_state(job, "settled")
}

fn check_files(scenario: &Scenario, job: &JobView) -> anyhow::Result<()> {
    let folder = tempdir()?;
    let id = job.id.parse()?;
    let network = scenario.devnet.network_args();
    let (certificate, table) = scenario
        .block_on(async {
            let client = Client::connect(&network).await?;
            fetch(&client, id).await
        })
        .map_err(|error| error.error)?;
    write_files(folder.path(), &certificate, &table)?;
    let digest = table.digest().to_string();
    let anchored = ["--trusted-epoch", digest.as_str()];

    let good = verify(folder.path(), &anchored)?;
    ensure!(good.status.success(), "a good certificate is accepted: {good:?}");
    let unanchored = verify(folder.path(), &[])?;
    ensure!(unanchored.status.code() == Some(NOT_ANCHORED), "{unanchored:?}");
    let said = String::from_utf8_lossy(&unanchored.stderr);
    ensure!(said.contains("not anchored"), "{said}");
    let other = "0x".to_owned() + &"ab".repeat(32);
    let untrusted = verify(folder.path(), &["--trusted-epoch", &other])?;
    ensure!(untrusted.status.code() == Some(INVALID), "another table is refused: {untrusted:?}");

    for file in [CERTIFICATE_FILE, EPOCH_TABLE_FILE] {
        let path = folder.path().join(file);
        let text = std::fs::read_to_string(&path)?;
        let cases = flipped(&serde_json::from_str(&text)?);
        ensure!(!cases.is_empty(), "{file} has fields");
        for (field, changed) in cases {
            std::fs::write(&path, serde_json::to_string(&changed)?)?;
            let outcome = verify(folder.path(), &anchored)?;
            let code = outcome.status.code();
            ensure!(code == Some(INVALID), "{file} with {field} changed: {outcome:?}");
        }
        std::fs::write(&path, text)?;
    }
    Ok(())
}

/// Each verifier judged each segment itself, in a process that is not its own.
fn check_judgements(scenario: &Scenario, job: &JobView) -> anyhow::Result<()> {
    let verifiers: Vec<_> =
        scenario.devnet.roles().into_iter().filter(|name| name.starts_with("verifier")).collect();
    ensure!(verifiers.len() == 4, "the network has four verifiers");
    for name in verifiers {
        let log = scenario.log(&name);
        for segment in 0..job.tasks.len() {
            let line = log
                .lines()
                .filter(|line| line.contains("judge") && line.contains(&job.id))
                .find(|line| line.contains(&format!("segment={segment}")))
                .with_context(|| format!("{name} did not judge segment {segment}:\n{log}"))?;
            ensure!(
                line.contains("outcome=\"verified\"") || line.contains("outcome=verified"),
                "{line}"
            );
            let child = number_after(line, "pid=").with_context(|| line.to_owned())?;
            ensure!(child > 1, "a child process judged: {line}");
        }
    }
    Ok(())
}

fn number_after(line: &str, key: &str) -> Option<u32> {
    let rest = line.split(key).nth(1)?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// A certificate is checked by anyone, and every verifier judged for itself.
pub fn run(scenario: &mut Scenario) -> anyhow::Result<()> {
    let job = settle(scenario)?;
    check_files(scenario, &job)?;
    check_judgements(scenario, &job)
}
