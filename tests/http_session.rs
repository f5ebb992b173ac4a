//! Streamable HTTP of the older revisions (C15): the HTTP session is kept, lost and ended as the
//! specification wants it, and a lost one costs exactly one new `initialize`.

#[path = "support/http_server.rs"]
mod http_server;
#[path = "support/remote.rs"]
mod remote;
#[path = "support/world.rs"]
mod world;

use std::time::Duration;

use callboard::{
    CallError, ConnectError, Delivery, DownCause, HttpError, Phase, ServerError, Session, Status,
};
use http_server::{End, HttpServer, Request, Step, Style, json, status};
use remote::{LONG, ended, hold, is_unharmed, open, ready_in, remote};
use serde_json::json as object;
use world::{await_status, eventually};

const STORM: usize = 100;

async fn ready(session: &Session, epoch: u64) -> Status {
    await_status(&session.server("a").unwrap(), LONG, ready_in(epoch)).await
}

/// Waits until the server knows what the client knows already.
async fn is_answered(server: &HttpServer, what: &str) {
    let end = || server.only(what).end();
    eventually(LONG, "it is answered", || end() == Some(End::Answered)).await;
}

fn not_found(_: &Request) -> Vec<Step> {
    let error = object!({ "code": -32001, "message": "session not found" });
    json(404, &object!({ "jsonrpc": "2.0", "id": null, "error": error }))
}

fn is_session_loss(error: &CallError) -> bool {
    let CallError::TransportDown { reason, .. } = error else { return false };
    matches!(reason.kind(), DownCause::HttpSessionLost)
}

#[test]
fn session_and_revision_stand_on_every_request_until_the_end() {
    world::run(async |world| {
        for revision in ["2025-11-25", "2025-06-18", "2025-03-26"] {
            let server = HttpServer::session();
            server.configure(|settings| settings.revision = revision);
            let session = open(&world, remote(&server)).await;
            for text in ["one", "two"] {
                let output = session.call("a.echo", object!({ "text": text })).await.unwrap();
                assert_eq!(output.text(), text);
            }
            let told = session.server("a").unwrap().status().protocol_version;
            assert_eq!(told.as_deref(), Some(revision));
            session.close().await;
            assert_eq!(server.count("initialize"), 1);
            is_answered(&server, "notifications/initialized").await;
            is_answered(&server, "DELETE").await;
            for exchange in server.requests() {
                let request = &exchange.request;
                let opening = request.is("server/discover") || request.is("initialize");
                let expected = (!opening).then_some("session-1");
                assert_eq!(request.header("mcp-session-id"), expected, "{request:#?}");
            }
        }
    });
}

#[test]
fn a_server_without_sessions_is_told_none_and_needs_no_delete() {
    world::run(async |world| {
        let server = HttpServer::session();
        server.configure(|settings| settings.sessions = false);
        let session = open(&world, remote(&server)).await;
        is_unharmed(&session).await;
        session.close().await;
        assert_eq!(server.count("DELETE"), 0);
        for exchange in server.requests() {
            assert_eq!(exchange.request.header("mcp-session-id"), None);
        }
    });
}

/// Check 12: "404 → one re-init; 100 parallel calls share it".
#[test]
fn a_storm_of_404_costs_one_initialize_and_one_epoch() {
    world::run(async |world| {
        let server = HttpServer::session();
        let session = open(&world, remote(&server)).await;
        let handle = session.server("a").unwrap();
        let changes = tokio::spawn(phases(session.clone(), 2));
        server.on("tools/call hold", |request| {
            std::iter::once(Step::Hold).chain(not_found(request)).collect()
        });
        let calls = hold(&session, &server, STORM).await;
        server.forget_sessions();
        server.release();
        for call in calls {
            let error = ended(async { call.await.unwrap() }).await.unwrap_err();
            assert!(is_session_loss(&error), "{error:?}");
        }
        let status = ready(&session, 2).await;
        assert_eq!(status.restarts, 1);
        server.behave();
        session.call("a.echo", ()).await.unwrap();
        assert_eq!(changes.await.unwrap(), [Phase::BackingOff, Phase::Starting, Phase::Ready]);
        assert_eq!(server.count("initialize"), 2);
        assert_eq!((handle.status().epoch, handle.status().restarts), (2, 1));
        assert_eq!(server.count("tools/call hold"), STORM, "nothing was sent again");
        let last = server.seen("tools/call echo").pop().unwrap();
        assert_eq!(last.request.header("mcp-session-id"), Some("session-2"));
    });
}

