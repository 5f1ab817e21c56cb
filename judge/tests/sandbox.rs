//! The sandbox on real child processes: this binary starts itself as the child.
//!
//! It has its own `main` because a child's standard output is its reply, which the usual test
//! harness would write to.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test without the usual harness, which the lint does not recognise"
)]

#[path = "sandbox/cases.rs"]
mod cases;
#[path = "sandbox/misbehave.rs"]
mod misbehave;
#[path = "sandbox/programs.rs"]
mod programs;

use std::process::ExitCode;
use std::sync::Arc;

use proofgrid_judge::{Judge, JudgeConfig};

/// The argument that makes this binary a child with the misbehaving programs.
const CHILD: &str = "judge-child";
/// The argument that makes it a child with the programs of the network.
const NETWORK_CHILD: &str = "judge-network-child";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some(CHILD) => return proofgrid_judge::child::run(&misbehave::registry()),
        Some(NETWORK_CHILD) => {
            return proofgrid_judge::child::run(&proofgrid_programs::registry());
        }
        _ => {}
    }
    let filter = arguments.iter().find(|argument| !argument.starts_with('-'));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let mut failed = 0;
    for (name, case) in cases::ALL.iter().chain(programs::ALL) {
        if filter.is_some_and(|filter| !name.contains(filter.as_str())) {
            continue;
        }
        let judge = judge();
        let outcome = runtime.block_on(async { tokio::spawn(case(judge)).await });
        println!("test {name} ... {}", if outcome.is_ok() { "ok" } else { "FAILED" });
        failed += u32::from(outcome.is_err());
    }
    println!("{failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn judge() -> Judge {
    let config = JudgeConfig::own_binary(CHILD).expect("own path");
    Judge::new(config, Arc::new(misbehave::registry()))
}
