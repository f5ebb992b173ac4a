//! JSON-RPC 2.0 frames: the only file that reads or writes an envelope.
//!
//! The envelope is opened, the payload is not: results, parameters and tools stay raw JSON, so that
//! nothing a server sends is lost. The reader of a link only finds out to whom a frame belongs; the
//! caller opens its own answer, on its own task.

mod abridged;

use std::{borrow::Cow, ops::Range};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use abridged::is_json;

/// Number of a request of ours. Ours are never reused within a link.
pub(crate) type RequestId = u64;

const HEAD: &[u8] = br#"{"jsonrpc":"2.0","id":"#;
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

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    jsonrpc: Option<Cow<'a, str>>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    method: Option<String>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
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

/// An id of ours as servers send it back: a number, or (some do) that number as a string.
pub(crate) fn request_id(raw: &str) -> Option<RequestId> {
    number(raw.trim_matches('"').as_bytes())
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 19 {
        return None;
    }
    digits.iter().try_fold(0u64, |n, b| b.is_ascii_digit().then(|| n * 10 + u64::from(b - b'0')))
}

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

fn push_number(frame: &mut Vec<u8>, number: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = number;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    frame.extend_from_slice(&digits[at..]);
}

/// The method of a message of which perhaps only the beginning is there; for people.
pub(crate) fn method_of(text: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        method: Option<String>,
    }
    if let Ok(named) = serde_json::from_str::<Named>(text) {
        return named.method;
    }
    let after = text.split_once("\"method\"")?.1.trim_start().strip_prefix(':')?;
    let (method, _) = after.trim_start().strip_prefix('"')?.split_once('"')?;
    Some(method.to_owned())
}

/// What a message is about, without the envelope, as far as it is there; for people.
pub(crate) fn payload_of(text: &str) -> &str {
    let members = ["\"params\"", "\"result\"", "\"error\""];
    let first = members.iter().filter_map(|name| Some((text.find(name)?, name.len()))).min();
    let Some((at, length)) = first else { return "" };
    let payload = text[at + length..].trim_start().trim_start_matches(':').trim_start();
    payload.strip_suffix('}').filter(|_| text.ends_with('}')).unwrap_or(payload)
}

/// Puts an error that came under no id, or under `null`, under the id of the request that it is known
/// to answer, because both went over one exchange (MCP 2025-11-25, basic/transports: an error of the
/// endpoint itself has no id). None if it is no such error.
pub(crate) fn addressed_error(frame: &[u8], id: RequestId) -> Option<Vec<u8>> {
    let envelope: Envelope<'_> = serde_json::from_slice(frame).ok()?;
    let unaddressed = envelope.id.is_none_or(|id| request_id(id.get()).is_none());
    let error = envelope.error.filter(|_| unaddressed && envelope.method.is_none())?;
    let mut frame = HEAD.to_vec();
    push_number(&mut frame, id);
    frame.extend_from_slice(b",\"error\":");
    frame.extend_from_slice(error.get().as_bytes());
    frame.push(b'}');
    Some(frame)
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
