//! Where a test's records survive the end of a journal.

use std::sync::{Mutex, PoisonError};

use tempfile::TempDir;

use super::*;

/// A place that a journal of one engine can be opened at again and again.
pub(super) enum Home {
    Memory(Arc<Mutex<MemoryEngine>>),
    Disk { kind: EngineKind, directory: TempDir },
}

impl Home {
    pub(super) fn new(kind: EngineKind) -> Self {
        match kind {
            EngineKind::Memory => Self::Memory(Arc::default()),
            kind => Self::Disk { kind, directory: tempfile::tempdir().expect("a directory") },
        }
    }

    pub(super) fn config(&self) -> JournalConfig {
        match self {
            Self::Memory(_) => JournalConfig::memory(),
            Self::Disk { kind, directory } => {
                JournalConfig { engine: *kind, ..JournalConfig::new(directory.path()) }
            }
        }
    }

    pub(super) fn open(&self) -> Journal {
        self.open_with(|engine| engine)
    }

    /// Opens with something around the engine.
    pub(super) fn open_with(
        &self,
        wrap: impl FnOnce(Box<dyn Engine>) -> Box<dyn Engine>,
    ) -> Journal {
        let config = self.config();
        let (engine, lock) = match self {
            Self::Memory(shared) => (Box::new(Shared(Arc::clone(shared))) as Box<dyn Engine>, None),
            Self::Disk { .. } => open_engine(&config).expect("opens"),
        };
        Journal::start(wrap(engine), lock, &config).expect("starts")
    }
}

/// Drops a journal without closing it and waits until its thread has released everything.
pub(super) fn abandon(journal: Journal) {
    let thread = journal.thread.lock().expect("free").take().expect("running");
    drop(journal);
    thread.join().expect("ends by itself");
}

/// A map that outlives the journal.
struct Shared(Arc<Mutex<MemoryEngine>>);

impl Shared {
    fn memory(&self) -> std::sync::MutexGuard<'_, MemoryEngine> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine for Shared {
    fn name(&self) -> &'static str {
        "shared memory"
    }

    fn last(&self) -> Result<Option<Sequence>, EngineError> {
        self.memory().last()
    }

    fn read(&self, from: Sequence, limit: usize) -> Result<Vec<(Sequence, Vec<u8>)>, EngineError> {
        self.memory().read(from, limit)
    }

    fn commit(&mut self, values: Vec<(Sequence, Vec<u8>)>) -> Result<(), EngineError> {
        self.memory().commit(values)
    }

    fn truncate_before(&mut self, first: Sequence, start: Vec<u8>) -> Result<(), EngineError> {
        self.memory().truncate_before(first, start)
    }
}

/// Every file below a directory.
pub(super) fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).expect("a directory").flatten() {
        match entry.path() {
            path if path.is_dir() => files.extend(files_below(&path)),
            path => files.push(path),
        }
    }
    files.sort();
    files
}

pub(super) fn copy_directory(from: &Path, to: &Path) {
    for file in files_below(from) {
        let target = to.join(file.strip_prefix(from).expect("below"));
        std::fs::create_dir_all(target.parent().expect("a parent")).expect("creates");
        std::fs::copy(&file, &target).expect("copies");
    }
}
