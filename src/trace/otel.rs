//! The trace that OpenTelemetry is in.

use opentelemetry::{
    Context, global,
    propagation::{Extractor, Injector},
    trace::TraceContextExt as _,
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::TraceContext;

/// What the program's propagator says of a span.
pub(super) fn of(span: &Span) -> Option<TraceContext> {
    // Nobody listens, and nobody is asked.
    if span.is_none() {
        return None;
    }
    let mut carried = Carried::default();
    let context = span.context();
    global::get_text_map_propagator(|propagator| propagator.inject_context(&context, &mut carried));
    let Carried { traceparent, tracestate, baggage } = carried;
    // It is written even if there is no state.
    let tracestate = tracestate.filter(|state| !state.is_empty());
    Some(TraceContext { traceparent: traceparent?, tracestate, baggage })
}

/// Has a span begin as a child of a context from elsewhere; one that the program's propagator reads
/// no span in leaves it where it is.
pub(super) fn begin_in(span: &Span, context: &TraceContext) {
    let remote = global::get_text_map_propagator(|propagator| {
        propagator.extract_with_context(&Context::new(), &Pairs(context))
    });
    if remote.span().span_context().is_valid() {
        // Without a layer of OpenTelemetry there is nothing to begin in.
        drop(span.set_parent(remote));
    }
}

/// What a propagator writes.
#[derive(Default)]
struct Carried {
    traceparent: Option<String>,
    tracestate: Option<String>,
    baggage: Option<String>,
}

impl Injector for Carried {
    fn set(&mut self, key: &str, value: String) {
        match key {
            "traceparent" => self.traceparent = Some(value),
            "tracestate" => self.tracestate = Some(value),
            "baggage" => self.baggage = Some(value),
            // MCP names these three (2026-07-28, basic).
            _ => {}
        }
    }
}

/// What a propagator reads.
struct Pairs<'a>(&'a TraceContext);

impl Extractor for Pairs<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.pairs().find_map(|(name, value)| (name == key).then_some(value))
    }

    fn keys(&self) -> Vec<&str> {
        self.0.pairs().map(|(name, _)| name).collect()
    }
}
