//! What an operator does at the restaking core, for its place among the verifiers or provers.

use anyhow::{Context, anyhow};
use proofgrid_core::ids::{Address, OperatorSet};
use proofgrid_oracle::deploy::{self, VERIFIERS};
use proofgrid_oracle::eigenlayer::{self, OperatorStanding, StakeSource, WHOLE_MAGNITUDE};
use proofgrid_oracle::ejections::{self, Ejection};
use proofgrid_oracle::races::PROVERS;
use proofgrid_oracle::rpc::Chain;
use proofgrid_oracle::sender::Sender;
use serde::Serialize;
use std::path::PathBuf;

use super::WalletArgs;
use super::keys::bls_from;
use crate::chain;
use crate::client::open_wallet;
use crate::exit::{CliResult, Exit, WithExit};
use crate::network_file::NetworkFile;
use crate::output::{self, Format};
use crate::runtime::block_on;

/// Hundredths of a percent in one.
const WHOLE_BPS: u64 = 10_000;

/// Among whom an operator is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Place {
    /// Those who vote.
    Verifiers,
    /// Those who may race for jobs.
    Provers,
}

impl Place {
    const fn set(self) -> OperatorSet {
        match self {
            Self::Verifiers => VERIFIERS,
            Self::Provers => PROVERS,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Verifiers => "verifiers",
            Self::Provers => "provers",
        }
    }
}

/// Where the network is and which operator acts.
#[derive(Debug, Clone, clap::Args)]
pub struct OperatorArgs {
    /// Among whom.
    #[arg(long, value_enum, default_value_t = Place::Verifiers)]
    set: Place,
    /// Network file with the chain and the contracts.
    #[arg(long, env = "PROOFGRID_NETWORK")]
    network: PathBuf,
    /// The operator's wallet.
    #[command(flatten)]
    wallet: WalletArgs,
}

/// `operator register`.
#[derive(Debug, clap::Args)]
pub struct RegisterArgs {
    #[command(flatten)]
    operator: OperatorArgs,
    /// The verifier's BLS key file; a prover has none.
    #[arg(long, requires = "bls_password_file")]
    bls_key: Option<PathBuf>,
    /// File with the BLS key's password.
    #[arg(long, requires = "bls_key")]
    bls_password_file: Option<PathBuf>,
    /// Becomes an operator of the core first, if the wallet is none; where it describes itself to
    /// stakers.
    #[arg(long)]
    metadata_uri: Option<String>,
}

/// `operator stay`.
#[derive(Debug, clap::Args)]
pub struct StayArgs {
    #[command(flatten)]
    operator: OperatorArgs,
    /// The verifier's BLS key file.
    #[arg(long)]
    bls_key: PathBuf,
    /// File with the BLS key's password.
    #[arg(long)]
    bls_password_file: PathBuf,
}

/// `operator allocate`.
#[derive(Debug, clap::Args)]
pub struct AllocateArgs {
    #[command(flatten)]
    operator: OperatorArgs,
    /// Part of the operator's stake that stands behind the network, in hundredths of a percent.
    #[arg(long, default_value_t = WHOLE_BPS, value_parser = clap::value_parser!(u64).range(0..=10_000))]
    bps: u64,
}

/// `operator stake`.
#[derive(Debug, clap::Args)]
pub struct StakeArgs {
    /// Among whom.
    #[arg(long, value_enum, default_value_t = Place::Verifiers)]
    set: Place,
    /// Network file with the chain and the contracts.
    #[arg(long, env = "PROOFGRID_NETWORK")]
    network: PathBuf,
    /// The operator.
    operator: Address,
}

#[derive(Debug, Serialize)]
struct StandingView {
    operator: String,
    set: &'static str,
    is_operator: bool,
    is_member: bool,
    stake: String,
    least_stake: String,
    /// When the operator is taken out unless it answers, Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    ejected_unix_s: Option<u64>,
    strategies: Vec<StrategyView>,
}

#[derive(Debug, Serialize)]
struct StrategyView {
    strategy: String,
    delegated_shares: String,
    allocated_bps: u64,
}

/// What every command here begins with: the chain, the network at its core, and who acts.
struct Acting {
    chain: Chain,
    avs: StakeSource,
    sender: Sender,
    place: Place,
}

impl Acting {
    async fn open(args: &OperatorArgs) -> CliResult<Self> {
        let file = NetworkFile::read(&args.network)?;
        let wallet = open_wallet(&args.wallet)?;
        let (chain, avs) = find(&file).await?;
        let sender = chain::sender(chain.clone(), &wallet)?;
        Ok(Self { chain, avs, sender, place: args.set })
    }

    async fn standing(&self) -> CliResult<OperatorStanding> {
        standing(&self.chain, &self.avs, (self.sender.address(), self.place)).await
    }
}

