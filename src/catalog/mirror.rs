//! Arguments that a tool wants repeated in headers: `x-mcp-header` in its input schema (MCP
//! 2026-07-28, basic/transports/streamable-http, custom headers from tool parameters).

use std::collections::HashSet;

use serde_json::{Map, Value};

const KEYWORD: &str = "x-mcp-header";

/// An argument that is repeated in a header.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mirror {
    /// The header, without `Mcp-Param-`.
    header: String,
    /// The names of the properties that lead to the argument.
    path: Vec<String>,
}

/// Finds what a schema wants repeated, or what is wrong with how it says so: then the tool has to
/// be left out.
pub(super) fn mirrors(schema: &str) -> Result<Vec<Mirror>, String> {
    // Hardly any schema has one, and most are not worth the parsing.
    if !schema.contains(KEYWORD) {
        return Ok(Vec::new());
    }
    let schema: Map<String, Value> =
        serde_json::from_str(schema).map_err(|error| error.to_string())?;
    let mut search = Search::default();
    search.schema(&schema, Place::Root)?;
    Ok(search.found)
}

/// The headers and the values of a call.
pub(super) fn mirrored(mirrors: &[Mirror], arguments: &Value) -> Vec<(String, String)> {
    let value = |mirror: &Mirror| {
        let value = mirror.path.iter().try_fold(arguments, |value, name| value.get(name))?;
        Some((mirror.header.clone(), as_text(value)?))
    };
    mirrors.iter().filter_map(value).collect()
}

fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Where a schema stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    /// Reached from the root through `properties` alone.
    Property,
    /// Anywhere else, where no header can be meant.
    Elsewhere,
}

#[derive(Default)]
struct Search {
    path: Vec<String>,
    found: Vec<Mirror>,
    seen: HashSet<String>,
}

impl Search {
    fn schema(&mut self, schema: &Map<String, Value>, place: Place) -> Result<(), String> {
        for (keyword, value) in schema {
            match keyword.as_str() {
                KEYWORD if place == Place::Property => self.annotation(schema, value)?,
                KEYWORD => return Err(self.fault("does not stand at a property")),
                "properties" if place != Place::Elsewhere => self.properties(value)?,
                // These hold values, not schemas.
                "default" | "const" | "enum" | "examples" => {}
                "properties" | "patternProperties" | "$defs" | "definitions"
                | "dependentSchemas" => {
                    self.all_elsewhere(value.as_object().into_iter().flat_map(Map::values))?;
                }
                _ => self.elsewhere(value)?,
            }
        }
        Ok(())
    }

    fn properties(&mut self, properties: &Value) -> Result<(), String> {
        for (name, property) in properties.as_object().into_iter().flatten() {
            if let Some(schema) = property.as_object() {
                self.path.push(name.clone());
                self.schema(schema, Place::Property)?;
                self.path.pop();
            }
        }
        Ok(())
    }

    fn elsewhere(&mut self, value: &Value) -> Result<(), String> {
        match value {
            Value::Object(schema) => self.schema(schema, Place::Elsewhere),
            Value::Array(schemas) => self.all_elsewhere(schemas.iter()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
        }
    }

    fn all_elsewhere<'a>(
        &mut self,
        mut schemas: impl Iterator<Item = &'a Value>,
    ) -> Result<(), String> {
        schemas.try_for_each(|schema| self.elsewhere(schema))
    }

    fn annotation(&mut self, schema: &Map<String, Value>, value: &Value) -> Result<(), String> {
        let Some(header) = value.as_str() else { return Err(self.fault("is no string")) };
        if header.is_empty() || !header.bytes().all(is_token) {
            return Err(self.fault("is no HTTP token"));
        }
        if !self.seen.insert(header.to_ascii_lowercase()) {
            return Err(self.fault("stands twice"));
        }
        let kind = schema.get("type").and_then(Value::as_str);
        if !matches!(kind, Some("string" | "integer" | "boolean")) {
            return Err(self.fault("stands at what is no string, integer or boolean"));
        }
        self.found.push(Mirror { header: header.to_owned(), path: self.path.clone() });
        Ok(())
    }

    fn fault(&self, what: &str) -> String {
        match self.path.join(".") {
            path if path.is_empty() => format!("{KEYWORD} {what}"),
            path => format!("{KEYWORD} of {path:?} {what}"),
        }
    }
}

/// A character of a token (RFC 9110, 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(properties: Value) -> Result<Vec<Mirror>, String> {
        mirrors(&json!({ "type": "object", "properties": properties }).to_string())
    }

    #[test]
    fn annotated_arguments_are_repeated_and_others_are_not() {
        let schema = json!({
            "region": { "type": "string", "x-mcp-header": "Region" },
            "count": { "type": "integer", "x-mcp-header": "Count" },
            "dry": { "type": "boolean", "x-mcp-header": "Dry" },
            "query": { "type": "string" },
            "in": { "type": "object", "properties": { "er": { "type": "string", "x-mcp-header": "Er" } } },
        });
        let mut found = mirrored(
            &of(schema).unwrap(),
            &json!({ "region": "", "count": 42, "dry": null, "query": "q", "in": { "er": "x" } }),
        );
        found.sort();
        let expected = [("Count", "42"), ("Er", "x"), ("Region", "")];
        assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn odd_annotations_are_refused() {
        let at =
            |kind: &str, header: Value| json!({ "p": { "type": kind, "x-mcp-header": header } });
        for odd in [
            at("string", json!("")),
            at("string", json!("a b")),
            at("string", json!("a:b")),
            at("string", json!("Région")),
            at("string", json!("a\tb")),
            at("string", json!(7)),
            at("number", json!("N")),
            at("object", json!("O")),
            at("array", json!("A")),
            at("null", json!("A")),
            json!({ "p": { "x-mcp-header": "A" } }),
            json!({ "p": { "type": "string", "x-mcp-header": "A" },
                    "q": { "type": "string", "x-mcp-header": "a" } }),
            json!({ "p": { "type": "array", "items": { "type": "string", "x-mcp-header": "A" } } }),
            json!({ "p": { "oneOf": [{ "type": "string", "x-mcp-header": "A" }] } }),
        ] {
            assert!(of(odd.clone()).is_err(), "{odd}");
        }
        assert!(mirrors(r#"{"type":"object","x-mcp-header":"A"}"#).is_err());
        assert!(mirrors(r#"{"$defs":{"a":{"type":"string","x-mcp-header":"A"}}}"#).is_err());
    }

    #[test]
    fn a_value_that_looks_like_an_annotation_is_none() {
        assert_eq!(of(json!({ "p": { "default": { "x-mcp-header": 5 } } })), Ok(Vec::new()));
        let named = json!({ "x-mcp-header": { "type": "string" } });
        assert_eq!(of(named), Ok(Vec::new()), "a property may have this name");
    }
}
