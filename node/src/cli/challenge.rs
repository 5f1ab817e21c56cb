//! `challenge`: hold a verifier to what it signed, and a network to the proofs that it attests.
//! Anybody may; the chain decides.

mod accuse;
mod demand;

use std::path::PathBuf;

use anyhow::Context;
use clap::Subcommand;
use proofgrid_core::ids::{Address, JobId};
use proofgrid_core::network::StatementEvidence;
use proofgrid_core::statement::Verdict;
use proofgrid_oracle::abi::{CaseState, Fault};
use proofgrid_oracle::challenge::Arena;
use serde::Serialize;

use self::accuse::{CertificateArgs, VoteArgs};
use self::demand::{AnswerArgs, CloseArgs, DemandArgs, DemandRow};
use super::{NetworkArgs, WalletArgs};
use crate::chain;
use crate::challenge::{ProofSources, evidence};
use crate::client::{Client, open_wallet};
use crate::exit::{CliResult, Exit, WithExit, fail};
use crate::network_file::NetworkFile;
use crate::output::{self, Format, short};
use crate::runtime::block_on;

/// `challenge` commands.
#[derive(Debug, Subcommand)]
pub enum ChallengeCommand {
    /// Who signed what of a job's statements, and whose proofs are demanded until when.
    Show {
        /// Where the network is.
        #[command(flatten)]
        network: NetworkArgs,
        /// The job.
        job: JobId,
    },
    /// Accuse an operator of a vote: `valid` on a proof that is refused, or both verdicts of one
    /// statement. Judges the proof here first, then commits with a bond and reveals a block later.
    Vote(VoteArgs),
    /// Accuse an operator of a posted certificate that it signed: `valid` on a proof that is refused,
    /// or the other verdict than it voted. As careful as `vote`. The case waits for the long veto, and
    /// the program's manifest is stopped at once: two thirds of the stake signed the same.
    Certificate(CertificateArgs),
    /// Demand the bytes of a certified proof that nobody shows, with a bond, while its batch is soft.
    Demand(DemandArgs),
    /// Show the bytes of a demanded proof; the demand's bond is yours.
    Answer(AnswerArgs),
    /// Withdraw the leaf of a demand that nobody answered in time; anybody may.
    Close(CloseArgs),
    /// How far a case is.
    Case {
        /// Where the contracts are.
        #[arg(long, env = "PROOFGRID_NETWORK")]
        network: PathBuf,
        /// The case.
        case: alloy_primitives::B256,
    },
    /// Slash the operator of a case whose veto window is over; anybody may.
    Execute {
        /// Where the contracts are and who pays.
        #[command(flatten)]
        args: ActArgs,
        /// The case.
        case: alloy_primitives::B256,
    },
    /// Send the wallet's rewards to an account, and what demands have earned it.
    Withdraw {
        /// Where the contracts are and whose they are.
        #[command(flatten)]
        args: ActArgs,
        /// The account; the wallet itself if not given.
        #[arg(long)]
        to: Option<Address>,
    },
}

/// Where the bytes of proofs are looked for.
#[derive(Debug, Clone, clap::Args)]
pub struct SourceArgs {
    /// File with a proof of the statement; several may be given.
    #[arg(long)]
    proof: Vec<PathBuf>,
    /// Address of a verifier's mirror, such as `http://verifier.example:7480`; several may be given.
    /// Those of the network file are asked too.
    #[arg(long)]
    mirror: Vec<String>,
}

impl SourceArgs {
    fn sources(&self, file: &NetworkFile) -> ProofSources {
        let mirrors = self.mirror.iter().chain(&file.mirror_urls).cloned().collect();
        ProofSources { files: self.proof.clone(), mirrors }
    }
}

/// Where the contracts are and who acts.
#[derive(Debug, Clone, clap::Args)]
pub struct ActArgs {
    /// Network file with the chain and the contracts.
    #[arg(long, env = "PROOFGRID_NETWORK")]
    network: PathBuf,
    /// Who acts.
    #[command(flatten)]
    wallet: WalletArgs,
}

