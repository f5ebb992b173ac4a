//! The spans.

use tracing::{Span, debug, field::Empty};

use super::{CALL, Labels, labels::bare};
use crate::{
    catalog::Tool, connection::link::Link, error::CallError, output::Output, redactor::Redactor,
};

pub(crate) fn runtime_span() -> Span {
    tracing::info_span!(parent: None, "runtime")
}

pub(crate) fn session_span(runtime: &Span, id: &str) -> Span {
    tracing::info_span!(parent: runtime, "session", session.id = id)
}

pub(crate) fn connection_span(session: &Span, server: &str, (labels, redactor): Told<'_>) -> Span {
    tracing::info_span!(
        parent: session,
        "connection",
        server,
        mcp.connection.mode = labels.mode,
        mcp.server.url = labels.url(redactor).as_deref(),
    )
}

/// What is told of a server, and without which secrets.
pub(crate) type Told<'a> = (&'a Labels, &'a Redactor);

pub(crate) fn link_span(connection: &Span, epoch: u64, (labels, redactor): Told<'_>) -> Span {
    tracing::info_span!(
        parent: connection,
        "link",
        epoch,
        network.transport = labels.transport,
        network.protocol.name = labels.protocol,
        server.address = labels.address.as_deref(),
        server.port = labels.port,
        mcp.server.url = labels.url(redactor).as_deref(),
        mcp.protocol.version = Empty,
        mcp.session.id = Empty,
    )
}

pub(crate) fn link_is_open(link: &Link, version: &str) {
    if !link.span.is_disabled() {
        link.span.record("mcp.protocol.version", version);
        link.span.record("mcp.session.id", link.http_session());
    }
}

/// A call's span: a child of the caller's, and a consequence of the link it goes over.
pub(crate) fn call_span(link: &Link, tool: &Tool, id: u64) -> Traced {
    let (labels, redactor) = (&*link.labels, &link.redactor);
    let span = tracing::debug_span!(
        "call",
        otel.name = &*format!("tools/call {}", redactor.redact(tool.id())),
        otel.kind = "client",
        otel.status_code = Empty,
        mcp.method.name = "tools/call",
        gen_ai.operation.name = "execute_tool",
        gen_ai.tool.name = &*redactor.redact(tool.id()),
        mcp.tool.name = &*redactor.redact(tool.name()),
        jsonrpc.request.id = id,
        server = tool.server(),
        mcp.connection.mode = labels.mode,
        mcp.server.url = labels.url(redactor).as_deref(),
        mcp.protocol.version = link.version(),
        mcp.session.id = link.http_session(),
        network.transport = labels.transport,
        network.protocol.name = labels.protocol,
        server.address = labels.address.as_deref(),
        server.port = labels.port,
        outcome = Empty,
        delivery = Empty,
        "error.type" = Empty,
        rpc.response.status_code = Empty,
    );
    span.follows_from(&link.span);
    Traced { span, what: "call ended" }
}

/// The span of a request that is no call of a tool: its method, and what it names.
pub(crate) fn request_span(link: &Link, (method, name): (&str, Option<&str>), id: u64) -> Traced {
    let (labels, redactor) = (&*link.labels, &link.redactor);
    let prompt = name.filter(|_| method == "prompts/get").map(|name| redactor.redact(name));
    let uri = name.filter(|_| method.starts_with("resources/"));
    let span = tracing::debug_span!(
        "request",
        otel.name = prompt.as_ref().map_or(method.to_owned(), |name| format!("{method} {name}")),
        otel.kind = "client",
        otel.status_code = Empty,
        mcp.method.name = method,
        gen_ai.prompt.name = prompt.as_deref(),
        mcp.resource.uri = uri.map(|uri| redactor.redact(&bare(uri)).into_owned()),
        jsonrpc.request.id = id,
        mcp.server.url = labels.url(redactor).as_deref(),
        mcp.protocol.version = link.version(),
        mcp.session.id = link.http_session(),
        network.transport = labels.transport,
        network.protocol.name = labels.protocol,
        server.address = labels.address.as_deref(),
        server.port = labels.port,
        outcome = Empty,
        delivery = Empty,
        "error.type" = Empty,
        rpc.response.status_code = Empty,
    );
    span.follows_from(&link.span);
    Traced { span, what: "request ended" }
}

