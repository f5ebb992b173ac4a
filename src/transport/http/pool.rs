//! The connections to one origin: those that are idle wait here for the next request.

use std::{
    fmt,
    sync::{Arc, Weak},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, header::HOST};
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    body::{Message, Pooled},
    connect::{Connector, Exclusive, Multiplexed, Sender},
    failure::Failure,
    sending::{SETTLING, Unanswered},
    target::Target,
    tasks::Tasks,
};
use crate::error::{Delivery, HttpError};

/// How many idle connections are kept.
const IDLE: usize = 256;

/// For how long after one could not be opened requests wait for the streams of others.
const CROWDED: Duration = Duration::from_secs(10);

/// How soon at most idle connections are looked at again: none may be kept at all.
const LOOKS: Duration = Duration::from_millis(50);

/// How often a request is sent again that has not left: once, but for a connection that was shared.
const RESENDS: u32 = 3;

/// The connections to one origin.
pub(crate) struct Pool {
    connector: Connector,
    keep_alive: Duration,
    tasks: Arc<Tasks>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// In the order of their last use.
    idle: Vec<Idle>,
    /// The connections of a server that speaks HTTP/2: one, and more where that has all the streams
    /// that the server allows.
    shared: Vec<Arc<Shared>>,
    /// Whether the server is known to speak HTTP/1.1.
    http1: bool,
    /// Cancelled when what was opened last, for all others to share, is there or has failed. (A lock
    /// is handed on to whoever waits for it, and a caller's future need not be polled any more.)
    opening: Option<CancellationToken>,
    /// Until then, no more connections are opened beside those that are there: one could not be.
    crowded: Option<Instant>,
    expiring: bool,
    closed: bool,
}

struct Idle {
    exclusive: Exclusive,
    since: Instant,
}

struct Shared {
    connection: Multiplexed,
    used: Mutex<Instant>,
}

/// A request, but for where it goes.
pub(crate) struct Asked {
    pub(crate) method: Method,
    /// With the host.
    pub(crate) headers: HeaderMap,
    /// Nothing, if it is empty.
    pub(crate) body: Bytes,
}

/// A connection while it is used.
pub(crate) struct Lease {
    way: Way,
    reused: bool,
}

enum Way {
    Alone(Exclusive, Arc<Pool>),
    Shared(Share),
}

/// What somebody does who needs another connection.
enum Turn {
    /// Shares one that came in the meantime.
    There(Lease),
    /// Opens it for all others, who wait until this is dropped.
    Ahead(DropGuard),
    /// Waits for what comes of that.
    Behind(CancellationToken),
    /// Opens one that is not shared.
    Beside,
}

/// A use of the connection that all share.
struct Share(Arc<Shared>);

impl Pool {
    pub(crate) fn new(connector: Connector, keep_alive: Duration, tasks: Arc<Tasks>) -> Arc<Self> {
        let state = State { http1: !connector.is_secure(), ..State::default() };
        Arc::new(Self { connector, keep_alive, tasks, state: Mutex::new(state) })
    }

    pub(crate) fn host(&self) -> HeaderValue {
        self.connector.host.clone()
    }

    /// Sends a request, and returns when the head of the answer is there.
    ///
    /// An idle connection may have been closed by the server in this moment. The request goes to
    /// another one only if nothing of it has left.
    pub(crate) async fn send(
        self: &Arc<Self>,
        target: &Target,
        asked: impl Fn() -> Asked + Send + Sync,
    ) -> Result<Response<Pooled>, Failure> {
        let mut lease = match self.reuse().await {
            Some(lease) => lease,
            None => self.open().await?,
        };
        let mut resends = RESENDS;
        loop {
            let reused = lease.reused;
            let unanswered = match lease.send(target, asked()).await {
                Ok(response) => return Ok(response),
                Err(unanswered) => unanswered,
            };
            if unanswered.written || !reused || resends == 0 {
                return Err(Failure::of_exchange(&self.connector.origin, unanswered));
            }
            resends -= 1;
            lease = self.open().await?;
        }
    }

