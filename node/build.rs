//! Puts the commit and the proof system's version into `--version`.

use std::process::Command;

fn main() {
    let commit = Command::new("git")
        .args(["rev-parse", "--short=12", "HEAD"])
        .output()
        .ok()
        .filter(|output| output.status.success())
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .map_or_else(|| "unknown commit".to_owned(), |text| text.trim().to_owned());
    let package = env!("CARGO_PKG_VERSION");
    println!("cargo::rustc-env=PROOFGRID_VERSION={package} ({commit}, plonky3 0.8.0)");
    println!("cargo::rerun-if-changed=../.git/logs/HEAD");
}
