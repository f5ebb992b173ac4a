//! Everything behind one server: [`lifecycle`] decides, [`actor`] performs, [`epoch`] lives one
//! link from its process to nothing left, [`link`] routes what goes over it.

pub(crate) mod about;
pub(crate) mod actor;
mod ask;
mod cache;
pub(crate) mod call;
mod epoch;
mod guard;
mod handshake;
mod health;
mod host_requests;
mod inbound;
mod introduction;
pub(crate) mod kept;
mod lifecycle;
pub(crate) mod link;
mod listeners;
pub(crate) mod listing;
pub(crate) mod logs;
mod outbox;
mod per_call;
#[cfg(feature = "http")]
mod remote;
pub(crate) mod requests;
mod resume;
mod rounds;
mod standing;
pub(crate) mod subscriptions;
pub(crate) mod tasks;
pub(crate) mod terms;
pub(crate) mod wake;

use std::{
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::SystemTime,
};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::Span;

use crate::{
    approval::Approval,
    budget::{Budgets, MemoryWatch, Room},
    catalog::Board,
    census::Census,
    error::{CallError, DownCause},
    event::{Event, Feed, Notification},
    host::{Host, HostCapabilities, LogLevel, Root},
    layer::{self, CallService},
    policy::CallOptions,
    record::Record,
    scope::Scope,
    secret::Secrets,
    spec::{Opening, ServerSpec},
    status::{BreakerState, Phase, Status},
    telemetry::{self, Labels},
    trace::Tracer,
    transport::stderr::StderrTail,
    usage::{Book, ServerUsage},
    wire,
};
#[cfg(feature = "http")]
use crate::{auth::Authority, transport::http::clients::Clients};
use cache::Cache;
use guard::Guard;
use handshake::Capabilities;
use handshake::Era;
use introduction::Introduction;
use kept::Kept;
use link::Link;
use logs::LogBook;
use per_call::PerCall;
use standing::Standing;
use subscriptions::Subscriptions;

/// What the connection of one server publishes: calls and handles read it, and never ask an actor.
pub(crate) struct Connection {
    pub(crate) spec: ServerSpec,
    /// Where it stands on the session's board; no other connection ever has the same.
    pub(crate) place: usize,
    /// Cancelled when nothing of it is left, or its session ends.
    pub(crate) end: CancellationToken,
    /// How it leaves a session that goes on, once it does.
    left: OnceLock<Leave>,
    /// The last epoch of the connection that it took the place of.
    inherited: AtomicU64,
    /// What holds for its calls, where a tool or a call says nothing else.
    pub(crate) options: CallOptions,
    pub(crate) span: Span,
    /// What stands in its spans.
    labels: Arc<Labels>,
    pub(crate) scope: Arc<SessionScope>,
    /// The live link; none while the server is down.
    link: ArcSwapOption<Link>,
    /// The one that was made last, which may not be live yet.
    latest: Mutex<Weak<Link>>,
    status: Standing,
    /// Fires once nothing of the latest epoch is left.
    gone: ArcSwapOption<CancellationToken>,
    pub(crate) notifications: Feed<Notification>,
    /// What goes through it.
    pub(crate) usage: Arc<ServerUsage>,
    /// Who we are to a server behind a URL.
    #[cfg(feature = "http")]
    pub(crate) authority: Option<Arc<Authority>>,
    stderr: ArcSwapOption<StderrTail>,
    noise: AtomicU64,
    violations: AtomicU64,
    /// What servers may ask of the host.
    offered: HostCapabilities,
    introduction: Arc<Introduction>,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) logs: LogBook,
    kept: Kept,
    /// What its server offered last.
    last_offer: ArcSwapOption<Capabilities>,
    mailbox: ArcSwapOption<Mailbox>,
    /// Whether it was to be woken before it had an actor.
    wake_early: AtomicBool,
    guard: Guard,
    cache: Cache,
    /// Only where each call opens its server.
    per_call: OnceLock<Box<PerCall>>,
    /// The layers of the host around its calls, if there are any.
    layers: Option<CallService>,
}

