//! However much a server sends over HTTP, the host's memory is bounded, and only the call fails that
//! was answered so.

#[path = "support/http_server.rs"]
mod http_server;
#[path = "support/packed.rs"]
mod packed;
#[path = "support/remote.rs"]
mod remote;
#[path = "support/world.rs"]
mod world;

use callboard::{CallError, HttpError, Limits, ServerSpec, StreamableHttp};
use http_server::{HttpServer, Request, Step, answer, chunk, events, json, lines, whole};
use packed::{bomb, brotli, gzip, zstd};
use remote::{LONG, ended, is_unharmed, open, quick, remote};
use serde_json::json as object;

const MB: usize = 1 << 20;
const LIMIT: usize = 2 * MB;
/// What a piece of a flood weighs, and how many make 200 MB.
const PIECE: usize = 1 << 16;
const PIECES: usize = 200 * MB / PIECE;
/// What the host may take for a message that it refuses.
const SPARE: usize = 24 * MB;

fn limited(server: &HttpServer) -> ServerSpec {
    remote(server).limits(Limits::default().with_max_frame(LIMIT))
}

fn memory(field: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

/// A flood of one chunk after the other.
fn flood() -> Step {
    let Step::Bytes(piece) = chunk(vec![b'x'; PIECE]) else { unreachable!() };
    Step::Repeat(piece, PIECES)
}

fn json_head(more: &[&str]) -> Step {
    let head = ["HTTP/1.1 200 OK", "Content-Type: application/json"];
    Step::Bytes(lines(&[&head, more].concat()))
}

fn message(request: &Request, size: usize) -> String {
    let content = object!([{ "type": "text", "text": "x".repeat(size) }]);
    answer(request, &object!({ "content": content })).to_string()
}

/// How the text of an answer is packed.
type Pack = (&'static str, fn(&[u8]) -> Vec<u8>);
const PACKS: [Pack; 3] = [("gzip", gzip), ("br", brotli), ("zstd", zstd)];

#[test]
fn a_message_above_the_limit_fails_its_call_and_takes_no_memory() {
    type Flood = (&'static str, fn(&Request) -> Vec<Step>);
    const FLOODS: [Flood; 8] = [
        ("an event", |_| vec![events(&[]), chunk("data: {\"x\":\""), flood()]),
        ("an event of many lines", |_| {
            let Step::Bytes(line) = chunk("data: \"x\"\n".repeat(PIECE / 10)) else { panic!() };
            vec![events(&[]), Step::Repeat(line, PIECES)]
        }),
        ("a comment", |_| vec![events(&[]), chunk(": "), flood(), Step::Close]),
        ("a field", |_| vec![events(&[]), chunk("id: "), flood(), Step::Close]),
        ("a body of a known length", |_| {
            let length = format!("Content-Length: {}", PIECE * PIECES);
            vec![json_head(&[&length]), Step::Repeat(vec![b' '; PIECE], PIECES)]
        }),
        ("a body in chunks", |_| {
            vec![json_head(&["Transfer-Encoding: chunked"]), chunk("{\"x\":\""), flood()]
        }),
        ("a body until the end", |_| {
            vec![
                json_head(&["Connection: close"]),
                Step::Repeat(vec![b' '; PIECE], PIECES),
                Step::Close,
            ]
        }),
        ("a bomb", |_| {
            let packed = [("Content-Type", "application/json"), ("Content-Encoding", "gzip")];
            whole(200, &packed, bomb(200 * MB))
        }),
    ];
    world::run(async |world| {
        for server in [HttpServer::modern(), HttpServer::session()] {
            let session = open(&world, limited(&server)).await;
            for (what, flood) in FLOODS {
                server.on("tools/call echo", flood);
                std::fs::write("/proc/self/clear_refs", "5").unwrap();
                let before = memory("VmRSS:");
                let error = ended(session.call("a.echo", ())).await.unwrap_err();
                let cause = remote::http_error(&error);
                assert!(
                    matches!(*cause, HttpError::TooLarge { .. } | HttpError::Broken { .. }),
                    "{what}: {error:?}"
                );
                if !matches!(what, "a comment" | "a field") {
                    assert!(
                        matches!(*cause, HttpError::TooLarge { limit: LIMIT, .. }),
                        "{what}: {error:?}"
                    );
                    assert!(error.to_string().contains("max_frame"), "{error}");
                }
                let took = memory("VmHWM:").saturating_sub(before);
                assert!(took < SPARE, "{what}: {} MB", took / MB);
                is_unharmed(&session).await;
            }
        }
    });
}

#[test]
fn a_stream_of_the_servers_own_is_bounded_too() {
    world::run(async |world| {
        for server in [HttpServer::session(), HttpServer::sse()] {
            let session = open(&world, limited(&server)).await;
            let handle = session.server("a").unwrap();
            let deadline = tokio::time::Instant::now() + LONG;
            while server.streams() == 0 {
                assert!(tokio::time::Instant::now() < deadline, "no stream");
                tokio::task::yield_now().await;
            }
            std::fs::write("/proc/self/clear_refs", "5").unwrap();
            let before = memory("VmRSS:");
            server.on_streams(|| chunk("data: "));
            server.on_streams(flood);
            world::eventually(LONG, "it is closed", || {
                server.seen("GET")[0].end() == Some(http_server::End::Abandoned)
            })
            .await;
            let took = memory("VmHWM:").saturating_sub(before);
            assert!(took < SPARE, "{} MB", took / MB);
            world::await_status(&handle, LONG, callboard::Status::is_ready).await;
            let deadline = tokio::time::Instant::now() + LONG;
            while session.call("a.echo", ()).await.is_err() {
                assert!(tokio::time::Instant::now() < deadline, "{:?}", handle.status());
                tokio::task::yield_now().await;
            }
        }
    });
}

#[test]
fn headers_are_bounded() {
    world::run(async |world| {
        let server = HttpServer::modern();
        let session = open(&world, limited(&server)).await;
        let giants: [fn(&Request) -> Vec<Step>; 3] = [
            |_| {
                let start = Step::Bytes(b"HTTP/1.1 200 OK\r\nX-Giant: ".to_vec());
                vec![start, Step::Repeat(vec![b'x'; PIECE], PIECES), Step::Close]
            },
            |_| {
                let start = Step::Bytes(b"HTTP/1.1 200 OK\r\n".to_vec());
                vec![start, Step::Repeat(b"X-Many: x\r\n".repeat(5000), PIECES), Step::Close]
            },
            |_| vec![Step::Repeat(vec![b'x'; PIECE], PIECES), Step::Close],
        ];
        for giant in giants {
            server.on("tools/call echo", giant);
            std::fs::write("/proc/self/clear_refs", "5").unwrap();
            let before = memory("VmRSS:");
            let error = ended(session.call("a.echo", ())).await.unwrap_err();
            assert_eq!(error.kind(), "transport_down", "{error:?}");
            let took = memory("VmHWM:").saturating_sub(before);
            assert!(took < SPARE, "{} MB", took / MB);
            is_unharmed(&session).await;
        }
    });
}

#[test]
fn what_is_just_below_the_limit_comes_through() {
    world::run(async |world| {
        for server in [HttpServer::modern(), HttpServer::session(), HttpServer::sse()] {
            for style in [http_server::Style::Json, http_server::Style::Events] {
                server.configure(|settings| settings.style = style);
                let session = open(&world, limited(&server)).await;
                let text = "x".repeat(LIMIT - 1000);
                let output = ended(session.call("a.echo", object!({ "text": &text }))).await;
                assert_eq!(output.unwrap().text().len(), text.len());
                let text = "x".repeat(LIMIT + (LIMIT >> 4));
                let outcome = ended(session.call("a.echo", object!({ "text": &text }))).await;
                let CallError::TransportDown { .. } = outcome.unwrap_err() else { panic!() };
            }
        }
    });
}

#[test]
fn packed_answers_are_unpacked() {
    world::run(async |world| {
        let server = HttpServer::modern();
        let session = open(&world, limited(&server)).await;
        for (name, pack) in PACKS {
            server.on("tools/call echo", move |request| {
                let offered = request.header("accept-encoding").unwrap_or_default();
                assert!(offered.contains(name), "{name} is not offered: {offered}");
                let headers = [("Content-Type", "application/json"), ("Content-Encoding", name)];
                whole(200, &headers, pack(message(request, 10_000).as_bytes()))
            });
            let output = ended(session.call("a.echo", ())).await;
            assert_eq!(
                output.unwrap_or_else(|e| panic!("{name}: {e:?}")).text(),
                "x".repeat(10_000)
            );
            server.on("tools/call echo", move |request| {
                let text = format!("data: {}\n\n", message(request, 10_000));
                let headers = [("Content-Type", "text/event-stream"), ("Content-Encoding", name)];
                whole(200, &headers, pack(text.as_bytes()))
            });
            let output = ended(session.call("a.echo", ())).await;
            assert_eq!(
                output.unwrap_or_else(|e| panic!("{name}: {e:?}")).text(),
                "x".repeat(10_000)
            );
            server.on("tools/call echo", move |_| {
                let headers = [("Content-Type", "application/json"), ("Content-Encoding", name)];
                whole(200, &headers, "this is not packed")
            });
            let error = ended(session.call("a.echo", ())).await.unwrap_err();
            assert!(matches!(error.kind(), "transport_down" | "invalid_response"), "{error:?}");
        }
        is_unharmed(&session).await;
    });
}

#[test]
fn nothing_packed_is_asked_for_where_the_host_does_not_want_it() {
    world::run(async |world| {
        let server = HttpServer::modern();
        let plain = StreamableHttp::new(server.url()).compression(false);
        let session = open(&world, quick("a", plain)).await;
        session.call("a.echo", ()).await.unwrap();
        for exchange in server.requests() {
            let offered = exchange.request.header("accept-encoding");
            assert!(offered.is_none_or(|offered| offered == "identity"), "{offered:?}");
        }
        server.on("tools/call echo", |request| {
            json(
                200,
                &object!({ "jsonrpc": "2.0", "id": request.id(), "result": { "content": [] } }),
            )
        });
        session.call("a.echo", ()).await.unwrap();
    });
}
