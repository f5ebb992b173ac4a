//! A hostile MCP server over real sockets: it speaks one of three dialects well, does whatever a
//! test scripts instead, and remembers every request that it got.
//!
//! It lives on a thread and an async runtime of its own, so that nothing of it is counted as the
//! host's, and so that it can die like a process does: all its sockets reset at once.

#![allow(dead_code, unused_imports, reason = "each test uses its own part of it")]
#![allow(missing_docs, reason = "a test's server")]

#[path = "http/connection.rs"]
mod connection;
#[path = "http/dialect.rs"]
mod dialect;
#[path = "http/families.rs"]
pub(crate) mod families;
#[path = "http/modern.rs"]
mod modern;
#[path = "http/request.rs"]
mod request;
#[path = "http/session.rs"]
mod session;
#[path = "http/shared.rs"]
mod shared;
#[path = "http/step.rs"]
mod step;

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::{Duration, SystemTime},
};

use serde_json::Value;
use tokio::sync::oneshot;

use self::shared::Shared;
pub(crate) use self::{
    connection::{Accept, Io},
    dialect::{Dialect, Settings, Style, tool},
    request::{End, Exchange, Request, decoded},
    step::{
        Step, answer, chunk, end_of_events, event, event_with, events, json, lines, redirect,
        refusal, status, whole,
    },
};

/// How long a condition may take that nothing tells of.
const SOON: Duration = Duration::from_secs(30);

pub(crate) struct HttpServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    running: Option<Running>,
}

struct Running {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// Listens where no server of this process has been: what was learnt of a URL is remembered.
fn listen() -> (TcpListener, SocketAddr) {
    static USED: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        if USED.lock().unwrap().insert(address.port()) {
            return (listener, address);
        }
    }
}

impl HttpServer {
    /// Revision 2026-07-28: no session, and every header checked.
    pub(crate) fn modern() -> Self {
        Self::start(Dialect::Modern, None)
    }

    /// Streamable HTTP of 2025-11-25, with sessions.
    pub(crate) fn session() -> Self {
        Self::start(Dialect::Session, None)
    }

    /// HTTP+SSE of 2024-11-05.
    pub(crate) fn sse() -> Self {
        Self::start(Dialect::Sse, None)
    }

    /// A server whose connections are made of accepted sockets in this way: TLS.
    pub(crate) fn start(dialect: Dialect, accept: Option<Accept>) -> Self {
        let (listener, address) = listen();
        let mut server =
            Self { address, shared: Arc::new(Shared::new(dialect, accept)), running: None };
        server.run(listener);
        server
    }

    fn run(&mut self, listener: TcpListener) {
        let (stop, stopped) = oneshot::channel();
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::spawn(move || connection::run(listener, shared, stopped));
        self.running = Some(Running { stop, thread });
    }

    /// Dies like a process that is killed: every socket is reset, and its port refuses.
    pub(crate) fn kill(&mut self) {
        if let Some(Running { stop, thread }) = self.running.take() {
            // It ends because nobody can tell it to stop any more.
            drop(stop);
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the server panicked");
        }
        self.shared.forget_sessions();
    }

    /// Comes back on the same port, and knows no session of before.
    pub(crate) fn revive(&mut self) {
        assert!(self.running.is_none(), "it is alive");
        let deadline = SystemTime::now() + SOON;
        let listener = loop {
            match TcpListener::bind(self.address) {
                Ok(listener) => break listener,
                Err(error) => assert!(SystemTime::now() < deadline, "{error}"),
            }
            std::thread::yield_now();
        };
        self.run(listener);
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// The origin, without a path.
    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where its dialect is spoken.
    pub(crate) fn url(&self) -> String {
        format!("{}{}", self.origin(), self.shared.dialect().path())
    }

    pub(crate) fn configure(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.shared.settings.lock().unwrap());
    }

    /// Does this instead, whenever such a request comes; the latest rule for a request counts.
    ///
    /// `what` is a verb other than POST, an MCP method, or `tools/call` and the name of a tool.
    pub(crate) fn on(
        &self,
        what: &'static str,
        plan: impl Fn(&Request) -> Vec<Step> + Send + Sync + 'static,
    ) {
        self.on_first(usize::MAX, what, plan);
    }

    /// As [`on`](Self::on), for the first few only.
    pub(crate) fn on_first(
        &self,
        count: usize,
        what: &'static str,
        plan: impl Fn(&Request) -> Vec<Step> + Send + Sync + 'static,
    ) {
        self.shared.add_rule(count, what, Box::new(plan));
    }

    /// Behaves again.
    pub(crate) fn behave(&self) {
        self.shared.rules.lock().unwrap().clear();
    }

    /// Every request so far, in the order of their arrival.
    pub(crate) fn requests(&self) -> Vec<Arc<Exchange>> {
        self.shared.exchanges.lock().unwrap().clone()
    }

    /// The requests of one kind, named as for [`on`](Self::on).
    pub(crate) fn seen(&self, what: &str) -> Vec<Arc<Exchange>> {
        let mut all = self.requests();
        all.retain(|exchange| exchange.request.is(what));
        all
    }

    pub(crate) fn count(&self, what: &str) -> usize {
        self.seen(what).len()
    }

    /// The only request of this kind.
    pub(crate) fn only(&self, what: &str) -> Arc<Exchange> {
        let seen = self.seen(what);
        assert_eq!(seen.len(), 1, "{what}: {seen:#?}");
        Arc::clone(&seen[0])
    }

    /// How many requests it holds back.
    pub(crate) fn held(&self) -> usize {
        self.shared.held()
    }

    /// Answers whatever it holds back at this moment.
    pub(crate) fn release(&self) {
        self.shared.release();
    }

    /// How often the tool `counter` was executed.
    pub(crate) fn executed(&self) -> u64 {
        self.shared.executed()
    }

    /// How many connections are open, and how many there ever were.
    pub(crate) fn connections(&self) -> (usize, u64) {
        self.shared.connections()
    }

    /// Speaks 2026-07-28 from now on, as after an update.
    pub(crate) fn become_modern(&self) {
        *self.shared.dialect.lock().unwrap() = Dialect::Modern;
    }

    /// Knows none of its sessions any more, as after a restart behind a balancer.
    pub(crate) fn forget_sessions(&self) {
        self.shared.forget_sessions();
    }

    /// How many streams of the server's own are open.
    pub(crate) fn streams(&self) -> usize {
        self.shared.streams()
    }

    /// Sends a message on every stream of the server's own.
    pub(crate) fn push(&self, message: &Value) {
        self.shared.push_to_all(&|| event(message));
    }

    /// Does something else on every stream of the server's own: [`Step::Reset`], for one.
    pub(crate) fn on_streams(&self, step: impl Fn() -> Step) {
        self.shared.push_to_all(&step);
    }

    /// What the client did against the rules of the dialect.
    pub(crate) fn breaches(&self) -> Vec<String> {
        self.shared.breaches.lock().unwrap().clone()
    }

    /// The same, where a test wants them; they are forgiven.
    pub(crate) fn take_breaches(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.breaches.lock().unwrap())
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.kill();
        let breaches = self.breaches();
        assert!(breaches.is_empty() || std::thread::panicking(), "breaches: {breaches:#?}");
    }
}
