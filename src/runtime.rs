//! The root handle: one supervision tree.

mod builder;
mod watched;

pub use builder::RuntimeBuilder;
pub(crate) use watched::WeakRuntime;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tracing::Span;

#[cfg(feature = "http")]
use crate::transport::http::clients::Clients;
use crate::{
    budget::{Budgets, MemoryWatch, Pool},
    catalog::Board,
    census::{Census, LeakReport},
    connection::{Connection, SessionScope, actor::bury, listing},
    error::{LimitOf, OpenError},
    event::Feed,
    layer::{self, CallService},
    meter,
    policy::CallOptions,
    roster::Roster,
    scope::Scope,
    session::{Declared, Session, SessionBuilder},
    session_actor::{Arguments, SessionPort},
    supervisor::SupervisorPort,
    telemetry,
    trace::Tracer,
    transport::orphans::Orphans,
    usage::{CallTotals, Ledger},
};

/// The root of a tree of supervised sessions. A cheap handle.
///
/// Runtimes share nothing: two in one process do not meet. Sessions keep their runtime alive, so
/// dropping the last handle stops nothing that is still held.
#[derive(Debug, Clone)]
pub struct Runtime {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    supervisor: SupervisorPort,
    census: Arc<Census>,
    #[cfg(feature = "http")]
    clients: Arc<Clients>,
    span: Span,
    /// What is said about all calls of the runtime.
    options: CallOptions,
    numbers: AtomicU64,
    /// The sessions that have not ended yet; none is accepted once it is `None`.
    sessions: Arc<Mutex<Option<HashMap<u64, Held>>>>,
    ledger: Arc<Ledger>,
    undertakers: Scope,
    budget: Arc<Pool>,
    memory: Arc<MemoryWatch>,
}

/// A session that has not ended yet.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    open: OpenSession,
    pub(crate) scope: Arc<SessionScope>,
    pub(crate) roster: Arc<Roster>,
}

/// What it takes to close a session and to know when it has ended.
#[derive(Debug, Clone)]
pub(crate) struct OpenSession {
    pub(crate) port: SessionPort,
    ended: CancellationToken,
}

impl OpenSession {
    /// Closes the session and waits until nothing of it is left.
    pub(crate) async fn close(&self) {
        self.port.close();
        self.ended.cancelled().await;
    }
}

impl Runtime {
    /// A runtime that is not as by default.
    pub fn builder() -> RuntimeBuilder {
        RuntimeBuilder::default()
    }

