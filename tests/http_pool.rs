//! Connections are shared by all servers of a runtime that agree in their settings, used again, and
//! let go.

#[path = "support/http_server.rs"]
mod http_server;
#[path = "support/remote.rs"]
mod remote;
#[path = "support/world.rs"]
mod world;

use std::time::Duration;

use callboard::StreamableHttp;
use http_server::{HttpServer, Step, Style, answer, whole};
use remote::{LONG, ended, is_unharmed, open, quick, remote};
use serde_json::json as object;
use world::eventually;

#[test]
fn calls_one_after_the_other_use_one_connection() {
    world::run(async |world| {
        for style in [Style::Json, Style::Events] {
            let server = HttpServer::modern();
            server.configure(|settings| settings.style = style);
            let session = open(&world, remote(&server)).await;
            for _ in 0..50 {
                session.call("a.echo", ()).await.unwrap();
            }
            // The end of a stream may come behind the next call.
            let (_, connected) = server.connections();
            assert!(connected <= 10, "{connected} connections for 50 calls in {style:?}");
        }
    });
}

#[test]
fn sessions_of_a_runtime_share_connections() {
    world::run(async |world| {
        let server = HttpServer::modern();
        for _ in 0..10 {
            let session = open(&world, remote(&server)).await;
            is_unharmed(&session).await;
            session.close().await;
        }
        let (_, connected) = server.connections();
        assert!(connected <= 3, "{connected} connections for ten sessions");
    });
}

#[test]
fn an_idle_connection_is_kept_as_long_as_declared() {
    world::run(async |world| {
        let server = HttpServer::modern();
        let http = StreamableHttp::new(server.url()).keep_alive(Duration::from_millis(100));
        let session = open(&world, quick("a", http)).await;
        session.call("a.echo", ()).await.unwrap();
        eventually(LONG, "it is let go", || server.connections().0 == 0).await;
        is_unharmed(&session).await;
    });
}

/// A server that keeps no connection is slower, and no worse.
#[test]
fn a_server_that_closes_after_each_answer_is_served() {
    world::run(async |world| {
        let server = HttpServer::modern();
        server.on("tools/call echo", |request| {
            let result = object!({ "content": [{ "type": "text", "text": "bye" }] });
            let headers = [("Content-Type", "application/json"), ("Connection", "close")];
            let mut steps = whole(200, &headers, answer(request, &result).to_string());
            steps.push(Step::Close);
            steps
        });
        let session = open(&world, remote(&server)).await;
        for _ in 0..50 {
            assert_eq!(ended(session.call("a.echo", ())).await.unwrap().text(), "bye");
        }
        is_unharmed(&session).await;
    });
}

/// Interim answers are none (RFC 9110, 15.2).
#[test]
fn interim_answers_are_passed_over() {
    world::run(async |world| {
        let server = HttpServer::modern();
        server.on("tools/call echo", |_| {
            let hints = http_server::lines(&["HTTP/1.1 103 Early Hints", "Link: </x>"]);
            let go_on = http_server::lines(&["HTTP/1.1 100 Continue"]);
            vec![Step::Bytes(go_on), Step::Bytes(hints), Step::Proper]
        });
        let session = open(&world, remote(&server)).await;
        let output = ended(session.call("a.echo", object!({ "text": "x" }))).await.unwrap();
        assert_eq!(output.text(), "x");
        is_unharmed(&session).await;
    });
}

/// A call that is dropped in the middle of its answer leaves no connection in the pool on which the
/// rest of it could be taken for another's.
#[test]
fn what_is_left_of_an_answer_is_nobodys() {
    world::run(async |world| {
        for server in [HttpServer::modern(), HttpServer::session()] {
            server.on("tools/call echo", |request| {
                let result = object!({ "content": [{ "type": "text", "text": "late" }] });
                let text = answer(request, &result).to_string();
                let head = [
                    "HTTP/1.1 200 OK".to_owned(),
                    "Content-Type: application/json".to_owned(),
                    format!("Content-Length: {}", text.len()),
                ];
                let (first, last) = text.split_at(text.len() / 2);
                let bytes = |text: &str| Step::Bytes(text.as_bytes().to_vec());
                vec![Step::Bytes(http_server::lines(&head)), bytes(first), Step::Hold, bytes(last)]
            });
            let session = open(&world, remote(&server)).await;
            for _ in 0..20 {
                let held = server.held();
                let call = tokio::spawn(session.call("a.echo", ()).into_future());
                eventually(LONG, "it is half answered", || server.held() > held).await;
                call.abort();
                server.release();
                for n in 0..3 {
                    let call = session.call("a.progress", object!({ "n": n }));
                    assert_eq!(ended(call).await.unwrap().text(), "done");
                }
            }
            is_unharmed(&session).await;
        }
    });
}

/// A connection that a router has forgotten while nothing went over it is found out.
#[cfg(target_os = "linux")]
#[test]
fn the_system_keeps_an_eye_on_connections() {
    /// Whether a timer runs for a socket that is no retransmission (Documentation of the kernel,
    /// networking/proc_net_tcp).
    fn is_kept_alive(line: &str, port: u16) -> bool {
        let fields: Vec<_> = line.split_whitespace().collect();
        let established = fields[2].ends_with(&format!(":{port:04X}")) && fields[3] == "01";
        established && fields[5].starts_with("02:")
    }
    world::run(async |world| {
        let server = HttpServer::session();
        let session = open(&world, remote(&server)).await;
        eventually(LONG, "the stream is open", || server.streams() == 1).await;
        eventually(LONG, "each connection is kept alive", || {
            let (sockets, open) =
                (std::fs::read_to_string("/proc/net/tcp").unwrap(), server.connections().0);
            let sockets = sockets.lines().skip(1);
            open > 0 && sockets.filter(|line| is_kept_alive(line, server.port())).count() == open
        })
        .await;
        is_unharmed(&session).await;
    });
}
