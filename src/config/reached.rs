//! The keys of how a server is reached: as a process, or behind a URL.

use serde_json::{Map, Value as Json, json};

use super::{
    auth,
    policies::maybe_time,
    reader::{Given, Reader},
    secrets::{self, IN_THE_OPEN, SOURCES, TAKE_IT_OUT},
    table::{Field, Table, Take, time_text},
    tree::{Node, Value},
    write_auth, written,
};
use crate::{
    HttpEra, Secret, Stdio, StreamableHttp,
    spec::{ArgValue, EnvValue, Pin},
};

pub(super) static STDIO: Table<Stdio> = Table(&[
    Field {
        name: "command",
        about: "The program to start: a path, or a name that is looked up on PATH.",
        take: Take::Other(
            read_command,
            || json!({ "type": ["string", "array", "object"], "items": { "type": "string" } }),
        ),
        get: |stdio| stdio.command.to_string_lossy().into(),
    },
    Field {
        name: "args",
        about: "Its arguments.",
        take: Take::Other(read_args, || {
            let item = json!({ "anyOf": [{ "type": ["string", "number", "boolean"] }, reference_schema()] });
            json!({ "type": "array", "items": item })
        }),
        get: |stdio| stdio.args.iter().map(written::argument).collect(),
    },
    Field {
        name: "env",
        about: "Its variables: a list of names to pass on, or an object of names and values.",
        take: Take::Other(
            read_env,
            || json!({ "anyOf": [{ "type": "array", "items": { "type": "string" } }, values_schema()] }),
        ),
        get: |stdio| written::environment(&stdio.env),
    },
    Field {
        name: "env_file",
        about: "A file with more variables, NAME=value on each line; env goes before them.",
        take: Take::Other(read_env_file, || json!({ "type": "string" })),
        get: |_| Json::Null,
    },
    Field {
        name: "cwd",
        about: "The folder that it is started in.",
        take: Take::Other(
            |stdio, node, reader| {
                if let Some(path) = reader.resolved(node) {
                    stdio.cwd = Some(path.into());
                }
            },
            || json!({ "type": "string" }),
        ),
        get: |stdio| stdio.cwd.as_ref().map(|path| path.to_string_lossy()).into(),
    },
    Field {
        name: "eof_grace",
        about: "How long it may take to exit after its stdin was closed. Default: 2s.",
        take: Take::Time(|stdio, time| stdio.eof_grace = time),
        get: |stdio| time_text(stdio.eof_grace),
    },
    Field {
        name: "term_grace",
        about: "How long its process group may take to exit after SIGTERM. Default: 2s.",
        take: Take::Time(|stdio, time| stdio.term_grace = time),
        get: |stdio| time_text(stdio.term_grace),
    },
]);

