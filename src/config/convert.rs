//! From declared servers back to a file.

use serde_json::{Map, Value as Json, json};

use super::{
    Fault, LoadError, Loaded,
    clients::{OWN, SHARED},
    options::{CALLS, SERVER},
    reached::{REMOTE, STDIO},
    secrets::looks_secret,
    write_auth::unwritten,
    written::is_open,
};
use crate::{
    ServerSpec, Stdio, StreamableHttp,
    policy::CallOptions,
    spec::{ArgValue, EnvValue, Http, Transport},
};

/// Servers as a text, and what of them is not in it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Converted {
    /// The text.
    pub text: String,
    /// What could not be written down, or not as it was: a line for each.
    pub left_out: Vec<String>,
}

/// A declared server in parts, as they stand in files.
pub(super) struct Parts {
    /// `stdio`, `http` or `sse`.
    pub(super) kind: &'static str,
    /// How it is reached.
    pub(super) reached: Map<String, Json>,
    /// Whatever else is declared.
    pub(super) own: Map<String, Json>,
    pub(super) left_out: Vec<String>,
}

/// The servers as JSON, as [`load`](super::load) reads it: under `mcpServers`, with what only
/// callboard knows under `"callboard"`. Secrets are written as references; one that is itself a value
/// becomes a reference to a variable, which has to be set.
#[must_use]
pub fn to_json(specs: &[ServerSpec]) -> Converted {
    let (mut servers, mut left_out) = (Map::new(), Vec::new());
    for spec in specs {
        let before = left_out.len();
        let Some(parts) = parts(spec, &mut left_out) else { continue };
        let mut entry = Map::from_iter([("type".to_owned(), Json::from(parts.kind))]);
        let mut own = parts.own;
        for (key, value) in parts.reached {
            let place = if SHARED.contains(&key.as_str()) { &mut entry } else { &mut own };
            place.insert(key, value);
        }
        if !own.is_empty() {
            entry.insert(OWN.to_owned(), own.into());
        }
        let alone = json!({ "mcpServers": { spec.name(): entry } });
        let back = super::parse_json(&alone.to_string(), "");
        read_back(spec, back, (&mut left_out, before));
        servers.insert(spec.name().to_owned(), entry.into());
    }
    Converted { text: pretty(&json!({ "mcpServers": servers })), left_out }
}

/// JSON as it stands in a file.
pub(super) fn pretty(document: &Json) -> String {
    format!("{document:#}\n")
}

/// Takes a server apart; what is not in the parts is added to `left_out`, with its name.
pub(super) fn parts(spec: &ServerSpec, left_out: &mut Vec<String>) -> Option<Parts> {
    let mut parts = match &spec.transport {
        Transport::Stdio(stdio) => of_stdio(stdio),
        Transport::StreamableHttp(remote) => of_remote("http", remote),
        Transport::HttpSse(remote) => {
            let mut plain = StreamableHttp::new("");
            plain.http = Http { pinned: None, ..remote.http.clone() };
            of_remote("sse", &plain)
        }
        Transport::Memory(_) => {
            left_out.push(format!("{}: it is a server in this process", spec.name()));
            return None;
        }
    };
    let default = ServerSpec::new("", Stdio::new(""));
    parts.own = SERVER.write(spec, &default);
    parts.own.extend(CALLS.write(&spec.call_options, &CallOptions::default()));
    if !spec.layers.is_empty() {
        parts.left_out.push("its layers".to_owned());
    }
    let name = spec.name();
    left_out.extend(parts.left_out.drain(..).map(|what| format!("{name}: {what}")));
    Some(parts)
}

fn of_stdio(stdio: &Stdio) -> Parts {
    let mut left_out = Vec::new();
    let some_inherited = stdio.env.iter().any(|(_, value)| *value == EnvValue::Inherited);
    let all_inherited = stdio.env.iter().all(|(_, value)| *value == EnvValue::Inherited);
    for (name, value) in &stdio.env {
        let name = name.to_string_lossy();
        match value {
            EnvValue::Secret(secret) if is_open(secret) => {
                left_out.push(format!("the value of env.{name}: set the variable {name}"));
            }
            EnvValue::Literal(text) if looks_secret(&name, &text.to_string_lossy()) => {
                left_out.push(format!("the value of env.{name}: set the variable {name}"));
            }
            EnvValue::Inherited if some_inherited && !all_inherited => {
                left_out.push(format!("that {name} need not be set"));
            }
            EnvValue::Secret(_) | EnvValue::Literal(_) | EnvValue::Inherited => {}
        }
    }
    let open = |arg: &&ArgValue| matches!(arg, ArgValue::Secret(secret) if is_open(secret));
    left_out.extend(
        stdio.args.iter().filter(open).map(|_| "an argument: set the variable SECRET".to_owned()),
    );
    let marked = |arg: &&ArgValue| matches!(arg, ArgValue::Literal(text) if text.to_string_lossy().contains("${"));
    if stdio.args.iter().any(|arg| marked(&arg)) {
        left_out.push("that ${ in an argument is no variable".to_owned());
    }
    let reached = STDIO.write(stdio, &Stdio::new(""));
    Parts { kind: "stdio", reached, own: Map::new(), left_out }
}

fn of_remote(kind: &'static str, remote: &StreamableHttp) -> Parts {
    let (http, mut left_out) = (&remote.http, Vec::new());
    let of_client = [
        (http.given.is_some(), "its client"),
        (!http.client.roots.is_empty(), "its root certificates: name their file"),
        (http.client.identity.is_some(), "its client certificate: name its file"),
    ];
    left_out.extend(of_client.into_iter().filter(|(is, _)| *is).map(|(_, what)| what.to_owned()));
    let open = http.secret_headers.iter().filter(|(_, secret)| is_open(secret));
    let shown = http.headers.iter().filter(|(name, value)| {
        looks_secret(name.as_str(), &String::from_utf8_lossy(value.as_bytes()))
    });
    for name in open.map(|(name, _)| name).chain(shown.map(|(name, _)| name)) {
        let variable = super::written::variable_name(name.as_str());
        left_out.push(format!("the value of the header {name}: set the variable {variable}"));
    }
    left_out.extend(http.auth.iter().flat_map(unwritten));
    let mut reached = REMOTE.write(remote, &StreamableHttp::new(""));
    if reached.get("headers").and_then(Json::as_object).is_some_and(Map::is_empty) {
        reached.remove("headers");
    }
    Parts { kind, reached, own: Map::new(), left_out }
}

/// Adds what nobody foresaw: that what is written of a server does not come to the same when it is
/// read, where nothing was said of it, or cannot be read at all.
pub(super) fn read_back(
    spec: &ServerSpec,
    back: Result<Loaded, LoadError>,
    (left_out, before): (&mut Vec<String>, usize),
) {
    let name = spec.name();
    let fault = match &back {
        Ok(loaded) => loaded.faults.first(),
        Err(LoadError::Syntax(fault)) => Some(fault),
        Err(_) => None,
    };
    if let Some(Fault { path, message, .. }) = fault {
        left_out.push(format!("{name}: it cannot be read as it is written: {path}: {message}"));
    } else if left_out.len() == before && back.is_ok_and(|back| back.specs != [spec.clone()]) {
        left_out.push(format!("{name}: it is not the same when it is read"));
    }
}
