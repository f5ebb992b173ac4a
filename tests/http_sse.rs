//! HTTP+SSE of 2024-11-05: one stream for all answers, and an endpoint for the requests that is
//! nowhere but on the same origin.

#[path = "support/http_server.rs"]
mod http_server;
#[path = "support/remote.rs"]
mod remote;
#[path = "support/world.rs"]
mod world;

use std::time::Duration;

use callboard::{
    ConnectError, Delivery, DownCause, HttpError, HttpSse, Phase, ServerError, ServerSpec, Status,
};
use http_server::{End, HttpServer, Step, chunk, events, status, tool};
use remote::{LONG, ended, hold, is_unharmed, open, quick, ready_in};
use serde_json::json as object;
use world::{await_status, eventually};

fn pinned(server: &HttpServer) -> ServerSpec {
    quick("a", HttpSse::new(server.url()))
}

#[test]
fn answers_come_on_the_stream_in_any_order() {
    world::run(async |world| {
        let server = HttpServer::sse();
        server.configure(|settings| settings.list_changed = true);
        let session = open(&world, pinned(&server)).await;
        let status = session.server("a").unwrap().status();
        assert_eq!(status.protocol_version.as_deref(), Some("2024-11-05"));
        let held = hold(&session, &server, 2).await;
        for text in ["one", "two"] {
            let output = session.call("a.echo", object!({ "text": text })).await.unwrap();
            assert_eq!(output.text(), text);
        }
        server.release();
        for call in held {
            assert_eq!(call.await.unwrap().unwrap().text(), "released");
        }
        assert_eq!(session.call("a.progress", ()).await.unwrap().text(), "done");
        assert!(session.call("a.fail", ()).await.unwrap().is_error());
        server.push(&object!({ "jsonrpc": "2.0", "id": "q", "method": "ping" }));
        eventually(LONG, "the ping is answered", || server.count("response") == 1).await;
        server.configure(|settings| settings.tools.push(tool("later", &object!({}))));
        let method = "notifications/tools/list_changed";
        server.push(&object!({ "jsonrpc": "2.0", "method": method }));
        eventually(LONG, "the new tool is there", || session.tools().get("a.later").is_some())
            .await;
        session.close().await;
        assert_eq!((server.count("GET"), server.count("DELETE")), (1, 0));
        let end = || server.only("GET").end();
        eventually(LONG, "the stream is closed", || end() == Some(End::Abandoned)).await;
        let strays = server.requests();
        let strays = strays.iter().filter(|one| one.request.header("mcp-session-id").is_some());
        assert_eq!(strays.count(), 0);
    });
}

#[test]
fn an_endpoint_may_be_relative_or_absolute() {
    world::run(async |world| {
        let server = HttpServer::sse();
        let origin = server.origin();
        for endpoint in ["/message?session={session}", "message?session={session}"] {
            server.configure(|settings| settings.endpoint = endpoint.to_owned());
            is_unharmed(&open(&world, pinned(&server)).await).await;
        }
        for scheme in [origin.clone(), origin.strip_prefix("http:").unwrap().to_owned()] {
            let endpoint = format!("{scheme}/message?session={{session}}");
            server.configure(|settings| settings.endpoint = endpoint);
            is_unharmed(&open(&world, pinned(&server)).await).await;
        }
    });
}

#[test]
fn an_endpoint_on_another_origin_is_refused_and_gets_nothing() {
    world::run(async |world| {
        let server = HttpServer::sse();
        let other = HttpServer::sse();
        let (here, there) = (server.port(), other.port());
        for endpoint in [
            other.url(),
            format!("http://localhost:{here}/message"),
            format!("http://localhost:{there}/message"),
            format!("https://127.0.0.1:{here}/message"),
            format!("//127.0.0.1:{there}/message"),
            format!("\\\\127.0.0.1:{there}/message"),
            format!("http://127.0.0.1:{here}@127.0.0.1:{there}/message"),
            format!("http://127.0.0.1:{here}.example/message"),
            "ftp://127.0.0.1/message".to_owned(),
            "file:///etc/passwd".to_owned(),
            "http://".to_owned(),
        ] {
            let told = endpoint.clone();
            server.configure(|settings| settings.endpoint = told);
            let spec = pinned(&server).init_timeout(Duration::from_secs(3));
            let session = world.open([spec]).await;
            let handle = session.server("a").unwrap();
            let failed = |status: &Status| status.last_error.is_some();
            let failed = await_status(&handle, LONG, failed).await;
            assert!(!failed.is_ready(), "{endpoint}");
            let Some(ServerError::Connect(error)) = failed.last_error else { panic!("{endpoint}") };
            let ConnectError::Http { error, .. } = &*error else { panic!("{endpoint}: {error:?}") };
            assert!(matches!(**error, HttpError::Endpoint { .. }), "{endpoint}: {error:?}");
        }
        assert_eq!(other.connections(), (0, 0));
        let posts = server.requests();
        assert_eq!(posts.iter().filter(|one| one.request.verb == "POST").count(), 0);
    });
}

