//! Points in time that may lie as far away as a host likes.

use std::time::Duration;

use tokio::time::Instant;

/// The end of a limit that begins now. One that no clock can show never ends.
pub(crate) fn after(limit: Duration) -> Instant {
    const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
    let now = Instant::now();
    now.checked_add(limit).unwrap_or_else(|| now + NEVER)
}
