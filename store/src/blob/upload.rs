//! One running upload: a partial file, the hash of what is in it, and the promise it must keep.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use alloy_primitives::Keccak256;
use bytes::Bytes;
use object_store::ObjectStoreExt;
use proofgrid_core::ids::BlobDigest;
use proofgrid_core::units::ByteCount;

use super::error::BlobError;
use super::lately::Ticket;
use super::{BlobStore, Stored, UploadKey, blob_path, partial_path};
use crate::blocking::complete;
use crate::limits::{BLOB_CHUNK_BYTES, BUCKET_PART_BYTES};

/// The digest that names these bytes.
pub(super) fn digest_of(bytes: &[u8]) -> BlobDigest {
    BlobDigest::from_bytes(alloy_primitives::keccak256(bytes).0)
}

/// Takes the key out of the set of running uploads when the last user of the file is done.
#[derive(Debug)]
struct Running {
    key: UploadKey,
    set: Arc<Mutex<HashSet<UploadKey>>>,
}

impl Running {
    fn enter(store: &BlobStore, key: UploadKey) -> Result<Self, BlobError> {
        let set = Arc::clone(&store.running);
        let is_free = match set.lock() {
            Ok(mut running) => running.insert(key),
            // The set is only inserted into and removed from, so it is whole after any panic.
            Err(poisoned) => poisoned.into_inner().insert(key),
        };
        if is_free { Ok(Self { key, set }) } else { Err(BlobError::Busy { digest: key.0 }) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        match self.set.lock() {
            Ok(mut running) => running.remove(&self.key),
            Err(poisoned) => poisoned.into_inner().remove(&self.key),
        };
    }
}

/// The partial file. Moves to a blocking thread and back for each step; if the upload is dropped
/// meanwhile, the step still ends before the key is free again.
pub(super) struct Partial {
    file: File,
    path: PathBuf,
    hasher: Keccak256,
    written: u64,
    _running: Running,
}

impl Partial {
    /// Opens the file and hashes what it holds. What is longer than promised starts anew.
    fn open(path: PathBuf, length: u64, running: Running) -> std::io::Result<Self> {
        // An operator may have removed the folder under a running process.
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut file =
            OpenOptions::new().create(true).truncate(false).read(true).append(true).open(&path)?;
        let mut hasher = Keccak256::new();
        let mut written = 0u64;
        if file.metadata()?.len() > length {
            file.set_len(0)?;
        }
        let mut buffer = vec![0; BLOB_CHUNK_BYTES];
        loop {
            let count = file.read(&mut buffer)?;
            let Some(chunk) = buffer.get(..count).filter(|chunk| !chunk.is_empty()) else { break };
            hasher.update(chunk);
            written += count as u64;
        }
        Ok(Self { file, path, hasher, written, _running: running })
    }

    fn write(&mut self, chunk: &[u8]) -> std::io::Result<()> {
        self.file.write_all(chunk)?;
        self.hasher.update(chunk);
        self.written += chunk.len() as u64;
        Ok(())
    }

    fn restart(&mut self) -> std::io::Result<()> {
        self.file.set_len(0)?;
        self.hasher = Keccak256::new();
        self.written = 0;
        Ok(())
    }

    fn remove(self) -> std::io::Result<()> {
        std::fs::remove_file(&self.path)
    }

    /// Bytes that the file holds.
    pub(super) const fn written(&self) -> u64 {
        self.written
    }

    /// Reads the part of the file that begins at `start`, for a bucket.
    pub(super) async fn part(
        digest: BlobDigest,
        partial: Box<Self>,
        start: u64,
    ) -> Result<(Box<Self>, Bytes), BlobError> {
        let left = partial.written.saturating_sub(start);
        let length =
            usize::try_from(left).map_or(BUCKET_PART_BYTES, |left| left.min(BUCKET_PART_BYTES));
        let step = move || {
            let mut bytes = vec![0; length];
            partial.file.read_exact_at(&mut bytes, start)?;
            Ok((partial, bytes.into()))
        };
        blocking(digest, "read", step).await
    }

