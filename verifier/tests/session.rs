//! The verifier against a dispatcher that is played by the test, over real gRPC, with a real proof
//! and the real sandbox: this binary starts itself as the judge's child, which is why it has its
//! own `main`.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test without the usual harness, which the lint does not recognise"
)]

#[path = "session/cases.rs"]
mod cases;
#[path = "session/dispatcher.rs"]
mod dispatcher;
#[path = "session/hostile.rs"]
mod hostile;
#[path = "session/kill.rs"]
mod kill;

use std::process::ExitCode;

/// Makes this binary a judge's child.
const JUDGE_CHILD: &str = "judge-child";
/// Makes this binary a judge's child that a proof takes over.
const HOSTILE_CHILD: &str = "hostile-child";
/// Makes this binary write votes to a log until it is killed.
const VOTING_CHILD: &str = "voting-child";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some(JUDGE_CHILD) => return proofgrid_judge::child::run(&proofgrid_programs::registry()),
        Some(HOSTILE_CHILD) => return hostile::child(&arguments[1..]),
        Some(VOTING_CHILD) => kill::vote_until_killed(&arguments[1]),
        _ => {}
    }
    let filter = arguments.iter().find(|argument| !argument.starts_with('-'));
    let mut failed = 0;
    for (name, case) in cases::ALL {
        if filter.is_some_and(|filter| !name.contains(filter.as_str())) {
            continue;
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let outcome = runtime
            .block_on(async { tokio::time::timeout(cases::TIME_MAX, tokio::spawn(case())).await });
        let is_ok = matches!(outcome, Ok(Ok(())));
        println!("test {name} ... {}", if is_ok { "ok" } else { "FAILED" });
        failed += u32::from(!is_ok);
    }
    println!("{failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
