//! The blob store: large, immutable byte strings named by their Keccak-256 digest.
//!
//! Bytes arrive as a stream whose sender may lie about digest and length. They are hashed while they
//! are written to a partial file; only a file with the promised length and digest is flushed and
//! renamed to its name. An interrupted upload keeps its partial file and resumes at its length.
//! Partial files belong to one owner each, so that nobody can spoil another's upload.
//!
//! Whole blobs lie in the same directory or in a bucket of an S3-compatible object store; partial
//! files are always local, and a blob goes to the bucket after its check.
//!
//! Every path is built from a digest and an address, never from a string that came from outside.

mod bucket;
mod error;
mod lately;
mod upload;

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::stream::{BoxStream, Stream, StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt};
use proofgrid_core::ids::{Address, BlobDigest};
use proofgrid_core::units::ByteCount;

pub use self::bucket::{BucketConfig, BucketCredentials};
pub use self::error::BlobError;
pub use self::upload::Upload;

use self::bucket::Bucket;
use self::lately::Lately;
use crate::blocking::complete;
use crate::limits::{
    BLOB_BYTES_MAX, BLOB_CHUNK_BYTES, BUCKET_READ_BYTES, BUCKET_READS_MAX, BUCKET_RETRIES_MAX,
};

/// How a blob store is opened.
#[derive(Clone, Debug)]
pub struct BlobStoreConfig {
    /// Directory of the blobs and of what is on its way; created if missing.
    pub directory: PathBuf,
    /// Where whole blobs lie instead of in the directory.
    pub bucket: Option<BucketConfig>,
    /// Most bytes of one blob.
    pub blob_bytes_max: ByteCount,
}

impl BlobStoreConfig {
    /// A store in `directory` with the network's limit.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            bucket: None,
            blob_bytes_max: ByteCount::new(BLOB_BYTES_MAX),
        }
    }
}

/// What a completed put did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// The blob is new.
    New,
    /// The blob was there already; nothing was written.
    Known,
}

/// What the directory or bucket says about a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobFacts {
    /// Its length.
    pub length: ByteCount,
    /// When it was stored.
    pub stored_at: SystemTime,
}

/// Digest and owner of an upload; at most one upload runs per key.
type UploadKey = (BlobDigest, Address);

/// A content-addressed store; cheap to clone.
#[derive(Clone, Debug)]
pub struct BlobStore {
    /// Partial files, and whole blobs unless there is a bucket.
    files: Arc<LocalFileSystem>,
    directory: Arc<Path>,
    /// Whole blobs.
    objects: Arc<dyn ObjectStore>,
    bucket: Option<Bucket>,
    blob_bytes_max: ByteCount,
    running: Arc<Mutex<HashSet<UploadKey>>>,
    lately: Arc<Lately>,
}

impl BlobStore {
    /// Opens or creates a store. A bucket is not asked anything yet, see [`Self::check`].
    ///
    /// # Errors
    /// [`BlobError::Directory`] if the directory cannot be created or read; [`BlobError::Bucket`] if
    /// the bucket's settings cannot be used.
    pub fn open(config: &BlobStoreConfig) -> Result<Self, BlobError> {
        Self::open_with(config, BUCKET_RETRIES_MAX)
    }

    fn open_with(config: &BlobStoreConfig, retries_max: usize) -> Result<Self, BlobError> {
        let refuse =
            |problem: String| BlobError::Directory { directory: config.directory.clone(), problem };
        for part in ["partial", "blobs"] {
            std::fs::create_dir_all(config.directory.join(part))
                .map_err(|error| refuse(error.to_string()))?;
        }
        let files = LocalFileSystem::new_with_prefix(&config.directory)
            .map_err(|error| refuse(error.to_string()))?
            .with_fsync(true);
        let files = Arc::new(files);
        let open = |bucket: &BucketConfig| Bucket::open(bucket, retries_max);
        let bucket = config.bucket.as_ref().map(open).transpose()?;
        let objects: Arc<dyn ObjectStore> = match &bucket {
            Some(bucket) => bucket.objects(),
            None => Arc::<LocalFileSystem>::clone(&files),
        };
        Ok(Self {
            files,
            directory: config.directory.as_path().into(),
            objects,
            bucket,
            blob_bytes_max: config.blob_bytes_max,
            running: Arc::default(),
            lately: Arc::default(),
        })
    }

