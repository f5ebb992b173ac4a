//! Streamable HTTP of 2026-07-28: every request stands for itself, says in its headers what it is,
//! and is cancelled by closing its connection.

#[path = "support/http_server.rs"]
mod http_server;
#[path = "support/remote.rs"]
mod remote;
#[path = "support/world.rs"]
mod world;

use std::time::Duration;

use callboard::{Delivery, Session};
use http_server::{End, HttpServer, Request, Step, Style, answer, event, events, json, tool};
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
