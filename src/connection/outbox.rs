//! Frames on their way out, and what is known of each: waiting, or begun.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
};

use crate::{transport::Sink, wire::RequestId};

/// One frame, complete with its line end.
#[derive(Debug)]
pub(crate) struct Frame {
    /// The request that it carries, if it is one.
    pub(crate) request: Option<RequestId>,
    pub(crate) bytes: Vec<u8>,
}

/// The frames of a link that the writer has not taken yet, oldest first.
///
/// A request that still stands here, untouched, has not left us: it can be withdrawn.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    frames: Batch,
    /// How many of the frames are no requests of ours; those have no other bound.
    unasked: usize,
}

impl Outbox {
    pub(crate) fn push(&mut self, frame: Frame) {
        self.unasked += usize::from(frame.request.is_none());
        self.frames.queue.push_back(frame);
    }

    /// How many answers and notifications wait.
    pub(crate) fn unasked(&self) -> usize {
        self.unasked
    }

    /// Takes a request back if no byte of it has left, and says whether it did.
    pub(crate) fn withdraw(&mut self, id: RequestId) -> bool {
        let Some(at) = self.frames.position(id) else { return false };
        self.frames.queue.remove(at);
        true
    }

    /// Whether a request stands here untouched.
    pub(crate) fn holds(&self, id: RequestId) -> bool {
        self.frames.position(id).is_some()
    }

    /// Moves all frames into an empty batch; false if there are none.
    pub(crate) fn take(&mut self, batch: &mut Batch) -> bool {
        debug_assert!(batch.queue.is_empty());
        self.unasked = 0;
        std::mem::swap(&mut self.frames, batch);
        !batch.queue.is_empty()
    }

    /// Puts back, in front of what has come since, what a batch could not write.
    pub(crate) fn restore(&mut self, batch: &mut Batch) {
        debug_assert_eq!(self.frames.written, 0, "only one writer takes frames at a time");
        self.unasked += batch.queue.iter().filter(|frame| frame.request.is_none()).count();
        self.frames.written = std::mem::take(&mut batch.written);
        while let Some(frame) = batch.queue.pop_back() {
            self.frames.queue.push_front(frame);
        }
    }

    /// Writes what is here without waiting; true once nothing is left.
    pub(crate) fn write(&mut self, sink: &dyn Sink) -> io::Result<bool> {
        let done = self.frames.write(sink)?;
        if done {
            self.unasked = 0;
        }
        Ok(done)
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Frames being written, and how much of the first has left.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    queue: VecDeque<Frame>,
    written: usize,
}

impl Batch {
    /// How many frames go out in one system call.
    const SLICES: usize = 64;

    /// Writes until all is out (true) or the sink is full (false).
    pub(crate) fn write(&mut self, sink: &dyn Sink) -> io::Result<bool> {
        while !self.queue.is_empty() {
            let mut slices = [IoSlice::new(&[]); Self::SLICES];
            let mut skip = self.written;
            let mut used = 0;
            for (slice, frame) in slices.iter_mut().zip(&self.queue) {
                *slice = IoSlice::new(&frame.bytes[skip..]);
                skip = 0;
                used += 1;
            }
            match sink.try_write(&slices[..used]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.advance(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn advance(&mut self, mut count: usize) {
        while let Some(front) = self.queue.front() {
            let left = front.bytes.len() - self.written;
            if count < left {
                self.written += count;
                return;
            }
            count -= left;
            self.written = 0;
            self.queue.pop_front();
        }
    }

    /// Where a request stands untouched.
    fn position(&self, id: RequestId) -> Option<usize> {
        let untouched = usize::from(self.written > 0);
        let mut waiting = self.queue.iter().skip(untouched);
        waiting.position(|frame| frame.request == Some(id)).map(|at| at + untouched)
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
        fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
            let all: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
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
            outbox.push(Frame { request: Some(id), bytes: format!("<{id:03}>").into_bytes() });
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
        let mut batch = Batch::default();
        assert!(outbox.take(&mut batch));
        outbox.push(Frame { request: None, bytes: b"<new>".to_vec() });
        let sink = Narrow { room: Mutex::new(7), step: 100, ..Narrow::default() };
        assert!(!batch.write(&sink).unwrap());
        outbox.restore(&mut batch);
        assert!(!outbox.holds(1) && outbox.holds(2));
        *sink.room.lock() = 10_000;
        assert!(outbox.write(&sink).unwrap());
        let got = String::from_utf8(sink.got.into_inner()).unwrap();
        assert_eq!(got.len(), 101 * 5);
        assert!(got.starts_with("<000><001><002>") && got.ends_with("<099><new>"), "{got}");
    }
}