    /// Asks a bucket whether it is there and lets this process in, so that wrong settings are told
    /// at the start and not by the first blob. A directory was asked when it was opened.
    ///
    /// # Errors
    /// [`BlobError::Refused`] or [`BlobError::Away`].
    pub async fn check(&self) -> Result<(), BlobError> {
        if self.bucket.is_none() {
            return Ok(());
        }
        let listed = self.objects.list(Some(&ObjectPath::from("blobs"))).next().await;
        let listed =
            listed.transpose().map_err(|error| bucket::failed("list", &"the bucket", error));
        listed.map(|_| ())
    }

    /// What a failure of the place of the blobs means.
    fn failed(
        &self,
        action: &'static str,
        digest: BlobDigest,
        error: object_store::Error,
    ) -> BlobError {
        match &self.bucket {
            Some(_) => bucket::failed(action, &digest, error),
            None => BlobError::io(action, digest, error),
        }
    }

    /// Starts or resumes an upload of `length` bytes with this digest.
    ///
    /// `owner` is whoever is accountable for the bytes; an interrupted upload is resumed by the same
    /// owner only. Rehashes what is already there: one read of the partial file.
    ///
    /// # Errors
    /// [`BlobError::TooLong`], [`BlobError::Busy`] while another upload of the same blob by the same
    /// owner runs, or what the file system says.
    pub async fn upload(
        &self,
        owner: Address,
        digest: BlobDigest,
        length: ByteCount,
    ) -> Result<Upload, BlobError> {
        if length > self.blob_bytes_max {
            return Err(BlobError::TooLong { digest, got: length, max: self.blob_bytes_max });
        }
        let is_known = self.length(digest).await?.is_some();
        Upload::start(self, (digest, owner), length, is_known).await
    }

