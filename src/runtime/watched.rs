//! A runtime as it is watched: by tasks of its own, which do not keep it alive.

use std::sync::{Arc, Weak};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Held, Inner, Runtime};

/// A runtime that may have ended.
pub(crate) struct WeakRuntime(Weak<Inner>);

impl WeakRuntime {
    /// The sessions that have not ended, with their numbers; nothing once the runtime is gone.
    pub(crate) fn held(&self) -> Option<Vec<(u64, Held)>> {
        let inner = self.0.upgrade()?;
        let sessions = inner.sessions.lock();
        Some(sessions.iter().flatten().map(|(number, held)| (*number, held.clone())).collect())
    }

    /// Tells of changes of a status from now on.
    pub(crate) fn changes(&self) -> Option<watch::Receiver<()>> {
        Some(self.0.upgrade()?.ledger.changes())
    }
}

impl Runtime {
    pub(crate) fn downgrade(&self) -> WeakRuntime {
        WeakRuntime(Arc::downgrade(&self.inner))
    }

    /// Spawns a task that is over when the runtime is, or when the token is cancelled that it is given,
    /// and this returns.
    pub(crate) fn spawn_watch<F>(
        &self,
        watch: impl FnOnce(CancellationToken) -> F,
    ) -> CancellationToken
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop = self.inner.undertakers.token().child_token();
        self.inner.undertakers.spawn(&self.inner.span, watch(stop.clone()));
        stop
    }
}