    /// The connection that was used last, of those that can be used again.
    async fn reuse(self: &Arc<Self>) -> Option<Lease> {
        loop {
            let Idle { mut exclusive, since } = {
                let mut state = self.state.lock();
                match state.idle.pop() {
                    Some(idle) => idle,
                    None => return state.shared(),
                }
            };
            if since.elapsed() >= self.keep_alive {
                continue;
            }
            let sender = &mut exclusive.sender;
            let usable = sender.is_ready()
                || !sender.is_closed()
                    && matches!(tokio::time::timeout(SETTLING, sender.ready()).await, Ok(Ok(())));
            if usable {
                let way = Way::Alone(exclusive, Arc::clone(self));
                return Some(Lease { way, reused: true });
            }
        }
    }

    /// Opens a connection. As long as the server may speak HTTP/2, one goes ahead, and all others
    /// wait for what comes of it.
    async fn open(self: &Arc<Self>) -> Result<Lease, Failure> {
        let ahead = loop {
            let turn = self.state.lock().turn();
            match turn {
                Turn::There(lease) => return Ok(lease),
                Turn::Ahead(guard) => break Some(guard),
                Turn::Beside => break None,
                Turn::Behind(opened) => opened.cancelled().await,
            }
            // It may have more callers than streams. If there is none, each has to see for itself.
            if self.state.lock().shared.is_empty() {
                break None;
            }
        };
        let pool = Arc::clone(self);
        // On a task, because it is the runtime's, and not just of whoever calls: who waits for it must
        // not wait for that one to be polled.
        let connecting = self.tasks.spawn(async move {
            let _ahead = ahead;
            let sender = pool.connector.connect().await?;
            pool.expire_later();
            Ok(pool.adopt(sender))
        });
        let connected = connecting.await.unwrap_or_else(|error| {
            let origin = self.connector.origin.clone();
            Err(HttpError::Connect { origin, source: Arc::new(error) })
        });
        connected.or_else(|error| {
            let mut state = self.state.lock();
            state.crowded = Some(Instant::now() + CROWDED);
            state.shared().ok_or_else(|| Failure::new(error, Delivery::NotSent))
        })
    }

    fn adopt(self: &Arc<Self>, sender: Sender) -> Lease {
        let mut state = self.state.lock();
        let way = match sender {
            Sender::Http1(exclusive) => {
                state.http1 = true;
                Way::Alone(exclusive, Arc::clone(self))
            }
            Sender::Http2(connection) => match state.shared() {
                Some(lease) => return lease,
                None => {
                    let used = Mutex::new(Instant::now());
                    let shared = Arc::new(Shared { connection, used });
                    if !state.closed {
                        state.shared.push(Arc::clone(&shared));
                    }
                    Way::Shared(Share(shared))
                }
            },
        };
        Lease { way, reused: false }
    }

    fn put_back(&self, exclusive: Exclusive) {
        let mut state = self.state.lock();
        if !state.closed && state.idle.len() < IDLE && !self.keep_alive.is_zero() {
            state.idle.push(Idle { exclusive, since: Instant::now() });
        }
    }

    /// Has a task close what is idle for too long, unless one does.
    fn expire_later(self: &Arc<Self>) {
        let running = std::mem::replace(&mut self.state.lock().expiring, true);
        if !running {
            drop(self.tasks.spawn(expire(Arc::downgrade(self))));
        }
    }

