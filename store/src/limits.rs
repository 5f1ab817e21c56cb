//! The bounds of the store, each with its unit and its reason.

use std::time::Duration;

/// Most bytes of one record's payload: with its 5-byte header the stored value stays below 64 KiB,
/// above which the embedded engines turn slow and waste space. Larger things are blobs.
pub const RECORD_BYTES_MAX: usize = (64 << 10) - 16;
/// Most records of one append; an append is never split over two commits.
pub const APPEND_RECORDS_MAX: usize = 4096;
/// Records after which a commit takes no further appends: bounds the time of one flush.
pub const GROUP_RECORDS_MAX: usize = 8192;
/// Payload bytes after which a commit takes no further appends (8 MiB).
pub const GROUP_BYTES_MAX: usize = 8 << 20;
/// Appends that may wait for the owner thread; an append beyond it waits for room.
pub const QUEUED_APPENDS_MAX: usize = 1024;
/// How long a commit waits for company while appends keep coming; a lone writer never waits.
pub const GROUP_WAIT: Duration = Duration::from_millis(2);
/// A commit that takes longer is fatal: the disk or the engine hangs, and nobody may believe an
/// acknowledgement that comes after it.
pub const COMMIT_TIME_MAX: Duration = Duration::from_secs(10);
/// Records that one read of a replay fetches (at most 16 MiB).
pub const REPLAY_PAGE_RECORDS: usize = 256;
/// Records that one step of a truncation removes; commits of others run between two steps.
pub const TRUNCATE_PAGE_RECORDS: u64 = 4096;
/// Cache of an embedded engine in bytes. The journal is read once, at start, so it needs little.
pub const ENGINE_CACHE_BYTES: usize = 32 << 20;
/// Bytes of one read from a blob that is streamed (256 KiB: one gRPC chunk).
pub const BLOB_CHUNK_BYTES: usize = 256 << 10;
/// Most bytes of one blob unless configured otherwise (64 MiB, the network's input limit).
pub const BLOB_BYTES_MAX: u64 = proofgrid_core::limits::INPUT_BYTES_MAX;
/// Blobs whose length is remembered after they were stored: those that provers may deliver at once.
pub const BLOBS_LATELY_MAX: usize = 16_384;
/// Bytes of one part of an upload to a bucket (8 MiB; the protocol wants at least 5 MiB). What is no
/// longer goes in one request.
pub const BUCKET_PART_BYTES: usize = 8 << 20;
/// Bytes of one read from a bucket (1 MiB, as most proofs): a download holds as much in memory.
pub const BUCKET_READ_BYTES: u64 = 1 << 20;
/// Reads of one blob from a bucket that run at a time.
pub const BUCKET_READS_MAX: usize = 4;
/// Uploads to a bucket at a time; each holds one part in memory.
pub const BUCKET_PUTS_MAX: usize = 4;
/// Longest wait for a connection to an object store.
pub const BUCKET_CONNECT_TIME_MAX: Duration = Duration::from_secs(3);
/// Longest run of one request to an object store, of which the largest carries one part. With
/// [`BUCKET_RETRY_TIME_MAX`] no step takes longer than the 30 s that a gRPC call may take.
pub const BUCKET_REQUEST_TIME_MAX: Duration = Duration::from_secs(20);
/// Times that one request to an object store is repeated before its caller is told.
pub const BUCKET_RETRIES_MAX: usize = 8;
/// Time after which a request to an object store is not repeated any more.
pub const BUCKET_RETRY_TIME_MAX: Duration = Duration::from_secs(10);
/// First and longest pause between two tries of a request to an object store.
pub const BUCKET_PAUSES: (Duration, Duration) =
    (Duration::from_millis(100), Duration::from_secs(2));
/// Most bytes of what an object store says that are taken into an error.
pub const BUCKET_PROBLEM_BYTES_MAX: usize = 512;
