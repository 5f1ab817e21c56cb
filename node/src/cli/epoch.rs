//! `epoch`: which stake stands behind certificates now, and the next table.

use anyhow::Context;
use clap::Subcommand;
use proofgrid_core::epoch::EpochTable;
use proofgrid_core::ids::EpochNumber;
use proofgrid_oracle::deploy;
use proofgrid_oracle::epochs::{self, Due, Epochs};
use proofgrid_oracle::finality::FinalityPolicy;
use proofgrid_oracle::view::ChainViewClient;
use serde::Serialize;

use super::WalletArgs;
use crate::chain;
use crate::client::open_wallet;
use crate::exit::{CliResult, Exit, WithExit};
use crate::network_file::NetworkFile;
use crate::output::{self, Format};
use crate::runtime::block_on;

/// `epoch` commands.
#[derive(Debug, Subcommand)]
pub enum EpochCommand {
    /// The newest epoch: its age, its members, and whether the next is due.
    Show {
        /// Network file with the chain and the contracts.
        #[arg(long, env = "PROOFGRID_NETWORK")]
        network: std::path::PathBuf,
    },
    /// Make the next epoch from the operator set as it is; anybody may, for the gas.
    Roll {
        /// Network file with the chain and the contracts.
        #[arg(long, env = "PROOFGRID_NETWORK")]
        network: std::path::PathBuf,
        /// Who pays.
        #[command(flatten)]
        wallet: WalletArgs,
    },
}

#[derive(Debug, Serialize)]
struct EpochView {
    epoch: u64,
    age_seconds: u64,
    min_age_seconds: u64,
    max_age_seconds: u64,
    /// `no`, `epoch`, or `roster and epoch`.
    due: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    table: Option<TableView>,
}

#[derive(Debug, Serialize)]
struct TableView {
    digest: String,
    snapshot_block: u64,
    total_stake: String,
    members: Vec<MemberView>,
}

#[derive(Debug, Serialize)]
struct MemberView {
    operator: String,
    stake: String,
}

/// Runs an `epoch` command.
///
/// # Errors
/// When the contract refuses or the chain cannot be asked.
pub fn run(command: EpochCommand, output: Format) -> CliResult {
    match command {
        EpochCommand::Show { network } => show(&NetworkFile::read(&network)?, output),
        EpochCommand::Roll { network, wallet } => {
            roll(&NetworkFile::read(&network)?, &wallet, output)
        }
    }
}

fn show(file: &NetworkFile, output: Format) -> CliResult {
    let view = block_on(async {
        let (chain, contracts) = chain::of_network(file)?;
        let asked = async {
            let epochs = epochs::look(&chain, &contracts).await?;
            let now = chain.latest().await?.timestamp;
            anyhow::Ok((epochs, now))
        };
        let (epochs, now) =
            asked.await.context("the epochs cannot be read").exit(Exit::Unreachable)?;
        let mut view = epoch_view(&epochs, now);
        if epochs.newest > 0 {
            let reader = ChainViewClient::new(chain, contracts, FinalityPolicy::Finalized);
            let epoch = EpochNumber::new(epochs.newest);
            // A table that is not final yet is not shown: it can still become another one.
            view.table = reader.epoch_table(epoch).await.ok().map(|table| table_view(&table));
        }
        Ok(view)
    })?;
    match output {
        Format::Json => output::json(&view, false)?,
        Format::Table => print(&view),
    }
    Ok(())
}

fn epoch_view(epochs: &Epochs, now: u64) -> EpochView {
    EpochView {
        epoch: epochs.newest,
        age_seconds: if epochs.newest == 0 { 0 } else { now.saturating_sub(epochs.created_at) },
        min_age_seconds: epochs.min_age_seconds,
        max_age_seconds: epochs.max_age_seconds,
        due: match epochs.due(now) {
            Due::Nothing => "no",
            Due::Epoch => "epoch",
            Due::RosterAndEpoch => "roster and epoch",
        },
        table: None,
    }
}

fn table_view(table: &EpochTable) -> TableView {
    let member = |member: &proofgrid_core::epoch::Member| MemberView {
        operator: member.operator.to_string(),
        stake: member.stake.get().to_string(),
    };
    TableView {
        digest: table.digest().to_string(),
        snapshot_block: table.snapshot_block().get(),
        total_stake: table.total().get().to_string(),
        members: table.members().iter().map(member).collect(),
    }
}

fn print(view: &EpochView) {
    if view.epoch == 0 {
        output::line("there is no epoch yet; make the first with `proofgrid epoch roll`");
        return;
    }
    output::line(&format!(
        "epoch {}, {} s old (next from {} s on, at the latest at {} s); due: {}",
        view.epoch, view.age_seconds, view.min_age_seconds, view.max_age_seconds, view.due
    ));
    let Some(table) = &view.table else {
        output::line("its block is not final yet");
        return;
    };
    output::line(&format!("table {} of block {}", table.digest, table.snapshot_block));
    let rows = table
        .members
        .iter()
        .map(|member| vec![member.operator.clone(), member.stake.clone()])
        .collect();
    output::line(&output::table(&["operator", "stake"], rows).to_string());
    output::line(&format!("{} in all", table.total_stake));
}

fn roll(file: &NetworkFile, wallet: &WalletArgs, output: Format) -> CliResult {
    let wallet = open_wallet(wallet)?;
    let epoch = block_on(async {
        let (chain, contracts) = chain::of_network(file)?;
        let mut sender = chain::sender(chain, &wallet)?;
        let made = deploy::snapshot(&mut sender, &contracts).await;
        made.context("the EpochTable refused").exit(Exit::Refused)
    })?;
    match output {
        Format::Json => output::json(&serde_json::json!({ "epoch": epoch.get() }), false)?,
        Format::Table => output::line(&format!("epoch {} begins", epoch.get())),
    }
    Ok(())
}
