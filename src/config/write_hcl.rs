//! Declared servers as HCL.

use serde_json::{Map, Value as Json};

use super::{
    convert::{Converted, parts, read_back},
    words::{self, Word},
};
use crate::ServerSpec;

/// Keys whose values are blocks.
const BLOCKS: [&str; 7] =
    ["restart", "limits", "circuit_breaker", "rate_limit", "health", "retry", "cache"];

/// Keys under which secrets may stand.
const SECRET: [&str; 4] = ["args", "env", "headers", "auth"];

/// The servers as HCL, as [`load`](super::load) reads it. Of secrets, the same holds as for
/// [`to_json`](super::to_json).
#[must_use]
pub fn to_hcl(specs: &[ServerSpec]) -> Converted {
    let mut left_out = Vec::new();
    let mut blocks = Vec::new();
    for spec in specs {
        let before = left_out.len();
        let Some(parts) = parts(spec, &mut left_out) else { continue };
        let transport = match parts.kind {
            "stdio" => "stdio",
            "sse" => "http_sse",
            _ => "streamable_http",
        };
        let mut writer = Writer { text: String::new(), lost: Vec::new() };
        let mut body = Map::from_iter([("transport".to_owned(), Json::from(transport))]);
        body.extend(parts.reached);
        body.extend(parts.own);
        writer.block(&format!("mcp_server {}", quoted(spec.name())), &body, 0);
        left_out.extend(writer.lost.iter().map(|what| format!("{}: {what}", spec.name())));
        let back = super::parse_hcl(&writer.text, "");
        read_back(spec, back, (&mut left_out, before));
        blocks.push(writer.text);
    }
    Converted { text: blocks.join("\n"), left_out }
}

struct Writer {
    text: String,
    lost: Vec<String>,
}

impl Writer {
    fn line(&mut self, depth: usize, line: &str) {
        self.text.push_str(&format!("{:1$}{line}\n", "", depth * 2));
    }

    fn block(&mut self, head: &str, body: &Map<String, Json>, depth: usize) {
        self.line(depth, &format!("{head} {{"));
        let is_block = |key: &str| BLOCKS.contains(&key) || key == "tools";
        for (key, value) in body.iter().filter(|(key, _)| !is_block(key)) {
            let value = self.value(value, SECRET.contains(&key.as_str()), depth + 1);
            self.line(depth + 1, &format!("{key} = {value}"));
        }
        for (key, value) in body.iter().filter(|(key, _)| is_block(key)) {
            let Json::Object(inner) = value else { continue };
            if key != "tools" {
                self.block(key, inner, depth + 1);
                continue;
            }
            for (pattern, options) in inner {
                let head = format!("tools {}", quoted(pattern));
                let none = Map::new();
                self.block(&head, options.as_object().unwrap_or(&none), depth + 1);
            }
        }
        self.line(depth, "}");
    }

    fn value(&mut self, value: &Json, secret: bool, depth: usize) -> String {
        match value {
            Json::Null => "null".to_owned(),
            Json::Bool(_) | Json::Number(_) => value.to_string(),
            Json::String(text) if secret => self.reference(text),
            Json::String(text) => quoted(text),
            Json::Array(items) => {
                let items: Vec<_> =
                    items.iter().map(|item| self.value(item, secret, depth)).collect();
                format!("[{}]", items.join(", "))
            }
            Json::Object(members) => self.object(members, secret, depth),
        }
    }

    fn object(&mut self, members: &Map<String, Json>, secret: bool, depth: usize) -> String {
        let mut text = String::from("{\n");
        for (key, value) in members {
            // What is said to be a value is one.
            let value = self.value(value, secret && key != "static", depth + 1);
            text.push_str(&format!("{:1$}{2} = {value}\n", "", (depth + 1) * 2, quoted(key)));
        }
        text.push_str(&format!("{:1$}}}", "", depth * 2));
        text
    }

    /// A text in which `${NAME}` is a variable.
    fn reference(&mut self, text: &str) -> String {
        let Ok(words) = words::parse(text) else { return quoted(text) };
        if let [Word::Input(id)] = words.as_slice() {
            return format!("{{ provider = {} }}", quoted(&super::secrets::input(id)));
        }
        let mut whole = String::from("\"");
        for word in words {
            match word {
                Word::Text(text) => whole.push_str(&escaped(&text)),
                Word::Variable(name, otherwise) => {
                    if otherwise.is_some() {
                        self.lost.push(format!("what stands for {name} where it is not set"));
                    }
                    whole.push_str(&format!("${{env.{name}}}"));
                }
                other => self.lost.push(format!("a part of a text: {other:?}")),
            }
        }
        whole.push('"');
        whole
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text))
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => escaped.push_str("\\\""),
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            c if c.is_control() => escaped.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => escaped.push(c),
        }
    }
    escaped.replace("${", "$${").replace("%{", "%%{")
}
