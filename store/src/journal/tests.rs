use std::io::Write as _;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};

use super::*;
use crate::limits::TRUNCATE_PAGE_RECORDS;

mod conformance;
mod homes;
mod model;

/// Engine whose commits wait for the test, then end as the test says.
struct Gated {
    inner: MemoryEngine,
    entered: Sender<usize>,
    outcome: Receiver<Result<(), EngineError>>,
}

struct Gate {
    entered: Receiver<usize>,
    outcome: Sender<Result<(), EngineError>>,
}

fn gated() -> (Gated, Gate) {
    let (entered_sender, entered) = channel();
    let (outcome, outcome_receiver) = channel();
    let inner = MemoryEngine::default();
    let engine = Gated { inner, entered: entered_sender, outcome: outcome_receiver };
    (engine, Gate { entered, outcome })
}

impl Engine for Gated {
    fn name(&self) -> &'static str {
        "gated"
    }

    fn last(&self) -> Result<Option<Sequence>, EngineError> {
        self.inner.last()
    }

    fn read(&self, from: Sequence, limit: usize) -> Result<Vec<(Sequence, Vec<u8>)>, EngineError> {
        self.inner.read(from, limit)
    }

    fn commit(&mut self, values: Vec<(Sequence, Vec<u8>)>) -> Result<(), EngineError> {
        self.entered.send(values.len()).expect("the test listens");
        self.outcome.recv().expect("the test decides")?;
        self.inner.commit(values)
    }

    fn truncate_before(&mut self, first: Sequence, start: Vec<u8>) -> Result<(), EngineError> {
        self.entered.send(0).expect("the test listens");
        self.outcome.recv().expect("the test decides")?;
        self.inner.truncate_before(first, start)
    }
}

fn engine_error() -> EngineError {
    EngineError { engine: "gated", action: "flush", problem: "input/output error".into() }
}

async fn payloads(journal: &Journal, from: Sequence) -> Result<Vec<Vec<u8>>, JournalError> {
    journal.replay(from).map_ok(|record| record.payload).try_collect().await
}

async fn append_all(journal: &Journal, records: Vec<Vec<u8>>) -> Committed {
    journal.append(records).await.expect("queued").await.expect("committed")
}

fn numbered(range: std::ops::Range<u32>) -> Vec<Vec<u8>> {
    range.map(|number| number.to_be_bytes().to_vec()).collect()
}

#[tokio::test]
async fn waiting_appends_share_one_flush() {
    let (engine, gate) = gated();
    let journal = Journal::with_engine(Box::new(engine), &JournalConfig::memory()).expect("starts");
    let first = journal.append(numbered(0..1)).await.expect("queued");
    assert_eq!(gate.entered.recv().expect("commits"), 1);
    // While the first flush runs, 200 appends of two records wait.
    let mut waiting = Vec::new();
    for number in 0..200 {
        waiting.push(journal.append(numbered(number..number + 2)).await.expect("queued"));
    }
    gate.outcome.send(Ok(())).expect("the engine waits");
    assert_eq!(gate.entered.recv().expect("commits"), 400);
    gate.outcome.send(Ok(())).expect("the engine waits");
    assert_eq!(first.await.expect("committed").last, Sequence::FIRST);
    let mut next = Sequence::new(2);
    for ack in waiting {
        let committed = ack.await.expect("committed");
        assert_eq!((committed.first, committed.last), (next, next.next()));
        next = committed.last.next();
    }
    let stats = journal.stats();
    assert_eq!((stats.commits, stats.records), (2, 401));
}

#[tokio::test]
async fn nothing_is_acknowledged_before_the_flush() {
    let (engine, gate) = gated();
    let journal = Journal::with_engine(Box::new(engine), &JournalConfig::memory()).expect("starts");
    let mut ack = journal.append(numbered(0..1)).await.expect("queued");
    gate.entered.recv().expect("commits");
    assert!(futures::poll!(&mut ack).is_pending());
    gate.outcome.send(Ok(())).expect("the engine waits");
    ack.await.expect("committed");
}

#[tokio::test]
async fn a_failed_flush_is_fatal_and_never_retried() {
    let (engine, gate) = gated();
    let journal = Journal::with_engine(Box::new(engine), &JournalConfig::memory()).expect("starts");
    let doomed = journal.append(numbered(0..1)).await.expect("queued");
    gate.entered.recv().expect("commits");
    let behind = journal.append(numbered(1..2)).await.expect("queued");
    gate.outcome.send(Err(engine_error())).expect("the engine waits");
    let expected = JournalError::Engine(engine_error());
    assert_eq!(doomed.await, Err(expected.clone()));
    assert_eq!(behind.await, Err(expected.clone()));
    assert_eq!(journal.failed().await, expected);
    assert_eq!(journal.append(numbered(2..3)).await.err(), Some(expected.clone()));
    assert!(gate.entered.recv().is_err(), "the engine was used again");
    assert_eq!(journal.close().await, Err(expected));
}