#[test]
fn a_second_endpoint_elsewhere_is_not_followed() {
    world::run(async |world| {
        let server = HttpServer::sse();
        let other = HttpServer::sse();
        let session = open(&world, pinned(&server)).await;
        let elsewhere = format!("event: endpoint\ndata: {}\n\n", other.url());
        server.on_streams(|| chunk(&elsewhere));
        for _ in 0..5 {
            // It may take this for the end of the link, but never follows it.
            drop(ended(session.call("a.echo", ())).await);
        }
        assert_eq!(other.connections(), (0, 0));
    });
}

#[test]
fn a_lost_stream_is_a_lost_link_and_comes_back_in_a_new_epoch() {
    world::run(async |world| {
        for step in [|| Step::Reset, || Step::Close, || http_server::end_of_events()] {
            let server = HttpServer::sse();
            let session = open(&world, pinned(&server)).await;
            let handle = session.server("a").unwrap();
            let calls = hold(&session, &server, 10).await;
            server.on_streams(step);
            for call in calls {
                let error = ended(async { call.await.unwrap() }).await.unwrap_err();
                assert_eq!(error.delivery(), Delivery::MaybeSent);
                let callboard::CallError::TransportDown { reason, epoch: 1, .. } = &error else {
                    panic!("{error:?}")
                };
                assert!(matches!(reason.kind(), DownCause::Http(_)), "{reason:?}");
            }
            let status = await_status(&handle, LONG, ready_in(2)).await;
            assert_eq!(status.restarts, 1);
            session.call("a.echo", ()).await.unwrap();
            assert_eq!((server.count("initialize"), server.count("tools/call hold")), (2, 10));
            server.release();
        }
    });
}

#[test]
fn a_stream_that_cannot_be_had_back_is_asked_for_until_it_can() {
    world::run(async |world| {
        let server = HttpServer::sse();
        let session = open(&world, pinned(&server)).await;
        let handle = session.server("a").unwrap();
        server.on_first(5, "GET", |_| status(503));
        server.on_streams(|| Step::Reset);
        let status = await_status(&handle, LONG, remote::ready_after(1)).await;
        assert_eq!(status.epoch, 7, "five starts failed: {status:?}");
        session.call("a.echo", ()).await.unwrap();
    });
}

#[test]
fn a_post_that_fails_is_a_call_that_fails() {
    world::run(async |world| {
        let server = HttpServer::sse();
        let session = open(&world, pinned(&server)).await;
        let calls = hold(&session, &server, 2).await;
        server.on_first(1, "tools/call echo", |_| status(500));
        let error = ended(session.call("a.echo", ())).await.unwrap_err();
        assert_eq!(error.kind(), "http_status", "{error:?}");
        server.on_first(1, "tools/call echo", |_| {
            http_server::whole(429, &[("Retry-After", "3")], "slow down")
        });
        let error = ended(session.call("a.echo", ())).await.unwrap_err();
        assert_eq!(error.retry_after(), Some(Duration::from_secs(3)));
        server.on_first(1, "tools/call echo", |_| vec![Step::Reset]);
        let error = ended(session.call("a.echo", ())).await.unwrap_err();
        assert_eq!((error.kind(), error.delivery()), ("transport_down", Delivery::MaybeSent));
        server.release();
        for call in calls {
            call.await.unwrap().unwrap();
        }
        is_unharmed(&session).await;
    });
}

/// A server may lose a session, and keep its stream open.
#[test]
fn a_server_that_knows_the_session_no_more_is_initialized_again() {
    world::run(async |world| {
        for code in [404, 400] {
            let server = HttpServer::sse();
            let session = open(&world, pinned(&server)).await;
            server.on("ping", move |_| status(code));
            server.on("tools/call echo", move |_| status(code));
            let error = ended(session.call("a.echo", ())).await.unwrap_err();
            assert_eq!(error.kind(), "http_status", "{error:?}");
            await_status(&session.server("a").unwrap(), LONG, ready_in(2)).await;
            server.behave();
            ended(session.call("a.echo", ())).await.unwrap();
            assert_eq!((server.count("ping"), server.count("GET")), (1, 2));
        }
    });
}

#[test]
fn a_call_that_is_accepted_and_never_answered_times_out() {
    world::run(async |world| {
        let server = HttpServer::sse();
        let session = open(&world, pinned(&server)).await;
        let text = [("Content-Type", "text/plain")];
        server.on_first(1, "tools/call echo", move |_| http_server::whole(202, &text, "Accepted"));
        let call = session.call("a.echo", ()).idle_timeout(Duration::from_millis(300));
        assert_eq!(ended(call).await.unwrap_err().kind(), "timed_out");
        is_unharmed(&session).await;
    });
}

