//! The calls of a whole runtime, those of sessions that are gone included.

use std::sync::Arc;

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::time::Instant;

use super::{CallTotals, ServerUsage, Usage};
use crate::{meter::ServerMeter, telemetry::Labels};

/// The books of one runtime.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<Books>);

#[derive(Debug, Default)]
struct Books {
    open: FxHashMap<u64, Arc<SessionUsage>>,
    /// The sum of those that were closed.
    closed: CallTotals,
}

/// The calls of one session.
#[derive(Debug)]
struct SessionUsage {
    /// Calls of tools that nobody has.
    unrouted: Arc<Usage>,
    servers: Mutex<Vec<Arc<ServerUsage>>>,
}

/// The book of one session, open as long as this is held: longer than any call of it.
#[derive(Debug)]
pub(crate) struct Book {
    number: u64,
    ledger: Arc<Ledger>,
    usage: Arc<SessionUsage>,
}

impl Ledger {
    /// Opens the book of the session of this number.
    pub(crate) fn open(self: &Arc<Self>, number: u64) -> Book {
        let unrouted = Arc::new(Usage::new(Instant::now(), ServerMeter::of_nobody()));
        let usage = Arc::new(SessionUsage { unrouted, servers: Mutex::default() });
        self.0.lock().open.insert(number, Arc::clone(&usage));
        Book { number, ledger: Arc::clone(self), usage }
    }

    /// All calls of the runtime.
    pub(crate) fn totals(&self) -> CallTotals {
        let books = self.0.lock();
        let mut totals = books.closed;
        books.open.values().for_each(|usage| totals.add(usage.totals()));
        totals
    }
}

impl Book {
    /// The calls of tools that nobody has.
    pub(crate) fn unrouted(&self) -> &Arc<Usage> {
        &self.usage.unrouted
    }

    /// Opens the page of one server.
    pub(crate) fn server(&self, name: &Arc<str>, labels: &Labels) -> Arc<ServerUsage> {
        let usage = Arc::new(ServerUsage::new(name, labels));
        self.usage.servers.lock().push(Arc::clone(&usage));
        usage
    }

    /// All calls of the session.
    pub(crate) fn totals(&self) -> CallTotals {
        self.usage.totals()
    }
}

impl SessionUsage {
    fn totals(&self) -> CallTotals {
        let mut totals = self.unrouted.totals();
        self.servers.lock().iter().for_each(|server| totals.add(server.totals()));
        totals
    }
}

impl Drop for Book {
    fn drop(&mut self) {
        let mut books = self.ledger.0.lock();
        books.open.remove(&self.number);
        books.closed.add(self.usage.totals());
    }
}
