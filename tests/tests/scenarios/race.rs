//! Provers race for a job: they commit, reveal and are judged, whatever happens to them in between.

use alloy_primitives::U256;
use anyhow::{Context, ensure};
use proofgrid_core::ids::{Address, JobId};
use proofgrid_core::units::Stake;
use proofgrid_node::devnet::network::DevnetOptions;
use proofgrid_oracle::abi::CommitmentState;
use proofgrid_oracle::bonds::Account;
use proofgrid_oracle::races::{RaceBook, Sight};
use proofgrid_oracle::{deploy, eigenlayer};
use proofgrid_tests::{NewJob, Scenario};

use crate::common::{provers, text};
use crate::deadline::{credit, fund, provers_part};

/// Wei in a coin, and units in a token.
const WHOLE: u128 = 1_000_000_000_000_000_000;
/// What each prover deposits, and what a race takes of it.
const DEPOSIT: u128 = 1_000_000;
const BOND: u128 = 100_000;
/// Much longer than anything here takes: the scenario moves the chain's clock when it is ready.
const COMMIT_SECONDS: u32 = 7_200;
const REVEAL_SECONDS: u32 = 7_200;
/// Until the job is of no use; longer than two rounds.
const DEADLINE_SECONDS: u64 = 200_000;
/// Tokens behind the two provers.
const STAKES: [u128; 2] = [300, 100];

/// Two provers, and rounds that end when the scenario says so.
pub fn network(options: &mut DevnetOptions) {
    options.provers = STAKES.len();
    options.deploy.races.bond = BOND;
    options.deploy.races.flatFee = BOND / 10;
    options.deploy.races.commitSeconds = COMMIT_SECONDS;
    options.deploy.races.revealSeconds = REVEAL_SECONDS;
}

/// The settings under which a prover may race.
fn settings(scenario: &Scenario) -> Vec<(&'static str, String)> {
    let network = scenario.devnet.network();
    vec![
        ("PROOFGRID_RACE__CHAIN_ID", network.home_chain_id.to_string()),
        ("PROOFGRID_RACE__RPC_URLS", format!("[{:?}]", network.rpc_url)),
        ("PROOFGRID_RACE__TASK_MANAGER", network.task_manager.clone()),
        ("PROOFGRID_RACE__FINALITY", "depth=1".to_owned()),
        ("PROOFGRID_RACE__BOND_WEI_MAX", BOND.to_string()),
    ]
}

fn restart_racing(scenario: &mut Scenario, prover: &str) -> anyhow::Result<()> {
    let settings = settings(scenario);
    let settings: Vec<(&str, &str)> =
        settings.iter().map(|(key, value)| (*key, value.as_str())).collect();
    scenario.restart_with(prover, &settings)
}

fn address(scenario: &Scenario, prover: &str) -> anyhow::Result<Address> {
    Ok(scenario.devnet.new_wallet_if_missing(prover)?.address())
}

/// A prover with stake of its own joins the provers by the command that it would type, with a bond.
fn equip(scenario: &mut Scenario, prover: &str, stake: u128) -> anyhow::Result<()> {
    let operator = address(scenario, prover)?;
    let staker = scenario.devnet.new_wallet_if_missing(&format!("{prover}-staker"))?;
    for account in [operator, staker.address()] {
        scenario.fund(account, U256::from(WHOLE))?;
    }
    let wallet = scenario.devnet.layout().key(prover).display().to_string();
    let register = ["operator", "register", "--set", "provers", "--wallet", &wallet];
    let first = [register.as_slice(), &["--metadata-uri", "https://prover.invalid"]].concat();
    let said = text(&scenario.cli(&first)?);
    ensure!(said.contains("nothing is delegated"), "it says what is missing: {said}");
    let core = scenario.devnet.chain().deployment().core;
    let mut staking = scenario.devnet.chain().sender(&staker)?;
    let stake = Stake::new(stake * WHOLE);
    let handle = scenario.handle();
    handle.block_on(async {
        let owner = scenario.devnet.chain_mut().deployer();
        deploy::mint(owner, core.token, &[(staker.address(), stake)]).await?;
        eigenlayer::delegate_stake(&mut staking, &core, operator, stake).await
    })?;
    let output = scenario.cli(&register)?;
    ensure!(output.status.success(), "it joins: {}", text(&output));
    let deposit = DEPOSIT.to_string();
    let output = scenario.cli(&["prover", "bond", "deposit", &deposit, "--wallet", &wallet])?;
    ensure!(output.status.success(), "it has a bond: {}", text(&output));
    Ok(())
}

