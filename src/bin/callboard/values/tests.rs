use serde_json::json;

use super::*;

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "count": { "type": "integer" },
            "ratio": { "type": "number" },
            "deep": { "type": "boolean" },
            "name": { "type": "string" },
            "tags": { "type": "array", "items": { "type": "string" } },
            "sizes": { "anyOf": [{ "type": "array", "items": { "type": "integer" } }, { "type": "null" }] },
            "limit": { "type": ["integer", "null"] },
            "either": { "anyOf": [{ "type": "string" }, { "type": "integer" }] },
            "level": { "enum": ["low", 3] },
            "kind": { "$ref": "#/$defs/Kind" },
            "where": { "type": "object" },
        },
        "$defs": { "Kind": { "type": "string", "enum": ["a", "b"] } },
    })
}

fn read(words: &[&str]) -> Result<Value, String> {
    read_by(words, &schema())
}

fn read_by(words: &[&str], schema: &Value) -> Result<Value, String> {
    let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
    let tokio = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let given = tokio.block_on(Given::read(&words));
    let arguments = given.and_then(|given| given.arguments(schema));
    arguments.map(Value::Object).map_err(|failure| failure.message)
}

#[test]
fn words_are_typed_by_the_schema() {
    for (words, value) in [
        (&["count=-3"][..], json!({ "count": -3 })),
        (&["ratio=1e3"], json!({ "ratio": 1e3 })),
        (&["deep=yes", "name=5"], json!({ "deep": true, "name": "5" })),
        (&["name=a=b"], json!({ "name": "a=b" })),
        (&["name="], json!({ "name": "" })),
        (&["tags=x"], json!({ "tags": ["x"] })),
        (&["tags=x", "tags=y z"], json!({ "tags": ["x", "y z"] })),
        (&["sizes=1", "sizes=2"], json!({ "sizes": [1, 2] })),
        (&["sizes=[1,2]"], json!({ "sizes": [1, 2] })),
        (&["limit=null"], json!({ "limit": null })),
        (&["either=5"], json!({ "either": 5 })),
        (&["either=five"], json!({ "either": "five" })),
        (&["level=3"], json!({ "level": 3 })),
        (&["kind=b"], json!({ "kind": "b" })),
        (&["where={\"x\":1}"], json!({ "where": { "x": 1 } })),
        (&["name:=7"], json!({ "name": 7 })),
        (&["other=1", "more=x"], json!({ "other": 1, "more": "x" })),
        (&["{\"count\":1}", "name=x"], json!({ "count": 1, "name": "x" })),
        (&[], json!({})),
    ] {
        assert_eq!(read(words), Ok(value), "{words:?}");
    }
}

#[test]
fn what_does_not_fit_is_said() {
    for (words, part) in [
        (&["count=many"][..], "count: \"many\" is no integer"),
        (&["limit=x"], "no integer or null"),
        (&["name=a", "name=b"], "name is given twice"),
        (&["word"], "\"word\" is no argument"),
        (&["=x"], "no name before"),
        (&["nmae=x"], "did you mean \"name\"?"),
        (&["{\"a\":"], "no JSON"),
        (&["count:=x"], "count: no JSON"),
        (&["@/nowhere/at/all"], "cannot be read"),
    ] {
        let fault = read(words).unwrap_err();
        assert!(fault.contains(part), "{words:?}: {fault}");
    }
    let closed = json!({ "properties": { "a": {} }, "additionalProperties": false });
    let fault = read_by(&["zebra=1"], &closed).unwrap_err();
    assert!(fault.contains("takes no \"zebra\", but a"), "{fault}");
}

#[test]
fn a_schema_that_refers_to_itself_ends() {
    let root = json!({ "properties": { "a": { "$ref": "#/properties/a" } } });
    assert_eq!(typed("x", &root["properties"]["a"], &root), Ok(json!("x")));
}
