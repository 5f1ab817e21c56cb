//! The dispatcher's clock. Core reads none; this is the only place that does.

use std::time::{SystemTime, UNIX_EPOCH};

use proofgrid_core::units::UnixMillis;

/// Milliseconds since the Unix epoch; zero if the machine's clock is before it.
#[must_use]
pub fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis::new(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
