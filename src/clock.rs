//! The time of day.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970, as the collection's stamps are.
#[must_use]
pub fn now_ms() -> i64 {
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX)
}

/// Seconds since 1970.
#[must_use]
pub fn now_secs() -> i64 {
    now_ms() / 1000
}
