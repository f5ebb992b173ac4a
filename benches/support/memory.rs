//! What this process holds.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Bytes of heap and stacks in memory. Code is not counted: its pages are read once, not per server.
pub(crate) fn resident() -> f64 {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").expect("the memory in use");
    let line = rollup.lines().find_map(|line| line.strip_prefix("Anonymous:"));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kibibytes: f64 = number.and_then(|number| number.trim().parse().ok()).expect("a number");
    kibibytes * 1024.0
}

/// Raises this process's limit of open files as far as it may.
pub(crate) fn allow_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    setrlimit(Resource::Nofile, raised).expect("raise the limit of open files");
}
