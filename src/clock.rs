//! What time is it, for what outlives the process or is told to others?

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time since 1970; none at all where the clock says that it is earlier.
pub(crate) fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The same in whole seconds, as certificates count them.
pub(crate) fn seconds_since_1970() -> i64 {
    i64::try_from(since_1970().as_secs()).unwrap_or(i64::MAX)
}
