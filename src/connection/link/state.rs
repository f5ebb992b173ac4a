//! Liveness, pending requests, permits and the way out of a link, as one value.

use std::{io, sync::Arc, task::Waker};

use rustc_hash::FxHashMap;
use tokio::time::Instant;

use super::{Loss, Outcome, Timing};
use crate::{
    connection::outbox::Outbox,
    error::{Delivery, DownReason},
    policy::Limits,
    record::{EntryKind, recorder::Recorder},
    transport::Sink,
    wire::RequestId,
};

pub(super) struct State {
    /// Why the link is down; once set, nothing is inserted or queued any more.
    pub(super) down: Option<Arc<DownReason>>,
    pub(super) pending: FxHashMap<RequestId, Pending>,
    /// How many of these are our own requests; a subscription may stay as long as the link.
    pub(super) own: usize,
    pub(super) calls: usize,
    pub(super) bytes: usize,
    pub(super) outbox: Outbox,
    /// Whether the writer task has been woken for what the outbox holds.
    pub(super) writer_awake: bool,
    /// Whether the writer has frames in its hands, of which it is not known whether they left.
    pub(super) writing: bool,
    pub(super) sink: Option<Arc<dyn Sink>>,
    pub(super) write_error: Option<Arc<io::Error>>,
    /// How many requests failed when the link went down.
    pub(super) lost: usize,
    /// How many have it kept although no call is in flight.
    pub(super) held: usize,
    /// How many questions of the server are with the host: as long as any is, nothing is idle.
    pub(super) paused: usize,
    /// How many calls in a row have timed out, with no answer to another in between.
    pub(super) unanswered: u32,
    /// When the clock task looks next; no deadline lies before it.
    pub(super) alarm: Option<Instant>,
    /// What went over the link.
    pub(super) recorder: Recorder,
}

pub(super) struct Pending {
    pub(super) slot: Slot,
    pub(super) timing: Timing,
    /// When it is given up, by whichever limit comes first; none once it is settled.
    pub(super) deadline: Option<Instant>,
    pub(super) total_at: Option<Instant>,
    /// Its share of the byte budget; none for our own requests, which are not admitted by count.
    pub(super) weight: Option<usize>,
    pub(super) cancellable: bool,
    pub(super) own: bool,
    /// Whether the server said that it did not take it.
    pub(super) refused: bool,
}

/// Where a request meets its outcome. A slot in the table, and not a channel: it needs no memory and
/// no atomics of its own, and whether it is settled is decided under the same lock as all else.
pub(super) enum Slot {
    Waiting(Option<Waker>),
    /// And when, where that was looked up.
    Settled(Outcome, Option<Instant>),
}

pub(super) fn delivery_of(outcome: &Outcome) -> Delivery {
    match outcome {
        Ok(_) => Delivery::Answered,
        Err(
            Loss::Down { delivery, .. }
            | Loss::Http { delivery, .. }
            | Loss::TimedOut { delivery, .. },
        ) => *delivery,
        Err(Loss::TooManyCalls | Loss::TooManyBytes) => Delivery::NotSent,
    }
}

impl State {
    pub(super) fn new(sink: Option<Arc<dyn Sink>>, recorder: Recorder) -> Self {
        Self {
            down: None,
            pending: FxHashMap::default(),
            own: 0,
            calls: 0,
            bytes: 0,
            outbox: Outbox::default(),
            writer_awake: false,
            writing: false,
            sink,
            write_error: None,
            lost: 0,
            held: 0,
            paused: 0,
            unanswered: 0,
            alarm: None,
            recorder,
        }
    }

    pub(super) fn admit(&mut self, weight: Option<usize>, limits: &Limits) -> Result<(), Loss> {
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

    /// Gives a request that waits its outcome, and back whom to wake.
    pub(super) fn settle(&mut self, id: RequestId, outcome: Outcome) -> Option<Option<Waker>> {
        self.settle_at(id, outcome, None)
    }

    pub(super) fn settle_at(
        &mut self,
        id: RequestId,
        outcome: Outcome,
        at: Option<Instant>,
    ) -> Option<Option<Waker>> {
        let pending = self.pending.get_mut(&id)?;
        let Slot::Waiting(waker) = &mut pending.slot else { return None };
        let waker = waker.take();
        if outcome.is_ok() && !pending.own {
            self.unanswered = 0;
        }
        pending.slot = Slot::Settled(outcome, at);
        pending.deadline = None;
        let weight = pending.weight.take();
        self.release(weight);
        Some(waker)
    }

    /// Takes a request out of the table, with its permit if it still has one.
    pub(super) fn take(&mut self, id: RequestId) -> Option<Pending> {
        let mut pending = self.pending.remove(&id)?;
        self.own -= usize::from(pending.own);
        self.release(pending.weight.take());
        Some(pending)
    }

    /// Notes that the exchange of a request failed, which is nowhere else on the record.
    pub(super) fn note_loss(&mut self, id: RequestId, loss: &Loss) {
        if let Loss::Http { error, .. } = loss {
            self.recorder.note(EntryKind::Status, format!("#{id}: {error}").as_bytes());
        }
    }

    /// Takes a request back from the way out, and says whether that was in time.
    pub(super) fn withdraw(&mut self, id: RequestId) -> Delivery {
        if self.outbox.withdraw(id) { Delivery::NotSent } else { Delivery::MaybeSent }
    }

    pub(super) fn release(&mut self, weight: Option<usize>) {
        if let Some(weight) = weight {
            self.calls -= 1;
            self.bytes -= weight;
        }
    }

    /// Sees to it that the alarm rings no later than this; true if it had to be moved.
    pub(super) fn set_alarm(&mut self, deadline: Option<Instant>) -> bool {
        let Some(deadline) = deadline else { return false };
        let early_enough = self.alarm.is_some_and(|at| at <= deadline);
        if !early_enough {
            self.alarm = Some(deadline);
        }
        !early_enough
    }
}

impl State {
    /// Whether calls are in flight, or somebody listens.
    pub(super) fn is_in_use(&self) -> bool {
        self.calls > 0 || self.held > 0 || self.paused > 0
    }

    /// Whether the time of a request has run out.
    pub(super) fn is_late(&self, pending: &Pending, now: Instant) -> bool {
        self.deadline_of(pending).is_some_and(|at| at <= now)
    }

    /// When a request is given up, as things are.
    pub(super) fn deadline_of(&self, pending: &Pending) -> Option<Instant> {
        if self.paused == 0 {
            return pending.deadline;
        }
        pending.total_at.filter(|_| pending.deadline.is_some())
    }
}

impl Pending {
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.slot, Slot::Waiting(_))
    }

    pub(super) fn extend(&mut self, now: Instant) {
        let idle_at = self.timing.idle.and_then(|limit| now.checked_add(limit));
        self.deadline = [idle_at, self.total_at].into_iter().flatten().min();
    }
}
