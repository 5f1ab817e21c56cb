//! What every engine must do: one suite, run over each of them.

use super::homes::{Home, abandon, copy_directory, files_below};
use super::*;

/// Makes each function, which takes the engine, a test of each engine.
macro_rules! suite {
    ($kinds:tt, $tests:tt) => { $crate::journal::tests::conformance::suite!(@ $kinds $tests); };
    (@ [$($name:ident: $kind:ident),*] $tests:tt) => {
        $(mod $name { $crate::journal::tests::conformance::suite!(# $kind $tests); })*
    };
    (# $kind:ident [$($test:ident),* $(,)?]) => {
        $(#[tokio::test] async fn $test() {
            super::super::$test($crate::journal::EngineKind::$kind).await;
        })*
    };
}
use suite;

mod every {
    super::suite!(
        [memory: Memory, sled: Sled, redb: Redb],
        [
            appends_keep_their_order_over_reopening,
            a_truncated_journal_starts_where_it_was_told_to,
            a_journal_truncated_to_nothing_goes_on_with_the_next_sequence,
            nothing_is_acknowledged_after_a_failed_commit,
            a_truncation_that_fails_leaves_a_whole_journal,
        ]
    );
}

mod disk {
    super::suite!(
        [sled: Sled, redb: Redb],
        [
            one_process_and_one_engine_per_directory,
            dropping_every_handle_releases_the_directory,
            an_export_moves_every_record_to_every_engine,
            an_export_keeps_where_a_truncated_journal_starts,
            a_torn_tail_never_gives_other_records,
        ]
    );
}

async fn appends_keep_their_order_over_reopening(kind: EngineKind) {
    let home = Home::new(kind);
    for round in 0..3u32 {
        let journal = home.open();
        let expected = numbered(0..round * 700);
        assert_eq!(payloads(&journal, Sequence::FIRST).await.expect("whole"), expected);
        for start in (round * 700..(round + 1) * 700).step_by(100) {
            let committed = append_all(&journal, numbered(start..start + 100)).await;
            assert_eq!(committed.first, Sequence::new(u64::from(start) + 1));
            assert_eq!(committed.last, Sequence::new(u64::from(start) + 100));
        }
        assert_eq!(journal.stats().last_sequence, u64::from(round + 1) * 700);
        journal.close().await.expect("closes");
    }
    let journal = home.open();
    let tail = payloads(&journal, Sequence::new(2099)).await.expect("whole");
    assert_eq!(tail, numbered(2098..2100));
    assert!(payloads(&journal, Sequence::new(2101)).await.expect("whole").is_empty());
    journal.close().await.expect("closes");
}

async fn a_truncated_journal_starts_where_it_was_told_to(kind: EngineKind) {
    let home = Home::new(kind);
    filled(&home, 100).await;
    let journal = home.open();
    assert_eq!(journal.first_sequence(), Sequence::FIRST);
    let (first, next) = (Sequence::new(41), Sequence::new(102));
    journal.truncate_before(first).await.expect("truncates");
    journal.truncate_before(Sequence::new(7)).await.expect("was truncated already");
    let ahead = journal.truncate_before(next).await;
    assert_eq!(ahead, Err(JournalError::TruncatedAhead { first: next, next: Sequence::new(101) }));
    journal.close().await.expect("closes");

    let journal = home.open();
    assert_eq!(journal.first_sequence(), first);
    assert_eq!(payloads(&journal, first).await.expect("whole"), numbered(40..100));
    let gone = payloads(&journal, Sequence::new(40)).await;
    assert_eq!(gone, Err(JournalError::Truncated { from: Sequence::new(40), first }));
    assert_eq!(append_all(&journal, numbered(100..101)).await.first, Sequence::new(101));
}

async fn a_journal_truncated_to_nothing_goes_on_with_the_next_sequence(kind: EngineKind) {
    let home = Home::new(kind);
    // More than one page of a truncation.
    let num_records = u32::try_from(TRUNCATE_PAGE_RECORDS).expect("small") + 100;
    filled(&home, num_records).await;
    let journal = home.open();
    let next = Sequence::new(u64::from(num_records) + 1);
    journal.truncate_before(next).await.expect("truncates");
    journal.close().await.expect("closes");
    let journal = home.open();
    assert_eq!((journal.stats().last_sequence, journal.first_sequence()), (next.get() - 1, next));
    assert!(payloads(&journal, next).await.expect("empty").is_empty());
    let committed = append_all(&journal, numbered(100..101)).await;
    assert_eq!((committed.first, journal.first_sequence()), (next, next));
}

/// An engine whose disk fails at one write: before anything is stored, or after everything is.
struct Failing {
    inner: Box<dyn Engine>,
    writes_left: u32,
    is_stored: bool,
    error: std::io::Error,
}

impl Failing {
    fn write(
        &mut self,
        write: impl FnOnce(&mut dyn Engine) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        let Some(left) = self.writes_left.checked_sub(1) else {
            if self.is_stored {
                write(self.inner.as_mut())?;
            }
            let problem = self.error.to_string();
            return Err(EngineError { engine: self.inner.name(), action: "commit", problem });
        };
        self.writes_left = left;
        write(self.inner.as_mut())
    }
}

impl Engine for Failing {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn last(&self) -> Result<Option<Sequence>, EngineError> {
        self.inner.last()
    }

    fn read(&self, from: Sequence, limit: usize) -> Result<Vec<(Sequence, Vec<u8>)>, EngineError> {
        self.inner.read(from, limit)
    }

    fn commit(&mut self, values: Vec<(Sequence, Vec<u8>)>) -> Result<(), EngineError> {
        self.write(|engine| engine.commit(values))
    }

    fn truncate_before(&mut self, first: Sequence, start: Vec<u8>) -> Result<(), EngineError> {
        self.write(|engine| engine.truncate_before(first, start))
    }
}

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

fn failing(home: &Home, writes_left: u32, is_stored: bool, code: i32) -> Journal {
    let error = std::io::Error::from_raw_os_error(code);
    home.open_with(|inner| Box::new(Failing { inner, writes_left, is_stored, error }))
}

/// What the person in front of the node reads: what the system said and what to do.
fn assert_tells(error: &JournalError, code: i32) {
    let said = std::io::Error::from_raw_os_error(code).to_string();
    let text = error.to_string();
    assert!(text.contains(&said) && text.contains("Check the disk, then start again"), "{text}");
}

async fn nothing_is_acknowledged_after_a_failed_commit(kind: EngineKind) {
    for (writes_left, is_stored, code) in [(0, false, EIO), (3, true, EIO), (2, false, ENOSPC)] {
        let home = Home::new(kind);
        let journal = failing(&home, writes_left, is_stored, code);
        let mut acknowledged = 0;
        let mut queued = Vec::new();
        for number in 0..writes_left {
            append_all(&journal, numbered(number * 2..number * 2 + 2)).await;
            acknowledged += 2;
        }
        // Several at once: the failed commit holds one or more of them, and no later one is tried.
        for number in 0..5 {
            let start = acknowledged + number * 2;
            match journal.append(numbered(start..start + 2)).await {
                Ok(ack) => queued.push(ack),
                Err(error) => assert_tells(&error, code),
            }
        }
        for ack in queued {
            assert_tells(&ack.await.expect_err("acknowledged after a failure"), code);
        }
        let later = journal.append(numbered(0..1)).await.expect_err("accepted after a failure");
        assert_tells(&later, code);
        assert_tells(&journal.truncate_before(Sequence::FIRST).await.expect_err("failed"), code);
        abandon(journal);

        let journal = home.open();
        let found = payloads(&journal, Sequence::FIRST).await.expect("whole");
        let expected = numbered(0..u32::try_from(found.len()).expect("few"));
        assert_eq!(found, expected);
        let num_found = found.len() as u64;
        match is_stored {
            true => assert!(num_found > u64::from(acknowledged), "a stored commit is gone"),
            false => assert_eq!(num_found, u64::from(acknowledged)),
        }
        assert_eq!(num_found % 2, 0, "half of an append is stored");
        assert_eq!(append_all(&journal, numbered(0..1)).await.first.get(), num_found + 1);
    }
}

async fn a_truncation_that_fails_leaves_a_whole_journal(kind: EngineKind) {
    let num_records = u32::try_from(TRUNCATE_PAGE_RECORDS).expect("small") + 100;
    let page = Sequence::new(TRUNCATE_PAGE_RECORDS + 1);
    for (is_stored, first) in [(false, page), (true, Sequence::new(4151))] {
        let home = Home::new(kind);
        filled(&home, num_records).await;
        let journal = failing(&home, 1, is_stored, EIO);
        let error = journal.truncate_before(Sequence::new(4151)).await.expect_err("fails");
        assert_tells(&error, EIO);
        abandon(journal);
        let journal = home.open();
        assert_eq!(journal.first_sequence(), first);
        let kept = u32::try_from(first.get() - 1).expect("small")..num_records;
        assert_eq!(payloads(&journal, first).await.expect("whole"), numbered(kept));
    }
}

async fn one_process_and_one_engine_per_directory(kind: EngineKind) {
    let home = Home::new(kind);
    let config = home.config();
    let journal = Journal::open(&config).expect("opens");
    let error = Journal::open(&config).expect_err("locked");
    assert!(matches!(error, JournalError::Locked { .. }), "{error}");
    assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
    journal.close().await.expect("closes");
    let other = match kind {
        EngineKind::Redb => EngineKind::Sled,
        _ => EngineKind::Redb,
    };
    let error = Journal::open(&JournalConfig { engine: other, ..config }).expect_err("another");
    assert!(matches!(error, JournalError::OtherEngine { .. }), "{error}");
    assert!(error.to_string().contains(kind.name()), "{error}");
    assert_eq!(kind.name().parse(), Ok(kind));
}

async fn dropping_every_handle_releases_the_directory(kind: EngineKind) {
    let home = Home::new(kind);
    let journal = home.open();
    append_all(&journal, numbered(0..10)).await;
    abandon(journal);
    let journal = home.open();
    assert_eq!(payloads(&journal, Sequence::FIRST).await.expect("whole").len(), 10);
}

async fn filled(home: &Home, num_records: u32) {
    let journal = home.open();
    for start in (0..num_records).step_by(APPEND_RECORDS_MAX) {
        let end = num_records.min(start + u32::try_from(APPEND_RECORDS_MAX).expect("small"));
        append_all(&journal, numbered(start..end)).await;
    }
    journal.close().await.expect("closes");
}

async fn an_export_moves_every_record_to_every_engine(kind: EngineKind) {
    let old = Home::new(kind);
    filled(&old, 1000).await;
    let summary = JournalSummary { first: Sequence::FIRST, records: 1000, payload_bytes: 4000 };
    assert_eq!(verify(&old.config()), Ok(summary));
    let mut file = Vec::new();
    assert_eq!(export(&old.config(), &mut file), Ok(summary));
    for kind in [EngineKind::Sled, EngineKind::Redb] {
        let new = Home::new(kind);
        assert_eq!(import(&new.config(), &mut file.as_slice()), Ok(summary));
        assert_eq!(verify(&new.config()), Ok(summary));
        let again = import(&new.config(), &mut file.as_slice());
        assert_eq!(again, Err(JournalError::NotEmpty { last: Sequence::new(1000) }));
        let journal = new.open();
        let found = payloads(&journal, Sequence::FIRST).await.expect("whole");
        assert_eq!(found, numbered(0..1000));
        assert_eq!(append_all(&journal, numbered(0..1)).await.first, Sequence::new(1001));
    }
}

async fn an_export_keeps_where_a_truncated_journal_starts(kind: EngineKind) {
    let (old, new) = (Home::new(kind), Home::new(kind));
    filled(&old, 10).await;
    let journal = old.open();
    journal.truncate_before(Sequence::new(8)).await.expect("truncates");
    journal.close().await.expect("closes");
    let mut file = Vec::new();
    let summary = export(&old.config(), &mut file).expect("exports");
    assert_eq!((summary.first, summary.records), (Sequence::new(8), 3));
    for place in 0..file.len() {
        let mut changed = file.clone();
        changed[place] ^= 1;
        let result = import(&JournalConfig::memory(), &mut changed.as_slice());
        assert!(result.is_err(), "byte {place}");
    }
    assert_eq!(import(&new.config(), &mut file.as_slice()), Ok(summary));
    assert_eq!(verify(&new.config()), Ok(summary));
    let journal = new.open();
    assert_eq!(payloads(&journal, Sequence::new(8)).await.expect("whole"), numbered(7..10));
    assert_eq!(append_all(&journal, numbered(0..1)).await.first, Sequence::new(11));
}

#[tokio::test]
async fn an_export_that_is_cut_or_changed_is_refused() {
    let home = Home::new(EngineKind::DEFAULT);
    filled(&home, 3).await;
    let mut file = Vec::new();
    export(&home.config(), &mut file).expect("exports");
    let empty = JournalConfig::memory();
    for length in 0..file.len() {
        let result = import(&empty, &mut &file[..length]);
        assert!(matches!(result, Err(JournalError::Export { .. })), "cut to {length}: {result:?}");
    }
    for place in 0..file.len() {
        let mut changed = file.clone();
        changed[place] ^= 1;
        assert!(import(&empty, &mut changed.as_slice()).is_err(), "byte {place}");
    }
}

/// What is done to the end of a file.
#[derive(Clone, Copy, Debug)]
enum Tear {
    Cut(u64),
    Garble(u64),
}

fn tear(file: &Path, tear: Tear) {
    let handle = std::fs::OpenOptions::new().write(true).open(file).expect("opens");
    let length = handle.metadata().expect("a file").len();
    match tear {
        Tear::Cut(bytes) => handle.set_len(length.saturating_sub(bytes)).expect("cuts"),
        Tear::Garble(bytes) => {
            let bytes = bytes.min(length);
            let noise: Vec<u8> = (0..bytes).map(|place| (place * 37 + 11) as u8).collect();
            std::os::unix::fs::FileExt::write_all_at(&handle, &noise, length - bytes)
                .expect("garbles");
        }
    }
}

/// Whatever happens to the end of the engine's files, what is replayed was written, in order.
///
/// redb gives every record or an error. sled gives what its log still holds: a journal that ends
/// early is not told from one that was never longer, one more reason for the default.
async fn a_torn_tail_never_gives_other_records(kind: EngineKind) {
    let directory = tempfile::tempdir().expect("a directory");
    let origin = directory.path().join("origin");
    let config = JournalConfig { engine: kind, ..JournalConfig::new(&origin) };
    let journal = Journal::open(&config).expect("opens");
    for number in 0..40 {
        append_all(&journal, numbered(number..number + 1)).await;
    }
    journal.close().await.expect("closes");
    let whole = numbered(0..40);
    let tears = [Tear::Cut(1), Tear::Cut(7), Tear::Cut(64), Tear::Garble(8), Tear::Garble(4096)];
    let (mut opened, mut shorter) = (0, 0);
    for (case, file) in files_below(&origin).iter().enumerate() {
        let is_ours = ["LOCK", "FORMAT"].iter().any(|name| file.ends_with(name));
        if is_ours || std::fs::metadata(file).expect("a file").len() == 0 {
            continue;
        }
        for (number, what) in tears.into_iter().enumerate() {
            let torn = directory.path().join(format!("torn-{case}-{number}"));
            copy_directory(&origin, &torn);
            tear(&torn.join(file.strip_prefix(&origin).expect("below")), what);
            let config = JournalConfig { engine: kind, ..JournalConfig::new(&torn) };
            let Ok(journal) = Journal::open(&config) else { continue };
            opened += 1;
            let Ok(found) = payloads(&journal, Sequence::FIRST).await else { continue };
            assert!(whole.starts_with(&found), "{file:?} {what:?}: {found:?}");
            if found.len() < whole.len() {
                eprintln!("{} of 40 records after {what:?} of {}", found.len(), file.display());
                shorter += 1;
            }
        }
    }
    assert!(opened > 0, "no torn journal opened, so nothing was tested");
    eprintln!("{kind:?}: {opened} torn journals opened, {shorter} of them shorter than written");
    assert!(kind == EngineKind::Sled || shorter == 0, "{shorter} journals ended early");
}
