//! HTTP/2, where a server offers it: one connection for all calls, each of which ends, is lost and is
//! cancelled alone.

#[path = "support/http2.rs"]
mod http2;
#[path = "support/http_server.rs"]
mod http_server;
#[path = "support/remote.rs"]
mod remote;
#[path = "support/tls.rs"]
mod tls;
#[path = "support/world.rs"]
mod world;

use std::pin::pin;

use callboard::{Delivery, Runtime, Session, StreamableHttp};
use h2::Reason;
use http2::Http2Server;
use remote::{LONG, Outcome, ended, open, quick, ready_after};
use tls::Authority;
use tokio::{task::JoinHandle, time::timeout};
use world::{World, await_status, eventually};

async fn start(world: &World) -> (Http2Server, Session) {
    start_allowing(world, None).await
}

/// The server allows so many streams on a connection.
async fn start_allowing(world: &World, streams: Option<u32>) -> (Http2Server, Session) {
    let authority = Authority::new("ours");
    let config = tls::config(&authority.sign("127.0.0.1"), None);
    let server = Http2Server::start(config, streams).await;
    let http = StreamableHttp::new(&server.url).root_certificate(authority.pem);
    let session = open(world, quick("a", http)).await;
    (server, session)
}

async fn hold(server: &Http2Server, session: &Session, count: usize) -> Vec<JoinHandle<Outcome>> {
    let before = server.held();
    let calls =
        (0..count).map(|_| tokio::spawn(session.call("a.hold", ()).into_future())).collect();
    eventually(LONG, "it has the calls", || server.held() == before + count).await;
    calls
}

async fn answers(session: &Session) {
    assert_eq!(ended(session.call("a.echo", ())).await.unwrap().text(), "echo");
    let status = session.server("a").unwrap().status();
    assert!(status.is_ready() && status.epoch == 1, "{status:?}");
}

#[test]
fn a_hundred_calls_share_one_connection() {
    world::run(async |world| {
        let (server, session) = start(&world).await;
        let calls = hold(&server, &session, 100).await;
        answers(&session).await;
        assert_eq!(server.connected(), 1);
        server.release();
        for call in calls {
            assert_eq!(call.await.unwrap().unwrap().text(), "hold");
        }
        session.close().await;
        server.stop().await;
    });
}

/// Streams that last keep no call waiting: what a connection does not take goes over another.
#[test]
fn more_calls_than_a_connection_takes_have_one_more() {
    world::run(async |world| {
        let (server, session) = start_allowing(&world, Some(2)).await;
        let calls = hold(&server, &session, 7).await;
        answers(&session).await;
        let connected = server.connected();
        assert!((4..=8).contains(&connected), "{connected}");
        server.release();
        for call in calls {
            assert_eq!(call.await.unwrap().unwrap().text(), "hold");
        }
        for _ in 0..20 {
            answers(&session).await;
        }
        assert_eq!(server.connected(), connected, "they are used again");
        session.close().await;
        server.stop().await;
    });
}

/// C17: closing the stream cancels, and it is the stream that is closed, not the connection.
#[test]
fn a_dropped_call_closes_its_stream_and_no_other() {
    world::run(async |world| {
        let (server, session) = start(&world).await;
        let mut calls = hold(&server, &session, 10).await;
        for call in calls.drain(..5) {
            call.abort();
        }
        eventually(LONG, "they are let go", || server.held() == 5).await;
        assert_eq!(server.cancelled(), [Reason::CANCEL; 5]);
        answers(&session).await;
        server.release();
        for call in calls {
            call.await.unwrap().unwrap();
        }
        assert_eq!(server.connected(), 1);
        session.close().await;
        server.stop().await;
    });
}

#[test]
fn a_stream_that_is_reset_loses_its_call_alone() {
    world::run(async |world| {
        let (server, session) = start(&world).await;
        let calls = hold(&server, &session, 3).await;
        for _ in 0..5 {
            let error = ended(session.call("a.reset", ())).await.unwrap_err();
            assert_eq!((error.kind(), error.delivery()), ("transport_down", Delivery::MaybeSent));
            remote::http_error(&error);
        }
        answers(&session).await;
        server.release();
        for call in calls {
            call.await.unwrap().unwrap();
        }
        session.close().await;
        server.stop().await;
    });
}

/// Many calls on a connection that is cut end at once; the server is there, and goes on.
#[test]
fn a_connection_that_is_cut_takes_its_calls_along() {
    world::run(async |world| {
        let (server, session) = start(&world).await;
        let handle = session.server("a").unwrap();
        let calls = hold(&server, &session, 50).await;
        server.cut();
        for call in calls {
            let error = ended(async { call.await.unwrap() }).await.unwrap_err();
            assert_eq!((error.kind(), error.delivery()), ("transport_down", Delivery::MaybeSent));
        }
        await_status(&handle, LONG, ready_after(0)).await;
        let deadline = tokio::time::Instant::now() + LONG;
        while ended(session.call("a.echo", ())).await.is_err() {
            assert!(tokio::time::Instant::now() < deadline, "{:?}", handle.status());
        }
        session.close().await;
        server.stop().await;
    });
}

/// What drives a connection goes on as long as a call over it is kept, polled or not.
#[test]
fn a_runtime_is_shut_down_beside_a_call_that_nobody_polls() {
    world::run(async |world| {
        let runtime = Runtime::start().await;
        let inner = World::within(&world, runtime.clone());
        let (server, session) = start(&inner).await;
        let mut call = pin!(session.call("a.hold", ()).into_future());
        tokio::select! {
            outcome = &mut call => panic!("{outcome:?}"),
            () = eventually(LONG, "it has the call", || server.held() == 1) => {}
        }
        timeout(LONG, runtime.shutdown()).await.expect("it waits for the answer");
        let error = ended(call).await.unwrap_err();
        assert_eq!((error.kind(), error.delivery()), ("session_closed", Delivery::MaybeSent));
        drop((session, inner, runtime));
        server.stop().await;
    });
}
