//! Arguments of a tool, from words such as `key=value`, typed by its schema.

use serde_json::{Map, Value};
use tokio::io::AsyncReadExt as _;

use crate::exit::Failure;

/// How far a reference may lead on to another.
const DEEPEST: usize = 16;

/// What is given for arguments. A document has been read, whatever the schema turns out to be.
pub(crate) struct Given<'a> {
    document: Map<String, Value>,
    words: &'a [String],
}

impl<'a> Given<'a> {
    /// Reads the document, if these words begin with one, before any server is there that would have
    /// to wait for it. Where nobody writes it, this can be dropped: a thread waits, and not a worker.
    pub(crate) async fn read(words: &'a [String]) -> Result<Self, Failure> {
        let (document, words) = match words.split_first() {
            Some((first, rest)) if is_document(first) => (object(&read(first).await?)?, rest),
            _ => (Map::new(), words),
        };
        Ok(Self { document, words })
    }

    /// The arguments that this comes to.
    pub(crate) fn arguments(self, schema: &Value) -> Result<Map<String, Value>, Failure> {
        let mut arguments = self.document;
        let mut given: Vec<&str> = Vec::new();
        for word in self.words {
            let (key, value) = pair(word, schema)?;
            let listed = given.contains(&key) && is_list(&schema["properties"][key], schema);
            match arguments.get_mut(key).filter(|_| listed) {
                Some(Value::Array(before)) => before.extend(match value {
                    Value::Array(more) => more,
                    one => vec![one],
                }),
                _ if given.contains(&key) => {
                    return Err(Failure::usage(format!("{key} is given twice, and is no list")));
                }
                _ => drop(arguments.insert(key.to_owned(), value)),
            }
            given.push(key);
        }
        Ok(arguments)
    }
}

fn is_document(word: &str) -> bool {
    word == "-" || word.starts_with('@') || word.trim_start().starts_with('{')
}

/// The text of a document: the word itself, a file, or stdin.
async fn read(word: &str) -> Result<String, Failure> {
    let unreadable = |what: &str, error| Failure::usage(format!("{what} cannot be read: {error}"));
    if word == "-" {
        let mut text = String::new();
        let read = tokio::io::stdin().read_to_string(&mut text).await;
        return read.map(|_| text).map_err(|error| unreadable("stdin", error));
    }
    match word.strip_prefix('@') {
        // It may be a pipe that nobody writes to, too.
        Some(path) => {
            tokio::fs::read_to_string(path).await.map_err(|error| unreadable(path, error))
        }
        None => Ok(word.to_owned()),
    }
}

fn object(text: &str) -> Result<Map<String, Value>, Failure> {
    let hint = "arguments are a JSON object such as '{\"a\":2}', or words such as a=2";
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Failure::usage(format!("that is no JSON object: {hint}"))),
        Err(error) => Err(Failure::usage(format!("that is no JSON: {error}; {hint}"))),
    }
}

/// One `key=value`, or `key:=json`.
fn pair<'a>(word: &'a str, schema: &Value) -> Result<(&'a str, Value), Failure> {
    let Some((key, text)) = word.split_once('=') else {
        return Err(Failure::usage(format!(
            "{word:?} is no argument: arguments are key=value, key:=JSON, or one JSON object"
        )));
    };
    if let Some(key) = key.strip_suffix(':') {
        let value = serde_json::from_str(text);
        let value = value.map_err(|error| Failure::usage(format!("{key}: no JSON: {error}")))?;
        return Ok((key, value));
    }
    if key.is_empty() {
        return Err(Failure::usage(format!("{word:?} has no name before the `=`")));
    }
    let properties = schema["properties"].as_object();
    let Some(described) = properties.and_then(|properties| properties.get(key)) else {
        return Ok((key, unknown(key, text, schema)?));
    };
    let typed = typed(text, described, schema);
    let value =
        typed.map_err(|wanted| Failure::usage(format!("{key}: {text:?} is no {wanted}")))?;
    Ok((key, value))
}

