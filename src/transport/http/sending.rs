//! A request on a connection: it is answered, or left behind by it.
//!
//! A connection that ends tells whoever waits for it. A request that comes in that very moment may be
//! put into its queue after the last look into that, and then nobody would ever say so (nothing takes
//! it out as long as there is a sender). So whoever waits for an answer waits for the end as well.

use std::{
    error::Error,
    future::poll_fn,
    io,
    pin::pin,
    sync::{Arc, atomic::Ordering},
    task::Poll,
    time::Duration,
};

use http::{Request, Response};
use hyper::{body::Incoming, client::conn::TrySendError};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::{
    body::Message,
    connect::{Exclusive, Multiplexed, fault},
};

/// How long a connection may take to be done with an exchange whose answer has been read.
pub(super) const SETTLING: Duration = Duration::from_millis(100);

/// Why a request got no answer, and whether anything of it has left.
pub(crate) struct Unanswered {
    pub(crate) error: Arc<dyn Error + Send + Sync>,
    pub(crate) written: bool,
}

impl Unanswered {
    fn left_behind() -> Self {
        Self { error: fault(io::Error::from(io::ErrorKind::ConnectionAborted)), written: false }
    }
}

impl From<TrySendError<Request<Message>>> for Unanswered {
    fn from(mut error: TrySendError<Request<Message>>) -> Self {
        let written = error.take_message().is_none();
        Self { error: fault(error.into_error()), written }
    }
}

/// The end of a connection: whether it is over, and by what.
///
/// Whoever waits leaves nothing behind. (A oneshot channel keeps the waker of whoever looked last, and
/// with it the memory of a task that may be long over.)
#[derive(Clone)]
pub(crate) struct Ended(Arc<End>);

/// Tells that a connection is over when it is dropped.
pub(super) struct Ending(Ended);

#[derive(Default)]
struct End {
    over: CancellationToken,
    cause: Mutex<Option<hyper::Error>>,
}

impl Ending {
    pub(super) fn new() -> Self {
        Self(Ended(Arc::default()))
    }

    pub(super) fn ended(&self) -> Ended {
        self.0.clone()
    }

    pub(super) fn because(self, error: hyper::Error) {
        *self.0.0.cause.lock() = Some(error);
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.0.over.cancel();
    }
}

impl Ended {
    /// Resolves once nothing of the connection is left, with its cause if nobody has had it yet.
    async fn wait(&self) -> Option<hyper::Error> {
        self.0.over.cancelled().await;
        self.0.cause.lock().take()
    }
}

impl Exclusive {
    pub(super) async fn send(
        &mut self,
        request: Request<Message>,
    ) -> Result<Response<Incoming>, Unanswered> {
        let before = self.written.count();
        let mut cause = None;
        let answered = {
            let mut answer = pin!(self.sender.try_send_request(request));
            tokio::select! {
                biased;
                answered = &mut answer => Some(answered),
                ended = self.ended.wait() => {
                    cause = ended;
                    // What it knew, it has told.
                    now(answer.as_mut()).await
                }
            }
        };
        let mut unanswered = match answered {
            Some(Ok(response)) => return Ok(response),
            Some(Err(error)) => Unanswered::from(error),
            None => Unanswered::left_behind(),
        };
        if !unanswered.written || self.written.count() == before {
            // Only what is over writes nothing any more.
            let ended = tokio::time::timeout(SETTLING, self.ended.wait()).await;
            unanswered.written &= ended.is_err() || self.written.count() != before;
            cause = cause.or(ended.ok().flatten());
        }
        if let Some(cause) = cause {
            // What was wrong with it says more than that it is no more.
            unanswered.error = fault(cause);
        }
        Err(unanswered)
    }
}

impl Multiplexed {
    pub(super) async fn send(
        &self,
        mut request: Request<Message>,
    ) -> Result<Response<Incoming>, Unanswered> {
        let taken = request.body_mut().tell_taken();
        let mut answer = pin!(self.sender.clone().try_send_request(request));
        let answered = tokio::select! {
            biased;
            answered = &mut answer => answered,
            _ = self.ended.wait() => {
                let answered = now(answer.as_mut()).await;
                match answered {
                    Some(answered) => answered,
                    // What it has taken goes on until it is answered.
                    None if taken.load(Ordering::Acquire) => answer.await,
                    None => return Err(Unanswered::left_behind()),
                }
            }
        };
        Ok(answered?)
    }
}

/// What a future has come to by now.
async fn now<F: Future>(mut future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    poll_fn(|cx| {
        Poll::Ready(match future.as_mut().poll(cx) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}