/// The span of a question of a server, in whichever span it is asked.
pub(crate) fn question_span(server: &str, (method, id): (&str, Option<&str>)) -> Span {
    tracing::debug_span!(
        "question",
        otel.name = method,
        otel.kind = "server",
        otel.status_code = Empty,
        mcp.method.name = method,
        jsonrpc.request.id = id,
        server,
        outcome = Empty,
    )
}

pub(crate) fn question_ended(span: &Span, answered: bool) {
    span.record("outcome", if answered { "ok" } else { "failed" });
    if !answered {
        span.record("otel.status_code", "ERROR");
    }
}

/// The span of a request, which is told how that ended; if nobody says, it was cancelled.
#[derive(Debug)]
pub(crate) struct Traced {
    span: Span,
    what: &'static str,
}

impl Traced {
    /// Of nothing.
    pub(crate) fn none() -> Self {
        Self { span: Span::none(), what: "" }
    }

    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    /// A call ended so.
    pub(crate) fn call_ended(self, outcome: Result<&Output, &CallError>) {
        match outcome {
            Ok(_) if self.span.is_disabled() => {}
            Ok(output) if output.is_error() => self.ended("tool_error"),
            Ok(_) => self.ended("ok"),
            // As one that is dropped: what its caller gave up has not failed.
            Err(CallError::Cancelled { .. }) => self.ended("cancelled"),
            Err(error) => self.failed(error),
        }
    }

    /// A request of another kind ended so.
    pub(crate) fn request_ended(self, failed: Option<&CallError>) {
        match failed {
            None => self.ended("ok"),
            Some(CallError::Cancelled { .. }) => self.ended("cancelled"),
            Some(error) => self.failed(error),
        }
    }

    /// A request of our own was lost or refused, which is told elsewhere in full.
    pub(crate) fn lost(self, why: &str, code: Option<i64>) {
        let span = self.take();
        if let Some(code) = code {
            span.record("rpc.response.status_code", code);
        }
        span.record("otel.status_code", "ERROR");
        span.record("error.type", why);
        tell(&span, "request ended", "failed");
    }

    fn ended(self, outcome: &str) {
        let what = self.what;
        let span = self.take();
        if outcome == "tool_error" {
            span.record("otel.status_code", "ERROR");
            span.record("error.type", outcome);
        }
        tell(&span, what, outcome);
    }

    fn failed(self, error: &CallError) {
        let what = self.what;
        let span = self.take();
        if span.is_disabled() {
            return;
        }
        let (kind, delivery) = (error.kind(), tracing::field::debug(error.delivery()));
        let outcome = "failed";
        span.record("outcome", outcome);
        span.record("otel.status_code", "ERROR");
        span.record("delivery", &delivery);
        if let CallError::Rejected { code, .. } = error {
            span.record("rpc.response.status_code", code);
            span.record("error.type", code.to_string());
        } else {
            span.record("error.type", kind);
        }
        if what == "call ended" {
            debug!(target: CALL, parent: &span, outcome, kind, delivery, "call ended");
        } else {
            debug!(target: CALL, parent: &span, outcome, kind, delivery, "request ended");
        }
    }

    fn take(mut self) -> Span {
        std::mem::replace(&mut self.span, Span::none())
    }
}

/// The kind and the delivery are of those that fail.
fn tell(span: &Span, what: &str, outcome: &str) {
    if span.is_disabled() {
        return;
    }
    span.record("outcome", outcome);
    let (kind, delivery) = (Empty, Empty);
    if what == "call ended" {
        debug!(target: CALL, parent: span, outcome, kind, delivery, "call ended");
    } else {
        debug!(target: CALL, parent: span, outcome, kind, delivery, "request ended");
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        let span = std::mem::replace(&mut self.span, Span::none());
        tell(&span, self.what, "cancelled");
    }
}
