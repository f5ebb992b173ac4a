//! What a link keeps of what goes over it.

use std::{fmt, sync::Arc, time::SystemTime};

use tokio::time::Instant;

use super::{
    Record,
    ring::{EntryKind, Ring, Slot},
};
use crate::{policy::Limits, redactor::Redactor, wire::RequestId};

/// How many lines of stderr and changes of the status are kept, beside the messages: a server that
/// writes much there must not displace them.
const NOTES: usize = 16;

/// How many entries go with an error of one call; the link lives, and has the others.
const OF_A_CALL: usize = 12;

/// Whose link it is.
pub(crate) struct Party {
    pub(crate) server: Arc<str>,
    pub(crate) epoch: u64,
    pub(crate) transport: &'static str,
    /// The command, or scheme, host and port.
    pub(crate) address: String,
    pub(crate) redactor: Redactor,
}

/// The flight recorder of a link.
pub(crate) struct Recorder {
    party: Arc<Party>,
    born: (Instant, SystemTime),
    frames: Ring,
    notes: Ring,
}

impl Recorder {
    pub(crate) fn new(party: Arc<Party>, limits: &Limits) -> Self {
        let (entries, bytes) = limits.record;
        let notes = if entries == 0 { 0 } else { NOTES };
        Self {
            party,
            born: (Instant::now(), SystemTime::now()),
            frames: Ring::new(entries, bytes),
            notes: Ring::new(notes, bytes.max(256)),
        }
    }

    /// Notes a message that stands in these parts.
    #[inline]
    pub(crate) fn frame(&mut self, what: (Instant, RequestId, EntryKind), parts: &[&[u8]]) {
        self.frames.push(what, parts);
    }

    /// Notes lines that are no messages, each by itself.
    pub(crate) fn note(&mut self, kind: EntryKind, text: &[u8]) {
        let now = Instant::now();
        for line in text.split(|&byte| byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
            self.notes.push((now, 0, kind), &[line]);
        }
    }

    /// All that is kept.
    pub(crate) fn record(&self) -> Record {
        self.taken(None, usize::MAX)
    }

    /// The latest, and what belongs to this request.
    pub(crate) fn record_of(&self, id: RequestId) -> Record {
        self.taken(Some(id), OF_A_CALL)
    }

    fn taken(&self, of: Option<RequestId>, most: usize) -> Record {
        let both = || self.frames.slots().iter().chain(self.notes.slots());
        let mut slots: Vec<&Slot> = both().collect();
        slots.sort_by_key(|slot| slot.at);
        let late = slots.len().saturating_sub(most);
        let kept = slots.iter().enumerate().filter(|(n, slot)| *n >= late || of == Some(slot.id));
        let kept: Vec<Slot> = kept.map(|(_, slot)| (*slot).clone()).collect();
        let left_out = (slots.len() - kept.len()) as u64 + self.frames.overwritten();
        Record::new(Arc::clone(&self.party), self.born, kept, (of, left_out))
    }
}

impl fmt::Debug for Recorder {
    /// Without what it holds, which is not redacted.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").finish_non_exhaustive()
    }
}
