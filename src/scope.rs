//! The tasks of a session: who owns them, what stops them, and when none is left.

use std::future::Future;

use tokio::runtime::Handle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument as _, Span};

/// Tasks that belong together. Each runs until it is done or sees the token cancelled; whoever ends
/// the scope waits for all of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scope {
    tracker: TaskTracker,
    token: CancellationToken,
}

impl Scope {
    pub(crate) fn spawn(&self, span: &Span, task: impl Future<Output = ()> + Send + 'static) {
        // Joined by whoever waits for the tracker.
        drop(self.tracker.spawn(task.instrument(span.clone())));
    }

    /// Spawns it on the async runtime of this handle, wherever the caller is; where that has gone, it
    /// is dropped.
    pub(crate) fn spawn_on(
        &self,
        handle: &Handle,
        span: &Span,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        drop(self.tracker.spawn_on(task.instrument(span.clone()), handle));
    }

    pub(crate) fn tracker(&self) -> &TaskTracker {
        &self.tracker
    }

    /// Cancelled when the scope ends.
    pub(crate) fn token(&self) -> &CancellationToken {
        &self.token
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Waits until the scope was told to end, and no task of it is left.
    pub(crate) async fn ended(&self) {
        self.token.cancelled().await;
        self.tracker.close();
        self.tracker.wait().await;
    }
}