    /// Bytes that an interrupted or running upload of this owner has written; 0 without one.
    ///
    /// # Errors
    /// What the file system says.
    pub async fn partial_length(
        &self,
        owner: Address,
        digest: BlobDigest,
    ) -> Result<ByteCount, BlobError> {
        match complete(self.files.head(&partial_path((digest, owner)))).await {
            Ok(meta) => Ok(ByteCount::new(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(ByteCount::ZERO),
            Err(error) => Err(BlobError::io("look up", digest, error)),
        }
    }

    /// Reads a stream to its end and stores it.
    ///
    /// # Errors
    /// As [`Self::upload`]; [`BlobError::WrongDigest`], [`BlobError::WrongLength`] for a lie, which
    /// leaves nothing behind; [`BlobError::Source`] if the stream fails, which can be resumed.
    pub async fn put<E: std::fmt::Display>(
        &self,
        owner: Address,
        digest: BlobDigest,
        length: ByteCount,
        mut stream: impl Stream<Item = Result<Bytes, E>> + Unpin,
    ) -> Result<Stored, BlobError> {
        let mut upload = self.upload(owner, digest, length).await?;
        upload.restart().await?;
        while let Some(chunk) = stream.next().await {
            let chunk =
                chunk.map_err(|error| BlobError::Source { digest, problem: error.to_string() })?;
            upload.write(chunk).await?;
        }
        upload.finish().await
    }

    /// Stores bytes that are in memory already.
    ///
    /// # Errors
    /// As [`Self::put`].
    pub async fn put_bytes(
        &self,
        owner: Address,
        digest: BlobDigest,
        bytes: Bytes,
    ) -> Result<Stored, BlobError> {
        let length = ByteCount::new(bytes.len() as u64);
        let one = futures::stream::iter([Ok::<_, std::convert::Infallible>(bytes)]);
        self.put(owner, digest, length, one).await
    }

    /// The length of a blob, `None` if it is not here.
    ///
    /// # Errors
    /// What the file system says.
    pub async fn length(&self, digest: BlobDigest) -> Result<Option<ByteCount>, BlobError> {
        Ok(self.facts(digest).await?.map(|facts| facts.length))
    }

    /// The length of a blob that this process stored lately and did not remove; `None` says nothing.
    /// Costs no look at the disk.
    #[must_use]
    pub fn stored_lately(&self, digest: BlobDigest) -> Option<ByteCount> {
        self.lately.get(&digest)
    }

    /// Length and age of a blob, `None` if it is not here.
    ///
    /// # Errors
    /// What the file system says.
    pub async fn facts(&self, digest: BlobDigest) -> Result<Option<BlobFacts>, BlobError> {
        match complete(self.objects.head(&blob_path(digest))).await {
            Ok(meta) => {
                let (length, stored_at) = (ByteCount::new(meta.size), meta.last_modified.into());
                Ok(Some(BlobFacts { length, stored_at }))
            }
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed("look up", digest, error)),
        }
    }

    /// Whether the blob is here.
    ///
    /// # Errors
    /// What the file system says.
    pub async fn exists(&self, digest: BlobDigest) -> Result<bool, BlobError> {
        Ok(self.length(digest).await?.is_some())
    }

    /// The whole blob, its digest checked again.
    ///
    /// # Errors
    /// [`BlobError::Missing`]; [`BlobError::TooLong`] above `bytes_max`; [`BlobError::Damaged`] if
    /// the disk no longer holds what was stored.
    pub async fn get(&self, digest: BlobDigest, bytes_max: ByteCount) -> Result<Bytes, BlobError> {
        let read = match &self.bucket {
            Some(_) => {
                let bytes = self.collect(digest, bytes_max).await?;
                crate::blocking::spawn(move || checked(digest, bytes))
            }
            None => {
                let store = self.clone();
                crate::blocking::spawn(move || store.get_blocking(digest, bytes_max))
            }
        };
        read.await.map_err(|_| BlobError::Interrupted { digest })?
    }

    /// As [`Self::get`], for work that has a thread of its own already: one change of threads for
    /// the read, its check and the work.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn get_blocking(
        &self,
        digest: BlobDigest,
        bytes_max: ByteCount,
    ) -> Result<Bytes, BlobError> {
        if self.bucket.is_some() {
            let runtime = tokio::runtime::Handle::try_current()
                .map_err(|_none| BlobError::Interrupted { digest })?;
            return checked(digest, runtime.block_on(self.collect(digest, bytes_max))?);
        }
        let failed = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::NotFound => BlobError::Missing { digest },
            _ => BlobError::io("read", digest, error),
        };
        let path = self.directory.join(blob_path(digest).as_ref());
        let mut file = File::open(path).map_err(failed)?;
        let length = ByteCount::new(file.metadata().map_err(failed)?.len());
        if length > bytes_max {
            return Err(BlobError::TooLong { digest, got: length, max: bytes_max });
        }
        let mut bytes = Vec::with_capacity(usize::try_from(length.get()).unwrap_or(0));
        file.read_to_end(&mut bytes).map_err(failed)?;
        checked(digest, bytes.into())
    }

    /// The bytes of a blob in a bucket, unchecked.
    async fn collect(&self, digest: BlobDigest, bytes_max: ByteCount) -> Result<Bytes, BlobError> {
        let length = self.length(digest).await?.ok_or(BlobError::Missing { digest })?;
        if length > bytes_max {
            return Err(BlobError::TooLong { digest, got: length, max: bytes_max });
        }
        let end = length.get();
        let starts = (0..end).step_by(BUCKET_READ_BYTES as usize);
        let reads = starts.map(|start| {
            self.read(digest, start..start.saturating_add(BUCKET_READ_BYTES).min(end))
        });
        let parts = futures::stream::iter(reads).buffered(BUCKET_READS_MAX);
        let parts: Vec<Bytes> = parts.try_collect().await?;
        Ok(match <[Bytes; 1]>::try_from(parts) {
            Ok([whole]) => whole,
            Err(parts) => parts.concat().into(),
        })
    }

    /// Part of a blob; the digest cannot be checked on a part.
    ///
    /// # Errors
    /// [`BlobError::Missing`]; [`BlobError::Range`] if the range is empty or leaves the blob.
    pub async fn get_range(
        &self,
        digest: BlobDigest,
        range: Range<u64>,
    ) -> Result<Bytes, BlobError> {
        let length = self.length(digest).await?.ok_or(BlobError::Missing { digest })?;
        if range.start >= range.end || range.end > length.get() {
            return Err(BlobError::Range { digest, start: range.start, end: range.end, length });
        }
        self.read(digest, range).await
    }

    /// Part of a blob that is long enough.
    async fn read(&self, digest: BlobDigest, range: Range<u64>) -> Result<Bytes, BlobError> {
        match complete(self.objects.get_range(&blob_path(digest), range)).await {
            Ok(bytes) => Ok(bytes),
            Err(object_store::Error::NotFound { .. }) => Err(BlobError::Missing { digest }),
            Err(error) => Err(self.failed("read", digest, error)),
        }
    }

    /// The blob from `offset` on in chunks of 256 KiB; whoever receives all of it checks the digest.
    /// An offset at the end gives an empty stream.
    ///
    /// # Errors
    /// [`BlobError::Missing`]; [`BlobError::Range`] if the offset is beyond the end.
    pub async fn stream(
        &self,
        digest: BlobDigest,
        offset: u64,
    ) -> Result<BoxStream<'static, Result<Bytes, BlobError>>, BlobError> {
        let length = self.length(digest).await?.ok_or(BlobError::Missing { digest })?;
        let end = length.get();
        if offset > end {
            return Err(BlobError::Range { digest, start: offset, end, length });
        }
        let step = if self.bucket.is_some() { BUCKET_READ_BYTES } else { BLOB_CHUNK_BYTES as u64 };
        let store = self.clone();
        let chunks = futures::stream::try_unfold((offset, Bytes::new()), move |(at, held)| {
            let store = store.clone();
            async move {
                let (mut at, mut held) = (at, held);
                if held.is_empty() {
                    if at >= end {
                        return Ok(None);
                    }
                    let stop = at.saturating_add(step).min(end);
                    held = store.read(digest, at..stop).await?;
                    at = stop;
                }
                let chunk = held.split_to(held.len().min(BLOB_CHUNK_BYTES));
                Ok(Some((chunk, (at, held))))
            }
        });
        Ok(chunks.boxed())
    }

    /// Removes a blob; removing one that is not here is no error. Returns whether it was.
    ///
    /// # Errors
    /// What the file system says.
    pub async fn delete(&self, digest: BlobDigest) -> Result<bool, BlobError> {
        // A bucket does not tell whether there was anything to remove.
        if self.bucket.is_some() && !self.exists(digest).await? {
            return Ok(false);
        }
        self.lately.forget(&digest);
        let deleted = complete(self.objects.delete(&blob_path(digest))).await;
        self.lately.forget(&digest);
        match deleted {
            Ok(()) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(self.failed("delete", digest, error)),
        }
    }

    /// The digests of all blobs that are here, in no order. Files with other names are passed over.
    ///
    /// An item is an error when the directory or bucket cannot be listed.
    #[must_use]
    pub fn digests(&self) -> BoxStream<'static, Result<BlobDigest, BlobError>> {
        let in_bucket = self.bucket.is_some();
        let digest = move |listed: object_store::Result<object_store::ObjectMeta>| match listed {
            Ok(meta) => digest_at(&meta.location).map(Ok),
            Err(error) if in_bucket => Some(Err(bucket::failed("list", &"the bucket", error))),
            Err(error) => {
                let (directory, problem) = ("blobs".into(), error.to_string());
                Some(Err(BlobError::Directory { directory, problem }))
            }
        };
        let objects = Arc::clone(&self.objects);
        let list = async move { objects.list(Some(&ObjectPath::from("blobs"))) };
        let listed = futures::stream::once(complete(list)).flatten();
        listed.filter_map(move |listed| std::future::ready(digest(listed))).boxed()
    }

    /// Removes partial files that nobody has written to for `age`. Returns how many.
    ///
    /// # Errors
    /// When the directory cannot be listed or a file not removed.
    pub async fn sweep_partial(&self, age: Duration) -> Result<usize, BlobError> {
        upload::sweep(self, age).await
    }
}

