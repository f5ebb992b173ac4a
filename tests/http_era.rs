//! Which revision and which transport a URL speaks is found out by what it answers (C1, C3), and
//! kept.

#[path = "support/http_server.rs"]
mod http_server;
#[path = "support/remote.rs"]
mod remote;
#[path = "support/world.rs"]
mod world;

use std::time::Duration;

use callboard::{HttpEra, HttpSse, Status, StreamableHttp, TransportKind};
use http_server::{HttpServer, Request, Step, answer, json, redirect, refusal, status, whole};
use remote::{LONG, is_unharmed, open, quick, remote};
use serde_json::json as object;
use world::await_status;

type Probe = fn(&Request) -> Vec<Step>;

/// What servers that do not know `server/discover` say to it.
const REFUSALS: [(&str, Probe); 13] = [
    ("400 and nothing", |_| status(400)),
    ("400 and a text", |_| whole(400, &[("Content-Type", "text/plain")], "Bad Request")),
    ("400 and -32000", |request| json(400, &refusal(request, -32000, "no session"))),
    ("400 and -32600", |request| json(400, &refusal(request, -32600, "invalid"))),
    ("400 and an error of nobody", |_| {
        json(
            400,
            &object!({ "jsonrpc": "2.0", "id": null, "error": { "code": -32000, "message": "x" } }),
        )
    }),
    ("404 and a page", |_| whole(404, &[("Content-Type", "text/html")], "<html>no</html>")),
    ("404 and -32601", |request| json(404, &refusal(request, -32601, "no such method"))),
    ("405", |_| status(405)),
    ("406", |_| status(406)),
    ("422", |_| json(422, &object!({ "detail": [{ "msg": "wrong" }] }))),
    ("200 and -32601", |request| json(200, &refusal(request, -32601, "no such method"))),
    ("200 and -32602", |request| json(200, &refusal(request, -32602, "bad"))),
    ("200 and nothing in it", |request| json(200, &answer(request, &object!({})))),
];

#[test]
fn an_older_server_is_found_out_whatever_it_says_to_the_probe() {
    world::run(async |world| {
        for (what, probe) in REFUSALS {
            let server = HttpServer::session();
            server.on("server/discover", probe);
            let session = world.open([remote(&server)]).await;
            let found = session.server("a").unwrap().status();
            assert!(found.is_ready(), "{what}: {found:?}");
            assert_eq!(found.protocol_version.as_deref(), Some("2025-11-25"), "{what}");
            is_unharmed(&session).await;
            assert_eq!(server.count("initialize"), 1, "{what}");
            assert_eq!(server.count("server/discover"), 1, "{what}");
        }
    });
}

/// A fault is no answer to the question: it is asked again, and nothing is concluded of it.
#[test]
fn a_server_that_fails_at_the_probe_is_not_taken_for_an_older_one() {
    world::run(async |world| {
        let faults: [Probe; 4] =
            [|_| status(500), |_| status(503), |_| status(429), |_| vec![Step::Reset]];
        for fault in faults {
            let server = HttpServer::modern();
            server.on_first(1, "server/discover", fault);
            let session = world.open([remote(&server)]).await;
            let handle = session.server("a").unwrap();
            let found = await_status(&handle, LONG, Status::is_ready).await;
            assert_eq!(found.protocol_version.as_deref(), Some("2026-07-28"), "{found:?}");
        }
    });
}

/// C3: a modern error is no reason to fall back.
#[test]
fn a_modern_server_is_not_asked_to_initialize() {
    world::run(async |world| {
        let server = HttpServer::modern();
        let session = open(&world, remote(&server)).await;
        is_unharmed(&session).await;
        assert_eq!((server.count("initialize"), server.count("GET")), (0, 0));
        assert_eq!(
            session.server("a").unwrap().status().transport,
            Some(TransportKind::StreamableHttp)
        );
    });
}

#[test]
fn legacy_sse_is_found_out_at_last() {
    world::run(async |world| {
        let server = HttpServer::sse();
        let session = open(&world, remote(&server)).await;
        let found = session.server("a").unwrap().status();
        assert_eq!(found.transport, Some(TransportKind::HttpSse));
        assert_eq!(found.protocol_version.as_deref(), Some("2024-11-05"));
        is_unharmed(&session).await;
    });
}

