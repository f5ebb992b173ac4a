//! What a link shows of whether its server is still there.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use tokio::sync::Notify;

use super::Link;

/// Signs of life, and doubts.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    /// Whether anything came from the server since somebody last looked.
    heard: AtomicBool,
    /// Told when something casts doubt on the server.
    doubt: Notify,
    /// Told when a call has timed out.
    timeout: Notify,
}

impl Pulse {
    /// Something came from the server.
    pub(in crate::connection) fn beat(&self) {
        self.heard.store(true, Ordering::Relaxed);
    }

    /// Something casts doubt on the server.
    pub(in crate::connection) fn doubt(&self) {
        self.doubt.notify_one();
    }

    pub(super) fn time_out(&self) {
        self.timeout.notify_one();
    }

    pub(in crate::connection) async fn doubted(&self) {
        self.doubt.notified().await;
    }

    pub(in crate::connection) async fn timed_out(&self) {
        self.timeout.notified().await;
    }

    /// Resolves after an interval in which nothing came from the server; never, if there is none.
    pub(in crate::connection) async fn idle(&self, every: Option<Duration>) {
        let Some(every) = every else { return std::future::pending().await };
        loop {
            // Boxed, for it is off by default, and there is a watch for every link.
            Box::pin(tokio::time::sleep(every)).await;
            if !self.heard.swap(false, Ordering::Relaxed) {
                return;
            }
        }
    }
}

impl Link {
    /// How many calls in a row have timed out, with no answer to another in between.
    pub(in crate::connection) fn unanswered(&self) -> u32 {
        self.state.lock().unanswered
    }
}
