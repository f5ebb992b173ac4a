//! What stands between secrets and whatever others may read: traces, errors, events, stderr.

mod forms;
mod stream;

use std::{
    borrow::Cow,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use aho_corasick::{AhoCorasick, MatchKind};
use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::value::RawValue;

use crate::secret::Secret;

pub use stream::Redacting;

/// What stands where a secret stood.
const REDACTED: &str = "[redacted]";

/// Shorter values are in everything, so that nobody would learn anything from what is left.
const SHORTEST: usize = 4;

/// How many values of one owner are remembered: tokens are renewed, and what a server writes of an
/// older one may come late.
const REMEMBERED: usize = 8;
/// How many of all owners of a server, where each is declared with another value again and again.
const REMEMBERED_OF_A_SERVER: usize = 512;

/// Replaces the secrets of a session by `[redacted]`, wherever they stand in a text. A cheap handle.
///
/// It knows what the session's [`Secret`](crate::Secret)s have resolved to, tokens that were had for
/// them, and [`SessionBuilder::secrets`](crate::SessionBuilder::secrets): as they are, in base64 (also
/// as a part of a longer text), percent-encoded, escaped for JSON, and in hexadecimal. What the
/// session tells by itself has gone through it; it is here for what the host writes.
///
/// Values of less than four bytes are not looked for; of those of more than 8 KiB, only the text and
/// its lines.
#[derive(Clone, Default)]
pub struct Redactor {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    known: Mutex<Vec<Known>>,
    patterns: ArcSwapOption<Patterns>,
    /// Whether more is known than there are patterns for. They are made when they are needed, for
    /// many servers learn their secrets one after the other.
    stale: AtomicBool,
}

/// Whose secret it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    /// The server that it was declared for, if it was for one.
    pub(crate) server: Option<Arc<str>>,
    pub(crate) source: Source,
}

/// Where values come from, one after the other. Whatever may be in use beside another has a source of
/// its own, for the older values of one are forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// What is declared. References are equal by the place, not by what they are called: each literal
    /// is one, and each command with its arguments.
    Declared(Secret),
    /// What was made of a declared one.
    #[cfg(feature = "http")]
    Made(Secret),
    /// What was had for declared ones, such as a token, by its kind.
    #[cfg(feature = "oauth")]
    Had(&'static str),
}

struct Known {
    owner: Owner,
    value: SecretString,
}

/// All forms of all secrets.
struct Patterns {
    automaton: AhoCorasick,
    /// The same, sorted, for what may be the beginning of one.
    sorted: Vec<Vec<u8>>,
    longest: usize,
    /// The servers that each belongs to, by its place in the automaton.
    servers: Vec<Vec<Option<Arc<str>>>>,
}

impl Redactor {
    /// The text without secrets.
    #[must_use]
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let patterns = self.patterns();
        let Some(patterns) = patterns.as_ref() else { return Cow::Borrowed(text) };
        if !patterns.automaton.is_match(text) {
            return Cow::Borrowed(text);
        }
        let mut redacted = String::with_capacity(text.len());
        patterns.automaton.replace_all_with(text, &mut redacted, |_, _, redacted| {
            redacted.push_str(REDACTED);
            true
        });
        Cow::Owned(redacted)
    }

    /// Redacts what comes in pieces: a secret may begin in one and end in another.
    #[must_use]
    pub fn stream(&self) -> Redacting {
        Redacting::new(self.clone())
    }

    pub(crate) fn redact_in_place(&self, text: &mut String) {
        if let Cow::Owned(redacted) = self.redact(text) {
            *text = redacted;
        }
    }

    /// The JSON without secrets. Where that would be none any more, for a secret held a part of its
    /// structure, nothing of it is left.
    pub(crate) fn redact_json(&self, json: &RawValue) -> Option<Box<RawValue>> {
        let Cow::Owned(redacted) = self.redact(json.get()) else { return None };
        let whole = || RawValue::from_string(format!("\"{REDACTED}\""));
        RawValue::from_string(redacted).or_else(|_| whole()).ok()
    }

    /// Whether nothing is known, and so nothing redacted.
    pub(crate) fn is_idle(&self) -> bool {
        !self.inner.stale.load(Ordering::Acquire) && self.inner.patterns.load().is_none()
    }

    /// Looks out for this value from now on; false if there is nothing to look out for. Of each
    /// owner, the latest values count.
    pub(crate) fn learn(&self, owner: Owner, value: &SecretString) -> bool {
        let text = value.expose_secret();
        if text.is_empty() {
            return false;
        }
        let mut known = self.inner.known.lock();
        let same = |one: &Known| one.value.expose_secret() == text && one.owner == owner;
        if let Some(at) = known.iter().position(same) {
            // It is in use again, and not what is forgotten next.
            let again = known.remove(at);
            known.push(again);
            return true;
        }
        let of_owner = known.iter().filter(|one| one.owner == owner).count();
        if of_owner >= REMEMBERED
            && let Some(oldest) = known.iter().position(|one| one.owner == owner)
        {
            known.remove(oldest);
        }
        let of_server = known.iter().filter(|one| one.owner.server == owner.server).count();
        if of_server >= REMEMBERED_OF_A_SERVER
            && let Some(oldest) = known.iter().position(|one| one.owner.server == owner.server)
        {
            known.remove(oldest);
        }
        known.push(Known { owner, value: value.clone() });
        self.inner.stale.store(true, Ordering::Release);
        true
    }

    /// The patterns of all that is known. Whoever comes while they are made waits for them: the ones
    /// before would let something through.
    fn patterns(&self) -> arc_swap::Guard<Option<Arc<Patterns>>> {
        if self.inner.stale.load(Ordering::Acquire) {
            let known = self.inner.known.lock();
            if self.inner.stale.load(Ordering::Acquire) {
                self.inner.patterns.store(Patterns::of(&known).map(Arc::new));
                self.inner.stale.store(false, Ordering::Release);
            }
        }
        self.inner.patterns.load()
    }

    /// The server that a secret in these bytes belongs to, if it is none of this one's.
    pub(crate) fn stranger(&self, bytes: &[u8], server: &str) -> Option<Arc<str>> {
        let patterns = self.patterns();
        let patterns = patterns.as_ref()?;
        patterns.automaton.find_iter(bytes).find_map(|found| {
            let servers = &patterns.servers[found.pattern().as_usize()];
            let own = |one: &Option<Arc<str>>| one.as_deref().is_none_or(|one| one == server);
            let strange = !servers.iter().any(own);
            servers.first().filter(|_| strange).cloned().flatten()
        })
    }
}

impl Patterns {
    fn of(known: &[Known]) -> Option<Self> {
        let mut forms: Vec<(Vec<u8>, Option<Arc<str>>)> = Vec::new();
        for Known { owner, value } in known {
            let of_value = forms::of(value.expose_secret());
            forms.extend(of_value.into_iter().map(|form| (form, owner.server.clone())));
        }
        forms.retain(|(form, _)| form.len() >= SHORTEST);
        forms.sort();
        let (mut sorted, mut servers) = (Vec::<Vec<u8>>::new(), Vec::<Vec<_>>::new());
        for (form, server) in forms {
            match (sorted.last(), servers.last_mut()) {
                (Some(last), Some(servers)) if *last == form => servers.push(server),
                _ => {
                    sorted.push(form);
                    servers.push(vec![server]);
                }
            }
        }
        let automaton =
            AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&sorted).ok()?;
        let longest = sorted.iter().map(Vec::len).max()?;
        Some(Self { automaton, sorted, longest, servers })
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redactor")
            .field("secrets", &self.inner.known.lock().len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
