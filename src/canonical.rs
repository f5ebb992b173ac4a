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

/// The same text only for calls that are the same: as [`canonical`], where that loses nothing, and
/// as it stands where a number has more digits than are kept, or a name stands twice.
pub(crate) fn exact(json: &RawValue) -> String {
    let members = members_if_numbers_are_kept(json.get());
    match serde_json::from_str(json.get()) {
        Ok(value) if members == Some(count(&value)) => {
            let mut text = String::with_capacity(json.get().len());
            write(&value, &mut text);
            text
        }
        _ => json.get().to_owned(),
    }
}

/// How many members there are in all objects of this JSON; nothing if a number in it may be taken
/// for another.
fn members_if_numbers_are_kept(json: &str) -> Option<usize> {
    let (mut members, mut rest) = (0, json.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        rest = match first {
            b'"' => after_string(after),
            b'-' | b'0'..=b'9' => {
                let in_number = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
                let end = rest.iter().position(|byte| !in_number(byte)).unwrap_or(rest.len());
                let (number, after) = rest.split_at(end);
                is_kept(number).then_some(after)?
            }
            b':' => {
                members += 1;
                after
            }
            _ => after,
        };
    }
    Some(members)
}

fn after_string(mut rest: &[u8]) -> &[u8] {
    loop {
        rest = match rest {
            [b'\\', _, after @ ..] => after,
            [b'"', after @ ..] => return after,
            [_, after @ ..] => after,
            [] => return rest,
        };
    }
}

/// Whether no other number is read as the same: integers of 64 bits are not, and of all others those
/// of at most 15 digits (DBL_DIG of C).
fn is_kept(number: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(number) else { return false };
    let is_integer = text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok();
    is_integer || number.len() <= 15 && !text.contains(['e', 'E'])
}

fn count(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(members) => members.len() + members.values().map(count).sum::<usize>(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
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

    #[test]
    fn exactly_one_text_for_one_call() {
        let form = |text: &str| exact(&RawValue::from_string(text.to_owned()).unwrap());
        for (one, other) in [
            (r#"{"n":18446744073709551617}"#, r#"{"n":18446744073709551618}"#),
            (r#"[0.10000000000000000001]"#, r#"[0.10000000000000000002]"#),
            ("[1e-400]", "[1e-401]"),
            (r#"{"n":1,"n":2}"#, r#"{"n":2}"#),
            (r#"{"a\"":[{"n":1,"n":2}]}"#, r#"{"a\"":[{"n":2}]}"#),
            ("[1]", "[1.0]"),
        ] {
            assert_ne!(form(one), form(other));
        }
        let same = r#"{ "b": "1e5:\\", "a": [18446744073709551615, -1.5, 0.1] }"#;
        assert_eq!(form(same), r#"{"a":[18446744073709551615,-1.5,0.1],"b":"1e5:\\"}"#);
    }
}
