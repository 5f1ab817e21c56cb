//! `prover bond`: the coins that a prover puts at stake for assigned work, as its owner sees them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use alloy_primitives::U256;
use anyhow::Context;
use clap::Subcommand;
use proofgrid_core::bond::AcceptedLease;
use proofgrid_core::ids::{Address, JobId, TaskId};
use proofgrid_oracle::abi::LockState;
use proofgrid_oracle::bonds::{BondBook, Lock};
use proofgrid_oracle::keeper::{Keeper, KeeperHandle};
use proofgrid_prover::stake::{BondPort, Stake};
use serde::Serialize;

use super::WalletArgs;
use super::duties::{Duty, OwnAccount};
use crate::chain;
use crate::client::open_wallet;
use crate::config::BondSection;
use crate::exit::{CliResult, Exit, WithExit};
use crate::network_file::NetworkFile;
use crate::output::{self, Format};
use crate::runtime::block_on;

/// `prover bond` commands.
#[derive(Debug, Subcommand)]
pub enum BondCommand {
    /// Bond coins of the wallet.
    Deposit {
        /// Where the contracts are and who pays.
        #[command(flatten)]
        args: BondArgs,
        /// How much, in wei.
        amount_wei: U256,
        /// The prover; the wallet itself if not given.
        #[arg(long)]
        prover: Option<Address>,
    },
    /// What is free, what is at stake, and until when.
    Status {
        /// Network file with the chain and the contracts.
        #[arg(long, env = "PROOFGRID_NETWORK")]
        network: PathBuf,
        /// The prover.
        prover: Address,
    },
    /// Take free coins of the wallet's bond back.
    Withdraw {
        /// Where the contracts are and whose bond it is.
        #[command(flatten)]
        args: BondArgs,
        /// How much, in wei; all that is free if not given.
        amount_wei: Option<U256>,
        /// The account that gets it; the wallet itself if not given.
        #[arg(long)]
        to: Option<Address>,
    },
}

/// Where the contracts are and who acts.
#[derive(Debug, Clone, clap::Args)]
pub struct BondArgs {
    /// Network file with the chain and the contracts.
    #[arg(long, env = "PROOFGRID_NETWORK")]
    network: PathBuf,
    /// Who acts.
    #[command(flatten)]
    wallet: WalletArgs,
}

#[derive(Debug, Serialize)]
struct BondView {
    prover: String,
    free_wei: String,
    locked_wei: String,
    locks: Vec<LockView>,
}

#[derive(Debug, Serialize)]
struct LockView {
    job: String,
    task: String,
    amount_wei: String,
    deadline_unix_s: u64,
    state: &'static str,
}

/// What a prover may put at stake, and the keeper of its locks, which runs from now on.
///
/// # Errors
/// When the chain cannot be asked, is another one, or what is on disk is damaged.
pub async fn keep(
    section: &BondSection,
    account: &mut OwnAccount<'_>,
    data_dir: &Path,
) -> anyhow::Result<(Stake, Duty)> {
    let chain = section.chain()?;
    let task_manager = section.task_manager();
    let book = BondBook::of(chain.clone(), task_manager.contract).await;
    let book = book.context("bond.task_manager cannot be read")?;
    std::fs::create_dir_all(data_dir)
        .with_context(|| format!("cannot create {}", data_dir.display()))?;
    let (keeper, handle) = Keeper::open(book, account.on(chain)?, data_dir)?;
    let duty = Duty::start("the keeper of the bond", |stop| keeper.run(stop));
    let amount_max = u128::from(section.amount_wei_max);
    let stake = Stake { task_manager, amount_max, port: Arc::new(Port(handle)) };
    Ok((stake, duty))
}

#[derive(Debug)]
struct Port(KeeperHandle);

impl BondPort for Port {
    fn accepted(&self, lease: &AcceptedLease) {
        self.0.accepted(lease);
    }

    fn proved(&self, job: JobId, task: TaskId, leaf: [u8; 32]) {
        self.0.proved(job, task, leaf);
    }

    fn given_up(&self, lease: &AcceptedLease) {
        self.0.given_up(lease);
    }
}

