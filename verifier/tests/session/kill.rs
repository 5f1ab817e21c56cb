//! kill -9 of a process that records verdicts: none that it was told of is lost or turned around.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use proofgrid_core::ids::{Address, ChainContract, ChainId, StatementDigest};
use proofgrid_core::sealed::Salt;
use proofgrid_core::statement::Verdict;
use proofgrid_core::units::Millis;
use proofgrid_verifier::vote_log::{Entry, Fault, Finding, VoteLog, VoteLogError};

const ROUNDS: u64 = 12;

fn statement(number: u64) -> StatementDigest {
    let mut bytes = [0xee; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    StatementDigest::from_bytes(bytes)
}

fn entry(number: u64, verdict: Verdict) -> Entry {
    let finding = match verdict {
        Verdict::Valid => Finding::Valid,
        Verdict::Invalid => {
            Finding::Invalid(Fault { segment: 1, reason: "x".repeat(number as usize % 900) })
        }
    };
    let contract = Address::from_bytes([4; 20]);
    let target = ChainContract { chain: ChainId::new(7), contract };
    let secret = Salt::from_bytes([number as u8; 32]);
    let judged_in = Millis::new(number);
    Entry { statement: statement(number), target, finding, judged_in, secret }
}

fn verdict_of(number: u64) -> Verdict {
    if number.is_multiple_of(3) { Verdict::Invalid } else { Verdict::Valid }
}

/// What the child does until it is killed.
pub fn vote_until_killed(path: &str) -> ! {
    let mut log = VoteLog::open(Path::new(path)).expect("opens after a kill");
    let mut number = log.len() as u64;
    loop {
        log.record(entry(number, verdict_of(number))).expect("records");
        println!("durable {number}");
        std::io::stdout().flush().expect("a pipe");
        number += 1;
    }
}

fn run_and_kill(path: &Path, lines: u64) -> u64 {
    let mut child = Command::new(std::env::current_exe().expect("own path"))
        .arg(super::VOTING_CHILD)
        .arg(path)
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let output = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut durable = 0;
    let mut seen = 0;
    for line in output.lines().map_while(Result::ok) {
        let number: u64 = line.strip_prefix("durable ").expect("a line").parse().expect("a number");
        durable = number + 1;
        seen += 1;
        if seen == lines {
            child.kill().expect("kills");
        }
    }
    child.wait().expect("collected");
    durable
}

pub async fn no_verdict_is_lost_or_turned_around_by_a_kill() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("votes.log");
    for round in 0..ROUNDS {
        let durable = run_and_kill(&path, 1 + round * 5 % 17);
        let mut log = VoteLog::open(&path).expect("opens");
        assert!(log.len() as u64 >= durable, "round {round}: {durable} durable, {}", log.len());
        for number in 0..log.len() as u64 {
            let logged = log.get(statement(number)).expect("no gaps").clone();
            assert_eq!(logged.entry(), &entry(number, verdict_of(number)));
            let other = match verdict_of(number) {
                Verdict::Valid => Verdict::Invalid,
                Verdict::Invalid => Verdict::Valid,
            };
            let refused = log.record(entry(number, other));
            assert!(matches!(refused, Err(VoteLogError::OtherVerdict { .. })));
        }
    }
}
