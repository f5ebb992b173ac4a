//! One server of a session.

use std::sync::Arc;

use tokio::sync::watch;

#[cfg(feature = "oauth")]
use crate::{auth::Login, error::AuthError};
use crate::{
    connection::{Connection, actor, call::Task, wake},
    error::{CallError, ServerError},
    event::Notifications,
    policy::WhenDown,
    record::Record,
    report::Report,
    roster::Roster,
    status::Status,
    toolset::ToolSet,
};

/// One server of a session. A cheap handle: it names a server, not an incarnation of it.
#[derive(Debug, Clone)]
pub struct Server {
    connection: Arc<Connection>,
    roster: Arc<Roster>,
}

impl Server {
    pub(crate) fn new(connection: Arc<Connection>, roster: Arc<Roster>) -> Self {
        Self { connection, roster }
    }

    /// Its connection, or the one that has taken its place since.
    pub(crate) fn connection(&self) -> Arc<Connection> {
        self.roster.current(&self.connection)
    }

    /// What the server of the live link offers, as JSON (MCP 2025-11-25, basic/lifecycle); none while
    /// there is no link.
    #[must_use]
    pub fn capabilities(&self) -> Option<serde_json::Value> {
        let link = self.connection().live_link();
        Some(link.as_ref()?.capabilities()?.to_value())
    }

    /// What the server of the live link says on how it is to be used.
    #[must_use]
    pub fn instructions(&self) -> Option<String> {
        let link = self.connection().live_link();
        link.as_ref()?.instructions().map(str::to_owned)
    }

    /// Takes up a task that an earlier call came back as: see [`Call::detach`](crate::Call::detach).
    #[must_use]
    pub fn task(&self, id: impl AsRef<str>) -> Task {
        Task::new(self.connection(), id.as_ref())
    }

    /// How often the server asked something over a link of MCP 2026-07-28, where it must not.
    #[must_use]
    pub fn violations(&self) -> u64 {
        self.connection().violations()
    }

    /// The name that the host gave it.
    #[must_use]
    pub fn name(&self) -> &str {
        self.connection.name()
    }

    /// What it is declared as at this moment.
    pub fn spec(&self) -> crate::ServerSpec {
        self.connection().spec.clone()
    }

    /// Where its connection stands.
    #[must_use]
    pub fn status(&self) -> Status {
        self.connection().status()
    }

    /// Where its connection stands, now and at each change of its phase.
    ///
    /// What `borrow` returns is not to be held: as long as it is, the status cannot change, and
    /// calls that a lost link fails wait for it.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Status> {
        self.connection().watch()
    }

    /// Waits until calls go through. A server that is asleep is started.
    ///
    /// # Errors
    ///
    /// The latest cause, once the server is given up, waits for a login, or its session has ended; `None` where there
    /// was no cause but the end of the session.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn ready(&self) -> Result<(), Option<ServerError>> {
        wake::ready(&self.connection()).await
    }

    /// Its tools: at once if it has listed them in this session, or if the session was opened with
    /// [saved tools](crate::SessionBuilder::saved_tools) of it; otherwise once it has, which starts
    /// one that is asleep.
    ///
    /// # Errors
    ///
    /// [`CallError::NotReady`] with the reason, once the server is given up;
    /// [`CallError::SessionClosed`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect but that a server that it started stays so.
    pub async fn discover(&self) -> Result<ToolSet, CallError> {
        wake::listed(&self.connection(), WhenDown::Wait, None).await?;
        Ok(self.listed())
    }

    /// Its tools, listed anew; for the catalog too. Starts a server that is asleep.
    ///
    /// # Errors
    ///
    /// As of [`discover`](Self::discover). A list that breaks off is a
    /// [fault](crate::Catalog::faults) of the catalog, and no error here.
    ///
    /// # Cancel safety
    ///
    /// As of [`discover`](Self::discover).
    pub async fn rediscover(&self) -> Result<ToolSet, CallError> {
        wake::list_again(&self.connection()).await?;
        Ok(self.listed())
    }

    fn listed(&self) -> ToolSet {
        let catalog = self.connection().scope.board.load();
        catalog
            .iter()
            .filter(|tool| Arc::ptr_eq(tool.connection(), &self.connection()))
            .cloned()
            .collect()
    }

    /// Stops the server and starts it again, from whatever phase, also after it was given up.
    /// Outstanding calls fail as `transport_down`. Returns at once; [`ready`](Self::ready) and
    /// [`watch`](Self::watch) tell how it goes; a server that is just starting may become Ready once
    /// more before it is stopped. A closed session stays closed. Of a server that is opened
    /// [`per_call`](crate::ServerSpec::per_call) there is nothing to restart.
    pub fn restart(&self) {
        actor::restart(&self.connection());
    }

    /// Begins a login, where the server is declared with [`Auth::oauth`](crate::Auth::oauth): the URL
    /// that a person has to open. It is needed while the phase is
    /// [`AuthRequired`](crate::Phase::AuthRequired), and can be had at any time. Once it is finished the
    /// connection goes on by itself; a server that is Ready stays so, with the new token.
    ///
    /// # Errors
    ///
    /// [`AuthError::NoLogin`] without such a declaration; others if the authorization server cannot
    /// be found, reached or trusted, or does not take the client.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future, or the login, gives it up.
    #[cfg(feature = "oauth")]
    pub async fn login(&self) -> Result<Login, Arc<AuthError>> {
        let connection = self.connection();
        let authority = connection.authority.as_ref();
        let holder = authority.and_then(|authority| authority.holder());
        let holder = holder.ok_or_else(|| Arc::new(AuthError::NoLogin))?;
        Login::begin(Arc::clone(holder), self.connection()).await
    }

    /// The last lines that the current or latest process wrote on stderr, oldest first: at most
    /// 200 lines, 64 KiB.
    #[must_use]
    pub fn stderr_tail(&self) -> Vec<String> {
        self.connection().stderr_tail()
    }

    /// What went over its link: of the one that is live or being opened, or else of the one that its
    /// last error is about.
    #[must_use]
    pub fn record(&self) -> Record {
        self.connection
            .record()
            .or_else(|| self.status().last_error.map(|error| error.record().clone()))
            .unwrap_or_default()
    }

    /// Why it is not ready, or why it was not the last time, for a person.
    #[must_use]
    pub fn report(&self) -> Option<Report> {
        let report = self.status().last_error?.report();
        Some(Report { server: Some(self.name().to_owned()), ..report })
    }

    /// How many lines on its stdout were not JSON-RPC, and were skipped, since the session opened.
    #[must_use]
    pub fn skipped_lines(&self) -> u64 {
        self.connection().noise()
    }

    /// Its notifications from now on, but those that this crate consumes itself (progress, and
    /// changes of the list of tools).
    #[must_use]
    pub fn notifications(&self) -> Notifications {
        Notifications::new(self.connection().notifications.subscribe())
    }
}
