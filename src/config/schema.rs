//! JSON Schema of what may stand in a file, made of the tables by which it is read.

#[cfg(feature = "hcl")]
use serde_json::Map;
use serde_json::{Value as Json, json};

use super::clients;
#[cfg(feature = "hcl")]
use super::{
    options::{CALLS, SERVER},
    reached::{REMOTE, STDIO},
};

/// The dialect that editors understand.
const DIALECT: &str = "http://json-schema.org/draft-07/schema#";

/// The forms in which servers are declared in files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Form {
    /// The JSON of MCP clients.
    Json,
    /// HCL, with the feature `hcl`.
    #[cfg(feature = "hcl")]
    Hcl,
}

/// JSON Schema (draft 7) of a form, for editors that check and complete.
///
/// That of HCL describes the JSON that stands for it: `{ "mcp_server": { "name": { … } } }`.
#[must_use]
pub fn schema(form: Form) -> Json {
    match form {
        Form::Json => of_json(),
        #[cfg(feature = "hcl")]
        Form::Hcl => of_hcl(),
    }
}

fn of_json() -> Json {
    let servers = json!({ "type": "object", "additionalProperties": clients::schema() });
    let vs_code =
        json!({ "type": "object", "required": ["servers"], "properties": { "servers": servers } });
    json!({
        "$schema": DIALECT,
        "title": "MCP servers",
        "type": "object",
        "properties": {
            "mcpServers": { "$ref": "#/definitions/servers" },
            "servers": { "$ref": "#/definitions/servers" },
            "context_servers": { "$ref": "#/definitions/servers" },
            "mcp": { "anyOf": [vs_code, { "$ref": "#/definitions/servers" }] },
            "inputs": { "type": "array", "items": input() },
        },
        "definitions": { "servers": servers },
    })
}

fn input() -> Json {
    json!({
        "type": "object",
        "required": ["id"],
        "properties": {
            "id": { "type": "string" },
            "type": { "type": "string" },
            "description": { "type": "string" },
            "default": { "type": "string" },
            "options": { "type": "array" },
            "password": { "type": "boolean" },
        },
    })
}

#[cfg(feature = "hcl")]
fn of_hcl() -> Json {
    let common = || {
        let mut properties = super::hcl::properties();
        properties.extend(SERVER.properties());
        properties.extend(CALLS.properties());
        properties
    };
    let block = |kinds: Json, wanted: &str, of_its_own: Map<String, Json>| {
        let mut properties = common();
        properties["transport"]["enum"] = kinds;
        properties.extend(of_its_own);
        json!({
            "type": "object",
            "required": ["transport", wanted],
            "properties": properties,
            "additionalProperties": false,
        })
    };
    let stdio = block(json!(["stdio"]), "command", STDIO.properties());
    let remote = json!(["streamable_http", "http", "http_sse"]);
    let remote = block(remote, "url", REMOTE.properties());
    json!({
        "$schema": DIALECT,
        "title": "MCP servers",
        "type": "object",
        "properties": {
            "mcp_server": { "type": "object", "additionalProperties": { "anyOf": [stdio, remote] } },
        },
    })
}
