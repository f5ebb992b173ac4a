//! What is odd about the schema of a tool's arguments: legal mostly, and refused or misread by some
//! provider or other.

use serde_json::{Map, Value};

/// How deep a schema is looked at.
const DEEPEST: usize = 32;

/// Of one schema, no more is told.
const MOST: usize = 3;

/// What is odd about a schema.
pub(super) fn faults(schema: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    if schema["type"] != "object" {
        faults.push("its arguments are not said to be an object".to_owned());
    }
    for any in ["anyOf", "oneOf", "allOf"] {
        if schema.get(any).is_some() {
            faults.push(format!("{any} stands at the top of its schema, which providers refuse"));
        }
    }
    let known = schema["properties"].as_object();
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    for name in required.filter(|name| known.is_none_or(|known| !known.contains_key(*name))) {
        faults.push(format!("{name:?} is required, but not described"));
    }
    look(schema, schema, (String::new(), DEEPEST), &mut faults);
    faults.truncate(MOST);
    faults
}

fn look(part: &Value, root: &Value, (path, depth): (String, usize), faults: &mut Vec<String>) {
    let Some(depth) = depth.checked_sub(1) else { return };
    if let Some(to) = part["$ref"].as_str() {
        let found = to.strip_prefix('#').is_some_and(|pointer| root.pointer(pointer).is_some());
        if !found {
            faults.push(format!("{} refers to {to:?}, which is not in its schema", named(&path)));
        }
    }
    if part["type"] == "array" && part.get("items").is_none() && part.get("prefixItems").is_none() {
        faults.push(format!("{} is a list of nobody knows what: it has no items", named(&path)));
    }
    let below = |key: &str| match path.as_str() {
        "" => key.to_owned(),
        path => format!("{path}.{key}"),
    };
    for (key, one) in part["properties"].as_object().into_iter().flat_map(Map::iter) {
        look(one, root, (below(key), depth), faults);
    }
    if part["items"].is_object() {
        look(&part["items"], root, (below("[]"), depth), faults);
    }
}

fn named(path: &str) -> String {
    if path.is_empty() { "it".to_owned() } else { format!("{path:?}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_providers_refuse_is_found() {
        for (schema, part) in [
            (json!({}), "not said to be an object"),
            (json!({ "type": "object", "oneOf": [] }), "oneOf stands at the top"),
            (json!({ "type": "object", "required": ["a"] }), "\"a\" is required, but not"),
            (
                json!({ "type": "object", "properties": { "a": { "$ref": "#/$defs/B" } } }),
                "\"a\" refers to \"#/$defs/B\"",
            ),
            (
                json!({ "type": "object", "properties": { "a": { "type": "array",
                    "items": { "type": "array" } } } }),
                "\"a.[]\" is a list of nobody knows what",
            ),
        ] {
            let faults = faults(&schema);
            assert!(faults.len() == 1 && faults[0].contains(part), "{schema}: {faults:?}");
        }
        let fine = json!({
            "type": "object",
            "properties": { "a": { "$ref": "#/$defs/A" } },
            "required": ["a"],
            "$defs": { "A": { "type": "array", "items": { "$ref": "#/$defs/A" } } },
        });
        assert!(faults(&fine).is_empty());
    }
}
