//! What a client asked for, as it came over the wire.

use std::{sync::OnceLock, time::SystemTime};

use serde_json::Value;

/// A request, and how it ended.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) request: Request,
    pub(crate) at: SystemTime,
    /// Not set while it is being answered.
    pub(crate) end: OnceLock<End>,
}

/// How the answer to a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// All of it was written, and the connection lives on.
    Answered,
    /// The client closed the connection before.
    Abandoned,
    /// The server closed the connection with the answer, or instead of it.
    Closed,
    /// The server reset the connection, or died.
    Reset,
}

impl Exchange {
    pub(crate) fn end(&self) -> Option<End> {
        self.end.get().copied()
    }
}

#[derive(Debug)]
pub(crate) struct Request {
    /// The number of the connection that it came over.
    pub(crate) connection: u64,
    pub(crate) verb: String,
    /// With its query.
    pub(crate) path: String,
    /// In their order; names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    /// The body as JSON, or null.
    pub(crate) message: Value,
}

impl Request {
    /// Reads what stands before a body; `None` if it is no HTTP.
    pub(crate) fn head(connection: u64, head: &str) -> Option<Self> {
        let mut lines = head.split("\r\n");
        let mut first = lines.next()?.split(' ');
        let (verb, path) = (first.next()?.to_owned(), first.next()?.to_owned());
        let headers = lines.filter_map(|line| line.split_once(':'));
        let headers = headers
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let (body, message) = (String::new(), Value::Null);
        Some(Self { connection, verb, path, headers, body, message })
    }

    pub(crate) fn set_body(&mut self, body: Vec<u8>) {
        self.body = String::from_utf8_lossy(&body).into_owned();
        self.message = serde_json::from_str(&self.body).unwrap_or_default();
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The MCP method; empty for whatever is none.
    pub(crate) fn method(&self) -> &str {
        self.message["method"].as_str().unwrap_or_default()
    }

    /// The tool that is called.
    pub(crate) fn tool(&self) -> &str {
        self.message["params"]["name"].as_str().unwrap_or_default()
    }

    pub(crate) fn id(&self) -> &Value {
        &self.message["id"]
    }

    pub(crate) fn argument(&self, name: &str) -> &Value {
        &self.message["params"]["arguments"][name]
    }

    /// Whether it is of a kind: a verb other than POST, an MCP method, `response`, or `tools/call`
    /// and the name of a tool.
    pub(crate) fn is(&self, what: &str) -> bool {
        match what.split_once(' ') {
            Some((method, tool)) => self.method() == method && self.tool() == tool,
            None if what == "response" => {
                self.verb == "POST" && self.method().is_empty() && self.message["id"] != Value::Null
            }
            None => (self.verb != "POST" && self.verb == what) || self.method() == what,
        }
    }
}

/// The value of a header of MCP 2026-07-28, out of its base64 where it is in one.
pub(crate) fn decoded(value: &str) -> Option<String> {
    let Some(wrapped) = value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?="))
    else {
        return Some(value.to_owned());
    };
    let mut bits = 0u32;
    let mut bytes = Vec::new();
    let (text, padding) = wrapped.split_at(wrapped.trim_end_matches('=').len());
    for (place, letter) in text.bytes().enumerate() {
        bits = (bits << 6) | u32::from(sextet(letter)?);
        if place % 4 != 0 {
            bytes.push((bits >> (6 - 2 * (place % 4))).to_le_bytes()[0]);
        }
    }
    let complete = wrapped.len().is_multiple_of(4) && padding.len() < 3;
    String::from_utf8(bytes).ok().filter(|_| complete)
}

fn sextet(letter: u8) -> Option<u8> {
    Some(match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}
