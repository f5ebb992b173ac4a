//! What the files of clients call things, and what of it means nothing here.

use serde_json::{Value as Json, json};

use super::{
    entry::{Entry, kinds},
    options::SERVER,
    reached::{REMOTE, STDIO},
    reader::Reader,
    table::{Field, Table, Take},
    tree::{Member, Node, Value},
};
#[cfg(feature = "oauth")]
use crate::OAuth;
use crate::{Auth, Secret, StreamableHttp};

/// Where our own keys stand in an entry.
pub(super) const OWN: &str = "callboard";

/// What a client calls something, and what it is called here.
const ALIASES: [(&str, &str); 10] = [
    ("environment", "env"),
    ("envFile", "env_file"),
    ("envfile", "env_file"),
    ("env_vars", "env"),
    ("workingDirectory", "cwd"),
    ("serverUrl", "url"),
    ("httpUrl", "url"),
    ("http_headers", "headers"),
    ("type", "transport"),
    ("transportType", "transport"),
];

pub(super) fn ours(name: &str) -> &str {
    ALIASES.iter().find(|(theirs, _)| *theirs == name).map_or(name, |(_, ours)| ours)
}

/// The keys that clients have for how a server is reached; any other of ours stands under our own.
pub(super) const SHARED: [&str; 7] =
    ["command", "args", "env", "env_file", "cwd", "url", "headers"];

/// Keys that say how a client behaves, and mean nothing to a runtime.
const THEIRS: [&str; 31] = [
    "alwaysAllow",
    "alwaysLoad",
    "autoApprove",
    "autoApproved",
    "autoStart",
    "chatTitle",
    "default_tools_approval_mode",
    "description",
    "dev",
    "displayName",
    "gallery",
    "icon",
    "id",
    "initTimeout",
    "instructions",
    "isActive",
    "label",
    "logo",
    "metadata",
    "name",
    "note",
    "provider",
    "sandbox",
    "scopes",
    "settings",
    "source",
    "supports_parallel_tool_calls",
    "tags",
    "tools",
    "trust",
    "version",
];

/// Keys that do something for which there is another way here.
const MISSED: [(&str, &str); 2] = [
    ("headersHelper", "name the program under callboard: auth of the type bearer, with exec"),
    ("sandboxEnabled", "start it in a sandbox by its command"),
];

/// What clients call the tools that are offered, and those that are not.
const TOOLS: [(&str, &str); 7] = [
    ("enabledTools", "only_tools"),
    ("enabled_tools", "only_tools"),
    ("includeTools", "only_tools"),
    ("tools", "only_tools"),
    ("disabledTools", "without_tools"),
    ("disabled_tools", "without_tools"),
    ("excludeTools", "without_tools"),
];

static CLIENT: Table<Entry> = Table(&[
    Field {
        name: "transport",
        about: "How it is reached, where that does not follow from the other keys.",
        take: Take::Other(
            |entry, node, reader| entry.read_kind(node, true, reader),
            || json!({ "enum": kinds(true).collect::<Vec<_>>() }),
        ),
        get: |_| Json::Null,
    },
    Field {
        name: "disabled",
        about: "Leaves the server out.",
        take: Take::Flag(|entry, disabled| entry.disabled |= disabled),
        get: |_| Json::Null,
    },
    Field {
        name: "enabled",
        about: "Whether the server is not left out.",
        take: Take::Flag(|entry, enabled| entry.disabled |= !enabled),
        get: |_| Json::Null,
    },
    Field {
        name: "timeout",
        about: "A time that each client understands otherwise.",
        take: Take::Other(read_timeout, || json!({ "type": "number" })),
        get: |_| Json::Null,
    },
    Field {
        name: "oauth",
        about: "The client as it was registered for a login.",
        take: Take::Other(read_login, || json!({ "type": ["object", "boolean"] })),
        get: |_| Json::Null,
    },
    Field {
        name: "auth",
        about: "The client as it was registered for a login.",
        take: Take::Other(read_login, || json!({ "type": "object" })),
        get: |_| Json::Null,
    },
    Field {
        name: "required",
        about: "Makes opening the session wait for this server.",
        take: Take::Flag(|entry, required| entry.spec.required = required),
        get: |_| Json::Null,
    },
    Field {
        name: "startup_timeout_sec",
        about: "How long one start may take.",
        take: Take::Time(|entry, time| entry.spec.init_timeout = time),
        get: |_| Json::Null,
    },
    Field {
        name: "tool_timeout_sec",
        about: "How long a call may take in all.",
        take: Take::Time(|entry, time| entry.spec.call_options.total_timeout = Some(time)),
        get: |_| Json::Null,
    },
    Field {
        name: "bearer_token_env_var",
        about: "The variable that holds a bearer token.",
        take: Take::Text(|entry, name| {
            entry.remote.http.auth = Some(Auth::bearer(Secret::env(name)));
        }),
        get: |_| Json::Null,
    },
    Field {
        name: "env_http_headers",
        about: "Headers, and the variables that hold their values.",
        take: Take::Other(
            read_header_variables,
            || json!({ "type": "object", "additionalProperties": { "type": "string" } }),
        ),
        get: |_| Json::Null,
    },
    Field {
        name: OWN,
        about: "What only callboard knows.",
        take: Take::Other(read_own, own_schema),
        get: |_| Json::Null,
    },
]);