    /// Starts a runtime on the tokio runtime that runs this.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    async fn start_with(builder: RuntimeBuilder) -> Self {
        #[cfg(feature = "http")]
        let clients = Clients::new(builder.allowed);
        let span = telemetry::runtime_span();
        meter::describe();
        let orphans = Orphans::new(builder.host_death, span.clone());
        let census = Arc::new(Census::new(orphans));
        let supervisor = SupervisorPort::spawn(Arc::clone(&census), span.clone())
            .await
            .expect("the root actor's start cannot fail: it has no name and awaits nothing");
        let (undertakers, budget) = (Scope::default(), Pool::new(LimitOf::Runtime, builder.budget));
        let (every, tasks) = (builder.memory_every, undertakers.clone());
        let inner = Inner {
            memory: MemoryWatch::new(every, Arc::clone(&budget), tasks, span.clone()),
            budget,
            supervisor,
            census,
            #[cfg(feature = "http")]
            clients: Arc::new(clients),
            span,
            options: builder.options,
            numbers: AtomicU64::new(1),
            sessions: Arc::new(Mutex::new(Some(HashMap::new()))),
            ledger: Arc::default(),
            undertakers,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Declares a session. The id is the host's own, for traces and reports; it need not be unique.
    pub fn session(&self, id: impl Into<String>) -> SessionBuilder {
        SessionBuilder::new(self.clone(), id.into())
    }

    /// What is alive of this runtime's sessions, and of those that are ending.
    #[must_use]
    pub fn leak_report(&self) -> LeakReport {
        self.inner.census.report()
    }

    /// The sessions that have not ended, the oldest first.
    pub(crate) fn held(&self) -> Vec<Held> {
        let sessions = self.inner.sessions.lock();
        let mut held: Vec<_> = sessions.iter().flatten().collect();
        held.sort_by_key(|(number, _)| **number);
        held.into_iter().map(|(_, held)| held.clone()).collect()
    }

    /// All calls since the start.
    pub(crate) fn totals(&self) -> CallTotals {
        self.inner.ledger.totals()
    }

    /// Closes every session, and returns when nothing of the runtime is left. No session can be
    /// opened after it.
    ///
    /// Bounded by the longest ladder of a server: six seconds at the defaults.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the shutdown going on; calling it again waits for its end.
    pub async fn shutdown(&self) {
        let open = self.inner.sessions.lock().take().unwrap_or_default();
        for session in open.values() {
            session.open.port.close();
        }
        self.inner.undertakers.token().cancel();
        self.inner.undertakers.ended().await;
        self.inner.supervisor.stop();
        self.inner.supervisor.ended().await;
        self.inner.census.orphans.close().await;
        #[cfg(feature = "http")]
        self.inner.clients.close().await;
    }

    /// What the connections of a new session share.
    fn scope(&self, number: u64, declared: &mut Declared) -> Arc<SessionScope> {
        let id = std::mem::take(&mut declared.id);
        let (host, tracer) = std::mem::take(&mut declared.asked);
        let tracer = Tracer::or_default(tracer);
        Arc::new(SessionScope {
            span: telemetry::session_span(&self.inner.span, &id),
            id: id.into(),
            tasks: Scope::default(),
            census: Arc::clone(&self.inner.census),
            events: Feed::default(),
            board: Board::default(),
            host,
            tracer,
            layers: layer::around(&declared.layers, CallService::of_servers()),
            approval: declared.approval.take(),
            #[cfg(feature = "http")]
            clients: Arc::clone(&self.inner.clients),
            secrets: std::mem::take(&mut declared.secrets),
            book: self.inner.ledger.open(number),
            opened: SystemTime::now(),
            budgets: Budgets::new(declared.budget, &self.inner.budget),
            memory: Arc::clone(&self.inner.memory),
        })
    }

    pub(crate) async fn open(&self, mut declared: Declared) -> Result<Session, OpenError> {
        let number = self.inner.numbers.fetch_add(1, Ordering::Relaxed);
        let scope = self.scope(number, &mut declared);
        let Declared { servers, options, saved, known, .. } = declared;
        let options = options.over(&self.inner.options);
        let connect =
            |(place, spec)| Arc::new(Connection::new(spec, place, &options, Arc::clone(&scope)));
        let connections: Vec<_> = servers.into_iter().enumerate().map(connect).collect();
        scope.board.arrange((0..connections.len()).collect(), Vec::new());
        let roster = Arc::new(Roster::new(connections.clone()));
        let mut unopened = Unopened(Some(Arc::clone(&scope)));
        if let Some(saved) = saved {
            connections.iter().for_each(|connection| listing::put_up(connection, &saved));
        }
        let arguments = Arguments { scope: Arc::clone(&scope), connections };
        // A shutdown that comes in between waits for this, too.
        let _opening = self.inner.undertakers.tracker().token();
        // Before anything starts that could tell them.
        if let Err(error) = scope.resolve_all(&known).await {
            scope.tasks.token().cancel();
            scope.tasks.ended().await;
            return Err(error.into());
        }
        if self.inner.sessions.lock().is_none() {
            return Err(OpenError::RuntimeClosed);
        }
        let port =
            self.inner.supervisor.open(arguments).await.map_err(|_| OpenError::RuntimeClosed)?;
        let open = OpenSession { port, ended: CancellationToken::new() };
        if self.register(number, &open, &scope, &roster) {
            unopened.0 = None;
            return Ok(Session::new(self.clone(), open, scope, (roster, options)));
        }
        open.port.close();
        scope.tasks.ended().await;
        open.port.ended().await;
        Err(OpenError::RuntimeClosed)
    }

    /// Books a session, and has a task wait for its end, however that comes; false once the runtime
    /// is shut down.
    fn register(
        &self,
        number: u64,
        open: &OpenSession,
        scope: &Arc<SessionScope>,
        roster: &Arc<Roster>,
    ) -> bool {
        let held =
            Held { open: open.clone(), scope: Arc::clone(scope), roster: Arc::clone(roster) };
        match self.inner.sessions.lock().as_mut() {
            Some(book) => book.insert(number, held),
            None => return false,
        };
        self.inner.census.session_opened(number, scope.tasks.tracker().clone());
        let last_rites = LastRites {
            number,
            open: open.clone(),
            scope: Arc::clone(scope),
            roster: Arc::clone(roster),
            census: Arc::clone(&self.inner.census),
            sessions: Arc::clone(&self.inner.sessions),
        };
        self.inner.undertakers.spawn(&self.inner.span, async move {
            last_rites.scope.tasks.ended().await;
            last_rites.open.port.ended().await;
            drop(last_rites);
        });
        true
    }
}

/// A session that is being opened. If that comes to nothing, its tools are taken down: they hold their
/// connections, which hold the board that they are on.
struct Unopened(Option<Arc<SessionScope>>);

impl Drop for Unopened {
    fn drop(&mut self) {
        if let Some(scope) = &self.0 {
            scope.board.clear();
        }
    }
}

/// What is done for a session that has ended; also where the async runtime is dropped before it.
struct LastRites {
    number: u64,
    open: OpenSession,
    scope: Arc<SessionScope>,
    roster: Arc<Roster>,
    census: Arc<Census>,
    sessions: Arc<Mutex<Option<HashMap<u64, Held>>>>,
}

impl Drop for LastRites {
    fn drop(&mut self) {
        self.roster.look().iter().for_each(|connection| bury(connection));
        self.scope.board.clear();
        self.scope.events.close();
        self.census.session_closed(self.number);
        meter::leaked(self.census.processes_of(&self.scope.id));
        // What it holds is dropped after the lock.
        let held = self.sessions.lock().as_mut().and_then(|book| book.remove(&self.number));
        drop(held);
        self.scope.book.changed();
        self.open.ended.cancel();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Sessions keep their runtime, so all of them are closing by now; what watches them is over.
        self.undertakers.token().cancel();
        self.supervisor.stop();
    }
}
