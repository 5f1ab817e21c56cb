//! What can go wrong with blobs, and who is to blame.

use std::path::PathBuf;

use proofgrid_core::ids::BlobDigest;
use proofgrid_core::units::ByteCount;
use thiserror::Error;

/// Why a blob operation failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BlobError {
    /// The directory cannot be used.
    #[error("cannot use the blob directory {directory}: {problem}; check path and permissions")]
    Directory {
        /// The directory.
        directory: PathBuf,
        /// What the system said.
        problem: String,
    },
    /// The bucket's settings cannot be used.
    #[error("cannot use the bucket {name:?}: {problem}; correct the settings of the blobs")]
    Bucket {
        /// The bucket.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// The blob is not here.
    #[error("blob {digest} is not stored here; upload it or ask another source")]
    Missing {
        /// Which blob.
        digest: BlobDigest,
    },
    /// More bytes than allowed.
    #[error("blob {digest} has {got}, at most {max} are accepted")]
    TooLong {
        /// Which blob.
        digest: BlobDigest,
        /// Its length.
        got: ByteCount,
        /// Most bytes.
        max: ByteCount,
    },
    /// The bytes have another digest than promised. The sender's fault; nothing was kept.
    #[error("the bytes sent as blob {expected} have the digest {got}; send the right ones")]
    WrongDigest {
        /// Digest promised.
        expected: BlobDigest,
        /// Digest of the bytes.
        got: BlobDigest,
    },
    /// The bytes have another length than promised. The sender's fault; nothing was kept when
    /// there were too many, too few can be resumed.
    #[error("blob {digest} was announced with {expected}, {got} arrived; send exactly that many")]
    WrongLength {
        /// Which blob.
        digest: BlobDigest,
        /// Length promised.
        expected: ByteCount,
        /// Bytes that arrived, at least.
        got: ByteCount,
    },
    /// Another upload of the same blob by the same owner runs.
    #[error("blob {digest} is being uploaded by the same sender already; wait for it")]
    Busy {
        /// Which blob.
        digest: BlobDigest,
    },
    /// The range is not inside the blob.
    #[error("bytes {start}..{end} are not inside blob {digest} of {length}")]
    Range {
        /// Which blob.
        digest: BlobDigest,
        /// First byte asked for.
        start: u64,
        /// Byte behind the last one asked for.
        end: u64,
        /// Length of the blob.
        length: ByteCount,
    },
    /// The stored bytes are no longer those that were stored.
    #[error("blob {digest} is damaged on disk, it reads as {got}; delete it and fetch it again")]
    Damaged {
        /// Which blob.
        digest: BlobDigest,
        /// Digest of what is stored.
        got: BlobDigest,
    },
    /// The sender's stream broke; the upload can be resumed.
    #[error("the upload of blob {digest} broke off: {problem}; resume it")]
    Source {
        /// Which blob.
        digest: BlobDigest,
        /// What the stream said.
        problem: String,
    },
    /// The process is shutting down, or an earlier write of this upload failed.
    #[error("the operation on blob {digest} was interrupted; try again")]
    Interrupted {
        /// Which blob.
        digest: BlobDigest,
    },
    /// The object store does not answer or fails. The same succeeds once it is back.
    #[error(
        "cannot {action} {what} now, the object store is away: {problem}; nothing is lost. Check \
         that it runs and can be reached from here"
    )]
    Away {
        /// What was tried.
        action: &'static str,
        /// With what: a digest, or the bucket.
        what: String,
        /// What the connection or the object store said.
        problem: String,
    },
    /// The object store refuses. The same succeeds once somebody has changed something.
    #[error(
        "cannot {action} {what}, the object store refuses: {problem}; check that the bucket exists \
         and that these credentials may read, write, list and delete in it"
    )]
    Refused {
        /// What was tried.
        action: &'static str,
        /// With what: a digest, or the bucket.
        what: String,
        /// What the object store said.
        problem: String,
    },
    /// The file system failed.
    #[error("cannot {action} blob {digest}: {problem}; check disk space and permissions")]
    Io {
        /// What was tried.
        action: &'static str,
        /// Which blob.
        digest: BlobDigest,
        /// What the system said.
        problem: String,
    },
}

impl BlobError {
    /// Whether the same succeeds later without anybody changing anything here.
    #[must_use]
    pub const fn is_away(&self) -> bool {
        matches!(self, Self::Away { .. })
    }

    pub(super) fn io(
        action: &'static str,
        digest: BlobDigest,
        error: impl std::fmt::Display,
    ) -> Self {
        Self::Io { action, digest, problem: error.to_string() }
    }
}
