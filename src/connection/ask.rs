//! A request of our own: the handshake's and the catalog's, not a call of the host.

use std::sync::Arc;

use tokio::time::Instant;

use super::link::{Link, Loss, Request, Subject, Timing};
use crate::wire::{self, Answer, RawResult, RpcError};

/// Why a request of ours has no result.
#[derive(Debug)]
pub(crate) enum AskError {
    Lost(Loss),
    Refused(RpcError),
    Malformed(String),
}

/// Sends a request and waits for its result. Its time is bounded by who calls: by the init timeout
/// during a start, by `timing` after it.
pub(crate) async fn ask(
    link: &Arc<Link>,
    method: &str,
    timing: Timing,
    members: impl FnOnce(&mut Vec<u8>) -> serde_json::Result<()>,
) -> Result<RawResult, AskError> {
    let id = link.next_id();
    let mut frame = Vec::new();
    wire::request(&mut frame, (id, method), link.meta(false), members)
        .map_err(|error| AskError::Malformed(error.to_string()))?;
    // Neither `initialize` (MCP 2025-11-25, basic/lifecycle) nor the probe before it may be
    // cancelled; for a listing that nobody waits for any more it is not worth the noise.
    let (admitted, cancellable, waker) = (false, false, None);
    let subject = Subject { method, ..Subject::default() };
    let (frame, splice) = (&mut frame, None);
    let now = Instant::now();
    let request = Request { id, frame, splice, subject, timing, now, admitted, cancellable, waker };
    let frame = link.send(request).map_err(AskError::Lost)?.await.map_err(AskError::Lost)?;
    match wire::open_answer(frame).map_err(AskError::Malformed)? {
        Answer::Result(result) => Ok(result),
        Answer::Error(error) => Err(AskError::Refused(error)),
    }
}
