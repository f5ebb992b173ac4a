//! Arguments and results against the schemas of their tools (JSON Schema 2020-12 and its elders).

mod applied;
mod cost;
mod price;

use std::sync::OnceLock;

use jsonschema::{PatternOptions, ValidationError, Validator};
use serde_json::Value;

use cost::Known;
use price::Price;

use crate::{
    arguments::Arguments, catalog::Tool, error::CallError, output::Output, policy::SchemaCheck,
    telemetry,
};

/// A larger schema is not compiled: it comes from a server.
const LARGEST: usize = 512 << 10;
/// How much a pattern may try, and how large its program and those of all may be.
const BACKTRACKING: usize = 100_000;
const PATTERN_BYTES: usize = 1 << 20;
const PATTERNS_BYTES: usize = 32 << 20;
/// How many faults are told.
const TOLD: usize = 5;

/// The schemas of one tool, as it was listed: compiled once, when first wanted.
#[derive(Debug, Default)]
pub(crate) struct Schemas {
    input: OnceLock<Compiled>,
    output: OnceLock<Compiled>,
}

#[derive(Debug)]
enum Compiled {
    /// There is no such schema.
    Missing,
    Ready(Box<Ready>),
    /// It cannot be used, for this reason.
    Unusable(String),
}

#[derive(Debug)]
struct Ready {
    validator: Validator,
    known: Known,
    /// Whether its patterns need an engine that goes back, and may give up.
    goes_back: bool,
}

/// Checks the arguments of a call before they are sent, if its options say so.
pub(crate) fn check_arguments(tool: &Tool, arguments: &Arguments) -> Result<(), CallError> {
    let check = tool.options().check_arguments.unwrap_or_default();
    if check == SchemaCheck::Off {
        return Ok(());
    }
    let compiled = tool.schemas().input.get_or_init(|| compile(tool, "inputSchema"));
    let faults = faults(compiled, &arguments.to_value());
    if faults.is_empty() {
        return Ok(());
    }
    telemetry::schema_mismatch(tool.id(), "arguments", faults.len());
    let refused = CallError::SchemaMismatch { tool: tool.id().to_owned(), faults };
    if check == SchemaCheck::Refuse { Err(refused) } else { Ok(()) }
}

/// Checks the structured content of a result, if the options of its call say so.
pub(crate) fn check_output(tool: &Tool, output: &Output) -> Result<(), CallError> {
    let check = tool.options().check_output.unwrap_or_default();
    if check == SchemaCheck::Off || output.is_error() {
        return Ok(());
    }
    let compiled = tool.schemas().output.get_or_init(|| compile(tool, "outputSchema"));
    let faults = match (compiled, output.structured::<Value>()) {
        (Compiled::Missing, _) => return Ok(()),
        (_, Ok(Some(structured))) => faults(compiled, &structured),
        (_, Ok(None)) => vec!["it has an output schema, and no structured content".to_owned()],
        (_, Err(error)) => vec![error.to_string()],
    };
    if faults.is_empty() {
        return Ok(());
    }
    telemetry::schema_mismatch(tool.id(), "structured content", faults.len());
    let refused = CallError::InvalidResponse {
        server: tool.server().to_owned(),
        tool: tool.id().to_owned(),
        detail: faults.join("; "),
        record: crate::record::Record::default(),
    };
    if check == SchemaCheck::Refuse { Err(refused) } else { Ok(()) }
}

fn compile(tool: &Tool, member: &str) -> Compiled {
    let mut json = tool.json();
    let schema = match json.get_mut(member).map(Value::take) {
        None | Some(Value::Null) => return Compiled::Missing,
        Some(schema) => schema,
    };
    if tool.raw().len() > LARGEST {
        return Compiled::Unusable(format!("it is larger than {LARGEST} bytes"));
    }
    match cost::know(&schema).and_then(|known| build(&schema, known)) {
        Ok(ready) => Compiled::Ready(Box::new(ready)),
        Err(reason) => Compiled::Unusable(reason),
    }
}

fn build(schema: &Value, known: Known) -> Result<Ready, String> {
    let size = PATTERN_BYTES.min(PATTERNS_BYTES / known.patterns.max(1));
    let plain = PatternOptions::regex().size_limit(size).dfa_size_limit(size);
    let options = || jsonschema::options().offline();
    if let Ok(validator) = options().with_pattern_options(plain).build(schema) {
        return Ok(Ready { validator, known, goes_back: false });
    }
    let fancy = PatternOptions::fancy_regex()
        .backtrack_limit(BACKTRACKING)
        .size_limit(size)
        .dfa_size_limit(size);
    let built = options().with_pattern_options(fancy).build(schema);
    let validator = built.map_err(|error| error.to_string())?;
    Ok(Ready { validator, known, goes_back: true })
}

