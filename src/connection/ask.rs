//! A request of our own: the handshake's and the catalog's, not a call of the host.

use std::sync::Arc;

use tokio::time::Instant;
use tracing::Instrument as _;

use super::link::{Link, Loss, Request, Subject, Timing};
use crate::{
    telemetry::{self, Traced},
    wire::{self, Answer, Meta, RawResult, RpcError},
};

/// Why a request of ours has no result.
#[derive(Debug)]
pub(crate) enum AskError {
    Lost(Loss),
    Refused(RpcError),
    Malformed(String),
}

/// Sends a request and waits for its result. Its time is bounded by who calls: by the init timeout
/// during a start, by `timing` after it.
pub(crate) async fn ask(
    link: &Arc<Link>,
    method: &str,
    timing: Timing,
    members: impl FnOnce(&mut Vec<u8>) -> serde_json::Result<()>,
) -> Result<RawResult, AskError> {
    ask_with(link, (method, link.meta(false)), timing, members).await
}

/// As [`ask`], with another `_meta` than that of the link.
pub(crate) async fn ask_with(
    link: &Arc<Link>,
    (method, meta): (&str, Meta<'_>),
    timing: Timing,
    members: impl FnOnce(&mut Vec<u8>) -> serde_json::Result<()>,
) -> Result<RawResult, AskError> {
    let id = link.next_id();
    let traced = telemetry::request_span(link, (method, None), id);
    let trace = link.trace_members(traced.span());
    let meta = Meta { trace: trace.as_deref().unwrap_or_default(), ..meta };
    let mut frame = Vec::new();
    let written = wire::request(&mut frame, (id, method), meta, members);
    let (span, began) = (traced.span().clone(), Instant::now());
    let outcome = match written {
        Ok(()) => send(link, (id, method), timing, frame).instrument(span).await,
        Err(error) => Err(AskError::Malformed(error.to_string())),
    };
    let error = error_type(&outcome);
    link.usage.meter.answered(method, error.as_deref(), began.elapsed());
    tell(traced, &outcome, error);
    outcome
}

async fn send(
    link: &Arc<Link>,
    (id, method): (u64, &str),
    timing: Timing,
    mut frame: Vec<u8>,
) -> Result<RawResult, AskError> {
    // Neither `initialize` (MCP 2025-11-25, basic/lifecycle) nor the probe before it may be
    // cancelled; for a listing that nobody waits for any more it is not worth the noise.
    let (admitted, cancellable, waker) = (false, false, None);
    let subject = Subject { method, ..Subject::default() };
    let (frame, splice, now) = (&mut frame, None, Instant::now());
    let request = Request { id, frame, splice, subject, timing, now, admitted, cancellable, waker };
    let frame = link.send(request).map_err(AskError::Lost)?.await.map_err(AskError::Lost)?;
    match wire::open_answer(frame).map_err(AskError::Malformed)? {
        Answer::Result(result) => Ok(result),
        Answer::Error(error) => Err(AskError::Refused(error)),
    }
}

fn tell(traced: Traced, outcome: &Result<RawResult, AskError>, error: Option<String>) {
    let code = match outcome {
        Err(AskError::Refused(error)) => Some(error.code),
        Ok(_) | Err(AskError::Malformed(_) | AskError::Lost(_)) => None,
    };
    match error {
        None => traced.request_ended(None),
        Some(error) => traced.lost(&error, code),
    }
}

/// What its failure is called: the code of a refusal, or what a call would call it.
fn error_type(outcome: &Result<RawResult, AskError>) -> Option<String> {
    let kind = match outcome {
        Ok(_) => return None,
        Err(AskError::Refused(error)) => return Some(error.code.to_string()),
        Err(AskError::Malformed(_)) => "invalid_response",
        Err(AskError::Lost(Loss::TimedOut { .. })) => "timed_out",
        Err(AskError::Lost(_)) => "transport_down",
    };
    Some(kind.to_owned())
}
