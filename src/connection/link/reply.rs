//! The answer to a request, in time or not at all.

use std::{
    collections::hash_map::Entry,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use super::{Link, Loss, Outcome, Slot};
use crate::{
    error::{Delivery, DownCause, DownReason},
    wire::RequestId,
};

/// The answer to a request, in time or not at all.
///
/// Dropping it gives the request up: it is withdrawn if it has not left, otherwise the server is
/// told once, without waiting for it.
#[derive(Debug)]
pub(crate) struct Reply {
    link: Arc<Link>,
    id: RequestId,
    taken: bool,
}

impl Reply {
    pub(super) fn new(link: Arc<Link>, id: RequestId) -> Self {
        Self { link, id, taken: false }
    }

    pub(crate) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// Gives the request up now.
    pub(crate) fn cancel(mut self) -> Delivery {
        self.taken = true;
        self.link.abandon(self.id, "cancelled by the host")
    }
}

impl Future for Reply {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let outcome = match self.link.state.lock().pending.entry(self.id) {
            Entry::Occupied(mut entry) => match &mut entry.get_mut().slot {
                Slot::Waiting(waker) => {
                    if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                        *waker = Some(cx.waker().clone());
                    }
                    return Poll::Pending;
                }
                Slot::Settled(_) => Some(entry.remove().slot),
            },
            Entry::Vacant(_) => None,
        };
        self.taken = true;
        Poll::Ready(match outcome {
            Some(Slot::Settled(outcome)) => outcome,
            // Nobody but this takes it out of the table.
            Some(Slot::Waiting(_)) | None => {
                let reason = Arc::new(DownReason::new(DownCause::Internal));
                Err(Loss::Down { reason, delivery: Delivery::MaybeSent })
            }
        })
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if !self.taken {
            self.link.abandon(self.id, "cancelled by the host");
        }
    }
}
