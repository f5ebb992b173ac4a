//! What the connections of one server share, through all its lives.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::SystemTime,
};

use tokio::sync::{mpsc, watch};

use super::{Accept, Dialect, Exchange, Request, Settings, Step};

type Plan = Box<dyn Fn(&Request) -> Vec<Step> + Send + Sync>;

/// Where a stream of the server's own gets its steps from.
pub(crate) type Stream = mpsc::UnboundedSender<Step>;

pub(crate) struct Shared {
    pub(crate) dialect: Mutex<Dialect>,
    pub(crate) accept: Option<Accept>,
    pub(crate) settings: Mutex<Settings>,
    pub(crate) rules: Mutex<Vec<Arc<Rule>>>,
    pub(crate) exchanges: Mutex<Vec<Arc<Exchange>>>,
    pub(crate) breaches: Mutex<Vec<String>>,
    /// The sessions, each with its stream if it has one.
    sessions: Mutex<BTreeMap<String, Option<Stream>>>,
    minted: AtomicU64,
    /// How often what is held was released.
    gate: watch::Sender<u64>,
    held: AtomicUsize,
    executed: AtomicU64,
    open: AtomicUsize,
    connected: AtomicU64,
}

pub(crate) struct Rule {
    what: &'static str,
    left: AtomicUsize,
    plan: Plan,
}

/// Counts something as long as it lives.
pub(crate) struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Shared {
    pub(crate) fn new(dialect: Dialect, accept: Option<Accept>) -> Self {
        Self {
            dialect: Mutex::new(dialect),
            accept,
            settings: Mutex::new(Settings::new(dialect)),
            rules: Mutex::default(),
            exchanges: Mutex::default(),
            breaches: Mutex::default(),
            sessions: Mutex::default(),
            minted: AtomicU64::new(0),
            gate: watch::Sender::new(0),
            held: AtomicUsize::new(0),
            executed: AtomicU64::new(0),
            open: AtomicUsize::new(0),
            connected: AtomicU64::new(0),
        }
    }

    pub(crate) fn dialect(&self) -> Dialect {
        *self.dialect.lock().unwrap()
    }

    pub(crate) fn add_rule(&self, count: usize, what: &'static str, plan: Plan) {
        let rule = Rule { what, left: AtomicUsize::new(count), plan };
        self.rules.lock().unwrap().push(Arc::new(rule));
    }

    /// What is done for a request: what the latest rule for it says, or what is proper.
    pub(crate) fn plan(&self, request: &Request) -> Vec<Step> {
        let rules = self.rules.lock().unwrap().clone();
        let rule = rules.iter().rev().find(|rule| {
            let take = |left: usize| left.checked_sub(1);
            request.is(rule.what)
                && rule.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_ok()
        });
        rule.map_or_else(|| vec![Step::Proper], |rule| (rule.plan)(request))
    }

    pub(crate) fn record(&self, request: Request) -> Arc<Exchange> {
        let exchange = Arc::new(Exchange { request, at: SystemTime::now(), end: OnceLock::new() });
        self.exchanges.lock().unwrap().push(Arc::clone(&exchange));
        exchange
    }

    pub(crate) fn breach(&self, request: &Request, what: &str) {
        let told = format!("{} {} {}: {what}", request.verb, request.path, request.body);
        self.breaches.lock().unwrap().push(told);
    }

    pub(crate) fn opened(&self) -> (u64, Counted<'_>) {
        (self.connected.fetch_add(1, Ordering::SeqCst), Counted::new(&self.open))
    }

    pub(crate) fn connections(&self) -> (usize, u64) {
        (self.open.load(Ordering::SeqCst), self.connected.load(Ordering::SeqCst))
    }

    pub(crate) fn execute(&self) -> u64 {
        self.executed.fetch_add(1, Ordering::SeqCst) + 1
    }

    pub(crate) fn executed(&self) -> u64 {
        self.executed.load(Ordering::SeqCst)
    }

    /// Waits until the test releases what is held.
    pub(crate) async fn hold(&self) {
        let mut gate = self.gate.subscribe();
        let _held = Counted::new(&self.held);
        // The sender lives in this very value.
        gate.changed().await.unwrap();
    }

    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::SeqCst)
    }

    pub(crate) fn release(&self) {
        self.gate.send_modify(|times| *times += 1);
    }

    /// A new session, by its id.
    pub(crate) fn mint(&self) -> String {
        let id = format!("session-{}", self.minted.fetch_add(1, Ordering::SeqCst) + 1);
        self.sessions.lock().unwrap().insert(id.clone(), None);
        id
    }

    pub(crate) fn knows(&self, session: &str) -> bool {
        self.sessions.lock().unwrap().contains_key(session)
    }

    pub(crate) fn end_session(&self, session: &str) {
        self.sessions.lock().unwrap().remove(session);
    }

    pub(crate) fn forget_sessions(&self) {
        self.sessions.lock().unwrap().clear();
    }

    /// The stream of a session; one that it had before ends.
    pub(crate) fn attach(&self, session: &str) -> mpsc::UnboundedReceiver<Step> {
        let (stream, steps) = mpsc::unbounded_channel();
        self.sessions.lock().unwrap().insert(session.to_owned(), Some(stream));
        steps
    }

    pub(crate) fn push(&self, session: &str, step: Step) {
        if let Some(Some(stream)) = self.sessions.lock().unwrap().get(session) {
            // The client may have closed it.
            drop(stream.send(step));
        }
    }

    pub(crate) fn push_to_all(&self, step: &dyn Fn() -> Step) {
        for stream in self.sessions.lock().unwrap().values().flatten() {
            drop(stream.send(step()));
        }
    }

    pub(crate) fn streams(&self) -> usize {
        let sessions = self.sessions.lock().unwrap();
        sessions.values().flatten().filter(|stream| !stream.is_closed()).count()
    }
}
