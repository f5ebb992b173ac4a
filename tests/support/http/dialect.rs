//! What a server that behaves says: the tools, and what the dialects have in common.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json as object};

use super::{
    Request, Step, answer, end_of_events, event, events, families, json, modern, refusal, session,
    shared::Shared,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Streamable HTTP of 2026-07-28.
    Modern,
    /// Streamable HTTP of 2025-11-25 and before.
    Session,
    /// HTTP+SSE of 2024-11-05.
    Sse,
}

impl Dialect {
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Modern | Self::Session => "/mcp",
            Self::Sse => "/sse",
        }
    }
}

/// How a request is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Json,
    Events,
}

/// What a test may choose of what is right.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) style: Style,
    /// The revision that `initialize` agrees on.
    pub(crate) revision: &'static str,
    /// What `server/discover` lists.
    pub(crate) revisions: Vec<&'static str>,
    pub(crate) tools: Vec<Value>,
    pub(crate) list_changed: bool,
    /// Whether there are prompts, resources and tasks too, in 2026-07-28.
    pub(crate) families: bool,
    /// Whether there are sessions, and a stream for GET.
    pub(crate) sessions: bool,
    pub(crate) get_stream: bool,
    /// Whether a session can be ended by DELETE.
    pub(crate) delete: bool,
    /// What the `endpoint` event says; `{session}` stands for the session.
    pub(crate) endpoint: String,
}

impl Settings {
    pub(crate) fn new(dialect: Dialect) -> Self {
        let plain = ["echo", "sleep", "hold", "counter", "progress", "fail"];
        Self {
            style: Style::Json,
            revision: if dialect == Dialect::Sse { "2024-11-05" } else { "2025-11-25" },
            revisions: vec!["2026-07-28"],
            tools: plain.into_iter().map(|name| tool(name, &object!({}))).collect(),
            list_changed: false,
            families: false,
            sessions: true,
            get_stream: true,
            delete: true,
            endpoint: "/message?session={session}".to_owned(),
        }
    }

    fn has(&self, name: &str) -> bool {
        self.tools.iter().any(|tool| tool["name"] == name)
    }
}

/// A tool with these properties.
pub(crate) fn tool(name: &str, properties: &Value) -> Value {
    let schema = object!({ "type": "object", "properties": properties });
    object!({ "name": name, "description": "Does it.", "inputSchema": schema })
}

/// What a server of this dialect does that behaves.
pub(crate) fn proper(shared: &Arc<Shared>, request: &Request) -> Vec<Step> {
    match shared.dialect() {
        Dialect::Modern => modern::proper(shared, request),
        Dialect::Session => session::streamable(shared, request),
        Dialect::Sse => session::legacy(shared, request),
    }
}

/// What is said and done for a request, before its answer and with it.
pub(crate) struct Reply {
    pub(crate) before: Vec<Before>,
    pub(crate) answer: Value,
}

pub(crate) enum Before {
    Message(Value),
    Step(Step),
}

impl Reply {
    pub(crate) fn plain(answer: Value) -> Self {
        Self { before: Vec::new(), answer }
    }

    /// The reply as the answer to a POST.
    pub(crate) fn steps(self, style: Style, headers: &[(&str, &str)]) -> Vec<Step> {
        let talks = self.before.iter().any(|before| matches!(before, Before::Message(_)));
        if style == Style::Json && !talks {
            let waits = self.before.into_iter().filter_map(|before| match before {
                Before::Step(step) => Some(step),
                Before::Message(_) => None,
            });
            let mut all = vec![("Content-Type", "application/json")];
            all.extend_from_slice(headers);
            return waits.chain(super::whole(200, &all, self.answer.to_string())).collect();
        }
        let before = self.before.into_iter().map(|before| match before {
            Before::Message(message) => event(&message),
            Before::Step(step) => step,
        });
        let end = [event(&self.answer), end_of_events()];
        std::iter::once(events(headers)).chain(before).chain(end).collect()
    }
}

/// The reply to a request that both eras know; `None` to what is unknown.
pub(crate) fn reply(shared: &Shared, request: &Request) -> Option<Reply> {
    let more = shared.settings.lock().unwrap().families;
    if let Some(reply) = more.then(|| families::reply(shared, request)).flatten() {
        return Some(reply);
    }
    match request.method() {
        "tools/list" => {
            let tools = shared.settings.lock().unwrap().tools.clone();
            Some(Reply::plain(answer(request, &complete(object!({ "tools": tools })))))
        }
        "tools/call" => Some(call(shared, request)),
        _ => None,
    }
}

/// A result, complete as both eras want it.
pub(crate) fn complete(mut result: Value) -> Value {
    result["resultType"] = "complete".into();
    result["ttlMs"] = 0.into();
    result["cacheScope"] = "private".into();
    result
}

pub(crate) fn capabilities(shared: &Shared) -> Value {
    let settings = shared.settings.lock().unwrap();
    match settings.list_changed {
        _ if settings.families => families::capabilities(),
        true => object!({ "tools": { "listChanged": true } }),
        false => object!({ "tools": {} }),
    }
}

pub(crate) fn identity() -> Value {
    object!({ "name": "hostile", "version": "1" })
}

fn text(text: impl ToString) -> Value {
    let content = object!([{ "type": "text", "text": text.to_string() }]);
    object!({ "content": content, "resultType": "complete" })
}

fn call(shared: &Shared, request: &Request) -> Reply {
    let mut before = Vec::new();
    let result = match request.tool() {
        "echo" => text(request.argument("text").as_str().unwrap_or_default()),
        "sleep" => {
            let time = Duration::from_millis(request.argument("ms").as_u64().unwrap_or(0));
            before.push(Before::Step(Step::Pause(time)));
            text("slept")
        }
        "hold" => {
            before.push(Before::Step(Step::Hold));
            text("released")
        }
        "counter" => text(shared.execute()),
        "progress" => {
            before = progress(request);
            text("done")
        }
        "fail" => {
            let mut result = text("it failed");
            result["isError"] = true.into();
            result
        }
        other if shared.settings.lock().unwrap().has(other) => {
            text(&request.message["params"]["arguments"])
        }
        _ => return Reply::plain(refusal(request, -32602, "no such tool")),
    };
    Reply { before, answer: answer(request, &result) }
}

/// Three notifications of progress, for whoever asked for them.
fn progress(request: &Request) -> Vec<Before> {
    let token = &request.message["params"]["_meta"]["progressToken"];
    if token.is_null() {
        return Vec::new();
    }
    let told = |done: u64| {
        let params = object!({ "progressToken": token, "progress": done, "total": 3 });
        let method = "notifications/progress";
        Before::Message(object!({ "jsonrpc": "2.0", "method": method, "params": params }))
    };
    (1..=3).map(told).collect()
}

/// A refusal that HTTP says too.
pub(crate) fn refused(request: &Request, status: u16, code: i64, message: &str) -> Vec<Step> {
    json(status, &refusal(request, code, message))
}
