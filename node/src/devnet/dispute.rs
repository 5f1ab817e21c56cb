//! The demo's dispute: a planted prover makes a false proof, a planted verifier votes that it is good,
//! and an account that nobody knows has that verifier slashed, by the commands that anybody would use.

use std::process::Command;
use std::time::{Duration, Instant};

use alloy_primitives::U256;
use anyhow::{Context, bail};
use proofgrid_core::ids::{Address, JobId};
use proofgrid_core::statement::Verdict;
use proofgrid_core::vote::SignedVote;
use serde::{Deserialize, Serialize};

use super::balance::Balance;
use super::chain::{GROTH16_PROGRAM, TOKEN_WEI};
use super::commands::run_as;
use super::network::{Devnet, DevnetOptions};
use crate::challenge::evidence;
use crate::client::Client;
use crate::exit::CliResult;

/// The input of the disputed job: a good proof, which the planted prover makes a false one of.
const INPUT: &[u8] = include_bytes!("../../../tests/data/groth16/multiplier.json");
/// Wallet of the account that challenges.
const CHALLENGER: &str = "challenger";
/// Coins that the network's owner puts aside for challengers.
const RESERVE_COINS: u64 = 2;
/// What the challenger gets for gas and its bond, in coins.
const CHALLENGER_COINS: u64 = 1;
/// Pause between two looks at the chain's clock.
const POLL: Duration = Duration::from_millis(250);
/// Longest that the planted nodes may take to join.
const JOIN_TIMEOUT: Duration = Duration::from_secs(120);
/// Longest that the planted verifier may take to vote.
const VOTE_TIMEOUT: Duration = Duration::from_secs(120);
/// Longest that a case's veto window is waited for.
const VETO_TIMEOUT: Duration = Duration::from_secs(120);

/// The planted nodes of a demo.
#[derive(Clone, Debug)]
pub struct Planted {
    prover: String,
    verifier: String,
    /// Position of the verifier among the network's.
    index: usize,
    /// Verifiers that start when it has voted.
    held_back: Vec<String>,
}

impl std::fmt::Display for Planted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} and {}", self.prover, self.verifier)
    }
}

/// What the dispute came to.
#[derive(Clone, Debug, Serialize)]
pub struct Dispute {
    /// The disputed job.
    pub job: String,
    /// The refused statement.
    pub statement: String,
    /// The operator that voted valid on it.
    pub operator: String,
    /// Who accused it.
    pub challenger: String,
    /// What it was accused of.
    pub accusation: String,
    /// The court's case.
    pub case: String,
    /// Transaction that proved the fault.
    pub challenge_tx_hash: String,
    /// Gas of commitment and reveal.
    pub challenge_gas_used: u64,
    /// Transaction that slashed.
    pub slash_tx_hash: String,
    /// Its gas.
    pub slash_gas_used: u64,
    /// Stake that was slashed, in the smallest unit.
    pub slashed: String,
    /// What the rules say that it should be.
    pub slash_expected: String,
    /// Balances that changed.
    pub balances: Vec<Balance>,
}

impl Dispute {
    /// The operator lost exactly what the rules say, and the challenger was paid.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        let [shares, reward] = &self.balances[..] else { return false };
        self.slashed == self.slash_expected
            && shares.lost() == self.slashed.parse().ok()
            && reward.gained().is_some_and(|gain| !gain.is_zero())
    }
}

/// What `challenge vote` prints.
#[derive(Deserialize)]
struct Accused {
    what: String,
    case: Option<String>,
    executable_at_unix_s: Option<u64>,
    tx_hash: Option<String>,
    gas_used: u64,
}

/// What `challenge execute` prints.
#[derive(Deserialize)]
struct Executed {
    slashed: String,
    tx_hash: String,
    gas_used: u64,
}

