//! What calls came to: counted where they begin and end, and looked at by whoever wants to know.
//!
//! Every call that begins is counted once, and so is its end, whichever that is: what was begun is
//! what has finished, failed and been cancelled, and what is still on its way.

mod ledger;
mod window;

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

pub(crate) use ledger::{Book, Ledger};
pub(crate) use window::Recent;
use window::Window;

use crate::{
    error::CallError,
    meter::{ServerMeter, ToolMeter},
    output::Output,
    telemetry::Labels,
};

/// What became of calls, counted from the beginning.
///
/// `started == finished + cancelled + failed` whenever no call is on its way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CallTotals {
    /// Calls that were polled at least once.
    pub started: u64,
    /// Of these, those that brought a result.
    pub finished: u64,
    /// Of the results, those in which the tool says that it failed.
    pub tool_errors: u64,
    /// Calls that were dropped, or that their token cancelled.
    pub cancelled: u64,
    /// Calls that ended with any other error.
    pub failed: u64,
}

impl CallTotals {
    /// How many have ended.
    #[must_use]
    pub fn ended(&self) -> u64 {
        self.finished + self.cancelled + self.failed
    }

    /// How many have begun and not ended: on their way at this moment.
    #[must_use]
    pub fn running(&self) -> u64 {
        self.started.saturating_sub(self.ended())
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.started += other.started;
        self.finished += other.finished;
        self.tool_errors += other.tool_errors;
        self.cancelled += other.cancelled;
        self.failed += other.failed;
    }
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Finished,
    ToolError,
    Cancelled,
    /// With an error of this kind.
    Failed(&'static str),
}

impl Ending {
    pub(crate) fn of(outcome: &Result<Output, CallError>) -> Self {
        match outcome {
            Ok(output) if output.says_error() => Self::ToolError,
            Ok(_) => Self::Finished,
            Err(CallError::Cancelled { .. }) => Self::Cancelled,
            Err(error) => Self::Failed(error.kind()),
        }
    }
}

/// The calls of one tool.
#[derive(Debug)]
pub(crate) struct Usage {
    born: Instant,
    started: AtomicU64,
    ended: Mutex<Ended>,
    meter: ToolMeter,
}

#[derive(Debug, Default)]
struct Ended {
    totals: CallTotals,
    /// Only a tool that is called has one.
    window: Option<Box<Window>>,
}

impl Usage {
    fn new(born: Instant, meter: ToolMeter) -> Self {
        Self { born, started: AtomicU64::new(0), ended: Mutex::default(), meter }
    }

    pub(crate) fn totals(&self) -> CallTotals {
        // In this order, so that no call has ended that has not begun.
        let ended = self.ended.lock().totals;
        CallTotals { started: self.started.load(Ordering::Relaxed), ..ended }
    }

    /// What it came to of late, added to what is there already.
    pub(crate) fn add_recent(&self, recent: &mut Recent, now: Instant) {
        if let Some(window) = &self.ended.lock().window {
            window.add_to(recent, now.saturating_duration_since(self.born));
        }
    }

    fn begin(&self) {
        self.started.fetch_add(1, Ordering::Relaxed);
        self.meter.started();
    }

    fn end(&self, ending: Ending, began: Instant, now: Instant) {
        let at = now.saturating_duration_since(self.born);
        let took = now.saturating_duration_since(began);
        self.meter.ended(ending, took);
        let mut ended = self.ended.lock();
        let Ended { totals, window } = &mut *ended;
        match ending {
            Ending::Finished => totals.finished += 1,
            Ending::ToolError => {
                (totals.finished, totals.tool_errors) =
                    (totals.finished + 1, totals.tool_errors + 1)
            }
            Ending::Cancelled => totals.cancelled += 1,
            Ending::Failed(_) => totals.failed += 1,
        }
        // One that its caller gave up says nothing about the server.
        if ending != Ending::Cancelled {
            let failed = ending != Ending::Finished;
            window.get_or_insert_with(Box::default).record(at, took, failed);
        }
    }
}

/// A call on its way; cancelled, unless it is told how it ended.
#[derive(Debug)]
pub(crate) struct Running {
    usage: Option<Arc<Usage>>,
    began: Instant,
}

impl Running {
    pub(crate) fn begin(usage: &Arc<Usage>, now: Instant) -> Self {
        usage.begin();
        Self { usage: Some(Arc::clone(usage)), began: now }
    }

