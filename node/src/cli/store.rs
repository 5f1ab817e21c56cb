//! `store`: verify, compact, export and import a journal that no process has open.

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Subcommand;
use proofgrid_dispatcher::{SnapshotCheck, check_snapshots, compact_now};
use proofgrid_store::journal::{
    self, EngineKind, Journal, JournalConfig, JournalSummary, Sequence,
};
use serde::Serialize;

use crate::exit::{CliResult, Exit, WithExit, fail};
use crate::output::{self, Format};
use crate::runtime::block_on;

/// `store` commands.
#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Read and check every record and every snapshot; exit code 5 names the first damaged record, or
    /// each damaged snapshot. Says which snapshot a start takes and from which record on it replays.
    Verify {
        /// Directory of the journal.
        directory: PathBuf,
        /// Directory of the snapshots; the journal's neighbour `snapshots` if absent.
        #[arg(long)]
        snapshots: Option<PathBuf>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    snapshots: Option<SnapshotsView>,
}

#[derive(Debug, Serialize)]
struct SnapshotsView {
    /// The one that a start takes once the damaged ones are moved away.
    #[serde(skip_serializing_if = "Option::is_none")]
    used: Option<String>,
    /// The first record that it then replays; absent if it refuses even then.
    #[serde(skip_serializing_if = "Option::is_none")]
    replay_from: Option<u64>,
    /// What is wrong: each damaged one, and why a start refuses.
    problems: Vec<String>,
}

impl From<&SnapshotCheck> for SnapshotsView {
    fn from(check: &SnapshotCheck) -> Self {
        let start = check.start.as_ref();
        let used = start.ok().and_then(|start| start.snapshot.as_ref());
        let problems = check.damaged.iter().chain(start.err()).map(ToString::to_string);
        Self {
            used: used.map(|path| path.display().to_string()),
            replay_from: start.ok().map(|start| start.from.get()),
            problems: problems.collect(),
        }
    }
}

/// Runs a `store` command.
///
/// # Errors
/// When a file cannot be opened or a record is damaged.
pub fn run(command: StoreCommand, output: Format) -> CliResult {
    let (directory, summary) = match command {
        StoreCommand::Verify { directory, snapshots, engine } => {
            let summary = journal::verify(&config(&directory, engine)).exit(Exit::Invalid)?;
            let snapshots = snapshots.unwrap_or_else(|| beside(&directory));
            return verified(&directory, &snapshots, summary, output);
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
            let snapshots = snapshots.unwrap_or_else(|| beside(&directory));
            let config = config(&directory, engine);
            block_on(async {
                let journal = Journal::open(&config).exit(Exit::Invalid)?;
                compact_now(&snapshots, &journal).await.exit(Exit::Invalid)?;
                journal.close().await.exit(Exit::Invalid)
            })?;
            let summary = journal::verify(&config).exit(Exit::Invalid)?;
            return verified(&directory, &snapshots, summary, output);
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
    print(&directory, summary, None, output)
}

/// Where a dispatcher keeps its snapshots if it is not told otherwise.
fn beside(journal: &Path) -> PathBuf {
    journal.with_file_name("snapshots")
}

/// Says what a journal and its snapshots hold; fails if a snapshot is damaged or none fits.
fn verified(
    directory: &Path,
    snapshots: &Path,
    summary: JournalSummary,
    output: Format,
) -> CliResult {
    let last = summary.first.get().saturating_add(summary.records).saturating_sub(1);
    let check = check_snapshots(snapshots, summary.first, Sequence::new(last));
    let view = SnapshotsView::from(&check.exit(Exit::Invalid)?);
    let problems = view.problems.join("; ");
    print(directory, summary, Some(view), output)?;
    if problems.is_empty() { Ok(()) } else { fail(Exit::Invalid, problems) }
}

fn config(directory: &Path, engine: EngineKind) -> JournalConfig {
    JournalConfig { engine, ..JournalConfig::new(directory) }
}

fn print(
    directory: &Path,
    summary: JournalSummary,
    snapshots: Option<SnapshotsView>,
    output: Format,
) -> CliResult {
    let view = StoreView {
        directory: directory.display().to_string(),
        first_sequence: summary.first.get(),
        records: summary.records,
        payload_bytes: summary.payload_bytes,
        snapshots,
    };
    match output {
        Format::Json => output::json(&view, false)?,
        Format::Table => {
            output::line(&format!(
                "{}: {} records from {} on, {} bytes, every checksum fits",
                view.directory, view.records, view.first_sequence, view.payload_bytes
            ));
            view.snapshots.iter().for_each(print_snapshots);
        }
    }
    Ok(())
}

fn print_snapshots(view: &SnapshotsView) {
    let when = if view.problems.is_empty() { "" } else { " once the damage is moved away" };
    match (view.replay_from, &view.used) {
        (None, _) => output::line("a start is refused"),
        (Some(from), Some(used)) => output::line(&format!(
            "a start{when} takes the snapshot {used} and replays the records from {from} on"
        )),
        (Some(from), None) => output::line(&format!(
            "a start{when} takes no snapshot and replays the records from {from} on"
        )),
    }
}
