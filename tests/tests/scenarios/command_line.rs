//! What the README tells a rollup team to type, as it is typed.

use anyhow::ensure;
use proofgrid_tests::{Scenario, messages};

use crate::common::text;

/// Exit code of a request that was refused.
const REFUSED: i32 = 3;

/// A job through the contract is waited for although the network does not know it before its block is
/// final; a wallet that cannot pay for one is named, with what to do.
pub fn contract_and_wait(scenario: &mut Scenario) -> anyhow::Result<()> {
    let input = scenario.folder.path().join("my.hex");
    std::fs::write(&input, messages(2)?)?;
    let path = input.display().to_string();
    let submit = ["submit", "--input", &path, "--contract", "--fee-wei", "1000000", "--wait"];
    let output = scenario.cli(&submit)?;
    let said = text(&output);
    ensure!(output.status.success(), "the job settles: {said}");
    ensure!(said.contains("settled"), "the end is told: {said}");

    let poor = scenario.devnet.new_wallet_if_missing("poor")?.address().to_string();
    let key = scenario.devnet.layout().key("poor").display().to_string();
    let with_key = [submit.as_slice(), &["--wallet", &key]].concat();
    let output = scenario.cli(&with_key)?;
    let said = text(&output);
    ensure!(output.status.code() == Some(REFUSED), "it is refused: {said}");
    ensure!(said.contains(&poor) && said.contains("send it some"), "who lacks what: {said}");
    Ok(())
}