#[tokio::test]
async fn a_stalled_commit_is_fatal_even_if_it_ends_later() {
    let (engine, gate) = gated();
    let limit = Duration::from_millis(50);
    let config = JournalConfig { commit_time_max: limit, ..JournalConfig::memory() };
    let journal = Journal::with_engine(Box::new(engine), &config).expect("starts");
    let ack = journal.append(numbered(0..1)).await.expect("queued");
    let expected = JournalError::CommitStalled { limit };
    assert_eq!(ack.await, Err(expected.clone()));
    gate.outcome.send(Ok(())).expect("the engine waits");
    assert_eq!(journal.failed().await, expected);
    assert_eq!(journal.append(numbered(1..2)).await.err(), Some(expected));
}

/// Engine that panics in its commit, like a library that asserts on what the disk returned.
struct Panicking(MemoryEngine);

impl Engine for Panicking {
    fn name(&self) -> &'static str {
        "panicking"
    }

    fn last(&self) -> Result<Option<Sequence>, EngineError> {
        self.0.last()
    }

    fn read(&self, from: Sequence, limit: usize) -> Result<Vec<(Sequence, Vec<u8>)>, EngineError> {
        self.0.read(from, limit)
    }

    fn commit(&mut self, _: Vec<(Sequence, Vec<u8>)>) -> Result<(), EngineError> {
        panic!("assertion of the engine")
    }

    fn truncate_before(&mut self, _: Sequence, _: Vec<u8>) -> Result<(), EngineError> {
        panic!("assertion of the engine")
    }
}

#[tokio::test]
async fn a_panicking_engine_is_a_typed_fatal_error() {
    let engine = Box::new(Panicking(MemoryEngine::default()));
    let journal = Journal::with_engine(engine, &JournalConfig::memory()).expect("starts");
    let error = journal.append(numbered(0..1)).await.expect("queued").await.expect_err("fatal");
    assert!(error.to_string().contains("assertion of the engine"), "{error}");
}

#[tokio::test]
async fn refused_appends_write_nothing_and_name_the_limit() {
    let journal = Journal::open(&JournalConfig::memory()).expect("opens");
    let records = vec![vec![0; RECORD_BYTES_MAX], vec![0; RECORD_BYTES_MAX + 1]];
    let error = journal.append(records).await.expect_err("too large");
    let (got, max) = (RECORD_BYTES_MAX + 1, RECORD_BYTES_MAX);
    assert_eq!(error, JournalError::RecordTooLarge { index: 1, got, max });
    assert!(error.to_string().contains(&max.to_string()), "{error}");
    assert_eq!(journal.append(Vec::new()).await.err(), Some(JournalError::NothingToAppend));
    let many = journal.append(vec![Vec::new(); APPEND_RECORDS_MAX + 1]).await;
    assert!(matches!(many, Err(JournalError::TooManyRecords { .. })));
    let committed = append_all(&journal, vec![vec![7; RECORD_BYTES_MAX]]).await;
    assert_eq!(committed.first, Sequence::FIRST, "a refused append took a place");
}

#[tokio::test]
async fn a_damaged_or_missing_record_is_named() {
    let mut engine = MemoryEngine::default();
    let mut values: Vec<_> = (1..=5)
        .map(|number| {
            let sequence = Sequence::new(number);
            (sequence, record::encode(sequence, b"fact"))
        })
        .collect();
    values[3].1[7] ^= 0x10;
    engine.commit(values).expect("memory");
    let journal = Journal::with_engine(Box::new(engine), &JournalConfig::memory()).expect("starts");
    let outcomes: Vec<_> = journal.replay(Sequence::FIRST).collect().await;
    // The page that holds it is refused as a whole: nothing of it is handed out.
    let named = outcomes.last().expect("an outcome").as_ref().expect_err("damaged");
    assert!(matches!(
        named,
        JournalError::Record(RecordError::Checksum { sequence, .. })
            if *sequence == Sequence::new(4)
    ));
    assert!(named.to_string().contains("record 4"), "{named}");

    let mut engine = MemoryEngine::default();
    let present = [1, 2, 4].map(Sequence::new);
    let values = present.map(|sequence| (sequence, record::encode(sequence, b"fact"))).to_vec();
    engine.commit(values).expect("memory");
    let journal = Journal::with_engine(Box::new(engine), &JournalConfig::memory()).expect("starts");
    let error = payloads(&journal, Sequence::FIRST).await.expect_err("a gap");
    let (expected, got) = (Sequence::new(3), Sequence::new(4));
    assert_eq!(error, JournalError::Record(RecordError::Missing { expected, got }));
}

