//! An event stream is read however it is written (WHATWG HTML, 9.2.6), and whatever else is in it.

#[path = "support/http_server.rs"]
mod http_server;
#[path = "support/remote.rs"]
mod remote;
#[path = "support/world.rs"]
mod world;

use std::time::Duration;

use callboard::Session;
use http_server::{HttpServer, Request, Step, answer, chunk, end_of_events, event, events, whole};
use remote::{LONG, ended, is_unharmed, open, remote};
use serde_json::{Value, json as object};

const TEXT: &str = "grüße, 日本 \u{1f980} and \\ \" \n\r \u{2028} the rest";

fn result(request: &Request) -> Value {
    let result = object!({ "content": [{ "type": "text", "text": TEXT }] });
    answer(request, &result)
}

async fn reads(session: &Session, how: &str) {
    let output = ended(session.call("a.echo", ())).await;
    let output = output.unwrap_or_else(|error| panic!("{how}: {error:?}"));
    assert_eq!(output.text(), TEXT, "{how}");
}

type Written = fn(&str) -> String;

/// The same message in all the ways that an event can be written.
const WAYS: [(&str, Written); 16] = [
    ("as usual", |message| format!("event: message\ndata: {message}\n\n")),
    ("without a type", |message| format!("data: {message}\n\n")),
    ("without a space", |message| format!("data:{message}\n\n")),
    ("with CRLF", |message| format!("event: message\r\ndata: {message}\r\n\r\n")),
    ("with CR", |message| format!("event: message\rdata: {message}\r\r")),
    ("with all of them", |message| format!("event: message\r\ndata: {message}\n\r\n")),
    ("behind a BOM", |message| format!("\u{feff}data: {message}\n\n")),
    ("behind comments", |message| format!(": one\n:\n\n:two\n\ndata: {message}\n: three\n\n")),
    ("with an id and a retry", |message| format!("id: 7\nretry: 10\ndata: {message}\n\n")),
    ("with a nonsensical retry", |message| format!("retry: soon\nid\ndata: {message}\n\n")),
    ("with fields of nobody", |message| format!("foo: bar\nbaz\ndata: {message}\n\n")),
    ("behind an empty event", |message| format!("id: 1\n\ndata\n\ndata:\n\ndata: {message}\n\n")),
    ("behind a ping", |message| format!("event: ping\ndata: now\n\ndata: {message}\n\n")),
    ("over many lines", |message| {
        let message: Value = serde_json::from_str(message).unwrap();
        let pretty = serde_json::to_string_pretty(&message).unwrap();
        format!("data: {}\n\n", pretty.replace('\n', "\ndata: "))
    }),
    ("behind what is no message", |message| {
        format!("data: hello\n\ndata: [1\n\ndata: {{}}\n\ndata: 7\n\ndata: {message}\n\n")
    }),
    ("in front of more", |message| {
        format!(
            "data: {message}\n\ndata: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\"}}\n\n"
        )
    }),
];

#[test]
fn an_event_may_be_written_in_many_ways() {
    world::run(async |world| {
        for server in [HttpServer::modern(), HttpServer::session()] {
            let session = open(&world, remote(&server)).await;
            for (how, way) in WAYS {
                server.on("tools/call echo", move |request| {
                    let text = way(&result(request).to_string());
                    vec![events(&[]), chunk(text), end_of_events()]
                });
                reads(&session, how).await;
            }
            is_unharmed(&session).await;
        }
    });
}

#[test]
fn an_event_may_come_in_any_pieces() {
    world::run(async |world| {
        let server = HttpServer::modern();
        let session = open(&world, remote(&server)).await;
        for (how, way) in WAYS {
            for size in [1, 2, 3, 7, 64] {
                server.on("tools/call echo", move |request| {
                    let text = way(&result(request).to_string());
                    let pieces = text.as_bytes().chunks(size).map(chunk);
                    std::iter::once(events(&[])).chain(pieces).chain([end_of_events()]).collect()
                });
                reads(&session, how).await;
            }
        }
        is_unharmed(&session).await;
    });
}

#[test]
fn an_event_may_come_slowly() {
    world::run(async |world| {
        let server = HttpServer::modern();
        let session = open(&world, remote(&server)).await;
        server.on("tools/call echo", |request| {
            let Step::Bytes(head) = events(&[]) else { unreachable!() };
            let Step::Bytes(event) = event(&result(request)) else { unreachable!() };
            let pause = Duration::from_millis(1);
            vec![Step::Drip(head, pause), Step::Drip(event, pause), end_of_events()]
        });
        reads(&session, "a byte at a time").await;
    });
}

/// The type of the content counts, and not how it is spelled.
#[test]
fn a_content_type_may_have_parameters_and_capitals() {
    world::run(async |world| {
        let server = HttpServer::modern();
        let session = open(&world, remote(&server)).await;
        for kind in [
            "application/json; charset=utf-8",
            "Application/JSON",
            "application/json;charset=UTF-8",
        ] {
            server.on("tools/call echo", move |request| {
                whole(200, &[("Content-Type", kind)], result(request).to_string())
            });
            reads(&session, kind).await;
        }
        for kind in ["text/event-stream; charset=utf-8", "Text/Event-Stream"] {
            server.on("tools/call echo", move |request| {
                let text = format!("data: {}\n\n", result(request));
                whole(200, &[("Content-Type", kind)], text)
            });
            reads(&session, kind).await;
        }
    });
}

/// An answer without a blank line behind it is none: the stream broke (WHATWG HTML, 9.2.6).
#[test]
fn an_event_that_is_not_ended_is_not_read() {
    world::run(async |world| {
        let server = HttpServer::modern();
        let session = open(&world, remote(&server)).await;
        for end in ["", "\n"] {
            server.on("tools/call echo", move |request| {
                let text = format!("data: {}{end}", result(request));
                vec![events(&[]), chunk(text), end_of_events()]
            });
            let error = ended(session.call("a.echo", ())).await.unwrap_err();
            assert_eq!(error.kind(), "transport_down", "{error:?}");
        }
        is_unharmed(&session).await;
    });
}

/// Many answers at once over many connections, each its own.
#[test]
fn streams_do_not_mix() {
    world::run(async |world| {
        for server in [HttpServer::modern(), HttpServer::session(), HttpServer::sse()] {
            server.configure(|settings| settings.style = http_server::Style::Events);
            let session = open(&world, remote(&server)).await;
            let calls: Vec<_> = (0..200)
                .map(|n| {
                    let call = session.call("a.echo", object!({ "text": n.to_string() }));
                    tokio::spawn(call.into_future())
                })
                .collect();
            for (n, call) in calls.into_iter().enumerate() {
                let output = tokio::time::timeout(LONG, call).await.unwrap().unwrap().unwrap();
                assert_eq!(output.text(), n.to_string());
            }
            is_unharmed(&session).await;
        }
    });
}
