//! The mark by which the processes of a runtime are known, whoever their parent is.
//!
//! A resource limit is inherited through `fork` and `exec`, by daemons that forked twice and called
//! `setsid` too, and anybody of the same user can read it. The one that is used bounds the CPU time of
//! real-time threads (`RLIMIT_RTTIME`; setrlimit(2)), and is set to some hundred thousand years: a
//! number that says whose the process is, and bounds nothing.

#[cfg(target_os = "linux")]
mod linux {
    use std::{
        collections::{HashMap, HashSet},
        fs,
        hash::{BuildHasher as _, RandomState},
        os::unix::fs::MetadataExt as _,
    };

    use rustix::process::{Pid, Resource, Rlimit, geteuid, getrlimit, prlimit};

    use crate::transport::process_table::{Held, children, processes};

    /// As many digits as the largest process id has (proc(5), `pid_max`: 4,194,304).
    const LEADER: u64 = 10_000_000;

    /// The runtimes, in twelve digits: with those of a leader still less than 2^63.
    const RUNTIMES: std::ops::Range<u64> = 100_000_000_000..900_000_000_000;

    /// What a watchdog bears: it is nobody's server, and has work to do when its host has gone.
    const WATCHDOG: u64 = RUNTIMES.end * LEADER;

    /// How many processes are looked at before others have their turn.
    const AT_ONCE: usize = 64;

    /// The mark of one runtime; its processes bear the number of the group's leader, too.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) struct Mark(u64);

    /// The processes of some groups, by the leaders of these.
    pub(crate) type Marked = HashMap<u32, Vec<Held>>;

    impl Mark {
        /// A mark of nobody else's; none where this process may not set one.
        pub(crate) fn new() -> Option<Self> {
            let highest = getrlimit(Resource::Rttime).maximum;
            let fits = highest.is_none_or(|highest| highest >= RUNTIMES.end * LEADER);
            // Not of the generator that plans of faults seed, lest two runtimes draw the same.
            let drawn = RandomState::new().hash_one(std::process::id());
            fits.then(|| Self(RUNTIMES.start + drawn % (RUNTIMES.end - RUNTIMES.start)))
        }

        /// The mark that another process wrote down.
        pub(crate) fn of(digits: u64) -> Option<Self> {
            RUNTIMES.contains(&digits).then_some(Self(digits))
        }

        /// How the limit begins that marks a process; seven digits follow.
        pub(crate) fn digits(self) -> u64 {
            self.0
        }

        /// Marks a leader that has just been started, and with it whatever it will start; what it has
        /// started by now is marked after it, so that nothing can fall in between.
        pub(crate) fn put_on(self, leader: u32) {
            let Ok(pid) = i32::try_from(leader) else { return };
            let mut queue = vec![pid];
            while let Some(pid) = queue.pop() {
                let maximum = getrlimit(Resource::Rttime).maximum;
                let current = Some(self.0 * LEADER + u64::from(leader));
                let limit = Rlimit { current, maximum };
                // One that has ended by now, or is another user's, cannot be marked.
                if prlimit(Pid::from_raw(pid), Resource::Rttime, limit).is_ok() {
                    queue.extend(children(pid));
                }
            }
        }

        /// The leader of the group that a process belongs or belonged to, if it bears this mark.
        fn leader_of(self, pid: i32) -> Option<u32> {
            let soft = limit_of(pid)?;
            (soft / LEADER == self.0).then(|| u32::try_from(soft % LEADER).ok())?
        }

        /// Takes hold of a process that bears this mark.
        fn hold(self, pid: i32, wanted: impl Fn(u32) -> bool) -> Option<(u32, Held)> {
            self.leader_of(pid).filter(|leader| wanted(*leader))?;
            // Opened first and looked at then, so that it is a marked one that is held.
            let held = Held::open(pid)?;
            let leader = self.leader_of(pid).filter(|leader| wanted(*leader))?;
            held.is_alive().then_some((leader, held))
        }

