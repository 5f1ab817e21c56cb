//! A valid proof of other messages is refused by its claim and its worker blamed: at intake, and by
//! the verifiers when intake is switched off.

use std::path::Path;
use std::process::Command;

use anyhow::ensure;
use proofgrid_node::devnet::network::DevnetOptions;
use proofgrid_tests::{NewJob, Scenario};

fn with_a_liar(change: impl FnOnce(&mut DevnetOptions)) -> anyhow::Result<Scenario> {
    let mut scenario = Scenario::start(|options| {
        options.provers = 1;
        options.not_started = vec!["prover-1".into()];
        change(options);
    })?;
    let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_proofgrid-hostile")));
    command.args(["prover", "other-messages", "--config"]);
    command.arg(scenario.devnet.layout().config("prover-1"));
    scenario.devnet.start_role_as("prover-1", command)?;
    Ok(scenario)
}

fn explanation(scenario: &Scenario, job: &str) -> anyhow::Result<String> {
    scenario.explain(job.parse()?)
}

#[test]
fn intake_refuses_a_proof_of_other_messages_and_blames_its_worker() -> anyhow::Result<()> {
    let scenario = with_a_liar(|_| {})?;
    let job = scenario.submit(&NewJob::keccak(3, 1)?)?;
    let failed = scenario.wait_for_state(job, "failed")?;
    ensure!(failed.certificate.is_empty(), "nothing was certified");
    let text = explanation(&scenario, &failed.id)?;
    ensure!(text.contains("claim"), "the reason is the claim:\n{text}");
    let liar = scenario.devnet.new_wallet_if_missing("prover-1")?.address().to_string();
    ensure!(text.contains(&liar), "the worker is named:\n{text}");
    Ok(())
}

#[test]
fn verifiers_refuse_a_proof_of_other_messages_without_intake() -> anyhow::Result<()> {
    let scenario = with_a_liar(|options| options.tuning.judge_at_intake = false)?;
    let job = scenario.submit(&NewJob::keccak(3, 1)?)?;
    let seen = scenario.wait_for(job, "voted invalid", |view| {
        view.votes.as_ref().is_some_and(|votes| votes.stake_invalid > 0)
            || ["failed", "rejected"].contains(&view.state.as_str())
    })?;
    ensure!(seen.state != "settled", "nothing false settles");
    let failed = scenario.wait_for_state(job, "failed")?;
    let text = explanation(&scenario, &failed.id)?;
    let liar = scenario.devnet.new_wallet_if_missing("prover-1")?.address().to_string();
    ensure!(text.contains("claim"), "the verifiers' reason is the claim:\n{text}");
    ensure!(text.contains(&liar), "the worker is named:\n{text}");
    Ok(())
}
