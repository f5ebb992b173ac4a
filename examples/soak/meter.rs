//! What this process has at one moment, by the books of the kernel, of tokio and of the allocator.

use std::fs;

use tokio::runtime::Handle;

/// Marks every process that descends from this one's servers, whatever becomes of its parents.
pub(crate) const MARK: &str = "CALLBOARD_SOAK";

pub(crate) struct Meter {
    mark: String,
}

/// One look; memory in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    pub(crate) descriptors: f64,
    pub(crate) tasks: f64,
    pub(crate) processes: f64,
    pub(crate) heap: f64,
    pub(crate) resident: f64,
}

impl Meter {
    pub(crate) fn new(mark: &str) -> Self {
        Self { mark: format!("{MARK}={mark}") }
    }

    pub(crate) fn look(&self, heap: usize) -> Look {
        Look {
            descriptors: entries("/proc/self/fd").count() as f64,
            tasks: Handle::current().metrics().num_alive_tasks() as f64,
            processes: processes(&self.mark) as f64,
            heap: heap as f64,
            resident: resident(),
        }
    }
}

/// How many processes have this variable in their environment; zombies have none.
pub(crate) fn processes(variable: &str) -> usize {
    let pids = entries("/proc").filter(|name| name.parse::<u32>().is_ok());
    let marked = pids.filter(|pid| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|one| one == variable.as_bytes())
    });
    marked.count()
}

fn entries(folder: &str) -> impl Iterator<Item = String> {
    let listed = fs::read_dir(folder).expect("/proc can be listed");
    listed.filter_map(|entry| entry.ok()?.file_name().into_string().ok())
}

/// Heap and stacks that are in memory. Code is not counted: its pages are read once.
fn resident() -> f64 {
    let rollup = fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Anonymous:"));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
    number.and_then(|number| number.trim().parse::<f64>().ok()).unwrap_or_default() * 1024.0
}
