//! The answer to a request, in time or not at all.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::sync::oneshot;

use super::{Link, Loss, Outcome};
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
    outcome: Option<oneshot::Receiver<Outcome>>,
}

impl Reply {
    pub(super) fn new(link: Arc<Link>, id: RequestId, outcome: oneshot::Receiver<Outcome>) -> Self {
        Self { link, id, outcome: Some(outcome) }
    }

    pub(crate) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// Gives the request up now.
    pub(crate) fn cancel(mut self) -> Delivery {
        self.outcome = None;
        self.link.abandon(self.id, "cancelled by the host")
    }
}

impl Future for Reply {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let Some(receiver) = self.outcome.as_mut() else { return Poll::Pending };
        let outcome = std::task::ready!(Pin::new(receiver).poll(cx));
        self.outcome = None;
        Poll::Ready(outcome.unwrap_or_else(|_| {
            let reason = Arc::new(DownReason::new(DownCause::Internal));
            Err(Loss::Down { reason, delivery: Delivery::MaybeSent })
        }))
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if self.outcome.is_some() {
            self.link.abandon(self.id, "cancelled by the host");
        }
    }
}
