//! When a call is tried again: arithmetic, and the question whether it may be.

use std::time::Duration;

use crate::error::{CallError, Delivery};

/// When a call that failed is tried again, and after which pause.
///
/// A call is tried again only if the failed attempt cannot have been acted on
/// ([`Delivery::NotSent`]), or the tool is read-only or idempotent by the annotations of a server
/// whose annotations are [trusted](crate::ServerSpec::trust_annotations), or the host says
/// [`retry_unsafe`](Self::retry_unsafe). Never tried again is what would end the same way: an answer
/// (also one that is an error), wrong arguments, an unknown tool, a breaker that is open, a closed
/// session.
///
/// All attempts together have one deadline, the call's
/// [`total_timeout`](crate::CallOptions::total_timeout): a pause that does not fit into what is left
/// of it is not begun. A server that says how long to wait is waited for that long at least.
#[derive(Debug, Clone, Copy, PartialEq)]
#[must_use]
pub struct RetryPolicy {
    pub(crate) max_attempts: u32,
    pub(crate) delay: Duration,
    pub(crate) backoff: f64,
    pub(crate) jitter: bool,
    pub(crate) retry_unsafe: bool,
}

impl RetryPolicy {
    /// Tries again up to so many times, after the first attempt; 0 is never.
    ///
    /// The pause before the nth repetition is `delay · backoff^(n-1)`: 1 s, 2 s, 4 s, … unless told
    /// otherwise, each drawn from between its half and its whole (jitter).
    pub fn max_attempts(attempts: u32) -> Self {
        Self {
            max_attempts: attempts,
            delay: Duration::from_secs(1),
            backoff: 2.0,
            jitter: true,
            retry_unsafe: false,
        }
    }

    /// Never tries again: for a tool whose server's calls otherwise are.
    pub fn never() -> Self {
        Self::max_attempts(0)
    }

    /// The pause before the first repetition. Default 1 s.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// The factor by which each pause is longer than the one before. Default 2; what is less than 1
    /// counts as 1.
    pub fn backoff(mut self, factor: f64) -> Self {
        self.backoff = factor;
        self
    }

    /// Takes the pauses as they are, without jitter.
    pub fn without_jitter(mut self) -> Self {
        self.jitter = false;
        self
    }

    /// Tries again even if the server may have acted already: the host says that this is harmless.
    pub fn retry_unsafe(mut self) -> Self {
        self.retry_unsafe = true;
        self
    }

    /// Whether it ever tries again.
    pub(crate) fn is_on(&self) -> bool {
        self.max_attempts > 0
    }

    /// The pause before repetition number `retry` (from 1) of a call that failed so, or `None` if it
    /// is over. `harmless`: whether the tool may be run twice; `random` lies in `0.0..1.0`.
    pub(crate) fn pause(
        &self,
        retry: u32,
        error: &CallError,
        harmless: bool,
        random: f64,
    ) -> Option<Duration> {
        let harmless = harmless || self.retry_unsafe;
        if retry > self.max_attempts || !may_differ(error) {
            return None;
        }
        if !harmless && error.delivery() != Delivery::NotSent {
            return None;
        }
        Some(self.nth_delay(retry, random).max(error.retry_after().unwrap_or_default()))
    }

    fn nth_delay(&self, retry: u32, random: f64) -> Duration {
        let exponent = i32::try_from(retry.saturating_sub(1)).unwrap_or(i32::MAX);
        let seconds = self.delay.as_secs_f64() * self.backoff.max(1.0).powi(exponent);
        let whole = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        let share = if self.jitter { 0.5 + random.clamp(0.0, 1.0) / 2.0 } else { 1.0 };
        if whole == Duration::MAX { whole } else { whole.mul_f64(share) }
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::never()
    }
}

