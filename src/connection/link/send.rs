//! How messages enter a link: a request is put into the table and queued in one step.

use std::sync::Arc;

use parking_lot::MutexGuard;
use tokio::time::Instant;

use super::{Exchange, Letter, Link, Loss, Pending, Reply, Request, Slot, State, Subject};
use crate::{
    connection::outbox::Splice,
    error::{DownCause, DownReason},
    record::EntryKind,
    wire::RequestId,
};

/// A frame of this size or more is not written inline, while others wait for the lock.
const INLINE_BYTES: usize = 16 << 10;

/// How many answers to its questions a server may leave unread before its link goes down.
const UNREAD_ANSWERS: usize = 1024;

impl Link {
    /// Inserts a request and queues its frame, in one step; on a dead or full link it does neither.
    pub(crate) fn send(self: &Arc<Self>, request: Request<'_>) -> Result<Reply, Loss> {
        let now = request.now;
        let length = request.frame.len() + request.splice.as_ref().map_or(0, Splice::len);
        let weight = request.admitted.then_some(length);
        let mut state = self.state.lock();
        state.admit(weight, &self.limits)?;
        let total_at = request.timing.total.and_then(|limit| now.checked_add(limit));
        let mut pending = Pending {
            // Who drives an exchange need not be woken by it.
            slot: Slot::Waiting(request.waker.filter(|_| self.post.is_none())),
            timing: request.timing,
            deadline: None,
            total_at,
            weight,
            cancellable: request.cancellable,
            own: !request.admitted,
            refused: false,
        };
        state.own += usize::from(pending.own);
        pending.extend(now);
        let alarm_moved = state.set_alarm(pending.deadline);
        state.pending.insert(request.id, pending);
        let what = (now, request.id, EntryKind::Sent);
        match &request.splice {
            None => state.recorder.frame(what, &[request.frame]),
            Some(splice) => state.recorder.frame(what, &splice.parts(request.frame)),
        }
        let exchange = match request.splice {
            None => self.dispatch(state, Some(request.id), request.frame, request.subject),
            Some(splice) => {
                state.outbox.push_spliced(request.id, request.frame, splice);
                self.see_off(state, false);
                None
            }
        };
        if alarm_moved {
            self.alarm_moved.notify_one();
        }
        self.count_sent(Some(request.id), length);
        Ok(Reply::new(Arc::clone(self), request.id, exchange))
    }

    /// Queues a notification of ours.
    pub(crate) fn notify(&self, mut frame: Vec<u8>, method: &str) {
        let state = self.state.lock();
        if state.down.is_none() {
            self.send_off(state, &mut frame, Subject { method, ..Subject::default() });
        }
    }

    /// Queues our answer to a question of the server. A server that asks on without reading the
    /// answers takes its link down: dropping an answer would leave it waiting.
    pub(crate) fn answer(&self, mut frame: Vec<u8>) {
        let state = self.state.lock();
        let queued =
            self.post.as_ref().map_or(state.outbox.unasked(), |post| post.unread_answers());
        if state.down.is_none() && queued < UNREAD_ANSWERS {
            return self.send_off(state, &mut frame, Subject::default());
        }
        drop(state);
        self.go_down(DownReason::new(DownCause::NotReading { queued }));
    }

    /// Sends what is no request.
    fn send_off(
        &self,
        mut state: MutexGuard<'_, State>,
        frame: &mut Vec<u8>,
        subject: Subject<'_>,
    ) {
        let length = frame.len();
        state.recorder.frame((Instant::now(), 0, EntryKind::Sent), &[frame]);
        drop(self.dispatch(state, None, frame, subject));
        // Without the lock, for whoever listens may ask how the link fares.
        self.count_sent(None, length);
    }

    /// Sends a frame on its way, whichever that is.
    fn dispatch(
        &self,
        state: MutexGuard<'_, State>,
        request: Option<RequestId>,
        frame: &mut Vec<u8>,
        subject: Subject<'_>,
    ) -> Option<Exchange> {
        let Some(post) = &self.post else {
            self.enqueue(state, request, frame);
            return None;
        };
        // A task is spawned for it, and no lock is held where one is.
        drop(state);
        let frame = std::mem::take(frame);
        Arc::clone(post).post(Letter { request, frame, subject })
    }

    /// Queues a frame, and sees to it that it is written.
    pub(super) fn enqueue(
        &self,
        mut state: MutexGuard<'_, State>,
        request: Option<RequestId>,
        frame: &mut Vec<u8>,
    ) {
        let small = frame.len() < INLINE_BYTES;
        state.outbox.push(request, frame);
        self.see_off(state, small);
    }

    /// Sees to it that what was queued is written: here and now if it is small and nothing else is
    /// going on, so that a lone call costs no task switch; otherwise by the writer task, which takes
    /// all that has come by then in one system call.
    fn see_off(&self, mut state: MutexGuard<'_, State>, small: bool) {
        if state.writer_awake {
            return;
        }
        // Others that have their answer, and have not looked yet, will ask again in a moment.
        let alone = state.pending.len() - state.own <= 1;
        if small && alone && self.write_inline(&mut state) {
            return;
        }
        state.writer_awake = true;
        drop(state);
        self.frames_wait.notify_one();
    }

    fn write_inline(&self, state: &mut State) -> bool {
        let Some(sink) = state.sink.as_deref() else { return true };
        match state.outbox.write(sink) {
            Ok(done) => done,
            Err(error) => {
                state.write_error = Some(Arc::new(error));
                self.write_failed.cancel();
                true
            }
        }
    }
}
