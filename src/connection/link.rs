//! One live incarnation of a connection: pending requests by id, permits, the way out, and the
//! down signal.
//!
//! All of it is one value under one lock, which is never held across an await: whether the link
//! lives, who waits, and what has not left yet can therefore not disagree. A request is inserted and
//! queued in one step that fails on a dead link, and going down takes all that wait in one step, so
//! no request can slip between the two and wait for ever.

mod clock;
mod reply;
mod writer;

use std::{
    io,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::{Mutex, MutexGuard};
use rustc_hash::FxHashMap;
use tokio::{
    sync::{Notify, oneshot},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{handshake::Era, outbox::Outbox};
use crate::{
    error::{CallLimit, Delivery, DownCause, DownReason},
    policy::Limits,
    transport::Sink,
    wire::{self, Meta, RequestId},
};

pub(crate) use reply::Reply;

/// A frame of this size or more is not written inline, while others wait for the lock.
const INLINE_BYTES: usize = 16 << 10;

/// How many answers to its questions a server may leave unread before its link goes down.
const UNREAD_ANSWERS: usize = 1024;

pub(crate) struct Link {
    pub(crate) epoch: u64,
    limits: Limits,
    ids: AtomicU64,
    state: Mutex<State>,
    /// Known after the handshake.
    era: OnceLock<Era>,
    frames_wait: Notify,
    alarm_moved: Notify,
    write_failed: CancellationToken,
    down: CancellationToken,
    on_down: OnDown,
}

/// Is told that the link is down before those are who wait on it.
pub(crate) type OnDown = Box<dyn Fn(&Arc<DownReason>) + Send + Sync>;

struct State {
    /// Why the link is down; once set, nothing is inserted or queued any more.
    down: Option<Arc<DownReason>>,
    pending: FxHashMap<RequestId, Pending>,
    calls: usize,
    bytes: usize,
    outbox: Outbox,
    /// Whether the writer task has been woken for what the outbox holds.
    writer_awake: bool,
    /// Whether the writer has frames in its hands, of which it is not known whether they left.
    writing: bool,
    sink: Option<Arc<dyn Sink>>,
    write_error: Option<Arc<io::Error>>,
    /// How many requests failed when the link went down.
    lost: usize,
    /// When the clock task looks next; no deadline lies before it.
    alarm: Option<Instant>,
}

struct Pending {
    done: oneshot::Sender<Outcome>,
    timing: Timing,
    /// When it is given up, by whichever limit comes first.
    deadline: Option<Instant>,
    total_at: Option<Instant>,
    /// Its share of the byte budget; none for our own requests, which are not admitted by count.
    weight: Option<usize>,
    cancellable: bool,
}

/// What a request ends with: the frame of its answer, or why there is none.
pub(crate) type Outcome = Result<Vec<u8>, Loss>;

/// Why a request has no answer.
#[derive(Debug, Clone)]
pub(crate) enum Loss {
    Down { reason: Arc<DownReason>, delivery: Delivery },
    TimedOut { limit: CallLimit, after: Duration, delivery: Delivery },
    TooManyCalls,
    TooManyBytes,
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
    pub(crate) timing: Timing,
    /// Whether it takes a permit: calls of the host do, our own requests do not.
    pub(crate) admitted: bool,
    /// Whether the server is told when nobody waits any more; `initialize` must not be cancelled.
    pub(crate) cancellable: bool,
}

impl Link {
    pub(crate) fn new(epoch: u64, limits: Limits, sink: Arc<dyn Sink>, on_down: OnDown) -> Self {
        let state = State {
            down: None,
            pending: FxHashMap::default(),
            calls: 0,
            bytes: 0,
            outbox: Outbox::default(),
            writer_awake: false,
            writing: false,
            sink: Some(sink),
            write_error: None,
            lost: 0,
            alarm: None,
        };
        Self {
            epoch,
            limits,
            ids: AtomicU64::new(1),
            state: Mutex::new(state),
            era: OnceLock::new(),
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

    /// The `_meta` of a request on this link.
    pub(crate) fn meta(&self, progress: bool) -> Meta<'_> {
        Meta { members: self.era().map_or("", Era::meta), progress }
    }

    /// The era of the server, once the handshake has found it out.
    pub(crate) fn era(&self) -> Option<Era> {
        self.era.get().copied()
    }

    /// Sets what every request carries from now on; only the handshake does, once.
    pub(crate) fn set_era(&self, era: Era) {
        self.era.get_or_init(|| era);
    }

    /// Inserts a request and queues its frame, in one step; on a dead or full link it does neither.
    pub(crate) fn send(self: &Arc<Self>, request: Request<'_>) -> Result<Reply, Loss> {
        let now = Instant::now();
        let (done, receiver) = oneshot::channel();
        let weight = request.admitted.then_some(request.frame.len());
        let mut state = self.state.lock();
        state.admit(weight, &self.limits)?;
        let total_at = request.timing.total.map(|limit| now + limit);
        let mut pending = Pending {
            done,
            timing: request.timing,
            deadline: None,
            total_at,
            weight,
            cancellable: request.cancellable,
        };
        pending.extend(now);
        let alarm_moved = state.set_alarm(pending.deadline);
        state.pending.insert(request.id, pending);
        self.enqueue(state, Some(request.id), request.frame);
        if alarm_moved {
            self.alarm_moved.notify_one();
        }
        Ok(Reply::new(Arc::clone(self), request.id, receiver))
    }

    /// Queues a notification of ours.
    pub(crate) fn notify(&self, mut frame: Vec<u8>) {
        let state = self.state.lock();
        if state.down.is_none() {
            self.enqueue(state, None, &mut frame);
        }
    }

    /// Queues our answer to a question of the server. A server that asks on without reading the
    /// answers takes its link down: dropping an answer would leave it waiting.
    pub(crate) fn answer(&self, mut frame: Vec<u8>) {
        let state = self.state.lock();
        let queued = state.outbox.unasked();
        if state.down.is_none() && queued < UNREAD_ANSWERS {
            return self.enqueue(state, None, &mut frame);
        }
        drop(state);
        self.go_down(DownReason::new(DownCause::NotReading { queued }));
    }

    /// Queues a frame and sees to it that it is written: here and now if nothing else is going on,
    /// so that a lone call costs no task switch; otherwise by the writer task, which takes all that
    /// has come by then in one system call.
    fn enqueue(
        &self,
        mut state: MutexGuard<'_, State>,
        request: Option<RequestId>,
        frame: &mut Vec<u8>,
    ) {
        let small = frame.len() < INLINE_BYTES;
        state.outbox.push(request, frame);
        if state.writer_awake {
            return;
        }
        if small && state.pending.len() <= 1 && self.write_inline(&mut state) {
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
        let mut found = Vec::with_capacity(answers.len());
        let total = answers.len();
        {
            let mut state = self.state.lock();
            for (id, frame) in answers.drain(..) {
                if let Some(pending) = state.take(id) {
                    found.push((pending.done, frame));
                }
            }
        }
        let stray = total - found.len();
        for (done, frame) in found {
            deliver(done, Ok(frame));
        }
        stray
    }

    /// Progress of a request: its idle limit starts afresh, its total limit does not.
    pub(crate) fn progress(&self, id: RequestId) {
        if let Some(pending) = self.state.lock().pending.get_mut(&id) {
            // The deadline only moves away, so the alarm may stay where it is.
            pending.extend(Instant::now());
        }
    }

    /// Gives a request up; exactly one of its answer, its deadline, the link's end and this takes
    /// it out of the pending table, and only the one that does may tell the server.
    fn abandon(&self, id: RequestId, reason: &'static str) -> Delivery {
        let mut state = self.state.lock();
        let Some(pending) = state.take(id) else { return Delivery::MaybeSent };
        self.give_up(state, id, pending.cancellable, reason)
    }

    fn give_up(
        &self,
        mut state: MutexGuard<'_, State>,
        id: RequestId,
        cancellable: bool,
        reason: &'static str,
    ) -> Delivery {
        if state.outbox.withdraw(id) {
            return Delivery::NotSent;
        }
        if cancellable {
            self.enqueue(state, None, &mut wire::cancelled(id, reason));
        }
        Delivery::MaybeSent
    }

    /// Ends the link: from here on nothing is accepted, and every pending request fails at once,
    /// each with its own delivery. Only the first reason counts.
    pub(crate) fn go_down(&self, reason: DownReason) {
        let mut state = self.state.lock();
        if state.down.is_some() {
            return;
        }
        state.down = Some(Arc::new(reason));
        state.sink = None;
        // The writer, where it is in the middle of a system call, knows better what has left.
        let writing = state.writing;
        drop(state);
        if !writing {
            self.fail_pending();
        }
    }

    fn fail_pending(&self) {
        let mut state = self.state.lock();
        let Some(reason) = state.down.clone() else { return };
        let pending = std::mem::take(&mut state.pending);
        let outbox = std::mem::take(&mut state.outbox);
        (state.calls, state.bytes, state.lost) = (0, 0, pending.len());
        drop(state);
        (self.on_down)(&reason);
        for (id, Pending { done, .. }) in pending {
            let delivery = if outbox.holds(id) { Delivery::NotSent } else { Delivery::MaybeSent };
            deliver(done, Err(Loss::Down { reason: Arc::clone(&reason), delivery }));
        }
        self.down.cancel();
    }

    /// Resolves once the link is down and its pending requests have failed.
    pub(crate) async fn down(&self) -> Arc<DownReason> {
        self.down.cancelled().await;
        let state = self.state.lock();
        state.down.clone().unwrap_or_else(|| Arc::new(DownReason::new(DownCause::Internal)))
    }

    /// Resolves once writing has failed.
    pub(crate) async fn write_failed(&self) -> Arc<io::Error> {
        self.write_failed.cancelled().await;
        let error = self.state.lock().write_error.clone();
        error.unwrap_or_else(|| Arc::new(io::ErrorKind::BrokenPipe.into()))
    }

    /// How many requests wait for an answer, or waited when the link went down.
    pub(crate) fn pending(&self) -> usize {
        let state = self.state.lock();
        state.pending.len() + state.lost
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

/// Completes a request. A receiver that is gone has been abandoned in the same moment; its drop
/// found nothing to give up, and nobody misses the outcome.
fn deliver(done: oneshot::Sender<Outcome>, outcome: Outcome) {
    drop(done.send(outcome));
}

impl State {
    fn admit(&mut self, weight: Option<usize>, limits: &Limits) -> Result<(), Loss> {
        if let Some(reason) = &self.down {
            let reason = Arc::clone(reason);
            return Err(Loss::Down { reason, delivery: Delivery::NotSent });
        }
        let Some(weight) = weight else { return Ok(()) };
        if self.calls >= limits.max_calls {
            return Err(Loss::TooManyCalls);
        }
        if self.bytes + weight > limits.max_call_bytes {
            return Err(Loss::TooManyBytes);
        }
        self.calls += 1;
        self.bytes += weight;
        Ok(())
    }

    /// Takes a request out of the table, with its permit.
    fn take(&mut self, id: RequestId) -> Option<Pending> {
        let pending = self.pending.remove(&id)?;
        if let Some(weight) = pending.weight {
            self.calls -= 1;
            self.bytes -= weight;
        }
        Some(pending)
    }

    /// Sees to it that the alarm rings no later than this; true if it had to be moved.
    fn set_alarm(&mut self, deadline: Option<Instant>) -> bool {
        let Some(deadline) = deadline else { return false };
        let early_enough = self.alarm.is_some_and(|at| at <= deadline);
        if !early_enough {
            self.alarm = Some(deadline);
        }
        !early_enough
    }
}

impl Pending {
    fn is_late(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|at| at <= now)
    }

    fn extend(&mut self, now: Instant) {
        let idle_at = self.timing.idle.map(|limit| now + limit);
        self.deadline = [idle_at, self.total_at].into_iter().flatten().min();
    }
}