/// How a connection leaves a session that goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leave {
    /// Another takes its place: the server is declared otherwise now.
    Replaced,
    Removed,
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
    /// The layers of the host around the calls of the session, if there are any.
    pub(crate) layers: Option<CallService>,
    pub(crate) approval: Option<Approval>,
    pub(crate) secrets: Secrets,
    pub(crate) budgets: Budgets,
    pub(crate) memory: Arc<MemoryWatch>,
    /// What its calls came to.
    pub(crate) book: Book,
    pub(crate) opened: SystemTime,
}

impl std::fmt::Debug for SessionScope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionScope").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Asks a connection's actor, which stays nameless here.
struct Mailbox(Box<dyn Fn(Ask) + Send + Sync>);

/// What may be asked of it.
#[derive(Debug, Clone, Copy)]
enum Ask {
    Restart,
    /// To start if it is asleep.
    Wake,
}

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
        options: &CallOptions,
        scope: Arc<SessionScope>,
    ) -> Self {
        let spec_breaker = spec.breaker.map(|_| BreakerState::Closed);
        let labels = Arc::new(Labels::of(&spec));
        let usage = scope.book.server(&spec.name, &labels);
        usage.meter.breaker(spec_breaker);
        let told = (&*labels, &scope.secrets.redactor);
        let span = telemetry::connection_span(&scope.span, &spec.name, told);
        let host = scope.host.as_ref();
        let mut offered = host.map(|host| host.capabilities()).unwrap_or_default();
        offered.roots |= !spec.roots.is_empty();
        #[cfg(feature = "http")]
        let authority = spec.transport.http().map(|http| Authority::new(http, &scope, &spec.name));
        let end = scope.tasks.token().child_token();
        Self {
            options: spec.call_options.over(options),
            guard: Guard::new(&spec),
            cache: Cache::new(spec.limits.max_cached),
            per_call: OnceLock::new(),
            layers: layer::around(&spec.layers, CallService::innermost()),
            spec,
            place,
            end,
            left: OnceLock::new(),
            inherited: AtomicU64::new(0),
            span,
            labels,
            scope,
            link: ArcSwapOption::empty(),
            status: Standing::new(Status { breaker: spec_breaker, ..Status::idle() }),
            gone: ArcSwapOption::empty(),
            notifications: Feed::default(),
            usage,
            #[cfg(feature = "http")]
            authority: authority.map(Arc::new),
            stderr: ArcSwapOption::empty(),
            latest: Mutex::default(),
            noise: AtomicU64::new(0),
            violations: AtomicU64::new(0),
            introduction: Arc::new(Introduction::new(&offered)),
            offered,
            subscriptions: Subscriptions::default(),
            logs: LogBook::default(),
            kept: Kept::default(),
            last_offer: ArcSwapOption::empty(),
            mailbox: ArcSwapOption::empty(),
            wake_early: AtomicBool::new(false),
        }
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.spec.name
    }

    /// The live link, if there is one, for the time of one look.
    pub(crate) fn live_link(&self) -> arc_swap::Guard<Option<Arc<Link>>> {
        self.link.load()
    }

    /// What went over its link so far, be it live or on its way to be.
    pub(crate) fn record(&self) -> Option<Record> {
        let latest = || self.latest.lock().upgrade().filter(|link| link.down_reason().is_none());
        self.link.load_full().or_else(latest).map(|link| link.record())
    }

    /// Forgets all that its server said for a while, and the results of its tools: somebody else may be
    /// asking from now on.
    #[cfg(feature = "oauth")]
    pub(crate) fn forget_answers(&self) {
        self.kept.forget_all();
        self.cache.forget();
    }

    /// Whether nobody uses it, and the next call wakes it; also before its status says so.
    pub(crate) fn falls_asleep(&self) -> bool {
        let link = self.live_link();
        let reason = link.as_ref().and_then(|link| link.down_reason());
        reason.is_some_and(|reason| reason.is_unused()) || self.status().phase.is_asleep()
    }

    /// What the calls share that each open the server for themselves.
    fn per_call(&self) -> &PerCall {
        self.per_call.get_or_init(|| Box::new(PerCall::new(&self.end)))
    }

    /// Whether anything stands between its calls and its link, whatever their options.
    pub(crate) fn guards_calls(&self) -> bool {
        self.guard.is_on()
            || self.spec.opening == Opening::PerCall
            || self.layers.is_some()
            || self.scope.layers.is_some()
            || self.scope.approval.is_some()
            || self.scope.budgets.count_calls()
    }

    /// Waits for room in the budgets for a request of so many bytes, and takes it.
    pub(crate) async fn room(
        &self,
        bytes: usize,
        deadline: Option<Instant>,
    ) -> Result<Room, CallError> {
        let room = self.scope.budgets.call(bytes, deadline).await;
        room.map_err(|over| CallError::OverBudget { server: self.name().to_string(), over })
    }

    /// Whether it has never listed its tools because nobody has started it yet.
    pub(crate) fn is_unlisted(&self) -> bool {
        self.spec.opening != Opening::Eager && !self.scope.board.has_listed(self.place)
    }

    pub(crate) fn layers(&self) -> Option<&CallService> {
        self.layers.as_ref()
    }

    pub(crate) fn status(&self) -> Status {
        self.status.now()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Status> {
        self.status.watch()
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

    /// Whether it is up only while it is used.
    fn is_on_demand(&self) -> bool {
        self.spec.sleeps() || self.spec.opening == Opening::PerCall
    }

    /// Remembers what its server offers, for when it is asleep.
    fn note_offer(&self, link: &Link) {
        if !self.is_on_demand() {
            return;
        }
        self.last_offer.store(link.capabilities().cloned().map(Arc::new));
    }

    /// Whether its server offers this: the live one, or the one that the next request wakes. None where
    /// it sleeps, and was never up.
    pub(crate) fn would_offer(&self, capability: &str) -> Option<bool> {
        if !self.is_on_demand() || self.is_ending() {
            return Some(self.offers(capability));
        }
        let last = self.last_offer.load();
        last.as_ref().map(|offered| offered.has(capability))
    }

    /// Whether the server of the live link offers this.
    pub(crate) fn offers(&self, capability: &str) -> bool {
        let link = self.live_link();
        let offered = link.as_ref().and_then(|link| link.capabilities());
        offered.is_some_and(|offered| offered.has(capability))
    }

    /// Has it leave a session that goes on; what it has in flight is told why.
    pub(crate) fn leave(&self, how: Leave) {
        let (Ok(()) | Err(_)) = self.left.set(how);
    }

    pub(crate) fn has_left(&self) -> bool {
        self.left.get().is_some()
    }

    /// Why a link of it is closed that was to be closed for good.
    fn closing_cause(&self) -> DownCause {
        match self.left.get() {
            _ if self.scope.tasks.is_ending() => DownCause::SessionClosed,
            Some(Leave::Replaced) => DownCause::Restarted,
            Some(Leave::Removed) => DownCause::Removed,
            None => DownCause::SessionClosed,
        }
    }

    /// Whether it, or its session, ends.
    pub(crate) fn is_ending(&self) -> bool {
        self.end.is_cancelled() || self.has_left()
    }

    /// Whether its first start, if it starts by itself, is over.
    pub(crate) fn has_begun(&self, status: &Status) -> bool {
        let before = self.inherited.load(Ordering::Acquire);
        let first = status.epoch <= before + 1 && status.phase == Phase::Starting;
        let eager = self.spec.opening == Opening::Eager;
        let unbegun = eager && status.epoch <= before && status.phase == Phase::Idle;
        !first && !unbegun
    }

    /// Whether it, or its session, has ended, or is ending.
    pub(crate) fn is_over(&self) -> bool {
        self.is_ending() || self.status().phase == Phase::Stopped
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

    /// The span of a new link.
    fn link_span(&self, epoch: u64) -> Span {
        telemetry::link_span(&self.span, epoch, (&self.labels, &self.scope.secrets.redactor))
    }
}
