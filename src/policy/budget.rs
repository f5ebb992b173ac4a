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

/// The starts within the last minute, and those that are booked. Times are durations since it was made.
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

    /// When one may start, no earlier than `from`; never, if none may.
    pub(crate) fn next(&self, from: Duration) -> Option<Duration> {
        if self.per_minute == 0 {
            return None;
        }
        // As many as are allowed may have begun within the minute before any start.
        let before = self.at.len().checked_sub(self.per_minute).and_then(|n| self.at.get(n));
        Some(before.map_or(from, |before| (*before + MINUTE).max(from)))
    }

    /// Books a start for a time that [`next`](Self::next) gave, or a later one.
    pub(crate) fn book(&mut self, at: Duration, now: Duration) {
        while self.at.front().is_some_and(|at| *at + MINUTE <= now) {
            self.at.pop_front();
        }
        // Before those who had to wait for something else as well.
        let place = self.at.partition_point(|one| *one <= at);
        self.at.insert(place, at);
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

    /// Starts, booked one after the other; times are seconds since it was made.
    struct Booked(Starts);

    impl Booked {
        fn new(per_minute: u32) -> Self {
            Self(Starts::new(per_minute))
        }

        fn next(&self, from: u32) -> u64 {
            self.0.next(SECOND * from).unwrap().as_secs()
        }

        fn book(&mut self, now: u32) -> u64 {
            self.book_from(now, now)
        }

        fn book_from(&mut self, now: u32, from: u32) -> u64 {
            let at = self.next(from);
            self.0.book(Duration::from_secs(at), SECOND * now);
            at
        }

        fn give_back(&mut self, at: u32) {
            self.0.give_back(SECOND * at);
        }
    }

    fn assert_within_limit(begun: &[u64], per_minute: usize) {
        assert!(begun.len() > per_minute);
        for window in begun.windows(per_minute + 1) {
            assert!(window[per_minute] - window[0] >= 60, "{window:?}");
        }
    }

    #[test]
    fn no_more_than_so_many_start_within_any_minute() {
        let mut starts = Booked::new(10);
        let free = (0..300).filter(|&now| {
            let free = starts.next(now) == u64::from(now);
            free && starts.book(now) == u64::from(now)
        });
        let begun: Vec<u64> = free.map(u64::from).collect();
        assert!(begun.len() >= 50, "{}", begun.len());
        assert_within_limit(&begun, 10);
    }

    #[test]
    fn who_waits_has_a_turn_and_can_give_it_back() {
        let mut starts = Booked::new(2);
        assert_eq!([1, 2, 3, 3, 3].map(|now| starts.book(now)), [1, 2, 61, 62, 121]);
        starts.give_back(121);
        assert_eq!(starts.book(3), 121);
    }

    #[test]
    fn a_turn_that_is_given_back_is_not_that_of_another() {
        let mut starts = Booked::new(1);
        assert_eq!([0; 3].map(|now| starts.book(now)), [0, 60, 120]);
        starts.give_back(60);
        assert_eq!(starts.book(0), 180, "the third keeps its own");
        starts.give_back(60);
        assert_eq!(starts.book(0), 240, "it was back already");
    }

    #[test]
    fn who_starts_later_than_it_might_is_counted_when_it_starts() {
        for per_minute in [1, 2, 3] {
            let mut starts = Booked::new(per_minute);
            // Every third waits for something else, too.
            let from = |now| if now % 3 == 0 { now + 50 } else { now };
            let mut begun: Vec<_> = (0..50).map(|now| starts.book_from(now, from(now))).collect();
            begun.sort_unstable();
            assert_within_limit(&begun, per_minute as usize);
        }
    }

    #[test]
    fn where_none_may_start_none_does() {
        assert_eq!(Starts::new(0).next(SECOND), None);
    }
}
