//! An operator joins the verifiers and leaves them, by the commands that it would type, and the oracle
//! makes the epochs that take note of it. Nothing stops meanwhile.

use alloy_primitives::U256;
use anyhow::{Context, ensure};
use proofgrid_core::ids::Address;
use proofgrid_core::units::Stake;
use proofgrid_node::cli::keys::new_bls;
use proofgrid_node::keystore::{SCRYPT_LOG_N_LIGHT, read_password};
use proofgrid_oracle::abi::{IEpochTable, IOperatorRegistrar};
use proofgrid_oracle::{deploy, eigenlayer};
use proofgrid_tests::{NewJob, Scenario};
use serde_json::Value;

use crate::common::text;

/// Exit code of a request that was refused.
const REFUSED: i32 = 3;
/// One token or coin in its smallest unit.
const WHOLE: u128 = 1_000_000_000_000_000_000;
/// What is delegated to the newcomer: below a third of the rest, since no verifier of its own runs.
const STAKE: Stake = Stake::new(100 * WHOLE);
/// As long as an operator can answer its ejection.
const EJECTION_SECONDS: u64 = 600;
/// How long it is spared after an answer.
const COOLDOWN_SECONDS: u64 = 3_600;
/// Longer than an epoch has to last.
const EPOCH_SECONDS: u64 = 60;

/// Waits for an epoch of so many members, made by the oracle.
fn wait_for_epoch(scenario: &Scenario, epoch: u64, members: usize) -> anyhow::Result<()> {
    let what = format!("epoch {epoch} with {members} members");
    scenario.wait_until(&what, || {
        let output = scenario.cli(&["epoch", "show", "--output", "json"])?;
        ensure!(output.status.success(), "epochs are shown: {}", text(&output));
        let shown: Value = serde_json::from_slice(&output.stdout)?;
        let listed = shown["table"]["members"].as_array().map_or(0, Vec::len);
        Ok((shown["epoch"] == epoch && listed == members).then_some(()))
    })
}

/// The newest epoch's number and the operators of its members, in order.
fn newest_epoch(scenario: &Scenario) -> anyhow::Result<(u64, Vec<String>)> {
    scenario.wait_until("a table", || {
        let output = scenario.cli(&["epoch", "show", "--output", "json"])?;
        let shown: Value = serde_json::from_slice(&output.stdout)?;
        let Some(members) = shown["table"]["members"].as_array() else { return Ok(None) };
        let name = |member: &Value| member["operator"].as_str().map(str::to_owned);
        Ok(shown["epoch"].as_u64().zip(members.iter().map(name).collect()))
    })
}

fn settles(scenario: &Scenario) -> anyhow::Result<u128> {
    let job = scenario.submit(&NewJob::fibonacci(scenario.nonce()))?;
    let settled = scenario.wait_for_state(job, "settled")?;
    Ok(settled.votes.context("a settled job has votes")?.stake_total)
}

/// Joins with what is missing told in between, votes from the next epoch on, and leaves.
pub fn joins_and_leaves(scenario: &mut Scenario) -> anyhow::Result<()> {
    let before = settles(scenario)?;
    let operator = scenario.devnet.new_wallet_if_missing("newcomer")?.address();
    let staker = scenario.devnet.new_wallet_if_missing("newcomer-staker")?;
    for account in [operator, staker.address()] {
        scenario.fund(account, U256::from(WHOLE))?;
    }
    let layout = scenario.devnet.layout();
    let (wallet, bls) = (layout.key("newcomer"), layout.key("newcomer-bls"));
    let password = layout.password();
    new_bls(&bls, &read_password(&password)?, SCRYPT_LOG_N_LIGHT)?;
    let [wallet, bls, password] = [wallet, bls, password].map(|path| path.display().to_string());
    let register = ["operator", "register", "--wallet", &wallet, "--bls-key", &bls];
    let register = [register.as_slice(), &["--bls-password-file", &password]].concat();

    let output = scenario.cli(&register)?;
    let said = text(&output);
    ensure!(output.status.code() == Some(REFUSED), "no operator: {said}");
    ensure!(said.contains("--metadata-uri"), "it says how to become one: {said}");
    let first = [register.as_slice(), &["--metadata-uri", "https://operator.invalid"]].concat();
    let output = scenario.cli(&first)?;
    let said = text(&output);
    ensure!(output.status.code() == Some(REFUSED), "no stake: {said}");
    ensure!(said.contains("nothing is delegated"), "it says what is missing: {said}");

    let core = scenario.devnet.chain().deployment().core;
    let mut staking = scenario.devnet.chain().sender(&staker)?;
    let handle = scenario.handle();
    handle.block_on(async {
        let owner = scenario.devnet.chain_mut().deployer();
        deploy::mint(owner, core.token, &[(staker.address(), STAKE)]).await?;
        eigenlayer::delegate_stake(&mut staking, &core, operator, STAKE).await
    })?;
    let output = scenario.cli(&register)?;
    ensure!(output.status.success(), "it joins: {}", text(&output));
    let output = scenario.cli(&register)?;
    ensure!(text(&output).contains("already"), "again is no harm: {}", text(&output));
    let output = scenario.cli(&["operator", "stake", &operator.to_string()])?;
    let said = text(&output);
    ensure!(said.contains("is among the verifiers") && said.contains("100.00 %"), "{said}");

    scenario.advance_chain(EPOCH_SECONDS)?;
    wait_for_epoch(scenario, 2, 5)?;
    let with_it = settles(scenario)?;
    ensure!(with_it == before + STAKE.get(), "its stake counts: {before}, then {with_it}");

    let output = scenario.cli(&["operator", "deregister", "--wallet", &wallet])?;
    ensure!(output.status.success(), "it leaves: {}", text(&output));
    scenario.advance_chain(EPOCH_SECONDS)?;
    wait_for_epoch(scenario, 3, 4)?;
    ensure!(settles(scenario)? == before, "its stake counts no more");
    Ok(())
}