#[derive(Debug, Serialize)]
struct VoteRow {
    statement: String,
    attempt: u32,
    epoch: u64,
    operator: String,
    verdict: &'static str,
}

#[derive(Debug, Serialize)]
struct ShownView {
    votes: Vec<VoteRow>,
    demands: Vec<DemandRow>,
}

#[derive(Debug, Serialize)]
struct CaseView {
    case: String,
    state: &'static str,
    fault: &'static str,
    challenger: String,
    executable_at_unix_s: u64,
}

#[derive(Debug, Serialize)]
struct ExecutedView {
    operator: String,
    slashed: String,
    reward: String,
    tx_hash: String,
    gas_used: u64,
}

#[derive(Debug, Serialize)]
struct WithdrawnView {
    demands_wei: String,
    rewards: String,
    rewards_left: String,
    to: String,
}

/// Runs a `challenge` command.
///
/// # Errors
/// When there is nothing to accuse of, the contract refuses, or the chain cannot be asked.
pub fn run(command: ChallengeCommand, output: Format) -> CliResult {
    match command {
        ChallengeCommand::Show { network, job } => show(&network, job, output),
        ChallengeCommand::Vote(args) => accuse::vote(&args, output),
        ChallengeCommand::Certificate(args) => accuse::certificate(&args, output),
        ChallengeCommand::Demand(args) => demand::demand(&args, output),
        ChallengeCommand::Answer(args) => demand::answer(&args, output),
        ChallengeCommand::Close(args) => demand::close(&args, output),
        ChallengeCommand::Case { network, case } => {
            case_state(&NetworkFile::read(&network)?, case, output)
        }
        ChallengeCommand::Execute { args, case } => execute(&args, case, output),
        ChallengeCommand::Withdraw { args, to } => withdraw(&args, to, output),
    }
}

fn rows(statements: &[StatementEvidence]) -> Vec<VoteRow> {
    let of = |found: &StatementEvidence| {
        let (statement, attempt) =
            (found.opened.statement.digest(), found.opened.statement.attempt);
        let row = move |vote: &proofgrid_core::vote::SignedVote| VoteRow {
            statement: statement.to_string(),
            attempt: attempt.get(),
            epoch: vote.vote.epoch.get(),
            operator: vote.operator.to_string(),
            verdict: match vote.vote.verdict {
                Verdict::Valid => "valid",
                Verdict::Invalid => "invalid",
            },
        };
        found.votes.iter().map(row).collect::<Vec<_>>()
    };
    statements.iter().flat_map(of).collect()
}

fn show(network: &NetworkArgs, job: JobId, output: Format) -> CliResult {
    let file = network.network.as_deref().map(NetworkFile::read).transpose()?;
    let (votes, demands) = block_on(async {
        let client = Client::connect(network).await?;
        let statements = evidence(&client, job).await?;
        let demands = match &file {
            Some(file) => demand::of_statements(file, &statements).await?,
            None => Vec::new(),
        };
        Ok((rows(&statements), demands))
    })?;
    if output == Format::Json {
        return Ok(output::json(&ShownView { votes, demands }, false)?);
    }
    let cells = |row: &VoteRow| {
        vec![
            row.attempt.to_string(),
            short(&row.statement),
            row.epoch.to_string(),
            row.operator.clone(),
            row.verdict.to_owned(),
        ]
    };
    let header = ["try", "statement", "epoch", "operator", "voted"];
    output::line(&output::table(&header, votes.iter().map(cells).collect()).to_string());
    for row in &demands {
        output::line(&row.text());
    }
    if file.is_none() {
        output::line("demands for proofs are on the chain: give --network FILE to see them");
    }
    Ok(())
}

const fn state_name(state: CaseState) -> &'static str {
    match state {
        CaseState::Filed => "filed",
        CaseState::Vetoed => "vetoed",
        CaseState::Executed => "executed",
        CaseState::None | CaseState::__Invalid => "unknown",
    }
}

const fn fault_name(fault: Fault) -> &'static str {
    match fault {
        Fault::FalseValid => "valid on a refused proof",
        Fault::Equivocation => "both verdicts of one statement",
        Fault::None | Fault::__Invalid => "none",
    }
}

