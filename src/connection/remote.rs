//! A link over HTTP, where every message is an exchange of its own.
//!
//! Three things run beside the exchanges: the stream of what the server says of its own accord
//! ([`stream`], for those older than 2026-07-28; for HTTP+SSE it carries the answers, too), and the
//! watch over whether the server is still there ([`health`]).

mod exchange;
mod health;
mod stream;

use std::sync::{Arc, OnceLock, Weak, atomic::AtomicBool};

use parking_lot::Mutex;
use reqwest::header::{HeaderMap, HeaderValue};
use tokio::{
    runtime::Handle,
    sync::{Notify, Semaphore},
};
use tokio_util::task::TaskTracker;
use tracing::Span;

use self::exchange::Asking;
pub(super) use self::stream::open_sse;

use super::{
    Connection,
    handshake::{Era, MODERN},
    inbound::Inbound,
    link::{Exchange, Letter, Link, Post, Subject},
};
use crate::{
    error::{DownCause, DownReason},
    scope::Scope,
    status::TransportKind,
    transport::{
        Departure, Frames as _,
        http::{
            endpoint::{Endpoint, SESSION_ID},
            failure::{Cause, Failure},
            mirror,
        },
    },
    wire::{self, Incoming, RequestId},
};

/// From this revision on, every request says which revision it is in.
const VERSION_IS_TOLD: &str = "2025-06-18";

/// How many messages that are neither requests nor answers may be out, when another call is given up:
/// the server need not be told of it (MCP 2025-11-25, basic/utilities/cancellation).
const NOTICES: usize = 256;

/// How many of them have a connection at a time. A server that hangs would take up one for each.
const NOTICES_AT_ONCE: usize = 64;

/// The far side of a link over HTTP.
pub(crate) struct Remote {
    link: OnceLock<Weak<Link>>,
    connection: Weak<Connection>,
    tasks: Scope,
    /// Where they run.
    handle: Handle,
    span: Span,
    endpoint: Endpoint,
    kind: TransportKind,
    tools_changed: Arc<Notify>,
    /// What the server wants to be reminded of with every request, if it does.
    http_session: Mutex<Option<HeaderValue>>,
    /// The messages on their way that are no requests.
    letters: TaskTracker,
    /// Those among them that answer the server.
    answers: TaskTracker,
    /// Taken by the others while they are sent.
    places: Semaphore,
    /// Whether a request was refused without being named, since somebody last looked.
    disowned: AtomicBool,
}

impl Remote {
    pub(super) fn new(
        connection: &Arc<Connection>,
        span: Span,
        (endpoint, kind): (Endpoint, TransportKind),
        tools_changed: Arc<Notify>,
    ) -> Self {
        Self {
            link: OnceLock::new(),
            connection: Arc::downgrade(connection),
            tasks: connection.scope.tasks.clone(),
            handle: Handle::current(),
            span,
            endpoint,
            kind,
            tools_changed,
            http_session: Mutex::default(),
            letters: TaskTracker::new(),
            answers: TaskTracker::new(),
            places: Semaphore::new(NOTICES_AT_ONCE),
            disowned: AtomicBool::new(false),
        }
    }

    /// Says whose far side it is; before that, nothing can be sent.
    pub(super) fn attach(&self, link: &Arc<Link>) {
        self.link.get_or_init(|| Arc::downgrade(link));
    }

    fn link(&self) -> Option<Arc<Link>> {
        self.link.get()?.upgrade()
    }

    pub(super) fn kind(&self) -> TransportKind {
        self.kind
    }

    /// Waits until the messages that are no requests have arrived: exchanges overtake one another,
    /// and no request may overtake `notifications/initialized`.
    pub(super) async fn letters_have_arrived(&self) {
        self.letters.close();
        self.letters.wait().await;
        self.letters.reopen();
    }

    /// Ends the HTTP session, if there is one.
    pub(super) async fn end(&self) {
        let Some(link) = self.link() else { return };
        let lost = link
            .down_reason()
            .is_some_and(|reason| matches!(reason.cause, DownCause::HttpSessionLost));
        if self.has_session() && !lost {
            self.endpoint.farewell(self.session_headers(&link)).await;
        }
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        // Whoever drops a call may be outside of any async runtime.
        self.tasks.spawn_on(&self.handle, &self.span, task);
    }