    /// Closes what is idle for too long, and says when to look again; never, if nothing is open.
    fn expired(&self) -> Option<Duration> {
        let mut state = self.state.lock();
        if self.connector.open.is_empty() {
            state.expiring = false;
            state.idle.clear();
            return None;
        }
        let kept = |since: Instant| self.keep_alive.checked_sub(since.elapsed());
        let fresh = |idle: &Idle| kept(idle.since).is_some_and(|left| !left.is_zero());
        let stale = state.idle.iter().take_while(|idle| !fresh(idle)).count();
        state.idle.drain(..stale);
        let mut next = state.idle.first().and_then(|idle| kept(idle.since));
        state.shared.retain(|shared| {
            let left = kept(*shared.used.lock()).filter(|left| !left.is_zero());
            let idle = shared.uses() == 0;
            if idle {
                next = next.into_iter().chain(left).min();
            }
            !idle || left.is_some()
        });
        Some(next.unwrap_or(self.keep_alive).max(LOOKS))
    }

    /// Whether any connection is open, or being used up.
    pub(crate) fn is_open(&self) -> bool {
        !self.connector.open.is_empty()
    }

    /// Closes what is idle, and keeps nothing any more.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        let idle = (std::mem::take(&mut state.idle), std::mem::take(&mut state.shared));
        drop(state);
        drop(idle);
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("origin", &self.connector.origin).finish_non_exhaustive()
    }
}

async fn expire(pool: Weak<Pool>) {
    while let Some(wait) = pool.upgrade().and_then(|pool| pool.expired()) {
        tokio::time::sleep(wait).await;
    }
}

impl State {
    fn turn(&mut self) -> Turn {
        if let Some(lease) = self.shared() {
            return Turn::There(lease);
        }
        if self.http1 {
            return Turn::Beside;
        }
        if let Some(opening) = self.opening.as_ref().filter(|opening| !opening.is_cancelled()) {
            return Turn::Behind(opening.clone());
        }
        let opening = self.opening.insert(CancellationToken::new());
        Turn::Ahead(opening.clone().drop_guard())
    }

    fn shared(&mut self) -> Option<Lease> {
        self.shared.retain(|shared| !shared.connection.sender.is_closed());
        let crowded = self.crowded.is_some_and(|until| Instant::now() < until);
        let least = || self.shared.iter().min_by_key(|shared| shared.uses()).filter(|_| crowded);
        let free = self.shared.iter().find(|shared| shared.has_room());
        let shared = Arc::clone(free.or_else(least)?);
        Some(Lease { way: Way::Shared(Share(shared)), reused: true })
    }
}

impl Shared {
    /// How many requests go over it.
    fn uses(self: &Arc<Self>) -> usize {
        Arc::strong_count(self) - 1
    }

    /// Whether the server takes one more at once. A stream that lasts as long as its session would
    /// otherwise keep whatever comes later waiting for ever.
    fn has_room(self: &Arc<Self>) -> bool {
        self.uses() < self.connection.most_streams()
    }
}

impl Asked {
    fn request(self, uri: Uri) -> Request<Message> {
        let mut request = Request::new(Message::new(self.body));
        *request.method_mut() = self.method;
        *request.uri_mut() = uri;
        *request.headers_mut() = self.headers;
        request
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        *self.0.used.lock() = Instant::now();
    }
}

impl Lease {
    async fn send(mut self, target: &Target, asked: Asked) -> Result<Response<Pooled>, Unanswered> {
        let sent = match &mut self.way {
            Way::Alone(exclusive, _) => {
                let request = asked.request(target.origin_form.clone());
                exclusive.send(request).await
            }
            Way::Shared(shared) => {
                let mut request = asked.request(target.absolute.clone());
                // There, it is part of where the request goes.
                request.headers_mut().remove(HOST);
                shared.0.connection.send(request).await
            }
        };
        Ok(sent?.map(|body| Pooled::new(body, self)))
    }

    /// Gives the connection back; without this, it is closed.
    pub(super) fn give_back(self) {
        match self.way {
            Way::Alone(exclusive, pool) => pool.put_back(exclusive),
            Way::Shared(_) => {}
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "servers of a test end with it")]
mod tests;
