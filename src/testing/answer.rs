//! What a test server answers.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};

use super::{Board, Era, Fault, fault::lists, serving::Deed};
use crate::{
    error::DownCause,
    transport::memory::Refusal,
    wire::{self, Incoming},
};

const METHOD_NOT_FOUND: i64 = -32601;
const INVALID_PARAMS: i64 = -32602;
const RESOURCE_NOT_FOUND: i64 = -32002;

type Answered = Result<Value, (i64, String)>;

impl Board {
    /// What is done about a message: nothing, where it needs no answer.
    pub(super) async fn answer(self: Arc<Self>, line: String) -> Option<Deed> {
        let Incoming::Request { id, method, params } = wire::classify(line.as_bytes()) else {
            return None;
        };
        let params: Value =
            params.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
        let greeting = self.greet(&method);
        let fault = self.next_fault(&method, greeting.is_some());
        let answered = match Before::of(fault, id) {
            Before::Answer(error) => Err(error),
            Before::Do(deed) => return Some(deed),
            Before::Hang => return std::future::pending().await,
            Before::Go => match (&self.tape, greeting) {
                (Some(tape), _) if method != "subscriptions/listen" => {
                    let message = tape.play(id, &method, &params);
                    let Some(message) = message else { return std::future::pending().await };
                    return Some(after(fault, id, message).await);
                }
                (None, Some(greeting)) => greeting,
                (_, _) => self.serve_request(&method, &params).await?,
            },
        };
        let message = match answered {
            Ok(mut result) => {
                if fault == Fault::EndlessCursor && lists(&method) {
                    result["nextCursor"] = json!(self.next_page());
                }
                wire::answer(id, Ok(&result))
            }
            Err((code, message)) => wire::answer(id, Err::<&(), _>((code, &message))),
        };
        Some(after(fault, id, message).await)
    }

    /// The fault that a request meets.
    fn next_fault(&self, method: &str, greets: bool) -> Fault {
        let mut offers = self.offers.lock();
        if offers.fault != Fault::None && !greets {
            return offers.fault;
        }
        offers.faults.as_mut().map_or(Fault::None, |plan| plan.next(method))
    }

    fn next_page(&self) -> String {
        let mut offers = self.offers.lock();
        offers.pages += 1;
        format!("page {}", offers.pages)
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

/// What a fault has done before a request is acted on.
enum Before {
    /// It is acted on.
    Go,
    Answer((i64, String)),
    Do(Deed),
    Hang,
}

impl Before {
    fn of(fault: Fault, id: &RawValue) -> Self {
        Self::Do(match fault {
            Fault::Hang => return Self::Hang,
            Fault::Error(code) => return Self::Answer((code, "as the test wants".to_owned())),
            Fault::Disconnect => Deed::Leave(None),
            Fault::Garbage => {
                Deed::Send(format!("{{\"id\":{},\"result\":\n", id.get()).into_bytes())
            }
            Fault::Exit(code) => Deed::Leave(Some(DownCause::Exited { code })),
            Fault::Signal(signal) => Deed::Leave(Some(DownCause::Signalled { signal })),
            Fault::Status(status) if status < 500 => match refusal(id, status) {
                Some(deed) => deed,
                None => return Self::Hang,
            },
            Fault::StallReading => Deed::StopReading,
            Fault::None
            | Fault::Status(_)
            | Fault::StallWriting
            | Fault::Lose
            | Fault::Delay(_)
            | Fault::Duplicate
            | Fault::Reorder
            | Fault::Truncate
            | Fault::Slow(_)
            | Fault::EndlessCursor => return Self::Go,
        })
    }
}

/// What a fault makes of an answer.
async fn after(fault: Fault, id: &RawValue, mut message: Vec<u8>) -> Deed {
    match fault {
        Fault::Status(status) => {
            if let Some(refused) = refusal(id, status) {
                return refused;
            }
        }
        Fault::StallWriting => return Deed::StopWriting,
        Fault::Lose => return std::future::pending().await,
        Fault::Delay(time) => tokio::time::sleep(time).await,
        Fault::Duplicate => message.extend_from_within(..),
        Fault::Reorder => return Deed::SendLater(message),
        Fault::Truncate => return Deed::SendHalf(message),
        Fault::Slow(pause) => return Deed::SendSlowly(message, pause),
        Fault::None
        | Fault::Hang
        | Fault::Disconnect
        | Fault::Error(_)
        | Fault::Garbage
        | Fault::Exit(_)
        | Fault::Signal(_)
        | Fault::StallReading
        | Fault::EndlessCursor => {}
    }
    Deed::Send(message)
}

/// The refusal of a request that is ours: ours have numbers.
fn refusal(id: &RawValue, status: u16) -> Option<Deed> {
    wire::request_id(id.get()).map(|request| Deed::Refuse(Refusal { request, status }))
}
