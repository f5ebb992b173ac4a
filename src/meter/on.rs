//! What is told to the recorder.

use std::{sync::Arc, time::Duration};

use metrics::{
    Counter, Gauge, Histogram, Label, Unit, counter, describe_counter, describe_gauge,
    describe_histogram, gauge, histogram,
};
use parking_lot::Mutex;

use crate::{
    status::BreakerState,
    telemetry::{Labels, metric},
    usage::Ending,
};

/// What is told of the calls of one tool.
pub(crate) struct ToolMeter {
    labels: Vec<Label>,
    /// As the conventions have it, and as it stands in the spans.
    id: Label,
    transport: &'static str,
    /// Of no tool yet, and maybe never: told when it ends so, for a counter does not go back.
    of_nobody: bool,
    started: Counter,
    running: Gauge,
    finished: Outcome,
    tool_error: Outcome,
    cancelled: Counter,
    /// By the kind of their error; few have many.
    failed: Mutex<Vec<(&'static str, Outcome)>>,
}

/// Calls that ended in the same way.
#[derive(Clone)]
struct Outcome {
    count: Counter,
    took: Histogram,
}

impl ToolMeter {
    fn new(server: &Arc<str>, (tool, id): (&str, &str), transport: &'static str) -> Self {
        let labels = vec![
            Label::new("server", Arc::clone(server)),
            Label::new("tool", Arc::<str>::from(tool)),
        ];
        let id = Label::new("gen_ai.tool.name", Arc::<str>::from(id));
        Self {
            started: counter!(metric::CALLS_STARTED, labels.clone()),
            running: gauge!(metric::CALLS_RUNNING, labels.clone()),
            cancelled: counter!(metric::CALLS, with(&labels, "outcome", "cancelled")),
            finished: Outcome::new((&labels, &id), transport, "ok", None),
            tool_error: Outcome::new((&labels, &id), transport, "tool_error", Some("tool_error")),
            failed: Mutex::default(),
            of_nobody: tool.is_empty(),
            labels,
            id,
            transport,
        }
    }

    pub(crate) fn started(&self) {
        if !self.of_nobody {
            self.started.increment(1);
            self.running.increment(1.0);
        }
    }

    pub(crate) fn ended(&self, ending: Ending, took: Duration) {
        if self.of_nobody {
            self.started.increment(1);
        } else {
            self.running.decrement(1.0);
        }
        match ending {
            Ending::Finished => self.finished.add(took),
            Ending::ToolError => self.tool_error.add(took),
            Ending::Cancelled => self.cancelled.increment(1),
            Ending::Failed(kind) => self.of_kind(kind).add(took),
        }
    }

    fn of_kind(&self, kind: &'static str) -> Outcome {
        if let Some((_, outcome)) = self.failed.lock().iter().find(|(known, _)| *known == kind) {
            return outcome.clone();
        }
        // Registered without the lock: a recorder is foreign code. Twice is once.
        let labels = (&*self.labels, &self.id);
        let outcome = Outcome::new(labels, self.transport, "failed", Some(kind));
        self.failed.lock().push((kind, outcome.clone()));
        outcome
    }
}

impl std::fmt::Debug for ToolMeter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ToolMeter")
    }
}

impl Outcome {
    fn new(
        (labels, id): (&[Label], &Label),
        transport: &'static str,
        outcome: &'static str,
        error: Option<&'static str>,
    ) -> Self {
        let mut counted = with(labels, "outcome", outcome);
        counted.extend(error.map(|error| Label::new("error.type", error)));
        let server = labels.iter().find(|one| one.key() == "server").cloned();
        let mut timed: Vec<Label> = server.into_iter().collect();
        timed.extend([
            Label::new("mcp.method.name", "tools/call"),
            id.clone(),
            Label::new("network.transport", transport),
        ]);
        timed.extend(error.map(|error| Label::new("error.type", error)));
        Self {
            count: counter!(metric::CALLS, counted),
            took: histogram!(metric::OPERATION_DURATION, timed),
        }
    }

    fn add(&self, took: Duration) {
        self.count.increment(1);
        self.took.record(took.as_secs_f64());
    }
}

/// What is told of one server.
pub(crate) struct ServerMeter {
    server: Arc<str>,
    transport: &'static str,
    labels: Vec<Label>,
    queued: Gauge,
    sent: Counter,
    received: Counter,
    epochs: Counter,
    stops: Histogram,
    breaker: Mutex<Option<&'static str>>,
}

impl ServerMeter {
    pub(crate) fn new(server: &Arc<str>, labels: &Labels) -> Self {
        let transport = labels.transport;
        let labels = vec![Label::new("server", Arc::clone(server))];
        Self {
            queued: gauge!(metric::CALLS_QUEUED, labels.clone()),
            sent: counter!(metric::BYTES, with(&labels, "direction", "sent")),
            received: counter!(metric::BYTES, with(&labels, "direction", "received")),
            epochs: counter!(metric::EPOCHS, labels.clone()),
            stops: histogram!(metric::STOP_DURATION, labels.clone()),
            breaker: Mutex::default(),
            server: Arc::clone(server),
            transport,
            labels,
        }
    }

