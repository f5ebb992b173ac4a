//! JSON-RPC 2.0 frames: the only place that reads or writes an envelope.
//!
//! The envelope is opened, the payload is not: results, parameters and tools stay raw JSON, so that
//! nothing a server sends is lost. The reader of a link only finds out to whom a frame belongs; the
//! caller opens its own answer, on its own task.

mod abridged;
#[cfg(feature = "http")]
mod addressed;
mod answer;
mod incoming;
mod outgoing;

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

#[cfg(feature = "http")]
pub(crate) use addressed::addressed_error;
#[cfg(feature = "testing")]
pub(crate) use answer::readdressed;
pub(crate) use answer::{Answer, RawResult, RpcError, open_answer};
pub(crate) use incoming::{Incoming, classify, trim};
#[cfg(feature = "testing")]
pub(crate) use outgoing::notification_of;
pub(crate) use outgoing::{Meta, answer, cancelled, notification, request};

/// Number of a request of ours. Ours are never reused within a link.
pub(crate) type RequestId = u64;

/// How a frame begins that most servers write, and we do.
const HEAD: &[u8] = br#"{"jsonrpc":"2.0","id":"#;

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
