//! Files: key files, settings, vote logs and exports of a journal. Their owner trusts them more than a
//! stranger's bytes, but a damaged one must say so and nothing else.

use std::fs;
use std::path::{Path, PathBuf};

use proofgrid_core::crypto::bls::SecretKey;
use proofgrid_core::crypto::secp::WalletKey;
use proofgrid_core::ids::{Address, ChainContract, ChainId, StatementDigest};
use proofgrid_core::sealed::Salt;
use proofgrid_core::units::Millis;
use proofgrid_node::config::{DispatcherFile, OracleFile, ProverFile, VerifierFile, load};
use proofgrid_node::keystore::{
    BlsLayout, KeystoreError, create_private, read_bls, read_wallet, write_bls, write_wallet,
};
use proofgrid_store::journal::{Journal, JournalConfig, export, import};
use proofgrid_verifier::vote_log::{Entry, Fault, Finding, VoteLog};
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use zeroize::Zeroizing;

use proofgrid_fuzz::{Outcome, Shape, Target, root};

/// scrypt cost of the seeds: 2^4, so that the loop turns.
const LOG_N: u8 = 4;

/// A file that a target writes anew for every input.
struct Slot {
    path: PathBuf,
    _folder: TempDir,
}

impl Slot {
    fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { path: folder.path().join(name), _folder: folder }
    }

    fn fill(&self, bytes: &[u8]) {
        // The permissions that a key file must have.
        let _ = fs::remove_file(&self.path);
        create_private(&self.path, bytes).expect("a file");
    }
}

/// A key file gives its own secret or none. Some layouts let a file leave its public part out; one
/// that does cannot be held against it.
fn key_files(
    name: &'static str,
    seeds: Vec<Vec<u8>>,
    public: &str,
    read: impl Fn(&Path) -> Result<Zeroizing<[u8; 32]>, KeystoreError>,
) {
    let slot = Slot::new("key.json");
    let memory = (1 << 30, 64);
    let target = Target { memory, ..Target::new(name, Shape::Json, 300) };
    target.run(seeds, |input| {
        slot.fill(input);
        let read = read(&slot.path);
        if let Ok(secret) = &read {
            let file: serde_json::Value = serde_json::from_slice(input).expect("it was read");
            let named = file.get(public).and_then(serde_json::Value::as_str);
            let names_none = named.is_none_or(|named| named.is_empty() || named == "0x");
            assert!(**secret == [7; 32] || names_none, "another secret from a changed file");
        }
        // The path is another one in every run.
        let path = slot.path.display().to_string();
        Outcome::from(read.map_err(|error| error.to_string().replace(&path, "it")))
    });
}

fn bls_seed(layout: BlsLayout) -> Vec<u8> {
    let seed = Slot::new("seed.json");
    let key = SecretKey::from_bytes(&[7; 32]).expect("a key");
    write_bls(&seed.path, &key, layout, "password", LOG_N).expect("is written");
    fs::read(&seed.path).expect("is read")
}

#[test]
fn bls_key_files() {
    let seeds = vec![bls_seed(BlsLayout::Eip2335)];
    key_files("keystore-bls", seeds, "pubkey", |path| read_bls(path, "password"));
}

#[test]
fn eigensdk_key_files() {
    let seeds = vec![bls_seed(BlsLayout::EigenSdk)];
    key_files("keystore-eigensdk", seeds, "pubKey", |path| read_bls(path, "password"));
}

#[test]
fn wallet_key_files() {
    let seed = Slot::new("seed.json");
    let key = WalletKey::from_bytes(&[7; 32]).expect("a key");
    write_wallet(&seed.path, &key, "password", LOG_N).expect("is written");
    let seeds = vec![fs::read(&seed.path).expect("is read")];
    key_files("keystore-wallet", seeds, "address", |path| read_wallet(path, "password"));
}

fn settings<T: DeserializeOwned>(name: &'static str, role: &str, check: impl Fn(&T) -> bool) {
    let path = root().join("docs/config").join(role);
    let seed = fs::read(&path).expect("the committed example");
    let slot = Slot::new("settings.toml");
    let memory = (8 << 20, 512);
    let target = Target { memory, ..Target::new(name, Shape::Lines, 1_500) };
    target.run(vec![seed], |input| {
        slot.fill(input);
        match load::<T>(&slot.path) {
            Ok(file) if check(&file) => Outcome::Accepted,
            Ok(_) => Outcome::Refused("the settings contradict themselves".into()),
            // The first line would name this run's own folder.
            Err(error) => Outcome::Refused(error.root_cause().to_string()),
        }
    });
}

