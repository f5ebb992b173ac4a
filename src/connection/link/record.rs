//! What a link notes of what goes over it, and who reads it.

use tokio::time::Instant;

use super::Link;
use crate::{
    record::{EntryKind, Record},
    wire::RequestId,
};

impl Link {
    /// Notes a message that is no answer, or what is none at all.
    pub(crate) fn heard(&self, kind: EntryKind, frame: &[u8]) {
        self.state.lock().recorder.frame((Instant::now(), 0, kind), &[frame]);
    }

    /// Notes lines of stderr, or how the link fares.
    pub(crate) fn note(&self, kind: EntryKind, text: &[u8]) {
        self.state.lock().recorder.note(kind, text);
    }

    /// What went over it so far.
    pub(crate) fn record(&self) -> Record {
        self.state.lock().recorder.record()
    }

    /// The latest that went over it, and what belongs to this request.
    pub(crate) fn record_of(&self, id: RequestId) -> Record {
        self.state.lock().recorder.record_of(id)
    }
}
