//! What the host learns of how a call ended.

use std::sync::Arc;

use serde::Deserialize;

use crate::{
    catalog::Tool,
    connection::{
        Connection,
        handshake::Era,
        link::{Link, Loss},
    },
    error::{CallError, Delivery, DownCause, DownReason, HttpError, ServerError},
    output::Output,
    policy::Limits,
    status::Phase,
    wire::{self, Answer, RawResult},
};

/// What the answer to a call, or the lack of one, means to the host: errors without secrets, and
/// results, too, where the session wants that.
pub(super) fn conclude(
    tool: &Tool,
    link: &Link,
    outcome: Result<Vec<u8>, Loss>,
) -> Result<Output, CallError> {
    let secrets = &tool.connection().scope.secrets;
    let outcome = open(tool, link, outcome);
    if secrets.redactor.is_idle() {
        return outcome;
    }
    match outcome {
        Ok(output) if secrets.redact_results => Ok(output.redacted(&secrets.redactor)),
        Ok(output) => Ok(output),
        Err(mut error) => {
            error.redact(&secrets.redactor);
            Err(error)
        }
    }
}

fn open(tool: &Tool, link: &Link, outcome: Result<Vec<u8>, Loss>) -> Result<Output, CallError> {
    let frame = outcome.map_err(|loss| lost(tool, link.epoch, loss))?;
    let (server, id) = (tool.server(), tool.id());
    let invalid = |detail: String| CallError::InvalidResponse {
        server: server.to_owned(),
        tool: id.to_owned(),
        detail,
    };
    match wire::open_answer(frame).map_err(invalid)? {
        Answer::Result(result) => {
            check(&result, link.era()).map_err(invalid).map(|()| Output::new(result))
        }
        Answer::Error(error) => Err(CallError::Rejected {
            server: server.to_owned(),
            tool: id.to_owned(),
            code: error.code,
            message: error.message,
            data: error.data,
        }),
    }
}

/// Refuses what is no result of a tool: anything but an object, and a kind of result that we did
/// not ask for (MCP 2026-07-28, basic: an unrecognised `resultType` is invalid).
fn check(result: &RawResult, era: Option<Era>) -> Result<(), String> {
    #[derive(Deserialize)]
    struct Head {
        #[serde(rename = "resultType")]
        result_type: Option<String>,
    }
    if !result.get().starts_with('{') {
        return Err("the result is not an object".to_owned());
    }
    // Most do not say it, and a long result is not worth a second reading.
    let said = || memchr::memmem::find(result.get().as_bytes(), b"\"resultType\"").is_some();
    if era != Some(Era::Modern) || !said() {
        return Ok(());
    }
    let head: Head = serde_json::from_str(result.get()).map_err(|error| error.to_string())?;
    match head.result_type.as_deref() {
        None | Some("complete") => Ok(()),
        Some(other) => Err(format!("a result of the type {other:?}, which was not asked for")),
    }
}

pub(in crate::connection) fn not_ready(connection: &Connection) -> CallError {
    not_ready_for(connection, None)
}

/// `reason` is why the link is down, where the status may not say it yet.
pub(super) fn not_ready_for(connection: &Connection, reason: Option<Arc<DownReason>>) -> CallError {
    let status = connection.status();
    let over = matches!(status.phase, Phase::Stopping | Phase::Stopped);
    if over || connection.scope.tasks.is_ending() {
        return CallError::SessionClosed { delivery: Delivery::NotSent };
    }
    CallError::NotReady {
        server: connection.name().to_string(),
        phase: if status.is_ready() { Phase::BackingOff } else { status.phase },
        error: reason.map(ServerError::Down).or(status.last_error),
    }
}

pub(super) fn lost(tool: &Tool, epoch: u64, loss: Loss) -> CallError {
    let server = tool.server().to_owned();
    let limits: &Limits = &tool.connection().spec.limits;
    match loss {
        Loss::Down { reason, delivery } => down(server, epoch, reason, delivery),
        Loss::Http { error, delivery } => failed(tool, epoch, error, delivery),
        Loss::TimedOut { limit, after, delivery } => {
            CallError::TimedOut { server, tool: tool.id().to_owned(), limit, after, delivery }
        }
        Loss::TooManyCalls => {
            let limit = format!("{} calls in flight", limits.max_calls);
            CallError::Overloaded { server, limit, setting: "max_calls" }
        }
        Loss::TooManyBytes => {
            let limit = format!("{} bytes of requests in flight", limits.max_call_bytes);
            CallError::Overloaded { server, limit, setting: "max_call_bytes" }
        }
    }
}

/// Of a call whose own exchange failed.
fn failed(tool: &Tool, epoch: u64, error: Arc<HttpError>, delivery: Delivery) -> CallError {
    let (server, id) = (tool.server().to_owned(), tool.id().to_owned());
    match (error.status(), &*error) {
        (Some(status), _) => CallError::HttpStatus { server, tool: id, status, delivery, error },
        (None, HttpError::Unauthorized { .. }) => {
            CallError::Unauthorized { server, tool: id, delivery, error }
        }
        (None, HttpError::ContentType { .. } | HttpError::NoAnswer { .. }) => {
            CallError::InvalidResponse { server, tool: id, detail: error.to_string() }
        }
        (None, _) => {
            let reason = Arc::new(DownReason::new(DownCause::Http(error)));
            down(server, epoch, reason, delivery)
        }
    }
}

fn down(server: String, epoch: u64, reason: Arc<DownReason>, delivery: Delivery) -> CallError {
    if matches!(reason.cause, DownCause::SessionClosed) {
        return CallError::SessionClosed { delivery };
    }
    CallError::TransportDown { server, epoch, delivery, reason }
}
