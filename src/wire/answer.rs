//! The answer to a request of ours: opened, with its payload left as it came.

use std::ops::Range;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Envelope, HEAD, abridged::is_json};

/// The payload of an answer: a part of the frame it came in.
#[derive(Debug, Clone)]
pub(crate) struct RawResult {
    frame: String,
    range: Range<usize>,
}

impl RawResult {
    pub(crate) fn of(result: String) -> Self {
        let range = 0..result.len();
        Self { frame: result, range }
    }

    /// The result as JSON, exactly as the server wrote it.
    pub(crate) fn get(&self) -> &str {
        &self.frame[self.range.clone()]
    }

    /// A part of it, given as a slice of what [`get`](Self::get) returns.
    pub(crate) fn part(&self, part: &str) -> Option<Self> {
        let start = (part.as_ptr() as usize).checked_sub(self.frame.as_ptr() as usize)?;
        let range = start..start.checked_add(part.len())?;
        let within = self.range.start <= range.start && range.end <= self.range.end;
        within.then(|| Self { frame: self.frame.clone(), range })
    }

    /// How many bytes are held for it.
    pub(crate) fn size(&self) -> usize {
        self.frame.capacity()
    }
}

/// A JSON-RPC error object.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct RpcError {
    pub(crate) code: i64,
    #[serde(default)]
    pub(crate) message: String,
    #[serde(default)]
    pub(crate) data: Option<Box<RawValue>>,
}

/// An opened answer.
#[derive(Debug)]
pub(crate) enum Answer {
    Result(RawResult),
    Error(RpcError),
}

/// Opens a frame that [`classify`] took for an answer; the error says what is wrong with it.
pub(crate) fn open_answer(frame: Vec<u8>) -> Result<Answer, String> {
    let frame = String::from_utf8(frame).map_err(|error| error.utf8_error().to_string())?;
    if let Some(range) = result_by_head(&frame) {
        return Ok(Answer::Result(RawResult { frame, range }));
    }
    let envelope: Envelope<'_> =
        serde_json::from_str(&frame).map_err(|error| format!("not JSON-RPC: {error}"))?;
    match (envelope.result, envelope.error) {
        (Some(result), None) => {
            // The result borrows from the frame, so its place in it is a difference of addresses.
            let start = result.get().as_ptr() as usize - frame.as_ptr() as usize;
            let range = start..start + result.get().len();
            Ok(Answer::Result(RawResult { frame, range }))
        }
        (None, Some(error)) => serde_json::from_str(error.get())
            .map(Answer::Error)
            .map_err(|error| format!("no JSON-RPC error object: {error}")),
        (Some(_), Some(_)) => Err("both a result and an error".to_owned()),
        (None, None) => Err("neither a result nor an error".to_owned()),
    }
}

/// Where the result of a frame stands that [`answer_by_head`] recognises and that holds nothing
/// else; the result is read through, so it is whole.
fn result_by_head(frame: &str) -> Option<Range<usize>> {
    const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];
    let rest = frame.as_bytes().strip_prefix(HEAD)?;
    let digits = rest.iter().position(|b| !b.is_ascii_digit())?;
    if !rest[digits..].starts_with(b",\"result\":") {
        return None;
    }
    let start = HEAD.len() + digits + b",\"result\":".len();
    let rest = frame[start..].trim_ascii_end().strip_suffix('}')?.trim_end_matches(BLANKS);
    let result = rest.trim_start_matches(BLANKS);
    let end = start + rest.len();
    is_json(result).then(|| end - result.len()..end)
}

/// Puts an answer, as it was recorded, under another id. None if it is no answer.
#[cfg(feature = "testing")]
pub(crate) fn readdressed(frame: &str, id: &RawValue) -> Option<Vec<u8>> {
    let envelope: Envelope<'_> = serde_json::from_str(frame).ok()?;
    let (name, body) = match (envelope.result, envelope.error) {
        (Some(result), _) => ("result", result),
        (None, error) => ("error", error?),
    };
    let (id, body) = (id.get(), body.get());
    Some(format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"{name}\":{body}}}\n").into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_handed_on_to_the_byte() {
        let frame = r#"{"jsonrpc":"2.0","id":7,"result": {"b":1.0e0, "a":[ ]} }"#;
        let Ok(Answer::Result(raw)) = open_answer(frame.into()) else { panic!("no result") };
        assert_eq!(raw.get(), r#"{"b":1.0e0, "a":[ ]}"#);
    }

    #[test]
    fn malformed_answers_say_what_is_wrong() {
        for frame in [
            r#"{"jsonrpc":"2.0","id":7,"result":{"#,
            r#"{"jsonrpc":"2.0","id":7,"result":{},"error":{}}"#,
            r#"{"jsonrpc":"2.0","id":7,"error":5}"#,
            r#"{"jsonrpc":"2.0","id":7}"#,
        ] {
            assert!(open_answer(frame.into()).is_err(), "{frame}");
        }
    }
}