/// The phases that a server goes through until it is Ready in this epoch.
async fn phases(session: Session, epoch: u64) -> Vec<Phase> {
    let mut events = session.events();
    let mut phases = Vec::new();
    while let Some(event) = events.next().await {
        let callboard::Event::Status { status, .. } = event else { continue };
        // The first Ready may be told late.
        if !status.is_ready() || status.epoch > 1 {
            phases.push(status.phase);
        }
        if status.is_ready() && status.epoch >= epoch {
            break;
        }
    }
    phases
}

/// A call that met the loss is told so, and whether it may be repeated; nobody repeats it.
#[test]
fn a_404_takes_the_calls_along_that_the_server_still_works_on() {
    world::run(async |world| {
        let server = HttpServer::session();
        let session = open(&world, remote(&server)).await;
        let calls = hold(&session, &server, 5).await;
        server.forget_sessions();
        let error = ended(session.call("a.echo", ())).await.unwrap_err();
        assert!(is_session_loss(&error), "{error:?}");
        for call in calls {
            let error = ended(async { call.await.unwrap() }).await.unwrap_err();
            assert!(is_session_loss(&error), "{error:?}");
            assert_eq!(error.delivery(), Delivery::MaybeSent);
        }
        ready(&session, 2).await;
        assert_eq!((server.count("initialize"), server.count("tools/call hold")), (2, 5));
        server.release();
    });
}

/// Check 12: "404 during re-init → backoff, not permanent death".
#[test]
fn a_404_during_the_new_initialize_is_tried_again() {
    for what in ["initialize", "notifications/initialized", "tools/list"] {
        world::run(async |world| {
            let server = HttpServer::session();
            let session = open(&world, remote(&server)).await;
            let handle = session.server("a").unwrap();
            server.on_first(2, what, not_found);
            server.forget_sessions();
            let error = ended(session.call("a.echo", ())).await.unwrap_err();
            assert!(is_session_loss(&error), "{error:?}");
            let status = await_status(&handle, LONG, remote::ready_after(1)).await;
            assert!(status.epoch > 2, "{what}: it was refused twice: {status:?}");
            session.call("a.echo", ()).await.unwrap();
        });
    }
}

#[test]
fn a_session_that_cannot_be_deleted_ends_all_the_same() {
    world::run(async |world| {
        let server = HttpServer::session();
        server.configure(|settings| settings.delete = false);
        let session = open(&world, remote(&server)).await;
        session.close().await;
        is_answered(&server, "DELETE").await;
        server.on("DELETE", |_| vec![Step::Hold]);
        let session = open(&world, remote(&server)).await;
        tokio::time::timeout(LONG, session.close()).await.expect("it waits for the DELETE");
        assert_eq!(server.count("DELETE"), 2);
    });
}

/// C17: in these revisions a closed connection cancels nothing, and a notification does.
#[test]
fn a_call_is_cancelled_by_a_notification() {
    world::run(async |world| {
        for style in [Style::Json, Style::Events] {
            let server = HttpServer::session();
            server.configure(|settings| settings.style = style);
            let session = open(&world, remote(&server)).await;
            let calls = hold(&session, &server, 1).await;
            calls.iter().for_each(tokio::task::JoinHandle::abort);
            eventually(LONG, "it is told", || server.count("notifications/cancelled") == 1).await;
            let told = &server.only("notifications/cancelled").request.message["params"];
            assert_eq!(told["requestId"], *server.only("tools/call hold").request.id());
            let call = session.call("a.hold", ()).idle_timeout(Duration::from_millis(100));
            assert_eq!(ended(call).await.unwrap_err().kind(), "timed_out");
            eventually(LONG, "it is told", || server.count("notifications/cancelled") == 2).await;
            server.release();
            is_unharmed(&session).await;
        }
    });
}

/// However many there are at once.
#[test]
fn each_of_many_calls_that_are_given_up_is_cancelled() {
    world::run(async |world| {
        let server = HttpServer::session();
        let session = open(&world, remote(&server)).await;
        let calls = hold(&session, &server, 200).await;
        calls.iter().for_each(tokio::task::JoinHandle::abort);
        eventually(LONG, "it is told", || server.count("notifications/cancelled") == 200).await;
        is_unharmed(&session).await;
    });
}

