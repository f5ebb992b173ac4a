//! What the operating system's process table says, where it can be read.

#[cfg(target_os = "linux")]
mod linux {
    use std::{fs, os::fd::OwnedFd};

    use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

    /// A process held by a descriptor, so that its number cannot come to mean another.
    #[derive(Debug)]
    pub(crate) struct Held {
        pid: i32,
        descriptor: OwnedFd,
    }

    impl Held {
        fn open(pid: i32) -> Option<Self> {
            let descriptor = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
            Some(Self { pid, descriptor })
        }

        /// Kills it; false once it is gone.
        pub(crate) fn kill(&self) -> bool {
            pidfd_send_signal(&self.descriptor, Signal::KILL).is_ok()
                && group_of(self.pid).is_some_and(|(_, alive)| alive)
        }
    }

    /// The descendants of a process that left its group (with `setsid`, say), as far as the kernel
    /// still knows whose they are: those of a parent that died earlier are not among them.
    pub(crate) fn descendants(pid: u32) -> Vec<Held> {
        let Ok(leader) = i32::try_from(pid) else { return Vec::new() };
        let mut found = Vec::new();
        let mut queue = children(leader);
        while let Some(pid) = queue.pop() {
            queue.extend(children(pid));
            if let Some(held) = Held::open(pid)
                && group_of(pid).is_some_and(|(group, _)| group != leader)
            {
                found.push(held);
            }
        }
        found
    }

    fn children(pid: i32) -> Vec<i32> {
        let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        list.unwrap_or_default().split_ascii_whitespace().filter_map(|n| n.parse().ok()).collect()
    }

    /// Whether a group has a member that is more than a zombie nobody has reaped yet.
    pub(crate) fn group_is_alive(group: i32) -> bool {
        let Ok(entries) = fs::read_dir("/proc") else { return true };
        entries
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter_map(group_of)
            .any(|(of, alive)| of == group && alive)
    }

    /// The group of a process, and whether it is alive (proc(5), `/proc/pid/stat`).
    fn group_of(pid: i32) -> Option<(i32, bool)> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may hold anything, parentheses and blanks too.
        let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace();
        let alive = !matches!(fields.next()?, "Z" | "X");
        let group = fields.nth(1)?.parse().ok()?;
        Some((group, alive))
    }
}

#[cfg(target_os = "linux")]
pub(crate) use linux::{Held, descendants, group_is_alive};

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    /// Nothing is held where a process cannot be held safely.
    #[derive(Debug)]
    pub(crate) enum Held {}

    impl Held {
        pub(crate) fn kill(&self) -> bool {
            match *self {}
        }
    }

    pub(crate) fn descendants(_: u32) -> Vec<Held> {
        Vec::new()
    }

    /// The kernel's own answer to `kill(group, 0)` has to do.
    pub(crate) fn group_is_alive(_: i32) -> bool {
        true
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) use elsewhere::{Held, descendants, group_is_alive};
