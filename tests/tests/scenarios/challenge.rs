//! A verifier votes that a false proof is good, alone. An account that nobody knows has it slashed, by
//! the commands that it would type; accusations of the honest, and repeated ones, come to nothing.

use std::process::Output;

use alloy_primitives::U256;
use anyhow::{Context, ensure};
use proofgrid_core::ids::Address;
use proofgrid_node::devnet::dispute;
use proofgrid_node::devnet::network::DevnetOptions;
use proofgrid_tests::{NewJob, Scenario};
use serde_json::Value;

use crate::common::text;

/// Exit codes of the command line.
const REFUSED: i32 = 3;
const INVALID: i32 = 5;
/// One token or coin in its smallest unit.
const WHOLE: u128 = 1_000_000_000_000_000_000;
/// The bond of an accusation on a development network.
const BOND: u128 = WHOLE / 10;
/// The planted verifier's place: the one with the least stake.
const PLANTED: usize = 3;

/// The network of this fault.
pub fn network(options: &mut DevnetOptions) {
    let _planted = dispute::plan(options);
}

fn shares(scenario: &Scenario, operator: Address) -> anyhow::Result<U256> {
    scenario.block_on(scenario.devnet.chain().shares_of(operator))
}

/// Challenges, as an account that has nothing to do with the network.
struct Challenger<'a> {
    scenario: &'a Scenario,
    wallet: String,
}

impl Challenger<'_> {
    fn run(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        let with = [&["challenge"], arguments, &["--wallet", &self.wallet]].concat();
        self.scenario.cli(&with)
    }

    fn json(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let output = self.run(&[arguments, &["--output", "json"]].concat())?;
        ensure!(output.status.success(), "{arguments:?}: {}", text(&output));
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    fn coins(&self) -> anyhow::Result<U256> {
        let key = self.scenario.devnet.new_wallet_if_missing("stranger")?;
        let sender = self.scenario.devnet.chain().sender(&key)?;
        Ok(self.scenario.block_on(sender.balance_of(key.address()))?)
    }
}

/// The fault is shown, judged on-chain and slashed once; the network goes on without its author.
pub fn a_false_vote(scenario: &mut Scenario) -> anyhow::Result<()> {
    // The same plan as the network's: equal options are planned equally.
    let mut options = DevnetOptions::new(scenario.folder.path().to_path_buf())?;
    let planted = dispute::plan(&mut options).context("the least stake is a tenth")?;
    let handle = scenario.handle();
    handle.block_on(dispute::start(&mut scenario.devnet, &planted))?;
    let (program, path) = dispute::input(&scenario.devnet)?;
    let job = scenario.submit(&NewJob {
        program: program.to_owned(),
        input: std::fs::read(path)?,
        ..NewJob::fibonacci(scenario.nonce())
    })?;
    handle.block_on(dispute::release(&mut scenario.devnet, &planted, job))?;
    scenario.wait_for_state(job, "settled")?;
    let stranger = scenario.devnet.new_wallet_if_missing("stranger")?.address();
    scenario.fund(stranger, U256::from(WHOLE))?;
    let guilty = *scenario.devnet.operators().get(PLANTED).context("four verifiers")?;
    let honest = *scenario.devnet.operators().first().context("four verifiers")?;

    let challenger = Challenger {
        scenario,
        wallet: scenario.devnet.layout().key("stranger").display().to_string(),
    };
    let id = job.to_string();
    let shown = scenario.cli(&["challenge", "show", &id])?;
    ensure!(text(&shown).contains(&guilty.to_string()), "its vote is shown: {}", text(&shown));
    let before = challenger.coins()?;
    let refused = challenger.run(&["vote", &id, "--operator", &honest.to_string()])?;
    ensure!(refused.status.code() == Some(INVALID), "the honest one: {}", text(&refused));
    ensure!(text(&refused).contains("nothing to accuse of"), "it says so: {}", text(&refused));
    ensure!(challenger.coins()? == before, "nothing was sent");

    let owned = shares(scenario, guilty)?;
    let vote = ["vote", &id, "--operator", &guilty.to_string()];
    let accused = challenger.json(&vote)?;
    ensure!(accused["outcome"] == "upheld", "{accused}");
    let case = accused["case"].as_str().context("a case")?.to_owned();
    let again = challenger.json(&vote)?;
    ensure!(again["case"] == case.as_str() && again["outcome"] != "upheld", "{again}");

    let filed = scenario.cli(&["challenge", "case", &case])?;
    ensure!(text(&filed).starts_with("filed"), "{}", text(&filed));
    scenario.advance_chain(60)?;
    let executed = challenger.json(&["execute", &case])?;
    let slashed: U256 = executed["slashed"].as_str().context("an amount")?.parse()?;
    ensure!(slashed == owned / U256::from(2), "half of it: {executed}");
    ensure!(shares(scenario, guilty)? == owned - slashed, "its shares fell by exactly that");
    let twice = challenger.run(&["execute", &case])?;
    ensure!(twice.status.code() == Some(REFUSED), "once: {}", text(&twice));
    ensure!(shares(scenario, guilty)? == owned - slashed, "once");
    let paid = challenger.json(&["withdraw"])?;
    ensure!(before - challenger.coins()? < U256::from(BOND), "both bonds came back");
    let owed = paid["rewards"] == "0" && paid["rewards_left"] == executed["reward"];
    ensure!(owed, "there is no reserve yet, which takes nothing from what is owed: {paid}");

    let next = scenario.submit(&NewJob::fibonacci(scenario.nonce()))?;
    let view = scenario.wait_for_state(next, "settled")?;
    let votes = view.votes.context("a settled job has votes")?;
    ensure!(votes.stake_attested * 10 == votes.stake_total * 9, "without its author: {votes:?}");
    Ok(())
}
