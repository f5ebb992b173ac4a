//! One request: what it takes to send it, and what it ends with.

use std::{sync::Arc, task::Waker, time::Duration};

use tokio::time::Instant;

use super::Subject;
use crate::{
    connection::outbox::Splice,
    error::{CallLimit, Delivery, DownReason, HttpError},
    wire::RequestId,
};

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
    pub(super) fn corrected(mut self, at_home: bool) -> Self {
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