        /// The processes that bear the marks of these leaders. Looks at every process that may be
        /// signalled: some 10 µs each.
        pub(crate) async fn find(self, leaders: &HashSet<u32>) -> Marked {
            let mut marked = Marked::new();
            for (n, pid) in candidates().into_iter().enumerate() {
                if let Some((leader, held)) = self.hold(pid, |leader| leaders.contains(&leader)) {
                    marked.entry(leader).or_default().push(held);
                }
                if n % AT_ONCE == AT_ONCE - 1 {
                    tokio::task::yield_now().await;
                }
            }
            marked
        }

        /// All that bear the mark of this leader, or of any of the runtime's, at once.
        pub(crate) fn find_now(self, leader: Option<u32>) -> Vec<Held> {
            let wanted = |found: u32| leader.is_none_or(|leader| leader == found);
            candidates().into_iter().filter_map(|pid| Some(self.hold(pid, wanted)?.1)).collect()
        }
    }

    /// Marks a watchdog as such: whoever stops its host, as a server of theirs, leaves it alone.
    pub(crate) fn put_on_watchdog(pid: u32) {
        let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return };
        let maximum = getrlimit(Resource::Rttime).maximum;
        let limit = Rlimit { current: Some(WATCHDOG), maximum };
        // Where that may not be done, nobody bears a mark.
        let (Ok(_) | Err(_)) = prlimit(Some(pid), Resource::Rttime, limit);
    }

    /// Whether a process is a watchdog by its mark.
    pub(crate) fn is_watchdog(pid: i32) -> bool {
        limit_of(pid) == Some(WATCHDOG)
    }

    /// The limit that is the mark (proc(5), `/proc/pid/limits`).
    fn limit_of(pid: i32) -> Option<u64> {
        let limits = fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
        let line = limits.lines().rev().find_map(|l| l.strip_prefix("Max realtime timeout"))?;
        line.split_ascii_whitespace().next()?.parse().ok()
    }

    /// The processes that this one may signal.
    fn candidates() -> Vec<i32> {
        let user = geteuid();
        let ours = |pid: &i32| {
            user.is_root()
                || fs::metadata(format!("/proc/{pid}"))
                    .is_ok_and(|entry| entry.uid() == user.as_raw())
        };
        processes().filter(ours).collect()
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_seed_for_jitter_makes_no_two_runtimes_alike() {
            let marks: HashSet<u64> = (0..100)
                .map(|_| {
                    fastrand::seed(7);
                    let mark = Mark::new().unwrap();
                    assert_eq!(Mark::of(mark.digits()), Some(mark));
                    mark.digits()
                })
                .collect();
            assert_eq!(marks.len(), 100);
        }
    }
}

#[cfg(target_os = "linux")]
pub(crate) use linux::{Mark, Marked, is_watchdog, put_on_watchdog};

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use std::collections::{HashMap, HashSet};

    use crate::transport::process_table::Held;

    /// Elsewhere, no process can see the limits of another.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) enum Mark {}

    pub(crate) type Marked = HashMap<u32, Vec<Held>>;

    impl Mark {
        pub(crate) fn new() -> Option<Self> {
            None
        }

        pub(crate) fn of(_: u64) -> Option<Self> {
            None
        }

        pub(crate) fn digits(self) -> u64 {
            match self {}
        }

        pub(crate) fn put_on(self, _: u32) {
            match self {}
        }

        pub(crate) async fn find(self, _: &HashSet<u32>) -> Marked {
            match self {}
        }

        pub(crate) fn find_now(self, _: Option<u32>) -> Vec<Held> {
            match self {}
        }
    }

    pub(crate) fn put_on_watchdog(_: u32) {}
}

#[cfg(not(target_os = "linux"))]
pub(crate) use elsewhere::{Mark, Marked, put_on_watchdog};
