//! The dialects that open with `initialize`: streamable HTTP with sessions, and HTTP+SSE.

use std::sync::Arc;

use serde_json::{Value, json as object};

use super::{
    Request, Step, answer, chunk,
    dialect::{Before, Reply, capabilities, identity, refused, reply},
    events, refusal,
    shared::Shared,
    status,
};

const NO_METHOD: i64 = -32601;
const NOT_INITIALIZED: i64 = -32000;
const NO_SESSION: i64 = -32001;

/// Streamable HTTP of 2025-03-26 to 2025-11-25 (C15).
pub(crate) fn streamable(shared: &Arc<Shared>, request: &Request) -> Vec<Step> {
    if request.method() == "initialize" {
        return initialize(shared, request);
    }
    if shared.settings.lock().unwrap().sessions {
        match request.header("mcp-session-id") {
            None => return refused(request, 400, NOT_INITIALIZED, "server not initialized"),
            Some(session) if !shared.knows(session) => {
                return refused(request, 404, NO_SESSION, "session not found");
            }
            Some(_) => {}
        }
    }
    check_revision(shared, request);
    match request.verb.as_str() {
        "GET" => stream(shared, request),
        "DELETE" => delete(shared, request),
        _ => post(shared, request),
    }
}

fn initialize(shared: &Shared, request: &Request) -> Vec<Step> {
    if request.header("mcp-session-id").is_some() {
        shared.breach(request, "initialize carries a session");
    }
    let (style, sessions) = {
        let settings = shared.settings.lock().unwrap();
        (settings.style, settings.sessions)
    };
    let session = if sessions { shared.mint() } else { String::new() };
    let headers = [("Mcp-Session-Id", session.as_str())];
    let headers = if sessions { &headers[..] } else { &[] };
    Reply::plain(initialized(shared, request)).steps(style, headers)
}

fn initialized(shared: &Shared, request: &Request) -> Value {
    let revision = shared.settings.lock().unwrap().revision;
    let result = object!({
        "protocolVersion": revision,
        "capabilities": capabilities(shared),
        "serverInfo": identity(),
    });
    answer(request, &result)
}

/// From 2025-06-18 on, every request says the revision that was agreed on.
fn check_revision(shared: &Shared, request: &Request) {
    let revision = shared.settings.lock().unwrap().revision;
    let told = request.header("mcp-protocol-version");
    // A client that looks for a newer server is no fault.
    if request.method() == "server/discover" {
        return;
    }
    if revision >= "2025-06-18" && told != Some(revision) {
        shared.breach(request, &format!("mcp-protocol-version is {told:?}, and not {revision}"));
    }
}

fn stream(shared: &Shared, request: &Request) -> Vec<Step> {
    if !shared.settings.lock().unwrap().get_stream {
        return status(405);
    }
    if !request.header("accept").is_some_and(|accept| accept.contains("text/event-stream")) {
        shared.breach(request, "the stream is not accepted");
    }
    let session = request.header("mcp-session-id").unwrap_or_default();
    vec![events(&[]), Step::Listen(shared.attach(session))]
}

fn delete(shared: &Shared, request: &Request) -> Vec<Step> {
    if !shared.settings.lock().unwrap().delete {
        return status(405);
    }
    shared.end_session(request.header("mcp-session-id").unwrap_or_default());
    status(200)
}

fn post(shared: &Shared, request: &Request) -> Vec<Step> {
    let accept = request.header("accept").unwrap_or_default();
    if !accept.contains("application/json") || !accept.contains("text/event-stream") {
        shared.breach(request, "not both kinds of answers are accepted");
    }
    if is_one_way(request) {
        return status(202);
    }
    let style = shared.settings.lock().unwrap().style;
    any_reply(shared, request).steps(style, &[])
}

/// Notifications, and answers to what the server asked.
fn is_one_way(request: &Request) -> bool {
    request.message["id"].is_null() || request.method().is_empty()
}

fn any_reply(shared: &Shared, request: &Request) -> Reply {
    match request.method() {
        "ping" => Reply::plain(answer(request, &object!({}))),
        "initialize" => Reply::plain(initialized(shared, request)),
        _ => reply(shared, request)
            .unwrap_or_else(|| Reply::plain(refusal(request, NO_METHOD, "no such method"))),
    }
}

/// HTTP+SSE of 2024-11-05: the answers come on the stream.
pub(crate) fn legacy(shared: &Arc<Shared>, request: &Request) -> Vec<Step> {
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    match (request.verb.as_str(), path) {
        ("GET", "/sse") => {
            let session = shared.mint();
            let endpoint = shared.settings.lock().unwrap().endpoint.replace("{session}", &session);
            let first = chunk(format!("event: endpoint\ndata: {endpoint}\n\n"));
            vec![events(&[]), first, Step::Listen(shared.attach(&session))]
        }
        ("POST", "/message") => {
            let session = query.strip_prefix("session=").unwrap_or_default();
            if !shared.knows(session) {
                return status(404);
            }
            let mut steps = status(202);
            if !is_one_way(request) {
                steps.push(Step::Aside(pushed(any_reply(shared, request), session)));
            }
            steps
        }
        (_, "/sse" | "/message") => status(405),
        _ => status(404),
    }
}

fn pushed(reply: Reply, session: &str) -> Vec<Step> {
    let push = |message: &Value| {
        let Step::Bytes(bytes) = super::event(message) else { unreachable!() };
        Step::Push(session.to_owned(), bytes)
    };
    let before = reply.before.into_iter().map(|before| match before {
        Before::Message(message) => push(&message),
        Before::Step(step) => step,
    });
    before.chain([push(&reply.answer)]).collect()
}
