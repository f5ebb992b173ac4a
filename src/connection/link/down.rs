//! What happens to all that wait when the link goes down.

use std::{sync::Arc, task::Waker};

use parking_lot::MutexGuard;

use super::{Link, Loss, State};
use crate::{
    error::{Delivery, DownCause, DownReason},
    record::EntryKind,
    wire::RequestId,
};

impl Link {
    /// Ends the link: from here on nothing is accepted, and every pending request fails at once,
    /// each with its own delivery. Only the first reason counts.
    pub(crate) fn go_down(&self, reason: DownReason) {
        let state = self.state.lock();
        if state.down.is_none() {
            self.end(state, reason);
        }
    }

    pub(super) fn end(&self, mut state: MutexGuard<'_, State>, mut reason: DownReason) {
        state.recorder.note(EntryKind::Status, reason.cause.to_string().as_bytes());
        reason.record = state.recorder.record();
        state.down = Some(Arc::new(reason));
        state.sink = None;
        // The writer, where it is in the middle of a system call, knows better what has left.
        let writing = state.writing;
        drop(state);
        if !writing {
            self.fail_pending();
        }
    }

    pub(super) fn fail_pending(&self) {
        let Some(reason) = self.state.lock().down.clone() else { return };
        // Nothing is inserted any more, so this can be told before the callers are.
        (self.on_down)(&reason);
        let mut state = self.state.lock();
        let outbox = std::mem::take(&mut state.outbox);
        let waiting = state.pending.iter().filter(|(_, pending)| pending.is_waiting());
        let waiting: Vec<RequestId> = waiting.map(|(id, _)| *id).collect();
        state.lost = waiting.len();
        let mut wakers = Vec::with_capacity(waiting.len());
        for id in waiting {
            let unsent = outbox.holds(id) || state.pending.get(&id).is_some_and(|p| p.refused);
            let delivery = if unsent { Delivery::NotSent } else { Delivery::MaybeSent };
            let loss = Loss::Down { reason: Arc::clone(&reason), delivery };
            wakers.extend(state.settle(id, Err(loss)).flatten());
        }
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        self.down.cancel();
    }

    /// Why the link is down, if it is.
    pub(crate) fn down_reason(&self) -> Option<Arc<DownReason>> {
        self.state.lock().down.clone()
    }

    /// Resolves once the link is down and its pending requests have failed.
    pub(crate) async fn down(&self) -> Arc<DownReason> {
        self.down.cancelled().await;
        let state = self.state.lock();
        state.down.clone().unwrap_or_else(|| Arc::new(DownReason::new(DownCause::Internal)))
    }
}