/// The requests that ask an older server for what it does not know.
fn probes(server: &HttpServer) -> usize {
    let all = server.requests();
    let vain = |request: &Request| request.verb == "POST" && request.path == "/sse";
    all.iter()
        .filter(|exchange| exchange.request.is("server/discover") || vain(&exchange.request))
        .count()
}

#[test]
fn what_was_found_out_is_kept_for_the_origin() {
    world::run(async |world| {
        for server in [HttpServer::session(), HttpServer::sse()] {
            let session = open(&world, remote(&server)).await;
            let probed = probes(&server);
            assert!(probed > 0);
            session.server("a").unwrap().restart();
            await_status(&session.server("a").unwrap(), LONG, remote::ready_in(2)).await;
            session.close().await;
            let session = open(&world, remote(&server)).await;
            is_unharmed(&session).await;
            assert_eq!(probes(&server), probed, "{:#?}", server.requests());
        }
    });
}

/// C1: probed again when what was known fails.
#[test]
fn a_server_that_has_changed_its_era_is_found_out_again() {
    world::run(async |world| {
        let mut server = HttpServer::session();
        let session = open(&world, remote(&server)).await;
        let handle = session.server("a").unwrap();
        server.become_modern();
        server.kill();
        server.revive();
        handle.restart();
        let found = |status: &Status| {
            status.is_ready() && status.protocol_version.as_deref() == Some("2026-07-28")
        };
        await_status(&handle, LONG, found).await;
        session.call("a.echo", ()).await.unwrap();
    });
}

#[test]
fn a_pinned_era_is_the_only_one_that_is_tried() {
    world::run(async |world| {
        let legacy = HttpServer::session();
        let pinned = StreamableHttp::new(legacy.url()).era(HttpEra::Legacy);
        let session = open(&world, quick("a", pinned)).await;
        is_unharmed(&session).await;
        assert_eq!(legacy.count("server/discover"), 0);
        session.close().await;

        let pinned = StreamableHttp::new(legacy.url()).era(HttpEra::Modern);
        let asked = legacy.count("initialize");
        let session = world.open([quick("a", pinned)]).await;
        assert!(!session.server("a").unwrap().status().is_ready());
        session.close().await;
        assert_eq!(legacy.count("initialize"), asked);

        let modern = HttpServer::modern();
        let pinned = StreamableHttp::new(modern.url()).era(HttpEra::Legacy);
        let session = world.open([quick("a", pinned)]).await;
        assert!(!session.server("a").unwrap().status().is_ready());
        session.close().await;
        assert_eq!(modern.count("server/discover"), 0);

        let session = world.open([quick("a", HttpSse::new(modern.url()))]).await;
        assert!(!session.server("a").unwrap().status().is_ready());
        session.close().await;
        assert_eq!(modern.count("server/discover"), 0);
    });
}

/// The question is asked on, past the patience for the modern one, until the init timeout.
#[test]
fn a_server_that_is_slow_at_the_probe_is_waited_for() {
    world::run(async |world| {
        let server = HttpServer::modern();
        server.on_first(1, "server/discover", |_| {
            vec![Step::Pause(Duration::from_secs(5)), Step::Proper]
        });
        let session = open(&world, remote(&server)).await;
        let found = session.server("a").unwrap().status();
        assert_eq!(found.protocol_version.as_deref(), Some("2026-07-28"));
        // What it was asked in between is forgiven, but no link may be left of it.
        is_unharmed(&session).await;
    });
}

#[test]
fn a_url_that_leads_elsewhere_on_its_origin_is_followed_from_the_start() {
    world::run(async |world| {
        for code in [307, 308] {
            let server = HttpServer::modern();
            server.on("server/discover", move |request| match request.path.as_str() {
                "/mcp" => redirect(code, "/moved/mcp"),
                _ => vec![Step::Proper],
            });
            let session = open(&world, remote(&server)).await;
            is_unharmed(&session).await;
            assert_eq!(server.seen("server/discover").len(), 2);
        }
    });
}
