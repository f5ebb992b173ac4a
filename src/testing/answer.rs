//! What a test server answers.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Board, Era, Fault};
use crate::wire::{self, Incoming};

const METHOD_NOT_FOUND: i64 = -32601;
const INVALID_PARAMS: i64 = -32602;
const RESOURCE_NOT_FOUND: i64 = -32002;

/// What a server says to a message.
pub(super) enum Said {
    Message(Vec<u8>),
    /// It ends the connection.
    Goodbye,
}

type Answered = Result<Value, (i64, String)>;

impl Board {
    /// The answer to a message, if it needs one.
    pub(super) async fn answer(self: Arc<Self>, line: String) -> Option<Said> {
        let Incoming::Request { id, method, params } = wire::classify(line.as_bytes()) else {
            return None;
        };
        let params: Value =
            params.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
        let fault = self.offers.lock().fault;
        let answered = match (self.greet(&method), fault) {
            (Some(greeting), _) => greeting,
            (None, Fault::None) => self.serve_request(&method, &params).await?,
            (None, Fault::Hang) => return std::future::pending().await,
            (None, Fault::Disconnect) => return Some(Said::Goodbye),
            (None, Fault::Garbage) => {
                let garbage = format!("{{\"id\":{},\"result\":\n", id.get());
                return Some(Said::Message(garbage.into_bytes()));
            }
            (None, Fault::Error(code)) => Err((code, "as the test wants".to_owned())),
        };
        Some(Said::Message(match answered {
            Ok(result) => wire::answer(id, Ok(&result)),
            Err((code, message)) => wire::answer(id, Err::<&(), _>((code, &message))),
        }))
    }

    fn greet(&self, method: &str) -> Option<Answered> {
        let server = json!({ "name": "callboard-testing", "version": env!("CARGO_PKG_VERSION") });
        let capabilities = json!({
            "tools": { "listChanged": true },
            "resources": { "listChanged": true, "subscribe": true },
            "prompts": { "listChanged": true },
        });
        match (self.era, method) {
            (Era::Modern, "server/discover") => Some(Ok(json!({
                "resultType": "complete",
                "supportedVersions": ["2026-07-28"],
                "capabilities": capabilities,
                "serverInfo": server,
            }))),
            (Era::Legacy, "initialize") => Some(Ok(json!({
                "protocolVersion": "2025-11-25",
                "capabilities": capabilities,
                "serverInfo": server,
            }))),
            (Era::Modern, "initialize") | (Era::Legacy, "server/discover") => {
                Some(Err((METHOD_NOT_FOUND, "not in this revision".to_owned())))
            }
            _ => None,
        }
    }

    /// The answer to a request after the handshake; none to one that stands as long as it is wanted.
    async fn serve_request(&self, method: &str, params: &Value) -> Option<Answered> {
        let answered = match method {
            "ping" | "resources/subscribe" | "resources/unsubscribe" => Ok(json!({})),
            "tools/list" => Ok(json!({ "tools": self.list_tools() })),
            "tools/call" => self.call(params).await,
            "resources/list" => Ok(json!({ "resources": self.list_resources() })),
            "resources/templates/list" => Ok(json!({ "resourceTemplates": [] })),
            "resources/read" => self.read(&params["uri"]),
            "prompts/list" => Ok(json!({ "prompts": self.list_prompts() })),
            "prompts/get" => self.prompt(params),
            "subscriptions/listen" => {
                let granted = &params["notifications"];
                let acknowledged = json!({ "notifications": granted, "_meta": {} });
                self.tell("notifications/subscriptions/acknowledged", &acknowledged);
                return None;
            }
            _ => Err((METHOD_NOT_FOUND, format!("no such method: {method}"))),
        };
        Some(answered)
    }

    fn list_tools(&self) -> Vec<Value> {
        let offers = self.offers.lock();
        let describe = |(name, (schema, _)): (&String, &(Value, super::Tool))| json!({ "name": name, "inputSchema": schema });
        offers.tools.iter().map(describe).collect()
    }

    fn list_resources(&self) -> Vec<Value> {
        let offers = self.offers.lock();
        offers.resources.keys().map(|uri| json!({ "uri": uri, "name": uri })).collect()
    }

    fn list_prompts(&self) -> Vec<Value> {
        self.offers.lock().prompts.keys().map(|name| json!({ "name": name })).collect()
    }

    async fn call(&self, params: &Value) -> Answered {
        #[derive(Deserialize)]
        struct Call {
            name: String,
            #[serde(default)]
            arguments: Map<String, Value>,
        }
        let Call { name, arguments } =
            Call::deserialize(params).map_err(|error| (INVALID_PARAMS, error.to_string()))?;
        let arguments = Value::Object(arguments);
        let tool = {
            let mut offers = self.offers.lock();
            offers.calls.push((name.clone(), arguments.clone()));
            offers.tools.get(&name).map(|(_, tool)| Arc::clone(tool))
        };
        let tool = tool.ok_or_else(|| (INVALID_PARAMS, format!("no such tool: {name}")))?;
        let text = |text: &str| json!([{ "type": "text", "text": text }]);
        Ok(match tool(arguments).await {
            Ok(Value::String(said)) => json!({ "content": text(&said) }),
            Ok(value) => json!({ "content": text(&value.to_string()), "structuredContent": value }),
            Err(said) => json!({ "content": text(&said), "isError": true }),
        })
    }

    fn read(&self, uri: &Value) -> Answered {
        let uri = uri.as_str().unwrap_or_default();
        let read = self.offers.lock().resources.get(uri).map(Arc::clone);
        let missing = if self.era == Era::Modern { INVALID_PARAMS } else { RESOURCE_NOT_FOUND };
        let read = read.ok_or_else(|| (missing, format!("no such resource: {uri}")))?;
        Ok(json!({ "contents": [{ "uri": uri, "mimeType": "text/plain", "text": read() }] }))
    }

    fn prompt(&self, params: &Value) -> Answered {
        let name = params["name"].as_str().unwrap_or_default();
        let prompt = self.offers.lock().prompts.get(name).map(Arc::clone);
        let prompt = prompt.ok_or_else(|| (INVALID_PARAMS, format!("no such prompt: {name}")))?;
        let said = prompt(params["arguments"].clone());
        let content = json!({ "type": "text", "text": said });
        Ok(json!({ "messages": [{ "role": "user", "content": content }] }))
    }
}
