//! What a call says in its headers besides its body (C12, C13), and which tools cannot be called so.

#[path = "support/http_server.rs"]
mod http_server;
#[path = "support/person.rs"]
mod person;
#[path = "support/remote.rs"]
mod remote;
#[path = "support/world.rs"]
mod world;

use callboard::{CallError, Detached};
use http_server::{
    HttpServer, decoded,
    families::{ASKS, PROMPT, RESOURCE, SLOW},
    json, refusal, tool,
};
use person::Person;
use remote::{LONG, ended, is_unharmed, open, remote};
use serde_json::{Value, json as object};
use world::eventually;

/// What was sent for the call of a tool in this header.
fn sent(server: &HttpServer, what: &str, header: &str) -> Option<String> {
    let last = server.seen(what).pop().unwrap();
    last.request.header(header).map(str::to_owned)
}

#[test]
fn names_that_no_header_takes_are_sent_in_base64() {
    world::run(async |world| {
        let server = HttpServer::modern();
        let names = ["grüße", " padded ", "=?base64?eA==?=", "with space", "日本"];
        let tools = names.map(|name| tool(name, &object!({})));
        server.configure(|settings| settings.tools = tools.to_vec());
        let session = open(&world, remote(&server)).await;
        assert_eq!(session.tools().faults(), []);
        for name in names {
            session.call(format!("a.{name}"), ()).await.unwrap();
            let sent = sent(&server, "tools/call", "mcp-name").unwrap();
            assert_eq!(decoded(&sent).as_deref(), Some(name));
            let plain = name == "with space";
            assert_eq!(sent.starts_with("=?base64?") && sent.is_ascii(), !plain, "{sent}");
        }
    });
}

/// What each request of this method was said to be about.
fn subjects(server: &HttpServer, method: &str) -> Vec<Option<String>> {
    let name = |value: &str| decoded(value).unwrap();
    let seen = server.seen(method);
    seen.iter().map(|exchange| exchange.request.header("mcp-name").map(name)).collect()
}

/// C12: the name of a prompt, the URI of a resource, the id of a task; the server itself compares
/// them with the body, and knows no name for any other request.
#[test]
fn requests_for_prompts_resources_and_tasks_say_what_they_are_about() {
    world::run(async |world| {
        let server = HttpServer::modern();
        server.configure(|settings| {
            settings.families = true;
            settings.tools.extend(["ask", "slow"].map(|name| tool(name, &object!({}))));
        });
        let (builder, person) = (world.runtime.session("test"), Person::new());
        let session = builder.host(person.clone()).server(remote(&server).required()).open();
        let session = session.await.unwrap();
        let handle = session.server("a").unwrap();

        let prompts = handle.prompts().await.unwrap();
        assert_eq!(prompts.iter().count(), 1);
        handle.prompt(PROMPT, [("a", "b")]).await.unwrap();
        assert_eq!(handle.resources().await.unwrap().iter().count(), 1);
        assert_eq!(handle.resource(RESOURCE).read().await.unwrap().text(), "a note");
        let output = session.call("a.ask", ()).await.unwrap();
        assert!(output.text().contains("accept"), "{}", output.raw());
        assert_eq!(person.asked().len(), 1);
        let detached = session.call("a.slow", ()).detach().await.unwrap();
        let Detached::Task(task) = detached else { panic!("{detached:?}") };
        assert!(task.state().await.unwrap().get().contains("working"));
        task.cancel().await.unwrap();
        eventually(LONG, "it is cancelled", || server.count("tasks/cancel") == 1).await;

        let of = |name: &str| Some(name.to_owned());
        assert_eq!(subjects(&server, "prompts/list"), [None]);
        assert_eq!(subjects(&server, "prompts/get"), [of(PROMPT)]);
        assert_eq!(subjects(&server, "resources/list"), [None]);
        assert_eq!(subjects(&server, "resources/read"), [of(RESOURCE)]);
        assert_eq!(subjects(&server, "tasks/update"), [of(ASKS)]);
        assert_eq!(subjects(&server, "tasks/cancel"), [of(SLOW)]);
        let polled = subjects(&server, "tasks/get");
        assert!(polled.contains(&of(ASKS)) && polled.contains(&of(SLOW)), "{polled:?}");
        session.close().await;
    });
}

/// A second attempt is the same call: what the host wanted of it still holds.
#[test]
fn a_task_is_the_hosts_also_after_a_header_mismatch() {
    world::run(async |world| {
        let server = HttpServer::modern();
        server.configure(|settings| {
            settings.families = true;
            settings.tools.push(tool("slow", &object!({})));
        });
        let session = open(&world, remote(&server)).await;
        server.on_first(1, "tools/call slow", |request| {
            json(400, &refusal(request, -32020, "mismatch"))
        });
        let detached = session.call("a.slow", ()).detach().await.unwrap();
        let Detached::Task(task) = detached else { panic!("{detached:?}") };
        assert_eq!(server.count("tools/call slow"), 2);
        task.cancel().await.unwrap();
        session.close().await;
    });
}

fn annotated() -> Value {
    let inner = object!({ "type": "string", "x-mcp-header": "Inner" });
    object!({
        "region": { "type": "string", "x-mcp-header": "Region" },
        "count": { "type": "integer", "x-mcp-header": "Count" },
        "dry": { "type": "boolean", "x-mcp-header": "Dry-Run" },
        "plain": { "type": "string" },
        "deep": { "type": "object", "properties": { "inner": inner } },
    })
}