    /// Removes the file, whose bytes are stored.
    pub(super) async fn remove_file(
        digest: BlobDigest,
        partial: Box<Self>,
    ) -> Result<(), BlobError> {
        blocking(digest, "remove", move || partial.remove()).await
    }
}

/// A running upload. Dropping it keeps what was written, so that it can be resumed.
pub struct Upload {
    store: BlobStore,
    key: UploadKey,
    length: ByteCount,
    state: State,
}

enum State {
    /// The blob was complete before the upload began; chunks are counted and dropped.
    Known {
        skipped: u64,
    },
    Open(Box<Partial>),
    /// A step failed or was abandoned; the upload must be started again.
    Broken,
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upload")
            .field("digest", &self.key.0)
            .field("length", &self.length)
            .field("offset", &self.offset())
            .finish_non_exhaustive()
    }
}

impl Upload {
    pub(super) async fn start(
        store: &BlobStore,
        key: UploadKey,
        length: ByteCount,
        is_known: bool,
    ) -> Result<Self, BlobError> {
        let state = if is_known {
            State::Known { skipped: length.get() }
        } else {
            let running = Running::enter(store, key)?;
            let path = store
                .files
                .path_to_filesystem(&partial_path(key))
                .map_err(|error| BlobError::io("name", key.0, error))?;
            let opened = blocking(key.0, "open", move || {
                Partial::open(path, length.get(), running).map(Box::new)
            });
            State::Open(opened.await?)
        };
        Ok(Self { store: store.clone(), key, length, state })
    }

    /// Bytes that are stored already: where the sender goes on. The full length for a blob that is
    /// complete already.
    #[must_use]
    pub fn offset(&self) -> ByteCount {
        match &self.state {
            State::Known { skipped } => ByteCount::new(*skipped),
            State::Open(partial) => ByteCount::new(partial.written),
            State::Broken => ByteCount::ZERO,
        }
    }

    /// Whether the whole blob was stored before this upload began.
    #[must_use]
    pub const fn is_known(&self) -> bool {
        matches!(self.state, State::Known { .. })
    }

    /// Forgets what an earlier try left, so that the next byte is byte 0.
    ///
    /// # Errors
    /// What the file system says.
    pub async fn restart(&mut self) -> Result<(), BlobError> {
        match std::mem::replace(&mut self.state, State::Broken) {
            State::Known { .. } => {
                self.state = State::Known { skipped: 0 };
                Ok(())
            }
            State::Open(mut partial) => {
                let step =
                    blocking(self.key.0, "restart", move || partial.restart().map(|()| partial));
                self.state = State::Open(step.await?);
                Ok(())
            }
            State::Broken => Err(BlobError::Interrupted { digest: self.key.0 }),
        }
    }

    /// Appends bytes at the offset. Costs one hash and one write, off the runtime's threads.
    ///
    /// # Errors
    /// [`BlobError::WrongLength`] when more arrives than promised; the partial file is removed.
    pub async fn write(&mut self, chunk: Bytes) -> Result<(), BlobError> {
        let digest = self.key.0;
        let got = self.offset().saturating_add(ByteCount::new(chunk.len() as u64));
        match std::mem::replace(&mut self.state, State::Broken) {
            State::Broken => Err(BlobError::Interrupted { digest }),
            State::Known { .. } if got > self.length => {
                Err(BlobError::WrongLength { digest, expected: self.length, got })
            }
            State::Known { .. } => {
                self.state = State::Known { skipped: got.get() };
                Ok(())
            }
            State::Open(partial) if got > self.length => {
                blocking(digest, "remove", move || partial.remove()).await?;
                Err(BlobError::WrongLength { digest, expected: self.length, got })
            }
            State::Open(mut partial) => {
                let step =
                    blocking(digest, "write", move || partial.write(&chunk).map(|()| partial));
                self.state = State::Open(step.await?);
                Ok(())
            }
        }
    }

