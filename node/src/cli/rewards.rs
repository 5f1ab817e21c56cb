//! `operator rewards`: what verifying has earned, and its claim at the restaking core.

use std::path::PathBuf;

use alloy_primitives::U256;
use anyhow::Context;
use clap::Subcommand;
use proofgrid_core::ids::Address;
use proofgrid_oracle::rewards::pots::{Pot, PotBook};
use proofgrid_oracle::rewards::roots::{self, ClaimError};
use proofgrid_oracle::rewards::submissions::{Submission, submissions};
use proofgrid_oracle::rewards::{Earnings, EarningsError, Payroll};
use proofgrid_oracle::rpc::Chain;
use serde::Serialize;

use super::WalletArgs;
use crate::chain;
use crate::client::open_wallet;
use crate::exit::{CliResult, Exit, ExitError, WithExit};
use crate::network_file::NetworkFile;
use crate::output::{self, Format};
use crate::runtime::block_on;

/// Most blocks per log query.
const SCAN_BLOCKS_MAX: u64 = 10_000;
/// Looks at the pots after which the newest are left out; each reads at most 80 000 blocks.
const LOOKS_MAX: u32 = 100;

/// `operator rewards` commands.
#[derive(Debug, Subcommand)]
pub enum RewardsCommand {
    /// What waits in the vault, what was handed to the core, and what was claimed.
    Show(ShowArgs),
    /// Claim what was earned and not claimed yet.
    ///
    /// On a public network EigenLayer works out once a day or week what every account has earned, and
    /// posts a root over it. The distribution behind the root comes from its claim data
    /// (claim-amounts.json) or from an EigenLayer sidecar, `curl -s
    /// SIDECAR:7101/rewards/v1/distribution-roots/INDEX/rewards | jq -c .rewards[]`. On a devnet
    /// `proofgrid devnet pay-rewards` does both; the file is claims.jsonl in its folder.
    Claim(ClaimArgs),
}

/// `operator rewards show`.
#[derive(Debug, clap::Args)]
pub struct ShowArgs {
    /// Network file with the chain and the contracts.
    #[arg(long, env = "PROOFGRID_NETWORK")]
    network: PathBuf,
    /// The operator, or a staker.
    account: Address,
    /// The distribution behind a posted root, as for `claim`: shows what can be claimed too.
    #[arg(long)]
    distribution: Option<PathBuf>,
    /// How many blocks the look goes back, for pots and for what was handed to the core. A week on the
    /// main chain.
    #[arg(long, default_value_t = 50_400)]
    look_back_blocks: u64,
}

/// `operator rewards claim`.
#[derive(Debug, clap::Args)]
pub struct ClaimArgs {
    /// Network file with the chain and the contracts.
    #[arg(long, env = "PROOFGRID_NETWORK")]
    network: PathBuf,
    /// Who claims: the earner, or whom it named as its claimer.
    #[command(flatten)]
    wallet: WalletArgs,
    /// The distribution behind a posted root: one JSON object a line with earner, token, snapshot and
    /// cumulative_amount, for every account of the core.
    #[arg(long)]
    distribution: PathBuf,
    /// Whose earnings; the wallet's own if not given.
    #[arg(long)]
    earner: Option<Address>,
    /// Where the coins go; to the earner if not given.
    #[arg(long)]
    to: Option<Address>,
}

#[derive(Debug, Serialize)]
struct ShowView {
    account: String,
    coin: String,
    pots: Vec<PotView>,
    handed_to_core: Vec<SubmissionView>,
    claimed_wei: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    claimable_wei: Option<String>,
}

#[derive(Debug, Serialize)]
struct PotView {
    epoch: u64,
    wei: String,
    due_after: u64,
}

#[derive(Debug, Serialize)]
struct SubmissionView {
    block: u64,
    start: u64,
    seconds: u64,
    /// Together with the operator's stakers.
    wei: String,
}

#[derive(Debug, Serialize)]
struct ClaimView {
    earner: String,
    to: String,
    coin: String,
    claimed_wei: String,
}

/// Runs an `operator rewards` command.
///
/// # Errors
/// When the chain cannot be asked, the file is no distribution, or the core refuses.
pub fn run(command: &RewardsCommand, output: Format) -> CliResult {
    match command {
        RewardsCommand::Show(args) => show(args, output),
        RewardsCommand::Claim(args) => claim(args, output),
    }
}

fn read_distribution(path: &std::path::Path) -> CliResult<Earnings> {
    Earnings::read(path).map_err(|error| {
        let exit = match &error {
            EarningsError::File { .. } => Exit::NotFound,
            _ => Exit::Invalid,
        };
        ExitError { exit, error: anyhow::Error::new(error).context("no distribution") }
    })
}

async fn payroll(file: &NetworkFile) -> CliResult<(Chain, Payroll)> {
    let (chain, contracts) = chain::of_network(file)?;
    let asked = Payroll::of(&chain, &contracts).await;
    let payroll = asked.context("the contracts cannot be read").exit(Exit::Unreachable)?;
    Ok((chain, payroll))
}