/// One that hangs reads no notice either; they are dropped, and no question of its own goes unanswered.
#[test]
fn calls_that_are_given_up_cost_a_server_that_hangs_no_end_of_connections() {
    world::run(async |world| {
        let server = HttpServer::session();
        server.on("notifications/cancelled", |_| vec![Step::Hold, Step::Proper]);
        let session = open(&world, remote(&server)).await;
        for _ in 0..12 {
            let sent = server.count("tools/call hold");
            let calls = (0..100).map(|_| tokio::spawn(session.call("a.hold", ()).into_future()));
            let calls: Vec<_> = calls.collect();
            let arrived = || server.count("tools/call hold") == sent + 100;
            eventually(LONG, "it has the calls", arrived).await;
            calls.iter().for_each(tokio::task::JoinHandle::abort);
            let open = || {
                let seen = server.seen("tools/call hold");
                seen.iter().filter(|exchange| exchange.end().is_none()).count()
            };
            eventually(LONG, "they are let go", || open() == 0).await;
            let (connections, _) = server.connections();
            // Those, the stream, and what is kept for the next request.
            assert!(connections <= 64 + 1 + 100, "{connections} connections");
        }
        eventually(LONG, "it is told", || server.count("notifications/cancelled") >= 64).await;
        server.push(&object!({ "jsonrpc": "2.0", "id": 99, "method": "ping" }));
        eventually(LONG, "the ping is answered", || server.count("response") == 1).await;
        is_unharmed(&session).await;
        server.release();
    });
}

/// A server that is killed knows no session of before, nor does it bring one back.
#[test]
fn a_server_that_comes_back_without_its_sessions_is_initialized_once() {
    world::run(async |world| {
        let mut server = HttpServer::session();
        let session = open(&world, remote(&server)).await;
        let handle = session.server("a").unwrap();
        eventually(LONG, "the stream is open", || server.streams() == 1).await;
        server.kill();
        server.revive();
        await_status(&handle, LONG, remote::ready_after(1)).await;
        session.call("a.echo", ()).await.unwrap();
        assert_eq!(server.count("initialize"), 2);
        assert_eq!(handle.status().epoch, 2, "{:?}", handle.status());
    });
}

#[test]
fn a_server_that_refuses_to_initialize_says_why() {
    world::run(async |world| {
        let server = HttpServer::session();
        server.on("initialize", |_| {
            http_server::whole(503, &[("Retry-After", "120")], "under repair")
        });
        server.on("GET", |_| status(405));
        let session = world.open([remote(&server)]).await;
        let handle = session.server("a").unwrap();
        let failed = |status: &Status| status.last_error.is_some();
        let failed = await_status(&handle, LONG, failed).await;
        let Some(ServerError::Connect(error)) = &failed.last_error else { panic!("{failed:?}") };
        let ConnectError::Http { error, .. } = &**error else { panic!("{error:?}") };
        let HttpError::Status { status, retry_after, body, .. } = &**error else {
            panic!("{error:?}")
        };
        assert_eq!((*status, *retry_after), (503, Some(Duration::from_secs(120))));
        assert_eq!(body, "under repair");
        server.behave();
        await_status(&handle, LONG, Status::is_ready).await;
    });
}

/// An id is the server's own business; one that no header takes is none at all.
#[test]
fn odd_session_ids_are_echoed_to_the_byte() {
    world::run(async |world| {
        let long = "x".repeat(4000);
        for id in ["!\"#$%&'()*+,-./:;<=>?@[]^_`{|}~", "a b", &long] {
            let server = HttpServer::session();
            server.configure(|settings| settings.sessions = false);
            let told = id.to_owned();
            server.on("initialize", move |request| {
                let version = object!({ "name": "odd", "version": "1" });
                let result = object!({
                    "protocolVersion": "2025-11-25",
                    "capabilities": { "tools": {} },
                    "serverInfo": version,
                });
                let answer = http_server::answer(request, &result).to_string();
                let headers = [("Content-Type", "application/json"), ("mcp-session-id", &*told)];
                http_server::whole(200, &headers, answer)
            });
            let session = open(&world, remote(&server)).await;
            is_unharmed(&session).await;
            session.close().await;
            for what in ["notifications/initialized", "tools/list", "tools/call", "GET", "DELETE"] {
                assert_eq!(server.only(what).request.header("mcp-session-id"), Some(id), "{what}");
            }
        }
    });
}

/// The answer to `initialize` alone gives a session.
#[test]
fn a_session_id_on_another_answer_changes_nothing() {
    world::run(async |world| {
        let server = HttpServer::session();
        server.on("tools/call echo", |request| {
            let result = object!({ "content": [] });
            let answer = http_server::answer(request, &result).to_string();
            let headers = [("Content-Type", "application/json"), ("Mcp-Session-Id", "evil")];
            http_server::whole(200, &headers, answer)
        });
        let session = open(&world, remote(&server)).await;
        session.call("a.echo", ()).await.unwrap();
        is_unharmed(&session).await;
        let last = server.only("tools/call counter");
        assert_eq!(last.request.header("mcp-session-id"), Some("session-1"));
    });
}