/// What does not fit, without the values themselves: they may be secrets.
fn faults(compiled: &Compiled, value: &Value) -> Vec<String> {
    match compiled {
        Compiled::Missing => Vec::new(),
        Compiled::Unusable(reason) => vec![format!("its schema cannot be used: {reason}")],
        Compiled::Ready(ready) => ready.faults(value),
    }
}

impl Ready {
    fn faults(&self, value: &Value) -> Vec<String> {
        let price = Price::of(&self.known, value);
        if !price.is_affordable() {
            return vec!["its schema cannot be used: it would take too long to apply".to_owned()];
        }
        // That remembers what it has seen, and makes no list.
        if self.validator.is_valid(value) {
            return Vec::new();
        }
        if !price.may_be_told(self.goes_back) {
            return vec!["it does not fit, and is too large to say where".to_owned()];
        }
        let told = |error: ValidationError<'_>| {
            let place = error.instance_path().to_string();
            let place = if place.is_empty() { "/" } else { &place };
            format!("{place}: {}", error.masked())
        };
        self.validator.iter_errors(value).take(TOLD).map(told).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What does not fit, found on the stack that threads have.
    fn told(schema: Value, instance: Value) -> Vec<String> {
        let stack = std::thread::Builder::new().stack_size(2 << 20);
        let check = move || match cost::know(&schema).and_then(|known| build(&schema, known)) {
            Ok(ready) => ready.faults(&instance),
            Err(reason) => vec![reason],
        };
        stack.spawn(check).unwrap().join().unwrap()
    }

    fn chain(length: usize, link: impl Fn(Value) -> Value, last: Value) -> Value {
        let mut defs = json!({ format!("a{length}"): last });
        for i in 0..length {
            defs[format!("a{i}")] = link(json!({ "$ref": format!("#/$defs/a{}", i + 1) }));
        }
        json!({ "$ref": "#/$defs/a0", "$defs": defs })
    }

    fn nested(depth: usize) -> Value {
        (0..depth).fold(json!(1), |inner, _| json!({ "x": inner }))
    }

    fn again() -> Value {
        json!({ "type": "object", "properties": { "x": { "$ref": "#/$defs/a0" } } })
    }

    #[test]
    fn what_recurses_goes_no_deeper_than_the_stack() {
        let long = chain(250, |next| next, again());
        assert!(told(long.clone(), nested(126))[0].contains("too long"));
        // It needs two levels of the schema for each link, and one for what is below.
        let one_of = |next| json!({ "oneOf": [next, { "type": "string" }] });
        let most = chain(30, one_of, again());
        assert_eq!(told(most.clone(), nested(10)).len(), 1);
        assert!(told(most, nested(100))[0].contains("too long"));
    }

    #[test]
    fn what_is_applied_to_much_is_counted() {
        for part in [json!(false), json!({ "type": "integer" })] {
            let all = json!({ "properties": { "a": { "items": { "allOf": vec![part; 9000] } } } });
            let zeros = json!({ "a": vec![0; 100_000] });
            assert!(told(all, zeros)[0].contains("too long"));
        }
    }

    #[test]
    fn what_recurses_twice_into_the_same_is_seen_once() {
        let part = json!({ "properties": { "x": { "$ref": "#" } } });
        let twice = json!({ "type": "object", "anyOf": [part, part] });
        assert!(told(twice, nested(60))[0].contains("too large to say where"));
        let twice = json!({ "type": ["object", "integer"], "anyOf": [part, part] });
        assert!(told(twice, nested(60)).is_empty());
        // Without anything in between: every order of all of them.
        let all: Vec<_> = (0..9).map(|i| json!({ "$ref": format!("#/$defs/{i}") })).collect();
        let defs: Vec<_> = (0..9).map(|i| (i.to_string(), json!({ "allOf": all }))).collect();
        let defs: serde_json::Map<_, _> = defs.into_iter().collect();
        let orders = json!({ "properties": { "x": all[0] }, "$defs": defs });
        assert!(told(orders, nested(1))[0].contains("back to where they began"));
    }

    #[test]
    fn what_takes_too_much_to_compile_is_not() {
        let long: Vec<_> =
            (0..300).map(|i| json!({ "pattern": format!(".{{1800}}a{i}") })).collect();
        assert!(told(json!({ "anyOf": long }), json!("x"))[0].contains("patterns"));
        let few: Vec<_> =
            (0..200).map(|i| json!({ "pattern": format!(".{{1800}}a{i}") })).collect();
        assert_eq!(told(json!({ "anyOf": few }), json!("x")).len(), 1);
        let references = vec![json!({ "$ref": "#/a/b" }); 15_000];
        let ids = vec![json!({ "id": "x" }); 24_000];
        let many = json!({ "allOf": references, "a": { "b": {} }, "examples": ids });
        assert!(told(many, json!(1))[0].contains("multiply"));
        let twice = |next| json!({ "additionalProperties": next, "unevaluatedProperties": false });
        let again = (0..40).fold(json!({}), |next, _| twice(next));
        assert!(told(again, json!(1))[0].contains("multiply"));
    }