/// Reads the keys of an entry of a client's file.
pub(super) fn read(entry: &mut Entry, members: &[Member], reader: &mut Reader<'_>) {
    for member in members {
        let key = (ours(&member.name), &member.node);
        // Codex has settings of tools by this name, too.
        let is_list = matches!(member.node.value, Value::List(_));
        let tools = TOOLS.iter().find(|(theirs, _)| *theirs == member.name && is_list);
        let known = tools
            .is_some_and(|(_, ours)| SERVER.take(&mut entry.spec, (ours, &member.node), reader))
            || CLIENT.take(entry, key, reader)
            || (SHARED.contains(&key.0)
                && (STDIO.take(&mut entry.stdio, key, reader)
                    || REMOTE.take(&mut entry.remote, key, reader)));
        if !known {
            unmeant(member, reader);
        }
    }
}

/// A key that has no effect here.
fn unmeant(member: &Member, reader: &mut Reader<'_>) {
    let name = member.name.as_str();
    let missed = MISSED.iter().find(|(missed, _)| *missed == name);
    if THEIRS.contains(&name) {
        reader.note(member.at, "it is for clients, and has no effect here");
    } else if let Some((_, instead)) = missed {
        reader.warn(member.at, "it has no effect here", Some((*instead).to_owned()));
    } else if Entry::names().any(|own| own == name) {
        let hint = format!("put it under {OWN:?}");
        reader.warn(member.at, "it has no effect here", Some(hint));
    } else {
        let theirs = ALIASES.into_iter().chain(TOOLS).map(|(theirs, _)| theirs);
        let known = CLIENT.names().chain(SHARED).chain(theirs);
        reader.unknown(member, known);
    }
}

fn read_header_variables(entry: &mut Entry, node: &Node, reader: &mut Reader<'_>) {
    let Some(members) = node.members() else { return reader.expected(node, "an object") };
    for member in members {
        let Some(name) = reader.text(&member.node) else { continue };
        let taken = std::mem::replace(&mut entry.remote, StreamableHttp::new(""));
        entry.remote = taken.header_from(&member.name, Secret::env(name));
    }
}

/// Seconds, milliseconds, for the start or for a call: clients do not agree.
fn read_timeout(_: &mut Entry, node: &Node, reader: &mut Reader<'_>) {
    let hint = format!("say {OWN:?}: {{ \"request_timeout\": \"60s\" }}, or \"init_timeout\"");
    reader.warn(node.at, "clients differ in what it means, and it has no effect here", Some(hint));
}

fn read_own(entry: &mut Entry, node: &Node, reader: &mut Reader<'_>) {
    let Some(members) = node.members() else { return reader.expected(node, "an object") };
    reader.twice(members);
    let before = std::mem::replace(&mut reader.strict, true);
    for member in members {
        if !entry.take(member, reader) {
            reader.unknown(member, Entry::names());
        }
    }
    reader.strict = before;
}

/// The schema of our own keys.
pub(super) fn own_schema() -> Json {
    let mut properties = SERVER.properties();
    properties.extend(super::options::CALLS.properties());
    properties.extend(STDIO.properties());
    properties.extend(REMOTE.properties());
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

/// The schema of an entry. Clients have more keys than are known here, so others may stand there.
pub(super) fn schema() -> Json {
    let shared = |name: &str| SHARED.contains(&name);
    let mut properties = CLIENT.properties();
    properties.extend(STDIO.properties().into_iter().filter(|(name, _)| shared(name)));
    properties.extend(REMOTE.properties().into_iter().filter(|(name, _)| shared(name)));
    let tools = json!({ "type": "array", "items": { "type": "string" } });
    properties.extend(TOOLS.map(|(theirs, _)| (theirs.to_owned(), tools.clone())));
    for (theirs, ours) in ALIASES {
        if let Some(schema) = properties.get(ours).cloned() {
            properties.insert(theirs.to_owned(), schema);
        }
    }
    json!({ "type": "object", "properties": properties })
}

/// `oauth` of Claude Code and opencode, `auth` of Cursor: a client that was registered by hand.
#[cfg(feature = "oauth")]
fn read_login(entry: &mut Entry, node: &Node, reader: &mut Reader<'_>) {
    let Some(members) = node.members() else {
        // `false` says that there is none.
        return if !matches!(node.value, Value::Flag(_)) {
            reader.expected(node, "an object")
        };
    };
    let (mut id, mut secret, mut login) = (None, None, OAuth::new("callboard"));
    for member in members {
        let node = &member.node;
        match member.name.as_str() {
            "clientId" | "client_id" | "CLIENT_ID" => id = reader.resolved(node),
            "clientSecret" | "client_secret" | "CLIENT_SECRET" => secret = reader.secret(node),
            "redirectUri" | "redirect_uri" => {
                login = reader
                    .resolved(node)
                    .map(|uri| login.clone().redirect_uri(uri))
                    .unwrap_or(login);
            }
            "callbackPort" => {
                if let Value::Number(port) = &node.value {
                    login = login.redirect_uri(format!("http://localhost:{port}/callback"));
                }
            }
            "scope" | "scopes" => {
                let scopes = match node.text() {
                    Some(text) => Some(text.split_whitespace().map(str::to_owned).collect()),
                    None => reader.texts(node),
                };
                login = login.scopes(scopes.unwrap_or_default());
            }
            _ => {
                let known =
                    ["clientId", "clientSecret", "redirectUri", "callbackPort", "scope", "scopes"];
                reader.unknown(member, known.into_iter());
            }
        }
    }
    login = match (id, secret) {
        (Some(id), Some(secret)) => login.client(id, secret),
        (Some(id), None) => login.client_id(id),
        (None, _) => login,
    };
    entry.remote.http.auth = Some(Auth::oauth(login));
}

#[cfg(not(feature = "oauth"))]
fn read_login(_: &mut Entry, node: &Node, reader: &mut Reader<'_>) {
    if !matches!(node.value, Value::Flag(_)) {
        let hint = "build with the cargo feature `oauth` of callboard";
        reader.warn(node.at, "this program was built without OAuth", Some(hint.to_owned()));
    }
}
