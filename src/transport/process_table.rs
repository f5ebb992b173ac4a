//! What the operating system's process table says, where it can be read.

#[cfg(unix)]
use rustix::{
    io::Errno,
    process::{Pid, test_kill_process_group},
};

/// Whether a group has a member that is more than a zombie nobody has reaped yet.
#[cfg(unix)]
pub(crate) fn group_exists(leader: u32) -> bool {
    let Some(id) = i32::try_from(leader).ok().and_then(Pid::from_raw) else { return false };
    test_kill_process_group(id) != Err(Errno::SRCH) && group_is_alive(id.as_raw_nonzero().get())
}

#[cfg(target_os = "linux")]
mod linux {
    use std::{
        collections::{HashMap, HashSet},
        fs,
        os::fd::OwnedFd,
    };

    use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

    use crate::transport::orphans::mark::is_watchdog;

    /// A process held by a descriptor, so that its number cannot come to mean another.
    #[derive(Debug)]
    pub(crate) struct Held {
        pid: i32,
        descriptor: OwnedFd,
    }

    impl Held {
        pub(crate) fn open(pid: i32) -> Option<Self> {
            let descriptor = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
            Some(Self { pid, descriptor })
        }

        /// Kills it; false once it is gone.
        pub(crate) fn kill(&self) -> bool {
            pidfd_send_signal(&self.descriptor, Signal::KILL).is_ok() && self.is_alive()
        }

        /// Whether it is more than a zombie.
        pub(crate) fn is_alive(&self) -> bool {
            Entry::read(self.pid).is_some_and(|entry| entry.alive)
        }
    }

    /// The descendants of a group that have left it (with `setsid`, say), as far as the kernel still
    /// knows whose they are: those of a parent that died earlier are not among them.
    ///
    /// `leader` says whether the group's leader lives; if it does, its tree is the group's, and the
    /// whole table need not be read.
    pub(crate) fn strangers(group: u32, leader: bool) -> Vec<Held> {
        let Ok(group) = i32::try_from(group) else { return Vec::new() };
        let mut queue = if leader { vec![group] } else { members(group) };
        let mut found = Vec::new();
        while let Some(parent) = queue.pop() {
            for pid in children(parent) {
                queue.push(pid);
                // Opened first and looked at then, so that it is the child that is held.
                let held = Held::open(pid);
                let is_stranger = |entry: &Entry| entry.parent == parent && entry.group != group;
                if Entry::read(pid).is_some_and(|entry| is_stranger(&entry)) && !is_watchdog(pid) {
                    found.extend(held);
                }
            }
        }
        found
    }

