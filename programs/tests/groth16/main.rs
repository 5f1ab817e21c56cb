//! The vectors that Rust and Solidity share about Groth16: `tests/vectors/groth16*.json`.
//!
//! Built from snarkjs' proofs (`tests/data/groth16/`), from proofs of ark-groth16 and from keys whose
//! secrets are known here, and compared byte for byte with the committed files.
//! `PROOFGRID_REGENERATE_VECTORS=1 cargo test -p proofgrid-programs --test groth16` writes them anew.
//! Every answer that comes from the pairing is held against ark-groth16 as well.

#![expect(clippy::expect_used, reason = "what cannot be built is a failed test")]
#![expect(clippy::panic, reason = "so is a file that cannot be read")]

mod ark;
mod case;
mod mutations;
mod named;
mod trapdoor;

use std::path::{Path, PathBuf};

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Compares a file with what the code gives now, or writes it when asked to.
fn check(name: &str, value: &Value) {
    let path = root().join("tests/vectors").join(name);
    let text = serde_json::to_string_pretty(value).expect("plain values") + "\n";
    if std::env::var("PROOFGRID_REGENERATE_VECTORS").is_ok_and(|on| on == "1") {
        std::fs::write(&path, text).expect("the folder is writable");
        return;
    }
    let committed = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let differs = committed.lines().zip(text.lines()).position(|(a, b)| a != b);
    assert!(
        committed == text,
        "{name} differs from line {:?}: a frozen byte or a verdict has changed",
        differs.map(|line| line + 1)
    );
}

#[test]
fn vectors_groth16() {
    check("groth16.json", &named::build());
}

#[test]
fn vectors_groth16_mutations() {
    check("groth16-mutations.json", &mutations::build());
}
