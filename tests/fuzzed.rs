//! What strangers send is taken apart without a panic, and rightly: the entry points of the fuzz
//! targets in `tests/fuzz`, on their corpus and on thousands of things made of it, the same ones in
//! each run.
#![cfg(all(feature = "testing", feature = "http", feature = "config"))]

use std::{
    fs,
    panic::{UnwindSafe, catch_unwind},
    path::Path,
};

use callboard::testing::fuzzed;
use fastrand::Rng;

/// How many inputs are made of each corpus.
const MADE: usize = 3_000;

/// What is put between bytes: where formats have their joints.
const JOINTS: [&[u8]; 26] = [
    b"\n",
    b"\r\n",
    b"\r",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\xe2\x82",
    b"\"",
    b"\\",
    b"\\u0000",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"\"id\":",
    b"\"result\":",
    b"\"jsonrpc\":\"2.0\"",
    b"data: ",
    b"id: ",
    b"null",
    b"18446744073709551616",
    b"-1",
    b"${",
    b"<<EOT\n",
];

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
    let mut files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "there is no corpus of {target}");
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// An input made of one of these, and perhaps of a second.
fn made(corpus: &[Vec<u8>], random: &mut Rng) -> Vec<u8> {
    let mut input = corpus[random.usize(..corpus.len())].clone();
    for _ in 0..random.u32(1..6) {
        let at = random.usize(..=input.len());
        let end = at + random.usize(..=(input.len() - at).min(40));
        match random.u32(..7) {
            0 => drop(input.drain(at..end)),
            1 => input.truncate(at),
            2 => input.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << random.u32(..8)),
            3 => {
                let piece = input[at..end].repeat(random.usize(1..20));
                drop(input.splice(at..at, piece));
            }
            4 => {
                let other = &corpus[random.usize(..corpus.len())];
                let from = random.usize(..=other.len());
                drop(input.splice(at..end, other[from..].to_vec()));
            }
            _ => {
                let joint = JOINTS[random.usize(..JOINTS.len())];
                drop(input.splice(at..at, joint.to_vec()));
            }
        }
    }
    input
}

fn holds(target: &str, entry: impl Fn(&[u8]) + UnwindSafe + Copy + std::panic::RefUnwindSafe) {
    let (corpus, mut random) = (corpus(target), Rng::with_seed(7));
    let made = (0..MADE).map(|_| made(&corpus, &mut random)).collect::<Vec<_>>();
    for input in corpus.iter().chain(&made) {
        let taken = catch_unwind(|| entry(input));
        assert!(taken.is_ok(), "{target} does not hold for b\"{}\"", input.escape_ascii());
    }
}

#[test]
fn frames() {
    holds("wire", fuzzed::wire);
}

#[test]
fn event_streams() {
    holds("events", fuzzed::events);
}

#[test]
fn redacted_texts() {
    holds("redactor", fuzzed::redactor);
}

#[test]
fn files_of_servers() {
    holds("config", fuzzed::config);
}
