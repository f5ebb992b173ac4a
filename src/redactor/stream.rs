//! Text that comes in pieces.

use super::{Patterns, REDACTED, Redactor};

/// The beginning of a secret that nothing followed is told as it is if it is no longer than this.
const TELLING: usize = 4;

/// Redacts what comes in pieces: see [`Redactor::stream`].
///
/// What may be the beginning of a secret is held back until it is known to be none.
#[derive(Debug)]
pub struct Redacting {
    redactor: Redactor,
    held: Vec<u8>,
}

impl Redacting {
    pub(super) fn new(redactor: Redactor) -> Self {
        Self { redactor, held: Vec::new() }
    }

    /// Takes the next piece, and returns what can be told by now.
    #[must_use]
    pub fn push(&mut self, piece: &[u8]) -> Vec<u8> {
        let mut text = std::mem::take(&mut self.held);
        text.extend_from_slice(piece);
        let patterns = self.redactor.patterns();
        let Some(patterns) = patterns.as_ref() else { return text };
        let mut told = Vec::with_capacity(text.len());
        let mut from = 0;
        let mut open = patterns.opening(&text, 0);
        for found in patterns.automaton.find_iter(&text) {
            // It may go on to be a longer one.
            if found.start() >= open {
                break;
            }
            told.extend_from_slice(&text[from..found.start()]);
            told.extend_from_slice(REDACTED.as_bytes());
            from = found.end();
            if from > open {
                open = patterns.opening(&text, from);
            }
        }
        told.extend_from_slice(&text[from..open]);
        self.held = text.split_off(open);
        told
    }

    /// Returns what was held back, once nothing follows.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.flush()
    }

    pub(crate) fn flush(&mut self) -> Vec<u8> {
        let held = std::mem::take(&mut self.held);
        let text = String::from_utf8_lossy(&held);
        if let std::borrow::Cow::Owned(redacted) = self.redactor.redact(&text) {
            return redacted.into_bytes();
        }
        if held.len() > TELLING { REDACTED.as_bytes().to_vec() } else { held }
    }
}

impl Patterns {
    /// Where, from `from` on, something begins that may be the beginning of a secret and nothing
    /// else; the end of the text if nothing does.
    fn opening(&self, text: &[u8], from: usize) -> usize {
        let first = from.max(text.len().saturating_sub(self.longest - 1));
        (first..text.len()).find(|at| self.opens(&text[*at..])).unwrap_or(text.len())
    }

    fn opens(&self, end: &[u8]) -> bool {
        let at = self.sorted.partition_point(|form| form.as_slice() <= end);
        self.sorted.get(at).is_some_and(|form| form.starts_with(end))
    }
}