pub(super) static REMOTE: Table<StreamableHttp> = Table(&[
    Field {
        name: "url",
        about: "The URL of the server.",
        take: Take::Other(
            |remote, node, reader| {
                if let Some(url) = reader.resolved(node) {
                    remote.http.url = url;
                }
            },
            || json!({ "type": "string" }),
        ),
        get: |remote| remote.http.url.as_str().into(),
    },
    Field {
        name: "headers",
        about: "Headers that are sent with every request.",
        take: Take::Other(read_headers, values_schema),
        get: |remote| written::headers(&remote.http),
    },
    Field {
        name: "auth",
        about: "How the server is shown who we are.",
        take: Take::Other(auth::read, auth::schema),
        get: |remote| remote.http.auth.as_ref().map_or(Json::Null, write_auth::write),
    },
    Field {
        name: "era",
        about: "The era of MCP that it speaks, where that need not be found out.",
        take: Take::Choice(&["modern", "legacy"], |remote, text| {
            let era = if text == "modern" { HttpEra::Modern } else { HttpEra::Legacy };
            remote.http.pinned = Some(Pin::Streamable(era));
        }),
        get: |remote| match remote.http.pinned {
            Some(Pin::Streamable(HttpEra::Modern)) => "modern".into(),
            Some(Pin::Streamable(HttpEra::Legacy)) => "legacy".into(),
            Some(Pin::Sse) | None => Json::Null,
        },
    },
    Field {
        name: "connect_timeout",
        about: "How long a new connection may take. Default: 10s.",
        take: Take::Time(|remote, time| remote.http.client.connect_timeout = time),
        get: |remote| time_text(remote.http.client.connect_timeout),
    },
    Field {
        name: "keep_alive",
        about: "How long an idle connection is kept for the next request. Default: 30s.",
        take: Take::Time(|remote, time| remote.http.client.keep_alive = time),
        get: |remote| time_text(remote.http.client.keep_alive),
    },
    Field {
        name: "compression",
        about: "Whether compressed answers are asked for. Default: true.",
        take: Take::Flag(|remote, on| remote.http.client.compression = on),
        get: |remote| remote.http.client.compression.into(),
    },
    Field {
        name: "proxy",
        about: "The URL of a proxy to go through.",
        take: Take::Other(
            |remote, node, reader| {
                if let Some(url) = reader.resolved(node) {
                    remote.http.client.proxy = Some(url);
                }
            },
            || json!({ "type": "string" }),
        ),
        get: |remote| remote.http.client.proxy.as_deref().into(),
    },
    Field {
        name: "allow_plain_http",
        about: "Allows http:// to other machines, where everybody in between can read along.",
        take: Take::Flag(|remote, on| remote.http.plain_http = on),
        get: |remote| remote.http.plain_http.into(),
    },
    Field {
        name: "danger_accept_invalid_certificates",
        about: "Trusts any certificate: whoever is in between reads and changes everything.",
        take: Take::Flag(|remote, on| remote.http.client.verify = !on),
        get: |remote| (!remote.http.client.verify).into(),
    },
    Field {
        name: "root_certificate",
        about: "A PEM file with root certificates to trust besides the system's.",
        take: Take::Other(
            |remote, node, reader| {
                let pem = reader.file(node);
                remote.http.client.roots.extend(pem);
            },
            || json!({ "type": "string" }),
        ),
        get: |_| Json::Null,
    },
    Field {
        name: "client_certificate",
        about: "A PEM file with the certificate to show to the server, and its private key.",
        take: Take::Other(
            |remote, node, reader| {
                let pem = reader.file(node);
                remote.http.client.identity = pem.or(remote.http.client.identity.take());
            },
            || json!({ "type": "string" }),
        ),
        get: |_| Json::Null,
    },
    Field {
        name: "probe_every",
        about: "Asks an idle server this often whether it is still there. Off by default.",
        take: Take::Time(|remote, time| remote.http.probe_every = Some(time)),
        get: |remote| maybe_time(remote.http.probe_every),
    },
]);

/// An object that says where a secret is kept.
fn reference_schema() -> Json {
    let source = |source: &&str| {
        let list = json!({ "type": "array", "items": { "type": "string" } });
        let text = json!({ "type": "string" });
        ((*source).to_owned(), if *source == "exec" { list } else { text })
    };
    let sources: Map<String, Json> = SOURCES.iter().map(source).collect();
    json!({
        "type": "object", "properties": sources, "additionalProperties": false,
        "minProperties": 1, "maxProperties": 1,
    })
}

fn values_schema() -> Json {
    let plain = json!({ "type": ["string", "number", "boolean", "null"] });
    json!({ "type": "object", "additionalProperties": { "anyOf": [plain, reference_schema()] } })
}

/// A program, or a program and its arguments in one list, or, as Zed had it, all in one object.
fn read_command(stdio: &mut Stdio, node: &Node, reader: &mut Reader<'_>) {
    match &node.value {
        Value::List(nodes) => {
            let Some((program, arguments)) = nodes.split_first() else {
                return reader.expected(node, "a program");
            };
            read_command(stdio, program, reader);
            let arguments = arguments.iter().filter_map(|node| argument(node, reader)).collect();
            // Its own go first, wherever others stand.
            let others = std::mem::replace(&mut stdio.args, arguments);
            stdio.args.extend(others);
        }
        Value::Map(members) if node.get("path").is_some() => {
            for member in members {
                match member.name.as_str() {
                    "path" => read_command(stdio, &member.node, reader),
                    "args" => read_args(stdio, &member.node, reader),
                    "env" => read_env(stdio, &member.node, reader),
                    _ => reader.unknown(member, ["path", "args", "env"].into_iter()),
                }
            }
        }
        _ => {
            if let Some(command) = reader.resolved(node) {
                stdio.command = command.into();
            }
        }
    }
}