    /// The children of a process: each of its threads has its own list.
    pub(crate) fn children(pid: i32) -> Vec<i32> {
        let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
        let lists = threads
            .filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("children")).ok());
        lists.flat_map(|list| numbers(&list)).collect()
    }

    fn numbers(list: &str) -> Vec<i32> {
        list.split_ascii_whitespace().filter_map(|number| number.parse().ok()).collect()
    }

    /// All processes.
    pub(crate) fn processes() -> impl Iterator<Item = i32> {
        let entries = fs::read_dir("/proc").into_iter().flatten();
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
    }

    /// The live members of a group.
    fn members(group: i32) -> Vec<i32> {
        let is_member = |entry: Entry| entry.group == group && entry.alive;
        processes().filter(|pid| Entry::read(*pid).is_some_and(is_member)).collect()
    }

    /// When a process started, in clock ticks since the system did: with its number, what no other
    /// process of this boot has.
    pub(crate) fn started_at(pid: u32) -> Option<u64> {
        Entry::read(i32::try_from(pid).ok()?).map(|entry| entry.start)
    }

    /// What the groups of these leaders have resident, in bytes, with the descendants that left them:
    /// one look at every process.
    pub(crate) fn resident(leaders: &HashSet<u32>) -> HashMap<u32, u64> {
        let entries: HashMap<i32, Entry> =
            processes().filter_map(|pid| Some((pid, Entry::read(pid)?))).collect();
        let page = rustix::param::page_size() as u64;
        let mut sizes = HashMap::new();
        for (pid, entry) in &entries {
            if let Some(leader) = leader_of(*pid, &entries, leaders) {
                *sizes.entry(leader).or_default() += entry.resident * page;
            }
        }
        sizes
    }

    /// The leader among these whose group a process is in, or that it descends from.
    fn leader_of(pid: i32, entries: &HashMap<i32, Entry>, leaders: &HashSet<u32>) -> Option<u32> {
        // Deeper than any tree is: the table is read piece by piece, and may hold a circle.
        const DEEP: usize = 256;
        let parents = std::iter::successors(Some(pid), |pid| Some(entries.get(pid)?.parent));
        let groups = parents.take(DEEP).map_while(|pid| entries.get(&pid));
        let mut groups = groups.filter_map(|entry| u32::try_from(entry.group).ok());
        groups.find(|group| leaders.contains(group))
    }

    /// What tells this boot of the system from every other.
    pub(crate) fn boot() -> Option<String> {
        let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        Some(id.trim_end().to_owned())
    }

    /// Whether a group has a live member.
    pub(super) fn group_is_alive(group: i32) -> bool {
        !members(group).is_empty()
    }

    /// What the table says of one process (proc(5), `/proc/pid/stat`).
    struct Entry {
        alive: bool,
        parent: i32,
        group: i32,
        start: u64,
        /// Pages.
        resident: u64,
    }

    impl Entry {
        fn read(pid: i32) -> Option<Self> {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            // The name in parentheses may hold anything, parentheses and blanks too.
            let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace();
            let alive = !matches!(fields.next()?, "Z" | "X");
            let parent = fields.next()?.parse().ok()?;
            let group = fields.next()?.parse().ok()?;
            // The group is the fifth field of the line, the start the 22nd.
            let start = fields.nth(16)?.parse().ok()?;
            // Between them stands the size of its address space.
            let resident = fields.nth(1)?.parse().ok()?;
            Some(Self { alive, parent, group, start, resident })
        }
    }
}

#[cfg(target_os = "linux")]
use linux::group_is_alive;
#[cfg(target_os = "linux")]
pub(crate) use linux::{Held, boot, children, processes, resident, started_at, strangers};

#[cfg(all(unix, not(target_os = "linux")))]
mod elsewhere {
    use std::collections::{HashMap, HashSet};

    /// Nothing is held where a process cannot be held safely.
    #[derive(Debug)]
    pub(crate) enum Held {}

    impl Held {
        pub(crate) fn kill(&self) -> bool {
            match *self {}
        }
    }

    pub(crate) fn strangers(_: u32, _: bool) -> Vec<Held> {
        Vec::new()
    }

    pub(crate) fn started_at(_: u32) -> Option<u64> {
        None
    }

    pub(crate) fn boot() -> Option<String> {
        None
    }

    pub(crate) fn resident(_: &HashSet<u32>) -> HashMap<u32, u64> {
        HashMap::new()
    }

    /// The kernel's own answer to `kill(group, 0)` has to do.
    pub(super) fn group_is_alive(_: i32) -> bool {
        true
    }
}

#[cfg(all(unix, not(target_os = "linux")))]
use elsewhere::group_is_alive;
#[cfg(all(unix, not(target_os = "linux")))]
pub(crate) use elsewhere::{Held, boot, resident, started_at, strangers};

#[cfg(windows)]
mod windows {
    use std::collections::{HashMap, HashSet};

    /// Who owns a job says when it is gone, also where the async runtime is dropped; nobody else can.
    pub(crate) fn group_exists(_: u32) -> bool {
        true
    }

    pub(crate) fn resident(_: &HashSet<u32>) -> HashMap<u32, u64> {
        HashMap::new()
    }
}

#[cfg(windows)]
pub(crate) use windows::{group_exists, resident};
