//! Faults on a running network: real processes of the one binary, a real EVM node, real files.
//!
//! Each fault has a file; `docs/faults.md` lists them. Run one with
//! `cargo test -p proofgrid-tests --test scenarios -- kill_prover`, the long ones too with `--soak`.

mod always_valid;
mod bonds;
mod cancel;
mod certificate;
mod challenge;
mod claim;
mod command_line;
mod common;
mod deadline;
mod demand;
mod disk_full;
mod dissent;
mod double_vote;
mod drain;
mod duplicate;
mod hired;
mod huge_upload;
mod kill_all;
mod kill_dispatcher;
mod kill_oracle;
mod kill_prover;
mod kill_verifier;
mod lost_blocks;
mod mixed_load;
mod no_proof;
mod object_store;
mod outage;
mod pause_prover;
mod pay_day;
mod race;
mod random_faults;
mod reconnect;
mod reorg;
mod requests;
mod restaking;
mod rpc_faults;
mod shutdown;
mod silent_verifier;
mod stake;
mod stale_lease;
mod stolen_proof;
mod strange_verifier;
mod verifiers;
mod withheld;
mod wrong_proof;

use std::process::ExitCode;

use proofgrid_node::devnet::network::DevnetOptions;
use proofgrid_tests::harness::{Case, Group, case, main as run, soak};

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
            "dispatcher",
            usual,
            [
                case("kill_dispatcher", kill_dispatcher::run),
                case("kill_dispatcher_watched", kill_dispatcher::watched),
            ],
        ),
        group("random", usual, [soak("random_faults", random_faults::run)]),
        group(
            "provers",
            usual,
            [
                case("kill_prover", kill_prover::run),
                case("kill_prover_alone", kill_prover::alone),
                case("pause_prover", pause_prover::run),
                case("cancel_pending", cancel::pending),
                case("cancel_proving", cancel::proving),
                case("cancel_refused", cancel::refused),
                case("drain", drain::run),
                case("mixed_load", mixed_load::run),
                case("concurrent_load", mixed_load::concurrent),
                case("shutdown_prover", shutdown::prover),
            ],
        ),
        group(
            "processes",
            usual,
            [
                case("kill_oracle_before", kill_oracle::before_it_sends),
                case("kill_oracle_after", kill_oracle::after_it_sent),
                case("chain_restarts", kill_oracle::chain_restarts),
                case("kill_verifier_before", kill_verifier::before_the_vote),
                case("kill_verifier_after", kill_verifier::after_the_vote),
                case("outage", outage::killed),
                case("outage_hangs", outage::hangs),
                case("kill_all", kill_all::run),
                case("shutdown_everything", shutdown::everything),
            ],
        ),
        group(
            "hostile provers",
            hired::network,
            [
                case("wrong_proof_flipped_bit", wrong_proof::flipped_bit),
                case("wrong_proof_other_values", wrong_proof::other_values),
                case("wrong_proof_truncated", wrong_proof::truncated),
                case("wrong_proof_garbage", wrong_proof::garbage),
                case("wrong_proof_other_job", wrong_proof::other_job),
                case("stolen_proof", stolen_proof::run),
                case("duplicate", duplicate::run),
                case("stale_lease_words", stale_lease::words),
                case("stale_lease_late_proof", stale_lease::late_proof),
                case("reconnect_resumes", reconnect::resumes),
                case("reconnect_replaces", reconnect::replaces),
                case("reconnect_after_the_end", reconnect::after_the_end),
                case("reconnect_forgot", reconnect::forgot),
                case("reconnect_unknown", reconnect::unknown),
                case("no_proof_silence", no_proof::silence),
                case("no_proof_never_uploaded", no_proof::never_uploaded),
                case("no_proof_gives_up", no_proof::gives_up),
                case("no_proof_lease_ends", no_proof::until_the_lease_ends),
                case("no_proof_exhausted", no_proof::exhausted),
                case("huge_upload", huge_upload::run),
            ],
        ),
        group("one lying prover", claim::network, [case("claim_at_intake", claim::at_intake)]),
        group(
            "one lying prover, no intake",
            claim::network_without_intake,
            [
                case("claim_at_verifiers", claim::at_verifiers),
                case("always_valid_minority", always_valid::a_minority),
                case("always_valid_over_a_third", always_valid::over_a_third),
            ],
        ),
        group(
            "requests",
            usual,
            [
                case("requests_tampered", requests::tampered),
                case("requests_replayed", requests::replayed),
                case("requests_reused", requests::reused),
                case("requests_blobs", requests::blobs),
                case("requests_admin", requests::admin),
                case("requests_rejected", requests::rejected),
                case("requests_estimated", requests::estimated),
                case("command_line", command_line::contract_and_wait),
                case("certificate", certificate::run),
                // From here on this network's dispatcher keeps its blobs elsewhere.
                case("object_store", object_store::run),
            ],
        ),
        group(
            "full disks",
            usual,
            [
                case("disk_full_dispatcher", disk_full::of_the_dispatcher),
                case("disk_full_journal", disk_full::of_the_journal),
                case("disk_full_verifier", disk_full::of_a_verifier),
                case("disk_full_prover", disk_full::of_a_prover),
            ],
        ),
        group(
            "verifiers",
            usual,
            [
                case("silent_verifier_with_quorum", silent_verifier::with_quorum),
                case("silent_verifier_without_quorum", silent_verifier::without_quorum),
                case("double_vote", double_vote::run),
                case("strange_verifier", strange_verifier::not_in_the_epoch),
                case("verifier_cannot_read_the_chain", strange_verifier::cannot_read_the_chain),
            ],
        ),
        group(
            "node of the oracle",
            usual,
            [
                case("rpc_hangs", rpc_faults::hangs),
                case("rpc_hangs_up", rpc_faults::hangs_up),
                case("rpc_lies_ahead", rpc_faults::lies_ahead),
                case("rpc_other_chain", rpc_faults::other_chain),
                case("rpc_two_disagree", rpc_faults::two_disagree),
            ],
        ),
        group(
            "chain",
            reorg::network,
            [
                case("reorg_of_the_certificate", reorg::of_the_certificate),
                case("reorg_of_the_job", reorg::of_the_job),
                case("reorg_beyond_finality", lost_blocks::reorganised),
                case("kill_chain", lost_blocks::killed),
                case("paid_once", deadline::paid_once),
                case("deadline_direct", deadline::of_a_direct_job),
                case("deadline_contract", deadline::of_a_contract_job),
            ],
        ),
        group("dissent", dissent::network, [case("dissent", dissent::run)]),
        group("challenge", challenge::network, [case("false_vote", challenge::a_false_vote)]),
        group(
            "certified lie",
            challenge::network_of_liars,
            [case("false_certificate", challenge::a_false_certificate)],
        ),
        group(
            "challenge window",
            demand::network,
            [
                case("demand_answered", demand::answered),
                case("demand_watched", demand::watched),
                // Moves the clock by an hour.
                case("demand_unanswered", demand::unanswered),
            ],
        ),
        group(
            "restaking",
            usual,
            [
                case("operator_joins", restaking::joins_and_leaves),
                // Moves the clock by a day.
                case("pay_day", pay_day::run),
            ],
        ),
        // Moves the clock beyond the deadlines of contract jobs.
        group("ejection", usual, [case("operator_ejected", restaking::ejected)]),
        group(
            "bonds",
            usual,
            [case("bond_delivered", bonds::delivered), case("bond_missed", bonds::missed)],
        ),
        group(
            "races",
            race::network,
            [case("race_shared", race::shared), case("race_killed", race::killed_between)],
        ),
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