#[test]
fn a_stream_without_an_endpoint_is_a_start_that_times_out() {
    world::run(async |world| {
        let server = HttpServer::sse();
        server.on_first(1, "GET", |_| vec![events(&[]), chunk(": hello\n\n"), Step::Hold]);
        let spec = pinned(&server).init_timeout(Duration::from_secs(1));
        let session = world.runtime.session("s").server(spec).open().await.unwrap();
        let handle = session.server("a").unwrap();
        let failed = |status: &Status| status.last_error.is_some();
        let failed = await_status(&handle, LONG, failed).await;
        let Some(ServerError::Connect(error)) = failed.last_error else { panic!() };
        assert!(matches!(*error, ConnectError::TimedOut { .. }), "{error:?}");
        await_status(&handle, LONG, Status::is_ready).await;
        let end = || server.seen("GET")[0].end();
        eventually(LONG, "the first is let go", || end() == Some(End::Abandoned)).await;
    });
}

#[test]
fn a_killed_server_comes_back_on_its_port() {
    world::run(async |world| {
        let mut server = HttpServer::sse();
        let session = open(&world, pinned(&server)).await;
        let handle = session.server("a").unwrap();
        let calls = hold(&session, &server, 3).await;
        server.kill();
        for call in calls {
            let error = ended(async { call.await.unwrap() }).await.unwrap_err();
            assert_eq!((error.kind(), error.delivery()), ("transport_down", Delivery::MaybeSent));
        }
        await_status(&handle, LONG, |status| status.phase == Phase::BackingOff).await;
        let error = session.call("a.echo", ()).await.unwrap_err();
        assert_eq!(error.delivery(), Delivery::NotSent);
        server.revive();
        await_status(&handle, LONG, remote::ready_after(1)).await;
        session.call("a.echo", ()).await.unwrap();
    });
}

/// C17: the older revisions have a notification for it.
#[test]
fn a_call_is_cancelled_by_a_notification() {
    world::run(async |world| {
        let server = HttpServer::sse();
        let session = open(&world, pinned(&server)).await;
        let calls = hold(&session, &server, 1).await;
        calls.iter().for_each(tokio::task::JoinHandle::abort);
        eventually(LONG, "it is told", || server.count("notifications/cancelled") == 1).await;
        // The answer comes all the same, and is nobody's.
        server.release();
        is_unharmed(&session).await;
    });
}

/// Check 14: what makes no sense on the stream costs the call that it was meant for, and no other.
#[test]
fn nonsense_on_the_stream_harms_nobody() {
    world::run(async |world| {
        let server = HttpServer::sse();
        let session = open(&world, pinned(&server)).await;
        eventually(LONG, "the stream is open", || server.streams() == 1).await;
        let calls = hold(&session, &server, 3).await;
        for nonsense in [
            &b"data: hello\n\n"[..],
            b"data: {\"jsonrpc\":\"2.0\",\"id\":\n\n",
            b"data: {\"jsonrpc\":\"2.0\",\"id\":4711,\"result\":{}}\n\n",
            b"data: {\"jsonrpc\":\"2.0\",\"id\":\"x\",\"error\":{\"code\":1,\"message\":\"\"}}\n\n",
            b"data: []\n\n",
            b"data: null\n\n",
            b"event: surprise\ndata: {}\n\n",
            b"event: endpoint\ndata:\n\n",
            b"id\nretry\nretry: -7\n\n",
            b"\n\n\n\r\r\r\n",
            b"data: \xff\xfe\n\n",
            b"\xff\xfe: x\n\n",
        ] {
            server.on_streams(|| chunk(nonsense));
            is_unharmed(&session).await;
        }
        server.release();
        for call in calls {
            call.await.unwrap().unwrap();
        }
        is_unharmed(&session).await;
    });
}

/// A flood of what nobody waits for takes neither the host's memory nor its calls.
#[test]
fn a_flood_of_notifications_is_survived() {
    world::run(async |world| {
        let server = HttpServer::sse();
        let session = open(&world, pinned(&server)).await;
        let method = "notifications/message";
        let params = object!({ "level": "info", "data": "x".repeat(200) });
        let told = object!({ "jsonrpc": "2.0", "method": method, "params": params });
        let Step::Bytes(bytes) = http_server::event(&told) else { unreachable!() };
        server.on_streams(|| Step::Repeat(bytes.clone(), 100_000));
        assert_eq!(
            ended(session.call("a.echo", object!({ "text": "x" }))).await.unwrap().text(),
            "x"
        );
        is_unharmed(&session).await;
    });
}
