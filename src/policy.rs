//! Restart, backoff and limits: arithmetic on counts and durations, without a clock.

mod breaker;
mod budget;
mod cache;
mod health;
mod options;
mod rate;
mod retry;

pub use breaker::CircuitBreaker;
pub(crate) use breaker::{Admission, Breaker, BreakerPhase, Verdict};
pub use budget::Budget;
pub(crate) use budget::Starts;
pub use cache::CachePolicy;
pub(crate) use cache::Lifetime;
pub use health::HealthCheck;
#[cfg(feature = "validate")]
pub use options::SchemaCheck;
pub use options::{CallOptions, WhenDown};
pub(crate) use rate::Account;
pub use rate::RateLimit;
pub use retry::RetryPolicy;

use std::{collections::VecDeque, time::Duration};

/// When a server is started again, how soon, and when to stop trying.
///
/// The vocabulary is that of OTP's supervisors (intensity in a period), with a backoff in front.
#[derive(Debug, Clone, PartialEq)]
pub struct RestartPolicy {
    pub(crate) mode: RestartMode,
    pub(crate) max_restarts: u32,
    pub(crate) window: Duration,
    pub(crate) reset_after: Duration,
    pub(crate) backoff: Backoff,
}

/// Which ends of a link are followed by a new start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RestartMode {
    Never,
    OnFailure,
    Always,
}

impl RestartPolicy {
    /// No automatic restart: a server that is lost stays lost until
    /// [`Server::restart`](crate::Server::restart).
    #[must_use]
    pub fn never() -> Self {
        Self { mode: RestartMode::Never, ..Self::default() }
    }

    /// A restart after every start that failed and every link that ended unasked, except after a
    /// [permanent cause](crate::ConnectError::is_permanent). The default.
    #[must_use]
    pub fn on_failure() -> Self {
        Self::default()
    }

    /// As [`on_failure`](Self::on_failure), and after a permanent cause too: for a command that may
    /// be installed later.
    #[must_use]
    pub fn always() -> Self {
        Self { mode: RestartMode::Always, ..Self::default() }
    }

    /// Gives up on the server after `restarts` restarts within `window`. Default: 5 in 60 s.
    #[must_use]
    pub fn max_restarts(mut self, restarts: u32, window: Duration) -> Self {
        self.max_restarts = restarts;
        self.window = window;
        self
    }

    /// How long to wait before a restart.
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// After how long a time of Ready the backoff and the count of restarts start afresh. A
    /// handshake alone resets nothing. Default: 60 s.
    #[must_use]
    pub fn reset_after(mut self, uptime: Duration) -> Self {
        self.reset_after = uptime;
        self
    }
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            mode: RestartMode::OnFailure,
            max_restarts: 5,
            window: Duration::from_secs(60),
            reset_after: Duration::from_secs(60),
            backoff: Backoff::default(),
        }
    }
}

/// The delays before restarts: doubling from the first to the longest, each drawn from zero up to
/// its bound (full jitter), so that a hundred servers do not come back at once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    pub(crate) initial: Duration,
    pub(crate) max: Duration,
    pub(crate) jitter: bool,
}

impl Backoff {
    /// Doubles from `initial` up to `max`, with full jitter.
    #[must_use]
    pub fn new(initial: Duration, max: Duration) -> Self {
        Self { initial, max, jitter: true }
    }

    /// Takes the bounds themselves as the delays: for tests, and for hosts with a single server.
    #[must_use]
    pub fn without_jitter(mut self) -> Self {
        self.jitter = false;
        self
    }

    /// The delay before restart number `attempt` (from 0); `random` lies in `0.0..1.0`.
    pub(crate) fn delay(&self, attempt: u32, random: f64) -> Duration {
        let bound = self.initial.saturating_mul(2u32.saturating_pow(attempt)).min(self.max);
        if self.jitter { bound.mul_f64(random.clamp(0.0, 1.0)) } else { bound }
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new(Duration::from_millis(200), Duration::from_secs(30))
    }
}

/// The restarts of one server within a sliding window.
#[derive(Debug, Default, Clone)]
pub(crate) struct Intensity {
    restarts: VecDeque<Duration>,
}

impl Intensity {
    /// Counts a restart at `now`, or refuses it because the window is full.
    pub(crate) fn admit(&mut self, now: Duration, policy: &RestartPolicy) -> bool {
        while self.restarts.front().is_some_and(|&at| now.saturating_sub(at) > policy.window) {
            self.restarts.pop_front();
        }
        if self.restarts.len() >= policy.max_restarts as usize {
            return false;
        }
        self.restarts.push_back(now);
        true
    }

    pub(crate) fn reset(&mut self) {
        self.restarts.clear();
    }
}

