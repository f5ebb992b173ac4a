//! A session: what a host opens and closes.

mod apply;

pub use apply::Applied;

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};

use crate::{
    approval::{Approval, ApprovalRequest, Decision},
    arguments::Arguments,
    catalog::{Catalog, Tool},
    connection::{Connection, SessionScope, call::Call},
    error::{OpenError, RequiredFailure},
    event::Events,
    host::Host,
    layer::{CallLayer, CallLike, CallService},
    policy::{Budget, CallOptions},
    redactor::Redactor,
    roster::Roster,
    runtime::{OpenSession, Runtime},
    secret::{Provider, Secret, SecretProvider, Secrets},
    server::Server,
    spec::{self, ServerSpec},
    status::{Phase, Status},
    toolset::{SavedTools, ToolSet},
    trace::{TraceContext, Tracer},
};

/// How long after its init timeout a required server may take to say why it is not ready.
const REASON_GRACE: Duration = Duration::from_millis(250);

/// A declared session: see [`Runtime::session`].
#[must_use = "a session is opened by `open`"]
pub struct SessionBuilder {
    runtime: Runtime,
    id: String,
    servers: Vec<ServerSpec>,
    options: CallOptions,
    budget: Budget,
    layers: Vec<CallLayer>,
    approval: Option<Approval>,
    saved: Option<SavedTools>,
    secrets: Secrets,
    known: Vec<Secret>,
    asked: Asked,
}

impl SessionBuilder {
    pub(crate) fn new(runtime: Runtime, id: String) -> Self {
        Self {
            runtime,
            id,
            servers: Vec::new(),
            options: CallOptions::default(),
            budget: Budget::unlimited(),
            layers: Vec::new(),
            approval: None,
            saved: None,
            secrets: Secrets::default(),
            known: Vec::new(),
            asked: Asked::default(),
        }
    }

    /// Adds a server.
    pub fn server(mut self, spec: ServerSpec) -> Self {
        self.servers.push(spec);
        self
    }

    /// Adds servers.
    pub fn servers(mut self, specs: impl IntoIterator<Item = ServerSpec>) -> Self {
        self.servers.extend(specs);
        self
    }

    /// What holds for the calls of the session, where the runtime says otherwise or nothing. A server,
    /// a tool or a call may say otherwise again.
    pub fn call_options(mut self, options: CallOptions) -> Self {
        self.options = options;
        self
    }

    /// What all servers of the session may take together, within the runtime's budget.
    pub fn budget(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self
    }

    /// Who answers what servers ask of the host. Without one, nobody does, and no server is told
    /// otherwise.
    pub fn host(mut self, host: impl Host) -> Self {
        self.asked.0 = Some(Arc::new(host));
        self
    }

    /// Says which trace a request is part of, when it is sent; it goes into the request's `_meta`
    /// (W3C Trace Context). Without this, or where it says nothing, nothing does.
    pub fn trace_context(
        mut self,
        current: impl Fn() -> Option<TraceContext> + Send + Sync + 'static,
    ) -> Self {
        self.asked.1 = Some(Tracer(Arc::new(current)));
        self
    }

    /// Puts a layer of [tower](https://docs.rs/tower) around the calls of the session, inside of those
    /// that are there already; see [`layer`](crate::layer).
    pub fn layer<L>(mut self, layer: L) -> Self
    where
        L: tower_layer::Layer<CallService> + Send + Sync + 'static,
        L::Service: CallLike,
    {
        self.layers.push(CallLayer::new(layer));
        self
    }

    /// Asks this hook before each call is sent: it sees the tool, with its annotations, and the
    /// arguments, and says whether the call may be made. It is asked once for a call, however often
    /// that is tried, and takes its time out of the call's total timeout.
    pub fn approval<H, F>(mut self, hook: H) -> Self
    where
        H: Fn(ApprovalRequest) -> F + Send + Sync + 'static,
        F: Future<Output = Decision> + Send + 'static,
    {
        self.approval = Some(Approval::new(hook));
        self
    }

    /// Puts tools into the catalog that servers of these names listed in an earlier session: those of
    /// a server that is not started yet can be seen, and called, which starts it. Once it has listed
    /// its tools itself, those count.
    pub fn saved_tools(mut self, tools: SavedTools) -> Self {
        self.saved = Some(tools);
        self
    }

