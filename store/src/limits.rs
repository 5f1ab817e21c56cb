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
