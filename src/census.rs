//! What a runtime has alive at this moment, counted where it begins and ends.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;
use tokio_util::task::TaskTracker;

use crate::transport::{orphans::Orphans, process_table::group_exists};

/// The books of one runtime.
#[derive(Debug)]
pub(crate) struct Census {
    /// What others can read when this runtime is no more.
    pub(crate) orphans: Arc<Orphans>,
    processes: Mutex<HashMap<u32, ProcessRecord>>,
    descriptors: AtomicUsize,
    actors: AtomicUsize,
    sessions: Mutex<HashMap<u64, TaskTracker>>,
    crashes: AtomicUsize,
}

/// A process group that this runtime started.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProcessRecord {
    /// The session that owns it.
    pub session: Arc<str>,
    /// The server that it is.
    pub server: Arc<str>,
}

impl Census {
    pub(crate) fn new(orphans: Arc<Orphans>) -> Self {
        Self {
            orphans,
            processes: Mutex::default(),
            descriptors: AtomicUsize::new(0),
            actors: AtomicUsize::new(0),
            sessions: Mutex::default(),
            crashes: AtomicUsize::new(0),
        }
    }

    pub(crate) fn process_started(&self, leader: u32, record: ProcessRecord) {
        self.processes.lock().insert(leader, record);
    }

    pub(crate) fn process_gone(&self, leader: u32) {
        self.processes.lock().remove(&leader);
    }

    pub(crate) fn session_opened(&self, number: u64, tasks: TaskTracker) {
        self.sessions.lock().insert(number, tasks);
    }

    /// How many processes there are of the session with this very id.
    pub(crate) fn processes_of(&self, session: &Arc<str>) -> usize {
        let processes = self.processes.lock();
        processes.values().filter(|record| Arc::ptr_eq(&record.session, session)).count()
    }

    pub(crate) fn session_closed(&self, number: u64) {
        self.sessions.lock().remove(&number);
    }

    /// An actor died of a defect.
    pub(crate) fn crashed(&self) {
        self.crashes.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn descriptor(self: &Arc<Self>) -> Counted {
        Counted::new(self, |census| &census.descriptors)
    }

    pub(crate) fn actor(self: &Arc<Self>) -> Counted {
        Counted::new(self, |census| &census.actors)
    }

    pub(crate) fn report(&self) -> LeakReport {
        // Where the async runtime was dropped, nobody has seen the last of them go.
        self.processes.lock().retain(|leader, _| group_exists(*leader));
        let mut processes: Vec<_> =
            self.processes.lock().iter().map(|(pid, record)| (*pid, record.clone())).collect();
        processes.sort_by_key(|(pid, _)| *pid);
        let sessions = self.sessions.lock();
        let tasks: usize = sessions.values().map(TaskTracker::len).sum();
        LeakReport {
            sessions: sessions.len(),
            processes,
            tasks: tasks + self.actors.load(Ordering::Relaxed),
            descriptors: self.descriptors.load(Ordering::Relaxed),
            watchdog: self.orphans.watchdog(),
            crashes: self.crashes.load(Ordering::Relaxed),
        }
    }
}

/// One thing that is alive as long as this is.
#[derive(Debug)]
pub(crate) struct Counted {
    census: Arc<Census>,
    counter: fn(&Census) -> &AtomicUsize,
}

impl Counted {
    fn new(census: &Arc<Census>, counter: fn(&Census) -> &AtomicUsize) -> Self {
        counter(census).fetch_add(1, Ordering::Relaxed);
        Self { census: Arc::clone(census), counter }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        (self.counter)(&self.census).fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a runtime has alive: [`Runtime::leak_report`](crate::Runtime::leak_report).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeakReport {
    /// Sessions that are open or closing.
    pub sessions: usize,
    /// Process groups, by the process id of their leader.
    pub processes: Vec<(u32, ProcessRecord)>,
    /// Tasks, those of sessions' actors included.
    pub tasks: usize,
    /// Pipe ends to servers.
    pub descriptors: usize,
    /// The process id of the runtime's watchdog, from its first stdio server to its end; see
    /// [`HostDeath`](crate::HostDeath). None on Windows.
    pub watchdog: Option<u32>,
    /// Actors that died of a defect since the runtime started. Not something alive, but something
    /// to report.
    pub crashes: usize,
}

impl LeakReport {
    /// Whether nothing is alive but the watchdog, which ends with the runtime and not with a session.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sessions == 0 && self.processes.is_empty() && self.tasks == 0 && self.descriptors == 0
    }
}

impl fmt::Display for LeakReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} sessions, {} processes, {} tasks, {} descriptors",
            self.sessions,
            self.processes.len(),
            self.tasks,
            self.descriptors
        )?;
        self.processes.iter().try_for_each(|(pid, ProcessRecord { session, server })| {
            write!(f, "\n  process {pid}: server {server:?} of session {session:?}")
        })
    }
}
