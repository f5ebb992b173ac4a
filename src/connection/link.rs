//! One live incarnation of a connection: pending requests by id, permits, the way out, and the
//! down signal.
//!
//! All of it is one value under one lock, which is never held across an await: whether the link
//! lives, who waits, and what has not left yet can therefore not disagree. A request is inserted and
//! queued in one step that fails on a dead link, and going down takes all that wait in one step, so
//! no request can slip between the two and wait for ever.

mod agreed;
mod clock;
mod down;
mod lease;
mod observed;
mod pause;
mod post;
mod pulse;
mod reader;
mod record;
mod reply;
mod single;
mod state;
mod writer;

use std::{
    io,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    task::Waker,
    time::Duration,
};

use parking_lot::{Mutex, MutexGuard};
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::Span;

use super::{
    handshake::{Agreement, Era},
    host_requests::Questions,
    introduction::Introduction,
    listeners::Listeners,
    outbox::Splice,
};
use crate::{
    error::{CallLimit, Delivery, DownCause, DownReason, HttpError},
    policy::Limits,
    record::{
        EntryKind,
        recorder::{Party, Recorder},
    },
    redactor::Redactor,
    telemetry::Labels,
    trace::Tracer,
    transport::Sink,
    usage::ServerUsage,
    wire::{self, RequestId},
};

pub(crate) use observed::Observed;
pub(crate) use pause::Pause;
pub(crate) use post::{Exchange, Letter, Post, Subject};
pub(crate) use pulse::Pulse;
pub(crate) use reader::DownOnDrop;
pub(crate) use reply::Reply;
use state::{Pending, Slot, State, delivery_of};

/// A frame of this size or more is not written inline, while others wait for the lock.
const INLINE_BYTES: usize = 16 << 10;

/// How many answers to its questions a server may leave unread before its link goes down.
const UNREAD_ANSWERS: usize = 1024;

pub(crate) struct Link {
    pub(crate) epoch: u64,
    pub(crate) span: Span,
    /// What stands in its spans.
    pub(crate) labels: Arc<Labels>,
    /// What goes over it is counted here.
    pub(super) usage: Arc<ServerUsage>,
    /// Which trace a request is part of, where the host can say.
    tracer: Option<Tracer>,
    pub(crate) redactor: Redactor,
    limits: Limits,
    ids: AtomicU64,
    state: Mutex<State>,
    /// Known after the handshake.
    agreed: OnceLock<(Agreement, Arc<Introduction>)>,
    pub(super) listeners: Listeners,
    pub(super) questions: Questions,
    /// Where messages go, if not into a stream.
    post: Option<Arc<dyn Post>>,
    pub(super) pulse: Pulse,
    frames_wait: Notify,
    alarm_moved: Notify,
    write_failed: CancellationToken,
    down: CancellationToken,
    on_down: OnDown,
}

/// How the messages of a link leave.
pub(crate) enum Way {
    /// As one stream of bytes.
    Stream(Arc<dyn Sink>),
    /// Each as an exchange of its own.
    Exchanges(Arc<dyn Post>),
}

/// Is told that the link is down before those are who wait on it.
pub(crate) type OnDown = Box<dyn Fn(&Arc<DownReason>) + Send + Sync>;

/// What a request ends with: the frame of its answer, or why there is none.
pub(crate) type Outcome = Result<Vec<u8>, Loss>;

/// Why a request has no answer.
#[derive(Debug, Clone)]
pub(crate) enum Loss {
    Down {
        reason: Arc<DownReason>,
        delivery: Delivery,
    },
    /// Its own exchange failed, and the link may live.
    Http {
        error: Arc<HttpError>,
        delivery: Delivery,
    },
    TimedOut {
        limit: CallLimit,
        after: Duration,
        delivery: Delivery,
    },
    TooManyCalls,
    TooManyBytes,
}

