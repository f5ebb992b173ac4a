//! Frames on their way out, and what is known of each: waiting, or begun.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    sync::Arc,
};

use serde_json::value::RawValue;

use crate::{transport::Sink, wire::RequestId};

/// Frames below this size are gathered, one behind the other; a larger one keeps its own buffer.
const SMALL: usize = 16 << 10;

/// How much is gathered in one buffer: what a pipe holds.
const GATHERED: usize = 64 << 10;

/// Frames that wait to be written, oldest first.
///
/// A request that stands here untouched has not left us: it can be withdrawn.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    buffers: VecDeque<Buffer>,
    /// How much of the first buffer has left.
    written: usize,
    /// How many of the frames are no requests of ours; those have no other bound.
    unasked: usize,
    /// An empty buffer, kept for its memory.
    spare: Option<Buffer>,
}

/// A large text that goes into the middle of a frame without being copied.
#[derive(Debug)]
pub(crate) struct Splice {
    /// Where in the frame.
    pub(crate) at: usize,
    pub(crate) text: Arc<RawValue>,
}

/// Some frames, one behind the other; or one with a text spliced in.
#[derive(Debug, Default)]
struct Buffer {
    bytes: Vec<u8>,
    splice: Option<Splice>,
    frames: VecDeque<Mark>,
}

/// Which request a frame carries, if it is one, and where it ends.
#[derive(Debug)]
struct Mark {
    request: Option<RequestId>,
    end: usize,
}

impl Outbox {
    /// Queues a frame, complete with its line end. The vector is empty afterwards, but keeps its
    /// memory if the frame was small.
    pub(crate) fn push(&mut self, request: Option<RequestId>, frame: &mut Vec<u8>) {
        self.unasked += usize::from(request.is_none());
        if frame.len() >= SMALL {
            let end = frame.len();
            let frames = VecDeque::from([Mark { request, end }]);
            let bytes = std::mem::take(frame);
            self.buffers.push_back(Buffer { bytes, splice: None, frames });
            return;
        }
        let full = self.buffers.back().is_none_or(Buffer::is_full);
        if full {
            self.buffers.push_back(self.spare.take().unwrap_or_default());
        }
        if let Some(last) = self.buffers.back_mut() {
            last.bytes.append(frame);
            last.frames.push_back(Mark { request, end: last.bytes.len() });
        }
    }

    /// Queues a request into which a text is spliced; the vector keeps its memory.
    pub(crate) fn push_spliced(&mut self, id: RequestId, frame: &mut Vec<u8>, splice: Splice) {
        let mut buffer = self.spare.take().unwrap_or_default();
        buffer.bytes.append(frame);
        buffer.splice = Some(splice);
        buffer.frames.push_back(Mark { request: Some(id), end: buffer.len() });
        self.buffers.push_back(buffer);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.buffers.is_empty()
    }

    /// How many answers and notifications wait.
    pub(crate) fn unasked(&self) -> usize {
        self.unasked
    }

    /// Takes a request back if no byte of it has left, and says whether it did.
    pub(crate) fn withdraw(&mut self, id: RequestId) -> bool {
        let Some((place, frame)) = self.position(id) else { return false };
        self.buffers[place].remove(frame);
        let left = if place == 0 { self.written } else { 0 };
        if self.buffers[place].len() == left {
            // Nothing is left of it but what has been written.
            self.retire(place);
        }
        true
    }

    /// Whether a request stands here untouched.
    pub(crate) fn holds(&self, id: RequestId) -> bool {
        self.position(id).is_some()
    }

    /// Moves all frames into an empty outbox; false if there are none.
    pub(crate) fn take(&mut self, batch: &mut Self) -> bool {
        debug_assert!(batch.is_empty());
        std::mem::swap(self, batch);
        !batch.is_empty()
    }

    /// Puts back, in front of what has come since, what could not be written.
    pub(crate) fn put_back(&mut self, batch: &mut Self) {
        debug_assert_eq!(self.written, 0, "only one writer takes frames at a time");
        self.unasked += std::mem::take(&mut batch.unasked);
        self.written = std::mem::take(&mut batch.written);
        while let Some(buffer) = batch.buffers.pop_back() {
            self.buffers.push_front(buffer);
        }
    }

