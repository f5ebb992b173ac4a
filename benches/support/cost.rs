//! What it costs to have many servers.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use rustix::process::{Pid, test_kill_process};
use tokio::time::Instant;

use crate::fleet::Fleet;
use crate::median::median;
use crate::memory::{allow_descriptors, resident};
use crate::processor::processor_time;

/// The cost of a fleet as a whole.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost([f64; 5]);

const OPEN_SECONDS: usize = 0;
const OPEN_PROCESSOR: usize = 1;
const MEMORY: usize = 2;
const CLOSE_SECONDS: usize = 3;
const CLOSE_PROCESSOR: usize = 4;

/// Opens and closes a fleet.
pub(crate) async fn cost_of<F: Fleet>(count: usize) -> Cost {
    allow_descriptors();
    let before = resident();
    let (fleet, open_seconds, open_processor) = timed(F::open(count)).await;
    let memory = resident() - before;
    let pids = fleet.pids();
    assert_eq!(pids.len(), count);
    let ((), close_seconds, close_processor) = timed(fleet.close()).await;
    assert!(!pids.into_iter().any(is_left), "a server outlives its client");
    Cost([open_seconds, open_processor, memory, close_seconds, close_processor])
}

async fn timed<T>(work: impl Future<Output = T>) -> (T, f64, f64) {
    let (started, spent) = (Instant::now(), processor_time());
    let output = work.await;
    let spent: Duration = processor_time().saturating_sub(spent);
    (output, started.elapsed().as_secs_f64(), spent.as_secs_f64())
}

fn is_left(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    test_kill_process(pid.expect("a process id")).is_ok()
}

impl Cost {
    /// The median of each value.
    pub(crate) fn median_of(costs: &[Self]) -> Self {
        Self(std::array::from_fn(|at| median(costs.iter().map(|cost| cost.0[at]))))
    }

    /// Times as a whole, the rest for each of `count` servers.
    pub(crate) fn values(&self, count: usize) -> String {
        let each = |at: usize| self.0[at] / count as f64;
        format!(
            "open {:>6.0} ms, cpu {:>5.0} µs each   memory {:>5.0} KiB each   close {:>6.0} ms, cpu {:>5.0} µs each",
            self.0[OPEN_SECONDS] * 1e3,
            each(OPEN_PROCESSOR) * 1e6,
            each(MEMORY) / 1024.0,
            self.0[CLOSE_SECONDS] * 1e3,
            each(CLOSE_PROCESSOR) * 1e6,
        )
    }

    /// Each value as a multiple of the other's.
    pub(crate) fn ratios(&self, other: &Self) -> String {
        let over = |at: usize| self.0[at] / other.0[at];
        format!(
            "open {:>6.2} x,  cpu {:>5.2} x         memory {:>5.2} x          close {:>6.2} x,  cpu {:>5.2} x",
            over(OPEN_SECONDS),
            over(OPEN_PROCESSOR),
            over(MEMORY),
            over(CLOSE_SECONDS),
            over(CLOSE_PROCESSOR),
        )
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|value| write!(f, "{value} "))
    }
}

impl FromStr for Cost {
    type Err = String;

    fn from_str(said: &str) -> Result<Self, String> {
        let values: Result<Vec<f64>, _> = said.split_whitespace().map(str::parse).collect();
        let values = values.map_err(|error| error.to_string())?;
        let values = values.try_into().map_err(|values| format!("{values:?}"))?;
        Ok(Self(values))
    }
}
