//! The calls of a whole runtime, those of sessions that are gone included.

use std::sync::Arc;

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::{sync::watch, time::Instant};

use super::{CallTotals, ServerUsage, Usage};
use crate::{meter::ServerMeter, telemetry::Labels};

/// The books of one runtime.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    books: Mutex<Books>,
    /// Told when anything in them stands otherwise than before, but for counts.
    changed: watch::Sender<()>,
}

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
        self.books.lock().open.insert(number, Arc::clone(&usage));
        Book { number, ledger: Arc::clone(self), usage }
    }

    /// Tells of changes of a status from now on.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// All calls of the runtime.
    pub(crate) fn totals(&self) -> CallTotals {
        let books = self.books.lock();
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

    /// The status of a server has changed.
    pub(crate) fn changed(&self) {
        self.ledger.changed.send_replace(());
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
        let mut books = self.ledger.books.lock();
        books.open.remove(&self.number);
        books.closed.add(self.usage.totals());
    }
}
