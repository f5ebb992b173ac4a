//! The tasks of a runtime's connections: who owns them, and what ends them.

use std::sync::Arc;

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::{
    runtime::Handle,
    task::{AbortHandle, JoinHandle},
};
use tokio_util::task::TaskTracker;

/// Tasks on the async runtime that the tree was started on: a call may come from another one, which
/// need not be there any more when its connection is used again.
#[derive(Debug)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    home: Handle,
    /// (A token would be looked at in every poll of every connection.)
    running: Arc<Mutex<Running>>,
}

/// What is aborted at the end. Each task takes its handle out, which would keep its memory.
#[derive(Debug, Default)]
struct Running {
    /// By their numbers; none while a task is being spawned.
    tasks: FxHashMap<u64, Option<AbortHandle>>,
    spawned: u64,
    ended: bool,
}

/// Takes a task out of the books when it is over, however that came.
struct Entry {
    number: u64,
    books: Arc<Mutex<Running>>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let own = self.books.lock().tasks.remove(&self.number);
        drop(own);
    }
}

impl Tasks {
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub(crate) fn new() -> Self {
        Self { tracker: TaskTracker::new(), home: Handle::current(), running: Arc::default() }
    }

    /// Spawns a task that [`abort`](Self::abort) ends.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        let entry = self.enter();
        let number = entry.number;
        let booked = async move {
            let _entry = entry;
            task.await
        };
        // Without the lock: where the async runtime is gone, the task is dropped right here.
        let spawned = self.tracker.spawn_on(booked, &self.home);
        let mut running = self.running.lock();
        if running.ended {
            spawned.abort();
        } else if let Some(task) = running.tasks.get_mut(&number) {
            *task = Some(spawned.abort_handle());
        }
        spawned
    }

    fn enter(&self) -> Entry {
        let mut running = self.running.lock();
        let number = running.spawned;
        running.spawned += 1;
        running.tasks.insert(number, None);
        Entry { number, books: Arc::clone(&self.running) }
    }

    /// Spawns a part of another task. It may well outlive that: what drives an HTTP/2 connection goes
    /// on for as long as the host keeps a call over it, and be it one that nobody polls.
    pub(crate) fn spawn_part(&self, task: impl Future<Output = ()> + Send + 'static) {
        // Joined by whoever waits for the tracker.
        drop(self.spawn(task));
    }

    /// Ends all tasks. What is spawned later ends at once.
    pub(crate) fn abort(&self) {
        let tasks = {
            let mut running = self.running.lock();
            running.ended = true;
            std::mem::take(&mut running.tasks)
        };
        tasks.values().flatten().for_each(AbortHandle::abort);
    }

    /// Ends all tasks, and returns when none is left.
    pub(crate) async fn end(&self) {
        self.abort();
        self.tracker.close();
        self.tracker.wait().await;
    }

    #[cfg(test)]
    pub(crate) fn abort_these(&self) {
        let tasks = std::mem::take(&mut self.running.lock().tasks);
        tasks.values().flatten().for_each(AbortHandle::abort);
    }
}
