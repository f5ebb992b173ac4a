//! A cassette in a server's place.

use parking_lot::Mutex;
use serde_json::{Value, value::RawValue};

use crate::{
    record::{Cassette, Entry, EntryKind},
    wire::{self, Incoming},
};

const INVALID_PARAMS: i64 = -32602;

/// What was recorded of the requests of a link.
pub(super) struct Tape {
    requests: Mutex<Vec<Recorded>>,
}

/// One request, and what came of it.
struct Recorded {
    method: String,
    /// Without what differs from one time to the next; none where it was cut.
    params: Option<Value>,
    /// Notifications that came before its answer: methods and parameters.
    told: Vec<(String, Value)>,
    answer: Answer,
    played: bool,
}

#[derive(Clone)]
enum Answer {
    None,
    Whole(String),
    Cut,
}

impl Tape {
    pub(super) fn of(cassette: &Cassette) -> Self {
        let entries = cassette.entries();
        let sent = |(_, entry): &(usize, &Entry)| entry.kind == EntryKind::Sent;
        let requests = entries.iter().enumerate().filter(sent);
        let requests = requests.filter_map(|(at, entry)| recorded(entry, &entries[at + 1..]));
        Self { requests: Mutex::new(requests.collect()) }
    }

    /// What is sent in return for a request: what the first like it that has not been played brought,
    /// or else the last like it. None where the server left it unanswered.
    pub(super) fn play(&self, id: &RawValue, method: &str, params: &Value) -> Option<Vec<u8>> {
        let wanted = comparable(method, params.clone());
        let mut requests = self.requests.lock();
        let fits = |one: &Recorded| one.method == method && one.params.as_ref() == Some(&wanted);
        let fresh = requests.iter().position(|one| !one.played && fits(one));
        let found = fresh.or_else(|| requests.iter().rposition(fits));
        let Some(found) = found else { return Some(unknown(id, method)) };
        let one = &mut requests[found];
        one.played = true;
        let mut sent = Vec::new();
        for (method, params) in &one.told {
            let mut params = params.clone();
            if let Some(token) = params.get_mut("progressToken") {
                *token = serde_json::from_str(id.get()).unwrap_or_default();
            }
            sent.extend(wire::notification_of(method, &params));
        }
        match &one.answer {
            Answer::None => return None,
            Answer::Whole(frame) => sent.extend(wire::readdressed(frame, id)?),
            Answer::Cut => {
                let said = "the answer was cut when it was recorded: see Limits::record";
                sent.extend(wire::answer(id, Err::<&(), _>((INVALID_PARAMS, said))));
            }
        }
        Some(sent)
    }
}

/// A request, with what came after it.
fn recorded(entry: &Entry, after: &[Entry]) -> Option<Recorded> {
    // Notifications of ours have no number, and need no answer.
    let (id, method) = (entry.id?, entry.method.clone()?);
    let params = parameters(entry).map(|params| comparable(&method, params));
    let is_answer = |later: &Entry| later.kind == EntryKind::Received && later.id == Some(id);
    let answered = after.iter().position(is_answer);
    let answer = match answered.map(|at| &after[at]) {
        None => Answer::None,
        Some(answer) if answer.cut => Answer::Cut,
        Some(answer) => Answer::Whole(answer.text.clone()),
    };
    let told = after[..answered.unwrap_or(0)].iter().filter(|entry| !entry.cut);
    let told = told.filter_map(|entry| told_of(entry, id)).collect();
    Some(Recorded { method, params, told, answer, played: false })
}

fn parameters(entry: &Entry) -> Option<Value> {
    let Incoming::Request { params, .. } = wire::classify(entry.text.as_bytes()) else {
        return None;
    };
    Some(params.and_then(|params| serde_json::from_str(params.get()).ok()).unwrap_or_default())
}

/// What has to be the same for a request to be the same: who asks has not, nor what is in `_meta`.
fn comparable(method: &str, mut params: Value) -> Value {
    if matches!(method, "initialize" | "server/discover") {
        return Value::Null;
    }
    let Some(members) = params.as_object_mut() else { return Value::Null };
    members.remove("_meta");
    if members.is_empty() { Value::Null } else { params }
}

/// A notification that came while a request was out, unless it is about another.
fn told_of(entry: &Entry, id: u64) -> Option<(String, Value)> {
    if entry.kind != EntryKind::Received || entry.id.is_some() {
        return None;
    }
    let Incoming::Notification { method, params } = wire::classify(entry.text.as_bytes()) else {
        return None;
    };
    let params: Value = params.and_then(|raw| serde_json::from_str(raw.get()).ok())?;
    let token = params.get("progressToken").map(|token| wire::request_id(&token.to_string()));
    token.is_none_or(|token| token == Some(id)).then_some((method, params))
}

fn unknown(id: &RawValue, method: &str) -> Vec<u8> {
    let said = format!("no such {method} is on the cassette");
    wire::answer(id, Err::<&(), _>((INVALID_PARAMS, &*said)))
}