    /// It turned out which tool this is a call of.
    pub(crate) fn is_of(&mut self, tool: &Arc<Usage>) {
        let Some(usage) = &mut self.usage else { return };
        tool.begin();
        usage.started.fetch_sub(1, Ordering::Relaxed);
        *usage = Arc::clone(tool);
    }

    pub(crate) fn end(mut self, ending: Ending, now: Instant) {
        if let Some(usage) = self.usage.take() {
            usage.end(ending, self.began, now);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(usage) = self.usage.take() {
            usage.end(Ending::Cancelled, self.began, self.began);
        }
    }
}

/// What goes through the connection of one server, over all its links.
#[derive(Debug)]
pub(crate) struct ServerUsage {
    born: Instant,
    /// By the tool's name at its server; only those that were called.
    tools: Mutex<FxHashMap<Arc<str>, Arc<Usage>>>,
    /// Calls that wait for something before they are sent.
    queued: AtomicUsize,
    sent: AtomicU64,
    received: AtomicU64,
    pub(crate) meter: ServerMeter,
}

impl ServerUsage {
    pub(crate) fn new(server: &Arc<str>, labels: &Labels) -> Self {
        Self {
            born: Instant::now(),
            tools: Mutex::default(),
            queued: AtomicUsize::new(0),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            meter: ServerMeter::new(server, labels),
        }
    }

    /// The books of a tool, through all versions of the server's list; by its name at the server, of
    /// which its id is made. Both are told without secrets.
    pub(crate) fn of_tool(&self, name: &str, told: (&str, &str)) -> Arc<Usage> {
        if let Some(usage) = self.tools.lock().get(name) {
            return Arc::clone(usage);
        }
        // Without the lock, for a recorder of the host may ask what calls came to.
        let usage = Arc::new(Usage::new(self.born, self.meter.tool(told)));
        Arc::clone(self.tools.lock().entry(name.into()).or_insert(usage))
    }

    /// The tools that were called, by name.
    pub(crate) fn tools(&self) -> Vec<(Arc<str>, Arc<Usage>)> {
        let all = |(name, usage): (&Arc<str>, &Arc<Usage>)| (Arc::clone(name), Arc::clone(usage));
        let mut tools: Vec<_> = self.tools.lock().iter().map(all).collect();
        tools.sort_by(|(a, _), (b, _)| a.cmp(b));
        tools
    }

    pub(crate) fn count_sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
        self.meter.sent(bytes);
    }

    pub(crate) fn count_received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
        self.meter.received(bytes);
    }

    /// Bytes sent and received.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        (self.sent.load(Ordering::Relaxed), self.received.load(Ordering::Relaxed))
    }

    /// How many calls wait for something before they are sent.
    pub(crate) fn queued(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }

    /// A call waits as long as this is held.
    pub(crate) fn queue(&self) -> Queued<'_> {
        self.queued.fetch_add(1, Ordering::Relaxed);
        self.meter.queued(true);
        Queued(self)
    }

    fn totals(&self) -> CallTotals {
        let mut totals = CallTotals::default();
        self.tools.lock().values().for_each(|usage| totals.add(usage.totals()));
        totals
    }
}

/// A call that waits before it is sent.
#[derive(Debug)]
pub(crate) struct Queued<'a>(&'a ServerUsage);

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.queued.fetch_sub(1, Ordering::Relaxed);
        self.0.meter.queued(false);
    }
}
