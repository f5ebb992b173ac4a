//! The tests' own HTTP server does what the other tests take for granted.

#[path = "support/http_server.rs"]
mod http_server;

use std::time::Duration;

use http_server::{
    End, HttpServer, Step, Style, chunk, decoded, end_of_events, events, refusal, status, tool,
    whole,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const LONG: Duration = Duration::from_secs(10);
const BOTH: &str = "application/json, text/event-stream";

/// A client that knows nothing, and writes what it is told to.
struct Raw(TcpStream);

impl Raw {
    async fn connect(server: &HttpServer) -> Self {
        Self(TcpStream::connect(("127.0.0.1", server.port())).await.unwrap())
    }

    async fn send(&mut self, verb: &str, path: &str, headers: &[(&str, &str)], body: &str) {
        let mut text = format!("{verb} {path} HTTP/1.1\r\nHost: x\r\n");
        for (name, value) in headers {
            text += &format!("{name}: {value}\r\n");
        }
        text += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// Reads until this text has come; returns all that was read.
    async fn until(&mut self, wanted: &str) -> String {
        let mut read = Vec::new();
        while !String::from_utf8_lossy(&read).contains(wanted) {
            let count = tokio::time::timeout(LONG, self.0.read_buf(&mut read)).await;
            let text = String::from_utf8_lossy(&read).into_owned();
            assert!(matches!(count, Ok(Ok(1..))), "{wanted:?} did not come, only {text:?}");
        }
        String::from_utf8(read).unwrap()
    }

    /// Whether the other side is gone, and whether it went with a reset.
    async fn gone(&mut self) -> Option<bool> {
        let mut rest = Vec::new();
        match tokio::time::timeout(LONG, self.0.read_to_end(&mut rest)).await.ok()? {
            Ok(_) => Some(false),
            Err(_) => Some(true),
        }
    }
}

fn modern(method: &str, mut params: Value) -> String {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params }).to_string()
}

fn headers<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut all = vec![
        ("Accept", BOTH),
        ("Content-Type", "application/json"),
        ("MCP-Protocol-Version", "2026-07-28"),
    ];
    all.extend_from_slice(more);
    all
}

/// One request to a server of 2025-11-25.
async fn ask(raw: &mut Raw, session: &[(&str, &str)], method: &str) {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method }).to_string();
    let mut all = vec![("Accept", BOTH), ("MCP-Protocol-Version", "2025-11-25")];
    all.extend_from_slice(session);
    raw.send("POST", "/mcp", &all, &body).await;
}

/// Runs it on one thread; `false` lets a server go that was breached on purpose.
fn run(test: impl AsyncFnOnce()) {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio.block_on(test());
}

#[test]
fn modern_answers_on_one_connection_in_json_and_in_events() {
    run(async || {
        let server = HttpServer::modern();
        let mut raw = Raw::connect(&server).await;
        let discover = headers(&[("Mcp-Method", "server/discover")]);
        raw.send("POST", "/mcp", &discover, &modern("server/discover", json!({}))).await;
        assert!(raw.until("\"hostile\"").await.starts_with("HTTP/1.1 200 OK"));
        server.configure(|settings| settings.style = Style::Events);
        let list = headers(&[("Mcp-Method", "tools/list")]);
        raw.send("POST", "/mcp", &list, &modern("tools/list", json!({}))).await;
        let text = raw.until("\r\n0\r\n\r\n").await;
        assert!(text.contains("text/event-stream") && text.contains("\"counter\""), "{text}");
        raw.send("GET", "/mcp", &[], "").await;
        raw.until("HTTP/1.1 405").await;
        assert_eq!(server.connections(), (1, 1));
        assert_eq!(server.count("server/discover"), 1);
        assert_eq!(server.only("tools/list").end(), Some(End::Answered));
        assert_eq!(server.only("GET").request.connection, 0);
    });
}

#[test]
fn modern_compares_headers_with_the_body() {
    let breaches = std::panic::catch_unwind(|| {
        run(async || {
            let server = HttpServer::modern();
            let region = json!({ "region": { "type": "string", "x-mcp-header": "Region" } });
            server.configure(|settings| settings.tools = vec![tool("ask", &region)]);
            let mut raw = Raw::connect(&server).await;
            let body =
                modern("tools/call", json!({ "name": "ask", "arguments": { "region": "é" }}));
            let call = [("Mcp-Method", "tools/call"), ("Mcp-Name", "=?base64?YXNr?=")];
            let right = [call[0], call[1], ("Mcp-Param-Region", "=?base64?w6k=?=")];
            raw.send("POST", "/mcp", &headers(&right), &body).await;
            raw.until("HTTP/1.1 200").await;
            assert_eq!(server.breaches(), [""; 0]);
            for wrong in [&call[..], &right[..1], &[("Mcp-Method", "x")]] {
                raw.send("POST", "/mcp", &headers(wrong), &body).await;
                let text = raw.until("-32020").await;
                assert!(text.contains("HTTP/1.1 400"), "{text}");
            }
            assert_eq!(server.breaches().len(), 3);
        });
    });
    assert!(breaches.is_err(), "a server that was breached panics where it ends");
}