    /// Checks length and digest, flushes and gives the blob its name, or stores it in the bucket.
    /// Durable when it returns; while the bucket is away, what was written stays and can be resumed.
    ///
    /// # Errors
    /// [`BlobError::WrongLength`] when bytes are missing (resumable), [`BlobError::WrongDigest`]
    /// when they are others (nothing is kept), or what the file system says.
    pub async fn finish(mut self) -> Result<Stored, BlobError> {
        let (digest, got) = (self.key.0, self.offset());
        let state = std::mem::replace(&mut self.state, State::Broken);
        if got != self.length {
            return Err(match state {
                State::Broken => BlobError::Interrupted { digest },
                _ => BlobError::WrongLength { digest, expected: self.length, got },
            });
        }
        let partial = match state {
            State::Open(partial) => partial,
            State::Known { .. } => return self.check_known().await,
            State::Broken => return Err(BlobError::Interrupted { digest }),
        };
        let got = BlobDigest::from_bytes(partial.hasher.clone().finalize().0);
        if got != digest {
            blocking(digest, "remove", move || partial.remove()).await?;
            return Err(BlobError::WrongDigest { expected: digest, got });
        }
        let ticket = match &self.store.bucket {
            Some(bucket) => {
                let ticket = self.store.lately.ticket();
                bucket.put(digest, partial).await?;
                ticket
            }
            None => self.name(partial).await?,
        };
        self.store.lately.note(ticket, digest, self.length);
        Ok(Stored::New)
    }

    /// Flushes the partial file and gives it the blob's name.
    async fn name(&self, partial: Box<Partial>) -> Result<Ticket, BlobError> {
        let digest = self.key.0;
        let _partial =
            blocking(digest, "flush", move || partial.file.sync_all().map(|()| partial)).await?;
        let ticket = self.store.lately.ticket();
        // The rename flushes both directories; another owner may have stored the same bytes.
        complete(self.store.files.rename(&partial_path(self.key), &blob_path(digest)))
            .await
            .map_err(|error| BlobError::io("name", digest, error))?;
        Ok(ticket)
    }

    /// A sender that lies about the length of a known blob is told so.
    async fn check_known(&self) -> Result<Stored, BlobError> {
        let digest = self.key.0;
        match self.store.length(digest).await? {
            Some(length) if length == self.length => Ok(Stored::Known),
            Some(got) => Err(BlobError::WrongLength { digest, expected: self.length, got }),
            None => Err(BlobError::Missing { digest }),
        }
    }

    /// Ends the upload and removes what was written.
    ///
    /// # Errors
    /// What the file system says.
    pub async fn abort(mut self) -> Result<(), BlobError> {
        match std::mem::replace(&mut self.state, State::Broken) {
            State::Open(partial) => blocking(self.key.0, "remove", move || partial.remove()).await,
            State::Known { .. } | State::Broken => Ok(()),
        }
    }
}

async fn blocking<T: Send + 'static>(
    digest: BlobDigest,
    action: &'static str,
    step: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, BlobError> {
    crate::blocking::spawn(step)
        .await
        .map_err(|_cancelled| BlobError::Interrupted { digest })?
        .map_err(|error| BlobError::io(action, digest, error))
}

/// Removes partial files whose last write is `age` ago; running uploads are left alone.
pub(super) async fn sweep(store: &BlobStore, age: Duration) -> Result<usize, BlobError> {
    let refuse = |problem: String| BlobError::Directory { directory: "partial".into(), problem };
    let directory = store
        .files
        .path_to_filesystem(&object_store::path::Path::from("partial"))
        .map_err(|error| refuse(error.to_string()))?;
    let running: HashSet<String> = match store.running.lock() {
        Ok(running) => running.iter().copied().filter_map(file_name).collect(),
        Err(poisoned) => poisoned.into_inner().iter().copied().filter_map(file_name).collect(),
    };
    let swept = crate::blocking::spawn(move || sweep_directory(&directory, &running, age));
    swept
        .await
        .map_err(|error| refuse(error.to_string()))?
        .map_err(|error| refuse(error.to_string()))
}

fn file_name(key: UploadKey) -> Option<String> {
    partial_path(key).filename().map(str::to_owned)
}

fn sweep_directory(
    directory: &std::path::Path,
    running: &HashSet<String>,
    age: Duration,
) -> std::io::Result<usize> {
    let mut removed = 0;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(|name| running.contains(name)) {
            continue;
        }
        let idle = SystemTime::now().duration_since(entry.metadata()?.modified()?);
        if idle.is_ok_and(|idle| idle >= age) {
            std::fs::remove_file(entry.path())?;
            removed += 1;
        }
    }
    Ok(removed)
}
