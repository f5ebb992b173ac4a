//! What this process takes from the processors.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The time this process has spent on processors, without its children.
pub(crate) fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(time).expect("a time that is not negative")
}
