//! One server of a session.

use std::sync::Arc;

use tokio::sync::watch;

use crate::{
    connection::{Connection, actor, call::Task},
    error::ServerError,
    event::Notifications,
    status::{Phase, Status},
};

/// One server of a session. A cheap handle: it names a server, not an incarnation of it.
#[derive(Debug, Clone)]
pub struct Server {
    connection: Arc<Connection>,
}

impl Server {
    pub(crate) fn new(connection: Arc<Connection>) -> Self {
        Self { connection }
    }

    pub(crate) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// What the server of the live link offers, as JSON (MCP 2025-11-25, basic/lifecycle); none while
    /// there is no link.
    #[must_use]
    pub fn capabilities(&self) -> Option<serde_json::Value> {
        let link = self.connection.live_link();
        Some(link.as_ref()?.capabilities()?.to_value())
    }

    /// What the server of the live link says on how it is to be used.
    #[must_use]
    pub fn instructions(&self) -> Option<String> {
        let link = self.connection.live_link();
        link.as_ref()?.instructions().map(str::to_owned)
    }

    /// Takes up a task that an earlier call came back as: see [`Call::detach`](crate::Call::detach).
    #[must_use]
    pub fn task(&self, id: impl AsRef<str>) -> Task {
        Task::new(Arc::clone(&self.connection), id.as_ref())
    }

    /// How often the server asked something over a link of MCP 2026-07-28, where it must not.
    #[must_use]
    pub fn violations(&self) -> u64 {
        self.connection.violations()
    }

    /// The name that the host gave it.
    #[must_use]
    pub fn name(&self) -> &str {
        self.connection.name()
    }

    /// Where its connection stands.
    #[must_use]
    pub fn status(&self) -> Status {
        self.connection.status()
    }

    /// Where its connection stands, now and at each change of its phase.
    ///
    /// What `borrow` returns is not to be held: as long as it is, the status cannot change, and
    /// calls that a lost link fails wait for it.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Status> {
        self.connection.watch()
    }

    /// Waits until calls go through.
    ///
    /// # Errors
    ///
    /// The latest cause, once the server is given up or its session has ended; `None` where there
    /// was no cause but the end of the session.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn ready(&self) -> Result<(), Option<ServerError>> {
        let mut status = self.watch();
        let decided =
            |status: &Status| matches!(status.phase, Phase::Ready | Phase::Failed | Phase::Stopped);
        match status.wait_for(decided).await {
            Ok(status) if status.is_ready() => Ok(()),
            Ok(status) => Err(status.last_error.clone()),
            // The sender lives in the connection that this handle holds.
            Err(_) => Err(self.status().last_error),
        }
    }

    /// Stops the server and starts it again, from whatever phase, also after it was given up.
    /// Outstanding calls fail as `transport_down`. Returns at once; [`ready`](Self::ready) and
    /// [`watch`](Self::watch) tell how it goes; a server that is just starting may become Ready once
    /// more before it is stopped. A closed session stays closed.
    pub fn restart(&self) {
        actor::restart(&self.connection);
    }

    /// The last lines that the current or latest process wrote on stderr, oldest first: at most
    /// 200 lines, 64 KiB.
    #[must_use]
    pub fn stderr_tail(&self) -> Vec<String> {
        self.connection.stderr_tail()
    }

    /// How many lines on its stdout were not JSON-RPC, and were skipped, since the session opened.
    #[must_use]
    pub fn skipped_lines(&self) -> u64 {
        self.connection.noise()
    }

    /// Its notifications from now on, but those that this crate consumes itself (progress, and
    /// changes of the list of tools).
    #[must_use]
    pub fn notifications(&self) -> Notifications {
        Notifications::new(self.connection.notifications.subscribe())
    }
}