async fn find(file: &NetworkFile) -> CliResult<(Chain, StakeSource)> {
    let (chain, contracts) = chain::of_network(file)?;
    let avs = StakeSource::of(&chain, contracts.operator_registrar).await;
    let avs = avs.context("the registrar cannot be read").exit(Exit::Unreachable)?;
    Ok((chain, avs))
}

async fn standing(
    chain: &Chain,
    avs: &StakeSource,
    (operator, place): (Address, Place),
) -> CliResult<OperatorStanding> {
    let asked = avs.standing(chain, operator, place.set()).await;
    asked.context("the restaking core cannot be read").exit(Exit::Unreachable)
}

/// What the registrar is given: of a verifier its key, of a prover nothing.
fn registration(args: &RegisterArgs, acting: &Acting) -> CliResult<Vec<u8>> {
    match (acting.place, &args.bls_key, &args.bls_password_file) {
        (Place::Provers, ..) => Ok(Vec::new()),
        (Place::Verifiers, Some(key), Some(password)) => {
            let key = bls_from(key, password)?;
            Ok(deploy::possession(&acting.sender, &acting.avs, &key))
        }
        (Place::Verifiers, ..) => {
            Err(anyhow!("a verifier votes with a BLS key; name it with --bls-key"))
                .exit(Exit::Failed)
        }
    }
}

/// Registers the wallet among the verifiers or provers, with everything that has to come before it.
///
/// # Errors
/// When something is missing that only others can do, or the core refuses.
pub fn register(args: &RegisterArgs, output: Format) -> CliResult {
    let done = block_on(async {
        let mut acting = Acting::open(&args.operator).await?;
        let (set, place) = (acting.place.set(), acting.place.name());
        let data = registration(args, &acting)?;
        let operator = acting.sender.address();
        let standing = acting.standing().await?;
        if standing.is_member {
            return Ok(format!("{operator} is among the {place} already"));
        }
        become_operator(&mut acting, &standing, args.metadata_uri.as_deref()).await?;
        let delegated = standing.strategies.iter().any(|(_, shares, _)| !shares.is_zero());
        if !delegated {
            return Err(anyhow!(
                "nothing is delegated to {operator} in a strategy that counts ({}); have stakers \
                 delegate to it at EigenLayer, then repeat this",
                listed(&acting.avs)
            ))
            .exit(Exit::Refused);
        }
        if standing.strategies.iter().all(|(.., magnitude)| *magnitude == 0) {
            let (sender, avs) = (&mut acting.sender, &acting.avs);
            let allocated = eigenlayer::allocate(sender, avs, set, WHOLE_MAGNITUDE).await;
            allocated.context("the core refused the allocation").exit(Exit::Refused)?;
        }
        let registered = eigenlayer::register(&mut acting.sender, &acting.avs, set, data).await;
        registered.context("the registration was refused").exit(Exit::Refused)?;
        let from = match acting.place {
            Place::Verifiers => "it votes from the next epoch on",
            Place::Provers => "its stake counts in races that open after it was recorded",
        };
        Ok(format!("{operator} is among the {place}; {from}"))
    })?;
    said(&done, output)
}

async fn become_operator(
    acting: &mut Acting,
    standing: &OperatorStanding,
    metadata_uri: Option<&str>,
) -> CliResult {
    if standing.is_operator {
        return Ok(());
    }
    let operator = acting.sender.address();
    let Some(metadata_uri) = metadata_uri else {
        return Err(anyhow!(
            "{operator} is no operator of EigenLayer; repeat this with --metadata-uri, or register \
             it with EigenLayer's own tools"
        ))
        .exit(Exit::Refused);
    };
    let delegation = acting.avs.delegation_manager;
    let became =
        eigenlayer::register_as_operator(&mut acting.sender, delegation, metadata_uri).await;
    became.context("the core refused the operator").exit(Exit::Refused)
}

/// Sets which part of the wallet's stake stands behind its place.
///
/// # Errors
/// When the core refuses.
pub fn allocate(args: &AllocateArgs, output: Format) -> CliResult {
    let magnitude = WHOLE_MAGNITUDE / WHOLE_BPS * args.bps;
    block_on(async {
        let mut acting = Acting::open(&args.operator).await?;
        let (sender, avs, set) = (&mut acting.sender, &acting.avs, acting.place.set());
        let allocated = eigenlayer::allocate(sender, avs, set, magnitude).await;
        allocated.context("the core refused the allocation").exit(Exit::Refused)
    })?;
    said("allocated; less than before stays slashable for the core's deallocation delay", output)
}

