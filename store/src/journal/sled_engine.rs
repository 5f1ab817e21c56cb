//! The sled engine: one tree, keys are big-endian sequences.
//!
//! The release is pinned to one alpha; earlier stable releases deadlock under this load. What is
//! known to go wrong with it is kept out by construction: one handle that is never cloned per
//! operation (clones leak), no background flush (`flush_every_ms = None`: it aborts the process on
//! an error and makes writes durable by accident), small values only.

use std::fs::TryLockError;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use super::engine::{Engine, EngineError};
use super::record::Sequence;
use crate::limits::SLED_CACHE_BYTES;
use crate::lock::wait_for_lock;

const NAME: &str = "sled";
/// Entries per leaf. A flush rewrites the last leaf, so this bounds the bytes written for one small
/// append; the library's 1024 would rewrite megabytes. Cannot be changed once a directory exists.
const LEAF_FANOUT: usize = 64;
/// The leaf is compressed at each flush; the fastest level, because payloads are mostly digests.
const ZSTD_LEVEL: i32 = 1;

/// A journal's records in a sled database.
pub(super) struct SledEngine {
    db: sled::Db<LEAF_FANOUT>,
}

fn failed(action: &'static str) -> impl FnOnce(std::io::Error) -> EngineError {
    move |error| EngineError { engine: NAME, action, problem: error.to_string() }
}

/// sled asserts on what it finds on the disk; an assertion is an error here, not an abort.
fn contained<T>(
    action: &'static str,
    run: impl FnOnce() -> std::io::Result<T>,
) -> Result<T, EngineError> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(result) => result.map_err(failed(action)),
        Err(panic) => {
            Err(EngineError { engine: NAME, action, problem: panic_text(panic.as_ref()) })
        }
    }
}

/// What a panic said, as far as it said it in words.
pub(super) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "it panicked without a message".to_owned())
}

impl SledEngine {
    /// Opens or creates the database.
    pub(super) fn open(directory: &Path) -> Result<Self, EngineError> {
        let config = sled::Config::new()
            .path(directory)
            .flush_every_ms(None)
            .cache_capacity_bytes(SLED_CACHE_BYTES)
            .zstd_compression_level(ZSTD_LEVEL);
        // The library locks the directory too, and releases that lock by closing it alone; and each
        // open starts a child process (`sync`), which holds copies of all open files for a moment.
        // Our own lock is held already, so one that is still taken here is just going away.
        let db = contained("open", || {
            wait_for_lock(|| {
                config.open::<LEAF_FANOUT>().map_err(|error| match error.kind() {
                    ErrorKind::WouldBlock => TryLockError::WouldBlock,
                    _ => TryLockError::Error(error),
                })
            })
            .map_err(std::io::Error::from)
        })?;
        Ok(Self { db })
    }

    fn write(&self, batch: sled::Batch) -> Result<(), EngineError> {
        contained("write a commit", || self.db.apply_batch(batch))?;
        contained("flush a commit", || self.db.flush().map(|_stats| ()))
    }
}

fn sequence_of(key: &[u8]) -> std::io::Result<Sequence> {
    Sequence::from_key(key).ok_or_else(|| {
        std::io::Error::other(format!("a key of {} bytes is no sequence", key.len()))
    })
}

impl Engine for SledEngine {
    fn name(&self) -> &'static str {
        NAME
    }

    fn last(&self) -> Result<Option<Sequence>, EngineError> {
        contained("read the newest record", || {
            self.db.last()?.map(|(key, _)| sequence_of(&key)).transpose()
        })
    }

    fn read(&self, from: Sequence, limit: usize) -> Result<Vec<(Sequence, Vec<u8>)>, EngineError> {
        contained("read records", || {
            self.db
                .range(from.to_key()..)
                .take(limit)
                .map(|entry| {
                    entry.and_then(|(key, value)| Ok((sequence_of(&key)?, value.to_vec())))
                })
                .collect()
        })
    }

    fn commit(&mut self, values: Vec<(Sequence, Vec<u8>)>) -> Result<(), EngineError> {
        let mut batch = sled::Batch::default();
        for (sequence, value) in values {
            batch.insert(sequence.to_key(), value);
        }
        self.write(batch)
    }

    fn truncate_before(&mut self, first: Sequence, start: Vec<u8>) -> Result<(), EngineError> {
        let mut batch = sled::Batch::default();
        contained("find old records", || {
            for entry in self.db.range(Sequence::FIRST.to_key()..first.to_key()) {
                batch.remove(entry?.0);
            }
            Ok(())
        })?;
        batch.insert(Sequence::START.to_key(), start);
        self.write(batch)
    }
}