    /// Writes until all is out (true) or the sink is full (false).
    pub(crate) fn write(&mut self, sink: &dyn Sink) -> io::Result<bool> {
        if self.buffers.iter().any(|buffer| buffer.len() > 2 * GATHERED) {
            sink.expect_large();
        }
        while let Some(first) = self.buffers.front() {
            match first.write(self.written, sink) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.advance(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn advance(&mut self, count: usize) {
        self.written += count;
        let Some(first) = self.buffers.front() else { return };
        if self.written < first.len() {
            return;
        }
        self.retire(0);
    }

    /// Drops a buffer of which nothing is left to be written.
    fn retire(&mut self, place: usize) {
        if place == 0 {
            self.written = 0;
        }
        if let Some(mut buffer) = self.buffers.remove(place) {
            self.unasked -= buffer.frames.iter().filter(|mark| mark.request.is_none()).count();
            buffer.splice = None;
            buffer.frames.clear();
            buffer.bytes.clear();
            self.spare = Some(buffer).filter(|buffer| buffer.bytes.capacity() <= 2 * GATHERED);
        }
    }

    /// Where a request stands untouched: its buffer, and its place in it.
    fn position(&self, id: RequestId) -> Option<(usize, usize)> {
        self.buffers.iter().enumerate().find_map(|(place, buffer)| {
            let frame = buffer.frames.iter().position(|mark| mark.request == Some(id))?;
            let untouched = place > 0 || buffer.start(frame) >= self.written;
            untouched.then_some((place, frame))
        })
    }
}

impl Splice {
    /// The whole of a frame that it goes into.
    pub(crate) fn parts<'a>(&'a self, frame: &'a [u8]) -> [&'a [u8]; 3] {
        let (head, tail) = frame.split_at(self.at);
        [head, self.text.get().as_bytes(), tail]
    }

    pub(crate) fn len(&self) -> usize {
        self.text.get().len()
    }
}

impl Buffer {
    fn len(&self) -> usize {
        self.bytes.len() + self.splice.as_ref().map_or(0, Splice::len)
    }

    /// Whether nothing more goes in: nothing but its own frame where a text is spliced in.
    fn is_full(&self) -> bool {
        self.splice.is_some() || self.bytes.len() >= GATHERED
    }

    /// Writes what comes after the first `written` bytes.
    fn write(&self, written: usize, sink: &dyn Sink) -> io::Result<usize> {
        let Some(splice) = &self.splice else { return sink.try_write(&self.bytes[written..]) };
        let mut over = written;
        sink.try_write_vectored(&splice.parts(&self.bytes).map(|part| {
            let (left, rest) = part.split_at(over.min(part.len()));
            over -= left.len();
            IoSlice::new(rest)
        }))
    }

    fn start(&self, frame: usize) -> usize {
        frame.checked_sub(1).map_or(0, |before| self.frames[before].end)
    }

    fn remove(&mut self, frame: usize) {
        if self.splice.take().is_some() {
            self.bytes.clear();
            return self.frames.clear();
        }
        let (start, end) = (self.start(frame), self.frames[frame].end);
        self.bytes.drain(start..end);
        self.frames.remove(frame);
        self.frames.iter_mut().skip(frame).for_each(|mark| mark.end -= end - start);
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll};

    use parking_lot::Mutex;

    use super::*;

    /// A sink that takes a given number of bytes, at most `step` of them a call.
    #[derive(Default)]
    struct Narrow {
        room: Mutex<usize>,
        step: usize,
        got: Mutex<Vec<u8>>,
    }

    impl Sink for Narrow {
        fn try_write_vectored(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
            let all: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
            self.try_write(&all)
        }

        fn try_write(&self, all: &[u8]) -> io::Result<usize> {
            let mut room = self.room.lock();
            let count = all.len().min(*room).min(self.step);
            if count == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            *room -= count;
            self.got.lock().extend_from_slice(&all[..count]);
            Ok(count)
        }

        fn poll_writable(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn outbox() -> Outbox {
        let mut outbox = Outbox::default();
        for id in 0..100 {
            outbox.push(Some(id), &mut format!("<{id:03}>").into_bytes());
        }
        outbox
    }

    #[test]
    fn a_request_is_withdrawn_only_before_its_first_byte_left() {
        let mut outbox = outbox();
        let sink = Narrow { room: Mutex::new(11), step: 4, ..Narrow::default() };
        assert!(!outbox.write(&sink).unwrap());
        assert!(!outbox.holds(1) && !outbox.holds(2), "one byte of frame 2 has left");
        assert!(outbox.holds(3));
        assert!(outbox.withdraw(3) && !outbox.withdraw(2));
        *sink.room.lock() = 10_000;
        assert!(outbox.write(&sink).unwrap());
        let got = String::from_utf8(sink.got.into_inner()).unwrap();
        assert!(got.starts_with("<000><001><002><004>") && got.ends_with("<099>"), "{got}");
    }

    #[test]
    fn a_stuck_batch_goes_back_in_front_with_its_place_kept() {
        let mut outbox = outbox();
        let mut batch = Outbox::default();
        assert!(outbox.take(&mut batch));
        outbox.push(None, &mut b"<new>".to_vec());
        let sink = Narrow { room: Mutex::new(7), step: 100, ..Narrow::default() };
        assert!(!batch.write(&sink).unwrap());
        outbox.put_back(&mut batch);
        assert!(!outbox.holds(1) && outbox.holds(2));
        *sink.room.lock() = 10_000;
        assert!(outbox.write(&sink).unwrap());
        let got = String::from_utf8(sink.got.into_inner()).unwrap();
        assert_eq!(got.len(), 101 * 5);
        assert!(got.starts_with("<000><001><002>") && got.ends_with("<099><new>"), "{got}");
    }

    #[test]
    fn withdrawing_all_behind_what_has_left_leaves_nothing_to_write() {
        let mut outbox = outbox();
        let sink = Narrow { room: Mutex::new(10), step: 100, ..Narrow::default() };
        assert!(!outbox.write(&sink).unwrap());
        assert!((2..100).all(|id| outbox.withdraw(id)));
        assert!(outbox.is_empty());
        *sink.room.lock() = 100;
        outbox.push(Some(100), &mut b"<100>".to_vec());
        assert!(outbox.write(&sink).unwrap());
        assert_eq!(*sink.got.lock(), b"<000><001><100>");
    }

    #[test]
    fn a_text_is_spliced_into_its_frame_however_it_is_written() {
        let text: Arc<RawValue> = RawValue::from_string("\"text\"".into()).unwrap().into();
        for step in 1..12 {
            let mut outbox = Outbox::default();
            outbox.push(Some(0), &mut b"<0>".to_vec());
            for id in 1..4 {
                let splice = Splice { at: 2, text: Arc::clone(&text) };
                outbox.push_spliced(id, &mut format!("<{id}>").into_bytes(), splice);
                outbox.push(None, &mut b"<->".to_vec());
            }
            let sink = Narrow { room: Mutex::new(5), step, ..Narrow::default() };
            assert!(!outbox.write(&sink).unwrap());
            assert!(outbox.withdraw(2) && outbox.holds(3) && !outbox.withdraw(1));
            *sink.room.lock() = 100;
            assert!(outbox.write(&sink).unwrap());
            let got = String::from_utf8(sink.got.into_inner()).unwrap();
            assert_eq!(got, "<0><1\"text\"><-><-><3\"text\"><->", "{step}");
        }
        assert_eq!(Arc::strong_count(&text), 1, "nothing is kept");
    }

    #[test]
    fn large_frames_keep_their_order_among_small_ones() {
        let mut outbox = Outbox::default();
        let large = vec![b'x'; SMALL];
        for id in 0..3 {
            outbox.push(Some(10 + id), &mut format!("<{id}>").into_bytes());
            outbox.push(Some(20 + id), &mut large.clone());
        }
        assert!(outbox.withdraw(21) && outbox.withdraw(12));
        outbox.push(None, &mut b"<end>".to_vec());
        assert_eq!(outbox.unasked(), 1);
        let sink = Narrow { room: Mutex::new(1 << 20), step: 1 << 20, ..Narrow::default() };
        assert!(outbox.write(&sink).unwrap());
        assert_eq!((outbox.unasked(), outbox.is_empty()), (0, true));
        let got = String::from_utf8(sink.got.into_inner()).unwrap();
        assert_eq!(got.replace(&"x".repeat(SMALL), "X"), "<0>X<1>X<end>");
    }
}
