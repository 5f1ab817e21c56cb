//! The redb engine: one table in one file, keys are sequences.
//!
//! A commit is one transaction with one flush. Pages are checked against their checksums when the
//! file was not closed properly, so a torn write is the end of what was committed before it, never
//! something else. What is altered later is found by the journal's checksums and by the table's own
//! count of records.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::Path;

use redb::{
    Builder, Database, DatabaseError, Durability, Error, ReadableDatabase, ReadableTable,
    ReadableTableMetadata, StorageError, TableDefinition,
};

use super::engine::{Engine, EngineError, contained};
use super::record::Sequence;
use crate::limits::ENGINE_CACHE_BYTES;
use crate::lock::wait_for_lock;

const NAME: &str = "redb";
const RECORDS: TableDefinition<u64, &[u8]> = TableDefinition::new("records");

/// A journal's records in a redb database.
pub(super) struct RedbEngine {
    db: Database,
}

impl RedbEngine {
    /// Opens or creates the database.
    pub(super) fn open(file: &Path) -> Result<Self, EngineError> {
        contained(NAME, "create", || create_if_missing(file))?;
        // A child process that another thread starts right now holds copies of all locks for a
        // moment, also of those that were just released. Our own lock of the directory is held.
        let open = || {
            wait_for_lock(|| {
                builder().open(file).map_err(|error| match error {
                    DatabaseError::DatabaseAlreadyOpen => TryLockError::WouldBlock,
                    error => TryLockError::Error(std::io::Error::other(error)),
                })
            })
        };
        let db = contained(NAME, "open", || open().map_err(std::io::Error::from))?;
        Self::with_database(db)
    }

    /// Uses a database that is open, and counts what is in it.
    fn with_database(db: Database) -> Result<Self, EngineError> {
        let engine = Self { db };
        contained(NAME, "open", || engine.count())?;
        Ok(engine)
    }

    /// Refuses a table that holds another number of records than lie between its ends: a damaged
    /// page that hides its last records would otherwise look like a shorter journal.
    fn count(&self) -> Result<(), Error> {
        let table = self.db.begin_read()?.open_table(RECORDS)?;
        let start = u64::from(table.get(Sequence::START.get())?.is_some());
        let first = table.range(Sequence::FIRST.get()..)?.next().transpose()?;
        let last = table.last()?;
        let records = match (first, last) {
            (Some((first, _)), Some((last, _))) => {
                last.value().saturating_sub(first.value()).saturating_add(1)
            }
            _ => 0,
        };
        match table.len()? {
            found if found == records + start => Ok(()),
            found => Err(Error::Corrupted(format!(
                "its table counts {found} entries, {} lie between its ends",
                records + start
            ))),
        }
    }

    fn write(
        &mut self,
        action: &'static str,
        change: impl FnOnce(&mut redb::Table<'_, u64, &'static [u8]>) -> Result<(), StorageError>,
    ) -> Result<(), EngineError> {
        contained(NAME, action, || write(&self.db, change))
    }
}

/// Runs one transaction on the table; on the disk when this returns.
fn write(
    db: &Database,
    change: impl FnOnce(&mut redb::Table<'_, u64, &'static [u8]>) -> Result<(), StorageError>,
) -> Result<(), Error> {
    let mut transaction = db.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    {
        let mut table = transaction.open_table(RECORDS)?;
        change(&mut table)?;
    }
    Ok(transaction.commit()?)
}

/// Creates the file beside its name and renames it: one that a kill left half made is refused by
/// the library for ever.
fn create_if_missing(file: &Path) -> Result<(), Error> {
    if file.try_exists()? {
        return Ok(());
    }
    let beside = file.with_extension("new");
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let db = builder().create(&beside)?;
    write(&db, |_| Ok(()))?;
    db.close()?;
    fs::rename(&beside, file)?;
    match file.parent() {
        Some(directory) => Ok(File::open(directory)?.sync_all()?),
        None => Ok(()),
    }
}

fn builder() -> Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(ENGINE_CACHE_BYTES);
    builder
}

impl Engine for RedbEngine {
    fn name(&self) -> &'static str {
        NAME
    }

    fn last(&self) -> Result<Option<Sequence>, EngineError> {
        contained(NAME, "read the newest record", || {
            let table = self.db.begin_read()?.open_table(RECORDS)?;
            let last = table.last()?.map(|(key, _)| Sequence::new(key.value()));
            Ok::<_, Error>(last)
        })
    }

    fn read(&self, from: Sequence, limit: usize) -> Result<Vec<(Sequence, Vec<u8>)>, EngineError> {
        contained(NAME, "read records", || {
            let table = self.db.begin_read()?.open_table(RECORDS)?;
            let mut values = Vec::new();
            for entry in table.range(from.get()..)?.take(limit) {
                let (key, value) = entry?;
                values.push((Sequence::new(key.value()), value.value().to_vec()));
            }
            Ok::<_, Error>(values)
        })
    }

    fn commit(&mut self, values: Vec<(Sequence, Vec<u8>)>) -> Result<(), EngineError> {
        self.write("commit", |table| {
            for (sequence, value) in &values {
                table.insert(sequence.get(), value.as_slice())?;
            }
            Ok(())
        })
    }

    fn truncate_before(&mut self, first: Sequence, start: Vec<u8>) -> Result<(), EngineError> {
        self.write("truncate", |table| {
            table.retain_in(Sequence::FIRST.get()..first.get(), |_, _| false)?;
            table.insert(Sequence::START.get(), start.as_slice())?;
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests;
