//! What strangers' bytes reach first, each as one function that takes any bytes and panics where
//! something does not hold. For the fuzz targets in `tests/fuzz`, and for the tests that run them in
//! bounds; no part of the public API.

#[cfg(feature = "http")]
mod stream;

use std::borrow::Cow;

use serde_json::Value;

#[cfg(feature = "config")]
use crate::config;
use crate::{
    redactor::{Owner, Redactor, Source},
    secret::Secret,
    transport::lines::{LineTooLong, Lines},
    wire::{self, Answer, Incoming},
};

/// Small enough that fuzzed input meets it.
const LIMIT: usize = 512;

/// The frames of a stream: the same lines wherever the stream is cut, none above the limit, and each
/// to whom it says that it belongs.
pub fn wire(data: &[u8]) {
    let (sizes, data) = data.split_at(data.len().min(4));
    let whole = lines(data, &[0]);
    assert_eq!(whole, lines(data, sizes), "cut otherwise, they are other lines");
    for line in &whole.0 {
        assert!(line.len() <= LIMIT);
        frame(wire::trim(line));
    }
}

/// The lines of a stream that comes in pieces of these sizes, over and over; and whether it broke off.
fn lines(data: &[u8], sizes: &[u8]) -> (Vec<Vec<u8>>, bool) {
    let (mut lines, mut found) = (Lines::new(LIMIT), Vec::new());
    for piece in pieces(data, sizes) {
        let read = lines.read(|buffer| {
            buffer.extend_from_slice(piece);
            Ok(piece.len())
        });
        assert!(read.is_ok());
        let took = lines.take(|line| found.push(line.into_owned()));
        if let Err(LineTooLong { limit }) = took {
            assert_eq!(limit, LIMIT);
            return (found, true);
        }
    }
    (found, false)
}

fn pieces<'a>(mut data: &'a [u8], sizes: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut sizes = sizes.iter().copied().cycle();
    std::iter::from_fn(move || {
        let size = sizes.next().map_or(0, usize::from);
        let size = if size == 0 { data.len() } else { size.min(data.len()) };
        let (piece, rest) = data.split_at(size);
        data = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

fn frame(frame: &[u8]) {
    let incoming = wire::classify(frame);
    // Of an object with the same key twice, nobody can say what it means.
    let value = serde_json::from_slice::<Value>(frame).ok();
    let twice = [&b"\"id\""[..], b"\"method\"", b"\"result\"", b"\"error\"", b"\"jsonrpc\""]
        .iter()
        .any(|key| memchr::memmem::find_iter(frame, key).count() > 1);
    match (incoming, value.filter(|_| !twice && !frame.contains(&b'\\'))) {
        (Incoming::Answer { id }, value) => {
            let opened = wire::open_answer(frame.to_vec());
            if let Some(value) = &value {
                assert_eq!(wire::request_id(&value["id"].to_string()), Some(id), "whose is it?");
            }
            if let Ok(Answer::Result(result)) = opened {
                let opened: Value = serde_json::from_str(result.get()).expect("a result is JSON");
                if let Some(value) = value {
                    assert_eq!(value["result"], opened, "it is not what was sent");
                }
            }
        }
        (Incoming::Request { id, method, .. }, Some(value)) => {
            assert_eq!(serde_json::from_str::<Value>(id.get()).ok().as_ref(), value.get("id"));
            assert_eq!(value["method"], method);
        }
        (Incoming::Noise, Some(value)) => {
            let answer = value["jsonrpc"] == "2.0" && value.get("result").is_some();
            let ours = value.get("id").is_some_and(Value::is_u64) && value.get("method").is_none();
            assert!(!(answer && ours), "an answer is taken for noise");
        }
        _ => {}
    }
}

/// A stream of events: the same ones wherever it is cut, and none above the limit.
#[cfg(feature = "http")]
pub fn events(data: &[u8]) {
    let (sizes, data) = data.split_at(data.len().min(4));
    let whole = stream::events(std::iter::once(data), data.len());
    let cut = stream::events(pieces(data, sizes), data.len());
    assert_eq!(whole, cut, "cut otherwise, they are other events");
    assert!(whole.iter().all(|(_, data)| !data.trim_ascii().is_empty()));
}

/// The first line is a secret, and what follows a text: none of it is left there, in one piece or in
/// many.
pub fn redactor(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Some((secret, text)) = text.split_once('\n') else { return };
    // What replaces a secret must not be able to make one.
    let made = |part: &str| "[redacted]".contains(part) || part.contains(['[', ']', '\u{fffd}']);
    if secret.len() < 4 || secret.trim() != secret || made(secret) {
        return;
    }
    let redactor = Redactor::default();
    let owner = Owner { server: None, source: Source::Declared(Secret::literal("")) };
    redactor.learn(owner, &secret.into());
    let redacted = redactor.redact(text);
    assert!(!redacted.contains(secret), "a secret is left");
    if let Cow::Borrowed(same) = redacted {
        assert_eq!(same, text);
    }
    let sizes = [1, 3, secret.len().min(255) as u8];
    for sizes in [&sizes[..1], &sizes] {
        let mut stream = redactor.stream();
        let mut told: Vec<u8> =
            pieces(text.as_bytes(), sizes).flat_map(|piece| stream.push(piece)).collect();
        told.extend(stream.finish());
        assert!(memchr::memmem::find(&told, secret.as_bytes()).is_none(), "a secret is left");
    }
}

/// A file of servers, in either form: whatever is in it, each fault has a line of the file.
#[cfg(feature = "config")]
pub fn config(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let last = text.lines().count().max(1) + 1;
    let read = [
        config::parse_json(&text, "file"),
        #[cfg(feature = "hcl")]
        config::parse_hcl(&text, "file"),
    ];
    for loaded in read {
        match loaded {
            Ok(loaded) => {
                let told = [&loaded.faults, &loaded.warnings, &loaded.notes];
                let within = |fault: &config::Fault| (1..=last).contains(&fault.line);
                assert!(told.into_iter().flatten().all(within), "{told:?}");
                for spec in &loaded.specs {
                    assert!(!format!("{spec:?}").is_empty());
                    let line = loaded.line_of(spec.name());
                    assert!(line.is_none_or(|line| (1..=last).contains(&line)), "{line:?}");
                }
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}
