//! A valid proof of other messages is refused by its claim and its worker blamed: at intake, and by
//! the verifiers when intake is switched off.

use std::path::Path;
use std::process::Command;

use anyhow::ensure;
use proofgrid_node::devnet::network::DevnetOptions;
use proofgrid_tests::{NewJob, Scenario};

/// The network of this fault: one prover, and it lies.
pub fn network(options: &mut DevnetOptions) {
    options.provers = 1;
    options.not_started = vec!["prover-1".into()];
}

/// The same, without intake.
pub fn network_without_intake(options: &mut DevnetOptions) {
    network(options);
    options.tuning.judge_at_intake = false;
}

/// Starts the liar.
pub fn start_liar(scenario: &mut Scenario) -> anyhow::Result<()> {
    let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_proofgrid-hostile")));
    command.args(["prover", "other-messages", "--config"]);
    command.arg(scenario.devnet.layout().config("prover-1"));
    scenario.devnet.start_role_as("prover-1", command)
}

/// Intake refuses it and blames its worker.
pub fn at_intake(scenario: &mut Scenario) -> anyhow::Result<()> {
    start_liar(scenario)?;
    let job = scenario.submit(&NewJob::keccak(3, scenario.nonce())?)?;
    let failed = scenario.wait_for_state(job, "failed")?;
    ensure!(failed.certificate.is_empty(), "nothing was certified");
    let text = scenario.explain(job)?;
    ensure!(text.contains("claim"), "the reason is the claim:\n{text}");
    let liar = scenario.devnet.new_wallet_if_missing("prover-1")?.address().to_string();
    ensure!(text.contains(&liar), "the worker is named:\n{text}");
    Ok(())
}

/// Without intake, the verifiers refuse it.
pub fn at_verifiers(scenario: &mut Scenario) -> anyhow::Result<()> {
    start_liar(scenario)?;
    let job = scenario.submit(&NewJob::keccak(3, scenario.nonce())?)?;
    let seen = scenario.wait_for(job, "voted invalid", |view| {
        view.votes.as_ref().is_some_and(|votes| votes.stake_invalid > 0)
            || ["failed", "rejected"].contains(&view.state.as_str())
    })?;
    ensure!(seen.state != "settled", "nothing false settles");
    scenario.wait_for_state(job, "failed")?;
    let text = scenario.explain(job)?;
    let liar = scenario.devnet.new_wallet_if_missing("prover-1")?.address().to_string();
    ensure!(text.contains("claim"), "the verifiers' reason is the claim:\n{text}");
    ensure!(text.contains(&liar), "the worker is named:\n{text}");
    Ok(())
}
