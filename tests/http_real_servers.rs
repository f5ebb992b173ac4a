//! Servers that people run, over HTTP: the reference server in TypeScript, and small ones on the
//! libraries that Python servers are written with. Each lists, answers and reports progress; each is
//! killed in the middle of calls and started again on its port.

#[path = "support/real_server.rs"]
mod real_server;
#[path = "support/world.rs"]
mod world;

use std::time::Duration;

use callboard::{
    Backoff, Delivery, HttpSse, RestartPolicy, Server, ServerSpec, Session, StreamableHttp,
    Transport, TransportKind,
};
use real_server::{EVERYTHING, EVERYTHING_SSE, RealServer, SDK, Tools, everything, python};
use serde_json::json;
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};
use world::World;

/// For whatever takes a moment, on a machine that does other things too.
const SOON: Duration = Duration::from_secs(30);
/// Longer than the time between two reports of progress, and shorter than a call that makes some.
const IDLE: Duration = Duration::from_secs(1);
/// How many calls are made at once.
const AT_ONCE: u32 = 32;

/// All that a server is put through, over one transport.
async fn put_through(
    world: &World,
    server: &mut RealServer,
    transport: impl Into<Transport>,
    tools: &Tools,
    found: (TransportKind, &str),
) {
    let backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(200));
    // It is down for seconds each time, and tried for again all the while.
    let policy = RestartPolicy::on_failure().backoff(backoff).max_restarts(10_000, SOON);
    let session = world.open([ServerSpec::new("a", transport).restart(policy)]).await;
    let status = session.server("a").unwrap().status();
    assert!(status.is_ready(), "{status:?}\n{}", server.printed());
    let revision = status.protocol_version.as_deref().unwrap();
    assert_eq!(((status.transport.unwrap(), revision), status.epoch), (found, 1));
    answers(&session, tools).await;
    reports_progress(&session, tools).await;
    is_lost_in_the_middle_of_calls(&session, server, tools).await;
    is_lost_while_idle(&session, server, tools).await;
    session.close().await;
}

async fn answers(session: &Session, tools: &Tools) {
    let (catalog, (hold, _)) = (session.tools(), tools.hold);
    assert!(catalog.faults().is_empty(), "{:?}", catalog.faults());
    assert!(catalog.get(tools.sum).is_some() && catalog.get(hold).is_some(), "{catalog}");
    let mut calls = JoinSet::new();
    for a in 0..AT_ONCE {
        let call = session.call(tools.sum, json!({ "a": a, "b": 1000 }));
        calls.spawn(async move { (a, call.await) });
    }
    while let Some(ended) = timeout(SOON, calls.join_next()).await.unwrap() {
        let (a, output) = ended.unwrap();
        assert_eq!(output.unwrap().text(), (tools.says)(a, 1000));
    }
    let wrong = session.call(tools.sum, json!({ "a": "x", "b": [] })).await;
    match wrong {
        Ok(output) => assert!(output.is_error(), "{}", output.raw()),
        Err(error) => assert_eq!(error.kind(), "rejected", "{error}"),
    }
}

/// Progress that does not arrive would let the idle limit end the call.
async fn reports_progress(session: &Session, tools: &Tools) {
    let (tool, arguments) = tools.progress;
    let began = Instant::now();
    let output = session.call(tool, arguments()).idle_timeout(IDLE).await.unwrap();
    assert!(!output.is_error(), "{}", output.raw());
    assert!(began.elapsed() > IDLE, "{:?}", began.elapsed());
}

async fn is_lost_in_the_middle_of_calls(session: &Session, server: &mut RealServer, tools: &Tools) {
    let handle = session.server("a").unwrap();
    let epoch = handle.status().epoch;
    let (tool, arguments) = tools.hold;
    let before = server.told(tools.arrived);
    let mut calls = JoinSet::new();
    for _ in 0..AT_ONCE {
        calls.spawn(session.call(tool, arguments()));
    }
    let all = before + AT_ONCE as usize;
    world::eventually(SOON, "all calls have arrived", || server.told(tools.arrived) >= all).await;
    server.kill();
    while let Some(ended) = timeout(SOON, calls.join_next()).await.unwrap() {
        let error = ended.unwrap().unwrap_err();
        assert_eq!((error.kind(), error.delivery()), ("transport_down", Delivery::MaybeSent));
    }
    world::await_status(&handle, SOON, |status| !status.is_ready()).await;
    let error = session.call(tools.sum, json!({ "a": 1, "b": 2 })).await.unwrap_err();
    assert_eq!(error.delivery(), Delivery::NotSent, "{error}");
    server.start_again().await;
    let back = |status: &callboard::Status| status.is_ready() && status.epoch > epoch;
    world::await_status(&handle, SOON, back).await;
    answers(session, tools).await;
}

