//! JSON in one form, however it was written: for keys and hashes.

use std::collections::BTreeMap;

use serde_json::{Value, value::RawValue};

/// The same text for all JSON that means the same: members sorted, no blanks. JSON that is nested
/// deeper than serde_json goes stays as it is.
pub(crate) fn canonical(json: &RawValue) -> String {
    let mut text = String::with_capacity(json.get().len());
    match serde_json::from_str(json.get()) {
        Ok(value) => write(&value, &mut text),
        Err(_) => text.push_str(json.get()),
    }
    text
}

fn write(value: &Value, text: &mut String) {
    match value {
        Value::Array(items) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                text.push_str(if at > 0 { "," } else { "" });
                write(item, text);
            }
            text.push(']');
        }
        Value::Object(members) => {
            // Whether a map of serde_json is sorted is decided by features of other crates.
            let sorted: BTreeMap<_, _> = members.iter().collect();
            text.push('{');
            for (at, (key, value)) in sorted.into_iter().enumerate() {
                text.push_str(if at > 0 { "," } else { "" });
                text.push_str(&Value::from(key.as_str()).to_string());
                text.push(':');
                write(value, text);
            }
            text.push('}');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            text.push_str(&value.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_blanks_and_escapes_do_not_matter() {
        let form = |text: &str| canonical(&RawValue::from_string(text.to_owned()).unwrap());
        let one = form(r#"{ "b": [1, {"y": null, "x": "\u0041"}], "a": true }"#);
        assert_eq!(one, r#"{"a":true,"b":[1,{"x":"A","y":null}]}"#);
        assert_eq!(one, form(r#"{"a":true,"b":[1,{"x":"A","y":null}]}"#));
        assert_ne!(form("[1,2]"), form("[2,1]"));
        let deep = "[".repeat(500) + &"]".repeat(500);
        assert_eq!(form(&deep), deep);
    }
}
