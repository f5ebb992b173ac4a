//! What all servers of a runtime or a session may take together; and how often processes start.

use std::{collections::VecDeque, time::Duration};

/// The time within which starts are counted.
const MINUTE: Duration = Duration::from_secs(60);

/// What all servers of a runtime, or of a session, may take together. To be given to
/// [`RuntimeBuilder::budget`](crate::RuntimeBuilder::budget) and
/// [`SessionBuilder::budget`](crate::SessionBuilder::budget); both hold. What one server may take is in
/// its [`Limits`](crate::Limits).
///
/// What is over a budget waits: a start within the server's init timeout, a call within its total
/// timeout. It then fails as [`OverBudget`](crate::OverBudget).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[must_use]
pub struct Budget {
    pub(crate) processes: Option<usize>,
    pub(crate) starts_per_minute: Option<u32>,
    pub(crate) memory: Option<u64>,
    pub(crate) calls: Option<usize>,
    pub(crate) bytes: Option<usize>,
}

impl Budget {
    /// Without any limit.
    pub fn unlimited() -> Self {
        Self::default()
    }

    /// Processes of servers at once; what these start themselves does not count.
    pub fn processes(mut self, processes: usize) -> Self {
        self.processes = Some(processes);
        self
    }

    /// Starts of processes within any 60 seconds, restarts included; of 0, none starts.
    pub fn starts_per_minute(mut self, starts: u32) -> Self {
        self.starts_per_minute = Some(starts);
        self
    }

    /// Resident memory of all processes of the servers, in bytes; memory that processes share counts
    /// for each. It is sampled, see
    /// [`RuntimeBuilder::memory_sampled_every`](crate::RuntimeBuilder::memory_sampled_every). If it is
    /// more, the largest server is restarted, as
    /// [`DownCause::Memory`](crate::DownCause::Memory). Only on Linux.
    pub fn memory(mut self, bytes: u64) -> Self {
        self.memory = Some(bytes);
        self
    }

    /// Calls in flight, and requests for resources, prompts and the like.
    pub fn calls(mut self, calls: usize) -> Self {
        self.calls = Some(calls);
        self
    }

    /// Bytes of the arguments of these, sent or waiting to be.
    pub fn bytes(mut self, bytes: usize) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// Whether calls are counted at all.
    pub(crate) fn counts_calls(&self) -> bool {
        self.calls.is_some() || self.bytes.is_some()
    }
}

/// The starts within the last minute, and those that are booked. Times are durations since it was
/// made.
#[derive(Debug)]
pub(crate) struct Starts {
    per_minute: usize,
    /// In order; the last may be yet to come.
    at: VecDeque<Duration>,
}

impl Starts {
    pub(crate) fn new(per_minute: u32) -> Self {
        Self { per_minute: usize::try_from(per_minute).unwrap_or(usize::MAX), at: VecDeque::new() }
    }

    /// Books a start and says how long it has to wait; or books none, and says how long it would have
    /// had to, where that is more than `patience`.
    pub(crate) fn book(&mut self, now: Duration, patience: Duration) -> Result<Duration, Duration> {
        if self.per_minute == 0 {
            return Err(Duration::MAX);
        }
        while self.at.front().is_some_and(|at| *at + MINUTE <= now) {
            self.at.pop_front();
        }
        // As many as are allowed may have begun within the minute before any start.
        let before = self.at.len().checked_sub(self.per_minute).and_then(|n| self.at.get(n));
        let at = before.map_or(now, |before| (*before + MINUTE).max(now));
        let wait = at - now;
        if wait > patience {
            return Err(wait);
        }
        self.at.push_back(at);
        Ok(wait)
    }

    /// Takes the booking for this time back, of which nothing came.
    pub(crate) fn give_back(&mut self, at: Duration) {
        // One that is no longer counted is not there, either.
        if let Some(booked) = self.at.iter().rposition(|one| *one == at) {
            self.at.remove(booked);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn no_more_than_so_many_start_within_any_minute() {
        let mut starts = Starts::new(10);
        let mut begun = Vec::new();
        for tenth in 0..3000_u32 {
            let now = SECOND * tenth / 10;
            if starts.book(now, Duration::ZERO).is_ok() {
                begun.push(now);
            }
        }
        assert!(begun.len() >= 50, "{}", begun.len());
        for window in begun.windows(11) {
            assert!(window[10] - window[0] >= MINUTE, "{window:?}");
        }
    }

    #[test]
    fn who_waits_has_a_turn_and_can_give_it_back() {
        let mut starts = Starts::new(2);
        assert_eq!(starts.book(SECOND, MINUTE), Ok(Duration::ZERO));
        assert_eq!(starts.book(2 * SECOND, MINUTE), Ok(Duration::ZERO));
        assert_eq!(starts.book(3 * SECOND, 10 * SECOND), Err(58 * SECOND));
        assert_eq!(starts.book(3 * SECOND, MINUTE), Ok(58 * SECOND));
        assert_eq!(starts.book(3 * SECOND, MINUTE), Ok(59 * SECOND));
        assert_eq!(starts.book(3 * SECOND, 2 * MINUTE), Ok(58 * SECOND + MINUTE));
        starts.give_back(2 * MINUTE + SECOND);
        assert_eq!(starts.book(3 * SECOND, 2 * MINUTE), Ok(58 * SECOND + MINUTE));
    }

    #[test]
    fn a_turn_that_is_given_back_is_not_that_of_another() {
        let mut starts = Starts::new(1);
        for turn in 0..3 {
            assert_eq!(starts.book(Duration::ZERO, 3 * MINUTE), Ok(turn * MINUTE));
        }
        starts.give_back(MINUTE);
        assert_eq!(
            starts.book(Duration::ZERO, 3 * MINUTE),
            Ok(3 * MINUTE),
            "the third keeps its own"
        );
        starts.give_back(MINUTE);
        assert_eq!(starts.book(Duration::ZERO, 4 * MINUTE), Ok(4 * MINUTE), "it was back already");
    }

    #[test]
    fn where_none_may_start_none_does() {
        assert_eq!(Starts::new(0).book(SECOND, Duration::MAX), Err(Duration::MAX));
    }
}
