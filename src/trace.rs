//! Which trace a request is part of (W3C Trace Context; MCP 2026-07-28, basic: `_meta`).

use std::{fmt, sync::Arc};

use serde_json::Value;

/// The context of a trace, as it goes into the `_meta` of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use]
pub struct TraceContext {
    traceparent: String,
    tracestate: Option<String>,
    baggage: Option<String>,
}

impl TraceContext {
    /// The context of this `traceparent` (W3C Trace Context, 3.2).
    pub fn new(traceparent: impl Into<String>) -> Self {
        Self { traceparent: traceparent.into(), ..Self::default() }
    }

    /// Adds a `tracestate` (W3C Trace Context, 3.3).
    pub fn tracestate(mut self, state: impl Into<String>) -> Self {
        self.tracestate = Some(state.into());
        self
    }

    /// Adds `baggage` (W3C Baggage).
    pub fn baggage(mut self, baggage: impl Into<String>) -> Self {
        self.baggage = Some(baggage.into());
        self
    }

    /// Its members, without braces; C44: their names have no prefix.
    fn members(&self) -> String {
        let mut members = format!("\"traceparent\":{}", Value::from(self.traceparent.as_str()));
        let more = [("tracestate", &self.tracestate), ("baggage", &self.baggage)];
        for (key, value) in more.into_iter().filter_map(|(key, value)| Some((key, value.as_ref()?)))
        {
            members.push_str(&format!(",\"{key}\":{}", Value::from(value.as_str())));
        }
        members
    }
}

/// Asks the host which trace it is in.
#[derive(Clone)]
pub(crate) struct Tracer(pub(crate) Arc<dyn Fn() -> Option<TraceContext> + Send + Sync>);

impl Tracer {
    pub(crate) fn members(&self) -> Option<String> {
        (self.0)().map(|context| context.members())
    }
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tracer")
    }
}
