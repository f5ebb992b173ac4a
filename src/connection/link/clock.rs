//! The clock task of a link.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Link, Loss};
use crate::{error::CallLimit, wire::RequestId};

impl Link {
    /// Gives up the requests whose time has run out, until the link is down.
    ///
    /// One alarm serves all requests. It is only ever moved to an earlier time by a new request, so
    /// in steady traffic it rings about once a timeout, not once a call.
    pub(crate) async fn clock(self: Arc<Self>) {
        self.down.run_until_cancelled(self.ring_alarms()).await;
    }

    async fn ring_alarms(&self) {
        loop {
            let alarm = self.state.lock().alarm;
            match alarm {
                None => self.alarm_moved.notified().await,
                Some(at) => tokio::select! {
                    biased;
                    () = tokio::time::sleep_until(at) => self.expire(),
                    () = self.alarm_moved.notified() => {}
                },
            }
        }
    }

    fn expire(&self) {
        let now = Instant::now();
        let state = self.state.lock();
        let late = state.pending.iter().filter(|(_, pending)| state.is_late(pending, now));
        let late: Vec<RequestId> = late.map(|(id, _)| *id).collect();
        drop(state);
        for id in late {
            self.time_out(id, now);
        }
        let mut state = self.state.lock();
        state.alarm = state.pending.values().filter_map(|p| state.deadline_of(p)).min();
    }

    fn time_out(&self, id: RequestId, now: Instant) {
        let mut state = self.state.lock();
        // Progress, or the answer, may have come since it was found late.
        let found = state.pending.get(&id).filter(|pending| state.is_late(pending, now));
        let Some(pending) = found else { return };
        let total = pending.total_at.is_some_and(|at| at <= now);
        let (limit, after) = if total {
            (CallLimit::Total, pending.timing.total)
        } else {
            (CallLimit::Idle, pending.timing.idle)
        };
        let own = pending.own;
        let (after, cancellable) = (after.unwrap_or_default(), pending.cancellable);
        let delivery = state.withdraw(id);
        let waker = state.settle(id, Err(Loss::TimedOut { limit, after, delivery })).flatten();
        state.unanswered += u32::from(!own);
        self.tell_cancelled(state, id, (delivery, cancellable), "timed out");
        self.pulse.time_out();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
