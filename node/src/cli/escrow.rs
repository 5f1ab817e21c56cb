//! `escrow`: what provers earned and requesters can have back. All payments are pulled.

use anyhow::Context;
use clap::Subcommand;
use proofgrid_core::ids::{Address, JobId};
use proofgrid_oracle::deploy;
use serde::Serialize;

use super::WalletArgs;
use crate::chain;
use crate::client::open_wallet;
use crate::exit::{CliResult, Exit, WithExit};
use crate::network_file::NetworkFile;
use crate::output::{self, Format};
use crate::runtime::block_on;

/// `escrow` commands.
#[derive(Debug, Subcommand)]
pub enum EscrowCommand {
    /// What the wallet can withdraw.
    Credit(EscrowArgs),
    /// Send all of the wallet's credit to an account.
    Withdraw {
        /// Where the contracts are and who acts.
        #[command(flatten)]
        args: EscrowArgs,
        /// The account; the wallet itself if not given.
        #[arg(long)]
        to: Option<Address>,
    },
    /// Give the fee of a contract job that was not settled in time back to its requester.
    Refund {
        /// Where the contracts are and who acts.
        #[command(flatten)]
        args: EscrowArgs,
        /// The job.
        job: JobId,
    },
}

/// Where the contracts are and who acts.
#[derive(Debug, Clone, clap::Args)]
pub struct EscrowArgs {
    /// Network file with the chain and the contracts.
    #[arg(long, env = "PROOFGRID_NETWORK")]
    network: std::path::PathBuf,
    /// Who acts.
    #[command(flatten)]
    wallet: WalletArgs,
}

#[derive(Debug, Serialize)]
struct EscrowView {
    account: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    credit_wei: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tx_hash: Option<String>,
}

/// Runs an `escrow` command.
///
/// # Errors
/// When the contract refuses or the chain cannot be asked.
pub fn run(command: EscrowCommand, output: Format) -> CliResult {
    let (EscrowCommand::Credit(args)
    | EscrowCommand::Withdraw { args, .. }
    | EscrowCommand::Refund { args, .. }) = &command;
    let file = NetworkFile::read(&args.network)?;
    let wallet = open_wallet(&args.wallet)?;
    let account = wallet.address();
    let view = block_on(async {
        let (chain, contracts) = chain::of_network(&file)?;
        let mut sender = chain::sender(chain, &wallet)?;
        let manager = contracts.task_manager;
        let receipt = match &command {
            EscrowCommand::Credit(_) => {
                let credit = deploy::credits(&sender, manager, account)
                    .await
                    .context("the credit cannot be read")
                    .exit(Exit::Unreachable)?;
                let credit_wei = Some(credit.to_string());
                return Ok(EscrowView { account: account.to_string(), credit_wei, tx_hash: None });
            }
            EscrowCommand::Withdraw { to, .. } => {
                deploy::withdraw(&mut sender, manager, to.unwrap_or(account)).await
            }
            EscrowCommand::Refund { job, .. } => deploy::refund(&mut sender, manager, *job).await,
        };
        let receipt = receipt.context("the TaskManager refused").exit(Exit::Refused)?;
        let tx_hash = Some(receipt.transaction_hash.to_string());
        Ok(EscrowView { account: account.to_string(), credit_wei: None, tx_hash })
    })?;
    match (output, &view.credit_wei, &view.tx_hash) {
        (Format::Json, ..) => output::json(&view, false)?,
        (Format::Table, Some(credit), _) => {
            output::line(&format!("{} can withdraw {credit} wei", view.account));
        }
        (Format::Table, None, tx) => {
            output::line(&format!("done in transaction {}", tx.as_deref().unwrap_or_default()));
        }
    }
    Ok(())
}
