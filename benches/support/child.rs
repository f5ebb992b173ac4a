//! The server every client here talks to: this same executable, started again with a hidden
//! argument.
//!
//! It parses no JSON, reads in big chunks and answers everything one read brought with one
//! write, so that what is measured is the client.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;

use memchr::{memchr, memchr2, memmem};

/// What the server does with a tool call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Answers with the text it was given.
    Echo,
    /// Never answers, except a call whose text is [`COUNT`].
    Hold,
}

/// The text that asks a holding server how many calls it holds; the length of the answered text
/// is the number.
pub(crate) const COUNT: &str = "count";

impl Manner {
    /// The argument that starts this executable as such a server.
    pub(crate) fn argument(self) -> &'static str {
        match self {
            Self::Echo => "--echo-child",
            Self::Hold => "--hold-child",
        }
    }
}

/// The executable to start as the server.
pub(crate) fn executable() -> PathBuf {
    std::env::current_exe().expect("the path of this executable")
}

/// Serves until stdin ends if this process was started as the server; returns whether it was.
pub(crate) fn serve_if_asked() -> bool {
    let asked = std::env::args().nth(1);
    let manner = [Manner::Echo, Manner::Hold]
        .into_iter()
        .find(|manner| asked.as_deref() == Some(manner.argument()));
    let Some(manner) = manner else { return false };
    // A client that kills or abandons its server is not this server's error.
    let ended = serve(manner);
    drop(ended);
    true
}

fn serve(manner: Manner) -> io::Result<()> {
    let mut input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let mut answers = Answers::new(manner);
    let mut buffer = vec![0; 256 * 1024];
    let mut filled = 0;
    loop {
        if filled == buffer.len() {
            buffer.resize(buffer.len() * 2, 0);
        }
        let read = input.read(&mut buffer[filled..])?;
        if read == 0 {
            return Ok(());
        }
        let used = answers.add(&buffer[..filled + read], filled);
        buffer.copy_within(used..filled + read, 0);
        filled = filled + read - used;
        answers.write_to(&mut output)?;
    }
}

/// The answers to what one read brought.
struct Answers {
    manner: Manner,
    held: usize,
    bytes: Vec<u8>,
    id: memmem::Finder<'static>,
    method: memmem::Finder<'static>,
    text: memmem::Finder<'static>,
}

impl Answers {
    fn new(manner: Manner) -> Self {
        Self {
            manner,
            held: 0,
            bytes: Vec::with_capacity(256 * 1024),
            id: memmem::Finder::new(br#""id":"#),
            method: memmem::Finder::new(br#""method":""#),
            text: memmem::Finder::new(br#""text":""#),
        }
    }

    /// Answers every complete line, of which the first `seen` bytes hold no end of line, and
    /// returns how many bytes they take.
    fn add(&mut self, input: &[u8], seen: usize) -> usize {
        let mut start = 0;
        let mut from = seen;
        while let Some(at) = memchr(b'\n', &input[from..]) {
            self.answer(&input[start..from + at]);
            start = from + at + 1;
            from = start;
        }
        start
    }

    fn write_to(&mut self, output: &mut File) -> io::Result<()> {
        if !self.bytes.is_empty() {
            output.write_all(&self.bytes)?;
            self.bytes.clear();
        }
        Ok(())
    }

    /// Answers one message; a notification has no id and gets none.
    fn answer(&mut self, line: &[u8]) {
        let Some(id) = self.id.find(line).map(|at| token(&line[at + 5..])) else {
            return;
        };
        let method = self.method.find(line).map_or(0, |at| at + 10);
        match until_quote(&line[method..]) {
            b"tools/call" => self.answer_call(id, &line[method..]),
            b"initialize" => self.push(id, INITIALIZED),
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