    #[test]
    fn large_and_ordinary_content_fits() {
        let one = |i: usize| match i % 3 {
            0 => json!({ "type": "string", "pattern": "^[a-z ]*$", "maxLength": 100 }),
            1 => json!({ "anyOf": [{ "type": "integer" }, { "type": "null" }] }),
            _ => json!({ "type": "array", "items": { "$ref": "#/$defs/tag" } }),
        };
        let properties: serde_json::Map<_, _> =
            (0..50).map(|i| (format!("name{i}"), one(i))).collect();
        let names: Vec<_> = properties.keys().cloned().collect();
        let values = |i: usize| [json!("some words"), json!(i), json!(["a", "b"])][i % 3].clone();
        let row: serde_json::Map<_, _> = (0..50).map(|i| (format!("name{i}"), values(i))).collect();
        let schema = json!({ "type": "object", "required": ["rows"], "properties": {
                "rows": { "type": "array", "items": { "$ref": "#/$defs/row" } },
            }, "$defs": {
                "row": { "type": "object", "properties": properties, "required": names,
                    "additionalProperties": false },
                "tag": { "enum": ["a", "b", "c"] },
            } });
        let mut content = json!({ "rows": vec![row; 1500] });
        assert!(content.to_string().len() > 1 << 20);
        assert_eq!(told(schema.clone(), content.clone()), Vec::<String>::new());
        content["rows"] = json!([content["rows"][0]]);
        content["rows"][0]["name1"] = json!("x");
        let told = told(schema, content);
        assert!(told[0].starts_with("/rows/0/name1: "), "{told:?}");
    }

    #[test]
    fn a_wide_table_fits() {
        let columns = 0..100;
        let names: Vec<_> = columns.map(|n| format!("column{n}")).collect();
        let of = |value: Value| -> serde_json::Map<_, _> {
            names.iter().map(|name| (name.clone(), value.clone())).collect()
        };
        let row = json!({ "type": "object", "required": names,
            "properties": of(json!({ "type": ["string", "null"] })) });
        let schema = json!({ "type": "array", "items": row });
        let rows = json!(vec![of(json!("x")); 2000]);
        assert_eq!(told(schema, rows), Vec::<String>::new());
    }

    /// As pages are made of in many tools: twenty kinds of blocks, each with blocks in it.
    #[test]
    fn a_union_of_blocks_fits() {
        let kind = |n: usize| {
            json!({ "type": "object", "required": ["kind"], "properties": {
                "kind": { "const": format!("kind{n}") },
                "text": { "type": "string", "maxLength": 200 },
                "children": { "type": "array", "items": { "$ref": "#/$defs/block" } },
            } })
        };
        let kinds: Vec<_> = (0..20).map(kind).collect();
        let schema = json!({ "$ref": "#/$defs/block", "$defs": { "block": { "anyOf": kinds } } });
        let block = |n: usize, children: Vec<Value>| {
            json!({
                "kind": format!("kind{}", n % 20), "text": "a line of text", "children": children,
            })
        };
        let part = |n| block(n, (0..30).map(|n| block(n, Vec::new())).collect());
        let page = block(0, (0..30).map(part).collect());
        assert_eq!(told(schema, page), Vec::<String>::new());
    }

    #[test]
    fn recursion_that_is_usual_fits() {
        let any = json!({ "anyOf": [
            { "type": ["string", "number", "boolean", "null"] },
            { "type": "array", "items": { "$ref": "#" } },
            { "type": "object", "additionalProperties": { "$ref": "#" } },
        ] });
        assert!(told(any, json!({ "a": [nested(40), nested(20)] })).is_empty());
        // Schemas that are bundled, and add to each other.
        let bundled = json!({
            "$id": "https://example.com/leaf", "allOf": [{ "$ref": "base" }],
            "$defs": {
                "base": { "$id": "base", "allOf": [{ "$ref": "root" }],
                    "properties": { "child": { "$ref": "leaf" } } },
                "root": { "$id": "root", "type": "object" },
            },
        });
        assert!(told(bundled.clone(), json!({ "child": { "child": {} } })).is_empty());
        assert_eq!(told(bundled, json!({ "child": { "child": 1 } })).len(), 1);
        let official =
            json!({ "allOf": [{ "$ref": "https://json-schema.org/draft/2020-12/schema" }] });
        assert_eq!(told(official, json!({ "type": "object" })), Vec::<String>::new());
    }
}
