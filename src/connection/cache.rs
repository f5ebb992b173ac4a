//! Results that are kept for calls with the same arguments.

use std::sync::Arc;
use std::time::Duration;

use lru::LruCache;
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::time::Instant;

use crate::{
    arguments::Arguments,
    canonical::exact,
    catalog::Tool,
    output::Output,
    policy::{CachePolicy, Lifetime},
};

/// What an entry takes besides its texts, about.
const ENTRY: usize = 160;

/// The results of one server, bounded by count and by bytes; the one that was used least recently
/// makes room.
#[derive(Debug)]
pub(crate) struct Cache {
    max_results: usize,
    max_bytes: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    results: LruCache<Key, Entry>,
    bytes: usize,
    /// Grows when everything is forgotten, so that what was asked for before is not kept after.
    version: u64,
}

/// The tool, what was added to `_meta`, and the arguments in one form.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    text: Arc<str>,
}

#[derive(Debug)]
struct Entry {
    output: Output,
    until: Instant,
    bytes: usize,
}

/// A result that is not there yet, and may be kept once it is.
#[derive(Debug)]
pub(super) struct Wanted {
    key: Key,
    lifetime: Lifetime,
    version: u64,
}

/// What a look found.
pub(super) enum Look {
    Kept(Output),
    Wanted(Wanted),
    /// Not to be kept at all.
    Uncached,
}

impl Cache {
    pub(crate) fn new((max_results, max_bytes): (usize, usize)) -> Self {
        let kept = Kept { results: LruCache::unbounded(), bytes: 0, version: 0 };
        Self { max_results, max_bytes, kept: Mutex::new(kept) }
    }

    /// Looks for the result of a call.
    pub(super) fn look(&self, tool: &Tool, arguments: &Arguments, meta: &str) -> Look {
        let Some(policy) = tool.options().cache.filter(|policy| applies(policy, tool)) else {
            return Look::Uncached;
        };
        let Ok(arguments) = arguments.to_raw() else { return Look::Uncached };
        let text = format!("{}\n{meta}\n{}", tool.name(), exact(&arguments)).into();
        let key = Key { text };
        let mut kept = self.kept.lock();
        match kept.results.get(&key) {
            Some(entry) if entry.until > Instant::now() => Look::Kept(entry.output.clone()),
            Some(_) => {
                kept.remove(&key);
                Look::Wanted(Wanted { key, lifetime: policy.lifetime, version: kept.version })
            }
            None => Look::Wanted(Wanted { key, lifetime: policy.lifetime, version: kept.version }),
        }
    }

    /// Keeps a result, where it may be kept and there is room.
    pub(super) fn keep(&self, wanted: Wanted, output: &Output) {
        let Some(lifetime) = lifetime(wanted.lifetime, output) else { return };
        let bytes = ENTRY + wanted.key.text.len() + output.size();
        let Some(until) = Instant::now().checked_add(lifetime) else { return };
        if bytes > self.max_bytes || self.max_results == 0 {
            return;
        }
        let mut kept = self.kept.lock();
        if kept.version != wanted.version {
            return;
        }
        kept.remove(&wanted.key);
        kept.results.put(wanted.key, Entry { output: output.clone(), until, bytes });
        kept.bytes += bytes;
        while kept.bytes > self.max_bytes || kept.results.len() > self.max_results {
            let Some((_, oldest)) = kept.results.pop_lru() else { break };
            kept.bytes -= oldest.bytes;
        }
    }

    /// Forgets everything: what the server offers has changed.
    pub(super) fn forget(&self) {
        let mut kept = self.kept.lock();
        kept.results.clear();
        kept.bytes = 0;
        kept.version += 1;
    }
}

impl Kept {
    fn remove(&mut self, key: &Key) {
        if let Some(entry) = self.results.pop(key) {
            self.bytes -= entry.bytes;
        }
    }
}

fn applies(policy: &CachePolicy, tool: &Tool) -> bool {
    policy.is_on() && (policy.any_tool || tool.is_read_only())
}

/// How long a result may be kept; not at all if it is no complete result of a tool that worked.
fn lifetime(lifetime: Lifetime, output: &Output) -> Option<Duration> {
    #[derive(Deserialize)]
    struct Head {
        #[serde(rename = "resultType", default)]
        result_type: Option<String>,
        #[serde(rename = "ttlMs", default)]
        ttl: Option<serde_json::Number>,
    }
    let head: Head = serde_json::from_str(output.raw()).ok()?;
    if output.is_error() || head.result_type.is_some_and(|kind| kind != "complete") {
        return None;
    }
    let hinted = || head.ttl?.as_f64().filter(|ms| *ms > 0.0);
    match lifetime {
        Lifetime::Off => None,
        Lifetime::Fixed(time) => Some(time),
        Lifetime::Hinted => Duration::try_from_secs_f64(hinted()? / 1000.0).ok(),
    }
}
