//! The flight recorder: what went over a link, for whoever has to find out why something failed.
//!
//! Messages are noted as they are, and redacted when they are read: what is never looked at costs
//! one copy of its beginning.

mod cassette;
pub(crate) mod recorder;
pub(crate) mod ring;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

pub use cassette::{Cassette, CassetteError};
pub use ring::EntryKind;

use crate::wire::{self, RequestId};
use recorder::Party;
use ring::Slot;

/// What went over a link: the first messages, and the latest; how the link fared; and what the server
/// wrote on stderr. [`Server::record`](crate::Server::record) has it of the latest link.
///
/// How much is kept is [`Limits::record`](crate::Limits::record). A cheap handle; what it tells is
/// without the session's secrets, as far as they are known when it is asked.
#[derive(Clone, Default)]
pub struct Record(Option<Arc<Shot>>);

struct Shot {
    party: Arc<Party>,
    born: (Instant, SystemTime),
    slots: Vec<Slot>,
    of: Option<RequestId>,
    left_out: u64,
}

/// One thing that a [`Record`] has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Entry {
    /// When it was, since the link was made; in microseconds as JSON.
    #[serde(rename = "at_us", with = "micros")]
    pub at: Duration,
    /// What it is.
    pub kind: EntryKind,
    /// The number of the request of ours that it is, or answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// The method, of a request or notification; of an answer, that of its request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// How large it was, in bytes.
    pub size: usize,
    /// Its beginning, redacted.
    pub text: String,
    /// Whether the text is not all of it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub cut: bool,
}

impl Record {
    fn new(
        party: Arc<Party>,
        born: (Instant, SystemTime),
        slots: Vec<Slot>,
        (of, left_out): (Option<RequestId>, u64),
    ) -> Self {
        Self(Some(Arc::new(Shot { party, born, slots, of, left_out })))
    }

    /// One that has nothing on it.
    pub(crate) const fn none() -> Self {
        Self(None)
    }

    /// Whether there is nothing on it: nothing was sent, or the recorder is off.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|shot| shot.slots.is_empty())
    }

    /// The server, if a link was made at all.
    #[must_use]
    pub fn server(&self) -> Option<&str> {
        self.0.as_ref().map(|shot| &*shot.party.server)
    }

    /// The number of the link.
    #[must_use]
    pub fn epoch(&self) -> Option<u64> {
        self.0.as_ref().map(|shot| shot.party.epoch)
    }

    /// What carried the link: `stdio`, `memory` or `http`.
    #[must_use]
    pub fn transport(&self) -> Option<&'static str> {
        self.0.as_ref().map(|shot| shot.party.transport)
    }

    /// The command of the server, or scheme, host and port of its URL.
    pub(crate) fn address(&self) -> Option<&str> {
        self.0.as_ref().map(|shot| &*shot.party.address)
    }

    /// When the link was made.
    #[must_use]
    pub fn since(&self) -> Option<SystemTime> {
        self.0.as_ref().map(|shot| shot.born.1)
    }

    /// How many messages were not kept.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.0.as_ref().map_or(0, |shot| shot.left_out)
    }

    /// What is on it, oldest first.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        let Some(shot) = &self.0 else { return Vec::new() };
        let mut entries: Vec<Entry> = shot.slots.iter().map(|slot| shot.read(slot)).collect();
        for n in 0..entries.len() {
            let Some(id) = entries[n].id.filter(|_| entries[n].kind == EntryKind::Received) else {
                continue;
            };
            let request = |entry: &&Entry| entry.kind == EntryKind::Sent && entry.id == Some(id);
            entries[n].method = entries.iter().find(request).and_then(|entry| entry.method.clone());
        }
        entries
    }

    /// The request that it was taken for, and its answer, as far as they are kept.
    pub(crate) fn exchange(&self, entries: &[Entry]) -> (Option<Entry>, Option<Entry>) {
        let of = self.0.as_ref().and_then(|shot| shot.of);
        let find = |kind| {
            let found = |entry: &&Entry| entry.kind == kind && entry.id.is_some() && entry.id == of;
            entries.iter().find(found).cloned()
        };
        (find(EntryKind::Sent), find(EntryKind::Received))
    }
}

impl Shot {
    fn read(&self, slot: &Slot) -> Entry {
        let raw = slot.text();
        let cut = raw.len() < slot.size;
        let text = self.redacted(&raw, cut);
        // As exact as it is when it is kept.
        let at = slot.at.saturating_duration_since(self.born.0).as_micros() as u64;
        let is_message = matches!(slot.kind, EntryKind::Sent | EntryKind::Received);
        Entry {
            at: Duration::from_micros(at),
            kind: slot.kind,
            id: Some(slot.id).filter(|id| *id > 0),
            method: wire::method_of(&text).filter(|_| is_message),
            size: slot.size,
            cut,
            text,
        }
    }

    fn redacted(&self, raw: &[u8], cut: bool) -> String {
        let redactor = &self.party.redactor;
        let trimmed = raw.trim_ascii_end();
        if !cut {
            let text = String::from_utf8_lossy(trimmed);
            return redactor.redact(&text).into_owned();
        }
        // A secret may begin where it ends.
        let mut redacting = redactor.stream();
        let mut told = redacting.push(trimmed);
        told.extend(redacting.finish());
        // Nor may half a character stand there.
        let text = String::from_utf8_lossy(&told);
        text.trim_end_matches(char::REPLACEMENT_CHARACTER).to_owned()
    }
}

impl fmt::Debug for Record {
    /// Whose it is, and how much; not what.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = self.0.as_ref().map_or(0, |shot| shot.slots.len());
        f.debug_struct("Record")
            .field("server", &self.server())
            .field("epoch", &self.epoch())
            .field("entries", &entries)
            .finish()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_false(value: &bool) -> bool {
    !*value
}

mod micros {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(at: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(at.as_micros() as u64)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_micros)
    }
}
