//! Servers that people run, over HTTP, when something comes between: a call that is given up, a
//! connection that breaks, a server that another one takes the place of.

#[path = "support/real_server.rs"]
mod real_server;
#[path = "support/relay.rs"]
mod relay;
#[path = "support/world.rs"]
mod world;

use std::time::Duration;

use callboard::{Call, CallError, Delivery, ServerSpec, Session, StreamableHttp};
use real_server::{EVERYTHING, EVERYTHING_SSE, RealServer, SDK, Tools, everything, python};
use relay::Relay;
use serde_json::json;
use tokio::{
    task::JoinHandle,
    time::{Instant, timeout},
};
use world::World;

/// For whatever takes a moment, on a machine that does other things too.
const SOON: Duration = Duration::from_secs(30);

async fn open(world: &World, url: String) -> Session {
    let session = world.open([ServerSpec::new("a", StreamableHttp::new(url))]).await;
    let status = session.server("a").unwrap().status();
    assert!(status.is_ready(), "{status:?}");
    session
}

fn epoch(session: &Session) -> u64 {
    session.server("a").unwrap().status().epoch
}

fn path(transport: &str) -> &'static str {
    if transport == "sse" { "/sse" } else { "/mcp" }
}

async fn add(session: &Session, tools: &Tools) -> Result<String, CallError> {
    let call = session.call(tools.sum, json!({ "a": 1, "b": 2 }));
    let output = timeout(SOON, call).await.expect("every call ends")?;
    Ok(output.text())
}