/// Sees that its ejection is announced, and answers.
fn stays(scenario: &Scenario, operator: Address) -> anyhow::Result<()> {
    let layout = scenario.devnet.layout();
    let name = scenario.devnet.roles().pop().context("there are verifiers")?;
    let paths = [layout.key(&format!("{name}-operator")), layout.key(&name), layout.password()];
    let [wallet, bls, password] = paths.map(|path| path.display().to_string());
    let look = ["operator", "stake", &operator.to_string()];
    let said = text(&scenario.cli(&look)?);
    ensure!(said.contains("operator stay"), "it is told what to do: {said}");
    let stay = ["operator", "stay", "--wallet", &wallet, "--bls-key", &bls];
    let stay = [stay.as_slice(), &["--bls-password-file", &password]].concat();
    let output = scenario.cli(&stay)?;
    ensure!(output.status.success(), "it answers: {}", text(&output));
    let output = scenario.cli(&stay)?;
    ensure!(output.status.code() == Some(REFUSED), "nothing is announced: {}", text(&output));
    let said = text(&scenario.cli(&look)?);
    ensure!(said.contains("is among the verifiers"), "{said}");
    ensure!(!said.contains("announced"), "{said}");
    Ok(())
}

/// Is ejected without an answer: its key counts no more in the running epoch, and is not in the next.
pub fn ejected(scenario: &mut Scenario) -> anyhow::Result<()> {
    let (epoch, members) = newest_epoch(scenario)?;
    let operator = *scenario.devnet.operators().last().context("there are verifiers")?;
    let place = members.iter().position(|member| *member == operator.to_string());
    let place = place.context("it is a member")?;
    let contracts = *scenario.devnet.chain().contracts();
    let registrar = contracts.operator_registrar;
    let account = alloy_primitives::Address::from(*operator.as_bytes());
    let propose = IOperatorRegistrar::proposeEjectionCall { operator: account };
    let execute = IOperatorRegistrar::executeEjectionCall { operator: account };
    let handle = scenario.handle();
    let owner = scenario.devnet.chain_mut().deployer();
    handle.block_on(owner.execute(registrar, &propose, U256::ZERO))?;
    stays(scenario, operator)?;
    scenario.advance_chain(COOLDOWN_SECONDS)?;
    let owner = scenario.devnet.chain_mut().deployer();
    handle.block_on(owner.execute(registrar, &propose, U256::ZERO))?;
    scenario.advance_chain(EJECTION_SECONDS)?;
    let owner = scenario.devnet.chain_mut().deployer();
    handle.block_on(owner.execute(registrar, &execute, U256::ZERO))?;
    scenario.wait_until("the ejected member counts no more", || {
        let anybody = scenario.devnet.chain().sender(&scenario.requester()?)?;
        let call = IEpochTable::tableAtCall { epoch };
        let table = handle.block_on(anybody.view(contracts.epoch_table, &call))?;
        Ok(table.excluded.bit(place).then_some(()))
    })?;
    wait_for_epoch(scenario, epoch + 1, members.len() - 1)?;
    settles(scenario)?;
    Ok(())
}
