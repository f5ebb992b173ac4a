//! The answer to a request, in time or not at all.

use std::{
    collections::hash_map::Entry,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use tokio::time::Instant;

use super::{Exchange, Link, Loss, Outcome, Slot};
use crate::{
    error::{Delivery, DownCause, DownReason},
    wire::RequestId,
};

/// The answer to a request, in time or not at all.
///
/// Dropping it gives the request up: it is withdrawn if it has not left, otherwise the server is
/// told once, without waiting for it.
pub(crate) struct Reply {
    link: Arc<Link>,
    id: RequestId,
    taken: bool,
    /// When its answer came, once it is taken.
    came: Option<Instant>,
    /// What has to be driven for the answer to come, where that is not done elsewhere.
    exchange: Option<Exchange>,
}

impl Reply {
    pub(super) fn new(link: Arc<Link>, id: RequestId, exchange: Option<Exchange>) -> Self {
        Self { link, id, taken: false, came: None, exchange }
    }

    /// Whether nothing happens until it is polled.
    pub(crate) fn is_driven(&self) -> bool {
        self.exchange.is_some()
    }

    pub(crate) fn id(&self) -> RequestId {
        self.id
    }

    /// When the answer that was taken came; now, where nobody looked.
    pub(crate) fn came(&self) -> Instant {
        self.came.unwrap_or_else(Instant::now)
    }

    pub(crate) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// Gives the request up now.
    pub(crate) fn cancel(mut self) -> Delivery {
        self.give_up()
    }

    fn give_up(&mut self) -> Delivery {
        self.taken = true;
        self.link.abandon(self.id, self.is_at_home(), "cancelled by the host")
    }

    /// Whether nothing of the request has left, as only its exchange knows.
    fn is_at_home(&self) -> bool {
        self.exchange.as_ref().is_some_and(Exchange::is_at_home)
    }
}

impl Future for Reply {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        if let Some(exchange) = &mut self.exchange
            && let Poll::Ready(outcome) = exchange.poll(cx)
        {
            self.exchange = None;
            if let Some(outcome) = outcome {
                self.taken = true;
                return Poll::Ready(self.link.conclude(self.id, outcome));
            }
        }
        let mut waker = None;
        loop {
            match self.look(cx, &mut waker) {
                Look::Settled(outcome, came) => {
                    (self.taken, self.came) = (true, came);
                    let at_home = self.is_at_home();
                    return Poll::Ready(outcome.map_err(|loss| loss.corrected(at_home)));
                }
                Look::Waits => return Poll::Pending,
                // Cloned out here, for a waker is foreign code, and the lock is not for that.
                Look::NeedsWaker => waker = Some(cx.waker().clone()),
            }
        }
    }
}

/// What a look at the table found.
enum Look {
    Settled(Outcome, Option<Instant>),
    Waits,
    NeedsWaker,
}

impl Reply {
    /// Looks once, and puts a waker in where there is a better one.
    #[inline]
    fn look(&self, cx: &Context<'_>, new: &mut Option<Waker>) -> Look {
        let mut state = self.link.state.lock();
        let Entry::Occupied(mut entry) = state.pending.entry(self.id) else {
            // Nobody but this takes it out of the table.
            let reason = Arc::new(DownReason::new(DownCause::Internal));
            let loss = Loss::Down { reason, delivery: Delivery::MaybeSent };
            return Look::Settled(Err(loss), None);
        };
        if let Slot::Waiting(waker) = &mut entry.get_mut().slot {
            if waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                return Look::Waits;
            }
            if new.is_none() {
                return Look::NeedsWaker;
            }
            // The old one stays in `new`, to be dropped by the caller without the lock.
            std::mem::swap(waker, new);
            return Look::Waits;
        }
        let pending = entry.remove();
        state.own -= usize::from(pending.own);
        match pending.slot {
            Slot::Settled(outcome, came) => Look::Settled(outcome, came),
            Slot::Waiting(_) => Look::NeedsWaker,
        }
    }
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reply").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if !self.taken {
            self.give_up();
        }
    }
}
