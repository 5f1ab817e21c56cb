//! The dispatcher's own bounds, each with its unit and its reason. Those of the protocol are in
//! `proofgrid_core::limits`, those of an operator in [`crate::config`].

use std::time::Duration;

/// Inputs that may wait for the actor. Beyond it an edge call is told to come back later.
pub const INBOX_MAX: usize = 4096;
/// Inputs that one flush covers: bounds the time that a caller waits for its neighbours.
pub const BATCH_INPUTS_MAX: usize = 512;
/// How often time-outs are looked at; they are seconds to minutes long.
pub const TICK: Duration = Duration::from_millis(100);
/// Messages that may wait for one slow peer. A peer that lets more pile up is disconnected: it gets
/// all that it is owed when it dials in again.
pub const OUTBOUND_MAX: usize = 1024;
/// How long a peer may take from connecting to a finished login.
pub const LOGIN_TIME_MAX: Duration = Duration::from_secs(10);
/// Planners at a time; each holds one input in memory.
pub const PLANNERS_MAX: usize = 2;
/// Intake judgements at a time; the judge itself bounds its children further.
pub const JUDGEMENTS_MAX: usize = 4;
/// Blob deletions at a time.
pub const DELETIONS_MAX: usize = 2;
/// Votes and attestations of one peer whose signature may be wrong before it is disconnected. One is
/// enough to prove a broken build, a few more are kindness; each costs a pairing.
pub const BAD_SIGNATURES_MAX: u32 = 8;
/// Messages of one session that may be malformed or refused before it is closed.
pub const BAD_MESSAGES_MAX: u32 = 64;
/// Pairings at a time on behalf of peers.
pub const VERIFICATIONS_MAX: usize = 4;
/// Events that are remembered per job for those who start watching late.
pub const FEED_EVENTS_MAX: usize = 2048;
/// Events that are remembered of all jobs together (about 60 MB). Bounds the jobs too: each has at
/// least one. Beyond it the jobs that were quiet for longest go, those that are over first.
pub const FEEDS_EVENTS_MAX: usize = 1 << 18;
/// Watchers at a time.
pub const WATCHERS_MAX: usize = 4096;
/// Accepted leases that are remembered for an oracle that is away; all fit into its stream's queue.
pub const ACCEPTANCES_MAX: usize = OUTBOUND_MAX / 2;
/// Estimates at a time; each holds one input in memory, and anybody may ask for one.
pub const ESTIMATES_MAX: usize = 2;
/// Uploads at a time of peers in a session.
pub const PEER_UPLOADS_MAX: usize = 48;
/// Uploads at a time of requesters, whose keys cost nothing.
pub const REQUESTER_UPLOADS_MAX: usize = 16;
/// Downloads at a time of peers in a session.
pub const PEER_DOWNLOADS_MAX: usize = 192;
/// Downloads at a time of requesters, whose keys cost nothing.
pub const REQUESTER_DOWNLOADS_MAX: usize = 64;
/// Blobs at a time that verifiers are asked to give back.
pub const RECALLS_MAX: usize = 16;
/// What waits to be heard of the verifier that is asked: begun, stored, over, and its own refusal.
pub const RECALL_NEWS_MAX: usize = 4;
/// Chunks of a download that wait for its reader.
pub const DOWNLOAD_BUFFER: usize = 2;
/// Blobs that requesters, and again provers, may have here or on the way before a job names them.
pub const BOOKINGS_MAX: usize = 4096;
/// Longest pause between two chunks, of a sender or of a reader.
pub const CHUNK_PAUSE_MAX: Duration = Duration::from_secs(30);
/// Time that every upload gets, whatever its length.
pub const UPLOAD_TIME_LEAST: Duration = Duration::from_secs(30);
/// Blobs that a sweep asks the actor about at a time.
pub const SWEEP_PAGE_BLOBS: usize = 1024;
/// Bytes per second (64 KiB) that an upload has to make beyond [`UPLOAD_TIME_LEAST`].
pub const UPLOAD_RATE_LEAST: u64 = 64 << 10;
/// How long an interrupted upload can be resumed and counts on its sender's account.
pub const PARTIAL_AGE_MAX: Duration = Duration::from_secs(24 * 3_600);
/// Tries to read and plan a job's input before it is left to the next start of the process.
pub const PLAN_TRIES_MAX: u32 = 4;
/// Pause before the second of [`PLAN_TRIES_MAX`]; each further one is twice as long.
pub const PLAN_PAUSE: Duration = Duration::from_millis(500);
/// Tries of planning or intake to read a blob while the object store is away, half an hour in all at
/// the least: the work waits, and only then is left as after any other failure to read.
pub const AWAY_TRIES_MAX: u32 = 900;
/// Pause between two of [`AWAY_TRIES_MAX`].
pub const AWAY_PAUSE: Duration = Duration::from_secs(2);
/// Longest run of a call that is no stream.
pub const UNARY_TIME_MAX: Duration = Duration::from_secs(30);
/// Streams at a time on one connection.
pub const STREAMS_PER_CONNECTION_MAX: u32 = 256;
/// Calls at a time on one connection that have no answer yet.
pub const CALLS_PER_CONNECTION_MAX: usize = 64;
/// Bytes of the headers of one call (16 KiB).
pub const HEADER_BYTES_MAX: u32 = 16 << 10;
/// Bytes of one HTTP/2 frame (16 KiB, the protocol's least).
pub const FRAME_BYTES_MAX: u32 = 16 << 10;
/// How often an idle connection is probed, and how long the answer may take.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// See [`KEEPALIVE_INTERVAL`].
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(35);
/// How long a TLS handshake may take.
pub const TLS_HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);
/// How far ahead of this machine's clock the nonce of an administrative call may be, in
/// milliseconds: clocks differ by less.
pub const ADMIN_NONCE_AHEAD_MS_MAX: u64 = 5_000;
/// Jobs on one page.
pub const PAGE_JOBS_MAX: u32 = 500;
/// Jobs on one page unless the caller says otherwise.
pub const PAGE_JOBS_DEFAULT: u32 = 50;
/// Jobs that one page may look at to find those that fit its filter.
pub const PAGE_SCAN_MAX: usize = 10_000;
/// Queued tasks that one answer lists.
pub const QUEUE_TASKS_MAX: usize = 1000;
/// How long sessions and calls may take to end at shutdown.
pub const DRAIN_TIME_MAX: Duration = Duration::from_secs(5);
/// How long a peer waits before it dials a dispatcher that shut down.
pub const RECONNECT_AFTER: Duration = Duration::from_secs(1);
