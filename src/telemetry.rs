//! The names of spans, targets and fields: the only place where they stand.
//!
//! | What | Name | Fields |
//! |---|---|---|
//! | span, INFO | `runtime` | |
//! | span, INFO, in `runtime` | `session` | `session.id` |
//! | span, INFO, in `session` | `connection` | `server` |
//! | span, INFO, in `connection` | `link` | `epoch`, `network.transport`, `mcp.protocol.version` |
//! | span, DEBUG, in the caller's span, follows from `link` | `call` | `mcp.method.name`, `gen_ai.operation.name`, `gen_ai.tool.name`, `jsonrpc.request.id`, `outcome`, `delivery`, `error.type` |
//! | event, INFO or WARN, target `callboard::status` | `status changed` | `from`, `to`, `reason`, `epoch`, `pending`, `restarts` |
//! | event, INFO or WARN, target `callboard::status` | `breaker moved` | `to` |
//! | event, DEBUG, target `callboard::call` | `call ended` | `outcome`, or `kind` and `delivery` |
//! | event, DEBUG, target `callboard::call` | `call tried again` | `tool`, `retry`, `kind`, `delivery`, `pause` |
//! | event, WARN, target `callboard::call` | `schema mismatch` | `tool`, `what`, `faults` |
//! | event, DEBUG, target `callboard::stderr` | `server stderr` | `line`, `suppressed` |
//! | event, WARN or DEBUG, target `callboard::wire` | `noise on stdout`, `stray answer`, `question refused`, `question on modern link`, `certificates are not verified` | `count`, `bytes`, `method` |
//! | event, WARN, target `callboard::catalog` | `catalog fault` | `fault` |
//! | event, WARN, target `callboard::process` | `watchdog not started`, `ledger not kept` | `error` |
//! | event, WARN, target `callboard::process` | `orphans ended` | `count` |
//! | event, ERROR, target `callboard::bug` | `actor died` | `actor`, `error` |
//!
//! Texts of servers come redacted. Names follow OpenTelemetry's conventions for MCP where those exist. Arguments, results, headers
//! and environment values stand in none of them.

use std::time::Duration;

use tracing::{Level, Span, debug, error, info, warn};

use crate::{
    error::{CallError, ServerError, headline},
    output::Output,
    redactor::Redactor,
    spec::Transport,
    status::{BreakerState, Phase, Status},
};

const STATUS: &str = "callboard::status";
const STDERR: &str = "callboard::stderr";
const WIRE: &str = "callboard::wire";
const CATALOG: &str = "callboard::catalog";
const CALL: &str = "callboard::call";
const PROCESS: &str = "callboard::process";
const BUG: &str = "callboard::bug";

pub(crate) fn runtime_span() -> Span {
    tracing::info_span!(parent: None, "runtime")
}

pub(crate) fn session_span(runtime: &Span, id: &str) -> Span {
    tracing::info_span!(parent: runtime, "session", session.id = id)
}

pub(crate) fn connection_span(session: &Span, server: &str) -> Span {
    tracing::info_span!(parent: session, "connection", server)
}

pub(crate) fn link_span(connection: &Span, epoch: u64, transport: &Transport) -> Span {
    let transport = match transport {
        Transport::Stdio(_) | Transport::Memory(_) => "pipe",
        #[cfg(feature = "http")]
        Transport::StreamableHttp(_) | Transport::HttpSse(_) => "tcp",
    };
    tracing::info_span!(
        parent: connection,
        "link",
        epoch,
        network.transport = transport,
        mcp.protocol.version = tracing::field::Empty,
    )
}

pub(crate) fn link_is_open(link: &Span, version: &str) {
    link.record("mcp.protocol.version", version);
}

/// A call's span: a child of the caller's, and a consequence of the link it goes over.
pub(crate) fn call_span(link: &Span, (tool, redactor): (&str, &Redactor), id: u64) -> Span {
    let span = tracing::debug_span!(
        "call",
        mcp.method.name = "tools/call",
        gen_ai.operation.name = "execute_tool",
        gen_ai.tool.name = &*redactor.redact(tool),
        jsonrpc.request.id = id,
        outcome = tracing::field::Empty,
        delivery = tracing::field::Empty,
        "error.type" = tracing::field::Empty,
    );
    span.follows_from(link);
    span
}

/// The span of a request of the host that is no call of a tool.
pub(crate) fn request_span(link: &Span, method: &str, id: u64) -> Span {
    let span = tracing::debug_span!(
        "request",
        mcp.method.name = method,
        jsonrpc.request.id = id,
        outcome = tracing::field::Empty,
        delivery = tracing::field::Empty,
        "error.type" = tracing::field::Empty,
    );
    span.follows_from(link);
    span
}

pub(crate) fn request_ended(span: &Span, failed: Option<&CallError>) {
    if span.is_disabled() {
        return;
    }
    let Some(error) = failed else {
        span.record("outcome", "ok");
        return debug!(target: CALL, parent: span, outcome = "ok", "request ended");
    };
    let (kind, delivery) = (error.kind(), tracing::field::debug(error.delivery()));
    span.record("outcome", "failed");
    span.record("error.type", kind);
    span.record("delivery", &delivery);
    debug!(target: CALL, parent: span, kind, delivery, "request ended");
}

