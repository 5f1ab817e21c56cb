//! `store verify` and `store compact` as a person calls them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use proofgrid_core::ids::BlobDigest;
use proofgrid_core::network::{Change, Fact};
use proofgrid_core::units::{ByteCount, UnixMillis};
use proofgrid_store::journal::{Journal, JournalConfig};
use serde_json::Value;
use tempfile::TempDir;

/// The code of what does not verify.
const INVALID: Option<i32> = Some(5);

/// A journal in `journal`, beside which the snapshots go.
struct Store {
    folder: TempDir,
    facts: u8,
}

impl Store {
    fn new() -> Self {
        Self { folder: TempDir::new().unwrap(), facts: 0 }
    }

    fn journal(&self) -> PathBuf {
        self.folder.path().join("journal")
    }

    fn snapshot(&self, last: u64) -> PathBuf {
        self.folder.path().join("snapshots").join(format!("{last:020}.snapshot"))
    }

    /// Writes some more facts down.
    fn append(&mut self, facts: u8) {
        let fact = |number: u8| Fact {
            at: UnixMillis::new(1_000),
            change: Change::BlobStored {
                digest: BlobDigest::from_bytes([number; 32]),
                bytes: ByteCount::new(5),
            },
        };
        let records = (self.facts..self.facts + facts).map(|number| fact(number).encode());
        self.facts += facts;
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let journal = Journal::open(&JournalConfig::new(self.journal())).unwrap();
        runtime.block_on(async {
            journal.append(records.collect()).await.unwrap().await.unwrap();
            journal.close().await.unwrap();
        });
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_proofgrid"));
        command.arg("store").args(arguments).arg(self.journal()).output().unwrap()
    }

    /// The answer, and what is wrong if it failed.
    fn verify(&self) -> (Value, Option<String>) {
        let output = self.run(&["verify", "--output", "json"]);
        let view = serde_json::from_slice(&output.stdout).unwrap();
        if output.status.success() {
            return (view, None);
        }
        assert_eq!(output.status.code(), INVALID);
        (view, Some(String::from_utf8(output.stderr).unwrap()))
    }

    /// Two snapshots and a record after them.
    fn compacted() -> Self {
        let mut store = Self::new();
        for facts in [4, 3] {
            store.append(facts);
            assert!(store.run(&["compact"]).status.success());
        }
        store.append(1);
        store
    }
}

fn used(view: &Value) -> (Option<&Path>, Option<u64>) {
    let snapshots = &view["snapshots"];
    (snapshots["used"].as_str().map(Path::new), snapshots["replay_from"].as_u64())
}

fn damage(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_compaction_writes_a_snapshot_and_takes_away_what_no_kept_one_needs() {
    let mut store = Store::new();
    store.append(4);
    let (view, problem) = store.verify();
    assert_eq!((used(&view), problem), ((None, Some(1)), None));
    let output = store.run(&["compact"]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("00000000000000000004.snapshot"), "{text}");
    assert!(text.contains("replays the records from 5 on"), "{text}");
    store.append(3);
    assert!(store.run(&["compact"]).status.success());
    let (view, problem) = store.verify();
    assert_eq!(used(&view), (Some(store.snapshot(7).as_path()), Some(8)));
    assert_eq!((view["first_sequence"].as_u64(), view["records"].as_u64()), (Some(5), Some(3)));
    assert_eq!(problem, None);
    // There is nothing new: nothing changes.
    let before = fs::read(store.snapshot(7)).unwrap();
    assert!(store.run(&["compact"]).status.success());
    assert_eq!(fs::read(store.snapshot(7)).unwrap(), before);
    assert!(store.snapshot(4).exists());
}

#[test]
fn a_damaged_snapshot_is_named_with_what_a_start_would_take_instead() {
    let store = Store::compacted();
    let [older, newest] = [4, 7].map(|last| store.snapshot(last));
    damage(&newest);
    let (view, problem) = store.verify();
    let problem = problem.unwrap();
    assert!(problem.contains(newest.to_str().unwrap()), "{problem}");
    assert!(problem.contains("checksum") && problem.contains("move it away"), "{problem}");
    assert_eq!(used(&view), (Some(older.as_path()), Some(5)));
    // It was read only; moved away, as it is said, nothing is wrong.
    fs::rename(&newest, store.folder.path().join("damaged")).unwrap();
    let (view, problem) = store.verify();
    assert_eq!((used(&view), problem), ((Some(older.as_path()), Some(5)), None));
}

#[test]
fn an_older_damaged_snapshot_is_named_too() {
    let store = Store::compacted();
    let [older, newest] = [4, 7].map(|last| store.snapshot(last));
    damage(&older);
    let (view, problem) = store.verify();
    let problem = problem.unwrap();
    assert!(problem.contains(older.to_str().unwrap()), "{problem}");
    assert!(!problem.contains(newest.to_str().unwrap()), "{problem}");
    assert_eq!(used(&view), (Some(newest.as_path()), Some(8)));
}

#[test]
fn a_journal_whose_beginning_no_snapshot_has_is_refused() {
    let store = Store::compacted();
    for last in [4, 7] {
        damage(&store.snapshot(last));
    }
    let (view, problem) = store.verify();
    assert_eq!(used(&view), (None, None));
    assert!(problem.unwrap().contains("the journal begins at record 5"));
    for last in [4, 7] {
        fs::remove_file(store.snapshot(last)).unwrap();
    }
    assert!(store.verify().1.unwrap().contains("the journal begins at record 5"));
}
