//! The dispatcher's disk: it outlives the process, and tells the books what it keeps.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use proofgrid_store::journal::{Engine, EngineError, MemoryEngine, Sequence};

use super::WirePlant;

/// Records that a disk with a lying cache holds back.
const CACHED: usize = 4;

/// Where in a compaction a machine stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// With a new snapshot, before any record is taken away for it.
    BeforeTruncation,
    /// With records taken away, while the snapshot that needed them is still there.
    AfterTruncation,
}

/// What is on the disk at one moment.
struct Photo {
    records: Vec<(Sequence, Vec<u8>)>,
    snapshots: Vec<(PathBuf, Vec<u8>)>,
}

#[derive(Default)]
struct Platter {
    kept: MemoryEngine,
    /// Everything that was ever kept, what was truncated too.
    history: Vec<(Sequence, Vec<u8>)>,
    /// What a lying disk says that it has and would lose with the power.
    cached: Vec<(Sequence, Vec<u8>)>,
    /// Where the machine stops next.
    dies: Option<Death>,
    /// What the machine had when it stopped. Nothing is written after it.
    photo: Option<Photo>,
}

impl Platter {
    /// Stops if the machine is to stop here.
    fn pass(&mut self, point: Death, snapshots: &Path) -> Result<(), EngineError> {
        if self.dies == Some(point) {
            self.dies = None;
            let records = self.kept.read(Sequence::START, usize::MAX)?;
            self.photo = Some(Photo { records, snapshots: files(snapshots) });
        }
        Ok(())
    }
}

fn files(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let paths = entries.map(|entry| entry.expect("memory reads").path());
    paths.map(|path| (path.clone(), std::fs::read(path).expect("memory reads"))).collect()
}

/// A handle on the disk.
#[derive(Clone)]
pub struct Disk {
    platter: Arc<Mutex<Platter>>,
    plant: Option<WirePlant>,
    /// Where the snapshots are, which are on it too.
    snapshots: PathBuf,
}

impl Disk {
    /// An empty disk.
    pub fn new(plant: Option<WirePlant>, snapshots: PathBuf) -> Self {
        Self { platter: Arc::default(), plant, snapshots }
    }

    fn platter(&self) -> MutexGuard<'_, Platter> {
        self.platter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The power goes: what was only cached is gone, and a machine that has stopped is as it was then.
    pub fn power_loss(&self) {
        let mut platter = self.platter();
        platter.cached.clear();
        platter.dies = None;
        let Some(photo) = platter.photo.take() else { return };
        platter.kept = MemoryEngine::default();
        platter.kept.commit(photo.records).expect("memory is written");
        for (path, _) in files(&self.snapshots) {
            std::fs::remove_file(path).expect("it was just read");
        }
        for (path, bytes) in photo.snapshots {
            std::fs::write(path, bytes).expect("memory is written");
        }
    }

    /// The machine stops where its next compaction gets to this point; with `None` it does not.
    pub fn die_at(&self, death: Option<Death>) {
        self.platter().dies = death;
    }

    /// Whether the machine has stopped: nothing that is appended now is ever written.
    pub fn is_dead(&self) -> bool {
        self.platter().photo.is_some()
    }

    /// The records from `from` on that a restart would find.
    pub fn kept_from(&self, from: Sequence) -> Vec<(Sequence, Vec<u8>)> {
        self.platter().kept.read(from, usize::MAX).expect("memory reads")
    }

    /// The records from `from` on that a restart would find if none had been truncated.
    pub fn history_from(&self, from: Sequence) -> Vec<(Sequence, Vec<u8>)> {
        let platter = self.platter();
        let begin = platter.history.partition_point(|(at, _)| *at < from);
        platter.history[begin..].to_vec()
    }

    /// The first record that is kept, or the one that would be the next, and the last that ever was.
    pub fn extent(&self) -> (Sequence, Sequence) {
        let platter = self.platter();
        let last = platter.history.last().map_or(Sequence::START, |(last, _)| *last);
        let kept = platter.kept.read(Sequence::FIRST, 1).expect("memory reads");
        (kept.first().map_or(last.next(), |(first, _)| *first), last)
    }
}

impl Engine for Disk {
    fn name(&self) -> &'static str {
        "disk"
    }

    fn last(&self) -> Result<Option<Sequence>, EngineError> {
        let platter = self.platter();
        Ok(platter.cached.last().map(|(last, _)| *last).or(platter.kept.last()?))
    }

    fn read(&self, from: Sequence, limit: usize) -> Result<Vec<(Sequence, Vec<u8>)>, EngineError> {
        let platter = self.platter();
        let mut found = platter.kept.read(from, limit)?;
        found.extend(platter.cached.iter().filter(|(at, _)| *at >= from).cloned());
        found.truncate(limit);
        Ok(found)
    }

    fn commit(&mut self, values: Vec<(Sequence, Vec<u8>)>) -> Result<(), EngineError> {
        let mut platter = self.platter();
        if platter.photo.is_some() {
            let problem = "the machine has stopped".to_owned();
            return Err(EngineError { engine: self.name(), action: "commit", problem });
        }
        platter.cached.extend(values);
        let held_back = if self.plant == Some(WirePlant::DiskLies) { CACHED } else { 0 };
        let written = platter.cached.len().saturating_sub(held_back);
        let written: Vec<_> = platter.cached.drain(..written).collect();
        platter.history.extend(written.iter().cloned());
        platter.kept.commit(written)
    }

    fn truncate_before(&mut self, first: Sequence, start: Vec<u8>) -> Result<(), EngineError> {
        let mut platter = self.platter();
        platter.pass(Death::BeforeTruncation, &self.snapshots)?;
        let first = match self.plant {
            Some(WirePlant::TruncatesTooMuch) => first.next(),
            _ => first,
        };
        platter.kept.truncate_before(first, start)?;
        platter.pass(Death::AfterTruncation, &self.snapshots)
    }
}
