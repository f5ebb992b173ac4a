//! What servers have besides tools, of MCP 2026-07-28: prompts, resources, and calls that come back as
//! tasks. None of the names is one that a header takes as it is.

use serde_json::{Value, json as object};

use super::{
    Request, answer,
    dialect::{Reply, complete},
    refusal,
    shared::Shared,
};

pub(crate) const PROMPT: &str = "grüße";
pub(crate) const RESOURCE: &str = "note://ä b";
/// A task that asks once, and one that never ends.
pub(crate) const ASKS: &str = "täsk that asks";
pub(crate) const SLOW: &str = "täsk without end";

pub(crate) fn capabilities() -> Value {
    let extensions = object!({ "io.modelcontextprotocol/tasks": {} });
    object!({ "tools": {}, "prompts": {}, "resources": {}, "extensions": extensions })
}

/// The reply to a request about any of these; `None` to what is about something else.
pub(crate) fn reply(shared: &Shared, request: &Request) -> Option<Reply> {
    let params = &request.message["params"];
    let result = match request.method() {
        "prompts/list" => object!({ "prompts": [{ "name": PROMPT }] }),
        "prompts/get" if params["name"] == PROMPT => {
            let content = object!({ "type": "text", "text": "hello" });
            object!({ "messages": [{ "role": "user", "content": content }] })
        }
        "resources/list" => object!({ "resources": [{ "uri": RESOURCE, "name": "a" }] }),
        "resources/read" if params["uri"] == RESOURCE => {
            object!({ "contents": [{ "uri": RESOURCE, "text": "a note" }] })
        }
        "tools/call" if request.tool() == "ask" => task(ASKS, "working", object!({})),
        "tools/call" if request.tool() == "slow" => task(SLOW, "working", object!({})),
        "tasks/get" if params["taskId"] == SLOW => task(SLOW, "working", object!({})),
        "tasks/get" if params["taskId"] == ASKS => asking(shared),
        "tasks/update" | "tasks/cancel" => object!({}),
        "prompts/get" | "resources/read" | "tasks/get" => {
            return Some(Reply::plain(refusal(request, -32602, "no such thing")));
        }
        _ => return None,
    };
    // The answer to a call is the task; what is asked of that is complete.
    let task = request.method() == "tools/call";
    let mut result = complete(result);
    if task {
        result["resultType"] = "task".into();
    }
    Some(Reply::plain(answer(request, &result)))
}

fn task(id: &str, status: &str, more: Value) -> Value {
    let mut task = object!({
        "taskId": id, "status": status, "createdAt": "2026-01-01T00:00:00Z",
        "lastUpdatedAt": "2026-01-01T00:00:00Z", "ttlMs": null, "pollIntervalMs": 20,
    });
    task.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    task
}

/// It has a question until that is answered.
fn asking(shared: &Shared) -> Value {
    let exchanges = shared.exchanges.lock().unwrap();
    let answered = exchanges.iter().find(|exchange| exchange.request.is("tasks/update"));
    let Some(answered) = answered else {
        let schema = object!({ "type": "object", "properties": {} });
        let params = object!({ "message": "who", "requestedSchema": schema });
        let form = object!({ "method": "elicitation/create", "params": params });
        return task(ASKS, "input_required", object!({ "inputRequests": { "form": form } }));
    };
    let said = answered.request.message["params"]["inputResponses"].to_string();
    let result = object!({ "content": [{ "type": "text", "text": said }] });
    task(ASKS, "completed", object!({ "result": result }))
}