    /// Has these secrets redacted, besides those that are declared for servers: they are resolved
    /// before anything starts.
    pub fn secrets(mut self, secrets: impl IntoIterator<Item = Secret>) -> Self {
        self.known.extend(secrets);
        self
    }

    /// Where [`Secret::provider`] looks.
    pub fn secret_provider(mut self, provider: impl SecretProvider) -> Self {
        self.secrets.provider = Provider(Some(Arc::new(provider)));
        self
    }

    /// Redacts results of tools and whatever else servers answer (lists, reads, prompts, tasks), too. By
    /// default they reach the host as their servers wrote them.
    pub fn redact_results(mut self) -> Self {
        self.secrets.redact_results = true;
        self
    }

    /// Refuses a call whose arguments hold a secret that was declared for another server, as
    /// [`CallError::SecretOutOfScope`](crate::CallError::SecretOutOfScope). What is known is what
    /// has been resolved by then: a secret of a server that was never started is not.
    pub fn egress_scope(mut self) -> Self {
        self.secrets.egress_scope = true;
        self
    }

    /// Opens the session: starts all servers at once, and returns when every
    /// [`required`](ServerSpec::required) one is Ready. The others come when they come;
    /// [`Session::settled`] waits for them.
    ///
    /// # Errors
    ///
    /// [`OpenError::Spec`] with every fault of the declaration, before anything starts;
    /// [`OpenError::Required`] with the reasons of all required servers that were not Ready within
    /// their init timeout (restarts included), after everything was stopped again;
    /// [`OpenError::Secret`] where one of [`secrets`](Self::secrets) cannot be had;
    /// [`OpenError::RuntimeClosed`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes what was opened.
    pub async fn open(self) -> Result<Session, OpenError> {
        let faults = spec::faults(&self.servers);
        if !faults.is_empty() {
            return Err(OpenError::Spec(faults));
        }
        let began = Instant::now();
        let runtime = self.runtime.clone();
        let session = runtime.open(self.declared()).await?;
        let failures = session.required_failures(began).await;
        if failures.is_empty() {
            return Ok(session);
        }
        session.close().await;
        Err(OpenError::Required(failures))
    }

    fn declared(self) -> Declared {
        Declared {
            id: self.id,
            servers: self.servers,
            options: self.options,
            budget: self.budget,
            layers: self.layers,
            approval: self.approval,
            saved: self.saved,
            secrets: self.secrets,
            known: self.known,
            asked: self.asked,
        }
    }
}

impl std::fmt::Debug for SessionBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionBuilder")
            .field("id", &self.id)
            .field("servers", &self.servers)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// Who answers the questions of servers, and which trace a request is part of.
pub(crate) type Asked = (Option<Arc<dyn Host>>, Option<Tracer>);

/// What a session is opened with.
pub(crate) struct Declared {
    pub(crate) id: String,
    pub(crate) servers: Vec<ServerSpec>,
    pub(crate) options: CallOptions,
    pub(crate) budget: Budget,
    pub(crate) layers: Vec<CallLayer>,
    pub(crate) approval: Option<Approval>,
    pub(crate) saved: Option<SavedTools>,
    pub(crate) secrets: Secrets,
    pub(crate) known: Vec<Secret>,
    pub(crate) asked: Asked,
}

/// An open session over the servers it declared. A cheap handle.
///
/// The session closes when [`close`](Self::close) is called, or by itself, in the background, when
/// the last handle is dropped. Handles of its servers and tools do not keep it open.
#[derive(Debug, Clone)]
pub struct Session {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    // Keeps the root of supervision alive as long as the session is held.
    _runtime: Runtime,
    open: OpenSession,
    scope: Arc<SessionScope>,
    roster: Arc<Roster>,
    /// What holds for the calls of all servers.
    options: CallOptions,
    /// The next free place on the board; whoever changes the servers does so alone.
    shifting: tokio::sync::Mutex<usize>,
}

impl Session {
    pub(crate) fn new(
        runtime: Runtime,
        open: OpenSession,
        scope: Arc<SessionScope>,
        (roster, options): (Arc<Roster>, CallOptions),
    ) -> Self {
        let shifting = tokio::sync::Mutex::new(roster.look().len());
        let inner = Inner { _runtime: runtime, open, scope, roster, options, shifting };
        Self { inner: Arc::new(inner) }
    }

