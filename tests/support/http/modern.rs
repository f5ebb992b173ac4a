//! Streamable HTTP of MCP 2026-07-28, with every header checked.

use std::sync::Arc;

use serde_json::{Value, json as object};

use super::{
    Request, Step, answer,
    dialect::{Reply, capabilities, complete, identity, refused, reply},
    request::decoded,
    shared::Shared,
    status,
};

const REVISION: &str = "2026-07-28";
const HEADER_MISMATCH: i64 = -32020;
const UNSUPPORTED_VERSION: i64 = -32022;
const NO_METHOD: i64 = -32601;

pub(crate) fn proper(shared: &Arc<Shared>, request: &Request) -> Vec<Step> {
    if request.verb != "POST" {
        return status(405);
    }
    // A client that looks for an older server is no fault.
    if request.method() == "initialize" {
        return refused(request, 404, NO_METHOD, "this server speaks 2026-07-28");
    }
    if request.message["id"].is_null() {
        shared.breach(request, "2026-07-28 over HTTP has no notifications of a client");
        return status(202);
    }
    if let Some(fault) = fault(shared, request) {
        shared.breach(request, &fault);
        return refused(request, 400, HEADER_MISMATCH, &fault);
    }
    let revisions = shared.settings.lock().unwrap().revisions.clone();
    if request.method() == "server/discover" {
        return discover(shared, request, &revisions);
    }
    if !revisions.contains(&REVISION) {
        return refused(request, 400, UNSUPPORTED_VERSION, "no such revision");
    }
    let style = shared.settings.lock().unwrap().style;
    match reply(shared, request) {
        Some(reply) => reply.steps(style, &[]),
        None => refused(request, 404, NO_METHOD, "no such method"),
    }
}

fn discover(shared: &Shared, request: &Request, revisions: &[&str]) -> Vec<Step> {
    let result = complete(object!({
        "supportedVersions": revisions,
        "capabilities": capabilities(shared),
        "serverInfo": identity(),
    }));
    Reply::plain(answer(request, &result)).steps(shared.settings.lock().unwrap().style, &[])
}

/// What is wrong with the headers of a request (C12, C13).
fn fault(shared: &Shared, request: &Request) -> Option<String> {
    let meta = &request.message["params"]["_meta"];
    let revision = meta["io.modelcontextprotocol/protocolVersion"].as_str();
    let accept = request.header("accept").unwrap_or_default();
    let expected = [
        ("mcp-protocol-version", revision),
        ("mcp-method", Some(request.method())),
        ("content-type", Some("application/json")),
    ];
    let wrong = expected.into_iter().find(|(name, value)| request.header(name) != *value);
    if let Some((name, value)) = wrong {
        return Some(format!("{name} is {:?} and not {value:?}", request.header(name)));
    }
    if !accept.contains("application/json") || !accept.contains("text/event-stream") {
        return Some(format!("accept is {accept:?}"));
    }
    if !meta["io.modelcontextprotocol/clientCapabilities"].is_object() {
        return Some("no client capabilities".to_owned());
    }
    let stray = ["mcp-session-id", "last-event-id"];
    if let Some(name) = stray.into_iter().find(|name| request.header(name).is_some()) {
        return Some(format!("{name} is none of this revision"));
    }
    let name = request.header("mcp-name").map(decoded);
    if name != subject(request).map(|name| Some(name.to_owned())) {
        return Some(format!("mcp-name is {name:?}"));
    }
    if request.method() != "tools/call" {
        return None;
    }
    parameter_fault(shared, request)
}

/// What a request is about, where its headers have to say so; `None` where there is no such thing.
fn subject(request: &Request) -> Option<&str> {
    let key = match request.method() {
        "tools/call" | "prompts/get" => "name",
        "resources/read" => "uri",
        method if method.starts_with("tasks/") => "taskId",
        _ => return None,
    };
    Some(request.message["params"][key].as_str().unwrap_or_default())
}

/// What is wrong with the headers that mirror arguments.
fn parameter_fault(shared: &Shared, request: &Request) -> Option<String> {
    let settings = shared.settings.lock().unwrap();
    let tool = settings.tools.iter().find(|tool| tool["name"] == request.tool())?;
    let mut annotated = Vec::new();
    annotations(&tool["inputSchema"], &request.message["params"]["arguments"], &mut annotated);
    annotated.into_iter().find_map(|(header, value)| {
        let told = request.header(&format!("mcp-param-{header}")).map(decoded);
        let expected = match &value {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        let fits = told.as_ref().map(Option::as_ref) == expected.as_ref().map(Some);
        (!fits).then(|| format!("mcp-param-{header} is {told:?}, and the body says {expected:?}"))
    })
}

/// The annotated properties of a schema, each with its value in the arguments.
fn annotations(schema: &Value, arguments: &Value, found: &mut Vec<(String, Value)>) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let value = &arguments[name];
        if let Some(header) = property["x-mcp-header"].as_str() {
            found.push((header.to_owned(), value.clone()));
        }
        annotations(property, value, found);
    }
}
