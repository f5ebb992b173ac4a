//! What servers said may be kept for a while (MCP 2026-07-28, server/utilities/caching): lists and
//! reads, for as long as they allow and nothing changes.
//!
//! Each connection keeps its own, and has one set of credentials: what is private to a principal
//! never reaches another. Whoever logs in may be another, so nothing is kept over that.

use std::sync::Arc;

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use tokio::time::Instant;

use super::{
    Connection,
    handshake::Era,
    listing,
    requests::{Answered, Question},
};
use crate::{
    error::CallError,
    query::Terms,
    received::{Item, ListFault, Listed},
    wire::RawResult,
};

/// How many answers a connection keeps.
const MOST: usize = 256;

/// The answers that one connection keeps.
#[derive(Default)]
pub(super) struct Kept {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    answers: FxHashMap<String, Answer>,
    /// How often something was said to have changed.
    changes: u64,
}

struct Answer {
    result: Arc<RawResult>,
    until: Instant,
}

impl Kept {
    /// Forgets what the server says has changed.
    pub(super) fn forget(&self, method: &str, params: Option<&RawValue>) {
        let family = match method {
            "notifications/resources/list_changed" => "resources/list",
            "notifications/resources/updated" => "resources/read",
            "notifications/prompts/list_changed" => "prompts/list",
            _ => return,
        };
        let uri = params.and_then(updated).unwrap_or_default();
        let mut state = self.state.lock();
        state.changes += 1;
        state.answers.retain(|key, _| {
            let method = key.split('\n').next().unwrap_or_default();
            // An update may be of a part of what was read (MCP 2026-07-28, server/resources).
            let touched = match family {
                "resources/list" => method.starts_with("resources/") && method.ends_with("list"),
                "resources/read" => method == family && (uri.is_empty() || is_part(key, &uri)),
                _ => method == family,
            };
            !touched
        });
    }

    /// Forgets everything, and keeps nothing that was asked for before: changes may have been missed, or
    /// somebody else may be asking.
    pub(super) fn forget_all(&self) {
        let mut state = self.state.lock();
        state.changes += 1;
        state.answers.clear();
    }

    fn look(&self, key: &str, however_old: bool) -> Option<Arc<RawResult>> {
        let state = self.state.lock();
        let answer = state.answers.get(key)?;
        (however_old || answer.until > Instant::now()).then(|| Arc::clone(&answer.result))
    }

    fn changes(&self) -> u64 {
        self.state.lock().changes
    }

    fn keep(&self, key: String, answer: Answer, changes: u64) {
        let mut state = self.state.lock();
        // What was asked before a change may have been answered before it, too.
        if state.changes != changes {
            return;
        }
        if state.answers.len() >= MOST {
            let oldest = state.answers.iter().min_by_key(|(_, answer)| answer.until);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                state.answers.remove(&oldest);
            }
        }
        state.answers.insert(key, answer);
    }
}

/// The resource that is said to have changed.
pub(super) fn updated(params: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct Updated {
        uri: String,
    }
    serde_json::from_str::<Updated>(params.get()).ok().map(|updated| updated.uri)
}

fn is_part(key: &str, uri: &str) -> bool {
    let read = key.split_once('\n').and_then(|(_, members)| {
        let members: Value = serde_json::from_str(&format!("{{{members}}}")).ok()?;
        members["uri"].as_str().map(str::to_owned)
    });
    read.is_none_or(|read| uri.starts_with(&read) || read.starts_with(uri))
}

/// Asks a server, unless what it said before still holds.
pub(crate) async fn ask(
    connection: &Arc<Connection>,
    question: &Question,
    terms: Terms,
) -> Result<Arc<RawResult>, CallError> {
    let kept = &connection.kept;
    // C23: the method, and whatever of its parameters makes a difference.
    let key = format!("{}\n{}", question.method, String::from_utf8_lossy(&question.members));
    if let Some(result) = kept.look(&key, false).filter(|_| !terms.fresh) {
        return Ok(result);
    }
    let changes = kept.changes();
    let answered = match question.ask(connection, terms.clock).await {
        Ok(answered) => answered,
        Err(error) => return kept.look(&key, true).filter(|_| terms.stale).ok_or(error),
    };
    let allowed = allowed(&answered);
    let result = Arc::new(answered.result);
    if let Some(until) = allowed {
        kept.keep(key, Answer { result: Arc::clone(&result), until }, changes);
    }
    Ok(result)
}

/// Until when an answer may be kept. C23: from its receipt, nothing where nothing is said, and never
/// what came of questions to the host.
fn allowed(answered: &Answered) -> Option<Instant> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Hint {
        ttl_ms: Option<f64>,
    }
    if !answered.direct || answered.link.era() != Some(Era::Modern) {
        return None;
    }
    let hint: Hint = serde_json::from_str(answered.result.get()).ok()?;
    Instant::now().checked_add(listing::hinted(hint.ttl_ms)?)
}

/// Reads all pages of a list, or as many as make sense.
pub(crate) async fn list<T: serde::de::DeserializeOwned>(
    connection: &Arc<Connection>,
    (method, key): (&'static str, &str),
    terms: Terms,
) -> Result<Listed<T>, CallError> {
    let limits = &connection.spec.limits;
    let mut listed = Listed { items: Vec::new(), fault: None };
    let mut seen = std::collections::HashSet::new();
    let mut cursor: Option<String> = None;
    for pages in 0.. {
        if pages == limits.max_pages {
            listed.fault = Some(ListFault::TooManyPages { limit: limits.max_pages });
            break;
        }
        let mut question = Question::new(method, None);
        if let Some(cursor) = &cursor {
            question = question.with("cursor", cursor);
        }
        let result = ask(connection, &question, terms).await?;
        let page = Page::read(&result, key);
        let page = page.map_err(|detail| question.about(connection).invalid(detail))?;
        listed.items.extend(page.items.into_iter().map(Item::new));
        if listed.items.len() > limits.max_tools {
            listed.items.truncate(limits.max_tools);
            listed.fault = Some(ListFault::TooManyItems { limit: limits.max_tools });
            break;
        }
        // C21: a missing cursor ends the list, an empty one is a cursor like any other.
        let Some(next) = page.next else { break };
        if !seen.insert(next.clone()) {
            let cursor = connection.scope.secrets.redactor.redact(&next).into_owned();
            listed.fault = Some(ListFault::CursorRepeated { cursor, pages: pages + 1 });
            break;
        }
        cursor = Some(next);
    }
    Ok(listed)
}

struct Page<'a> {
    items: Vec<&'a RawValue>,
    next: Option<String>,
}

impl<'a> Page<'a> {
    fn read(result: &'a RawResult, key: &str) -> Result<Self, String> {
        let fault = |error: serde_json::Error| error.to_string();
        let members: FxHashMap<String, &RawValue> =
            serde_json::from_str(result.get()).map_err(fault)?;
        let items = members.get(key).ok_or_else(|| format!("a list without {key}"))?;
        let next = members.get("nextCursor").filter(|cursor| cursor.get() != "null");
        Ok(Self {
            items: serde_json::from_str(items.get()).map_err(fault)?,
            next: next
                .map(|cursor| serde_json::from_str(cursor.get()))
                .transpose()
                .map_err(fault)?,
        })
    }
}
