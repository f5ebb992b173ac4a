//! What the server does for a request, one step after the other.

use std::time::Duration;

use serde_json::{Value, json as object};
use tokio::sync::mpsc;

use super::Request;

#[derive(Debug)]
pub(crate) enum Step {
    /// Writes this, as it is.
    Bytes(Vec<u8>),
    /// Writes this so many times.
    Repeat(Vec<u8>, usize),
    /// Writes a byte at a time, with a pause behind each.
    Drip(Vec<u8>, Duration),
    Pause(Duration),
    /// Does nothing until the test releases it.
    Hold,
    /// Does what is sent, until the sender is gone.
    Listen(mpsc::UnboundedReceiver<Step>),
    /// Sends an event on the stream of a session.
    Push(String, Vec<u8>),
    /// Goes on with this aside, while the next request is read.
    Aside(Vec<Step>),
    /// What a server that behaves would do.
    Proper,
    /// Closes the connection in order.
    Close,
    /// Resets the connection.
    Reset,
}

const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

impl Step {
    pub(crate) fn ends_events(&self) -> bool {
        matches!(self, Self::Bytes(bytes) if bytes == LAST_CHUNK)
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        202 => "Accepted",
        400 => "Bad Request",
        404 => "Not Found",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        _ => "Whatever",
    }
}

/// Lines that end as HTTP wants it, and the empty one behind them.
pub(crate) fn lines(lines: &[impl AsRef<str>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in lines {
        bytes.extend_from_slice(line.as_ref().as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

fn head(status: u16, headers: &[(&str, &str)]) -> Vec<u8> {
    let first = format!("HTTP/1.1 {status} {}", reason(status));
    let headers = headers.iter().map(|(name, value)| format!("{name}: {value}"));
    lines(&std::iter::once(first).chain(headers).collect::<Vec<_>>())
}

/// A whole answer of a known length.
pub(crate) fn whole(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Vec<Step> {
    let body = body.as_ref();
    let length = body.len().to_string();
    let mut all = headers.to_vec();
    all.push(("Content-Length", &length));
    let mut bytes = head(status, &all);
    bytes.extend_from_slice(body);
    vec![Step::Bytes(bytes)]
}

/// A whole answer without a body.
pub(crate) fn status(status: u16) -> Vec<Step> {
    whole(status, &[], "")
}

pub(crate) fn redirect(status: u16, location: &str) -> Vec<Step> {
    whole(status, &[("Location", location)], "")
}

pub(crate) fn json(status: u16, message: &Value) -> Vec<Step> {
    whole(status, &[("Content-Type", "application/json")], message.to_string())
}

/// The head of an event stream.
pub(crate) fn events(headers: &[(&str, &str)]) -> Step {
    let mut all = vec![("Content-Type", "text/event-stream"), ("Cache-Control", "no-store")];
    all.extend_from_slice(headers);
    all.push(("Transfer-Encoding", "chunked"));
    Step::Bytes(head(200, &all))
}

/// A piece of a body whose length nobody knows.
pub(crate) fn chunk(text: impl AsRef<[u8]>) -> Step {
    let mut bytes = format!("{:x}\r\n", text.as_ref().len()).into_bytes();
    bytes.extend_from_slice(text.as_ref());
    bytes.extend_from_slice(b"\r\n");
    Step::Bytes(bytes)
}

/// An event with one message.
pub(crate) fn event(message: &Value) -> Step {
    chunk(format!("event: message\ndata: {message}\n\n"))
}

/// An event with other fields before its message, such as `id: 7`.
pub(crate) fn event_with(fields: &str, message: &Value) -> Step {
    chunk(format!("{fields}\ndata: {message}\n\n"))
}

/// The orderly end of an event stream.
pub(crate) fn end_of_events() -> Step {
    Step::Bytes(LAST_CHUNK.to_vec())
}

/// The answer to a request: its result under its id.
pub(crate) fn answer(request: &Request, result: &Value) -> Value {
    object!({ "jsonrpc": "2.0", "id": request.id(), "result": result })
}

/// The refusal of a request: an error under its id.
pub(crate) fn refusal(request: &Request, code: i64, message: &str) -> Value {
    let error = object!({ "code": code, "message": message });
    object!({ "jsonrpc": "2.0", "id": request.id(), "error": error })
}
