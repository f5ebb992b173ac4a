//! Forms: the flat schemas that elicitation allows, their defaults, and whether content fits them
//! (MCP 2025-11-25, client/elicitation).

use regex::RegexBuilder;
use serde_json::{Map, Value};

/// How large the program of a pattern may be: it comes from a server.
const PATTERN_BYTES: usize = 1 << 20;

/// What is wrong with one field of a form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {fault}")]
#[non_exhaustive]
pub struct FormFault {
    /// The field.
    pub field: String,
    /// What is wrong with it.
    pub fault: String,
}

/// Puts the schema's defaults in where nothing was said.
pub(super) fn with_defaults(schema: &Value, mut content: Map<String, Value>) -> Map<String, Value> {
    for (field, described) in fields(schema) {
        if let Some(default) = described.get("default") {
            content.entry(field.clone()).or_insert_with(|| default.clone());
        }
    }
    content
}

/// Puts the defaults in, and finds every fault.
pub(super) fn check(
    schema: &Value,
    content: Map<String, Value>,
) -> Result<Map<String, Value>, Vec<FormFault>> {
    let content = with_defaults(schema, content);
    let mut faults = Vec::new();
    let mut fault = |field: &str, fault: String| {
        faults.push(FormFault { field: field.to_owned(), fault });
    };
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    for field in required.filter(|field| !content.contains_key(*field)) {
        fault(field, "is missing".to_owned());
    }
    let known = schema["properties"].as_object();
    for (field, value) in &content {
        match known.and_then(|known| known.get(field)) {
            Some(described) => {
                if let Err(found) = fits(described, value) {
                    fault(field, found);
                }
            }
            None => fault(field, "is no field of the form".to_owned()),
        }
    }
    if faults.is_empty() { Ok(content) } else { Err(faults) }
}

fn fields(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema["properties"].as_object().into_iter().flatten()
}

fn fits(described: &Value, value: &Value) -> Result<(), String> {
    match described["type"].as_str() {
        Some("string") => text(described, value),
        Some("number") => number(described, value.as_f64()),
        Some("integer") => {
            // JSON has no integers: 3.0 is one (JSON Schema 2020-12, 4.2.3).
            let whole = value.as_f64().filter(|number| number.fract() == 0.0);
            number(described, whole)
        }
        Some("boolean") if value.is_boolean() => Ok(()),
        Some("boolean") => Err("is no boolean".to_owned()),
        Some("array") => choices(described, value),
        Some(other) => Err(format!("is of a type that no form has: {other:?}")),
        // A choice need not say that it is of strings.
        None => text(described, value),
    }
}

fn text(described: &Value, value: &Value) -> Result<(), String> {
    let text = value.as_str().ok_or("is no string")?;
    if let Some(allowed) = allowed(described) {
        if !allowed.contains(&text) {
            return Err(format!("is none of {}", allowed.join(", ")));
        }
        return Ok(());
    }
    let length = text.chars().count() as u64;
    if described["minLength"].as_u64().is_some_and(|least| length < least) {
        return Err("is too short".to_owned());
    }
    if described["maxLength"].as_u64().is_some_and(|most| length > most) {
        return Err("is too long".to_owned());
    }
    if let Some(pattern) = described["pattern"].as_str()
        && !matches(pattern, text)
    {
        return Err(format!("does not match {pattern}"));
    }
    let format = described["format"].as_str().unwrap_or_default();
    if is_of_format(format, text) { Ok(()) } else { Err(format!("is no {format}")) }
}

/// Whether a pattern is found in a text. One that asks for too much, or is none here (the patterns of
/// JSON Schema are JavaScript's, which can look around), is the server's to check.
fn matches(pattern: &str, text: &str) -> bool {
    let compiled =
        RegexBuilder::new(pattern).size_limit(PATTERN_BYTES).dfa_size_limit(PATTERN_BYTES).build();
    compiled.map_or(true, |compiled| compiled.is_match(text))
}

/// Roughly: the server checks what it needs, this keeps what is plainly something else from it.
fn is_of_format(format: &str, text: &str) -> bool {
    match format {
        "email" => text.split_once('@').is_some_and(|(name, host)| {
            !name.is_empty() && !host.is_empty() && !text.contains(char::is_whitespace)
        }),
        "uri" => text.split_once(':').is_some_and(|(scheme, rest)| {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
            scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme.chars().all(plain)
                && !rest.is_empty()
                && !text.contains(char::is_whitespace)
        }),
        "date" => is_date(text),
        "date-time" => text.split_once(['T', 't', ' ']).is_some_and(|(date, time)| {
            let clock = time.get(..8).is_some_and(|clock| is_like(clock, "00:00:00"));
            let zone = time.ends_with(['Z', 'z'])
                || time
                    .get(time.len().saturating_sub(6)..)
                    .is_some_and(|zone| is_like(zone, "+00:00") || is_like(zone, "-00:00"));
            is_date(date) && clock && zone
        }),
        _ => true,
    }
}

fn is_date(text: &str) -> bool {
    let part = |range| text.get(range).and_then(|part: &str| part.parse::<u32>().ok());
    is_like(text, "0000-00-00")
        && part(5..7).is_some_and(|month| (1..=12).contains(&month))
        && part(8..10).is_some_and(|day| (1..=31).contains(&day))
}

/// Whether a text has digits where the pattern has zeros, and is the same elsewhere.
fn is_like(text: &str, pattern: &str) -> bool {
    text.len() == pattern.len()
        && text.bytes().zip(pattern.bytes()).all(|(found, wanted)| match wanted {
            b'0' => found.is_ascii_digit(),
            _ => found == wanted,
        })
}