/// Whether another attempt could end differently at all.
fn may_differ(error: &CallError) -> bool {
    match error {
        CallError::NotReady { .. }
        | CallError::TransportDown { .. }
        | CallError::TimedOut { .. }
        | CallError::OverBudget { .. }
        | CallError::Overloaded { .. } => true,
        // What is wrong with the request will be wrong again; 429 and 5xx may pass.
        CallError::HttpStatus { delivery, .. } => *delivery != Delivery::Answered,
        CallError::Unauthorized { error, .. } => !error.is_permanent(),
        CallError::UnknownTool { .. }
        | CallError::AmbiguousTool { .. }
        | CallError::InvalidArguments { .. }
        | CallError::SchemaMismatch { .. }
        | CallError::SecretOutOfScope { .. }
        | CallError::Cancelled { .. }
        | CallError::Rejected { .. }
        | CallError::InvalidResponse { .. }
        | CallError::SessionClosed { .. }
        | CallError::NotOffered { .. }
        | CallError::ResourceNotFound { .. }
        | CallError::UnroutedResource { .. }
        | CallError::InputDeclined { .. }
        | CallError::CircuitOpen { .. }
        | CallError::RateLimited { .. }
        | CallError::Denied { .. }
        | CallError::Middleware { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        error::{CallLimit, HttpError},
        record::Record,
    };

    const SECOND: Duration = Duration::from_secs(1);

    fn timed_out(delivery: Delivery) -> CallError {
        let (server, tool) = ("a".to_owned(), "a.x".to_owned());
        CallError::TimedOut {
            server,
            tool,
            limit: CallLimit::Idle,
            after: SECOND,
            delivery,
            record: Record::default(),
        }
    }

    /// FX-36.
    #[test]
    fn the_nth_pause_is_the_delay_times_the_backoff_to_the_n_minus_first() {
        let policy = RetryPolicy::max_attempts(4).without_jitter();
        let error = timed_out(Delivery::NotSent);
        let pauses: Vec<_> = (1..=5).map(|n| policy.pause(n, &error, false, 0.9)).collect();
        let seconds = |n| Some(n * SECOND);
        assert_eq!(pauses, [seconds(1), seconds(2), seconds(4), seconds(8), None]);
        let tripled = policy.delay(2 * SECOND).backoff(3.0);
        assert_eq!(tripled.pause(3, &error, false, 0.0), Some(18 * SECOND));
        assert_eq!(RetryPolicy::default().pause(1, &error, true, 0.0), None);
        let far = RetryPolicy::max_attempts(u32::MAX);
        assert_eq!(far.pause(u32::MAX, &error, false, 0.5), Some(Duration::MAX));
    }

    #[test]
    fn jitter_takes_off_up_to_a_half() {
        let policy = RetryPolicy::max_attempts(1);
        let error = timed_out(Delivery::NotSent);
        assert_eq!(policy.pause(1, &error, false, 0.0), Some(SECOND / 2));
        assert_eq!(policy.pause(1, &error, false, 1.0), Some(SECOND));
    }

    #[test]
    fn what_may_have_been_acted_on_is_repeated_only_where_that_is_harmless() {
        let policy = RetryPolicy::max_attempts(1);
        let maybe = timed_out(Delivery::MaybeSent);
        assert_eq!(policy.pause(1, &maybe, false, 0.0), None);
        assert!(policy.pause(1, &maybe, true, 0.0).is_some());
        assert!(policy.retry_unsafe().pause(1, &maybe, false, 0.0).is_some());
        assert!(policy.pause(1, &timed_out(Delivery::NotSent), false, 0.0).is_some());
    }

    fn http(status: u16, delivery: Delivery, retry_after: Option<Duration>) -> CallError {
        let (server, tool, origin) = ("a".to_owned(), "a.x".to_owned(), "http://a".to_owned());
        let (challenge, body) = (None, String::new());
        let error = Arc::new(HttpError::Status { origin, status, retry_after, challenge, body });
        CallError::HttpStatus { server, tool, status, delivery, error, record: Record::default() }
    }

    #[test]
    fn a_server_that_says_how_long_to_wait_is_waited_for_that_long_at_least() {
        let policy = RetryPolicy::max_attempts(2).without_jitter();
        let pause = |error: &CallError, harmless| policy.pause(1, error, harmless, 0.0);
        let busy = http(429, Delivery::NotSent, Some(7 * SECOND));
        assert_eq!(pause(&busy, false), Some(7 * SECOND));
        let soon = http(429, Delivery::NotSent, Some(SECOND / 9));
        assert_eq!(pause(&soon, false), Some(SECOND));
        let broken = http(503, Delivery::MaybeSent, Some(7 * SECOND));
        assert_eq!((pause(&broken, false), pause(&broken, true)), (None, Some(7 * SECOND)));
        assert_eq!(pause(&http(400, Delivery::Answered, None), true), None);
    }

    #[test]
    fn an_answer_is_never_asked_for_twice() {
        let policy = RetryPolicy::max_attempts(1).retry_unsafe();
        let (server, tool) = ("a".to_owned(), "a.x".to_owned());
        let rejected = CallError::Rejected {
            server,
            tool,
            code: 1,
            message: String::new(),
            data: None,
            record: Record::default(),
        };
        assert_eq!(policy.pause(1, &rejected, true, 0.0), None);
        let closed = CallError::SessionClosed { delivery: Delivery::NotSent };
        assert_eq!(policy.pause(1, &closed, true, 0.0), None);
    }
}