    /// Hands over a message; `request` is what it can only answer, where that is known.
    fn hand_over(&self, link: &Arc<Link>, message: Vec<u8>, request: Option<RequestId>) {
        let Some(connection) = self.connection.upgrade() else { return };
        let tools_changed = Arc::clone(&self.tools_changed);
        let mut inbound = Inbound::new(connection, Arc::clone(link), tools_changed);
        link.pulse.beat();
        let unroutable = matches!(wire::classify(wire::trim(&message)), Incoming::Unroutable);
        let addressed = request.filter(|_| unroutable);
        let addressed = addressed.and_then(|id| wire::addressed_error(wire::trim(&message), id));
        inbound.frame(addressed.unwrap_or(message).into());
        inbound.flush();
    }

    /// The headers of a message (MCP 2026-07-28, basic/transports/streamable-http).
    fn headers(&self, link: &Link, subject: &Subject<'_>) -> HeaderMap {
        if self.kind == TransportKind::HttpSse {
            return HeaderMap::new();
        }
        match link.era() {
            None if subject.method == "server/discover" => modern_headers(MODERN, subject),
            None => HeaderMap::new(),
            Some(Era::Modern) => modern_headers(MODERN, subject),
            Some(Era::Legacy) => self.session_headers(link),
        }
    }

    /// What binds a request to its HTTP session (MCP 2025-11-25, basic/transports).
    fn session_headers(&self, link: &Link) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(version) = link.version().filter(|version| *version >= VERSION_IS_TOLD) {
            mirror::version(&mut headers, version);
        }
        if let Some(id) = &*self.http_session.lock() {
            headers.insert(SESSION_ID, id.clone());
        }
        headers
    }

    fn has_session(&self) -> bool {
        self.http_session.lock().is_some()
    }

    /// Learns the HTTP session from the answer to `initialize`; elsewhere nobody has one to give.
    fn learn_session(&self, headers: &HeaderMap) {
        if let Some(id) = headers.get(SESSION_ID) {
            // A copy, for a clone keeps the whole head that it came in.
            let mut id = HeaderValue::from_bytes(id.as_bytes()).ok();
            id.iter_mut().for_each(|id| id.set_sensitive(true));
            *self.http_session.lock() = id;
        }
    }

    /// Notes what a failure says of the server as a whole.
    fn weigh(&self, link: &Link, failure: &Failure) {
        match &failure.cause {
            Cause::SessionLost => link.go_down(DownReason::new(DownCause::HttpSessionLost)),
            Cause::Http(error) if error.is_logged_out() => {
                link.go_down(DownReason::new(DownCause::Http(Arc::clone(error))));
            }
            Cause::Http(error) if error.is_loss() => link.pulse.doubt(),
            Cause::Http(_) => {}
        }
    }
}

fn modern_headers(version: &str, subject: &Subject<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    mirror::version(&mut headers, version);
    if !subject.method.is_empty() {
        mirror::subject(&mut headers, subject.method, subject.name);
    }
    mirror::parameters(&mut headers, subject.mirrored);
    headers
}

impl Post for Remote {
    fn http_session(&self) -> Option<String> {
        self.http_session.lock().as_ref().and_then(|id| id.to_str().ok()).map(str::to_owned)
    }

    fn post(self: Arc<Self>, letter: Letter<'_>) -> Option<Exchange> {
        let link = self.link()?;
        let headers = self.headers(&link, &letter.subject);
        let method = letter.subject.method;
        let (opening, probe) =
            (method == "initialize", matches!(method, "ping" | "server/discover"));
        let Letter { request, frame, subject } = letter;
        if let Some(id) = request {
            let departure = Departure::default();
            let asking = Asking { id, opening, probe, departure: departure.clone() };
            return Some(Exchange::new(departure, self.exchange(link, asking, frame, headers)));
        }
        let answer = subject.is_answer();
        let delivery = Arc::clone(&self).deliver(link, (frame, headers), answer);
        let delivery = self.letters.track_future(delivery);
        if answer {
            self.spawn(self.answers.track_future(delivery));
        } else {
            self.spawn(delivery);
        }
        None
    }

    fn recall(self: Arc<Self>, notice: Vec<u8>) {
        let modern = self.link().is_some_and(|link| link.era() == Some(Era::Modern));
        // There, the end of its exchange is the cancellation of a request.
        let told = !modern || self.kind == TransportKind::HttpSse;
        if told && self.letters.len().saturating_sub(self.answers.len()) < NOTICES {
            let subject = Subject { method: "notifications/cancelled", ..Subject::default() };
            drop(self.post(Letter { request: None, frame: notice, subject }));
        }
    }

    fn relist(&self) {
        self.tools_changed.notify_one();
    }

    fn unread_answers(&self) -> usize {
        self.answers.len()
    }
}
