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
mod request;
mod send;
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
};
use crate::{
    error::{Delivery, DownReason},
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
pub(crate) use pause::{Hold, Pause};
pub(crate) use post::{Exchange, Letter, Post, Subject};
pub(crate) use pulse::Pulse;
pub(crate) use reader::DownOnDrop;
pub(crate) use reply::Reply;
pub(crate) use request::{Loss, Outcome, Request, Timing};
use state::{Pending, Slot, State, delivery_of};

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
