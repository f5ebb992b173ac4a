//! What is alive of this program, counted from outside of the library: by the kernel's and by
//! tokio's books.

use std::{collections::BTreeSet, fmt, fs, time::Duration};

use callboard::Stdio;
use tokio::{runtime::Handle, time::Instant};

/// Marks every process that descends from a command of ours, whatever becomes of its parents.
const MARK: &str = "CALLBOARD_EXAMPLE";

/// How long the books may lag behind: tokio strikes a task off just after its last word.
const SETTLE: Duration = Duration::from_millis(250);

/// The view from outside, and what was there before anything started.
pub(crate) struct Outside {
    mark: String,
    descriptors: usize,
}

/// What is left of what was started.
pub(crate) struct Left {
    processes: usize,
    tasks: usize,
    descriptors: usize,
}

impl Outside {
    /// Takes stock. To be called on tokio, before a callboard runtime starts.
    pub(crate) fn new() -> Self {
        Self { mark: std::process::id().to_string(), descriptors: descriptors() }
    }

    /// Makes the processes of a command countable.
    pub(crate) fn mark(&self, stdio: Stdio) -> Stdio {
        stdio.env_literal(MARK, &self.mark)
    }

    /// The marked processes that are alive.
    pub(crate) fn processes(&self) -> BTreeSet<u32> {
        processes(&format!("{MARK}={}", self.mark))
    }

    /// Counts what is left.
    pub(crate) async fn left(&self) -> Left {
        let deadline = Instant::now() + SETTLE;
        loop {
            let left = Left {
                processes: self.processes().len(),
                tasks: Handle::current().metrics().num_alive_tasks(),
                descriptors: descriptors().saturating_sub(self.descriptors),
            };
            if left.is_nothing() || Instant::now() >= deadline {
                return left;
            }
            tokio::task::yield_now().await;
        }
    }
}

impl Left {
    pub(crate) fn is_nothing(&self) -> bool {
        self.processes + self.tasks + self.descriptors == 0
    }
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { processes, tasks, descriptors } = self;
        let verdict = if self.is_nothing() { "nothing left" } else { "LEFT BEHIND" };
        write!(f, "{verdict}: {processes} processes, {tasks} tasks, {descriptors} descriptors")
    }
}

/// The number of open descriptors of this process.
fn descriptors() -> usize {
    let listed: Vec<_> = fs::read_dir("/dev/fd").expect("/dev/fd can be listed").collect();
    // The one that the listing itself took is closed by now.
    let paths = listed.into_iter().filter_map(|entry| Some(entry.ok()?.path()));
    paths.filter(|path| fs::symlink_metadata(path).is_ok()).count()
}

/// The processes with this variable in their environment; zombies have none.
#[cfg(target_os = "linux")]
fn processes(variable: &str) -> BTreeSet<u32> {
    let entries = fs::read_dir("/proc").expect("/proc can be listed");
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let is_marked = |pid: &u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|one| one == variable.as_bytes())
    };
    pids.filter(is_marked).collect()
}

/// The processes with this variable in their environment, as `ps` shows it on macOS.
#[cfg(not(target_os = "linux"))]
fn processes(variable: &str) -> BTreeSet<u32> {
    let shown = std::process::Command::new("ps").args(["-AEww", "-o", "pid=,command="]).output();
    let shown = shown.expect("ps runs").stdout;
    let text = String::from_utf8_lossy(&shown);
    let marked = text.lines().filter(|line| line.split(' ').any(|word| word == variable));
    marked.filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect()
}
