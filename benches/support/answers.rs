//! What the servers answer. No JSON is parsed, so that what is measured is the client.

use memchr::{memchr2, memmem};

use crate::manner::{COUNT, Manner};

/// Answers that are not written yet, each on a line of its own.
pub(crate) struct Answers {
    manner: Manner,
    /// Whether it answers `server/discover`.
    pub(crate) modern: bool,
    held: usize,
    bytes: Vec<u8>,
    id: memmem::Finder<'static>,
    method: memmem::Finder<'static>,
    text: memmem::Finder<'static>,
}

impl Answers {
    pub(crate) fn new(manner: Manner) -> Self {
        Self {
            manner,
            held: 0,
            modern: false,
            bytes: Vec::new(),
            id: memmem::Finder::new(br#""id":"#),
            method: memmem::Finder::new(br#""method":""#),
            text: memmem::Finder::new(br#""text":""#),
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Answers one message; a notification has no id and gets none.
    pub(crate) fn answer(&mut self, line: &[u8]) {
        let Some(id) = self.id.find(line).map(|at| token(&line[at + 5..])) else {
            return;
        };
        let method = self.method.find(line).map_or(0, |at| at + 10);
        match until_quote(&line[method..]) {
            b"tools/call" => self.answer_call(id, &line[method..]),
            b"initialize" => self.push(id, INITIALIZED),
            b"server/discover" if self.modern => self.push(id, DISCOVERED),
            b"tools/list" => self.push(id, TOOLS),
            b"ping" => self.push(id, br#","result":{}}"#),
            _ => self.push(id, UNKNOWN_METHOD),
        }
    }

    fn answer_call(&mut self, id: &[u8], request: &[u8]) {
        let text = self.text.find(request).map_or(&b""[..], |at| until_quote(&request[at + 8..]));
        match self.manner {
            Manner::Echo => self.push_text(id, text),
            Manner::Hold if text == COUNT.as_bytes() => {
                let count = "x".repeat(self.held);
                self.push_text(id, count.as_bytes());
            }
            Manner::Hold => self.held += 1,
        }
    }

    fn push_text(&mut self, id: &[u8], text: &[u8]) {
        self.bytes.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
        self.bytes.extend_from_slice(id);
        self.bytes.extend_from_slice(br#","result":{"content":[{"type":"text","text":""#);
        self.bytes.extend_from_slice(text);
        self.bytes.extend_from_slice(b"\"}]}}\n");
    }

    fn push(&mut self, id: &[u8], rest: &[u8]) {
        self.bytes.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
        self.bytes.extend_from_slice(id);
        self.bytes.extend_from_slice(rest);
        self.bytes.push(b'\n');
    }
}

const INITIALIZED: &[u8] = br#","result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"echo","version":"1.0.0"}}}"#;
const DISCOVERED: &[u8] = br#","result":{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"ttlMs":0,"cacheScope":"private"}}"#;
const TOOLS: &[u8] = br#","result":{"tools":[{"name":"echo","description":"Answers with its text.","inputSchema":{"type":"object","properties":{"text":{"type":"string"}},"required":["text"]}}]}}"#;
const UNKNOWN_METHOD: &[u8] = br#","error":{"code":-32601,"message":"method not found"}}"#;

/// The number or string that starts here.
fn token(bytes: &[u8]) -> &[u8] {
    &bytes[..memchr2(b',', b'}', bytes).unwrap_or(bytes.len())]
}

/// The inside of the JSON string whose first byte this is.
fn until_quote(bytes: &[u8]) -> &[u8] {
    let mut at = 0;
    while let Some(next) = memchr2(b'"', b'\\', &bytes[at..]) {
        if bytes[at + next] == b'"' {
            return &bytes[..at + next];
        }
        at += next + 2;
    }
    bytes
}
