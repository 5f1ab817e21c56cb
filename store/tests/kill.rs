//! kill -9 and a full disk under a process that appends and truncates: what it was told to be
//! durable is there, and nothing else.
//!
//! The child is this test binary again, started on one test with environment variables.

#![allow(clippy::expect_used, reason = "helpers of tests fail by panicking as well")]

use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use futures::TryStreamExt;
use proofgrid_store::journal::{EngineKind, Journal, JournalConfig, Record, Sequence};

const DIRECTORY: &str = "PROOFGRID_STORE_TEST_DIRECTORY";
const ENGINE: &str = "PROOFGRID_STORE_TEST_ENGINE";
/// Set for a child that truncates: a full disk needs one that does not.
const TRUNCATES: &str = "PROOFGRID_STORE_TEST_TRUNCATES";
const ROUNDS: u64 = 12;
/// Records after which the child truncates.
const TRUNCATE_EVERY: u64 = 40;
/// Records that it keeps then.
const KEPT: u64 = 25;

/// A payload that follows from its sequence, of 1 to 3000 bytes that cannot be compressed.
fn payload(sequence: u64) -> Vec<u8> {
    let length = 1 + usize::try_from(sequence.wrapping_mul(2_654_435_761) % 3000).expect("small");
    let mut state = sequence;
    let noise = std::iter::repeat_with(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_be_bytes()[0]
    });
    noise.take(length).collect()
}

fn config(directory: impl AsRef<Path>, engine: EngineKind) -> JournalConfig {
    JournalConfig { engine, ..JournalConfig::new(directory) }
}

/// Not a test of its own: what the child does until it is killed or its disk is full.
#[tokio::test]
async fn child_that_appends() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let engine = std::env::var(ENGINE).expect("set").parse().expect("an engine");
    let journal = Journal::open(&config(directory, engine)).expect("opens after a kill");
    let mut next = journal.stats().last_sequence + 1;
    let is_truncating = std::env::var(TRUNCATES).is_ok();
    let mut round = 0;
    loop {
        let records: Vec<_> = (next..next + 1 + next % 5).map(payload).collect();
        next += records.len() as u64;
        match journal.append(records).await.expect("queued").await {
            Ok(committed) => println!("durable {}", committed.last),
            Err(error) => fail(&error.to_string()),
        }
        if is_truncating && next / TRUNCATE_EVERY > round {
            round = next / TRUNCATE_EVERY;
            let first = Sequence::new(next.saturating_sub(KEPT).max(1));
            match journal.truncate_before(first).await {
                Ok(()) => println!("starts {first}"),
                Err(error) => fail(&error.to_string()),
            }
        }
    }
}

/// Ends the child as a process with a failed journal should end: without closing it.
fn fail(error: &str) -> ! {
    println!("failed {error}");
    std::process::exit(5)
}

/// What the child said.
#[derive(Debug, Default)]
struct Heard {
    durable: u64,
    starts: u64,
    failed: Option<String>,
}

impl Heard {
    fn line(&mut self, line: &str) {
        match line.split_once(' ') {
            Some(("durable", number)) => {
                assert_eq!(self.failed, None, "acknowledged after a failure");
                self.durable = number.parse().expect("a number");
            }
            Some(("starts", number)) => self.starts = number.parse().expect("a number"),
            Some(("failed", error)) => self.failed = Some(error.to_owned()),
            _ => {}
        }
    }
}

fn start(mut command: Command, directory: &Path, engine: EngineKind) -> (Child, Output) {
    let mut child = command
        .args(["--exact", "child_that_appends", "--nocapture"])
        .env(DIRECTORY, directory)
        .env(ENGINE, engine.name())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let output = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    (child, output)
}

type Output = Lines<BufReader<ChildStdout>>;

/// Runs the child and kills it after some acknowledgements.
fn run_and_kill(directory: &Path, engine: EngineKind, num_lines: u64) -> Heard {
    let mut command = Command::new(std::env::current_exe().expect("own path"));
    command.env(TRUNCATES, "1");
    let (mut child, mut output) = start(command, directory, engine);
    let mut heard = Heard::default();
    let mut seen = 0;
    while seen < num_lines {
        let line = output.next().expect("the child ended by itself").expect("text");
        seen += u64::from(line.starts_with("durable "));
        heard.line(&line);
    }
    child.kill().expect("kills");
    // What was printed before the kill was durable as well.
    output.map_while(Result::ok).for_each(|line| heard.line(&line));
    child.wait().expect("collected");
    heard
}

/// Opens the journal and checks that it holds what the child was told, and nothing else.
async fn check(directory: &Path, engine: EngineKind, heard: &Heard) {
    let journal = Journal::open(&config(directory, engine)).expect("opens");
    let first = journal.first_sequence();
    assert!(first.get() >= heard.starts, "starts at {first}: {heard:?}");
    let records: Vec<Record> = journal.replay(first).try_collect().await.expect("whole");
    let next = first.get() + records.len() as u64;
    assert!(next > heard.durable, "ends before {next}: {heard:?}");
    for (place, record) in (first.get()..).zip(records) {
        assert_eq!(record.sequence.get(), place);
        assert_eq!(record.payload, payload(place), "{place}");
    }
    journal.close().await.expect("closes");
}

async fn nothing_acknowledged_is_lost_over_many_kills(engine: EngineKind) {
    let directory = tempfile::tempdir().expect("a directory");
    for round in 0..ROUNDS {
        let heard = run_and_kill(directory.path(), engine, 1 + round * 7 % 31);
        check(directory.path(), engine, &heard).await;
    }
}

/// The disk is full for the engine's files: they may not grow beyond a limit of the system.
async fn a_full_disk_is_told_and_loses_nothing(engine: EngineKind) {
    let directory = tempfile::tempdir().expect("a directory");
    let mut command = Command::new("sh");
    // Without the signal, which would kill the child, the system answers EFBIG.
    let limited = "trap '' XFSZ; ulimit -f 4096; exec \"$0\" \"$@\"";
    command.args(["-c", limited]).arg(std::env::current_exe().expect("own path"));
    let (mut child, output) = start(command, directory.path(), engine);
    let mut heard = Heard::default();
    output.map_while(Result::ok).for_each(|line| heard.line(&line));
    assert_eq!(child.wait().expect("collected").code(), Some(5), "{heard:?}");
    let failed = heard.failed.as_ref().expect("the child said why");
    assert!(failed.contains("Check the disk"), "{failed}");
    assert!(heard.durable > 0, "failed before the first append: {failed}");
    check(directory.path(), engine, &heard).await;
}

#[tokio::test]
async fn sled_loses_nothing_over_many_kills() {
    nothing_acknowledged_is_lost_over_many_kills(EngineKind::Sled).await;
}

#[tokio::test]
async fn redb_loses_nothing_over_many_kills() {
    nothing_acknowledged_is_lost_over_many_kills(EngineKind::Redb).await;
}

#[tokio::test]
async fn sled_tells_a_full_disk() {
    a_full_disk_is_told_and_loses_nothing(EngineKind::Sled).await;
}

#[tokio::test]
async fn redb_tells_a_full_disk() {
    a_full_disk_is_told_and_loses_nothing(EngineKind::Redb).await;
}
