//! How often a server is called: the generic cell rate algorithm, without a clock.

use std::{collections::BTreeSet, time::Duration};

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
    /// Turns that were given back while later ones were booked.
    free: BTreeSet<Duration>,
}

impl Account {
    pub(crate) fn new(limit: RateLimit) -> Self {
        Self { limit, through_at: Duration::ZERO, free: BTreeSet::new() }
    }

    /// Books a call and says when its turn is; or books none, and says how long it would have had to
    /// wait, where that is more than `patience`.
    pub(crate) fn book(
        &mut self,
        now: Duration,
        patience: Option<Duration>,
    ) -> Result<Duration, Duration> {
        // A turn that passed unused is gone: to make up for it would be two calls at once.
        self.free = self.free.split_off(&now);
        let through_at = self.through_at.max(now);
        let next = through_at.saturating_sub(self.ahead()).max(now);
        let free = self.free.first().copied();
        let at = free.unwrap_or(next);
        let wait = at - now;
        if patience.is_some_and(|patience| wait > patience) {
            return Err(wait);
        }
        if free.is_some() {
            self.free.pop_first();
        } else {
            self.through_at = through_at.saturating_add(self.limit.interval());
        }
        Ok(at)
    }

    /// Takes back the turn of a call that waited for it, and did not begin.
    pub(crate) fn give_back(&mut self, at: Duration) {
        self.free.insert(at);
        // What nobody stands behind is as if it had never been booked.
        while let Some(last) = self.free.last().copied().filter(|&last| self.is_last(last)) {
            self.free.remove(&last);
            self.through_at = last + self.ahead();
        }
    }

    fn is_last(&self, turn: Duration) -> bool {
        turn.saturating_add(self.ahead() + self.limit.interval()) == self.through_at
    }

    /// How much earlier than evenly spread a call may begin.
    fn ahead(&self) -> Duration {
        self.limit.interval() * (self.limit.burst.max(1) - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_burst_goes_through_and_the_rest_is_spread() {
        let mut account = Account::new(RateLimit::default().burst(3));
        let turns: Vec<_> = (0..5).map(|_| account.book(SECOND, None).unwrap()).collect();
        assert_eq!(turns, [1, 1, 1, 2, 3].map(|n| n * SECOND));
        assert_eq!(account.book(100 * SECOND, None), Ok(100 * SECOND));
    }

    #[test]
    fn what_would_have_to_wait_too_long_is_not_booked() {
        let mut account = Account::new(RateLimit::new(1, SECOND).burst(1));
        assert_eq!(account.book(SECOND, Some(Duration::ZERO)), Ok(SECOND));
        assert_eq!(account.book(SECOND, Some(SECOND / 2)), Err(SECOND));
        assert_eq!(account.book(SECOND, Some(SECOND)), Ok(2 * SECOND));
        account.give_back(2 * SECOND);
        assert_eq!(account.book(SECOND, Some(SECOND)), Ok(2 * SECOND));
    }

    #[test]
    fn a_turn_that_is_given_back_is_not_that_of_another() {
        for burst in [1, 3] {
            let mut account = Account::new(RateLimit::new(1, SECOND).burst(burst));
            let mut book = |now: u32| account.book(now * SECOND, None).unwrap().as_secs();
            (0..burst).for_each(|_| assert_eq!(book(0), 0));
            assert_eq!([book(0), book(0), book(0)], [1, 2, 3]);
            account.give_back(SECOND);
            let mut book = |now: u32| account.book(now * SECOND, None).unwrap().as_secs();
            assert_eq!([book(0), book(0)], [1, 4], "nobody is at the turn of another");
            account.give_back(3 * SECOND);
            account.give_back(4 * SECOND);
            let mut book = |now: u32| account.book(now * SECOND, None).unwrap().as_secs();
            assert_eq!([book(0), book(0)], [3, 4], "as if they had never been booked");
            account.give_back(2 * SECOND);
            assert_eq!(account.book(3 * SECOND, None), Ok(5 * SECOND), "its time has passed");
        }
    }

    #[test]
    fn a_time_that_no_clock_can_show_lets_the_burst_through_and_nothing_else() {
        for burst in [1, 3, u32::MAX] {
            let mut account = Account::new(RateLimit::new(1, Duration::MAX).burst(burst));
            for _ in 0..burst.min(3) {
                assert_eq!(account.book(SECOND, Some(SECOND)), Ok(SECOND), "{burst}");
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
