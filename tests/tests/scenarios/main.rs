//! Faults on a running network: real processes of the one binary, a real EVM node, real files.
//!
//! Each fault has a file; `docs/faults.md` lists them. Run one with
//! `cargo test -p proofgrid-tests --test scenarios -- kill_prover`, the long ones too with `--soak`.

mod certificate;
mod claim;
mod dissent;
mod kill_dispatcher;
mod stake;
mod withheld;

use std::process::ExitCode;

use proofgrid_node::devnet::network::DevnetOptions;
use proofgrid_tests::harness::{Case, Group, case, main as run};

fn usual(_options: &mut DevnetOptions) {}

fn group(
    name: &'static str,
    options: fn(&mut DevnetOptions),
    cases: impl Into<Vec<Case>>,
) -> Group {
    Group { name, options, cases: cases.into() }
}

fn groups() -> Vec<Group> {
    vec![
        group(
            "usual",
            usual,
            [case("certificate", certificate::run), case("kill_dispatcher", kill_dispatcher::run)],
        ),
        group("one lying prover", claim::network, [case("claim_at_intake", claim::at_intake)]),
        group(
            "one lying prover, no intake",
            claim::network_without_intake,
            [case("claim_at_verifiers", claim::at_verifiers)],
        ),
        group("dissent", dissent::network, [case("dissent", dissent::run)]),
        group("2/3 online", stake::network_with_quorum, [case("stake_a_third", stake::a_third)]),
        group(
            "5/9 online",
            stake::network_without_quorum,
            [case("stake_over_a_third", stake::over_a_third)],
        ),
        group("late verifiers", withheld::network, [case("withheld", withheld::run)]),
    ]
}

fn main() -> ExitCode {
    run(groups())
}
