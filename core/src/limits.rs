//! Every bound of the network in one place, with its unit and its reason.

/// Most members of an epoch: 200 entries keep the table under the 24 576-byte code limit.
pub const EPOCH_MEMBERS_MAX: usize = 200;
/// Most leaves of one Merkle tree, and so most segments of a job and statements of a batch.
pub const MERKLE_LEAVES_MAX: usize = 65_536;
/// Most segments one job may be split into; each costs a record in `settle`'s calldata.
pub const SEGMENTS_MAX: u32 = 256;
/// Commit phases after the first of one epoch's vote on one statement: each follows a commit set that was
/// opened short of a decision, and takes a minute at least where somebody hostile is the cause.
pub const SITTINGS_MAX: u32 = 16;
/// Most statements in one batch: a contested one is found by splitting, so depth stays small.
pub const BATCH_STATEMENTS_MAX: usize = 256;
/// Most bytes of an input blob (64 MiB): a day's largest known block witnesses are below 16 MiB.
pub const INPUT_BYTES_MAX: u64 = 64 << 20;
/// Most bytes of one proof envelope (32 MiB): `standard` at the largest height has 4.4 MB.
pub const PROOF_BYTES_MAX: u64 = 32 << 20;
/// Most jobs that may be live at once; a submit beyond it is refused with the number.
pub const LIVE_JOBS_MAX: usize = 1_000_000;
/// Most jobs that are known at once, ended ones that are not forgotten yet too: beyond it nobody can
/// fill the memory with jobs that end at once.
pub const KNOWN_JOBS_MAX: usize = 4_000_000;
/// How far ahead the deadline of a job may lie, in seconds (30 days), as in `TaskManager`: an ended
/// job is remembered until then.
pub const DEADLINE_SECONDS_MAX: u64 = 30 * 86_400;
/// Most jobs of one requester that may be live at once, so that one account cannot fill the queue.
pub const LIVE_JOBS_PER_REQUESTER_MAX: usize = 10_000;
/// Tries at a task before the job fails, infrastructure deaths not counted.
pub const TASK_ATTEMPTS_MAX: u32 = 4;
/// How far in the future a signed request may expire, in seconds.
pub const REQUEST_EXPIRES_SECONDS_MAX: u64 = 3600;
/// Tries of the map from a message to the curve; each fails with probability 1/2.
pub const HASH_TO_CURVE_TRIES_MAX: u32 = 256;
/// Attempts that `explain` remembers per task.
pub const EXPLAIN_ENTRIES_MAX: usize = 64;
/// Most bytes of a certificate or epoch table file (16 MiB): 65 536 leaves take below 9 MiB.
pub const CERTIFICATE_FILE_BYTES_MAX: usize = 16 << 20;
