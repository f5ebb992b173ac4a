//! What goes out: requests, notifications, and answers to what a server asks.

use std::ops::Range;

use serde::Serialize;
use serde_json::value::RawValue;

use super::{HEAD, RequestId, push_number};

/// What goes into the `_meta` of a request.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Meta<'a> {
    /// Members that every request of the link carries; empty before MCP 2026-07-28.
    pub(crate) members: &'a str,
    /// Members that the host adds.
    pub(crate) added: &'a str,
    /// Whether to ask for progress, with the request's own id as the token.
    pub(crate) progress: bool,
    /// Members that say which trace the request is part of; empty where there is none.
    pub(crate) trace: &'a str,
}

impl Meta<'_> {
    /// At least how many bytes it takes in a request.
    pub(crate) fn size_hint(&self) -> usize {
        const NAMES: usize = 64;
        NAMES + self.members.len() + self.added.len()
    }
}

/// Writes a request into an empty frame; `members` writes the members of its `params`, without the
/// braces.
pub(crate) fn request(
    frame: &mut Vec<u8>,
    (id, method): (RequestId, &str),
    meta: Meta<'_>,
    members: impl FnOnce(&mut Vec<u8>) -> serde_json::Result<()>,
) -> serde_json::Result<()> {
    frame.extend_from_slice(HEAD);
    push_number(frame, id);
    let digits = HEAD.len()..frame.len();
    frame.extend_from_slice(b",\"method\":\"");
    frame.extend_from_slice(method.as_bytes());
    frame.extend_from_slice(b"\",\"params\":{");
    let empty = frame.len();
    members(frame)?;
    let more = meta.progress || !meta.added.is_empty() || !meta.trace.is_empty();
    if more || !meta.members.is_empty() {
        if frame.len() > empty {
            frame.push(b',');
        }
        push_meta(frame, digits, meta);
    }
    frame.extend_from_slice(b"}}\n");
    Ok(())
}

/// `digits` is where the id stands in the frame.
fn push_meta(frame: &mut Vec<u8>, digits: Range<usize>, meta: Meta<'_>) {
    frame.extend_from_slice(b"\"_meta\":{");
    let start = frame.len();
    frame.extend_from_slice(meta.members.as_bytes());
    if !meta.added.is_empty() {
        separate(frame, start);
        frame.extend_from_slice(meta.added.as_bytes());
    }
    if meta.progress {
        separate(frame, start);
        frame.extend_from_slice(b"\"progressToken\":");
        frame.extend_from_within(digits);
    }
    if !meta.trace.is_empty() {
        separate(frame, start);
        frame.extend_from_slice(meta.trace.as_bytes());
    }
    frame.push(b'}');
}

/// Puts a comma behind what stands in an object that began at `start`, if anything does.
fn separate(frame: &mut Vec<u8>, start: usize) {
    if frame.len() > start {
        frame.push(b',');
    }
}

/// Writes a notification without parameters.
pub(crate) fn notification(method: &str) -> Vec<u8> {
    format!("{{\"jsonrpc\":\"2.0\",\"method\":\"{method}\"}}\n").into_bytes()
}

/// Writes a notification with parameters.
#[cfg(feature = "testing")]
pub(crate) fn notification_of(method: &str, params: &serde_json::Value) -> Vec<u8> {
    let message = serde_json::json!({ "jsonrpc": "2.0", "method": method, "params": params });
    format!("{message}\n").into_bytes()
}

/// Writes the notification that tells a server that nobody waits for this request any more.
pub(crate) fn cancelled(id: RequestId, reason: &'static str) -> Vec<u8> {
    let mut frame = Vec::with_capacity(128);
    frame.extend_from_slice(
        b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":",
    );
    push_number(&mut frame, id);
    frame.extend_from_slice(b",\"reason\":\"");
    frame.extend_from_slice(reason.as_bytes());
    frame.extend_from_slice(b"\"}}\n");
    frame
}

/// Writes our answer to a question of the server, under the id as it wrote it.
pub(crate) fn answer(id: &RawValue, outcome: Result<&impl Serialize, (i64, &str)>) -> Vec<u8> {
    let body = match outcome {
        Ok(result) => serde_json::json!({ "result": result }),
        Err((code, message)) => {
            serde_json::json!({ "error": { "code": code, "message": message } })
        }
    };
    let body = body.to_string();
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{},{}\n", id.get(), &body[1..]).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_written_as_the_protocol_wants_them() {
        let write = |meta| {
            let mut frame = Vec::new();
            request(&mut frame, (12, "tools/list"), meta, |_| Ok(())).unwrap();
            String::from_utf8(frame).unwrap()
        };
        assert_eq!(
            write(Meta::default()),
            "{\"jsonrpc\":\"2.0\",\"id\":12,\"method\":\"tools/list\",\"params\":{}}\n"
        );
        assert_eq!(
            write(Meta { members: "\"a\":1", added: "\"b\":2", progress: true, trace: "" }),
            "{\"jsonrpc\":\"2.0\",\"id\":12,\"method\":\"tools/list\",\"params\":{\"_meta\":{\"a\":1,\"b\":2,\"progressToken\":12}}}\n"
        );
        let raw = RawValue::from_string("\"q-1\"".to_owned()).unwrap();
        let refused = answer(&raw, Err::<&(), _>((-32601, "no \"x\"")));
        assert_eq!(
            String::from_utf8(refused).unwrap(),
            "{\"jsonrpc\":\"2.0\",\"id\":\"q-1\",\"error\":{\"code\":-32601,\"message\":\"no \\\"x\\\"\"}}\n"
        );
    }
}
