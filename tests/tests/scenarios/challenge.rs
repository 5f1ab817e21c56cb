//! A verifier votes that a false proof is good, alone, or most of them certify it together. An account
//! that nobody knows has them slashed, by the commands that it would type; accusations of the honest,
//! and repeated ones, come to nothing.

use std::process::{Command, Output};

use alloy_primitives::U256;
use anyhow::{Context, ensure};
use proofgrid_core::ids::Address;
use proofgrid_node::devnet::dispute;
use proofgrid_node::devnet::network::DevnetOptions;
use proofgrid_tests::{NewJob, Scenario};
use serde_json::Value;

use crate::common::text;

/// Exit codes of the command line.
pub const REFUSED: i32 = 3;
pub const NOT_FOUND: i32 = 4;
const INVALID: i32 = 5;
/// One token or coin in its smallest unit.
pub const WHOLE: u128 = 1_000_000_000_000_000_000;
/// The bond of an accusation on a development network.
const BOND: u128 = WHOLE / 10;
/// The planted verifier's place: the one with the least stake.
const PLANTED: usize = 3;

/// The network of this fault.
pub fn network(options: &mut DevnetOptions) {
    let _planted = dispute::plan(options);
}

/// What is delegated to an operator.
pub fn shares(scenario: &Scenario, operator: Address) -> anyhow::Result<U256> {
    scenario.block_on(scenario.devnet.chain().shares_of(operator))
}

/// Challenges, as an account that has nothing to do with the network.
pub struct Challenger<'a> {
    pub scenario: &'a Scenario,
    name: String,
}

impl<'a> Challenger<'a> {
    /// With the wallet of this name.
    pub fn new(scenario: &'a Scenario, name: &str) -> Self {
        Self { scenario, name: name.to_owned() }
    }

    /// What `challenge` says to it.
    pub fn run(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        let wallet = self.scenario.devnet.layout().key(&self.name).display().to_string();
        let with = [&["challenge"], arguments, &["--wallet", &wallet]].concat();
        self.scenario.cli(&with)
    }

    /// The same, which must go well.
    pub fn json(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let output = self.run(&[arguments, &["--output", "json"]].concat())?;
        ensure!(output.status.success(), "{arguments:?}: {}", text(&output));
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Its balance.
    pub fn coins(&self) -> anyhow::Result<U256> {
        let key = self.scenario.devnet.new_wallet_if_missing(&self.name)?;
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

    let challenger = Challenger::new(scenario, "stranger");
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

/// Verifiers that find false proofs good: nine tenths of the stake.
const CERTIFYING: usize = 3;
/// The prover that makes false proofs.
const FALSE_PROVER: &str = "prover-3";
/// The long veto of a development network.
const LONG_VETO_SECONDS: u64 = 60;

/// The network of a false proof that is certified.
pub fn network_of_liars(options: &mut DevnetOptions) {
    options.provers = 3;
    options.tuning.judge_at_intake = false;
    let liars = (1..=CERTIFYING).map(|number| format!("verifier-{number}"));
    options.not_started = liars.chain([FALSE_PROVER.to_owned()]).collect();
}

/// Starts the nodes that lie.
fn start_liars(scenario: &mut Scenario) -> anyhow::Result<()> {
    let liars: Vec<String> = (1..=CERTIFYING).map(|number| format!("verifier-{number}")).collect();
    let verifiers = liars.iter().map(|name| ("verifier", name.as_str(), "session open"));
    let roles: Vec<_> = verifiers.chain([("prover", FALSE_PROVER, "worker: registered")]).collect();
    for (role, name, _) in &roles {
        let mut command = Command::new(scenario.devnet.binary());
        command.args(["planted", role, "--config"]).arg(scenario.devnet.layout().config(name));
        scenario.devnet.start_role_as(name, command)?;
    }
    for (_, name, joined) in &roles {
        scenario.wait_until("the liars are there", || {
            Ok(scenario.log(name).contains(joined).then_some(()))
        })?;
    }
    Ok(())
}

/// Nine tenths of the stake certify a false proof. Each signer is held to the certificate, the honest
/// one is not; the manifest is stopped, and the cases wait for the long veto.
pub fn a_false_certificate(scenario: &mut Scenario) -> anyhow::Result<()> {
    start_liars(scenario)?;
    let (program, path) = dispute::input(&scenario.devnet)?;
    let job = scenario.submit(&NewJob {
        program: program.to_owned(),
        input: std::fs::read(path)?,
        ..NewJob::fibonacci(scenario.nonce())
    })?;
    scenario.wait_for_state(job, "settled")?;
    let stranger = scenario.devnet.new_wallet_if_missing("stranger")?.address();
    scenario.fund(stranger, U256::from(WHOLE))?;
    let id = job.to_string();
    let folder = scenario.folder.path().join("certificate");
    let out = folder.display().to_string();
    let kept = scenario.cli(&["certificate", "get", &id, "--out", &out])?;
    ensure!(kept.status.success(), "{}", text(&kept));

    let operators = scenario.devnet.operators().to_vec();
    let [first, second, .., honest] = &operators[..] else {
        anyhow::bail!("four verifiers, not {operators:?}")
    };
    let challenger = Challenger::new(scenario, "stranger");
    let before = challenger.coins()?;
    let by = |operator: &Address| operator.to_string();
    let refused = challenger.run(&["certificate", &id, "--operator", &by(honest)])?;
    ensure!(refused.status.code() == Some(INVALID), "it did not sign: {}", text(&refused));
    let dry = challenger.run(&["certificate", &id, "--operator", &by(first), "--dry-run"])?;
    ensure!(text(&dry).contains("attested valid"), "it would be accused: {}", text(&dry));
    ensure!(challenger.coins()? == before, "nothing was sent");

    let accuse = ["certificate", &id, "--operator", &by(first)];
    let accused = challenger.json(&accuse)?;
    ensure!(accused["outcome"] == "upheld", "{accused}");
    let case = accused["case"].as_str().context("a case")?.to_owned();
    let again = challenger.json(&accuse)?;
    ensure!(again["case"] == case.as_str() && again["outcome"] != "upheld", "{again}");
    let early = challenger.run(&["execute", &case])?;
    ensure!(early.status.code() == Some(REFUSED), "two thirds did it: {}", text(&early));

    // The dispatcher has no say in it: whoever has the certificate goes on without.
    scenario.kill("dispatcher")?;
    let file = folder.join("certificate.json").display().to_string();
    let challenger = Challenger::new(scenario, "stranger");
    let accuse = ["certificate", "--certificate", &file, "--operator", &by(second)];
    let accused = challenger.json(&accuse)?;
    ensure!(accused["outcome"] == "upheld", "{accused}");
    ensure!(before - challenger.coins()? < U256::from(BOND), "the bonds came back");
    let owned = shares(scenario, *first)?;
    scenario.advance_chain(LONG_VETO_SECONDS)?;
    challenger.json(&["execute", &case])?;
    ensure!(shares(scenario, *first)? == owned / U256::from(2), "half of it is slashed");
    scenario.restart("dispatcher")?;
    scenario.wait_for_dispatcher()
}