pub(crate) fn call_ended(span: &Span, outcome: Result<&Output, &CallError>) {
    if span.is_disabled() {
        return;
    }
    match outcome {
        Ok(output) => {
            let outcome = if output.is_error() { "tool_error" } else { "ok" };
            span.record("outcome", outcome);
            debug!(target: CALL, parent: span, outcome, "call ended");
        }
        Err(error) => {
            let (kind, delivery) = (error.kind(), tracing::field::debug(error.delivery()));
            span.record("outcome", "failed");
            span.record("error.type", kind);
            span.record("delivery", &delivery);
            debug!(target: CALL, parent: span, kind, delivery, "call ended");
        }
    }
}

/// Something does not fit its schema; how many faults, and not which, for they say what was sent.
#[cfg(feature = "validate")]
pub(crate) fn schema_mismatch(tool: &str, what: &str, faults: usize) {
    warn!(target: CALL, tool, what, faults, "schema mismatch");
}

/// A server's circuit breaker opened, lets a call try, or closed again.
pub(crate) fn breaker_moved(span: &Span, state: Option<BreakerState>) {
    match state {
        Some(BreakerState::Open { .. }) => {
            warn!(target: STATUS, parent: span, to = "open", "breaker moved");
        }
        Some(BreakerState::HalfOpen) => {
            info!(target: STATUS, parent: span, to = "half_open", "breaker moved");
        }
        Some(BreakerState::Closed) => {
            info!(target: STATUS, parent: span, to = "closed", "breaker moved");
        }
        None => {}
    }
}

/// A call is tried again after a pause.
pub(crate) fn call_is_tried_again(tool: &str, retry: u32, error: &CallError, pause: Duration) {
    let (kind, delivery) = (error.kind(), tracing::field::debug(error.delivery()));
    let pause = tracing::field::debug(pause);
    debug!(target: CALL, tool, retry, kind, delivery, pause, "call tried again");
}

/// `error` is what this change came of, and not what an earlier one did.
pub(crate) fn status_changed(
    span: &Span,
    (from, status): (Phase, &Status),
    error: Option<&ServerError>,
    pending: usize,
) {
    let (to, epoch, restarts) = (status.phase.as_str(), status.epoch, status.restarts);
    let from = from.as_str();
    let reason = error.map(headline);
    match error {
        Some(error) if !error.was_asked_for() => warn!(
            target: STATUS, parent: span, from, to, reason, epoch, pending, restarts,
            "status changed"
        ),
        Some(_) | None => info!(
            target: STATUS, parent: span, from, to, reason, epoch, pending, restarts,
            "status changed"
        ),
    }
}

pub(crate) fn stderr_is_traced() -> bool {
    tracing::enabled!(target: STDERR, Level::DEBUG)
}

pub(crate) fn stderr_line(line: &str, suppressed: u64) {
    debug!(target: STDERR, line, suppressed, "server stderr");
}

/// Told at the 1st, 2nd, 4th, 8th … line, so that a babbling server does not fill the log.
pub(crate) fn noise(count: u64, bytes: usize) {
    if count.is_power_of_two() {
        warn!(target: WIRE, count, bytes, "noise on stdout");
    }
}

pub(crate) fn stray_answers(count: usize) {
    debug!(target: WIRE, count, "stray answer");
}

pub(crate) fn question_refused(method: &str) {
    debug!(target: WIRE, method, "question refused");
}

/// Told at the 1st, 2nd, 4th, 8th … time, as [`noise`] is.
pub(crate) fn question_on_modern_link(method: &str, count: u64) {
    if count.is_power_of_two() {
        warn!(target: WIRE, method, count, "question on modern link");
    }
}

pub(crate) fn form_does_not_fit(connection: &Span, faults: usize) {
    warn!(target: WIRE, parent: connection, faults, "form does not fit");
}

pub(crate) fn url_is_declined(connection: &Span) {
    warn!(target: WIRE, parent: connection, "url of other scheme");
}

#[cfg(feature = "http")]
pub(crate) fn certificates_not_verified(link: &Span) {
    warn!(target: WIRE, parent: link, "certificates are not verified");
}

pub(crate) fn catalog_fault(span: &Span, fault: &dyn std::fmt::Display) {
    warn!(target: CATALOG, parent: span, %fault, "catalog fault");
}

pub(crate) fn watchdog_missing(span: &Span, error: &std::io::Error) {
    warn!(target: PROCESS, parent: span, %error, "watchdog not started");
}

pub(crate) fn ledger_missing(span: &Span, error: &std::io::Error) {
    warn!(target: PROCESS, parent: span, %error, "ledger not kept");
}

pub(crate) fn ledgers_swept(span: &Span, count: usize) {
    warn!(target: PROCESS, parent: span, count, "orphans ended");
}

pub(crate) fn actor_died(span: &Span, actor: &'static str, error: &dyn std::fmt::Display) {
    error!(target: BUG, parent: span, actor, %error, "actor died");
}
