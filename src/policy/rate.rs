//! How often a server is called: the generic cell rate algorithm, without a clock.

use std::time::Duration;

/// What an interval counts as at most, 136 years: as many of these as a `u32` can count are a
/// `Duration` still, so that no declaration overflows.
const LONGEST: Duration = Duration::from_secs(u32::MAX as u64);

/// A limit on how many calls begin within a time: a call above it waits for its turn, if that comes
/// within its deadline, and fails as [`RateLimited`](crate::CallError::RateLimited) at once if not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct RateLimit {
    pub(crate) calls: u32,
    pub(crate) per: Duration,
    pub(crate) burst: u32,
}

impl RateLimit {
    /// So many calls within this time, evenly spread but for the burst.
    pub fn new(calls: u32, per: Duration) -> Self {
        Self { calls, per, ..Self::default() }
    }

    /// How many calls may come at once after a pause. Default 10.
    pub fn burst(mut self, calls: u32) -> Self {
        self.burst = calls;
        self
    }

    fn interval(&self) -> Duration {
        (self.per / self.calls.max(1)).min(LONGEST)
    }
}

/// 60 calls a minute.
impl Default for RateLimit {
    fn default() -> Self {
        Self { calls: 60, per: Duration::from_secs(60), burst: 10 }
    }
}

/// The account of one server. Times are durations since it was made.
#[derive(Debug)]
pub(crate) struct Account {
    limit: RateLimit,
    /// When the calls so far would have been through, had they been spread evenly.
    through_at: Duration,
}

impl Account {
    pub(crate) fn new(limit: RateLimit) -> Self {
        Self { limit, through_at: Duration::ZERO }
    }

    /// Books a call and says how long it has to wait; or books none, and says how long it would have
    /// had to, where that is more than `patience`.
    pub(crate) fn book(
        &mut self,
        now: Duration,
        patience: Option<Duration>,
    ) -> Result<Duration, Duration> {
        let ahead = self.limit.interval() * (self.limit.burst.max(1) - 1);
        let through_at = self.through_at.max(now);
        let wait = through_at.saturating_sub(ahead).saturating_sub(now);
        if patience.is_some_and(|patience| wait > patience) {
            return Err(wait);
        }
        self.through_at = through_at.saturating_add(self.limit.interval());
        Ok(wait)
    }

    /// Takes a booking back whose call did not begin.
    pub(crate) fn give_back(&mut self) {
        self.through_at = self.through_at.saturating_sub(self.limit.interval());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_burst_goes_through_and_the_rest_is_spread() {
        let mut account = Account::new(RateLimit::default().burst(3));
        let waits: Vec<_> = (0..5).map(|_| account.book(SECOND, None).unwrap()).collect();
        assert_eq!(waits, [0, 0, 0, 1, 2].map(|n| n * SECOND));
        assert_eq!(account.book(100 * SECOND, None), Ok(Duration::ZERO));
    }

    #[test]
    fn what_would_have_to_wait_too_long_is_not_booked() {
        let mut account = Account::new(RateLimit::new(1, SECOND).burst(1));
        assert_eq!(account.book(SECOND, Some(Duration::ZERO)), Ok(Duration::ZERO));
        assert_eq!(account.book(SECOND, Some(SECOND / 2)), Err(SECOND));
        assert_eq!(account.book(SECOND, Some(SECOND)), Ok(SECOND));
        account.give_back();
        assert_eq!(account.book(SECOND, Some(SECOND)), Ok(SECOND));
    }

    #[test]
    fn a_time_that_no_clock_can_show_lets_the_burst_through_and_nothing_else() {
        for burst in [1, 3, u32::MAX] {
            let mut account = Account::new(RateLimit::new(1, Duration::MAX).burst(burst));
            for _ in 0..burst.min(3) {
                assert_eq!(account.book(SECOND, Some(SECOND)), Ok(Duration::ZERO), "{burst}");
            }
            assert_eq!(account.book(SECOND, Some(SECOND)).is_ok(), burst == u32::MAX);
        }
    }

    #[test]
    fn no_more_than_the_limit_begin_however_long_it_goes_on() {
        let mut account = Account::new(RateLimit::default());
        let mut now = Duration::ZERO;
        let mut begun = 0;
        while now < 600 * SECOND {
            begun += u32::from(account.book(now, Some(Duration::ZERO)).is_ok());
            now += SECOND / 7;
        }
        assert!((600..=610).contains(&begun), "{begun}");
    }
}