/// Calls until it goes well. (A request that meets a connection at the moment it is cut is lost.)
async fn answers_again(session: &Session, tools: &Tools) {
    let deadline = Instant::now() + SOON;
    while let Err(error) = add(session, tools).await {
        assert!(Instant::now() < deadline, "{error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Starts a call, and waits until the server has it.
async fn under_way(
    server: &RealServer,
    call: Call,
    tools: &Tools,
) -> JoinHandle<<Call as IntoFuture>::Output> {
    let before = server.told(tools.arrived);
    let call = tokio::spawn(call.into_future());
    world::eventually(SOON, "the call has arrived", || server.told(tools.arrived) > before).await;
    call
}

fn hold(session: &Session, tools: &Tools) -> Call {
    let (tool, arguments) = tools.hold;
    session.call(tool, arguments())
}

/// C17: by a notification, or in 2026-07-28 by closing the stream.
#[test]
fn a_call_that_is_given_up_ends_at_the_server() {
    world::run(async |world| {
        for library in ["fastmcp", "sdk1", "sdk2"] {
            for transport in ["http", "sse"] {
                let server = python(&world, library, transport).await;
                let session = open(&world, server.url(path(transport))).await;
                let call = under_way(&server, hold(&session, &SDK), &SDK).await;
                call.abort();
                let what = format!("{library} lets go of a call over {transport}");
                world::eventually(SOON, &what, || server.told("let go") == 1).await;
                let limit = Duration::from_secs(1);
                let call = hold(&session, &SDK).total_timeout(limit);
                let call = under_way(&server, call, &SDK).await;
                assert_eq!(call.await.unwrap().unwrap_err().kind(), "timed_out");
                world::eventually(SOON, &what, || server.told("let go") == 2).await;
                assert_eq!(add(&session, &SDK).await.unwrap(), "3");
                assert_eq!(epoch(&session), 1);
                session.close().await;
            }
        }
    });
}

#[test]
fn closing_ends_the_http_session() {
    world::run(async |world| {
        let typescript = everything(&world, "streamableHttp").await;
        let python = python(&world, "sdk1", "http").await;
        for (server, ended) in [
            (typescript, "Received session termination request"),
            (python, "\"DELETE /mcp HTTP/1.1\" 200"),
        ] {
            let session = open(&world, server.url("/mcp")).await;
            assert_eq!(server.told(ended), 0);
            session.close().await;
            world::eventually(SOON, "it is told", || server.told(ended) == 1).await;
        }
    });
}

/// Over the stream of the server's own messages, or by listening in 2026-07-28.
#[test]
fn a_tool_that_a_server_adds_is_offered() {
    world::run(async |world| {
        for library in ["sdk1", "sdk2"] {
            for transport in ["http", "sse"] {
                let server = python(&world, library, transport).await;
                let session = open(&world, server.url(path(transport))).await;
                let called = session.call("a.grow", json!({ "name": "grown" })).await.unwrap();
                assert_eq!(called.text(), "grown");
                let what = format!("{library} offers another tool over {transport}");
                world::eventually(SOON, &what, || session.tool("a.grown").is_some()).await;
                assert_eq!(session.call("a.grown", ()).await.unwrap().text(), "grown");
                session.close().await;
            }
        }
    });
}

/// Its events have ids, so what it said while nobody heard it can be had. (What it says after that
/// does not come over the stream that was taken up, for its event store mistakes one id for another.)
#[test]
fn a_call_of_server_everything_survives_its_connection() {
    world::run(async |world| {
        let server = everything(&world, "streamableHttp").await;
        let relay = Relay::to(server.port()).await;
        let session = open(&world, relay.url("/mcp")).await;
        let direct = open(&world, server.url("/mcp")).await;
        let (tool, arguments) = EVERYTHING.progress;
        for _ in 0..3 {
            let call = session.call(tool, arguments()).idle_timeout(SOON);
            let before = relay.brought();
            let call = under_way(&server, call, &EVERYTHING).await;
            // The head of the answer, the id to go on from, and some reports of progress.
            let began = || relay.brought() > before + 1500;
            world::eventually(SOON, "the answer has begun", began).await;
            relay.hold();
            // It began later, and takes as long.
            direct.call(tool, arguments()).await.unwrap();
            relay.release();
            let output = timeout(SOON, call).await.unwrap().unwrap().unwrap();
            assert!(output.text().contains("completed"), "{}", output.raw());
        }
        assert!(server.told("Last-Event-ID") >= 3, "{}", server.printed());
        assert_eq!(epoch(&session), 1);
        session.close().await;
        direct.close().await;
        relay.end().await;
    });
}

/// Where nothing can be had back, the call is lost, and says so; the link is not.
#[test]
fn a_broken_connection_costs_the_calls_on_it() {
    world::run(async |world| {
        for library in ["fastmcp", "sdk1", "sdk2"] {
            let server = python(&world, library, "http").await;
            let relay = Relay::to(server.port()).await;
            let session = open(&world, relay.url("/mcp")).await;
            let call = under_way(&server, hold(&session, &SDK), &SDK).await;
            relay.cut();
            let error = timeout(SOON, call).await.unwrap().unwrap().unwrap_err();
            assert_eq!(error.kind(), "transport_down", "{library}: {error}");
            assert_eq!(error.delivery(), Delivery::MaybeSent);
            answers_again(&session, &SDK).await;
            assert_eq!(epoch(&session), 1, "{library}: {:?}", session.servers()[0].status());
            session.close().await;
            relay.end().await;
        }
    });
}

/// One server takes the place of another, without a moment at which none is there.
async fn exchange(
    world: &World,
    (first, second): (RealServer, RealServer),
    tools: &Tools,
    url: &str,
) -> u64 {
    let relay = Relay::to(first.port()).await;
    let session = open(world, relay.url(url)).await;
    let call = under_way(&first, hold(&session, tools), tools).await;
    relay.switch(second.port());
    drop(first);
    let error = timeout(SOON, call).await.unwrap().unwrap().unwrap_err();
    assert_eq!(error.delivery(), Delivery::MaybeSent, "{error}");
    answers_again(&session, tools).await;
    let epoch = epoch(&session);
    session.close().await;
    relay.end().await;
    epoch
}

/// What the new one does not know, be it an HTTP session or a stream, is had anew.
#[test]
fn a_server_whose_place_another_takes_is_found_again() {
    world::run(async |world| {
        for (transport, url, tools) in
            [("streamableHttp", "/mcp", &EVERYTHING), ("sse", "/sse", &EVERYTHING_SSE)]
        {
            let both = (everything(&world, transport).await, everything(&world, transport).await);
            assert_eq!(exchange(&world, both, tools, url).await, 2, "everything, {transport}");
        }
        for (library, transport, epoch) in [
            ("sdk1", "http", 2),
            ("sdk1", "sse", 2),
            ("sdk2", "http", 1),
            ("sdk2", "sse", 2),
            ("fastmcp", "http", 1),
        ] {
            let first = python(&world, library, transport).await;
            let both = (first, python(&world, library, transport).await);
            let ended = exchange(&world, both, &SDK, path(transport)).await;
            assert_eq!(ended, epoch, "{library}, {transport}");
        }
    });
}

/// C1: what was found out about a server is found out again when it no longer holds.
#[test]
fn a_server_whose_place_one_of_another_era_takes_is_found_again() {
    world::run(async |world| {
        for (before, after) in [("sdk1", "sdk2"), ("sdk2", "sdk1")] {
            let first = python(&world, before, "http").await;
            let both = (first, python(&world, after, "http").await);
            let ended = exchange(&world, both, &SDK, "/mcp").await;
            assert_eq!(ended, 2, "{before}, then {after}");
        }
    });
}
