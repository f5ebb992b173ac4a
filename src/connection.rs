//! Everything behind one server: [`lifecycle`] decides, [`actor`] performs, [`epoch`] lives one
//! link from its process to nothing left, [`link`] routes what goes over it.

pub(crate) mod actor;
mod ask;
pub(crate) mod call;
mod epoch;
mod handshake;
mod inbound;
mod lifecycle;
mod link;
mod listing;
mod outbox;
#[cfg(feature = "http")]
mod remote;

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
    policy::CallOptions,
    scope::Scope,
    spec::ServerSpec,
    status::Status,
    transport::stderr::StderrTail,
};
use link::Link;

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
    mailbox: ArcSwapOption<Mailbox>,
}

/// What all connections of a session share.
#[derive(Debug)]
pub(crate) struct SessionScope {
    pub(crate) id: Arc<str>,
    pub(crate) tasks: Scope,
    pub(crate) census: Arc<Census>,
    pub(crate) events: Feed<Event>,
    pub(crate) board: Board,
    #[cfg(feature = "http")]
    pub(crate) clients: Arc<Clients>,
    pub(crate) span: Span,
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
}
