//! Everything behind one server: [`lifecycle`] decides, [`actor`] performs, [`epoch`] lives one
//! link from its process to nothing left, [`link`] routes what goes over it.

pub(crate) mod about;
pub(crate) mod actor;
mod ask;
pub(crate) mod call;
mod epoch;
mod handshake;
mod host_requests;
mod inbound;
mod introduction;
pub(crate) mod kept;
mod lifecycle;
pub(crate) mod link;
mod listeners;
mod listing;
pub(crate) mod logs;
mod outbox;
#[cfg(feature = "http")]
mod remote;
pub(crate) mod requests;
mod resume;
mod rounds;
pub(crate) mod subscriptions;
pub(crate) mod tasks;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use arc_swap::ArcSwapOption;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::Span;

#[cfg(feature = "http")]
use crate::transport::http::clients::Clients;
use crate::{
    catalog::Board,
    census::Census,
    event::{Event, Feed, Notification},
    host::{Host, HostCapabilities, LogLevel, Root},
    policy::CallOptions,
    scope::Scope,
    spec::ServerSpec,
    status::{Phase, Status},
    trace::Tracer,
    transport::stderr::StderrTail,
    wire,
};
use handshake::Era;
use introduction::Introduction;
use kept::Kept;
use link::Link;
use logs::LogBook;
use subscriptions::Subscriptions;

/// What the connection of one server publishes: calls and handles read it, and never ask an actor.
pub(crate) struct Connection {
    pub(crate) spec: ServerSpec,
    /// The place of its declaration in the session.
    pub(crate) place: usize,
    pub(crate) options: CallOptions,
    pub(crate) span: Span,
    pub(crate) scope: Arc<SessionScope>,
    /// The live link; none while the server is down.
    link: ArcSwapOption<Link>,
    status: watch::Sender<Status>,
    /// Fires once nothing of the latest epoch is left.
    gone: ArcSwapOption<CancellationToken>,
    pub(crate) notifications: Feed<Notification>,
    stderr: ArcSwapOption<StderrTail>,
    noise: AtomicU64,
    violations: AtomicU64,
    /// What servers may ask of the host.
    offered: HostCapabilities,
    introduction: Arc<Introduction>,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) logs: LogBook,
    kept: Kept,
    mailbox: ArcSwapOption<Mailbox>,
}

/// What all connections of a session share.
pub(crate) struct SessionScope {
    pub(crate) id: Arc<str>,
    pub(crate) tasks: Scope,
    pub(crate) census: Arc<Census>,
    pub(crate) events: Feed<Event>,
    pub(crate) board: Board,
    /// Who answers the questions of servers.
    pub(crate) host: Option<Arc<dyn Host>>,
    /// Which trace a request is part of, where the host can say.
    pub(crate) tracer: Option<Tracer>,
    #[cfg(feature = "http")]
    pub(crate) clients: Arc<Clients>,
    pub(crate) span: Span,
}

impl std::fmt::Debug for SessionScope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionScope").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Asks a connection's actor, which stays nameless here, for a restart.
struct Mailbox(Box<dyn Fn() + Send + Sync>);

impl std::fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mailbox")
    }
}

impl std::fmt::Debug for Connection {
    /// Without its session, whose catalog leads back here.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("spec", &self.spec)
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

impl Connection {
    pub(crate) fn new(
        spec: ServerSpec,
        place: usize,
        options: CallOptions,
        scope: Arc<SessionScope>,
    ) -> Self {
        let span = crate::telemetry::connection_span(&scope.span, &spec.name);
        let host = scope.host.as_ref();
        let mut offered = host.map(|host| host.capabilities()).unwrap_or_default();
        offered.roots |= !spec.roots.is_empty();
        Self {
            options: spec.call_options.unwrap_or(options),
            spec,
            place,
            span,
            scope,
            link: ArcSwapOption::empty(),
            status: watch::Sender::new(Status::idle()),
            gone: ArcSwapOption::empty(),
            notifications: Feed::default(),
            stderr: ArcSwapOption::empty(),
            noise: AtomicU64::new(0),
            violations: AtomicU64::new(0),
            introduction: Arc::new(Introduction::new(&offered)),
            offered,
            subscriptions: Subscriptions::default(),
            logs: LogBook::default(),
            kept: Kept::default(),
            mailbox: ArcSwapOption::empty(),
        }
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.spec.name
    }

    /// The live link, if there is one, for the time of one look.
    pub(crate) fn live_link(&self) -> arc_swap::Guard<Option<Arc<Link>>> {
        self.link.load()
    }

    pub(crate) fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    pub(crate) fn stderr_tail(&self) -> Vec<String> {
        self.stderr.load().as_ref().map(|tail| tail.lines()).unwrap_or_default()
    }

    pub(crate) fn set_stderr(&self, tail: Arc<StderrTail>) {
        self.stderr.store(Some(tail));
    }

    /// Counts a line on stdout that is not JSON-RPC, and returns the count.
    pub(crate) fn count_noise(&self) -> u64 {
        self.noise.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn noise(&self) -> u64 {
        self.noise.load(Ordering::Relaxed)
    }

    /// Counts something that a modern server must not do, and returns the count.
    pub(crate) fn count_violation(&self) -> u64 {
        self.violations.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn violations(&self) -> u64 {
        self.violations.load(Ordering::Relaxed)
    }

    /// The roots that this server is told: those of its spec, then those of the host.
    fn roots(&self) -> Vec<Root> {
        let declared = self.spec.roots.iter().map(Root::new);
        let host = self.scope.host.as_ref().filter(|host| host.capabilities().roots);
        let asked = host.map(|host| host.roots(self.name())).unwrap_or_default();
        declared.chain(asked).filter(Root::is_told).collect()
    }

    /// Whether the host can be asked to show URLs.
    pub(crate) fn shows_urls(&self) -> bool {
        self.offered.urls
    }

    /// Tells the server that the roots changed, where it was told that it would be.
    pub(crate) fn roots_changed(&self) {
        const CHANGED: &str = "notifications/roots/list_changed";
        let link = self.live_link();
        if let Some(link) = link.as_ref().filter(|link| link.era() == Some(Era::Legacy))
            && self.offered.roots
        {
            link.notify(wire::notification(CHANGED), CHANGED);
        }
    }

    /// Whether the live link is of MCP 2026-07-28.
    pub(crate) fn is_modern(&self) -> bool {
        self.live_link().as_ref().is_some_and(|link| link.era() == Some(Era::Modern))
    }

    /// Whether the server of the live link offers this.
    pub(crate) fn offers(&self, capability: &str) -> bool {
        let link = self.live_link();
        let offered = link.as_ref().and_then(|link| link.capabilities());
        offered.is_some_and(|offered| offered.has(capability))
    }

    /// Whether the session has ended, or is ending.
    pub(crate) fn is_over(&self) -> bool {
        self.scope.tasks.is_ending() || self.status().phase == Phase::Stopped
    }

    /// Has the server asked for this much of its log, over this link and every later one.
    pub(crate) fn want_log(&self, level: LogLevel) {
        self.introduction.want_log(level);
    }

    /// Ends what listens to this server: its session has ended.
    fn end_streams(&self) {
        self.notifications.close();
        self.subscriptions.close();
        self.logs.close();
    }

    /// The members of `_meta` that say which trace a request is part of.
    pub(crate) fn trace_members(&self) -> Option<String> {
        self.scope.tracer.as_ref()?.members()
    }
}
