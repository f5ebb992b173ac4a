//! An error that only its exchange says to whom it belongs.

use super::{Envelope, HEAD, RequestId, push_number, request_id};

/// Puts an error that came under no id, or under `null`, under the id of the request that it is known
/// to answer, because both went over one exchange (MCP 2025-11-25, basic/transports: an error of the
/// endpoint itself has no id). None if it is no such error.
pub(crate) fn addressed_error(frame: &[u8], id: RequestId) -> Option<Vec<u8>> {
    let envelope: Envelope<'_> = serde_json::from_slice(frame).ok()?;
    let unaddressed = envelope.id.is_none_or(|id| request_id(id.get()).is_none());
    let error = envelope.error.filter(|_| unaddressed && envelope.method.is_none())?;
    let mut frame = HEAD.to_vec();
    push_number(&mut frame, id);
    frame.extend_from_slice(b",\"error\":");
    frame.extend_from_slice(error.get().as_bytes());
    frame.push(b'}');
    Some(frame)
}
