//! What a restart of the dispatcher would find: its snapshots, and the records after them.

use std::path::PathBuf;

use proofgrid_core::network::{Fact, State};
use proofgrid_dispatcher::{check_snapshots, read_snapshot};
use proofgrid_store::journal::Sequence;

use super::WirePlant;
use super::books::{Broken, RECORD_HEADER_BYTES};
use super::disk::Disk;

/// Snapshots that are kept, each of which has to lead to the whole state.
const KEPT: usize = 2;
const RULE: &str = "a restart finds what was decided";

/// Looks at the snapshots of a run.
pub struct Restart {
    directory: PathBuf,
    newest: Option<Sequence>,
    /// Snapshots that were looked at.
    pub seen: u32,
}

impl Restart {
    /// Looks into a directory, which need not be there yet.
    pub const fn new(directory: PathBuf) -> Self {
        Self { directory, newest: None, seen: 0 }
    }

    fn file(&self, last: Sequence) -> PathBuf {
        self.directory.join(format!("{:020}.snapshot", last.get()))
    }

    fn known(&self) -> Vec<Sequence> {
        let Ok(entries) = std::fs::read_dir(&self.directory) else { return Vec::new() };
        let paths = entries.map(|entry| entry.expect("memory reads").path());
        let is_whole = |path: &PathBuf| path.extension().is_some_and(|end| end == "snapshot");
        let last = |path: PathBuf| path.file_stem()?.to_str()?.parse().ok().map(Sequence::new);
        let mut known: Vec<_> = paths.filter(is_whole).filter_map(last).collect();
        known.sort_unstable();
        known
    }

    /// Holds the newest snapshots, each with the records after it, against the state that all
    /// records give.
    pub fn check(&mut self, disk: &Disk, state: &State) -> Result<(), Broken> {
        let known = self.known();
        let kept = &known[known.len().saturating_sub(KEPT)..];
        let (first, last) = disk.extent();
        if known.is_empty() && first > Sequence::FIRST {
            return broken(format!("records before {first} are gone without a snapshot"));
        }
        if let Some(gap) = kept.iter().find(|snapshot| first > snapshot.next()) {
            return broken(format!("the journal begins with {first}, after the snapshot {gap}"));
        }
        let newest = known.last().copied();
        if newest == self.newest {
            return Ok(());
        }
        self.newest = newest;
        self.seen += 1;
        match check_snapshots(&self.directory, first, last) {
            Err(error) => return broken(error.to_string()),
            Ok(found) => {
                if let Some(error) = found.damaged.first().or(found.start.as_ref().err()) {
                    return broken(error.to_string());
                }
            }
        }
        kept.iter().try_for_each(|snapshot| self.leads_to(*snapshot, disk, state))
    }

    fn leads_to(&self, snapshot: Sequence, disk: &Disk, state: &State) -> Result<(), Broken> {
        let bytes = std::fs::read(self.file(snapshot)).expect("it was just listed");
        let mut restarted = match read_snapshot(snapshot, bytes.as_slice()) {
            Ok(restarted) => restarted,
            Err(problem) => return broken(format!("snapshot {snapshot}: {problem}")),
        };
        for (sequence, record) in disk.kept_from(snapshot.next()) {
            let payload = record.get(RECORD_HEADER_BYTES..).unwrap_or_default();
            let evolved = Fact::decode(payload).map_err(|error| error.to_string());
            let evolved =
                evolved.and_then(|fact| restarted.evolve(&fact).map_err(|error| error.to_string()));
            if let Err(error) = evolved {
                return broken(format!("record {sequence} after snapshot {snapshot}: {error}"));
            }
        }
        match restarted == *state {
            true => Ok(()),
            false => {
                broken(format!("snapshot {snapshot} and what follows differ from all records"))
            }
        }
    }

    /// Plants [`WirePlant::SnapshotMissesRecord`]: names the newest snapshot after the record that
    /// follows it, as if it held that one too.
    pub fn spoil(&self, plant: Option<WirePlant>, disk: &Disk) {
        let (_, last) = disk.extent();
        let newest = self.known().last().copied();
        let Some(newest) = newest.filter(|newest| {
            plant == Some(WirePlant::SnapshotMissesRecord)
                && Some(*newest) != self.newest
                && *newest < last
        }) else {
            return;
        };
        let said = newest.next();
        let mut bytes = std::fs::read(self.file(newest)).expect("it was just listed");
        bytes.truncate(bytes.len() - 4);
        bytes[1..9].copy_from_slice(&said.get().to_be_bytes());
        bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
        std::fs::write(self.file(said), bytes).expect("memory is written");
        std::fs::remove_file(self.file(newest)).expect("it was just read");
    }
}

fn broken(subject: String) -> Result<(), Broken> {
    Err(Broken { rule: RULE, subject })
}
