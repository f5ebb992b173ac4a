//! One server as it would stand in the file of a client.

use serde_json::{Map, Value as Json, json};

use super::{
    convert::{Converted, Parts, parts, pretty},
    words::{self, Word},
};
use crate::ServerSpec;

/// A client whose file a server can be written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Client {
    /// Claude Desktop and Claude Code.
    Claude,
    /// Cursor.
    Cursor,
    /// VS Code.
    VsCode,
    /// opencode.
    OpenCode,
    /// Codex.
    Codex,
}

impl Client {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Claude, Self::Cursor, Self::VsCode, Self::OpenCode, Self::Codex];

    /// Its name in lower case, such as `vscode`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Claude => "claude",
            Self::Cursor => "cursor",
            Self::VsCode => "vscode",
            Self::OpenCode => "opencode",
            Self::Codex => "codex",
        }
    }
}

/// What of a server a client's file can say, in the client's own words: JSON, and TOML for Codex.
/// Secrets are written as references to variables.
#[must_use]
pub fn snippet(client: Client, spec: &ServerSpec) -> Converted {
    let mut left_out = Vec::new();
    let Some(parts) = parts(spec, &mut left_out) else {
        return Converted { text: String::new(), left_out };
    };
    let mut writer = Writer { client, left_out };
    if !parts.own.is_empty() {
        let keys: Vec<_> = parts.own.keys().map(String::as_str).collect();
        writer.left_out.push(format!("what only callboard knows: {}", keys.join(", ")));
    }
    let text = match client {
        Client::Claude | Client::Cursor => {
            pretty(&json!({ "mcpServers": { spec.name(): writer.entry(&parts) } }))
        }
        Client::VsCode => pretty(&json!({ "servers": { spec.name(): writer.entry(&parts) } })),
        Client::OpenCode => pretty(&json!({ "mcp": { spec.name(): writer.opencode(&parts) } })),
        Client::Codex => writer.codex(spec.name(), &parts),
    };
    Converted { text, left_out: writer.left_out }
}

struct Writer {
    client: Client,
    left_out: Vec<String>,
}

impl Writer {
    fn entry(&mut self, parts: &Parts) -> Json {
        let mut entry = Map::new();
        // Those of Claude and VS Code name the transport; Cursor finds it out.
        if self.client != Client::Cursor || parts.kind == "sse" {
            entry.insert("type".to_owned(), parts.kind.into());
        }
        for (key, value) in &parts.reached {
            match key.as_str() {
                "command" | "cwd" | "url" => drop(entry.insert(key.clone(), value.clone())),
                "args" => drop(entry.insert(key.clone(), self.texts(value).into())),
                "env" | "headers" => drop(entry.insert(key.clone(), self.values(value).into())),
                "auth" => {}
                other => self.left_out.push(other.to_owned()),
            }
        }
        if let Some((header, value)) = self.auth(parts) {
            let headers = entry.entry("headers").or_insert_with(|| json!({}));
            headers[header] = value.into();
        }
        entry.into()
    }

    fn opencode(&mut self, parts: &Parts) -> Json {
        let Json::Object(mut entry) = self.entry(parts) else { return Json::Null };
        let local = parts.kind == "stdio";
        entry.insert("type".to_owned(), if local { "local" } else { "remote" }.into());
        if local {
            let command = entry.remove("command").unwrap_or_default();
            let args = entry.remove("args").unwrap_or_else(|| json!([]));
            let words =
                std::iter::once(command).chain(args.as_array().cloned().unwrap_or_default());
            entry.insert("command".to_owned(), words.collect());
            if let Some(variables) = entry.remove("env") {
                entry.insert("environment".to_owned(), variables);
            }
            if entry.remove("cwd").is_some() {
                self.left_out.push("cwd".to_owned());
            }
        }
        entry.insert("enabled".to_owned(), true.into());
        entry.into()
    }

    /// A table of TOML. References are names there, not texts.
    fn codex(&mut self, name: &str, parts: &Parts) -> String {
        let mut lines = vec![format!("[mcp_servers.{}]", toml_key(name))];
        let (mut fixed, mut passed) = (Vec::new(), Vec::new());
        for (key, value) in &parts.reached {
            match key.as_str() {
                "command" | "cwd" | "url" => lines.push(format!("{key} = {}", toml(value))),
                "args" => {
                    for text in value.as_array().into_iter().flatten().filter_map(Json::as_str) {
                        if text.contains("${") {
                            self.left_out.push("a variable in args".to_owned());
                        }
                    }
                    lines.push(format!("args = {}", toml(value)));
                }
                "env" | "headers" => self.codex_values(key, value, &mut fixed, &mut passed),
                "auth" => self.codex_auth(value, &mut lines, &mut passed),
                other => self.left_out.push(other.to_owned()),
            }
        }
        let remote = parts.kind != "stdio";
        let table = |pairs: &[(String, String)]| {
            let pairs: Vec<_> = pairs
                .iter()
                .map(|(key, value)| format!("{} = {}", toml_key(key), toml(&value.as_str().into())))
                .collect();
            format!("{{ {} }}", pairs.join(", "))
        };
        if !fixed.is_empty() {
            let key = if remote { "http_headers" } else { "env" };
            lines.push(format!("{key} = {}", table(&fixed)));
        }
        if !passed.is_empty() && remote {
            lines.push(format!("env_http_headers = {}", table(&passed)));
        } else if !passed.is_empty() {
            let names: Json = passed.iter().map(|(name, _)| Json::from(name.as_str())).collect();
            lines.push(format!("env_vars = {}", toml(&names)));
        }
        lines.join("\n") + "\n"
    }