#[test]
fn sessions_are_minted_asked_for_forgotten_and_have_a_stream() {
    run(async || {
        let server = HttpServer::session();
        let mut raw = Raw::connect(&server).await;
        ask(&mut raw, &[], "tools/list").await;
        raw.until("HTTP/1.1 400").await;
        ask(&mut raw, &[], "initialize").await;
        raw.until("Mcp-Session-Id: session-1").await;
        let session = [("Mcp-Session-Id", "session-1")];
        let mut stream = Raw::connect(&server).await;
        let get =
            [session[0], ("Accept", "text/event-stream"), ("MCP-Protocol-Version", "2025-11-25")];
        stream.send("GET", "/mcp", &get, "").await;
        stream.until("text/event-stream").await;
        assert_eq!(server.streams(), 1);
        server.push(&json!({ "jsonrpc": "2.0", "method": "x" }));
        stream.until("\"method\":\"x\"").await;
        server.on_streams(|| Step::Reset);
        assert_eq!(stream.gone().await, Some(true));
        ask(&mut raw, &session, "tools/list").await;
        raw.until("HTTP/1.1 200").await;
        server.forget_sessions();
        ask(&mut raw, &session, "tools/list").await;
        raw.until("HTTP/1.1 404").await;
    });
}

#[test]
fn legacy_answers_on_the_stream() {
    run(async || {
        let server = HttpServer::sse();
        let mut stream = Raw::connect(&server).await;
        stream.send("GET", "/sse", &[], "").await;
        stream.until("event: endpoint\ndata: /message?session=session-1\n\n").await;
        let mut raw = Raw::connect(&server).await;
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" }).to_string();
        raw.send("POST", "/message?session=session-1", &[("Accept", BOTH)], &body).await;
        raw.until("HTTP/1.1 202").await;
        stream.until("\"counter\"").await;
        raw.send("POST", "/sse", &[], &body).await;
        raw.until("HTTP/1.1 405").await;
    });
}

#[test]
fn the_latest_rule_counts_as_often_as_it_says() {
    run(async || {
        let server = HttpServer::session();
        server.on("tools/list", |request| {
            whole(500, &[("X-Odd", "1")], refusal(request, 1, "odd").to_string())
        });
        server.on_first(1, "tools/list", |_| status(503));
        let mut raw = Raw::connect(&server).await;
        for expected in ["503", "500", "500"] {
            ask(&mut raw, &[], "tools/list").await;
            raw.until(&format!("HTTP/1.1 {expected}")).await;
        }
        server.behave();
        ask(&mut raw, &[], "tools/list").await;
        raw.until("HTTP/1.1 400").await;
    });
}

#[test]
fn it_knows_who_waits_and_who_has_left() {
    run(async || {
        let server = HttpServer::session();
        server.on("held", |_| vec![Step::Hold, events(&[]), chunk(": x\n"), end_of_events()]);
        let mut waits = Raw::connect(&server).await;
        ask(&mut waits, &[], "held").await;
        let mut leaves = Raw::connect(&server).await;
        ask(&mut leaves, &[], "held").await;
        while server.held() != 2 {
            tokio::task::yield_now().await;
        }
        drop(leaves);
        while server.held() != 1 {
            tokio::task::yield_now().await;
        }
        server.release();
        waits.until("0\r\n\r\n").await;
        let ends: Vec<_> = server.seen("held").iter().map(|exchange| exchange.end()).collect();
        assert!(ends.contains(&Some(End::Abandoned)), "{ends:?}");
    });
}

#[test]
fn it_dies_with_a_reset_and_comes_back_on_its_port() {
    run(async || {
        let mut server = HttpServer::session();
        server.on("held", |_| vec![Step::Hold]);
        let mut raw = Raw::connect(&server).await;
        ask(&mut raw, &[], "held").await;
        while server.held() != 1 {
            tokio::task::yield_now().await;
        }
        server.kill();
        assert_eq!(raw.gone().await, Some(true));
        assert_eq!(server.only("held").end(), Some(End::Reset));
        let refused = TcpStream::connect(("127.0.0.1", server.port())).await;
        assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
        server.revive();
        let mut raw = Raw::connect(&server).await;
        ask(&mut raw, &[], "initialize").await;
        raw.until("HTTP/1.1 200").await;
    });
}

#[test]
fn base64_is_told_from_what_only_looks_like_it() {
    for (value, expected) in [
        ("plain", Some("plain")),
        ("=?base64?SGVsbG8sIOS4lueVjA==?=", Some("Hello, 世界")),
        ("=?base64?IHBhZGRlZCA=?=", Some(" padded ")),
        ("=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?=", Some("=?base64?literal?=")),
        ("=?base64?bGluZTEKbGluZTI=?=", Some("line1\nline2")),
        ("=?BASE64?eA==?=", Some("=?BASE64?eA==?=")),
        ("=?base64?eA=?=", None),
        ("=?base64?!!!!?=", None),
    ] {
        assert_eq!(decoded(value).as_deref(), expected, "{value}");
    }
}