    /// The id that the host gave it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.inner.scope.id
    }

    /// Calls a tool by its id, such as `git.status`. The call is sent when it is first polled; see
    /// [`Call`] for its options, its errors and what dropping it does.
    pub fn call(&self, tool: impl AsRef<str>, arguments: impl Into<Arguments>) -> Call {
        let Inner { scope, roster, .. } = &*self.inner;
        Call::by_id(scope, &roster.look(), tool.as_ref(), arguments.into())
    }

    /// What replaces the session's secrets in a text: for the host's own logs.
    #[must_use]
    pub fn redactor(&self) -> Redactor {
        self.inner.scope.secrets.redactor.clone()
    }

    /// The tools of all servers, as one immutable version.
    #[must_use]
    pub fn tools(&self) -> Arc<Catalog> {
        self.inner.scope.board.catalog()
    }

    /// The tools of all servers, as a set to choose from.
    #[must_use]
    pub fn toolset(&self) -> ToolSet {
        self.inner.scope.board.load().toolset()
    }

    /// The tool of this id.
    #[must_use]
    pub fn tool(&self, id: &str) -> Option<Tool> {
        self.inner.scope.board.load().get(id).cloned()
    }

    /// The server of this name.
    #[must_use]
    pub fn server(&self, name: &str) -> Option<Server> {
        Some(self.handle(&self.inner.roster.find(name)?))
    }

    /// The servers, in the order of their declaration.
    #[must_use]
    pub fn servers(&self) -> Vec<Server> {
        self.connections().iter().map(|connection| self.handle(connection)).collect()
    }

    fn handle(&self, connection: &Arc<Connection>) -> Server {
        Server::new(Arc::clone(connection), Arc::clone(&self.inner.roster))
    }

    /// What holds for its requests, where nothing else is said: the runtime's and its own, as one.
    pub(crate) fn options(&self) -> &CallOptions {
        &self.inner.options
    }

    pub(crate) fn connections(&self) -> Arc<Vec<Arc<Connection>>> {
        self.inner.roster.list()
    }

    /// Tells the servers that the host's roots changed, those that have a way to hear it (up to MCP
    /// 2025-11-25; in 2026-07-28 a server asks when it needs them).
    pub fn roots_changed(&self) {
        self.connections().iter().for_each(|connection| connection.roots_changed());
    }

    /// What changes from now on.
    #[must_use]
    pub fn events(&self) -> Events {
        Events::new(self.inner.scope.events.subscribe())
    }

    /// Waits until every server that starts with the session is Ready or its first start has failed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn settled(&self) {
        for connection in self.connections().iter() {
            wait_for(connection.watch(), |status| connection.has_begun(status)).await;
        }
    }

    /// Ends the session: outstanding calls fail as `session_closed`, every server is stopped, and
    /// this returns when no process, no task and no descriptor of the session is left.
    ///
    /// Bounded by the longest ladder of a server: six seconds at the defaults. Calling it again
    /// waits for the same end.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the session closing.
    pub async fn close(&self) {
        self.inner.open.close().await;
    }

    /// The required servers that are not Ready within their init timeouts.
    async fn required_failures(&self, began: Instant) -> Vec<RequiredFailure> {
        let mut failures = Vec::new();
        for connection in self.connections().iter().filter(|one| one.spec.required) {
            let decided = |status: &Status| {
                let Status { phase, .. } = status;
                matches!(phase, Phase::Ready | Phase::AuthRequired | Phase::Failed | Phase::Stopped)
            };
            let limit = connection.spec.init_timeout.saturating_add(REASON_GRACE);
            let left = limit.saturating_sub(began.elapsed());
            let mut watch = connection.watch();
            let waited = tokio::time::timeout(left, watch.wait_for(decided)).await;
            // One that was Ready and is lost again is not a failure to open.
            let status = match waited {
                Ok(Ok(status)) => status.clone(),
                Ok(Err(_)) | Err(_) => connection.status(),
            };
            if !status.is_ready() {
                let server = connection.name().to_string();
                failures.push(RequiredFailure { server, error: status.last_error });
            }
        }
        failures
    }

    #[cfg(test)]
    pub(crate) fn panic_in(&self, place: Option<usize>) {
        self.inner.open.port.panic_in(place);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.open.port.close();
    }
}

/// Waits for a status; one that cannot come any more is not waited for.
async fn wait_for(mut status: watch::Receiver<Status>, wanted: impl FnMut(&Status) -> bool) {
    drop(status.wait_for(wanted).await);
}

#[cfg(test)]
mod tests;