/// The bounds of one server: nothing that it does may take the host's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Calls in flight; one more is refused as `overloaded`. Default 256.
    pub max_calls: usize,
    /// Calls that are sent to the server at once; more wait for their turn, within their deadline,
    /// and are then refused as `overloaded`. Of a server that is opened
    /// [for each call](crate::ServerSpec::per_call), other requests count as well, for each is a
    /// process of its own. Default: as many as are in flight.
    pub max_concurrent: Option<usize>,
    /// Results that are kept by [`CachePolicy`], and the bytes that they and their arguments may take
    /// together. Default 1,024, and 16 MiB.
    pub max_cached: (usize, usize),
    /// Bytes of requests in flight; more are refused as `overloaded`. Default 64 MiB.
    pub max_call_bytes: usize,
    /// Resident memory of its processes, in bytes; memory that they share counts for each. It is
    /// sampled, see
    /// [`RuntimeBuilder::memory_sampled_every`](crate::RuntimeBuilder::memory_sampled_every). If it is
    /// more, the server is restarted, as [`DownCause::Memory`](crate::DownCause::Memory). Only on
    /// Linux. Default: no limit.
    pub max_memory: Option<u64>,
    /// The largest message the server may send, in bytes; a larger one ends the link. Default
    /// 64 MiB.
    pub max_frame: usize,
    /// Pages of one listing; the rest is left out and reported. Default 256.
    pub max_pages: usize,
    /// Tools of one listing; the rest is left out and reported. Default 16,384.
    pub max_tools: usize,
    /// Messages of a link that its [`Record`](crate::Record) keeps, the first 8 of them for good, and
    /// how many bytes of each. Default 32, and 112, which take memory once they come; `(0, 0)` keeps
    /// nothing. For a [`Cassette`](crate::Cassette) that can be played back, as many as there are
    /// going to be, and `usize::MAX`.
    pub record: (usize, usize),
}

impl Limits {
    /// Sets [`max_calls`](Self::max_calls).
    #[must_use]
    pub fn with_max_calls(mut self, calls: usize) -> Self {
        self.max_calls = calls;
        self
    }

    /// Sets [`max_concurrent`](Self::max_concurrent).
    #[must_use]
    pub fn with_max_concurrent(mut self, calls: usize) -> Self {
        self.max_concurrent = Some(calls);
        self
    }

    /// Sets [`max_cached`](Self::max_cached).
    #[must_use]
    pub fn with_max_cached(mut self, results: usize, bytes: usize) -> Self {
        self.max_cached = (results, bytes);
        self
    }

    /// Sets [`max_call_bytes`](Self::max_call_bytes).
    #[must_use]
    pub fn with_max_call_bytes(mut self, bytes: usize) -> Self {
        self.max_call_bytes = bytes;
        self
    }

    /// Sets [`max_memory`](Self::max_memory).
    #[must_use]
    pub fn with_max_memory(mut self, bytes: u64) -> Self {
        self.max_memory = Some(bytes);
        self
    }

    /// Sets [`max_frame`](Self::max_frame).
    #[must_use]
    pub fn with_max_frame(mut self, bytes: usize) -> Self {
        self.max_frame = bytes;
        self
    }

    /// Sets [`max_pages`](Self::max_pages).
    #[must_use]
    pub fn with_max_pages(mut self, pages: usize) -> Self {
        self.max_pages = pages;
        self
    }

    /// Sets [`record`](Self::record).
    #[must_use]
    pub fn with_record(mut self, messages: usize, bytes: usize) -> Self {
        self.record = (messages, bytes);
        self
    }

    /// Sets [`max_tools`](Self::max_tools).
    #[must_use]
    pub fn with_max_tools(mut self, tools: usize) -> Self {
        self.max_tools = tools;
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_calls: 256,
            max_concurrent: None,
            max_cached: (1024, 16 << 20),
            max_call_bytes: 64 << 20,
            max_memory: None,
            max_frame: 64 << 20,
            max_pages: 256,
            max_tools: 16_384,
            record: (32, 112),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn backoff_doubles_up_to_its_maximum() {
        let backoff = Backoff::default().without_jitter();
        let delays: Vec<_> = (0..9).map(|n| backoff.delay(n, 0.5).as_millis()).collect();
        assert_eq!(delays, [200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000]);
        assert_eq!(backoff.delay(u32::MAX, 0.5), Duration::from_secs(30));
    }

    #[test]
    fn full_jitter_draws_from_zero_to_the_bound() {
        let backoff = Backoff::default();
        assert_eq!(backoff.delay(2, 0.0), Duration::ZERO);
        assert_eq!(backoff.delay(2, 0.5), Duration::from_millis(400));
        assert!(backoff.delay(2, 0.999) < Duration::from_millis(800));
    }

    #[test]
    fn intensity_refuses_within_the_window_and_forgets_after_it() {
        let policy = RestartPolicy::on_failure().max_restarts(2, 10 * SECOND);
        let mut intensity = Intensity::default();
        assert!(intensity.admit(SECOND, &policy));
        assert!(intensity.admit(2 * SECOND, &policy));
        assert!(!intensity.admit(3 * SECOND, &policy));
        assert!(intensity.admit(12 * SECOND, &policy), "the first has left the window");
        assert!(!intensity.admit(12 * SECOND, &policy));
        intensity.reset();
        assert!(intensity.admit(12 * SECOND, &policy));
    }
}
