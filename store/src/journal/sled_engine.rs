//! The sled engine: one tree, keys are big-endian sequences.
//!
//! The release is pinned to one alpha; earlier stable releases deadlock under this load. What is
//! known to go wrong with it is kept out by construction: one handle that is never cloned per
//! operation (clones leak), no background flush (`flush_every_ms = None`: it aborts the process on
//! an error and makes writes durable by accident), small values only.

use std::fs::TryLockError;
use std::io::ErrorKind;
use std::path::Path;

use super::engine::{Engine, EngineError, contained};
use super::record::Sequence;
use crate::limits::ENGINE_CACHE_BYTES;
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

impl SledEngine {
    /// Opens or creates the database.
    pub(super) fn open(directory: &Path) -> Result<Self, EngineError> {
        let config = sled::Config::new()
            .path(directory)
            .flush_every_ms(None)
            .cache_capacity_bytes(ENGINE_CACHE_BYTES)
            .zstd_compression_level(ZSTD_LEVEL);
        // The library locks the directory too, and releases that lock by closing it alone; and each
        // open starts a child process (`sync`), which holds copies of all open files for a moment.
        // Our own lock is held already, so one that is still taken here is just going away.
        let db = contained(NAME, "open", || {
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
        contained(NAME, "write a commit", || self.db.apply_batch(batch))?;
        contained(NAME, "flush a commit", || self.db.flush().map(|_stats| ()))
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
        contained(NAME, "read the newest record", || {
            self.db.last()?.map(|(key, _)| sequence_of(&key)).transpose()
        })
    }

    fn read(&self, from: Sequence, limit: usize) -> Result<Vec<(Sequence, Vec<u8>)>, EngineError> {
        contained(NAME, "read records", || {
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
        contained(NAME, "find old records", || {
            for entry in self.db.range(Sequence::FIRST.to_key()..first.to_key()) {
                batch.remove(entry?.0);
            }
            Ok::<_, std::io::Error>(())
        })?;
        batch.insert(Sequence::START.to_key(), start);
        self.write(batch)
    }
}