/// Plants one prover more and the verifier with the least stake, and holds so many of the others back
/// that the rest decides nothing before the planted one has voted. `None` if its stake is a third or
/// more: its fault would be a shared one, and wait for the long veto.
pub fn plan(options: &mut DevnetOptions) -> Option<Planted> {
    let total: u64 = options.stakes.iter().sum();
    let (index, least) = options.stakes.iter().enumerate().min_by_key(|(_, stake)| **stake)?;
    if least.saturating_mul(3) >= total {
        return None;
    }
    let mut others = total.saturating_sub(*least);
    let mut held_back = Vec::new();
    for (other, stake) in options.stakes.iter().enumerate().filter(|(other, _)| *other != index) {
        if others.saturating_mul(3) < total.saturating_mul(2) {
            break;
        }
        others = others.saturating_sub(*stake);
        held_back.push(format!("verifier-{}", other + 1));
    }
    options.provers += 1;
    let planted = Planted {
        prover: format!("prover-{}", options.provers),
        verifier: format!("verifier-{}", index + 1),
        index,
        held_back,
    };
    options.not_started.extend([planted.prover.clone(), planted.verifier.clone()]);
    options.not_started.extend(planted.held_back.iter().cloned());
    // The dispatcher would find the false proof before any verifier.
    options.tuning.judge_at_intake = false;
    Some(planted)
}

/// Starts the planted nodes and waits until they are part of the network.
///
/// # Errors
/// When one cannot be started, ends, or gets no session.
pub async fn start(devnet: &mut Devnet, planted: &Planted) -> anyhow::Result<()> {
    let roles = [
        ("prover", &planted.prover, "worker: registered"),
        ("verifier", &planted.verifier, "session open"),
    ];
    for (role, name, _) in roles {
        let mut command = Command::new(devnet.binary());
        command.args(["planted", role, "--config"]).arg(devnet.layout().config(name));
        devnet.start_role_as(name, command)?;
    }
    let started = Instant::now();
    for (_, name, joined) in roles {
        while !devnet.process(name)?.has_logged(joined) {
            devnet.check_processes()?;
            if started.elapsed() > JOIN_TIMEOUT {
                bail!("no session after {JOIN_TIMEOUT:?}; {}", devnet.process(name)?.log_tail(20));
            }
            tokio::time::sleep(POLL).await;
        }
    }
    Ok(())
}

/// Waits until the planted verifier has judged the disputed job's proof, and starts the verifiers that
/// were held back.
///
/// # Errors
/// When it does not judge, or one cannot be started.
pub async fn release(devnet: &mut Devnet, planted: &Planted, job: JobId) -> anyhow::Result<()> {
    let (started, job) = (Instant::now(), job.to_string());
    while !devnet.process(&planted.verifier)?.has_logged(&job) {
        devnet.check_processes()?;
        if started.elapsed() > VOTE_TIMEOUT {
            let log = devnet.process(&planted.verifier)?.log_tail(20);
            bail!("{} did not judge {job} within {VOTE_TIMEOUT:?}; {log}", planted.verifier);
        }
        tokio::time::sleep(POLL).await;
    }
    for name in &planted.held_back {
        devnet.start_role(name)?;
    }
    Ok(())
}

/// Writes the disputed job's input into the network's folder. Gives the program and the file.
///
/// # Errors
/// When it cannot be written.
pub fn input(devnet: &Devnet) -> anyhow::Result<(&'static str, std::path::PathBuf)> {
    let path = devnet.layout().root().join("disputed.json");
    std::fs::write(&path, INPUT).with_context(|| format!("cannot write {}", path.display()))?;
    Ok((GROTH16_PROGRAM, path))
}

