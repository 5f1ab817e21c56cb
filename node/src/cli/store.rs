//! `store`: verify, compact, export and import a journal that no process has open.

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Subcommand;
use proofgrid_dispatcher::compact_now;
use proofgrid_store::journal::{self, EngineKind, Journal, JournalConfig, JournalSummary};
use serde::Serialize;

use crate::exit::{CliResult, Exit, WithExit};
use crate::output::{self, Format};
use crate::runtime::block_on;

/// `store` commands.
#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Read and check every record; exit code 5 names the first damaged one.
    Verify {
        /// Directory of the journal.
        directory: PathBuf,
        /// Engine that wrote it.
        #[arg(long, default_value = EngineKind::DEFAULT.name())]
        engine: EngineKind,
    },
    /// Write every record to a file that any engine can import.
    Export {
        /// Directory of the journal.
        directory: PathBuf,
        /// The file; must not exist.
        #[arg(long)]
        out: PathBuf,
        /// Engine that wrote it.
        #[arg(long, default_value = EngineKind::DEFAULT.name())]
        engine: EngineKind,
    },
    /// Write a snapshot of all that a journal says, as a running dispatcher does by itself; reads and
    /// checks everything that a start would. Records that no kept snapshot needs go.
    Compact {
        /// Directory of the journal.
        directory: PathBuf,
        /// Directory of the snapshots; the journal's neighbour `snapshots` if absent.
        #[arg(long)]
        snapshots: Option<PathBuf>,
        /// Engine that wrote the journal.
        #[arg(long, default_value = EngineKind::DEFAULT.name())]
        engine: EngineKind,
    },
    /// Fill an empty journal from an export.
    Import {
        /// Directory of the new journal.
        directory: PathBuf,
        /// The export.
        #[arg(long)]
        from: PathBuf,
        /// Engine to write with.
        #[arg(long, default_value = EngineKind::DEFAULT.name())]
        engine: EngineKind,
    },
}

#[derive(Debug, Serialize)]
struct StoreView {
    directory: String,
    first_sequence: u64,
    records: u64,
    payload_bytes: u64,
}

/// Runs a `store` command.
///
/// # Errors
/// When a file cannot be opened or a record is damaged.
pub fn run(command: StoreCommand, output: Format) -> CliResult {
    let (directory, summary) = match command {
        StoreCommand::Verify { directory, engine } => {
            let summary = journal::verify(&config(&directory, engine)).exit(Exit::Invalid)?;
            (directory, summary)
        }
        StoreCommand::Export { directory, out, engine } => {
            let file = File::create_new(&out)
                .with_context(|| format!("cannot create {}", out.display()))?;
            let mut writer = BufWriter::new(file);
            let summary =
                journal::export(&config(&directory, engine), &mut writer).exit(Exit::Invalid)?;
            writer.into_inner().context("cannot write the export")?.sync_all()?;
            (directory, summary)
        }
        StoreCommand::Compact { directory, snapshots, engine } => {
            let snapshots = snapshots.unwrap_or_else(|| directory.with_file_name("snapshots"));
            let config = config(&directory, engine);
            block_on(async {
                let journal = Journal::open(&config).exit(Exit::Invalid)?;
                compact_now(&snapshots, &journal).await.exit(Exit::Invalid)?;
                journal.close().await.exit(Exit::Invalid)
            })?;
            (directory, journal::verify(&config).exit(Exit::Invalid)?)
        }
        StoreCommand::Import { directory, from, engine } => {
            let file = File::open(&from)
                .with_context(|| format!("cannot open {}", from.display()))
                .exit(Exit::NotFound)?;
            let mut reader = BufReader::new(file);
            let summary =
                journal::import(&config(&directory, engine), &mut reader).exit(Exit::Invalid)?;
            (directory, summary)
        }
    };
    print(&directory, summary, output)
}

fn config(directory: &Path, engine: EngineKind) -> JournalConfig {
    JournalConfig { engine, ..JournalConfig::new(directory) }
}

fn print(directory: &Path, summary: JournalSummary, output: Format) -> CliResult {
    let view = StoreView {
        directory: directory.display().to_string(),
        first_sequence: summary.first.get(),
        records: summary.records,
        payload_bytes: summary.payload_bytes,
    };
    match output {
        Format::Json => output::json(&view, false)?,
        Format::Table => output::line(&format!(
            "{}: {} records from {} on, {} bytes, every checksum fits",
            view.directory, view.records, view.first_sequence, view.payload_bytes
        )),
    }
    Ok(())
}