/// The value of an argument that the schema does not name.
fn unknown(key: &str, text: &str, schema: &Value) -> Result<Value, Failure> {
    let names: Vec<_> = schema["properties"].as_object().into_iter().flat_map(Map::keys).collect();
    let near = names.iter().find(|name| strsim::osa_distance(name, key) <= 1 + key.len() / 6);
    match near {
        Some(near) => Err(Failure::usage(format!(
            "the tool takes no {key:?}: did you mean {near:?}? ({key}:=JSON sends it as it is)"
        ))),
        None if schema["additionalProperties"] == Value::Bool(false) && names.is_empty() => {
            Err(Failure::usage(format!("the tool takes no arguments, and no {key:?}")))
        }
        None if schema["additionalProperties"] == Value::Bool(false) => {
            let names: Vec<_> = names.iter().map(|name| name.as_str()).collect();
            Err(Failure::usage(format!("the tool takes no {key:?}, but {}", names.join(", "))))
        }
        None => Ok(scalar(text)),
    }
}

/// A number or a boolean where it looks like one.
fn scalar(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(value @ (Value::Number(_) | Value::Bool(_))) => value,
        _ => Value::from(text),
    }
}

/// A text as a value of this schema; what it should be, if it is none.
pub(crate) fn typed(text: &str, described: &Value, root: &Value) -> Result<Value, String> {
    let kinds = kinds(described, root, DEEPEST);
    if kinds.is_empty() {
        return Ok(if described["enum"].is_array() {
            one_of(text, described)
        } else {
            scalar(text)
        });
    }
    let found = kinds.iter().find_map(|(kind, described)| as_kind(text, kind, described, root));
    let wanted = || kinds.iter().map(|(kind, _)| *kind).collect::<Vec<_>>().join(" or ");
    found.ok_or_else(wanted)
}

/// The value of a choice that is written like this.
fn one_of(text: &str, described: &Value) -> Value {
    let values = described["enum"].as_array().into_iter().flatten();
    let written = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let found = values.into_iter().find(|value| written(value) == text);
    found.cloned().unwrap_or_else(|| Value::from(text))
}

fn as_kind(text: &str, kind: &str, described: &Value, root: &Value) -> Option<Value> {
    match kind {
        "string" => Some(Value::from(text)),
        "null" => (text == "null").then_some(Value::Null),
        "boolean" => match text {
            "true" | "yes" | "on" | "1" => Some(Value::Bool(true)),
            "false" | "no" | "off" | "0" => Some(Value::Bool(false)),
            _ => None,
        },
        "integer" => {
            let number: Option<i64> = text.parse().ok();
            number.map(Value::from).or_else(|| text.parse::<u64>().ok().map(Value::from))
        }
        "number" => match serde_json::from_str(text) {
            Ok(number @ Value::Number(_)) => Some(number),
            _ => None,
        },
        "array" => match serde_json::from_str(text) {
            Ok(list @ Value::Array(_)) => Some(list),
            // One of the items.
            _ => typed(text, &described["items"], root).ok().map(|one| Value::Array(vec![one])),
        },
        "object" => match serde_json::from_str(text) {
            Ok(object @ Value::Object(_)) => Some(object),
            _ => None,
        },
        _ => None,
    }
}

/// The types that a value may be of, each with what is said of it. Text comes last, for everything is
/// text.
pub(crate) fn kinds<'a>(
    described: &'a Value,
    root: &'a Value,
    depth: usize,
) -> Vec<(&'a str, &'a Value)> {
    let Some(deeper) = depth.checked_sub(1) else { return Vec::new() };
    let mut found = Vec::new();
    if let Some(pointer) = described["$ref"].as_str().and_then(|to| to.strip_prefix('#')) {
        found.extend(root.pointer(pointer).into_iter().flat_map(|to| kinds(to, root, deeper)));
    }
    match &described["type"] {
        Value::String(kind) => found.push((kind.as_str(), described)),
        Value::Array(kinds) => {
            found.extend(kinds.iter().filter_map(Value::as_str).map(|kind| (kind, described)));
        }
        _ => {}
    }
    for any in ["anyOf", "oneOf", "allOf"] {
        let all = described[any].as_array().into_iter().flatten();
        found.extend(all.flat_map(|one| kinds(one, root, deeper)));
    }
    found.sort_by_key(|(kind, _)| *kind == "string");
    found
}

fn is_list(described: &Value, root: &Value) -> bool {
    kinds(described, root, DEEPEST).iter().any(|(kind, _)| *kind == "array")
}

#[cfg(test)]
mod tests;