/// The server is away and back before anybody calls it.
async fn is_lost_while_idle(session: &Session, server: &mut RealServer, tools: &Tools) {
    server.kill();
    server.start_again().await;
    let deadline = Instant::now() + SOON;
    loop {
        let call = session.call(tools.sum, json!({ "a": 1, "b": 2 }));
        match timeout(SOON, call).await.expect("every call ends") {
            Ok(output) => break assert_eq!(output.text(), (tools.says)(1, 2)),
            Err(error) => assert!(Instant::now() < deadline, "{error}\n{}", server.printed()),
        }
        pause(&session.server("a").unwrap()).await;
    }
    answers(session, tools).await;
}

/// Waits until the status changes, or for a moment: not every loss changes it.
async fn pause(server: &Server) {
    let mut watch = server.watch();
    // Both ends are fine.
    drop(timeout(Duration::from_millis(20), watch.changed()).await);
}

/// The transport that the spec names is the one that is found out.
async fn over_streamable_http(
    mut server: RealServer,
    world: &World,
    tools: &Tools,
    revision: &str,
) {
    let transport = StreamableHttp::new(server.url("/mcp"));
    let found = (TransportKind::StreamableHttp, revision);
    put_through(world, &mut server, transport, tools, found).await;
}

/// Legacy HTTP+SSE, as the spec says and as it is found out. The revision is not bound to it.
async fn over_sse(mut server: RealServer, world: &World, tools: &Tools, revision: &str) {
    let (url, found) = (server.url("/sse"), (TransportKind::HttpSse, revision));
    put_through(world, &mut server, HttpSse::new(&url), tools, found).await;
    put_through(world, &mut server, StreamableHttp::new(&url), tools, found).await;
}

/// It asks for roots, in its own stream or in the answer to a call.
#[test]
fn server_everything_is_told_the_roots() {
    world::run(async |world| {
        for (transport, path) in [("streamableHttp", "/mcp"), ("sse", "/sse")] {
            let server = everything(&world, transport).await;
            let spec = ServerSpec::new("a", StreamableHttp::new(server.url(path)));
            let session = world.open([spec.root("file:///srv/data")]).await;
            // It is offered once the roots are known.
            let offered = || session.tool("a.get-roots-list").is_some();
            world::eventually(SOON, "it asks for the roots", offered).await;
            let output = session.call("a.get-roots-list", ()).await.unwrap();
            assert!(output.text().contains("file:///srv/data"), "{}", output.raw());
            session.close().await;
        }
    });
}

#[test]
fn server_everything_over_streamable_http() {
    world::run(async |world| {
        let server = everything(&world, "streamableHttp").await;
        over_streamable_http(server, &world, &EVERYTHING, "2025-11-25").await;
    });
}

#[test]
fn server_everything_over_sse() {
    world::run(async |world| {
        let server = everything(&world, "sse").await;
        over_sse(server, &world, &EVERYTHING_SSE, "2025-11-25").await;
    });
}

#[test]
fn fastmcp_over_streamable_http() {
    world::run(async |world| {
        let server = python(&world, "fastmcp", "http").await;
        over_streamable_http(server, &world, &SDK, "2026-07-28").await;
    });
}

#[test]
fn fastmcp_over_sse() {
    world::run(async |world| {
        let server = python(&world, "fastmcp", "sse").await;
        over_sse(server, &world, &SDK, "2026-07-28").await;
    });
}

#[test]
fn the_first_python_sdk_over_streamable_http() {
    world::run(async |world| {
        let server = python(&world, "sdk1", "http").await;
        over_streamable_http(server, &world, &SDK, "2025-11-25").await;
    });
}

#[test]
fn the_first_python_sdk_over_sse() {
    world::run(async |world| {
        let server = python(&world, "sdk1", "sse").await;
        over_sse(server, &world, &SDK, "2025-11-25").await;
    });
}

#[test]
fn the_second_python_sdk_over_streamable_http() {
    world::run(async |world| {
        let server = python(&world, "sdk2", "http").await;
        over_streamable_http(server, &world, &SDK, "2026-07-28").await;
    });
}

#[test]
fn the_second_python_sdk_over_sse() {
    world::run(async |world| {
        let server = python(&world, "sdk2", "sse").await;
        over_sse(server, &world, &SDK, "2026-07-28").await;
    });
}
