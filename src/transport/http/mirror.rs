//! Values of a message that its headers repeat, for whoever routes without reading bodies (MCP
//! 2026-07-28, basic/transports/streamable-http).

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::header::{HeaderMap, HeaderName, HeaderValue};

const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");

/// Sets the revision that a message is written in.
pub(crate) fn version(headers: &mut HeaderMap, version: &str) {
    match version {
        "2026-07-28" => drop(headers.insert(VERSION, HeaderValue::from_static("2026-07-28"))),
        version => insert(headers, VERSION, version),
    }
}

/// Sets what a message is about.
pub(crate) fn subject(headers: &mut HeaderMap, method: &str, name: Option<&str>) {
    match method {
        "tools/call" => drop(headers.insert(METHOD, HeaderValue::from_static("tools/call"))),
        method => insert(headers, METHOD, method),
    }
    if let Some(name) = name {
        insert(headers, NAME, name);
    }
}

/// Sets the arguments that their schema wants to see in headers.
pub(crate) fn parameters(headers: &mut HeaderMap, mirrored: &[(String, String)]) {
    for (name, value) in mirrored {
        if let Ok(name) = HeaderName::try_from(format!("mcp-param-{name}")) {
            insert(headers, name, value);
        }
    }
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::try_from(encoded(value).as_ref()) {
        headers.insert(name, value);
    }
}

/// A value as it may stand in a header: what would not arrive as it left goes as base64.
fn encoded(value: &str) -> std::borrow::Cow<'_, str> {
    let wrapped = value.starts_with("=?base64?") && value.ends_with("?=");
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let bytes = value.as_bytes();
    let plain = bytes.iter().all(|byte| (0x20..=0x7e).contains(byte));
    if plain && !wrapped && !blank(bytes.first()) && !blank(bytes.last()) {
        return value.into();
    }
    format!("=?base64?{}?=", BASE64_STANDARD.encode(value)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_not_arrive_as_it_left_goes_as_base64() {
        for plain in ["", "eu-west-1", "a b", "=?base64?", "a, b; c=\"d\""] {
            assert_eq!(encoded(plain), plain);
        }
        for (value, expected) in [
            (" a", "=?base64?IGE=?="),
            ("a\t", "=?base64?YQk=?="),
            ("é", "=?base64?w6k=?="),
            ("a\r\nb", "=?base64?YQ0KYg==?="),
            ("=?base64?YQ==?=", "=?base64?PT9iYXNlNjQ/WVE9PT89?="),
        ] {
            assert_eq!(encoded(value), expected, "{value:?}");
        }
    }
}