    fn codex_values(
        &mut self,
        key: &str,
        value: &Json,
        fixed: &mut Vec<(String, String)>,
        passed: &mut Vec<(String, String)>,
    ) {
        for (name, value) in pairs(value) {
            match of_text(&value) {
                Some(Reference::Text(text)) => fixed.push((name, text)),
                // Variables keep their names on the way to a process.
                Some(Reference::Variable(variable)) if key == "headers" || variable == name => {
                    passed.push((name, variable));
                }
                _ => self.left_out.push(format!("{key}.{name}")),
            }
        }
    }

    fn codex_auth(
        &mut self,
        auth: &Json,
        lines: &mut Vec<String>,
        passed: &mut Vec<(String, String)>,
    ) {
        let variable = |key: &str| match of_text(&auth[key]) {
            Some(Reference::Variable(name)) => Some(name),
            _ => None,
        };
        match (auth["type"].as_str(), variable("token"), variable("key")) {
            (Some("bearer"), Some(name), _) => {
                lines.push(format!("bearer_token_env_var = {}", toml(&name.into())));
            }
            (Some("api_key"), _, Some(name)) => {
                passed.push((auth["header"].as_str().unwrap_or_default().to_owned(), name));
            }
            _ => self.left_out.push("auth".to_owned()),
        }
    }

    /// The header that an authorization comes to, where it comes to one.
    fn auth(&mut self, parts: &Parts) -> Option<(String, String)> {
        let auth = parts.reached.get("auth")?;
        let text = |key: &str| auth[key].as_str().map(str::to_owned);
        let header = match (auth["type"].as_str(), text("token"), text("key")) {
            (Some("bearer"), Some(token), _) => {
                Some(("Authorization".to_owned(), format!("Bearer {token}")))
            }
            (Some("api_key"), _, Some(key)) => Some((text("header").unwrap_or_default(), key)),
            _ => None,
        };
        if header.is_none() {
            self.left_out.push("auth".to_owned());
        }
        header.map(|(name, value)| (name, self.text(&value)))
    }

    fn texts(&mut self, list: &Json) -> Vec<Json> {
        let mut texts = Vec::new();
        for item in list.as_array().into_iter().flatten() {
            match item.as_str() {
                Some(text) => texts.push(self.text(text).into()),
                None => self.left_out.push("an argument that is kept elsewhere".to_owned()),
            }
        }
        texts
    }

    fn values(&mut self, values: &Json) -> Map<String, Json> {
        let mut written = Map::new();
        for (name, value) in pairs(values) {
            match (value.as_str(), value["static"].as_str()) {
                (Some(text), _) => drop(written.insert(name, self.text(text).into())),
                (None, Some(text)) => drop(written.insert(name, text.into())),
                (None, None) => self.left_out.push(format!("where {name} is kept")),
            }
        }
        written
    }

    /// A text, with its variables as the client writes them.
    fn text(&mut self, text: &str) -> String {
        let Ok(words) = words::parse(text) else { return text.to_owned() };
        let mut whole = String::new();
        for word in words {
            match word {
                Word::Text(text) => whole.push_str(&text),
                Word::Variable(name, Some(otherwise)) if self.client == Client::Claude => {
                    whole.push_str(&format!("${{{name}:-{otherwise}}}"));
                }
                Word::Variable(name, otherwise) => {
                    if otherwise.is_some() {
                        self.left_out.push(format!("what stands for {name} where it is not set"));
                    }
                    whole.push_str(&match self.client {
                        Client::Claude => format!("${{{name}}}"),
                        Client::OpenCode => format!("{{env:{name}}}"),
                        Client::Cursor | Client::VsCode | Client::Codex => {
                            format!("${{env:{name}}}")
                        }
                    });
                }
                Word::Input(id) => {
                    if self.client != Client::VsCode {
                        self.left_out.push(format!("who is asked for {id}"));
                    }
                    whole.push_str(&format!("${{input:{id}}}"));
                }
                Word::File(_) | Word::Folder | Word::FolderName | Word::Home => {}
            }
        }
        whole
    }
}

/// The variables of a process: those of a list are passed on as they are.
fn pairs(values: &Json) -> Vec<(String, Json)> {
    match values {
        Json::Array(names) => {
            let names = names.iter().filter_map(Json::as_str);
            names.map(|name| (name.to_owned(), format!("${{{name}}}").into())).collect()
        }
        Json::Object(members) => {
            members.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
        }
        _ => Vec::new(),
    }
}

enum Reference {
    Text(String),
    Variable(String),
}

/// A value that is one text, or one variable.
fn of_text(value: &Json) -> Option<Reference> {
    let text = match value.as_str() {
        Some(text) => text,
        None => return value["static"].as_str().map(|text| Reference::Text(text.to_owned())),
    };
    match words::parse(text).ok()?.as_slice() {
        [] => Some(Reference::Text(String::new())),
        [Word::Text(text)] => Some(Reference::Text(text.clone())),
        [Word::Variable(name, None)] => Some(Reference::Variable(name.clone())),
        _ => None,
    }
}

/// A text or a list of texts in TOML, whose basic strings are escaped as those of JSON are.
fn toml(value: &Json) -> String {
    value.to_string()
}

fn toml_key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(bare) { name.to_owned() } else { toml(&name.into()) }
}
