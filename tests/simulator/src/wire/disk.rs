//! The dispatcher's disk: it outlives the process, and tells the books what it keeps.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use proofgrid_store::journal::{Engine, EngineError, MemoryEngine, Sequence};

use super::WirePlant;

/// Records that a disk with a lying cache holds back.
const CACHED: usize = 4;

#[derive(Default)]
struct Platter {
    kept: MemoryEngine,
    /// What a lying disk says that it has and would lose with the power.
    cached: Vec<(Sequence, Vec<u8>)>,
}

/// A handle on the disk.
#[derive(Clone)]
pub struct Disk {
    platter: Arc<Mutex<Platter>>,
    plant: Option<WirePlant>,
}

impl Disk {
    /// An empty disk.
    pub fn new(plant: Option<WirePlant>) -> Self {
        Self { platter: Arc::default(), plant }
    }

    fn platter(&self) -> MutexGuard<'_, Platter> {
        self.platter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The power goes: what was only cached is gone.
    pub fn power_loss(&self) {
        self.platter().cached.clear();
    }

    /// The records from `from` on that a restart would find.
    pub fn kept_from(&self, from: Sequence) -> Vec<(Sequence, Vec<u8>)> {
        self.platter().kept.read(from, usize::MAX).expect("memory reads")
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
        platter.cached.extend(values);
        let held_back = if self.plant == Some(WirePlant::DiskLies) { CACHED } else { 0 };
        let written = platter.cached.len().saturating_sub(held_back);
        let written = platter.cached.drain(..written).collect();
        platter.kept.commit(written)
    }

    fn truncate_before(&mut self, first: Sequence, start: Vec<u8>) -> Result<(), EngineError> {
        self.platter().kept.truncate_before(first, start)
    }
}