/// Has the planted verifier slashed for its vote on the job, which has settled since.
///
/// # Errors
/// When the vote is not there, or a command does not do what it should.
pub async fn settle(
    devnet: &mut Devnet,
    client: &Client,
    planted: &Planted,
    job: JobId,
) -> CliResult<Dispute> {
    let operator =
        *devnet.operators().get(planted.index).context("the planted verifier's operator")?;
    let statement = voted_alone(client, job, operator).await?;
    let challenger = devnet.new_wallet_if_missing(CHALLENGER)?.address();
    let coins = |coins: u64| U256::from(coins) * U256::from(TOKEN_WEI);
    devnet.fund(&[challenger], coins(CHALLENGER_COINS)).await?;
    let (arena, vault) = devnet.chain().arena().await?;
    arena.fund_reserve(devnet.chain_mut().deployer(), vault, coins(RESERVE_COINS)).await?;
    let shares_before = devnet.chain().shares_of(operator).await?;
    let reward_before = arena.reward_tokens_of(devnet.chain().chain(), challenger).await?;

    let (id, who) = (job.to_string(), operator.to_string());
    let accused: Accused =
        run_as(devnet, CHALLENGER, &["challenge", "vote", &id, "--operator", &who]).await?;
    let case = accused.case.context("the accusation gave no case")?;
    wait_for_second(devnet, accused.executable_at_unix_s.unwrap_or_default()).await?;
    let executed: Executed = run_as(devnet, CHALLENGER, &["challenge", "execute", &case]).await?;
    let _sent: serde_json::Value = run_as(devnet, CHALLENGER, &["challenge", "withdraw"]).await?;

    let shares_after = devnet.chain().shares_of(operator).await?;
    let reward_after = arena.reward_tokens_of(devnet.chain().chain(), challenger).await?;
    let wad = devnet.false_valid_wad();
    let expected = shares_before * U256::from(wad) / U256::from(TOKEN_WEI);
    Ok(Dispute {
        job: id,
        statement,
        operator: who,
        challenger: challenger.to_string(),
        accusation: accused.what,
        case,
        challenge_tx_hash: accused.tx_hash.unwrap_or_default(),
        challenge_gas_used: accused.gas_used,
        slash_tx_hash: executed.tx_hash,
        slash_gas_used: executed.gas_used,
        slashed: executed.slashed,
        slash_expected: expected.to_string(),
        balances: vec![
            Balance::new(
                "planted verifier",
                operator,
                "restaked shares",
                shares_before,
                shares_after,
            ),
            Balance::new("challenger", challenger, "reward coins", reward_before, reward_after),
        ],
    })
}

/// The statement of the job on which the operator voted valid against everybody else.
async fn voted_alone(client: &Client, job: JobId, operator: Address) -> CliResult<String> {
    for found in evidence(client, job).await? {
        let (own, others): (Vec<&SignedVote>, Vec<&SignedVote>) =
            found.votes.iter().partition(|vote| vote.operator == operator);
        let alone = own.iter().all(|vote| vote.vote.verdict == Verdict::Valid)
            && others.iter().all(|vote| vote.vote.verdict == Verdict::Invalid);
        if !own.is_empty() && !others.is_empty() && alone {
            return Ok(found.opened.statement.digest().to_string());
        }
    }
    Err(anyhow::anyhow!("{operator} did not vote valid on a refused statement of {job}").into())
}

async fn wait_for_second(devnet: &Devnet, second: u64) -> anyhow::Result<()> {
    let started = Instant::now();
    while devnet.chain().chain().latest().await?.timestamp < second {
        if started.elapsed() > VETO_TIMEOUT {
            bail!("the veto window of the case did not end within {VETO_TIMEOUT:?}");
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(stakes: &[u64]) -> (DevnetOptions, Option<Planted>) {
        let mut options = DevnetOptions::new("nowhere".into()).expect("this binary");
        options.stakes = stakes.to_vec();
        let planted = plan(&mut options);
        (options, planted)
    }

    #[test]
    fn without_the_planted_verifier_and_those_held_back_nothing_is_decided() {
        for stakes in [vec![4_000, 3_000, 2_000, 1_000], vec![10; 4], vec![10; 12], vec![5, 5, 1]] {
            let (options, planted) = planned(&stakes);
            let planted = planted.expect("less than a third");
            let runs =
                |index: &usize| !options.not_started.contains(&format!("verifier-{}", index + 1));
            let running: u64 = (0..stakes.len()).filter(runs).map(|index| stakes[index]).sum();
            let total: u64 = stakes.iter().sum();
            assert!(running * 3 < total * 2, "{stakes:?}: {planted:?}");
            assert!(!planted.held_back.contains(&planted.verifier));
        }
    }

    #[test]
    fn a_third_of_the_stake_is_not_planted() {
        for stakes in [vec![1], vec![1, 1, 1], vec![]] {
            let (options, planted) = planned(&stakes);
            assert!(planted.is_none() && options.not_started.is_empty(), "{stakes:?}");
        }
    }
}