/// C13: the examples of the specification, and more.
#[test]
fn annotated_arguments_are_mirrored_into_headers() {
    world::run(async |world| {
        let server = HttpServer::modern();
        server.configure(|settings| settings.tools = vec![tool("ask", &annotated())]);
        let session = open(&world, remote(&server)).await;
        for (arguments, header, expected) in [
            (object!({ "region": "us-west1" }), "region", Some("us-west1")),
            (object!({ "region": "a b, c" }), "region", Some("a b, c")),
            (
                object!({ "region": "Hello, 世界" }),
                "region",
                Some("=?base64?SGVsbG8sIOS4lueVjA==?="),
            ),
            (object!({ "region": " padded " }), "region", Some("=?base64?IHBhZGRlZCA=?=")),
            (object!({ "region": "line1\nline2" }), "region", Some("=?base64?bGluZTEKbGluZTI=?=")),
            (
                object!({ "region": "=?base64?literal?=" }),
                "region",
                Some("=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
            ),
            (object!({ "region": "x\r\nMcp-Name: evil" }), "mcp-name", None),
            (object!({ "region": "\u{7f}" }), "region", Some("=?base64?fw==?=")),
            (object!({ "region": "" }), "region", Some("")),
            (object!({ "region": null }), "region", None),
            (object!({ "plain": "x" }), "region", None),
            (object!({ "plain": "x" }), "plain", None),
            (object!({ "count": 42 }), "count", Some("42")),
            (object!({ "count": -7 }), "count", Some("-7")),
            (object!({ "count": 9_007_199_254_740_991_u64 }), "count", Some("9007199254740991")),
            (object!({ "dry": true }), "dry-run", Some("true")),
            (object!({ "dry": false }), "dry-run", Some("false")),
            (object!({ "deep": { "inner": "x" } }), "inner", Some("x")),
            (object!({ "deep": {} }), "inner", None),
        ] {
            session.call("a.ask", arguments.clone()).await.unwrap();
            let sent = sent(&server, "tools/call", &format!("mcp-param-{header}"));
            assert_eq!(sent.as_deref(), expected, "{arguments}");
        }
        let names = server.seen("tools/call");
        let names = names.iter().filter(|one| one.request.header("mcp-name") != Some("ask"));
        assert_eq!(names.count(), 0);
    });
}

/// A schema in which this one property has this annotation.
fn with(kind: &str, header: Value) -> Value {
    object!({ "x": { "type": kind, "x-mcp-header": header } })
}

#[test]
fn tools_with_invalid_annotations_are_left_out_and_reported() {
    world::run(async |world| {
        let annotated = object!({ "type": "string", "x-mcp-header": "H" });
        let bad = [
            ("empty", with("string", object!(""))),
            ("space", with("string", object!("a b"))),
            ("colon", with("string", object!("a:b"))),
            ("crlf", with("string", object!("a\r\nb"))),
            ("unicode", with("string", object!("ä"))),
            ("no-string", with("string", object!(7))),
            ("number", with("number", object!("H"))),
            ("object", with("object", object!("H"))),
            ("array", with("array", object!("H"))),
            (
                "twice",
                object!({
                    "x": { "type": "string", "x-mcp-header": "Same" },
                    "y": { "type": "string", "x-mcp-header": "sAME" },
                }),
            ),
            ("items", object!({ "x": { "type": "array", "items": annotated } })),
            ("one-of", object!({ "x": { "oneOf": [annotated] } })),
            ("not", object!({ "x": { "not": annotated } })),
            ("if", object!({ "x": { "if": annotated } })),
            (
                "deep",
                object!({ "x": { "type": "object", "properties": with("number", object!("H")) } }),
            ),
        ];
        let server = HttpServer::modern();
        server.configure(|settings| {
            let tools = bad.iter().map(|(name, properties)| tool(name, properties));
            settings.tools = tools.chain([tool("good", &with("string", object!("H")))]).collect();
        });
        let session = open(&world, remote(&server)).await;
        let catalog = session.tools();
        let left: Vec<_> = catalog.iter().map(|tool| tool.name().to_owned()).collect();
        assert_eq!(left, ["good"]);
        for (name, _) in bad {
            let told = catalog.faults().iter().any(|fault| {
                let fault = fault.to_string();
                fault.contains(name) && fault.contains("x-mcp-header")
            });
            assert!(told, "{name}: {:?}", catalog.faults());
        }
        session.call("a.good", object!({ "x": "y" })).await.unwrap();
    });
}

/// C13: "on -32020 re-list and retry", once.
#[test]
fn a_header_mismatch_lists_the_tools_again_and_retries_once() {
    world::run(async |world| {
        let server = HttpServer::modern();
        server.configure(|settings| settings.tools.push(tool("ask", &object!({}))));
        let session = open(&world, remote(&server)).await;
        server.configure(|settings| {
            settings.tools.pop();
            settings.tools.push(tool("ask", &with("string", object!("New"))));
        });
        let output = ended(session.call("a.ask", object!({ "x": "y" }))).await.unwrap();
        assert_eq!(output.text(), r#"{"x":"y"}"#);
        assert_eq!((server.count("tools/call"), server.count("tools/list")), (2, 2));
        assert_eq!(server.take_breaches().len(), 1);
        let [first, second] = &server.seen("tools/call")[..] else { panic!() };
        assert_ne!(first.request.id(), second.request.id(), "a retry is a new request");
        session.call("a.ask", object!({ "x": "z" })).await.unwrap();
        assert_eq!((server.count("tools/call"), server.count("tools/list")), (3, 2));

        server.on("tools/call ask", |request| json(400, &refusal(request, -32020, "mismatch")));
        let error = ended(session.call("a.ask", ())).await.unwrap_err();
        let CallError::Rejected { code, .. } = error else { panic!("{error:?}") };
        assert_eq!((code, server.count("tools/call")), (-32020, 5), "one retry, and no more");
        is_unharmed(&session).await;
    });
}
