//! The bounds of a verifier, each with its unit and its reason.

use std::time::Duration;

/// How long the handshake may take; a dispatcher that does not answer is dialled again.
pub const LOGIN_TIME_MAX: Duration = Duration::from_secs(15);
/// First and longest pause between two dials.
pub const REDIAL_PAUSE_MIN: Duration = Duration::from_millis(250);
/// Longest pause between two dials: an epoch's vote waits at most this long for a reconnect.
pub const REDIAL_PAUSE_MAX: Duration = Duration::from_secs(20);
/// Messages that wait to be sent; a dispatcher that reads none stops the work on its offers.
pub const OUTGOING_MESSAGES_MAX: usize = 256;
/// Offers that are worked on at a time; beyond it nothing more is read from the session.
pub const RUNNING_OFFERS_MAX: usize = 256;
/// Judged segments that are remembered, so that a statement needs no second judging (two jobs of
/// the largest number of segments).
pub const JUDGED_SEGMENTS_MAX: usize = 512;
/// Downloads at a time; each holds at most one proof in memory.
pub const DOWNLOADS_MAX: usize = 4;
/// Tries to fetch one proof before it counts as missing.
pub const DOWNLOAD_TRIES_MAX: usize = 4;
/// First pause between two tries of a download.
pub const DOWNLOAD_PAUSE_MIN: Duration = Duration::from_millis(200);
/// Silence of a download after which it is tried again.
pub const DOWNLOAD_IDLE_MAX: Duration = Duration::from_secs(20);
/// How long a source may take to answer at all: the dispatcher may first ask other verifiers, for
/// at most 30 seconds.
pub const DOWNLOAD_ANSWER_MAX: Duration = Duration::from_secs(45);
/// Other verifiers that proofs are read from when the dispatcher has none.
pub const MIRRORS_MAX: usize = 16;
/// Blobs at a time that are given back to the dispatcher; each is held in memory.
pub const GIVEN_BACK_MAX: usize = 4;
/// Longest that giving back one blob may take.
pub const GIVING_BACK_TIME_MAX: Duration = Duration::from_secs(600);
/// Connections at a time of those who read proofs from this verifier.
pub const MIRROR_CONNECTIONS_MAX: usize = 64;
/// Of [`MIRROR_CONNECTIONS_MAX`], those of one network: nobody alone keeps everybody else out.
pub const MIRROR_CONNECTIONS_PER_NETWORK_MAX: usize = 16;
/// Reads at a time on one such connection; each holds a chunk or two in memory.
pub const MIRROR_STREAMS_MAX: u32 = 4;
/// Longest pause of such a reader between two chunks, and of a connection between signs of life.
pub const MIRROR_PAUSE_MAX: Duration = Duration::from_secs(30);
/// Age at which such a connection is closed, so that idle ones do not use up the places for ever.
pub const MIRROR_CONNECTION_AGE_MAX: Duration = Duration::from_secs(600);
/// Bytes of the headers of one such read (8 KiB).
pub const MIRROR_HEADER_BYTES_MAX: u32 = 8 << 10;
/// Nothing that was judged or attested within this time is collected: certificates are posted
/// within minutes and final within the hour.
pub const KEPT_AT_LEAST: Duration = Duration::from_secs(24 * 3_600);
/// A statement that this verifier judged and never attested counts as given up after this time.
pub const OPEN_AT_MOST: Duration = Duration::from_secs(30 * 24 * 3_600);
/// How often old proofs are looked for.
pub const COLLECT_INTERVAL: Duration = Duration::from_secs(600);
/// How long an interrupted download can be resumed before its part is removed.
pub const PARTIAL_AGE_MAX: Duration = Duration::from_secs(24 * 3_600);
/// Pause between two looks at the chain while an epoch is not yet in the own view.
pub const CHAIN_PAUSE: Duration = Duration::from_millis(500);
/// Epoch tables that are remembered after the chain confirmed them.
pub const EPOCHS_MAX: usize = 8;
/// Most bytes of an explanation in a vote log record or a message.
pub const TEXT_BYTES_MAX: usize = 1000;

/// The first part of a text that fits a message, cut at a character's border.
#[must_use]
pub fn shorten(text: &str) -> String {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned()
}