/// Takes the wallet out of the verifiers or provers.
///
/// # Errors
/// When the core refuses.
pub fn deregister(args: &OperatorArgs, output: Format) -> CliResult {
    block_on(async {
        let mut acting = Acting::open(args).await?;
        let (sender, avs, set) = (&mut acting.sender, &acting.avs, acting.place.set());
        let left = eigenlayer::deregister(sender, avs, set).await;
        left.context("the core refused the departure").exit(Exit::Refused)
    })?;
    let done = match args.set {
        Place::Verifiers => {
            "left; keep the verifier running until the epochs that it is in are over, and its stake \
             stays slashable for the core's deallocation delay"
        }
        Place::Provers => "left; its stake stays slashable for the core's deallocation delay",
    };
    said(done, output)
}

/// Answers the wallet's announced ejection: its verifier is alive.
///
/// # Errors
/// When none is announced, it is too late, or the key is not the registered one.
pub fn stay(args: &StayArgs, output: Format) -> CliResult {
    let key = bls_from(&args.bls_key, &args.bls_password_file)?;
    block_on(async {
        let mut acting = Acting::open(&args.operator).await?;
        let (operator, registrar) = (acting.sender.address(), acting.avs.registrar);
        let found = announced(&acting.chain, registrar, operator).await?;
        let Some(ejection) = found else {
            return Err(anyhow!("no ejection of {operator} is announced")).exit(Exit::Refused);
        };
        let answered =
            ejections::answer(&mut acting.sender, registrar, operator, &key, ejection).await;
        answered.context("the registrar refused the answer").exit(Exit::Refused)
    })?;
    said("answered; it stays, and cannot be announced again for the cooldown", output)
}

async fn announced(
    chain: &Chain,
    registrar: Address,
    operator: Address,
) -> CliResult<Option<Ejection>> {
    let asked = ejections::pending(chain, registrar, operator).await;
    asked.context("the registrar cannot be read").exit(Exit::Unreachable)
}

/// Shows how an operator stands.
///
/// # Errors
/// When the chain cannot be asked.
pub fn stake(args: &StakeArgs, output: Format) -> CliResult {
    let file = NetworkFile::read(&args.network)?;
    let (found, ejection) = block_on(async {
        let (chain, avs) = find(&file).await?;
        let found = standing(&chain, &avs, (args.operator, args.set)).await?;
        Ok((found, announced(&chain, avs.registrar, args.operator).await?))
    })?;
    let view = view((args.operator, args.set), &found, ejection);
    match output {
        Format::Json => output::json(&view, false)?,
        Format::Table => print(&view),
    }
    Ok(())
}

fn view(
    (operator, place): (Address, Place),
    standing: &OperatorStanding,
    ejection: Option<Ejection>,
) -> StandingView {
    let strategy = |(strategy, shares, magnitude): &(Address, _, u64)| StrategyView {
        strategy: strategy.to_string(),
        delegated_shares: format!("{shares}"),
        allocated_bps: magnitude / (WHOLE_MAGNITUDE / WHOLE_BPS),
    };
    StandingView {
        operator: operator.to_string(),
        set: place.name(),
        is_operator: standing.is_operator,
        is_member: standing.is_member,
        stake: standing.stake.to_string(),
        least_stake: standing.minimum.to_string(),
        ejected_unix_s: ejection.map(|found| found.executable_at.get()),
        strategies: standing.strategies.iter().map(strategy).collect(),
    }
}

fn print(view: &StandingView) {
    let set = view.set;
    let place = match (view.is_member, view.is_operator) {
        (true, _) => format!("is among the {set}"),
        (false, true) => format!("is an operator, not among the {set}"),
        (false, false) => "is no operator of EigenLayer".to_owned(),
    };
    output::line(&format!("{} {place}", view.operator));
    output::line(&format!("slashable stake {}, least stake {}", view.stake, view.least_stake));
    if let Some(at) = view.ejected_unix_s {
        let time = i64::try_from(at).ok().and_then(|at| jiff::Timestamp::from_second(at).ok());
        let time = time.map_or_else(|| format!("Unix second {at}"), |time| time.to_string());
        output::line(&format!(
            "its ejection is announced: from {time} on anybody may take it out; if its verifier is \
             alive, answer with `proofgrid operator stay`"
        ));
    }
    let rows = view.strategies.iter().map(|strategy| {
        vec![
            strategy.strategy.clone(),
            strategy.delegated_shares.clone(),
            format!("{}.{:02} %", strategy.allocated_bps / 100, strategy.allocated_bps % 100),
        ]
    });
    let header = ["strategy", "delegated shares", "allocated to this network"];
    output::line(&output::table(&header, rows.collect()).to_string());
}

fn listed(avs: &StakeSource) -> String {
    avs.strategies.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn said(done: &str, output: Format) -> CliResult {
    match output {
        Format::Json => output::json(&serde_json::json!({ "done": done }), false)?,
        Format::Table => output::line(done),
    }
    Ok(())
}
