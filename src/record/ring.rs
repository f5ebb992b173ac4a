//! Where a link notes what goes over it: slots of one size that are written again and again.

use tokio::time::Instant;

use crate::wire::RequestId;

/// How much of a message has a place in its slot; more takes memory of its own.
const INLINE: usize = 112;

/// How many slots at the beginning are kept for ever: without the handshake, little of what follows
/// can be understood, and nothing played back.
const OPENING: usize = 8;

/// What kind of thing was noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EntryKind {
    /// A message of ours, when it was handed over to be sent.
    Sent,
    /// A message of the server.
    Received,
    /// A line on the server's stdout that is no message.
    Noise,
    /// A line that the server wrote on stderr.
    Stderr,
    /// How the link fares.
    Status,
}

/// One thing that was noted, as it was: it is redacted when it is read.
#[derive(Clone)]
pub(crate) struct Slot {
    pub(crate) at: Instant,
    /// The request of ours that it is about; zero where it is about none.
    pub(crate) id: RequestId,
    /// How large it was; what is kept is the beginning.
    pub(crate) size: usize,
    pub(crate) kind: EntryKind,
    held: u8,
    head: [u8; INLINE],
    rest: Option<Box<[u8]>>,
}

/// The first things, and the last.
pub(crate) struct Ring {
    slots: Vec<Slot>,
    most: usize,
    /// How much of each is kept.
    bytes: usize,
    /// Which slot comes next, once there are as many as there may be.
    next: usize,
    overwritten: u64,
}

impl Slot {
    fn new(at: Instant) -> Self {
        let (kind, head) = (EntryKind::Status, [0; INLINE]);
        Self { at, id: 0, size: 0, kind, held: 0, head, rest: None }
    }

    /// What is kept of it.
    pub(crate) fn text(&self) -> Vec<u8> {
        let mut text = self.head[..usize::from(self.held)].to_vec();
        text.extend_from_slice(self.rest.as_deref().unwrap_or_default());
        text
    }

    fn write(
        &mut self,
        (at, id, kind): (Instant, RequestId, EntryKind),
        parts: &[&[u8]],
        most: usize,
    ) {
        (self.at, self.id, self.kind) = (at, id, kind);
        self.size = parts.iter().map(|part| part.len()).sum();
        let mut held = 0;
        for part in parts {
            let count = part.len().min(INLINE.min(most) - held);
            self.head[held..held + count].copy_from_slice(&part[..count]);
            held += count;
        }
        self.held = held as u8;
        let more = self.size.min(most) > held;
        // The memory of what stood here before is given back.
        self.rest = more.then(|| parts.concat()[held..self.size.min(most)].into());
    }
}

impl Ring {
    pub(crate) fn new(most: usize, bytes: usize) -> Self {
        Self { slots: Vec::new(), most, bytes, next: 0, overwritten: 0 }
    }

    /// Notes something that stands in these parts, one behind the other.
    #[inline]
    pub(crate) fn push(&mut self, what: (Instant, RequestId, EntryKind), parts: &[&[u8]]) {
        if self.slots.len() < self.most {
            self.slots.reserve_exact(self.room());
            self.slots.push(Slot::new(what.0));
            self.next = self.slots.len() - 1;
        } else if self.most == 0 {
            return;
        } else {
            self.next += 1;
            if self.next >= self.most {
                self.next = OPENING.min(self.most / 4);
            }
            self.overwritten += 1;
        }
        self.slots[self.next].write(what, parts, self.bytes);
    }

    /// For how many more there is to be room. A link that is idle has a few, and many links are.
    fn room(&self) -> usize {
        match self.slots.len() {
            full if full < self.slots.capacity() => 0,
            few if few < OPENING => 2,
            many => many.min(self.most - many),
        }
    }

    /// What there is, in no order.
    pub(crate) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// How much is not there any more.
    pub(crate) fn overwritten(&self) -> u64 {
        self.overwritten
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(ring: &Ring) -> Vec<usize> {
        let mut sizes: Vec<_> = ring.slots().iter().map(|slot| slot.id as usize).collect();
        sizes.sort_unstable();
        sizes
    }

    fn fill(ring: &mut Ring, count: u64) {
        for id in 0..count {
            ring.push((Instant::now(), id, EntryKind::Sent), &[b"text"]);
        }
    }

    #[test]
    fn the_first_and_the_last_are_kept() {
        let mut ring = Ring::new(32, 100);
        fill(&mut ring, 32);
        assert_eq!((sizes(&ring), ring.overwritten()), ((0..32).collect(), 0));
        fill(&mut ring, 10_000);
        let mut kept: Vec<usize> = (0..8).chain(10_000 - 24..10_000).collect();
        kept.sort_unstable();
        assert_eq!((sizes(&ring), ring.overwritten()), (kept, 10_000));
        let mut none = Ring::new(0, 100);
        fill(&mut none, 10);
        assert!(none.slots().is_empty());
    }

    #[test]
    fn of_each_no_more_is_kept_than_wanted_however_it_comes() {
        let long: Vec<u8> = (0..=255).collect();
        for most in [0, 1, INLINE - 1, INLINE, INLINE + 1, 200, 256, 1000] {
            let mut ring = Ring::new(4, most);
            for parts in
                [vec![&long[..]], vec![&long[..3], &long[3..150], &long[150..]], vec![&[], &long]]
            {
                ring.push((Instant::now(), 1, EntryKind::Received), &parts);
                let slot = ring.slots().last().unwrap();
                assert_eq!(
                    (slot.size, slot.text()),
                    (256, long[..most.min(256)].to_vec()),
                    "{most}"
                );
            }
        }
    }

    #[test]
    fn a_slot_is_small() {
        assert!(size_of::<Slot>() <= 176, "{}", size_of::<Slot>());
    }
}
