//! The ready-made call of the floors on HTTP: no more headers than any client must send.

use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

/// What an answer has around its text.
const AROUND: usize =
    r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":""}]}}"#.len() + 1;

pub(crate) fn headers() -> HeaderMap {
    HeaderMap::from_iter([
        (ACCEPT, HeaderValue::from_static("application/json, text/event-stream")),
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (HeaderName::from_static("mcp-protocol-version"), HeaderValue::from_static("2025-11-25")),
    ])
}

pub(crate) fn body(text: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"echo","arguments":{{"text":"{text}"}}}}}}"#
    )
}

/// The length of the text in an answer of `length` bytes.
pub(crate) fn text_in(length: usize) -> Result<usize, String> {
    length.checked_sub(AROUND).ok_or_else(|| format!("an answer of {length} bytes"))
}
