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
        let third =
            format::write(&Record::Verdict(entry(3, Finding::Valid)), 0).expect("encodes").len();
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
    let third =
        format::write(&Record::Verdict(entry(3, Finding::Valid)), 0).expect("encodes").len();
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
    let record =
        format::write(&Record::Verdict(entry(1, invalid())), bytes.len() as u64).expect("encodes");
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

fn opened(statement: u8, epoch: u64, set: u8) -> Opened {
    opened_in(statement, epoch, 0, set)
}

fn opened_in(statement: u8, epoch: u64, sitting: u32, set: u8) -> Opened {
    Opened {
        statement: StatementDigest::from_bytes([statement; 32]),
        epoch: EpochNumber::new(epoch),
        table: TableDigest::from_bytes([7; 32]),
        sitting,
        set: CommitSetDigest::from_bytes([set; 32]),
    }
}

#[test]
fn a_vote_is_opened_to_one_set_of_an_epoch_before_and_after_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("votes.log");
    for restarted in [false, true] {
        let mut log = VoteLog::open(&path).expect("opens");
        log.record(entry(1, Finding::Valid)).expect("records");
        log.open_to(opened(1, 4, 1)).expect("the first set, or the same again");
        let refused = log.open_to(opened(1, 4, 2));
        assert!(matches!(refused, Err(VoteLogError::OtherSet { .. })), "{restarted}");
        log.open_to(opened(1, 5, 2)).expect("another epoch has another set");
        assert_eq!(log.len(), 1);
    }
}

#[test]
fn a_vote_that_was_not_heard_is_opened_again_in_a_later_sitting_and_never_in_an_earlier_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("votes.log");
    let mut log = VoteLog::open(&path).expect("opens");
    log.record(entry(1, Finding::Valid)).expect("records");
    log.open_to(opened_in(1, 4, 0, 1)).expect("the first sitting");
    log.open_to(opened_in(1, 4, 2, 3)).expect("one after it");
    drop(log);
    let mut log = VoteLog::open(&path).expect("opens again");
    log.open_to(opened_in(1, 4, 2, 3)).expect("the same again");
    for (sitting, set) in [(0, 1), (1, 2), (2, 2)] {
        let refused = log.open_to(opened_in(1, 4, sitting, set));
        assert!(matches!(refused, Err(VoteLogError::OtherSet { .. })), "{sitting}");
    }
    log.open_to(opened_in(1, 4, 3, 1)).expect("the next sitting");
}

#[test]
fn an_opened_vote_without_its_verdict_is_damage() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("votes.log");
    drop(VoteLog::open(&path).expect("opens"));
    let mut bytes = std::fs::read(&path).expect("reads");
    let record = Record::Opened(opened(1, 4, 1));
    bytes.extend(format::write(&record, bytes.len() as u64).expect("encodes"));
    std::fs::write(&path, bytes).expect("writes");
    assert!(matches!(VoteLog::open(&path), Err(VoteLogError::Damaged { .. })));
}

#[test]
fn every_epoch_has_its_own_salt_and_no_two_statements_share_one() {
    let (one, two) = (entry(1, Finding::Valid), entry(2, Finding::Valid));
    let (table, epoch) = (TableDigest::from_bytes([7; 32]), EpochNumber::new);
    let salt = one.salt(epoch(1), table);
    assert_eq!(salt, one.salt(epoch(1), table));
    assert_ne!(salt, one.salt(epoch(2), table));
    assert_ne!(salt, one.salt(epoch(1), TableDigest::from_bytes([8; 32])));
    assert_ne!(salt, two.salt(epoch(1), table));
}