fn read_args(stdio: &mut Stdio, node: &Node, reader: &mut Reader<'_>) {
    let Value::List(nodes) = &node.value else { return reader.expected(node, "a list of texts") };
    let arguments = nodes.iter().filter_map(|node| argument(node, reader));
    stdio.args.extend(arguments.collect::<Vec<_>>());
}

fn argument(node: &Node, reader: &mut Reader<'_>) -> Option<ArgValue> {
    if matches!(node.value, Value::Map(_)) {
        return reader.secret(node).map(ArgValue::Secret);
    }
    Some(match reader.given(node)? {
        Given::Plain(text) => ArgValue::Literal(text.into()),
        Given::Secret(secret) => ArgValue::Secret(secret),
    })
}

fn read_env(stdio: &mut Stdio, node: &Node, reader: &mut Reader<'_>) {
    if matches!(node.value, Value::List(_)) {
        let names = reader.texts(node).unwrap_or_default();
        return stdio.env.extend(names.into_iter().map(|name| (name.into(), EnvValue::Inherited)));
    }
    let Some(members) = node.members() else {
        return reader.expected(node, "a list of names or an object of values");
    };
    reader.twice(members);
    for member in members {
        let value = match reader.value_of(&member.name, &member.node) {
            Some(Given::Plain(text)) => EnvValue::Literal(text.into()),
            Some(Given::Secret(secret)) => EnvValue::Secret(secret),
            None => continue,
        };
        stdio.env.push((member.name.clone().into(), value));
    }
}

/// Its variables go before those of `env`, so that the latter count.
fn read_env_file(stdio: &mut Stdio, node: &Node, reader: &mut Reader<'_>) {
    let Some(content) = reader.file(node) else { return };
    let mut variables = Vec::new();
    for pair in dotenvy::from_read_iter(content.as_slice()) {
        match pair {
            Ok((name, value)) if value.is_empty() => {
                variables.push((name.into(), EnvValue::Literal(value.into())));
            }
            Ok((name, value)) => {
                variables.push((name.into(), EnvValue::Secret(Secret::literal(value))));
            }
            // It would quote the line, and with it a secret.
            Err(_) => reader.fault(node.at, "a line of this file is not NAME=value", None),
        }
    }
    stdio.env.splice(0..0, variables);
}

fn read_headers(remote: &mut StreamableHttp, node: &Node, reader: &mut Reader<'_>) {
    let Some(members) = node.members() else { return reader.expected(node, "an object") };
    reader.twice(members);
    for member in members {
        let taken = std::mem::replace(remote, StreamableHttp::new(""));
        *remote = match reader.value_of(&member.name, &member.node) {
            Some(Given::Plain(value)) => taken.sensitive_header(&member.name, value),
            Some(Given::Secret(secret)) => taken.header_from(&member.name, secret),
            None => taken,
        };
    }
}

impl Reader<'_> {
    /// The value of a variable or a header.
    fn value_of(&mut self, name: &str, node: &Node) -> Option<Given> {
        match &node.value {
            Value::Null => {
                self.note(node.at, "nothing is said here, and nothing set");
                None
            }
            Value::Map(members) => match members.as_slice() {
                [one] if one.name == "static" => {
                    let text = self.text(&one.node)?;
                    Some(self.open_value(name, one.node.at, text))
                }
                _ => self.secret(node).map(Given::Secret),
            },
            _ => match self.given(node)? {
                Given::Plain(text) if text.starts_with("op://") => {
                    Some(Given::Secret(Secret::op(text)))
                }
                Given::Plain(text) => Some(self.open_value(name, node.at, text)),
                secret @ Given::Secret(_) => Some(secret),
            },
        }
    }

    /// A value that stands in the file; what looks like a secret is kept as one all the same.
    fn open_value(&mut self, name: &str, at: usize, text: String) -> Given {
        if !secrets::looks_secret(name, &text) {
            return Given::Plain(text);
        }
        self.warn(at, IN_THE_OPEN, Some(TAKE_IT_OUT.to_owned()));
        Given::Secret(Secret::literal(text))
    }
}
