//! The tasks of a runtime's connections: who owns them, and what ends them.

use parking_lot::Mutex;
use tokio::{
    runtime::Handle,
    task::{AbortHandle, JoinHandle},
};
use tokio_util::task::TaskTracker;

/// How many tasks are kept before anybody looks which of them are finished.
const UNSWEPT: usize = 64;

/// Tasks on the async runtime that the tree was started on: a call may come from another one, which
/// need not be there any more when its connection is used again.
#[derive(Debug)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    home: Handle,
    /// What is aborted at the end; none after it. (A token would be looked at in every poll of every
    /// connection.)
    running: Mutex<Option<Running>>,
}

#[derive(Debug, Default)]
struct Running {
    tasks: Vec<AbortHandle>,
    /// How many the last sweep left.
    swept: usize,
}

impl Running {
    /// Sweeps when they have doubled: each spawn pays for two looks, however many there are.
    fn push(&mut self, task: AbortHandle) {
        if self.tasks.len() >= 2 * self.swept + UNSWEPT {
            self.tasks.retain(|task| !task.is_finished());
            self.swept = self.tasks.len();
        }
        self.tasks.push(task);
    }
}

impl Tasks {
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub(crate) fn new() -> Self {
        let running = Mutex::new(Some(Running::default()));
        Self { tracker: TaskTracker::new(), home: Handle::current(), running }
    }

    /// Spawns a task that [`abort`](Self::abort) ends.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        let spawned = self.tracker.spawn_on(task, &self.home);
        match &mut *self.running.lock() {
            Some(running) => running.push(spawned.abort_handle()),
            None => spawned.abort(),
        }
        spawned
    }

    /// Spawns a part of another task, which it does not outlive.
    pub(crate) fn spawn_part(&self, task: impl Future<Output = ()> + Send + 'static) {
        // Joined by whoever waits for the tracker.
        drop(self.tracker.spawn_on(task, &self.home));
    }

    /// Ends all tasks. What is spawned later ends at once.
    pub(crate) fn abort(&self) {
        let running = self.running.lock().take().unwrap_or_default();
        running.tasks.iter().for_each(AbortHandle::abort);
    }

    /// Ends all tasks, and returns when none is left.
    pub(crate) async fn end(&self) {
        self.abort();
        self.tracker.close();
        self.tracker.wait().await;
    }

    #[cfg(test)]
    pub(crate) fn abort_these(&self) {
        let running = self.running.lock();
        running.iter().flat_map(|running| &running.tasks).for_each(AbortHandle::abort);
    }
}
