//! What becomes of one request alone, while its link goes on.

use tokio::time::Instant;

use super::{Link, Loss, Outcome, Pending, Slot, delivery_of};
use crate::{error::Delivery, record::EntryKind, wire::RequestId};

impl Link {
    /// Fails one request alone, if it still waits.
    pub(crate) fn fail(&self, id: RequestId, loss: Loss) {
        let mut state = self.state.lock();
        state.note_loss(id, &loss);
        let waker = state.settle(id, Err(loss)).flatten();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Takes a request out of the table that its own exchange has settled. If something else was
    /// first, that counts, unless the exchange knows better: that nothing has left.
    pub(super) fn conclude(&self, id: RequestId, outcome: Outcome) -> Outcome {
        if let Ok(frame) = &outcome {
            self.count_received(1, frame.len());
        }
        let unsent = delivery_of(&outcome) == Delivery::NotSent;
        let mut state = self.state.lock();
        match &outcome {
            Ok(frame) => state.recorder.frame((Instant::now(), id, EntryKind::Received), &[frame]),
            Err(loss) => state.note_loss(id, loss),
        }
        let taken = state.take(id);
        if outcome.is_ok() && taken.as_ref().is_some_and(|pending| !pending.own) {
            state.unanswered = 0;
        }
        match taken {
            Some(Pending { slot: Slot::Settled(..), .. }) if unsent => outcome,
            Some(Pending { slot: Slot::Settled(earlier, _), .. }) => earlier,
            Some(Pending { slot: Slot::Waiting(_), .. }) | None => outcome,
        }
    }

    /// Whether somebody waits for the answer to this request.
    pub(crate) fn waits_for(&self, id: RequestId) -> bool {
        self.state.lock().pending.get(&id).is_some_and(Pending::is_waiting)
    }

    /// Notes that the server said of a request that it did not take it, for when the link goes down.
    pub(crate) fn refused(&self, id: RequestId) {
        if let Some(pending) = self.state.lock().pending.get_mut(&id) {
            pending.refused = true;
        }
    }
}