#[test]
fn a_restart_by_hand_ends_the_session_of_before() {
    world::run(async |world| {
        let server = HttpServer::session();
        let session = open(&world, remote(&server)).await;
        let calls = hold(&session, &server, 2).await;
        session.server("a").unwrap().restart();
        for call in calls {
            let error = ended(async { call.await.unwrap() }).await.unwrap_err();
            let CallError::TransportDown { reason, .. } = &error else { panic!("{error:?}") };
            assert!(matches!(reason.kind(), DownCause::Restarted), "{error:?}");
        }
        ready(&session, 2).await;
        let ended = server.only("DELETE");
        assert_eq!(ended.request.header("mcp-session-id"), Some("session-1"));
        session.call("a.echo", ()).await.unwrap();
        server.release();
    });
}

/// A start that hangs at the server is no reason for a session to be slow to close.
#[test]
fn a_session_closes_while_its_server_hangs() {
    world::run(async |world| {
        for what in
            ["server/discover", "initialize", "notifications/initialized", "tools/list", "GET"]
        {
            let server = HttpServer::session();
            server.on(what, |_| vec![Step::Hold]);
            let spec = remote(&server);
            let session = world.runtime.session("s").server(spec).open().await.unwrap();
            eventually(LONG, what, || server.held() > 0).await;
            tokio::time::timeout(LONG / 3, session.close()).await.expect(what);
            eventually(LONG, "it is let go", || server.held() == 0).await;
        }
    });
}

/// Two servers on one origin are two servers.
#[test]
fn one_lost_session_is_not_anothers() {
    world::run(async |world| {
        let server = HttpServer::session();
        let specs = ["a", "b"]
            .map(|name| remote::quick(name, callboard::StreamableHttp::new(server.url())));
        let session = world.open(specs).await;
        for name in ["a", "b"] {
            await_status(&session.server(name).unwrap(), LONG, Status::is_ready).await;
        }
        let calls = hold(&session, &server, 3).await;
        server.on_first(1, "tools/call echo", not_found);
        let error = ended(session.call("b.echo", ())).await.unwrap_err();
        assert!(is_session_loss(&error), "{error:?}");
        await_status(&session.server("b").unwrap(), LONG, ready_in(2)).await;
        server.release();
        for call in calls {
            call.await.unwrap().unwrap();
        }
        is_unharmed(&session).await;
    });
}

/// Nobody is let in by asking again.
#[test]
fn a_server_that_lets_nobody_in_is_asked_once() {
    world::run(async |world| {
        for code in [401, 403] {
            let server = HttpServer::modern();
            let refused = move |_: &Request| {
                http_server::whole(
                    code,
                    &[("WWW-Authenticate", "Bearer realm=\"x\"")],
                    "who are you?",
                )
            };
            server.on("server/discover", refused);
            server.on("initialize", refused);
            let session = world.open([remote(&server)]).await;
            let handle = session.server("a").unwrap();
            let failed = await_status(&handle, LONG, |status| status.phase == Phase::Failed).await;
            assert_eq!(failed.epoch, 1);
            let Some(ServerError::Connect(error)) = &failed.last_error else { panic!() };
            let ConnectError::Http { error: cause, .. } = &**error else { panic!("{error:?}") };
            assert_eq!(cause.status(), Some(code));
            let HttpError::Status { challenge, .. } = &**cause else { panic!("{cause:?}") };
            assert_eq!(challenge.as_deref(), Some("Bearer realm=\"x\""));
        }
    });
}

/// Whoever refuses even to say that it is there does not know the session; and it is not asked again
/// and again for that.
#[test]
fn a_server_that_refuses_its_probe_is_not_probed_to_death() {
    world::run(async |world| {
        for code in [400, 405] {
            let server = HttpServer::session();
            let session = open(&world, remote(&server)).await;
            server.on("ping", move |_| status(code));
            server.on_first(1, "tools/call echo", move |_| status(code));
            ended(session.call("a.echo", ())).await.unwrap_err();
            let second = ready(&session, 2).await;
            let Some(ServerError::Down(reason)) = &second.last_error else { panic!("{second:?}") };
            assert!(matches!(reason.kind(), DownCause::HttpSessionLost), "{reason:?}");
            for _ in 0..100 {
                ended(session.call("a.echo", ())).await.unwrap();
            }
            assert_eq!(server.count("ping"), 1);
        }
        // These have no session to lose, and are there.
        let (modern, stateless) = (HttpServer::modern(), HttpServer::session());
        stateless.configure(|settings| settings.sessions = false);
        for (server, question) in [(modern, "server/discover"), (stateless, "ping")] {
            let session = open(&world, remote(&server)).await;
            let before = server.count(question);
            server.on(question, |_| status(400));
            server.on_first(1, "tools/call echo", |_| status(400));
            ended(session.call("a.echo", ())).await.unwrap_err();
            eventually(LONG, "it is probed", || server.count(question) > before).await;
            for _ in 0..100 {
                is_unharmed(&session).await;
            }
            assert_eq!(server.count(question), before + 1);
        }
    });
}
