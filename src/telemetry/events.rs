//! The events.

use std::time::Duration;

use tracing::{Level, Span, debug, error, info, trace, warn};

#[cfg(unix)]
use super::PROCESS;
use super::{ALERT, BUG, CALL, CATALOG, STATUS, STDERR, WIRE};
use crate::{
    alert::Alarm,
    error::{CallError, ServerError, headline},
    status::{BreakerState, Phase, Status},
};

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

/// The size of what is on its way out; of a request with its id.
pub(crate) fn frame_sent(link: &Span, id: Option<u64>, bytes: usize) {
    trace!(target: WIRE, parent: link, id, bytes, "frame sent");
}

/// How much was read at once.
pub(crate) fn frames_read(link: &Span, count: usize, bytes: usize) {
    trace!(target: WIRE, parent: link, count, bytes, "frames read");
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

pub(crate) fn actor_died(span: &Span, actor: &'static str, error: &dyn std::fmt::Display) {
    error!(target: BUG, parent: span, actor, %error, "actor died");
}

#[cfg(unix)]
pub(crate) fn watchdog_missing(span: &Span, error: &std::io::Error) {
    warn!(target: PROCESS, parent: span, %error, "watchdog not started");
}

#[cfg(unix)]
pub(crate) fn ledger_missing(span: &Span, error: &std::io::Error) {
    warn!(target: PROCESS, parent: span, %error, "ledger not kept");
}

#[cfg(unix)]
pub(crate) fn ledgers_swept(span: &Span, count: usize) {
    warn!(target: PROCESS, parent: span, count, "orphans ended");
}

pub(crate) fn alert_moved(Alarm { alert, session, server, raised }: &Alarm) {
    let (alert, session, server) = (&**alert, &**session, &*server.name);
    if *raised {
        warn!(target: ALERT, alert, session, server, "alert raised");
    } else {
        info!(target: ALERT, alert, session, server, "alert cleared");
    }
}

pub(crate) fn alert_panicked(alert: &str) {
    warn!(target: ALERT, alert, "alert panicked");
}
