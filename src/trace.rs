//! Which trace a request is part of (W3C Trace Context; MCP 2026-07-28, basic: `_meta`).

#[cfg(feature = "opentelemetry")]
mod otel;

use std::{fmt, sync::Arc};

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

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

    /// The context of the span that is current here and now, as the propagator of the program says
    /// (`opentelemetry::global::set_text_map_propagator`); `None` where that says nothing. It is what
    /// every request is sent with where [`trace_context`](crate::SessionBuilder::trace_context) says
    /// nothing else.
    #[cfg(feature = "opentelemetry")]
    #[must_use = "it only looks"]
    pub fn current() -> Option<Self> {
        otel::of(&tracing::Span::current())
    }

    /// The context as names and values, as they stand in `_meta`.
    pub fn pairs(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [
            ("traceparent", Some(&self.traceparent)),
            ("tracestate", self.tracestate.as_ref()),
            ("baggage", self.baggage.as_ref()),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value?.as_str())))
    }

    /// What a server says in the `_meta` of its request; nothing where that is no text of a sensible
    /// size.
    pub(crate) fn of_params(params: &RawValue) -> Option<Self> {
        #[derive(Deserialize)]
        struct Params {
            #[serde(rename = "_meta")]
            meta: Option<Meta>,
        }
        #[derive(Deserialize)]
        struct Meta {
            traceparent: Option<Value>,
            tracestate: Option<Value>,
            baggage: Option<Value>,
        }
        // W3C Baggage, 3.3.2: propagators handle this much.
        const MOST: usize = 8192;
        let fit = |value: Option<Value>| match value {
            Some(Value::String(text)) if text.len() <= MOST && !text.contains(char::is_control) => {
                Some(text)
            }
            Some(_) | None => None,
        };
        let meta = serde_json::from_str::<Params>(params.get()).ok()?.meta?;
        let (tracestate, baggage) = (fit(meta.tracestate), fit(meta.baggage));
        Some(Self { traceparent: fit(meta.traceparent)?, tracestate, baggage })
    }

    /// Makes it the context that a span begins in, as far as that is known to anybody here.
    pub(crate) fn adopt(&self, span: &tracing::Span) {
        #[cfg(feature = "opentelemetry")]
        otel::begin_in(span, self);
        #[cfg(not(feature = "opentelemetry"))]
        let _ = span;
    }

    /// Its members, without braces; C44: their names have no prefix.
    fn members(&self) -> String {
        let mut members = String::new();
        for (name, value) in self.pairs() {
            let comma = if members.is_empty() { "" } else { "," };
            members.push_str(&format!("{comma}\"{name}\":{}", Value::from(value)));
        }
        members
    }
}

/// Asks the host which trace it is in.
#[derive(Clone)]
pub(crate) struct Tracer(pub(crate) Arc<dyn Fn() -> Option<TraceContext> + Send + Sync>);

impl Tracer {
    /// The host's, or else what OpenTelemetry says, where that is built in.
    pub(crate) fn or_default(given: Option<Self>) -> Option<Self> {
        #[cfg(feature = "opentelemetry")]
        return given.or_else(|| Some(Self(Arc::new(TraceContext::current))));
        #[cfg(not(feature = "opentelemetry"))]
        given
    }

    pub(crate) fn members(&self) -> Option<String> {
        (self.0)().map(|context| context.members())
    }
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tracer")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn of(params: &str) -> Option<TraceContext> {
        TraceContext::of_params(&RawValue::from_string(params.to_owned()).unwrap())
    }

    #[test]
    fn what_is_written_is_read_again() {
        let context = TraceContext::new(PARENT).tracestate("a=1").baggage("user=x%20y");
        assert_eq!(of(&format!("{{\"_meta\":{{{}}}}}", context.members())), Some(context));
        let bare = TraceContext::new(PARENT);
        assert_eq!(of(&format!("{{\"_meta\":{{{}}}}}", bare.members())), Some(bare));
    }

    #[test]
    fn what_a_server_writes_otherwise_is_no_context() {
        for params in
            ["{}", "[]", r#"{"_meta":{}}"#, r#"{"_meta":{"traceparent":5}}"#, r#"{"_meta":7}"#]
        {
            assert_eq!(of(params), None, "{params}");
        }
        let long = format!(r#"{{"_meta":{{"traceparent":"{}"}}}}"#, "0".repeat(9000));
        assert_eq!(of(&long), None);
        let odd = format!(r#"{{"_meta":{{"traceparent":"{PARENT}","baggage":"a\u0000"}}}}"#);
        assert_eq!(of(&odd), Some(TraceContext::new(PARENT)));
    }
}