/// The bytes of a blob, if they are still those that it is named by.
fn checked(digest: BlobDigest, bytes: Bytes) -> Result<Bytes, BlobError> {
    let got = upload::digest_of(&bytes);
    if got == digest { Ok(bytes) } else { Err(BlobError::Damaged { digest, got }) }
}

/// `blobs/ab/abcd...`: 256 directories keep each one small.
fn blob_path(digest: BlobDigest) -> ObjectPath {
    let name = alloy_primitives::hex::encode(digest.as_bytes());
    let (shard, _) = name.split_at(2);
    ObjectPath::from_iter(["blobs", shard, &name])
}

/// The digest whose blob lies at `path`, if one does.
fn digest_at(path: &ObjectPath) -> Option<BlobDigest> {
    let bytes = alloy_primitives::hex::decode_to_array(path.filename()?).ok()?;
    let digest = BlobDigest::from_bytes(bytes);
    (blob_path(digest) == *path).then_some(digest)
}

/// `partial/<digest>-<owner>`.
fn partial_path((digest, owner): UploadKey) -> ObjectPath {
    let digest = alloy_primitives::hex::encode(digest.as_bytes());
    let owner = alloy_primitives::hex::encode(owner.as_bytes());
    ObjectPath::from_iter(["partial", &format!("{digest}-{owner}")])
}