/// Runs a `prover bond` command.
///
/// # Errors
/// When the contract refuses or the chain cannot be asked.
pub fn run(command: &BondCommand, output: Format) -> CliResult {
    let (BondCommand::Deposit { args: BondArgs { network, .. }, .. }
    | BondCommand::Status { network, .. }
    | BondCommand::Withdraw { args: BondArgs { network, .. }, .. }) = command;
    let file = NetworkFile::read(network)?;
    match command {
        BondCommand::Status { prover, .. } => status(&file, *prover, output),
        BondCommand::Deposit { args, amount_wei, prover } => {
            let wallet = open_wallet(&args.wallet)?;
            let tx = block_on(async {
                let (book, chain) = open(&file).await?;
                let mut sender = chain::sender(chain, &wallet)?;
                let prover = prover.unwrap_or_else(|| wallet.address());
                let paid = book.deposit(&mut sender, prover, *amount_wei).await;
                let receipt = paid.context("the deposit was not taken").exit(Exit::Refused)?;
                Ok(receipt.transaction_hash.to_string())
            })?;
            done(&tx, output)
        }
        BondCommand::Withdraw { args, amount_wei, to } => {
            let wallet = open_wallet(&args.wallet)?;
            let tx = block_on(async {
                let (book, chain) = open(&file).await?;
                let mut sender = chain::sender(chain, &wallet)?;
                let owner = wallet.address();
                let amount = match amount_wei {
                    Some(amount) => *amount,
                    None => {
                        let account = book.account(owner).await;
                        let account =
                            account.context("the bond cannot be read").exit(Exit::Unreachable)?;
                        U256::from(account.free)
                    }
                };
                let paid = book.withdraw(&mut sender, amount, to.unwrap_or(owner)).await;
                let receipt = paid.context("the bond was not paid out").exit(Exit::Refused)?;
                Ok(receipt.transaction_hash.to_string())
            })?;
            done(&tx, output)
        }
    }
}

async fn open(file: &NetworkFile) -> CliResult<(BondBook, proofgrid_oracle::rpc::Chain)> {
    let (chain, contracts) = chain::of_network(file)?;
    let book = BondBook::of(chain.clone(), contracts.task_manager).await;
    let book = book.context("the TaskManager cannot be read").exit(Exit::Unreachable)?;
    Ok((book, chain))
}

fn status(file: &NetworkFile, prover: Address, output: Format) -> CliResult {
    let view = block_on(async {
        let (book, _) = open(file).await?;
        let read = async {
            let account = book.account(prover).await?;
            anyhow::Ok((account, book.live_locks(prover).await?))
        };
        let (account, locks) =
            read.await.context("the bond cannot be read").exit(Exit::Unreachable)?;
        Ok(BondView {
            prover: prover.to_string(),
            free_wei: account.free.to_string(),
            locked_wei: account.locked.to_string(),
            locks: locks.iter().map(lock_view).collect(),
        })
    })?;
    if output == Format::Json {
        return Ok(output::json(&view, false)?);
    }
    let BondView { prover, free_wei, locked_wei, locks } = view;
    output::line(&format!("{prover}: {free_wei} wei free, {locked_wei} wei at stake"));
    if locks.is_empty() {
        return Ok(());
    }
    let row = |lock: LockView| {
        let until = lock.deadline_unix_s.to_string();
        vec![lock.job, lock.task, lock.amount_wei, until, lock.state.to_owned()]
    };
    let header = ["job", "task", "at stake (wei)", "deliver until (Unix s)", "state"];
    output::line(&output::table(&header, locks.into_iter().map(row).collect()).to_string());
    Ok(())
}

fn lock_view(lock: &Lock) -> LockView {
    LockView {
        job: lock.id.job.to_string(),
        task: lock.id.task.to_string(),
        amount_wei: lock.amount.to_string(),
        deadline_unix_s: lock.deadline.get(),
        state: if lock.state == LockState::Delivered { "delivered" } else { "locked" },
    }
}

fn done(tx: &str, output: Format) -> CliResult {
    match output {
        Format::Json => output::json(&serde_json::json!({ "tx_hash": tx }), false)?,
        Format::Table => output::line(&format!("done in transaction {tx}")),
    }
    Ok(())
}
