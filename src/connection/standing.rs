//! Where a connection stands, and who waits for that to change.

use tokio::sync::{Notify, futures::Notified, watch};

use crate::status::Status;

/// A published status. Calls that wait for a change are woken in the order in which they came, which
/// a `watch` alone leaves to chance.
#[derive(Debug)]
pub(super) struct Standing {
    status: watch::Sender<Status>,
    moved: Notify,
}

impl Standing {
    pub(super) fn new(status: Status) -> Self {
        Self { status: watch::Sender::new(status), moved: Notify::new() }
    }

    pub(super) fn now(&self) -> Status {
        self.status.borrow().clone()
    }

    pub(super) fn watch(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Resolves at the next change after this was called.
    pub(super) fn moved(&self) -> Notified<'_> {
        self.moved.notified()
    }

    pub(super) fn send_if_modified(&self, modify: impl FnOnce(&mut Status) -> bool) {
        if self.status.send_if_modified(modify) {
            self.moved.notify_waiters();
        }
    }
}
