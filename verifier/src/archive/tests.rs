use proofgrid_core::ids::Address;
use proofgrid_proofs::digest::proof_digest;
use tempfile::TempDir;

use super::*;
use crate::testing::config;

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);
const PROOF_BYTES: u64 = 100;

/// An archive of small proofs that is opened anew for every step, as after a restart.
struct Shelf {
    directory: TempDir,
    bytes_max: u64,
    /// When the test began; the files have about this time.
    now: SystemTime,
}

fn proof(byte: u8) -> Vec<u8> {
    vec![byte; 100]
}

fn digest(byte: u8) -> BlobDigest {
    proof_digest(&proof(byte))
}

fn statement(byte: u8) -> StatementDigest {
    StatementDigest::from_bytes([byte; 32])
}

impl Shelf {
    fn new(bytes_max: u64) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        Self { directory, bytes_max, now: SystemTime::now() }
    }

    fn open(&self) -> Archive {
        let mut config = config(self.directory.path());
        config.retention = Retention { time: DAY * 7, bytes_max: ByteCount::new(self.bytes_max) };
        Archive::open(&config).expect("opens")
    }

    async fn put(&self, byte: u8) {
        let owner = Address::from_bytes([1; 20]);
        let stored = self.open().store.put_bytes(owner, digest(byte), proof(byte).into()).await;
        stored.expect("stores");
    }

    async fn judged(&self, of: u8, proofs: &[u8]) {
        for byte in proofs {
            self.put(*byte).await;
        }
        let proofs = proofs.iter().map(|byte| digest(*byte)).collect();
        self.open().judged(statement(of), proofs).await;
    }

    async fn attested(&self, of: u8) {
        self.open().attested(statement(of)).await;
    }

    /// Makes what is noted about a statement older.
    fn age(&self, of: u8, by: Duration) {
        let path = self.open().path(statement(of), ATTESTED);
        let file = File::options().append(true).open(path).expect("is noted");
        file.set_modified(self.now - by).expect("sets the time");
    }

    /// Looks for old proofs after some time; gives those of `of` that are left.
    async fn left(&self, after: Duration, of: &[u8]) -> Vec<u8> {
        let archive = self.open();
        archive.collect(self.now + after).await.expect("collects");
        let mut left = Vec::new();
        for byte in of {
            if archive.store.exists(digest(*byte)).await.expect("looks") {
                left.push(*byte);
            }
        }
        left
    }

    fn num_notes(&self) -> usize {
        files(&self.open().statements).expect("lists").len()
    }
}

#[tokio::test]
async fn a_proof_goes_a_week_after_its_attestation_and_its_note_with_it() {
    let shelf = Shelf::new(1_000);
    shelf.judged(1, &[1, 2]).await;
    shelf.attested(1).await;
    shelf.attested(1).await;
    assert_eq!(shelf.left(DAY * 7 - HOUR, &[1, 2]).await, [1, 2]);
    assert_eq!(shelf.num_notes(), 1);
    assert!(shelf.left(DAY * 7 + HOUR, &[1, 2]).await.is_empty());
    assert_eq!(shelf.num_notes(), 0);
}

#[tokio::test]
async fn a_proof_of_a_judged_statement_stays_whatever_the_bounds_until_it_is_given_up() {
    let shelf = Shelf::new(0);
    shelf.judged(1, &[1]).await;
    // It is also a proof of a statement that was attested long ago.
    shelf.judged(2, &[1]).await;
    shelf.attested(2).await;
    shelf.age(2, DAY * 100);
    assert_eq!(shelf.left(OPEN_AT_MOST - HOUR, &[1]).await, [1]);
    assert!(shelf.left(OPEN_AT_MOST + HOUR, &[1]).await.is_empty());
    assert_eq!(shelf.num_notes(), 0);
}

#[tokio::test]
async fn above_the_bound_the_oldest_go_first_and_none_within_a_day() {
    let shelf = Shelf::new(2 * PROOF_BYTES);
    for byte in 1..=4 {
        shelf.judged(byte, &[byte]).await;
        shelf.attested(byte).await;
    }
    shelf.age(3, DAY * 3);
    shelf.age(1, DAY * 2);
    assert_eq!(shelf.left(Duration::ZERO, &[1, 2, 3, 4]).await, [2, 4], "3, then 1");

    let shelf = Shelf::new(0);
    shelf.judged(1, &[1]).await;
    shelf.attested(1).await;
    shelf.put(2).await;
    assert_eq!(shelf.left(DAY - HOUR, &[1, 2]).await, [1, 2]);
    assert!(shelf.left(DAY + HOUR, &[1, 2]).await.is_empty());
}

#[tokio::test]
async fn a_proof_of_no_statement_counts_from_its_download() {
    let shelf = Shelf::new(1_000);
    shelf.put(1).await;
    assert_eq!(shelf.left(DAY * 7 - HOUR, &[1]).await, [1]);
    assert!(shelf.left(DAY * 7 + HOUR, &[1]).await.is_empty());
}

#[tokio::test]
async fn a_damaged_note_removes_nothing() {
    let shelf = Shelf::new(0);
    shelf.put(1).await;
    let path = shelf.open().path(statement(1), OPEN);
    fs::write(&path, vec![0; 1 << 20]).expect("writes");
    let archive = shelf.open();
    let refused = archive.collect(shelf.now + DAY * 20).await;
    assert!(matches!(refused, Err(ArchiveError::File { action: "use", .. })), "{refused:?}");
    assert_eq!(archive.store.exists(digest(1)).await, Ok(true));
}

#[tokio::test]
async fn an_abandoned_download_is_removed_at_the_start() {
    let shelf = Shelf::new(1_000);
    let archive = shelf.open();
    let part = shelf.directory.path().join("proofs/partial/abandoned");
    fs::write(&part, "half").expect("writes");
    let file = File::options().append(true).open(&part).expect("opens");
    file.set_modified(shelf.now - PARTIAL_AGE_MAX).expect("sets the time");
    let gone = async {
        while part.exists() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        never = archive.keep_in_order() => match never {},
        () = gone => {}
    }
}
