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