/// Every prover races, and its stake is recorded before any round opens.
fn everybody_races(scenario: &mut Scenario) -> anyhow::Result<[String; 2]> {
    fund(scenario)?;
    let names: [String; 2] =
        provers(scenario).try_into().ok().context("a network of two provers")?;
    for (name, stake) in names.iter().zip(STAKES) {
        scenario.terminate(name)?;
        // An earlier scenario of this network may have done it.
        if account(scenario, name)?.free == 0 {
            equip(scenario, name, stake)?;
        }
        restart_racing(scenario, name)?;
        scenario.wait_until(&format!("the stake of {name}"), || {
            Ok(scenario.log(name).contains("stake recorded").then_some(()))
        })?;
    }
    Ok(names)
}

fn book(scenario: &Scenario) -> RaceBook {
    let deployment = scenario.devnet.chain().deployment();
    let chain = scenario.devnet.chain().chain().clone();
    RaceBook::at(chain, deployment.contracts.task_manager, deployment.race_rounds)
}

/// Waits until the race is as wanted.
fn race_becomes(
    scenario: &Scenario,
    (job, what): (JobId, &str),
    wanted: impl Fn(&Sight) -> bool,
) -> anyhow::Result<()> {
    let book = book(scenario);
    scenario.wait_until(what, || {
        let sight = scenario.block_on(book.head_sight(job))?;
        Ok(wanted(&sight).then_some(()))
    })
}

fn all_are(sight: &Sight, count: usize, state: CommitmentState) -> bool {
    sight.commitments.iter().filter(|one| one.state == state).count() == count
}

fn account(scenario: &Scenario, prover: &str) -> anyhow::Result<Account> {
    let who = address(scenario, prover)?;
    scenario.block_on(async { anyhow::Ok(book(scenario).bonds().await?.account(who).await?) })
}

fn raced(scenario: &Scenario) -> anyhow::Result<JobId> {
    let new = NewJob::fibonacci(scenario.nonce());
    let new = NewJob { contract: true, race: true, deadline_s: DEADLINE_SECONDS, ..new };
    scenario.submit(&new)
}

fn money(scenario: &Scenario, names: &[String; 2]) -> anyhow::Result<[u128; 3]> {
    let [first, second] = names;
    Ok([credit(scenario, first)?, credit(scenario, second)?, credit(scenario, "requester")?])
}

/// Both commit, reveal and are judged valid; the fee is split by stake and the bonds are free.
pub fn shared(scenario: &mut Scenario) -> anyhow::Result<()> {
    let names = everybody_races(scenario)?;
    let before = money(scenario, &names)?;
    let job = raced(scenario)?;
    race_becomes(scenario, (job, "both commit"), |sight| {
        all_are(sight, 2, CommitmentState::Committed)
    })?;
    scenario.advance_chain(COMMIT_SECONDS.into())?;
    race_becomes(scenario, (job, "both are judged"), |sight| {
        all_are(sight, 2, CommitmentState::Valid)
    })?;
    scenario.advance_chain(REVEAL_SECONDS.into())?;
    scenario.wait_for_state(job, "settled")?;
    for name in &names {
        ensure!(account(scenario, name)? == Account { free: DEPOSIT, locked: 0 }, "{name} is free");
    }
    let [first, second, requester] = money(scenario, &names)?;
    let part = provers_part();
    ensure!(first == before[0] + part * 3 / 4, "by stake: {first}");
    ensure!(second == before[1] + part / 4, "by stake: {second}");
    ensure!(requester == before[2], "nothing comes back");
    Ok(())
}

/// Both commit and are killed. One comes back in time to reveal and wins alone; the other stays away
/// and loses its bond to the requester.
pub fn killed_between(scenario: &mut Scenario) -> anyhow::Result<()> {
    let names = everybody_races(scenario)?;
    let [back, away] = &names;
    let before = money(scenario, &names)?;
    let bonds = [account(scenario, back)?, account(scenario, away)?];
    let job = raced(scenario)?;
    race_becomes(scenario, (job, "both commit"), |sight| {
        all_are(sight, 2, CommitmentState::Committed)
    })?;
    for name in &names {
        scenario.kill(name)?;
    }
    scenario.advance_chain(COMMIT_SECONDS.into())?;
    restart_racing(scenario, back)?;
    race_becomes(scenario, (job, "one is judged"), |sight| {
        all_are(sight, 1, CommitmentState::Valid)
    })?;
    scenario.advance_chain(REVEAL_SECONDS.into())?;
    scenario.wait_for_state(job, "settled")?;
    ensure!(account(scenario, back)? == bonds[0], "what it put at stake is free");
    let left = Account { free: bonds[1].free - BOND, locked: 0 };
    ensure!(account(scenario, away)? == left, "the other's is lost");
    let [first, second, requester] = money(scenario, &names)?;
    ensure!(first == before[0] + provers_part(), "all of the provers' part: {first}");
    ensure!(second == before[1], "nothing: {second}");
    ensure!(requester == before[2] + BOND, "the bond is the requester's: {requester}");
    restart_racing(scenario, away)
}