/// An engine that holds these records, and a start if one is given.
fn holding(range: std::ops::Range<u64>, start: Option<u64>) -> MemoryEngine {
    let mut engine = MemoryEngine::default();
    let place = Sequence::new;
    let values = range.map(|number| (place(number), record::encode(place(number), b"fact")));
    engine.commit(values.collect()).expect("memory");
    if let Some(start) = start.map(place) {
        let value = (Sequence::START, record::encode_start(start));
        engine.commit(vec![value]).expect("memory");
    }
    engine
}

#[tokio::test]
async fn a_lost_prefix_is_never_a_truncated_one() {
    let missing = |expected, got| {
        let (expected, got) = (Sequence::new(expected), Sequence::new(got));
        Err(JournalError::Record(RecordError::Missing { expected, got }))
    };
    for (start, expected) in [(None, missing(1, 5)), (Some(3), missing(3, 5))] {
        let engine = Box::new(holding(5..9, start));
        let journal = Journal::with_engine(engine, &JournalConfig::memory()).expect("starts");
        assert_eq!(payloads(&journal, journal.first_sequence()).await, expected);
    }
    let mut engine = holding(5..9, None);
    let mut start = record::encode_start(Sequence::new(5));
    start[9] ^= 1;
    engine.commit(vec![(Sequence::START, start)]).expect("memory");
    let error = Journal::with_engine(Box::new(engine), &JournalConfig::memory()).expect_err("lie");
    assert!(error.to_string().contains("record 0 is damaged"), "{error}");
}

#[tokio::test]
async fn commits_go_between_the_pages_of_a_truncation() {
    let num_records = 2 * TRUNCATE_PAGE_RECORDS + 1;
    let (mut engine, gate) = gated();
    engine.inner = holding(1..num_records + 1, None);
    let journal = Journal::with_engine(Box::new(engine), &JournalConfig::memory()).expect("starts");
    let truncating = journal.clone();
    let next = Sequence::new(num_records + 1);
    let truncation = tokio::spawn(async move { truncating.truncate_before(next).await });
    let open = |gate: &Gate| gate.outcome.send(Ok(())).expect("the engine waits");
    let entered = |gate: &Gate| gate.entered.recv().expect("writes");
    while journal.slots.available_permits() == QUEUED_APPENDS_MAX {
        tokio::task::yield_now().await;
    }
    assert_eq!(entered(&gate), 0);
    let ack = journal.append(numbered(0..1)).await.expect("queued");
    open(&gate);
    assert_eq!(entered(&gate), 1, "an append waited for the whole truncation");
    open(&gate);
    assert_eq!(ack.await.expect("committed").first, next);
    assert_eq!(entered(&gate), 0);
    assert_eq!(journal.first_sequence(), Sequence::new(1 + TRUNCATE_PAGE_RECORDS));
    open(&gate);
    assert_eq!(entered(&gate), 0);
    open(&gate);
    truncation.await.expect("runs").expect("truncates");
    assert_eq!(journal.first_sequence(), next);
    assert_eq!(payloads(&journal, next).await.expect("whole"), numbered(0..1));
}

#[tokio::test]
async fn a_failed_truncation_is_fatal_and_is_not_taken_back() {
    let (mut engine, gate) = gated();
    engine.inner = holding(1..9, None);
    let journal = Journal::with_engine(Box::new(engine), &JournalConfig::memory()).expect("starts");
    gate.outcome.send(Err(engine_error())).expect("the engine waits");
    let expected = JournalError::Engine(engine_error());
    assert_eq!(journal.truncate_before(Sequence::new(5)).await, Err(expected.clone()));
    assert_eq!(journal.append(numbered(0..1)).await.err(), Some(expected));
}

#[test]
fn an_unknown_engine_is_named_with_the_known_ones() {
    let error = "postgres".parse::<EngineKind>().expect_err("unknown").to_string();
    for kind in [EngineKind::Sled, EngineKind::Redb, EngineKind::Memory] {
        assert!(error.contains(kind.name()), "{error}");
    }
}

#[tokio::test]
async fn a_file_in_place_of_the_directory_is_named() {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(b"x").expect("writes");
    let error = Journal::open(&JournalConfig::new(file.path())).expect_err("no directory");
    assert!(matches!(error, JournalError::File { .. }), "{error}");
}