    /// Of calls of tools that nobody has.
    pub(crate) fn of_nobody() -> ToolMeter {
        ToolMeter::new(&Arc::from(""), ("", ""), "")
    }

    /// Of a tool by its name at the server and its id.
    pub(crate) fn tool(&self, tool: (&str, &str)) -> ToolMeter {
        ToolMeter::new(&self.server, tool, self.transport)
    }

    pub(crate) fn queued(&self, more: bool) {
        if more { self.queued.increment(1.0) } else { self.queued.decrement(1.0) }
    }

    pub(crate) fn sent(&self, bytes: usize) {
        self.sent.increment(bytes as u64);
    }

    pub(crate) fn received(&self, bytes: usize) {
        self.received.increment(bytes as u64);
    }

    /// A request that is no call of a tool. These are few, so nothing is kept registered for them.
    pub(crate) fn answered(&self, method: &str, error: Option<&str>, took: Duration) {
        let mut labels = with(&self.labels, "mcp.method.name", method.to_owned());
        labels.push(Label::new("network.transport", self.transport));
        labels.extend(error.map(|error| Label::new("error.type", error.to_owned())));
        histogram!(metric::OPERATION_DURATION, labels).record(took.as_secs_f64());
    }

    pub(crate) fn link_begins(&self) {
        self.epochs.increment(1);
    }

    pub(crate) fn link_started(&self, works: bool, took: Duration) {
        let labels = with(&self.labels, "outcome", if works { "ok" } else { "failed" });
        histogram!(metric::START_DURATION, labels).record(took.as_secs_f64());
    }

    pub(crate) fn link_ended(&self, failed: bool, lasted: Duration) {
        let mut labels = with(&self.labels, "network.transport", self.transport);
        labels.extend(failed.then(|| Label::new("error.type", "transport_down")));
        histogram!(metric::SESSION_DURATION, labels).record(lasted.as_secs_f64());
    }

    pub(crate) fn link_gone(&self, took: Duration) {
        self.stops.record(took.as_secs_f64());
    }

    /// These are few, so nothing is kept registered for them.
    pub(crate) fn restarted(&self, reason: &'static str) {
        counter!(metric::RESTARTS, with(&self.labels, "reason", reason)).increment(1);
    }

    /// Where its breaker stands from now on.
    pub(crate) fn breaker(&self, state: Option<BreakerState>) {
        let to = state.map(|state| match state {
            BreakerState::Closed => "closed",
            BreakerState::Open { .. } => "open",
            BreakerState::HalfOpen => "half_open",
        });
        let from = std::mem::replace(&mut *self.breaker.lock(), to);
        let of = |state| gauge!(metric::BREAKERS, with(&self.labels, "state", state));
        if let Some(from) = from {
            of(from).decrement(1.0);
        }
        if let Some(to) = to {
            of(to).increment(1.0);
        }
    }
}

impl Drop for ServerMeter {
    fn drop(&mut self) {
        self.breaker(None);
    }
}

impl std::fmt::Debug for ServerMeter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServerMeter")
    }
}

fn with(
    labels: &[Label],
    key: &'static str,
    value: impl Into<metrics::SharedString>,
) -> Vec<Label> {
    let mut labels = labels.to_vec();
    labels.push(Label::new(key, value));
    labels
}

/// Tells the recorder what each of them is.
pub(crate) fn describe() {
    describe_histogram!(metric::OPERATION_DURATION, Unit::Seconds, "how long requests took");
    describe_histogram!(metric::SESSION_DURATION, Unit::Seconds, "how long links lasted");
    describe_histogram!(metric::START_DURATION, Unit::Seconds, "how long starts took");
    describe_histogram!(metric::STOP_DURATION, Unit::Seconds, "how long stops took");
    describe_counter!(metric::CALLS_STARTED, Unit::Count, "calls that began");
    describe_counter!(metric::CALLS, Unit::Count, "calls that ended");
    describe_gauge!(metric::CALLS_RUNNING, Unit::Count, "calls that began and have not ended");
    describe_gauge!(metric::CALLS_QUEUED, Unit::Count, "calls that wait before they are sent");
    describe_counter!(metric::BYTES, Unit::Bytes, "bytes of messages");
    describe_counter!(metric::EPOCHS, Unit::Count, "links that were begun");
    describe_counter!(metric::RESTARTS, Unit::Count, "links that were begun after another");
    describe_gauge!(metric::BREAKERS, Unit::Count, "circuit breakers in this state");
    describe_gauge!(metric::LEAKED, Unit::Count, "processes of sessions that have ended");
    leaked(0);
}

/// So many processes are left of a session that has ended.
pub(crate) fn leaked(processes: usize) {
    gauge!(metric::LEAKED).increment(processes as f64);
}