impl Loss {
    /// With the delivery of a request that is known not to have left.
    fn corrected(mut self, at_home: bool) -> Self {
        if let Self::Down { delivery, .. }
        | Self::Http { delivery, .. }
        | Self::TimedOut { delivery, .. } = &mut self
            && at_home
        {
            *delivery = Delivery::NotSent;
        }
        self
    }
}

/// The limits of one request; `None` is no limit.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Timing {
    pub(crate) idle: Option<Duration>,
    pub(crate) total: Option<Duration>,
}

/// A request about to be sent.
pub(crate) struct Request<'a> {
    pub(crate) id: RequestId,
    /// Its frame, which is taken out of the vector; the memory of a small one stays there.
    pub(crate) frame: &'a mut Vec<u8>,
    /// What is to be written in the middle of the frame; only where that goes into a stream.
    pub(crate) splice: Option<Splice>,
    pub(crate) subject: Subject<'a>,
    pub(crate) timing: Timing,
    pub(crate) now: Instant,
    /// Whether it takes a permit: calls of the host do, our own requests do not.
    pub(crate) admitted: bool,
    /// Whether the server is told when nobody waits any more; `initialize` must not be cancelled.
    pub(crate) cancellable: bool,
    /// Who is woken by the outcome, where that is known already; a poll of the reply may change it.
    pub(crate) waker: Option<Waker>,
}

impl Link {
    pub(crate) fn new(
        party: Party,
        observed: Observed,
        limits: Limits,
        way: Way,
        on_down: OnDown,
    ) -> Self {
        let (sink, post) = match way {
            Way::Stream(sink) => (Some(sink), None),
            Way::Exchanges(post) => (None, Some(post)),
        };
        let epoch = party.epoch;
        let state = State::new(sink, Recorder::new(Arc::new(party), &limits));
        let Observed { span, labels, usage, tracer, redactor } = observed;
        Self {
            epoch,
            span,
            labels,
            usage,
            tracer,
            redactor,
            limits,
            ids: AtomicU64::new(1),
            state: Mutex::new(state),
            agreed: OnceLock::new(),
            listeners: Listeners::default(),
            questions: Questions::default(),
            post,
            pulse: Pulse::default(),
            frames_wait: Notify::new(),
            alarm_moved: Notify::new(),
            write_failed: CancellationToken::new(),
            down: CancellationToken::new(),
            on_down,
        }
    }

    pub(crate) fn next_id(&self) -> RequestId {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    /// How many requests it has had, or less than that by a few: it grows with use.
    pub(crate) fn requests(&self) -> u64 {
        self.ids.load(Ordering::Relaxed)
    }

    /// Whether frames go out as one stream of bytes, and a text may be spliced into one.
    pub(crate) fn is_stream(&self) -> bool {
        self.post.is_none()
    }

    /// Whether arguments are to be repeated outside of the message.
    pub(crate) fn mirrors(&self) -> bool {
        self.post.is_some() && self.era() == Some(Era::Modern)
    }

    /// Has the server asked again for its tools, because what is known of them is wrong.
    pub(crate) fn relist(&self) {
        if let Some(post) = &self.post {
            post.relist();
        }
    }

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
        let mut state = self.state.lock();
        if state.down.is_none() {
            self.count_sent(None, frame.len());
            state.recorder.frame((Instant::now(), 0, EntryKind::Sent), &[&frame]);
            drop(self.dispatch(state, None, &mut frame, Subject { method, ..Subject::default() }));
        }
    }

