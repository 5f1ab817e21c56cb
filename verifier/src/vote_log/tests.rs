use std::path::PathBuf;

use super::*;
use crate::testing::{entry, invalid};

struct Place {
    _directory: tempfile::TempDir,
    path: PathBuf,
}

fn place() -> Place {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("data").join("votes.log");
    Place { _directory: directory, path }
}

fn open(place: &Place) -> Result<VoteLog, VoteLogError> {
    VoteLog::open(&place.path)
}

/// A log with verdicts on statements 1 to 3, closed; returns its bytes.
fn filled(place: &Place) -> Vec<u8> {
    let mut log = open(place).expect("opens");
    log.record(entry(1, Finding::Valid)).expect("records");
    log.record(entry(2, invalid())).expect("records");
    log.record(entry(3, Finding::Valid)).expect("records");
    drop(log);
    std::fs::read(&place.path).expect("reads")
}

#[test]
fn verdicts_survive_a_restart_with_their_detail() {
    let place = place();
    filled(&place);
    let log = open(&place).expect("opens");
    assert_eq!(log.len(), 3);
    for wanted in [entry(1, Finding::Valid), entry(2, invalid()), entry(3, Finding::Valid)] {
        assert_eq!(log.get(wanted.statement).map(Logged::entry), Some(&wanted));
    }
    assert_eq!(log.get(entry(4, Finding::Valid).statement), None);
}

#[test]
fn a_second_verdict_is_refused_before_and_after_a_restart() {
    let place = place();
    let size = filled(&place).len();
    for _ in 0..2 {
        let mut log = open(&place).expect("opens");
        let refused = log.record(entry(1, invalid()));
        assert!(matches!(
            refused,
            Err(VoteLogError::OtherVerdict {
                logged: Verdict::Valid,
                refused: Verdict::Invalid,
                ..
            })
        ));
        assert!(log.record(entry(2, Finding::Valid)).is_err());
        // The same verdict again is the first entry, detail included, and writes nothing.
        let fault = Fault { segment: 0, reason: "another reason".into() };
        let again = log.record(entry(2, Finding::Invalid(fault))).expect("the same verdict");
        assert_eq!(again.entry(), &entry(2, invalid()));
    }
    assert_eq!(std::fs::read(&place.path).expect("reads").len(), size);
}

#[test]
fn a_torn_tail_is_removed_and_the_log_goes_on() {
    let place = place();
    let bytes = filled(&place);
    let two = {
        let third = format::write(&entry(3, Finding::Valid), 0).expect("encodes").len();
        bytes.len() - third
    };
    for length in two..bytes.len() {
        std::fs::write(&place.path, &bytes[..length]).expect("writes");
        let mut log = open(&place).expect("a torn tail opens");
        assert_eq!(log.len(), 2, "cut to {length}");
        log.record(entry(3, Finding::Valid)).expect("records");
        drop(log);
        assert_eq!(std::fs::read(&place.path).expect("reads"), bytes, "cut to {length}");
    }
}

#[test]
fn a_tail_of_zeros_is_torn() {
    let place = place();
    let bytes = filled(&place);
    for zeros in [1, 12, 13, 500] {
        let mut grown = bytes.clone();
        grown.resize(bytes.len() + zeros, 0);
        std::fs::write(&place.path, &grown).expect("writes");
        assert_eq!(open(&place).expect("opens").len(), 3);
        assert_eq!(std::fs::read(&place.path).expect("reads"), bytes);
    }
}

#[test]
fn a_kill_while_the_file_is_created_leaves_a_log() {
    let place = place();
    drop(open(&place).expect("opens"));
    for length in 0..HEADER.len() {
        std::fs::write(&place.path, &HEADER[..length]).expect("writes");
        assert!(open(&place).expect("opens").is_empty(), "cut to {length}");
        assert_eq!(std::fs::read(&place.path).expect("reads"), HEADER);
    }
}

#[test]
fn damage_before_the_tail_is_named_and_nothing_is_cut() {
    let place = place();
    let bytes = filled(&place);
    let third = format::write(&entry(3, Finding::Valid), 0).expect("encodes").len();
    for byte in 0..bytes.len() - third {
        let mut damaged = bytes.clone();
        damaged[byte] ^= 0x40;
        std::fs::write(&place.path, &damaged).expect("writes");
        let error = open(&place).expect_err("damage passed");
        let is_named = matches!(error, VoteLogError::Damaged { .. } | VoteLogError::Format { .. });
        assert!(is_named, "byte {byte}: {error}");
        assert_eq!(std::fs::read(&place.path).expect("reads"), damaged, "byte {byte} was cut");
    }
}

#[test]
fn a_log_that_contradicts_itself_is_refused() {
    let place = place();
    let mut bytes = filled(&place);
    let record = format::write(&entry(1, invalid()), bytes.len() as u64).expect("encodes");
    bytes.extend(record);
    std::fs::write(&place.path, &bytes).expect("writes");
    assert!(matches!(open(&place), Err(VoteLogError::Damaged { .. })));
}

#[test]
fn one_process_per_log() {
    let place = place();
    let first = open(&place).expect("opens");
    assert!(matches!(open(&place), Err(VoteLogError::Locked { .. })));
    drop(first);
    open(&place).expect("opens again");
}

#[test]
fn after_a_failed_write_nothing_is_recorded() {
    let place = place();
    drop(open(&place).expect("opens"));
    let mut log = open(&place).expect("opens");
    // A handle that cannot write stands for a disk that cannot.
    *log.file = File::open(&place.path).expect("opens for reading");
    assert!(matches!(log.record(entry(1, Finding::Valid)), Err(VoteLogError::Io { .. })));
    assert!(log.get(entry(1, Finding::Valid).statement).is_none());
    *log.file = OpenOptions::new().write(true).open(&place.path).expect("opens");
    assert!(matches!(log.record(entry(1, Finding::Valid)), Err(VoteLogError::Failed { .. })));
}

#[test]
fn the_longest_fault_fits() {
    let place = place();
    let mut log = open(&place).expect("opens");
    let reason = crate::limits::shorten(&"\u{1f980}".repeat(1000));
    let long = Finding::Invalid(Fault { segment: u32::MAX, reason });
    log.record(entry(1, long.clone())).expect("records");
    drop(log);
    let log = open(&place).expect("opens");
    assert_eq!(
        log.get(entry(1, Finding::Valid).statement).map(Logged::entry),
        Some(&entry(1, long))
    );
}