fn number(described: &Value, value: Option<f64>) -> Result<(), String> {
    let kind = described["type"].as_str().unwrap_or("number");
    let value = value.ok_or_else(|| format!("is no {kind}"))?;
    if described["minimum"].as_f64().is_some_and(|least| value < least) {
        return Err("is too small".to_owned());
    }
    if described["maximum"].as_f64().is_some_and(|most| value > most) {
        return Err("is too large".to_owned());
    }
    Ok(())
}

fn choices(described: &Value, value: &Value) -> Result<(), String> {
    let chosen = value.as_array().ok_or("is no list")?;
    let count = chosen.len() as u64;
    if described["minItems"].as_u64().is_some_and(|least| count < least) {
        return Err("has too few choices".to_owned());
    }
    if described["maxItems"].as_u64().is_some_and(|most| count > most) {
        return Err("has too many choices".to_owned());
    }
    chosen.iter().try_for_each(|one| text(&described["items"], one))
}

/// The values of a choice, in any of the ways to write one.
fn allowed(described: &Value) -> Option<Vec<&str>> {
    if let Some(values) = described["enum"].as_array() {
        return Some(values.iter().filter_map(Value::as_str).collect());
    }
    let titled = described["oneOf"].as_array().or_else(|| described["anyOf"].as_array())?;
    Some(titled.iter().filter_map(|one| one["const"].as_str()).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn checked(field: Value, value: Value) -> Result<Map<String, Value>, Vec<FormFault>> {
        let schema = json!({ "type": "object", "properties": { "x": field } });
        check(&schema, Map::from_iter([("x".to_owned(), value)]))
    }

    #[test]
    fn fields_are_checked_by_what_the_schema_says() {
        let fine = [
            (json!({ "type": "string", "minLength": 2 }), json!("hé")),
            (json!({ "type": "string", "format": "email" }), json!("a@b.c")),
            (json!({ "type": "string", "pattern": "^[A-Z]\\d+$" }), json!("A12")),
            (json!({ "type": "string", "pattern": "b" }), json!("abc")),
            (json!({ "type": "string", "pattern": "^(?=a)b" }), json!("not for us to tell")),
            (json!({ "type": "string", "pattern": "(((a{999}){999}){999})" }), json!("nor this")),
            (json!({ "type": "string", "format": "uri" }), json!("x+y:z")),
            (json!({ "type": "string", "format": "date" }), json!("2026-02-28")),
            (
                json!({ "type": "string", "format": "date-time" }),
                json!("2026-02-28T10:00:00.5+01:00"),
            ),
            (json!({ "type": "string", "enum": ["a", "b"] }), json!("b")),
            (json!({ "type": "string", "oneOf": [{ "const": "a", "title": "A" }] }), json!("a")),
            (json!({ "type": "integer", "minimum": 3 }), json!(3.0)),
            (json!({ "type": "number", "maximum": 3 }), json!(2.5)),
            (json!({ "type": "boolean" }), json!(false)),
            (json!({ "type": "array", "items": { "enum": ["a", "b"] } }), json!(["a", "b"])),
            (json!({ "type": "array", "items": { "anyOf": [{ "const": "a" }] } }), json!(["a"])),
        ];
        for (field, value) in fine {
            assert!(checked(field.clone(), value.clone()).is_ok(), "{field} {value}");
        }
        let faulty = [
            (json!({ "type": "string" }), json!(1)),
            (json!({ "type": "string", "maxLength": 1 }), json!("ab")),
            (json!({ "type": "string", "pattern": "^[A-Z]\\d+$" }), json!("A1b")),
            (json!({ "type": "string", "format": "email" }), json!("nobody")),
            (json!({ "type": "string", "format": "uri" }), json!("no uri")),
            (json!({ "type": "string", "format": "date" }), json!("2026-13-01")),
            (json!({ "type": "string", "format": "date-time" }), json!("2026-02-28")),
            (json!({ "type": "string", "enum": ["a"] }), json!("c")),
            (json!({ "type": "integer" }), json!(1.5)),
            (json!({ "type": "number", "minimum": 3 }), json!(2)),
            (json!({ "type": "boolean" }), json!("true")),
            (json!({ "type": "array", "maxItems": 1, "items": {} }), json!(["a", "b"])),
            (json!({ "type": "array", "items": { "enum": ["a"] } }), json!(["b"])),
            (json!({ "type": "object" }), json!({})),
        ];
        for (field, value) in faulty {
            assert_eq!(checked(field.clone(), value.clone()).unwrap_err().len(), 1, "{field}");
        }
    }

    #[test]
    fn defaults_fill_what_was_not_said_and_every_fault_is_named() {
        let schema = json!({
            "type": "object",
            "properties": {
                "name": { "type": "string", "default": "John" },
                "age": { "type": "integer", "default": 30 },
                "mail": { "type": "string" },
            },
            "required": ["name", "mail"],
        });
        let said = json!({ "age": 7, "odd": 1 });
        let faults = check(&schema, said.as_object().unwrap().clone()).unwrap_err();
        let named: Vec<_> = faults.iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(named, ["mail", "odd"]);
        let said = json!({ "age": 7, "mail": "x" });
        let filled = check(&schema, said.as_object().unwrap().clone()).unwrap();
        assert_eq!(Value::Object(filled), json!({ "name": "John", "age": 7, "mail": "x" }));
    }
}
