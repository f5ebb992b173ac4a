//! Where a client and its server may run.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// With every processor, the scheduler decides whether a client and its server share one, and a
/// wake-up across processors can cost more than the whole call; on one processor the same work
/// takes the same time in every round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placement {
    /// On one processor, with one worker.
    One,
    /// Wherever the scheduler likes.
    All,
}

impl Placement {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::All => "all",
        }
    }

    /// Runs `work` on a new thread; what it starts stays where it is.
    pub(crate) fn run<T: Send>(self, work: impl FnOnce() -> T + Send) -> T {
        let placed = || {
            if self == Self::One {
                stay_on_one();
            }
            work()
        };
        std::thread::scope(|scope| scope.spawn(placed).join().expect("the work ends"))
    }
}

/// Binds this thread to the last processor it may use: the first one has the interrupts.
fn stay_on_one() {
    let allowed = sched_getaffinity(None).expect("the allowed processors");
    let last = (0..CpuSet::MAX_CPU).rfind(|&at| allowed.is_set(at));
    let mut one = CpuSet::new();
    one.set(last.expect("an allowed processor"));
    sched_setaffinity(None, &one).expect("bind this thread to a processor");
}