fn claim(args: &ClaimArgs, output: Format) -> CliResult {
    let file = NetworkFile::read(&args.network)?;
    let wallet = open_wallet(&args.wallet)?;
    let earnings = read_distribution(&args.distribution)?;
    let earner = args.earner.unwrap_or_else(|| wallet.address());
    let to = args.to.unwrap_or(earner);
    let (amount, coin) = block_on(async {
        let (chain, payroll) = payroll(&file).await?;
        let mut sender = chain::sender(chain, &wallet)?;
        let claimed = roots::claim(&mut sender, &payroll, &earnings, earner, to).await;
        Ok((claimed.map_err(with_exit)?, payroll.coin))
    })?;
    let view = ClaimView {
        earner: earner.to_string(),
        to: to.to_string(),
        coin: coin.to_string(),
        claimed_wei: amount.to_string(),
    };
    match output {
        Format::Json => output::json(&view, false)?,
        Format::Table => output::line(&format!(
            "{to} has {amount} wei more of the wrapped coin {coin}; its `withdraw` turns them into coins"
        )),
    }
    Ok(())
}

fn with_exit(error: ClaimError) -> ExitError {
    let exit = match &error {
        ClaimError::Rpc(_) => Exit::Unreachable,
        ClaimError::RootUnknown { .. } => Exit::Invalid,
        ClaimError::Send(_)
        | ClaimError::NothingEarned { .. }
        | ClaimError::RootDisabled { .. }
        | ClaimError::RootNotActive { .. }
        | ClaimError::AlreadyClaimed { .. }
        | ClaimError::NotClaimer { .. }
        | ClaimError::Refused { .. } => Exit::Refused,
    };
    ExitError { exit, error: anyhow::Error::new(error).context("nothing was claimed") }
}

fn show(args: &ShowArgs, output: Format) -> CliResult {
    let file = NetworkFile::read(&args.network)?;
    let earnings = args.distribution.as_deref().map(read_distribution).transpose()?;
    let view = block_on(async {
        let (chain, payroll) = payroll(&file).await?;
        let asked = look(&chain, payroll, args, earnings.as_ref()).await;
        asked.context("rewards cannot be read").exit(Exit::Unreachable)
    })?;
    match output {
        Format::Json => output::json(&view, false)?,
        Format::Table => print(&view),
    }
    Ok(())
}

async fn look(
    chain: &Chain,
    payroll: Payroll,
    args: &ShowArgs,
    earnings: Option<&Earnings>,
) -> anyhow::Result<ShowView> {
    let head = chain.latest().await?.number;
    let first = head.saturating_sub(args.look_back_blocks);
    let mut book = PotBook::new(payroll, first, SCAN_BLOCKS_MAX);
    for _ in 0..LOOKS_MAX {
        if book.read_to(chain, head).await? {
            break;
        }
    }
    let pots = book.open(chain).await?;
    let submitted = submissions(chain, &payroll, first, head).await?;
    let claimed = roots::claimed(chain, &payroll, args.account).await?;
    let claimable = earnings.map(|earnings| {
        let earned = earnings.of(args.account, payroll.coin).unwrap_or_default();
        earned.saturating_sub(claimed).to_string()
    });
    Ok(ShowView {
        account: args.account.to_string(),
        coin: payroll.coin.to_string(),
        pots: pots.iter().map(pot_view).collect(),
        handed_to_core: submitted.iter().filter_map(|it| view_for(it, args.account)).collect(),
        claimed_wei: claimed.to_string(),
        claimable_wei: claimable,
    })
}

fn pot_view(pot: &Pot) -> PotView {
    PotView { epoch: pot.epoch.get(), wei: pot.amount.to_string(), due_after: pot.due_after }
}

fn view_for(submission: &Submission, operator: Address) -> Option<SubmissionView> {
    let rewards = submission.rewards.iter().filter(|(named, _)| *named == operator);
    let wei = rewards.fold(U256::ZERO, |sum, (_, amount)| sum.saturating_add(*amount));
    (!wei.is_zero()).then(|| SubmissionView {
        block: submission.block.get(),
        start: submission.start,
        seconds: submission.seconds,
        wei: wei.to_string(),
    })
}

fn print(view: &ShowView) {
    let rows = view
        .pots
        .iter()
        .map(|pot| vec![pot.epoch.to_string(), pot.wei.clone(), pot.due_after.to_string()]);
    output::line("in the vault, for all who signed:");
    let header = ["epoch", "wei", "due after, Unix seconds"];
    output::line(&output::table(&header, rows.collect()).to_string());
    let rows = view.handed_to_core.iter().map(|it| {
        vec![it.block.to_string(), it.start.to_string(), it.seconds.to_string(), it.wei.clone()]
    });
    output::line(&format!("handed to the core for {} and its stakers:", view.account));
    let header = ["block", "from, Unix seconds", "seconds", "wei"];
    output::line(&output::table(&header, rows.collect()).to_string());
    output::line(&format!("claimed so far: {} wei of {}", view.claimed_wei, view.coin));
    match &view.claimable_wei {
        Some(wei) => output::line(&format!("claimable under the given distribution: {wei} wei")),
        None => output::line("give --distribution to see what can be claimed"),
    }
}