#[test]
fn dispatcher_settings() {
    settings::<DispatcherFile>("config-dispatcher", "dispatcher.toml", |file| {
        file.dispatcher.check().is_ok()
    });
}

#[test]
fn prover_settings() {
    settings::<ProverFile>("config-prover", "prover.toml", |_| true);
}

#[test]
fn verifier_settings() {
    settings::<VerifierFile>("config-verifier", "verifier.toml", |_| true);
}

#[test]
fn oracle_settings() {
    settings::<OracleFile>("config-oracle", "oracle.toml", |_| true);
}

fn entry(byte: u8, finding: Finding) -> Entry {
    let contract = Address::from_bytes([0x7a; 20]);
    Entry {
        statement: StatementDigest::from_bytes([byte; 32]),
        target: ChainContract { chain: ChainId::new(31_337), contract },
        finding,
        judged_in: Millis::new(5),
        secret: Salt::from_bytes([byte; 32]),
    }
}

/// Bytes of a vote log's header, and of a record before its body.
const VOTE_LOG_HEADER: usize = 8;
const VOTE_LOG_PREFIX: usize = 12;

/// Makes both checksums of every whole record true, so that changes reach the bodies.
fn mend_vote_log(bytes: &mut [u8]) {
    let mut at = VOTE_LOG_HEADER;
    while let Some(prefix) = bytes.get(at..at + VOTE_LOG_PREFIX) {
        let length = u32::from_be_bytes([prefix[0], prefix[1], prefix[2], prefix[3]]);
        let body = at + VOTE_LOG_PREFIX;
        let Some(content) = bytes.get(body..body + length as usize) else { return };
        let mut of_length = crc32fast::Hasher::new();
        of_length.update(&(at as u64).to_be_bytes());
        of_length.update(&length.to_be_bytes());
        let sums = [of_length.finalize(), crc32fast::hash(content)];
        for (place, sum) in [at + 4, at + 8].into_iter().zip(sums) {
            bytes[place..place + 4].copy_from_slice(&sum.to_be_bytes());
        }
        at = body + length as usize;
    }
}

/// A log is taken as it is, or without a torn tail; what it says is what was written.
#[test]
fn vote_logs() {
    let slot = Slot::new("votes.log");
    let mut log = VoteLog::open(&slot.path).expect("a new log");
    let fault = Fault { segment: 3, reason: "the opening".into() };
    for (byte, finding) in [(1, Finding::Valid), (2, Finding::Invalid(fault)), (3, Finding::Valid)]
    {
        log.record(entry(byte, finding)).expect("is recorded");
    }
    drop(log);
    let seed = fs::read(&slot.path).expect("is read");
    let target =
        Target { mend: Some(mend_vote_log), ..Target::new("vote-log", Shape::Bytes, 600).borsh() };
    target.run(vec![seed], |input| {
        slot.fill(input);
        let opened = VoteLog::open(&slot.path);
        let left = fs::read(&slot.path).expect("is there");
        match &opened {
            Ok(log) if log.is_empty() => assert_eq!(left.len(), VOTE_LOG_HEADER),
            Ok(_) => assert!(input.starts_with(&left), "a log was changed while it was opened"),
            Err(_) => assert_eq!(left, input, "a refused log was changed"),
        }
        // The path is another one in every run.
        Outcome::from(
            opened
                .map_err(|error| error.to_string().replace(&slot.path.display().to_string(), "it")),
        )
    });
}

fn exported() -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let config = JournalConfig::new(folder.path().join("journal"));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let journal = Journal::open(&config).expect("opens");
    runtime.block_on(async {
        let records = vec![vec![1; 40], vec![2; 3], Vec::from(*b"a record")];
        journal.append(records).await.expect("is queued").await.expect("is flushed");
        journal.close().await.expect("closes");
    });
    let mut bytes = Vec::new();
    export(&config, &mut bytes).expect("is exported");
    bytes
}

#[test]
fn journal_exports() {
    let target =
        Target { memory: (24 << 20, 64), ..Target::new("journal-export", Shape::Bytes, 20_000) };
    target.run(vec![exported()], |input| {
        Outcome::from(import(&JournalConfig::memory(), &mut &*input))
    });
}
