//! What anybody checks offline: certificate files, epoch tables and their bytes.

use std::str::from_utf8;

use proofgrid_core::certificate::{JobCertificate, TrustedEpoch};
use proofgrid_core::epoch::EpochTable;

use proofgrid_fuzz::{Outcome, Shape, Target, corpus};

fn text_of(input: &[u8]) -> Result<&str, Outcome> {
    from_utf8(input).map_err(|_| Outcome::Refused("no text".into()))
}

fn tables() -> Vec<EpochTable> {
    let read = |bytes: Vec<u8>| EpochTable::from_json(from_utf8(&bytes).ok()?).ok();
    corpus("epoch-json").into_iter().filter_map(read).collect()
}

fn certificates() -> Vec<JobCertificate> {
    let read = |bytes: Vec<u8>| JobCertificate::from_json(from_utf8(&bytes).ok()?).ok();
    corpus("certificate-json").into_iter().filter_map(read).collect()
}

#[test]
fn certificate_files() {
    let target =
        Target { memory: (256 << 10, 64), ..Target::new("certificate-json", Shape::Json, 6_000) };
    target.run(Vec::new(), |input| {
        let text = match text_of(input) {
            Ok(text) => text,
            Err(refused) => return refused,
        };
        let file = match JobCertificate::from_json(text) {
            Ok(file) => file,
            Err(error) => return Outcome::Refused(error.to_string()),
        };
        assert_eq!(JobCertificate::from_json(&file.to_json()).as_ref(), Ok(&file));
        Outcome::Accepted
    });
}

/// Offline verification: of all that parses, only what the quorum signed is accepted.
#[test]
fn certificates_offline() {
    let (tables, genuine) = (tables(), certificates());
    assert!(!tables.is_empty() && genuine.len() > 1, "the corpus has certificates and a table");
    let seeds = corpus("certificate-json");
    let target =
        Target { memory: (512 << 10, 64), ..Target::new("certificate-verify", Shape::Json, 1_500) };
    target.run(seeds, |input| {
        let file = match text_of(input).map(JobCertificate::from_json) {
            Ok(Ok(file)) => file,
            Ok(Err(error)) => return Outcome::Refused(error.to_string()),
            Err(refused) => return refused,
        };
        let mut last = "no table".to_owned();
        for table in &tables {
            match file.verify(table, TrustedEpoch::NotAnchored) {
                Ok(_) => {
                    assert!(genuine.contains(&file), "a changed certificate verifies: {file:?}");
                    return Outcome::Accepted;
                }
                Err(error) => last = error.to_string(),
            }
        }
        Outcome::Refused(last)
    });
}

#[test]
fn epoch_table_files() {
    let target =
        Target { memory: (256 << 10, 64), ..Target::new("epoch-json", Shape::Json, 6_000) };
    target.run(Vec::new(), |input| {
        let table = match text_of(input).map(EpochTable::from_json) {
            Ok(Ok(table)) => table,
            Ok(Err(error)) => return Outcome::Refused(error.to_string()),
            Err(refused) => return refused,
        };
        assert_eq!(EpochTable::from_json(&table.to_json()).as_ref(), Ok(&table));
        Outcome::Accepted
    });
}

#[test]
fn epoch_table_bytes() {
    let seeds = tables().iter().map(EpochTable::encode).collect();
    Target::new("epoch-table", Shape::Bytes, 20_000).run(seeds, |input| {
        let parsed = EpochTable::parse(input);
        if let Ok(table) = &parsed {
            assert_eq!(table.encode(), input, "accepted, but it is not canonical");
        }
        Outcome::from(parsed)
    });
}
