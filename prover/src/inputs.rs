//! Inputs on disk, by digest: the segments of one job share one download.
//!
//! The cache is bounded and only a cache: a file is complete or absent, its digest is checked each
//! time it is read, and the oldest go first when it is full.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;
use proofgrid_core::ids::BlobDigest;
use proofgrid_core::units::ByteCount;
use proofgrid_proofs::digest::keccak256;

use crate::disk::{self, DiskError, Durability};

/// A bounded folder of inputs.
#[derive(Debug, Clone)]
pub struct InputCache {
    dir: PathBuf,
    bytes_max: ByteCount,
}

impl InputCache {
    /// Opens the folder below the worker's own, making it if needed.
    ///
    /// # Errors
    /// [`DiskError`] if it cannot be made.
    pub fn open(data_dir: &Path, bytes_max: ByteCount) -> Result<Self, DiskError> {
        let dir = data_dir.join("inputs");
        disk::make_dir(&dir)?;
        Ok(Self { dir, bytes_max })
    }

    /// The input with this digest, if it is here and unchanged. A changed one is removed.
    #[must_use]
    pub fn read(&self, digest: &BlobDigest) -> Option<Bytes> {
        let path = self.path(digest);
        let bytes = fs::read(&path).ok()?;
        if digest_of(&bytes) != *digest {
            tracing::warn!(%digest, "a cached input has changed on disk and is fetched again");
            let _ = disk::remove(&path);
            return None;
        }
        // The time of the last use orders the evictions; without it the oldest download goes first.
        if let Ok(file) = fs::File::options().append(true).open(&path) {
            let _ = file.set_modified(SystemTime::now());
        }
        Some(bytes.into())
    }

    /// Keeps an input, evicting the least recently used others. One above the bound is not kept.
    ///
    /// # Errors
    /// [`DiskError`] if it cannot be written; the caller has the bytes and goes on.
    pub fn write(&self, digest: &BlobDigest, bytes: &[u8]) -> Result<(), DiskError> {
        let len = bytes.len() as u64;
        if len > self.bytes_max.get() {
            return Ok(());
        }
        let path = self.path(digest);
        self.evict(self.bytes_max.get() - len, &path)?;
        disk::write(&path, bytes, Durability::Atomic)
    }

    fn evict(&self, bytes_left: u64, keep: &Path) -> Result<(), DiskError> {
        let mut files: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for path in disk::files(&self.dir)? {
            let Ok(meta) = path.metadata() else { continue };
            if path != keep {
                let used = meta.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                files.push((used, meta.len(), path));
            }
        }
        files.sort();
        let mut total: u64 = files.iter().map(|(_, len, _)| len).sum();
        for (_, len, path) in files {
            if total <= bytes_left {
                break;
            }
            disk::remove(&path)?;
            total = total.saturating_sub(len);
        }
        Ok(())
    }

    fn path(&self, digest: &BlobDigest) -> PathBuf {
        self.dir.join(format!("{digest}.input"))
    }
}

/// The digest that names a blob.
#[must_use]
pub fn digest_of(bytes: &[u8]) -> BlobDigest {
    BlobDigest::from_bytes(keccak256(bytes))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn cache(dir: &Path, bytes_max: u64) -> InputCache {
        InputCache::open(dir, ByteCount::new(bytes_max)).expect("opened")
    }

    fn age(cache: &InputCache, digest: &BlobDigest, seconds: u64) {
        let file = fs::File::options().append(true).open(cache.path(digest)).expect("cached");
        let when = SystemTime::now() - Duration::from_secs(seconds);
        file.set_modified(when).expect("aged");
    }

    #[test]
    fn an_input_is_read_back_and_a_changed_one_is_not() {
        let dir = tempfile::tempdir().expect("a directory");
        let cache = cache(dir.path(), 100);
        let digest = digest_of(b"input");
        assert_eq!(cache.read(&digest), None);
        cache.write(&digest, b"input").expect("written");
        assert_eq!(cache.read(&digest).as_deref(), Some(b"input".as_slice()));
        fs::write(cache.path(&digest), b"inpux").expect("changed");
        assert_eq!(cache.read(&digest), None);
        assert!(!cache.path(&digest).exists());
    }

    #[test]
    fn the_least_recently_used_goes_first_and_the_bound_holds() {
        let dir = tempfile::tempdir().expect("a directory");
        let cache = cache(dir.path(), 10);
        let [a, b, c] = [b"aaaa", b"bbbb", b"cccc"].map(|bytes| digest_of(bytes));
        cache.write(&a, b"aaaa").expect("written");
        cache.write(&b, b"bbbb").expect("written");
        age(&cache, &a, 100);
        age(&cache, &b, 50);
        assert!(cache.read(&a).is_some(), "a use makes it the newest");
        cache.write(&c, b"cccc").expect("written");
        assert_eq!([&a, &b, &c].map(|digest| cache.read(digest).is_some()), [true, false, true]);
        cache.write(&digest_of(&[0; 11]), &[0; 11]).expect("no error");
        assert_eq!(cache.read(&digest_of(&[0; 11])), None, "above the bound it is not kept");
        assert!(cache.read(&c).is_some(), "and evicts nothing");
    }

    #[test]
    fn a_torn_write_of_an_earlier_run_is_evicted_like_any_other() {
        let dir = tempfile::tempdir().expect("a directory");
        let cache = cache(dir.path(), 4);
        fs::write(cache.dir.join("x.part"), b"torn").expect("left over");
        cache.write(&digest_of(b"aaaa"), b"aaaa").expect("written");
        assert!(!cache.dir.join("x.part").exists());
    }
}