fn case_state(file: &NetworkFile, case: alloy_primitives::B256, output: Format) -> CliResult {
    let view = block_on(async {
        let (chain, contracts) = chain::of_network(file)?;
        let arena = Arena::of(&chain, contracts.proof_registry).await.exit(Exit::Unreachable)?;
        let found = arena.case(&chain, case).await.exit(Exit::Unreachable)?;
        Ok(CaseView {
            case: case.to_string(),
            state: state_name(found.state),
            fault: fault_name(found.fault),
            challenger: found.challenger.to_string(),
            executable_at_unix_s: found.executable_at,
        })
    })?;
    if view.state == "unknown" {
        return fail(Exit::NotFound, format!("the court has no case {case}"));
    }
    match output {
        Format::Json => output::json(&view, false)?,
        Format::Table => output::line(&format!(
            "{}: {}, shown by {}; can be executed from second {} on",
            view.state, view.fault, view.challenger, view.executable_at_unix_s
        )),
    }
    Ok(())
}

fn execute(args: &ActArgs, case: alloy_primitives::B256, output: Format) -> CliResult {
    let file = NetworkFile::read(&args.network)?;
    let wallet = open_wallet(&args.wallet)?;
    let view = block_on(async {
        let (chain, contracts) = chain::of_network(&file)?;
        let arena = Arena::of(&chain, contracts.proof_registry).await.exit(Exit::Unreachable)?;
        let mut sender = chain::sender(chain, &wallet)?;
        let done = arena
            .execute(&mut sender, case)
            .await
            .context("the court refused")
            .exit(Exit::Refused)?;
        Ok(ExecutedView {
            operator: done.operator.to_string(),
            slashed: done.slashed.to_string(),
            reward: done.reward.to_string(),
            tx_hash: done.receipt.transaction_hash.to_string(),
            gas_used: done.receipt.gas_used,
        })
    })?;
    match output {
        Format::Json => output::json(&view, false)?,
        Format::Table => output::line(&format!(
            "{} was slashed by {} units of stake in transaction {}; the challenger may withdraw {}",
            view.operator, view.slashed, view.tx_hash, view.reward
        )),
    }
    Ok(())
}

fn withdraw(args: &ActArgs, to: Option<Address>, output: Format) -> CliResult {
    let file = NetworkFile::read(&args.network)?;
    let wallet = open_wallet(&args.wallet)?;
    let to = to.unwrap_or_else(|| wallet.address());
    let view = block_on(async {
        let (chain, contracts) = chain::of_network(&file)?;
        let arena = Arena::of(&chain, contracts.proof_registry).await.exit(Exit::Unreachable)?;
        let credits = arena.credits(&chain, wallet.address()).await.exit(Exit::Unreachable)?;
        let mut sender = chain::sender(chain, &wallet)?;
        let (demands, rewards) = credits;
        if demands.is_zero() && rewards.is_zero() {
            return fail(Exit::NotFound, format!("{} has nothing to withdraw", wallet.address()));
        }
        if !demands.is_zero() {
            let sent = arena.withdraw_demands(&mut sender, to).await;
            sent.context("the game refused").exit(Exit::Refused)?;
        }
        let reserve = arena.reward_tokens_of(sender.chain(), arena.court).await;
        let reserve = reserve.exit(Exit::Unreachable)?;
        if !rewards.is_zero() && !reserve.is_zero() {
            let sent = arena.withdraw_rewards(&mut sender, to).await;
            sent.context("the court refused the reward").exit(Exit::Refused)?;
        }
        let paid = rewards.min(reserve);
        Ok(WithdrawnView {
            demands_wei: demands.to_string(),
            rewards: paid.to_string(),
            rewards_left: (rewards - paid).to_string(),
            to: to.to_string(),
        })
    })?;
    match output {
        Format::Json => output::json(&view, false)?,
        Format::Table => output::line(&format!(
            "sent to {}: {} wei from demands and {} units of reward; {} stay owed until the court's \
             reserve grows",
            view.to, view.demands_wei, view.rewards, view.rewards_left
        )),
    }
    Ok(())
}
