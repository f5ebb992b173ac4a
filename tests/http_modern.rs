//! Streamable HTTP of 2026-07-28: every request stands for itself, says in its headers what it is,
//! and is cancelled by closing its connection.

#[path = "support/http_server.rs"]
mod http_server;
#[path = "support/remote.rs"]
mod remote;
#[path = "support/world.rs"]
mod world;

use std::time::Duration;

use callboard::{CallError, Delivery, Session};
use http_server::{
    End, HttpServer, Request, Step, Style, answer, decoded, event, events, json, refusal, tool,
};
use remote::{LONG, ended, hold, is_unharmed, open, remote};
use serde_json::{Value, json as object};
use world::eventually;

/// What was sent for the call of a tool in this header.
fn sent(server: &HttpServer, what: &str, header: &str) -> Option<String> {
    let last = server.seen(what).pop().unwrap();
    last.request.header(header).map(str::to_owned)
}

/// C12; the server itself refuses what does not fit its body.
#[test]
fn every_request_says_in_its_headers_what_it_is() {
    world::run(async |world| {
        for style in [Style::Json, Style::Events] {
            let server = HttpServer::modern();
            server.configure(|settings| settings.style = style);
            let session = open(&world, remote(&server)).await;
            let output = session.call("a.echo", object!({ "text": "hello" })).await.unwrap();
            assert_eq!(output.text(), "hello");
            assert_eq!(sent(&server, "tools/call", "mcp-name").unwrap(), "echo");
            assert_eq!(sent(&server, "tools/list", "mcp-method").unwrap(), "tools/list");
            assert_eq!(sent(&server, "tools/list", "mcp-name"), None);
            let told = session.server("a").unwrap().status().protocol_version;
            assert_eq!(told.as_deref(), Some("2026-07-28"));
            session.close().await;
            let others: Vec<_> = server.requests();
            let others = others.iter().filter(|exchange| {
                let known = ["server/discover", "tools/list", "tools/call"];
                !known.iter().any(|what| exchange.request.is(what))
            });
            assert_eq!(others.count(), 0, "{:#?}", server.requests());
        }
    });
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

async fn is_cancelled(server: &HttpServer, nth: usize) {
    let end = || server.seen("tools/call hold")[nth].end();
    eventually(LONG, "its connection is closed", || end() == Some(End::Abandoned)).await;
    assert_eq!(server.count("notifications/cancelled"), 0);
}

/// C17: closing the stream cancels, and nothing is sent for it.
#[test]
fn a_call_is_cancelled_by_closing_its_connection() {
    world::run(async |world| {
        for style in [Style::Json, Style::Events] {
            let server = HttpServer::modern();
            server.configure(|settings| settings.style = style);
            let session = open(&world, remote(&server)).await;
            let mut calls = hold(&session, &server, 2).await;
            let dropped = calls.pop().unwrap();
            dropped.abort();
            eventually(LONG, "one is let go", || server.held() == 1).await;
            let call = session.call("a.hold", ()).idle_timeout(Duration::from_millis(100));
            let error = ended(call).await.unwrap_err();
            assert_eq!((error.kind(), error.delivery()), ("timed_out", Delivery::MaybeSent));
            is_cancelled(&server, 2).await;
            let token = tokio_util::sync::CancellationToken::new();
            let call =
                tokio::spawn(session.call("a.hold", ()).cancel_on(token.clone()).into_future());
            eventually(LONG, "it has the call", || server.held() == 2).await;
            token.cancel();
            assert_eq!(call.await.unwrap().unwrap_err().kind(), "cancelled");
            is_cancelled(&server, 3).await;
            server.release();
            calls.pop().unwrap().await.unwrap().unwrap();
            is_unharmed(&session).await;
        }
    });
}

/// C14: a broken stream loses its request, and that one only.
#[test]
fn a_broken_stream_loses_its_request_and_is_not_resumed() {
    world::run(async |world| {
        for cut in [|| Step::Reset, || Step::Close, || http_server::end_of_events()] {
            let server = HttpServer::modern();
            server.on("tools/call echo", move |_| {
                vec![events(&[]), http_server::chunk("id: 1\nretry: 1\ndata:\n\n"), cut()]
            });
            let session = open(&world, remote(&server)).await;
            let others = hold(&session, &server, 3).await;
            let error = ended(session.call("a.echo", ())).await.unwrap_err();
            assert_eq!((error.kind(), error.delivery()), ("transport_down", Delivery::MaybeSent));
            remote::http_error(&error);
            is_unharmed(&session).await;
            server.release();
            for other in others {
                other.await.unwrap().unwrap();
            }
            assert_eq!((server.count("GET"), server.count("tools/call echo")), (0, 1));
        }
    });
}

/// C8: in this revision a server asks nothing.
#[test]
fn a_question_of_the_server_is_not_answered() {
    world::run(async |world| {
        let server = HttpServer::modern();
        server.on("tools/call echo", |request| {
            let ping = object!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
            let result = object!({ "content": [], "resultType": "complete" });
            let answer = event(&answer(request, &result));
            vec![events(&[]), event(&ping), answer, http_server::end_of_events()]
        });
        let session = open(&world, remote(&server)).await;
        ended(session.call("a.echo", ())).await.unwrap();
        is_unharmed(&session).await;
        assert_eq!(server.count("response"), 0);
    });
}

#[test]
fn a_changed_list_is_heard_of_by_listening() {
    world::run(async |world| {
        let server = HttpServer::modern();
        server.configure(|settings| settings.list_changed = true);
        server.on("subscriptions/listen", |request| {
            let meta = object!({ "io.modelcontextprotocol/subscriptionId": request.id() });
            let filter = object!({ "toolsListChanged": true });
            let told = |method: &str, params: Value| {
                event(&object!({ "jsonrpc": "2.0", "method": method, "params": params }))
            };
            let granted = object!({ "_meta": meta, "notifications": filter });
            let first = told("notifications/subscriptions/acknowledged", granted);
            let changed = object!({ "_meta": meta });
            let changed = told("notifications/tools/list_changed", changed);
            vec![events(&[]), first, Step::Hold, changed, Step::Hold]
        });
        let session = open(&world, remote(&server)).await;
        eventually(LONG, "it listens", || server.held() == 1).await;
        server.configure(|settings| settings.tools.push(tool("later", &object!({}))));
        server.release();
        eventually(LONG, "the new tool is there", || session.tools().get("a.later").is_some())
            .await;
        is_unharmed(&session).await;
        session.close().await;
        let end = || server.only("subscriptions/listen").end();
        eventually(LONG, "it listens no more", || end() == Some(End::Abandoned)).await;
    });
}

/// A stream of changes that breaks is no loss of the server: it is asked for again.
#[test]
fn a_broken_subscription_is_made_again() {
    world::run(async |world| {
        let server = HttpServer::modern();
        server.configure(|settings| settings.list_changed = true);
        server.on("subscriptions/listen", |_| vec![events(&[]), Step::Hold, Step::Reset]);
        let session = open(&world, remote(&server)).await;
        for round in 1..=3 {
            let listens = || server.held() == 1 && server.count("subscriptions/listen") == round;
            eventually(LONG, "it listens", listens).await;
            server.release();
        }
        is_unharmed(&session).await;
    });
}

fn is_told(session: &Session, revision: &str) {
    let status = session.server("a").unwrap().status();
    assert!(status.is_ready(), "{status:?}");
    assert_eq!(status.protocol_version.as_deref(), Some(revision));
}

fn discovered(request: &Request, revisions: &Value) -> Vec<Step> {
    let result = object!({ "supportedVersions": revisions, "capabilities": { "tools": {} } });
    json(200, &answer(request, &result))
}

fn unsupported(request: &Request, revisions: &Value) -> Vec<Step> {
    let data = object!({ "supported": revisions, "requested": "2026-07-28" });
    let error = object!({ "code": -32022, "message": "no", "data": data });
    json(400, &object!({ "jsonrpc": "2.0", "id": request.id(), "error": error }))
}

/// Issues seen on real servers: one lists only older revisions, and then wants `initialize`.
#[test]
fn a_server_that_lists_only_older_revisions_is_initialized() {
    world::run(async |world| {
        for probe in [discovered, unsupported] {
            let server = HttpServer::session();
            server.on("server/discover", move |request| {
                probe(request, &object!(["2025-06-18", "2025-11-25"]))
            });
            let session = open(&world, remote(&server)).await;
            is_told(&session, "2025-11-25");
            is_unharmed(&session).await;
        }
    });
}
