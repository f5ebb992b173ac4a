//! When a server is left alone for a while: a state machine without a clock.

use std::time::Duration;

/// A circuit breaker: calls to a server that failed again and again fail at once for a while, then
/// one call tries whether it works again.
///
/// Counted are links that went down under a call and calls that timed out, one after the other; any
/// answer, also one that is an error, starts the count afresh. A server that is merely not up
/// (restarting, asleep) is not counted, for its calls fail at once anyway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct CircuitBreaker {
    pub(crate) threshold: u32,
    pub(crate) recovery: Duration,
}

impl CircuitBreaker {
    /// After how many failures in a row it opens. Default 5.
    pub fn threshold(mut self, failures: u32) -> Self {
        self.threshold = failures;
        self
    }

    /// How long it stays open before one call may try. Default 60 s.
    pub fn recovery(mut self, time: Duration) -> Self {
        self.recovery = time;
        self
    }
}

impl Default for CircuitBreaker {
    fn default() -> Self {
        Self { threshold: 5, recovery: Duration::from_secs(60) }
    }
}

/// The breaker of one server. Times are durations since it was made.
#[derive(Debug)]
pub(crate) struct Breaker {
    policy: CircuitBreaker,
    state: BreakerPhase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BreakerPhase {
    /// Calls go through; so many in a row have failed.
    Closed { failures: u32 },
    /// Calls fail at once; from this time on one may try.
    Open { until: Duration },
    /// One call tries, the others fail at once.
    HalfOpen,
}

/// As what a call goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// As one of many.
    Through,
    /// As the one that tries.
    Probe,
}

/// What a call says about its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Works,
    Fails,
    /// Nothing: it was given up, or has not got that far.
    Nothing,
}

impl Breaker {
    pub(crate) fn new(policy: CircuitBreaker) -> Self {
        Self { policy, state: BreakerPhase::Closed { failures: 0 } }
    }

    pub(crate) fn phase(&self) -> BreakerPhase {
        self.state
    }

    /// Lets a call through, or says how long it is to the next try, at most.
    pub(crate) fn admit(&mut self, now: Duration) -> Result<Admission, Duration> {
        match self.state {
            BreakerPhase::Closed { .. } => Ok(Admission::Through),
            BreakerPhase::Open { until } if now >= until => {
                self.state = BreakerPhase::HalfOpen;
                Ok(Admission::Probe)
            }
            BreakerPhase::Open { until } => Err(until.saturating_sub(now)),
            BreakerPhase::HalfOpen => Err(self.policy.recovery),
        }
    }

    /// Takes what became of a call that was let through. One that began before the breaker opened
    /// says nothing about the time after.
    pub(crate) fn settle(&mut self, admission: Admission, verdict: Verdict, now: Duration) {
        let open = |recovery| BreakerPhase::Open { until: now.saturating_add(recovery) };
        let failures = match self.state {
            BreakerPhase::Closed { failures } => failures,
            BreakerPhase::Open { .. } | BreakerPhase::HalfOpen => 0,
        };
        self.state = match (self.state, admission, verdict) {
            (BreakerPhase::HalfOpen, Admission::Probe, Verdict::Works)
            | (BreakerPhase::Closed { .. }, _, Verdict::Works) => {
                BreakerPhase::Closed { failures: 0 }
            }
            (BreakerPhase::HalfOpen, Admission::Probe, Verdict::Fails) => {
                open(self.policy.recovery)
            }
            (BreakerPhase::HalfOpen, Admission::Probe, Verdict::Nothing) => open(Duration::ZERO),
            (BreakerPhase::Closed { .. }, _, Verdict::Fails) => {
                if failures + 1 >= self.policy.threshold {
                    open(self.policy.recovery)
                } else {
                    BreakerPhase::Closed { failures: failures + 1 }
                }
            }
            (unchanged, _, _) => unchanged,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::{Admission::*, BreakerPhase::*, Verdict::*, *};

    const SECOND: Duration = Duration::from_secs(1);

    fn breaker() -> Breaker {
        Breaker::new(CircuitBreaker::default().threshold(2).recovery(10 * SECOND))
    }

    fn opened() -> Breaker {
        let mut breaker = breaker();
        breaker.settle(Through, Fails, SECOND);
        breaker.settle(Through, Fails, SECOND);
        assert_eq!(breaker.phase(), Open { until: 11 * SECOND });
        breaker
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_no_others() {
        let mut breaker = breaker();
        for verdict in [Fails, Works, Fails, Nothing] {
            breaker.settle(Through, verdict, SECOND);
            assert_eq!(breaker.admit(SECOND), Ok(Through), "{verdict:?}");
        }
        assert_eq!(breaker.phase(), Closed { failures: 1 });
        breaker.settle(Through, Fails, SECOND);
        assert_eq!(breaker.admit(4 * SECOND), Err(7 * SECOND));
    }

    #[test]
    fn one_call_tries_and_decides() {
        for (verdict, after) in [
            (Works, Closed { failures: 0 }),
            (Fails, Open { until: 21 * SECOND }),
            (Nothing, Open { until: 11 * SECOND }),
        ] {
            let mut breaker = opened();
            assert_eq!(breaker.admit(11 * SECOND), Ok(Probe));
            assert_eq!(breaker.admit(11 * SECOND), Err(10 * SECOND), "while it does");
            breaker.settle(Through, Works, 11 * SECOND);
            assert_eq!(breaker.phase(), HalfOpen, "late news");
            breaker.settle(Probe, verdict, 11 * SECOND);
            assert_eq!(breaker.phase(), after, "{verdict:?}");
        }
    }

    #[test]
    fn late_news_do_not_close_what_is_open() {
        let mut breaker = opened();
        breaker.settle(Through, Works, 2 * SECOND);
        breaker.settle(Through, Fails, 3 * SECOND);
        assert_eq!(breaker.phase(), Open { until: 11 * SECOND });
    }
}
