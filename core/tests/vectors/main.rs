//! The vectors that Rust and Solidity share: `tests/vectors/*.json`.
//!
//! Each test builds one file from fixed inputs through the public functions of core and compares it
//! byte for byte with the committed one, so a changed digest, signature or encoding fails here
//! first. `PROOFGRID_REGENERATE_VECTORS=1 cargo test -p proofgrid-core vectors` writes the files
//! anew; the difference is then for a reviewer, and for the contracts' tests, to judge.
//!
//! Objects have their keys in alphabetical order and arrays hold objects of one shape, as
//! Foundry's `vm.parseJson` wants them. 32-byte values and all 128- and 256-bit numbers are 32-byte
//! hexadecimal words.

#![expect(clippy::unwrap_used, reason = "a vector that cannot be built is a failed test")]

mod bls;
mod certificate;
mod digests;
mod epoch;
mod inputs;
mod merkle;

use std::path::Path;

use serde_json::{Map, Value};

/// The same value with every object's keys in alphabetical order.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.into_iter().collect();
            fields.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(
                fields.into_iter().map(|(key, v)| (key, sorted(v))).collect::<Map<_, _>>(),
            )
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}

/// Compares a file with what the code gives now, or writes it when asked to.
fn check(name: &str, value: Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors").join(name);
    let text = serde_json::to_string_pretty(&sorted(value)).unwrap() + "\n";
    if std::env::var("PROOFGRID_REGENERATE_VECTORS").is_ok_and(|on| on == "1") {
        std::fs::write(&path, text).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    let differs = committed.lines().zip(text.lines()).position(|(a, b)| a != b);
    assert!(
        committed == text,
        "{name} differs from line {:?}: a frozen byte has changed",
        differs.map(|line| line + 1)
    );
}

/// `0x` and hexadecimal digits.
fn hex(bytes: impl AsRef<[u8]>) -> String {
    format!("0x{}", alloy_primitives::hex::encode(bytes.as_ref()))
}

/// A number as a 32-byte word.
fn word(value: u128) -> String {
    hex(alloy_primitives::U256::from(value).to_be_bytes::<32>())
}

#[test]
fn vectors_digests() {
    check("digests.json", digests::build());
}

#[test]
fn vectors_bls() {
    check("bls.json", bls::build());
}

#[test]
fn vectors_merkle() {
    check("merkle.json", merkle::build());
}

#[test]
fn vectors_epoch() {
    check("epoch.json", epoch::build());
}

#[test]
fn vectors_certificate() {
    check("certificate.json", certificate::build());
}
