//! What goes wrong × when, for servers behind a URL: as `fault_matrix.rs` for child processes and
//! `memory_matrix.rs` for servers in memory. What each fault says of itself stands in
//! `http_faults.rs`, and what goes wrong while nobody calls in `http_loss.rs`.

#[path = "support/http_server.rs"]
mod http_server;
#[path = "support/remote.rs"]
mod remote;
#[path = "support/world.rs"]
mod world;

use std::time::Duration;

use callboard::{Delivery, Phase, Server, Session};
use http_server::{HttpServer, Step, whole};
use remote::{HOUR, LONG, ended, hold, remote};
use serde_json::json;
use tokio::time::timeout;

const FAULTS: [&str; 8] =
    ["429", "500", "web page", "no JSON", "half an answer", "reset", "closed", "silence"];

/// Of a start; a server that says nothing is waited for as long.
const INIT_TIMEOUT: Duration = Duration::from_secs(4);

/// What the server does instead of answering.
fn fault(name: &str) -> Vec<Step> {
    let json = ("Content-Type", "application/json");
    match name {
        "429" => whole(429, &[("Retry-After", "0")], ""),
        "500" => whole(500, &[], ""),
        "web page" => whole(200, &[("Content-Type", "text/html")], "<h1>Welcome</h1>"),
        "no JSON" => whole(200, &[json], "{\"jsonrpc\":"),
        "half an answer" => {
            let head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
                         Content-Length: 100\r\n\r\n{\"jsonrpc\"";
            vec![Step::Bytes(head.to_vec()), Step::Close]
        }
        "reset" => vec![Step::Reset],
        "closed" => vec![Step::Close],
        _ => vec![Step::Pause(HOUR)],
    }
}

/// Runs all cells of one row, over both kinds of streamable HTTP.
fn row(
    arm: fn(&HttpServer, &'static str),
    check: impl AsyncFn(&str, &HttpServer, &Session, &Server),
) {
    world::run(async |world| {
        for name in FAULTS {
            for server in [HttpServer::modern(), HttpServer::session()] {
                arm(&server, name);
                let spec = remote(&server).init_timeout(INIT_TIMEOUT);
                let session = world.runtime.session(name).server(spec).open().await.unwrap();
                let handle = session.server("a").unwrap();
                let checked = timeout(2 * LONG, check(name, &server, &session, &handle)).await;
                checked.unwrap_or_else(|_| panic!("{name}: never ended"));
                timeout(LONG, session.close()).await.expect("it closes");
                assert_eq!(handle.status().phase, Phase::Stopped, "{name}");
            }
        }
    });
}

/// The first of these requests meets the fault, and no other does.
fn first(server: &HttpServer, what: &'static str, name: &'static str) {
    server.on_first(1, what, move |_| fault(name));
}

async fn works(session: &Session, name: &str) {
    let output = ended(session.call("a.echo", json!({ "text": name }))).await.unwrap();
    assert_eq!(output.text(), name);
}

async fn comes_up(name: &str, session: &Session, server: &Server) {
    let ready = timeout(2 * LONG, server.ready()).await;
    let ready = ready.unwrap_or_else(|_| panic!("{name}: {:?}", server.status()));
    assert!(ready.is_ok(), "{name}: {ready:?}");
    works(session, name).await;
}

#[test]
fn faults_during_the_handshake_are_tried_again() {
    let arm = |server: &HttpServer, name| {
        first(server, "server/discover", name);
        first(server, "initialize", name);
    };
    row(arm, async |name, _, session, server| comes_up(name, session, server).await);
}

#[test]
fn faults_of_the_first_list_are_tried_again() {
    let arm = |server: &HttpServer, name| first(server, "tools/list", name);
    row(arm, async |name, _, session, server| comes_up(name, session, server).await);
}

#[test]
fn faults_of_a_call_fail_it_alone() {
    let arm = |server: &HttpServer, name| first(server, "tools/call echo", name);
    row(arm, async |name, there, session, server| {
        server.ready().await.unwrap();
        let others = hold(session, there, 3).await;
        let call = session.call("a.echo", ()).idle_timeout(Duration::from_secs(1));
        let error = ended(call).await.unwrap_err();
        let (kind, delivery) = match name {
            "429" => ("http_status", Delivery::NotSent),
            "500" => ("http_status", Delivery::MaybeSent),
            "web page" => ("invalid_response", Delivery::Answered),
            "no JSON" => ("invalid_response", Delivery::Answered),
            "silence" => ("timed_out", Delivery::MaybeSent),
            _ => ("transport_down", Delivery::MaybeSent),
        };
        assert_eq!((error.kind(), error.delivery()), (kind, delivery), "{name}: {error}");
        works(session, name).await;
        there.release();
        for other in others {
            other.await.unwrap().expect("the other calls go on");
        }
        assert_eq!(server.status().epoch, 1, "{name}");
    });
}

#[test]
fn faults_while_closing_do_not_hold_the_close() {
    let arm = |server: &HttpServer, name| first(server, "DELETE", name);
    row(arm, async |name, there, session, server| {
        server.ready().await.unwrap();
        let held = hold(session, there, 2).await;
        timeout(LONG, session.close()).await.expect("it closes");
        for call in held {
            let error = call.await.unwrap().unwrap_err();
            assert_eq!((error.kind(), error.delivery()), ("session_closed", Delivery::MaybeSent));
        }
        let error = session.call("a.echo", ()).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.delivery()),
            ("session_closed", Delivery::NotSent),
            "{name}"
        );
    });
}
