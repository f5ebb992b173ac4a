//! Arguments and results are checked against the schemas of their tools, where that is asked for.
#![cfg(feature = "validate")]

#[path = "support/world.rs"]
mod world;

use std::time::Duration;

use callboard::{CachePolicy, CallOptions, Delivery, SchemaCheck, ServerSpec, Session};
use serde_json::{Value, json};
use world::World;

/// The session's only server lists `say` with these schemas.
async fn open(world: &World, input: &Value, output: Option<&Value>, check: SchemaCheck) -> Session {
    let mut tool = json!({ "name": "say", "inputSchema": input });
    if let Some(output) = output {
        tool["outputSchema"] = output.clone();
    }
    let listed = world.folder().join("listed");
    std::fs::write(&listed, json!({ "tools": [tool] }).to_string()).unwrap();
    let log = world.folder().join("log");
    let stdio = world.script("puppet.py").arg("--log").arg(log).arg("--list").arg(listed);
    let options = CallOptions::default().check_arguments(check).check_output(check);
    let spec = ServerSpec::new("a", stdio).required().call_options(options);
    world.runtime.session("s").server(spec).open().await.unwrap()
}

fn calls(world: &World) -> usize {
    let log = world::log(&world.folder().join("log"));
    log.iter().filter(|frame| frame["method"] == "tools/call").count()
}

fn result_only() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": { "result": { "$ref": "#/$defs/text" } },
        "required": ["result"],
        "unevaluatedProperties": false,
        "$defs": { "text": { "type": "string", "pattern": "^\\{" } },
    })
}

#[test]
fn arguments_that_do_not_fit_are_not_sent() {
    world::run(async |world| {
        let session = open(&world, &result_only(), None, SchemaCheck::Refuse).await;
        session.call("a.say", json!({ "result": "{}" })).await.unwrap();
        let secret = "hunter2";
        for wrong in
            [json!({}), json!({ "result": secret }), json!({ "result": "{}", "more": secret })]
        {
            let error = session.call("a.say", wrong).await.unwrap_err();
            assert_eq!((error.kind(), error.delivery()), ("invalid_arguments", Delivery::NotSent));
            let message = error.to_string();
            assert!(!message.contains(secret), "{message}");
        }
        assert_eq!(calls(&world), 1);
    });
}

