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
}

impl Lines {
    pub(crate) fn new(limit: usize) -> Self {
        Self { buffer: Vec::new(), searched: 0, limit }
    }

    /// Reads once, by a function that appends to the buffer without exceeding its capacity.
    pub(crate) fn read(
        &mut self,
        read: impl FnOnce(&mut Vec<u8>) -> io::Result<usize>,
    ) -> io::Result<usize> {
        if self.buffer.capacity() - self.buffer.len() < CHUNK / 2 {
            self.buffer.reserve(CHUNK.max(self.buffer.len()));
        }
        read(&mut self.buffer)
    }

    /// Hands over every line that is complete, without its line end.
    pub(crate) fn take(&mut self, mut each: impl FnMut(Cow<'_, [u8]>)) -> Result<(), LineTooLong> {
        if self.take_single(&mut each)? {
            return Ok(());
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

    /// One large line that is all there is needs no copy.
    fn take_single(&mut self, each: &mut impl FnMut(Cow<'_, [u8]>)) -> Result<bool, LineTooLong> {
        let length = self.buffer.len();
        if length < HANDED_OVER || length - 1 > self.limit {
            return Ok(false);
        }
        if memchr::memchr(b'\n', &self.buffer[self.searched..]) != Some(length - 1 - self.searched)
        {
            return Ok(false);
        }
        let mut line = std::mem::take(&mut self.buffer);
        self.searched = 0;
        line.pop();
        each(Cow::Owned(line));
        Ok(true)
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
    fn a_line_above_the_limit_is_refused_before_it_ends() {
        assert_eq!(lines_of(10, &[b"0123456789\n"]).unwrap().len(), 1);
        assert_eq!(lines_of(10, &[b"0123456789a\n"]), Err(LineTooLong { limit: 10 }));
        assert_eq!(lines_of(10, &[b"012345", b"6789", b"a"]), Err(LineTooLong { limit: 10 }));
    }
}
