//! What comes in: to whom does a frame belong?

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{Envelope, HEAD, RequestId, number, request_id};

const TAIL: &[u8] = br#","jsonrpc":"2.0","id":"#;
const LONGEST_ID: usize = 1024;
const BOM: &[u8] = b"\xef\xbb\xbf";

/// To whom a received frame belongs.
#[derive(Debug)]
pub(crate) enum Incoming<'a> {
    /// The answer to a request of ours.
    Answer { id: RequestId },
    /// A question of the server, with the id as it wrote it.
    Request { id: &'a RawValue, method: String, params: Option<&'a RawValue> },
    /// A notification of the server.
    Notification { method: String, params: Option<&'a RawValue> },
    /// Several frames in one (only in MCP 2025-03-26).
    Batch(Vec<&'a RawValue>),
    /// An answer that names no request, such as a parse error with the id `null`.
    Unroutable,
    /// Not JSON-RPC.
    Noise,
}

/// Removes what may stand around a frame on its line: a byte order mark, a carriage return, blanks.
pub(crate) fn trim(line: &[u8]) -> &[u8] {
    line.strip_prefix(BOM).unwrap_or(line).trim_ascii()
}

/// Finds out to whom a frame belongs.
///
/// The two ways in which servers write their answers are recognised by their first or last bytes,
/// without a look at the payload between; everything else is parsed.
pub(crate) fn classify(frame: &[u8]) -> Incoming<'_> {
    if let Some(id) = answer_by_head(frame).or_else(|| answer_by_tail(frame)) {
        return Incoming::Answer { id };
    }
    match frame.first() {
        Some(b'{') => match serde_json::from_slice::<Envelope<'_>>(frame) {
            Ok(envelope) => classify_envelope(envelope),
            Err(_) => classify_mangled(frame),
        },
        Some(b'[') => match serde_json::from_slice::<Vec<&RawValue>>(frame) {
            Ok(frames) if !frames.is_empty() => Incoming::Batch(frames),
            Ok(_) | Err(_) => Incoming::Noise,
        },
        _ => Incoming::Noise,
    }
}

fn classify_envelope(envelope: Envelope<'_>) -> Incoming<'_> {
    if envelope.jsonrpc.as_deref() != Some("2.0") {
        return Incoming::Noise;
    }
    let params = envelope.params;
    match (envelope.method, envelope.id) {
        // An id goes back as it came; one of this size is no id, and no answer waits for it.
        (Some(_), Some(id)) if id.get().len() > LONGEST_ID => Incoming::Noise,
        (Some(method), Some(id)) => Incoming::Request { id, method, params },
        (Some(method), None) => Incoming::Notification { method, params },
        (None, Some(id)) => match request_id(id.get()) {
            Some(id) => Incoming::Answer { id },
            None => Incoming::Unroutable,
        },
        (None, None) if envelope.error.is_some() || envelope.result.is_some() => {
            Incoming::Unroutable
        }
        (None, None) => Incoming::Noise,
    }
}

/// A frame that is no JSON may still say whose it is: an answer with broken text inside fails its
/// own call instead of leaving it to its deadline.
fn classify_mangled(frame: &[u8]) -> Incoming<'static> {
    let Cow::Owned(text) = String::from_utf8_lossy(frame) else { return Incoming::Noise };
    match serde_json::from_str::<Envelope<'_>>(&text).map(classify_envelope) {
        Ok(Incoming::Answer { id }) => Incoming::Answer { id },
        Ok(_) | Err(_) => Incoming::Noise,
    }
}

/// `{"jsonrpc":"2.0","id":7,"result":…`: as most servers write it.
fn answer_by_head(frame: &[u8]) -> Option<RequestId> {
    let rest = frame.strip_prefix(HEAD)?;
    let digits = rest.iter().position(|b| !b.is_ascii_digit())?;
    let after = &rest[digits..];
    let is_answer = after.starts_with(b",\"result\":") || after.starts_with(b",\"error\":");
    if is_answer { number(&rest[..digits]) } else { None }
}

/// `{"result":…,"jsonrpc":"2.0","id":7}`: as the TypeScript SDK writes it. In well-formed JSON the
/// last brace closes the envelope, so the id before it is the envelope's.
fn answer_by_tail(frame: &[u8]) -> Option<RequestId> {
    if !(frame.starts_with(b"{\"result\":") || frame.starts_with(b"{\"error\":")) {
        return None;
    }
    let rest = frame.strip_suffix(b"}")?;
    let start = rest.iter().rposition(|b| !b.is_ascii_digit())? + 1;
    if rest[..start].ends_with(TAIL) { number(&rest[start..]) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::open_answer;

    fn id_of(frame: &str) -> Option<RequestId> {
        if let Incoming::Answer { id } = classify(frame.as_bytes()) { Some(id) } else { None }
    }

    #[test]
    fn answers_are_found_however_servers_write_them() {
        for frame in [
            r#"{"jsonrpc":"2.0","id":7,"result":{}}"#,
            r#"{"jsonrpc":"2.0","id":7,"error":{"code":1,"message":""}}"#,
            r#"{"result":{"id":3},"jsonrpc":"2.0","id":7}"#,
            r#"{"error":{"code":1},"jsonrpc":"2.0","id":7}"#,
            r#"{ "id" : 7 , "result" : {} , "jsonrpc" : "2.0" }"#,
            r#"{"jsonrpc":"2.0","id":"7","result":{}}"#,
        ] {
            assert_eq!(id_of(frame), Some(7), "{frame}");
        }
    }

    #[test]
    fn what_is_no_answer_is_not_taken_for_one() {
        let kind = |frame: &str| format!("{:?}", classify(frame.as_bytes()));
        assert!(kind(r#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#).starts_with("Request"));
        assert!(kind(r#"{"jsonrpc":"2.0","method":"x"}"#).starts_with("Notification"));
        assert!(kind(r#"{"jsonrpc":"2.0","id":null,"error":{}}"#).starts_with("Unroutable"));
        assert!(kind(r#"{"jsonrpc":"2.0","id":"x","result":{}}"#).starts_with("Unroutable"));
        assert!(kind(r#"[{"jsonrpc":"2.0","method":"x"}]"#).starts_with("Batch"));
        for noise in ["", "null", "[]", "{}", "{\"half\": ", "hello", r#"{"level":"info"}"#] {
            assert!(kind(noise).starts_with("Noise"), "{noise}");
        }
        assert_eq!(id_of(r#"{"result":{"jsonrpc":"2.0","id":7}}"#), None);
        assert_eq!(id_of(r#"{"jsonrpc":"2.0","id":99999999999999999999,"result":{}}"#), None);
    }

    #[test]
    fn an_answer_with_broken_text_still_finds_its_call() {
        let head = b"{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"x\":\"\xff\"}}".to_vec();
        assert!(matches!(classify(&head), Incoming::Answer { id: 7 }));
        assert!(open_answer(head).unwrap_err().contains("utf-8"));
        let odd = b"{ \"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"x\":\"\xff\"}}";
        assert!(matches!(classify(odd), Incoming::Answer { id: 7 }));
    }
}
