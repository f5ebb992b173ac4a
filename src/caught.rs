//! What a panic must not take along.

use std::{
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::Poll,
};

/// It panicked; the panic hook of the host has been told.
#[derive(Debug)]
pub(crate) struct Panicked;

/// Runs a future to its end, or to its panic. For what has to be cleaned up after in both cases, and
/// leaves nothing half done where only others would see it. (Pinned by the caller, for an argument of an
/// async function takes its room twice.)
pub(crate) async fn caught<F: Future>(mut future: Pin<&mut F>) -> Result<F::Output, Panicked> {
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Ok),
        Err(_panic) => Poll::Ready(Err(Panicked)),
    })
    .await
}
