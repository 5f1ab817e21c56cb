//! kill -9 of a process that appends: what it was told to be durable is there, and nothing else.
//!
//! The child is this test binary again, started on one test with an environment variable.

#![allow(clippy::expect_used, reason = "helpers of tests fail by panicking as well")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use futures::TryStreamExt;
use proofgrid_store::journal::{Journal, JournalConfig, Record, Sequence};

const DIRECTORY: &str = "PROOFGRID_STORE_TEST_DIRECTORY";
const ROUNDS: u64 = 12;

/// A payload that follows from its sequence, of 1 to 3000 bytes.
fn payload(sequence: u64) -> Vec<u8> {
    let length = 1 + usize::try_from(sequence.wrapping_mul(2_654_435_761) % 3000).expect("small");
    sequence.to_be_bytes().into_iter().cycle().take(length).collect()
}

/// Not a test of its own: what the child does until it is killed.
#[tokio::test]
async fn child_that_appends() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let journal = Journal::open(&JournalConfig::new(directory)).expect("opens after a kill");
    let mut next = journal.stats().last_sequence + 1;
    loop {
        let records: Vec<_> = (next..next + 1 + next % 5).map(payload).collect();
        next += records.len() as u64;
        let committed = journal.append(records).await.expect("queued").await.expect("committed");
        println!("durable {}", committed.last);
    }
}

/// Runs the child, kills it after `lines` acknowledgements, returns the last one it printed.
fn run_and_kill(directory: &Path, lines: u64) -> u64 {
    let mut child = Command::new(std::env::current_exe().expect("own path"))
        .args(["--exact", "child_that_appends", "--nocapture"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut output = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut acknowledged = 0;
    let mut seen = 0;
    while seen < lines {
        let line = output.next().expect("the child ended by itself").expect("text");
        if let Some(number) = line.strip_prefix("durable ") {
            acknowledged = number.parse().expect("a number");
            seen += 1;
        }
    }
    child.kill().expect("kills");
    // What was printed before the kill was durable as well.
    for line in output.map_while(Result::ok) {
        if let Some(Ok(number)) = line.strip_prefix("durable ").map(str::parse) {
            acknowledged = number;
        }
    }
    child.wait().expect("collected");
    acknowledged
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_over_many_kills() {
    if std::env::var(DIRECTORY).is_ok() {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    for round in 0..ROUNDS {
        let acknowledged = run_and_kill(directory.path(), 1 + round * 7 % 31);
        let journal = Journal::open(&JournalConfig::new(directory.path())).expect("opens");
        let records: Vec<Record> =
            journal.replay(Sequence::FIRST).try_collect().await.expect("whole");
        let found = records.len() as u64;
        assert!(found >= acknowledged, "round {round}: {acknowledged} durable, {found} found");
        for record in records {
            assert_eq!(record.payload, payload(record.sequence.get()), "{}", record.sequence);
        }
        journal.close().await.expect("closes");
    }
}