    /// Queues our answer to a question of the server. A server that asks on without reading the
    /// answers takes its link down: dropping an answer would leave it waiting.
    pub(crate) fn answer(&self, mut frame: Vec<u8>) {
        let mut state = self.state.lock();
        let queued = self.post.as_ref().map_or(state.outbox.unasked(), |post| post.unasked());
        if state.down.is_none() && queued < UNREAD_ANSWERS {
            self.count_sent(None, frame.len());
            state.recorder.frame((Instant::now(), 0, EntryKind::Sent), &[&frame]);
            return drop(self.dispatch(state, None, &mut frame, Subject::default()));
        }
        drop(state);
        self.go_down(DownReason::new(DownCause::NotReading { queued }));
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
    fn enqueue(
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

    /// Hands the answers of one read to those who wait for them, and forgets the rest; returns how
    /// many nobody waited for.
    pub(crate) fn complete(&self, answers: &mut Vec<(RequestId, Vec<u8>)>) -> usize {
        let mut wakers = Vec::with_capacity(answers.len());
        let (mut stray, mut bytes, count) = (0, 0, answers.len());
        let now = Instant::now();
        let mut state = self.state.lock();
        for (id, frame) in answers.drain(..) {
            bytes += frame.len();
            state.recorder.frame((now, id, EntryKind::Received), &[&frame]);
            match state.settle_at(id, Ok(frame), Some(now)) {
                Some(waker) => wakers.extend(waker),
                None => stray += 1,
            }
        }
        drop(state);
        self.pulse.beat();
        self.count_received(count, bytes);
        wakers.into_iter().for_each(Waker::wake);
        stray
    }

    /// Progress of a request: its idle limit starts afresh, its total limit does not.
    pub(crate) fn progress(&self, id: RequestId) {
        self.pulse.beat();
        if let Some(pending) = self.state.lock().pending.get_mut(&id).filter(|p| p.is_waiting()) {
            // The deadline only moves away, so the alarm may stay where it is.
            pending.extend(Instant::now());
        }
    }

    /// Gives a request up; exactly one of its answer, its deadline, the link's end and this settles
    /// it, and only the one that does may tell the server.
    fn abandon(&self, id: RequestId, at_home: bool, reason: &'static str) -> Delivery {
        let mut state = self.state.lock();
        match state.take(id) {
            Some(Pending { slot: Slot::Waiting(_), cancellable, .. }) => {
                let delivery = if at_home { Delivery::NotSent } else { state.withdraw(id) };
                self.tell_cancelled(state, id, (delivery, cancellable), reason);
                delivery
            }
            Some(Pending { slot: Slot::Settled(outcome, _), .. }) => delivery_of(&outcome),
            None => Delivery::MaybeSent,
        }
    }

    /// Tells the server, without waiting for it, that nobody waits for a request that it may have.
    fn tell_cancelled(
        &self,
        mut state: MutexGuard<'_, State>,
        id: RequestId,
        (delivery, cancellable): (Delivery, bool),
        reason: &'static str,
    ) {
        let told = cancellable && delivery == Delivery::MaybeSent;
        let Some(post) = &self.post else {
            if told {
                let mut notice = wire::cancelled(id, reason);
                state.recorder.frame((Instant::now(), 0, EntryKind::Sent), &[&notice]);
                self.enqueue(state, None, &mut notice);
            }
            return;
        };
        // What there is to be sent is for the other side to say.
        state.recorder.note(EntryKind::Status, format!("#{id}: given up, {reason}").as_bytes());
        drop(state);
        if told {
            Arc::clone(post).recall(wire::cancelled(id, reason));
        }
    }

    /// Resolves once writing has failed.
    pub(crate) async fn write_failed(&self) -> Arc<io::Error> {
        self.write_failed.cancelled().await;
        let error = self.state.lock().write_error.clone();
        error.unwrap_or_else(|| Arc::new(io::ErrorKind::BrokenPipe.into()))
    }

    /// How many requests of the host are in flight, and their bytes.
    pub(crate) fn load(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.calls, state.bytes)
    }

    /// How many requests wait for an answer, or waited when the link went down.
    pub(crate) fn pending(&self) -> usize {
        let state = self.state.lock();
        state.pending.values().filter(|pending| pending.is_waiting()).count() + state.lost
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
