//! Frames that are lines: taken apart as they come in, and bounded.

use std::{borrow::Cow, io};

/// How much the first read of a line takes. A quarter of what a pipe holds, so that callers that have
/// their answer ask again while the rest is still coming; a long line is read in growing pieces.
const CHUNK: usize = 16 << 10;

/// What a pipe holds.
const PIPE: usize = 64 << 10;

/// A frame of this size or more is handed over with the buffer it was read into.
const HANDED_OVER: usize = 32 << 10;

/// A line grew above the limit before it ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LineTooLong {
    pub(crate) limit: usize,
}

/// Bytes that came in, and how far they were searched for line ends.
#[derive(Debug)]
pub(crate) struct Lines {
    buffer: Vec<u8>,
    searched: usize,
    limit: usize,
    /// How long the last line was that did not fit into a chunk: the next may be as long.
    expected: usize,
}

impl Lines {
    pub(crate) fn new(limit: usize) -> Self {
        Self { buffer: Vec::new(), searched: 0, limit, expected: 0 }
    }

    /// Reads once, by a function that appends to the buffer without exceeding its capacity.
    pub(crate) fn read(
        &mut self,
        read: impl FnOnce(&mut Vec<u8>) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let length = self.buffer.len();
        if self.buffer.capacity() - length < CHUNK / 2 {
            // A line that has just begun may be short, whatever the last one was.
            let expected =
                if length < CHUNK / 2 { 0 } else { self.expected.saturating_sub(length) };
            self.buffer.reserve(CHUNK.max(length).max(expected + CHUNK));
        }
        read(&mut self.buffer)
    }

    /// Hands over every line that is complete, without its line end.
    pub(crate) fn take(&mut self, mut each: impl FnMut(Cow<'_, [u8]>)) -> Result<(), LineTooLong> {
        while let Some(line) = self.take_large() {
            each(Cow::Owned(line));
        }
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', &self.buffer[self.searched..]) {
            let end = self.searched + end;
            if end - start > self.limit {
                return Err(LineTooLong { limit: self.limit });
            }
            each(Cow::Borrowed(&self.buffer[start..end]));
            start = end + 1;
        }
        self.buffer.drain(..start);
        self.searched = self.buffer.len();
        if self.searched > self.limit { Err(LineTooLong { limit: self.limit }) } else { Ok(()) }
    }

    /// Takes the first line, if it is large, together with its memory; what follows moves, and is
    /// less.
    fn take_large(&mut self) -> Option<Vec<u8>> {
        if self.buffer.len() < HANDED_OVER {
            return None;
        }
        let Some(end) = memchr::memchr(b'\n', &self.buffer[self.searched..]) else {
            self.searched = self.buffer.len();
            return None;
        };
        let end = self.searched + end;
        if end < HANDED_OVER.max(self.buffer.capacity() / 2) || end > self.limit {
            return None;
        }
        let rest = self.buffer[end + 1..].to_vec();
        let mut line = std::mem::replace(&mut self.buffer, rest);
        line.truncate(end);
        (self.searched, self.expected) = (0, end);
        Some(line)
    }

    /// Whether the line that is coming in is larger than what a pipe holds.
    pub(crate) fn is_large(&self) -> bool {
        self.buffer.len() >= PIPE
    }

    /// Gives the memory of an empty buffer back: an idle link holds none.
    pub(crate) fn rest(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(limit: usize, chunks: &[&[u8]]) -> Result<Vec<Vec<u8>>, LineTooLong> {
        let mut lines = Lines::new(limit);
        let mut found = Vec::new();
        for chunk in chunks {
            lines
                .read(|buffer| {
                    buffer.extend_from_slice(chunk);
                    Ok(chunk.len())
                })
                .unwrap();
            lines.take(|line| found.push(line.into_owned()))?;
        }
        Ok(found)
    }

    #[test]
    fn lines_are_put_together_from_any_pieces() {
        let text: Vec<u8> = (0..50).flat_map(|n| format!("{{\"n\":{n}}}\n").into_bytes()).collect();
        let whole = lines_of(100, &[&text]).unwrap();
        assert_eq!(whole.len(), 50);
        for size in [1, 2, 7, 64] {
            let pieces: Vec<&[u8]> = text.chunks(size).collect();
            assert_eq!(lines_of(100, &pieces).unwrap(), whole, "pieces of {size}");
        }
    }

    #[test]
    fn a_large_line_is_handed_over_whole() {
        let mut text = vec![b'x'; 100_000];
        text.push(b'\n');
        let found = lines_of(100_000, &text.chunks(CHUNK).collect::<Vec<_>>()).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].len(), 100_000);
    }

    #[test]
    fn large_lines_are_handed_over_in_a_row() {
        let mut text = Vec::new();
        for length in [100_000, 5, 99_999, 120_000, 40_000, 0, 33_000] {
            text.extend(std::iter::repeat_n(b'a' + (length % 26) as u8, length));
            text.push(b'\n');
        }
        let whole: Vec<_> = text.split(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
        for size in [CHUNK, 50_000, 150_000, text.len()] {
            let found = lines_of(120_000, &text.chunks(size).collect::<Vec<_>>()).unwrap();
            assert_eq!(found.len(), 7);
            assert!(found[..] == whole[..7], "pieces of {size}");
        }
    }

    #[test]
    fn a_line_above_the_limit_is_refused_before_it_ends() {
        assert_eq!(lines_of(10, &[b"0123456789\n"]).unwrap().len(), 1);
        assert_eq!(lines_of(10, &[b"0123456789a\n"]), Err(LineTooLong { limit: 10 }));
        assert_eq!(lines_of(10, &[b"012345", b"6789", b"a"]), Err(LineTooLong { limit: 10 }));
    }
}
