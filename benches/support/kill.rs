//! The end of a server that was not asked.

use rustix::process::{Pid, Signal, kill_process};

/// Kills a server that still runs.
pub(crate) fn kill(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    kill_process(pid.expect("a process id"), Signal::KILL).expect("kill the server");
}