#[test]
fn results_that_do_not_fit_are_no_results() {
    world::run(async |world| {
        let any = json!({ "type": "object" });
        let number = json!({ "type": "object", "properties": { "n": { "type": "integer" } } });
        let session = open(&world, &any, Some(&number), SchemaCheck::Refuse).await;
        let ask = async |result: &str| session.call("a.say", json!({ "result": result })).await;
        ask(r#"{"content":[],"structuredContent":{"n":1}}"#).await.unwrap();
        ask(r#"{"content":[],"isError":true}"#).await.unwrap();
        for wrong in [r#"{"content":[],"structuredContent":{"n":"x"}}"#, r#"{"content":[]}"#] {
            let error = ask(wrong).await.unwrap_err();
            assert_eq!((error.kind(), error.delivery()), ("invalid_response", Delivery::Answered));
        }
    });
}

#[test]
fn a_warning_lets_it_through_and_off_does_not_look() {
    world::run(async |world| {
        for check in [SchemaCheck::Warn, SchemaCheck::Off] {
            let session = open(&world, &result_only(), Some(&json!(false)), check).await;
            let wrong = json!({ "result": r#"{"content":[],"structuredContent":{}}"#, "more": 1 });
            session.call("a.say", wrong).await.unwrap();
            session.close().await;
        }
        assert_eq!(calls(&world), 2);
    });
}

#[test]
fn results_that_are_kept_are_checked_for_whoever_asks() {
    world::run(async |world| {
        let any = json!({ "type": "object" });
        let number = json!({ "type": "object", "properties": { "n": { "type": "integer" } } });
        let session = open(&world, &any, Some(&number), SchemaCheck::Refuse).await;
        let cache = CachePolicy::keep_for(Duration::from_secs(3600)).even_if_not_read_only();
        let options = CallOptions::default().cache(cache);
        let ask = async |check: SchemaCheck| {
            let wrong = json!({ "result": r#"{"content":[],"structuredContent":{"n":"x"}}"# });
            let options = options.clone().check_output(check);
            session.call("a.say", wrong).with_options(&options).await
        };
        ask(SchemaCheck::Off).await.unwrap();
        let error = ask(SchemaCheck::Refuse).await.unwrap_err();
        assert_eq!(error.kind(), "invalid_response");
        ask(SchemaCheck::Off).await.unwrap();
        assert_eq!(calls(&world), 1);
    });
}

/// C25: another dialect is an error, and nothing is fetched; and no schema takes us down.
#[test]
fn schemas_that_cannot_be_used_fit_nothing_and_harm_nobody() {
    world::run(async |world| {
        let mut deep = json!({ "type": "string" });
        for _ in 0..100 {
            deep = json!({ "type": "object", "properties": { "x": deep } });
        }
        let unusable = [
            json!({ "type": "object", "$schema": "https://example.com/my-dialect" }),
            json!({ "type": "object", "$ref": "http://127.0.0.1:9/schema.json" }),
            json!({ "type": "object", "$ref": "file:///etc/hostname" }),
            json!({ "type": "object", "properties": { "result": { "$ref": "#/nowhere" } } }),
            json!({ "type": "object", "pattern": "(" }),
            json!({ "type": "object", "properties": { "x": { "enum": ["x".repeat(600 << 10)] } } }),
        ];
        for schema in unusable {
            let session = open(&world, &schema, None, SchemaCheck::Refuse).await;
            let outcome = session.call("a.say", json!({ "result": "{}" })).await;
            let kind = outcome.err().map(|error| error.kind());
            assert_eq!(kind, Some("invalid_arguments"), "{schema:.200}");
            session.close().await;
        }
        assert_eq!(calls(&world), 0);
        let greedy = json!({ "properties": { "x": { "pattern": "^(?=a)(a+)+\\1$" } } });
        let round = [
            json!({ "type": "object", "$ref": "#" }),
            json!({ "type": "object", "allOf": [{ "$ref": "#" }] }),
            json!({ "type": "object", "$ref": "#/$defs/a", "$defs": {
                "a": { "$ref": "#/$defs/b" }, "b": { "anyOf": [{ "$ref": "#/$defs/a" }] },
            } }),
            json!({ "type": "object", "$dynamicRef": "#x", "$dynamicAnchor": "x" }),
        ];
        for schema in round.into_iter().chain([deep, greedy]) {
            let session = open(&world, &schema, None, SchemaCheck::Refuse).await;
            let long = json!({ "result": "{}", "x": format!("{}!", "a".repeat(40)) });
            drop(session.call("a.say", long).await);
            session.close().await;
        }
    });
}

/// This many schemas, each made of the next one; the last is of strings.
fn chain(length: usize, link: impl Fn(Value) -> Value) -> Value {
    let mut defs = json!({ format!("a{length}"): { "type": "string" } });
    for i in 0..length {
        defs[format!("a{i}")] = link(json!({ "$ref": format!("#/$defs/a{}", i + 1) }));
    }
    json!({ "type": "object", "properties": { "result": { "$ref": "#/$defs/a0" } }, "$defs": defs })
}

/// What is small as it is written may be more than anybody can look at.
#[test]
fn schemas_whose_references_multiply_are_not_applied() {
    world::run(async |world| {
        let twice = |next: Value| json!({ "allOf": [next, next] });
        let nested = |next: Value| {
            let next = json!({ "properties": { "x": next } });
            json!({ "anyOf": [next, next] })
        };
        let looking = |next: Value| json!({ "allOf": [next], "unevaluatedProperties": true });
        let mut anchored = chain(40, twice).to_string();
        for i in 0..=40 {
            anchored = anchored.replace(&format!("#/$defs/a{i}\""), &format!("#n{i}\""));
            anchored = anchored
                .replace(&format!("\"a{i}\":{{"), &format!("\"a{i}\":{{\"$anchor\":\"n{i}\","));
        }
        let encoded = chain(40, twice).to_string().replace("#/$defs/", "#/%24defs/");
        let mut elsewhere = chain(40, twice);
        elsewhere["$id"] = json!("https://example.com/all");
        let elsewhere = elsewhere.to_string().replace("#/$defs/", "all#/$defs/");
        let written = [anchored, encoded, elsewhere];
        let multiply = [chain(40, twice), chain(40, nested), chain(40, looking)];
        // No recursion of ours or theirs goes that deep.
        let deep = chain(5000, |next| next);
        let read = written.iter().map(|text| serde_json::from_str(text).unwrap());
        for schema in multiply.into_iter().chain(read).chain([deep]) {
            let session = open(&world, &schema, None, SchemaCheck::Refuse).await;
            let error = session.call("a.say", json!({ "result": "{}" })).await.unwrap_err();
            assert!(error.to_string().contains("multiply"), "{error} {schema:.200}");
            session.close().await;
        }
        assert_eq!(calls(&world), 0);
    });
}

#[test]
fn schemas_that_refer_much_and_do_not_multiply_are_applied() {
    world::run(async |world| {
        let tree = json!({ "type": "object", "properties": { "result": {}, "x": { "$ref": "#/$defs/node" } },
            "$defs": { "node": { "anyOf": [{ "type": "string" }, { "type": "object", "properties": {
                "left": { "$ref": "#/$defs/node" }, "right": { "$ref": "#/$defs/node" } } }] } } });
        let sides = |next: Value| json!({ "properties": { "left": next, "right": next } });
        let usable = [
            tree,
            json!({ "properties": { "x": { "$ref": "https://json-schema.org/draft/2020-12/schema" } } }),
            json!({ "properties": { "x": { "$ref": "#/$defs/a%3Cb%3E" } }, "$defs": { "a<b>": {} } }),
            chain(40, sides),
            chain(100, |next| next),
        ];
        let count = usable.len();
        for mut schema in usable {
            schema["type"] = json!("object");
            let session = open(&world, &schema, None, SchemaCheck::Refuse).await;
            let arguments = json!({ "result": "{}", "x": {} });
            session.call("a.say", arguments).await.unwrap();
            session.close().await;
        }
        assert_eq!(calls(&world), count);
    });
}

/// What is harmless by itself, and too much together; on the stack that threads have.
#[test]
fn schemas_that_cost_too_much_for_a_result_are_not_applied() {
    let test = || {
        world::run(async |world| {
            let mut deep = chain(250, |next| next);
            deep["$defs"]["a250"] = json!({ "properties": { "x": { "$ref": "#/$defs/a0" } } });
            let nested = format!("{}1{}", r#"{"x":"#.repeat(124), "}".repeat(124));
            let never = vec![json!(false); 9000];
            let wide = json!({ "properties": { "result": { "items": { "allOf": never } } } });
            let zeros = format!("[{}0]", "0,".repeat(100_000));
            for (output, value) in [(deep, nested), (wide, zeros)] {
                let any = json!({ "type": "object" });
                let session = open(&world, &any, Some(&output), SchemaCheck::Refuse).await;
                let result =
                    format!(r#"{{"content":[],"structuredContent":{{"result":{value}}}}}"#);
                let error = session.call("a.say", json!({ "result": result })).await.unwrap_err();
                assert_eq!(error.kind(), "invalid_response");
                assert!(error.to_string().contains("too long to apply"), "{error}");
                session.close().await;
            }
        });
    };
    std::thread::Builder::new().stack_size(2 << 20).spawn(test).unwrap().join().unwrap();
}
