//! The streams of streamable HTTP in the older revisions (C15): the server's own, and those of calls,
//! are taken up where they ended, and cost no more than themselves where they cannot be.

#[path = "support/http_server.rs"]
mod http_server;
#[path = "support/remote.rs"]
mod remote;
#[path = "support/world.rs"]
mod world;

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use callboard::{
    CallOptions, Delivery, DownCause, Notification, RestartPolicy, RetryPolicy, ServerError,
    WhenDown,
};
use http_server::{HttpServer, Step, event_with, json, redirect, status, tool};
use remote::{LONG, ended, hold, impatient, is_unharmed, open, remote};
use serde_json::json as object;
use world::{await_status, eventually};

#[test]
fn the_stream_is_open_before_the_first_call_and_brings_what_the_server_says() {
    world::run(async |world| {
        let server = HttpServer::session();
        server.configure(|settings| settings.list_changed = true);
        let session = open(&world, remote(&server)).await;
        session.call("a.echo", ()).await.unwrap();
        let order = |what: &str| {
            server.requests().iter().position(|exchange| exchange.request.is(what)).unwrap()
        };
        assert!(order("GET") < order("tools/call"), "{:#?}", server.requests());
        let mut notifications = session.server("a").unwrap().notifications();
        let params = object!({ "level": "info", "data": "hello" });
        let method = "notifications/message";
        server.push(&object!({ "jsonrpc": "2.0", "method": method, "params": params }));
        let Some(Notification::Message { params, .. }) = notifications.next().await else {
            panic!("no notification");
        };
        assert!(params.unwrap().get().contains("hello"));
        server.configure(|settings| settings.tools.push(tool("later", &object!({}))));
        let method = "notifications/tools/list_changed";
        server.push(&object!({ "jsonrpc": "2.0", "method": method }));
        eventually(LONG, "the new tool is there", || session.tools().get("a.later").is_some())
            .await;
        server.push(&object!({ "jsonrpc": "2.0", "id": 99, "method": "ping" }));
        eventually(LONG, "the ping is answered", || server.count("response") == 1).await;
        assert_eq!(server.only("response").request.message["id"], 99);
        is_unharmed(&session).await;
    });
}

#[test]
fn a_server_without_a_stream_does_without() {
    world::run(async |world| {
        let server = HttpServer::session();
        server.configure(|settings| settings.get_stream = false);
        let session = open(&world, remote(&server)).await;
        is_unharmed(&session).await;
        eventually(LONG, "it was asked for", || server.count("GET") > 0).await;
        is_unharmed(&session).await;
        assert!(server.count("GET") <= 1, "it said that there is none");
    });
}

#[test]
fn a_lost_stream_is_resumed_where_it_ended_and_when_the_server_says() {
    const WAIT: Duration = Duration::from_millis(700);
    for step in [|| Step::Reset, || Step::Close, || http_server::end_of_events()] {
        world::run(async |world| {
            let server = HttpServer::session();
            let session = open(&world, remote(&server)).await;
            eventually(LONG, "the stream is open", || server.streams() == 1).await;
            let mut notifications = session.server("a").unwrap().notifications();
            let message = object!({ "jsonrpc": "2.0", "method": "notifications/message" });
            let fields = format!("id: 41\nretry: {}", WAIT.as_millis());
            server.on_streams(|| event_with(&fields, &message));
            notifications.next().await.unwrap();
            let ended = std::time::SystemTime::now();
            server.on_streams(step);
            eventually(LONG, "it asks again", || server.count("GET") == 2).await;
            let again = &server.seen("GET")[1];
            assert_eq!(again.request.header("last-event-id"), Some("41"));
            assert_eq!(server.seen("GET")[0].request.header("last-event-id"), None);
            let waited = again.at.duration_since(ended).unwrap();
            assert!(waited >= WAIT, "{waited:?}");
            server.push(&message);
            notifications.next().await.unwrap();
            is_unharmed(&session).await;
        });
    }
}

#[test]
fn a_stream_that_fails_at_first_is_asked_for_again() {
    for failure in [|| status(503), || status(429), || vec![Step::Reset]] {
        world::run(async |world| {
            let server = HttpServer::session();
            server.on_first(2, "GET", move |_| failure());
            let session = open(&world, impatient(&server)).await;
            eventually(LONG, "the stream is open", || server.streams() == 1).await;
            assert_eq!(server.count("GET"), 3);
            is_unharmed(&session).await;
        });
    }
}

/// What a server has never had, its calls do not need.
#[test]
fn a_server_whose_stream_always_fails_can_be_called_all_the_same() {
    world::run(async |world| {
        let server = HttpServer::session();
        server.on("GET", |_| status(500));
        let session = open(&world, impatient(&server)).await;
        eventually(LONG, "it is given up", || server.count("GET") == 6).await;
        is_unharmed(&session).await;
        assert_eq!((server.count("GET"), server.streams()), (6, 0));
    });
}

#[test]
fn a_stream_that_cannot_be_had_back_is_the_end_of_the_link() {
    world::run(async |world| {
        let server = HttpServer::session();
        let session = open(&world, impatient(&server)).await;
        eventually(LONG, "the stream is open", || server.streams() == 1).await;
        let handle = session.server("a").unwrap();
        let fails = Arc::new(AtomicBool::new(true));
        let down = Arc::clone(&fails);
        server.on("GET", move |_| match down.load(Ordering::SeqCst) {
            true => status(503),
            false => vec![Step::Proper],
        });
        let calls = hold(&session, &server, 2).await;
        server.on_streams(|| Step::Reset);
        let lost = await_status(&handle, LONG * 2, |status| !status.is_ready()).await;
        fails.store(false, Ordering::SeqCst);
        let Some(ServerError::Down(reason)) = &lost.last_error else { panic!("{lost:?}") };
        assert!(matches!(reason.kind(), DownCause::Http(_)), "{reason:?}");
        for call in calls {
            let error = ended(async { call.await.unwrap() }).await.unwrap_err();
            assert_eq!((error.kind(), error.delivery()), ("transport_down", Delivery::MaybeSent));
        }
        await_status(&handle, LONG, remote::ready_after(1)).await;
        session.call("a.echo", ()).await.unwrap();
    });
}

/// In 2025-11-25 a server may end the stream of a request at any time, if it has given it an id.
#[test]
fn the_answer_to_a_call_whose_stream_ended_early_is_fetched() {
    for cut in [|| Step::Reset, || Step::Close, || http_server::end_of_events()] {
        world::run(async |world| {
            let server = HttpServer::session();
            let asked = Arc::new(OnceLock::new());
            let (asking, resumed) = (Arc::clone(&asked), AtomicUsize::new(0));
            server.on("tools/call echo", move |request| {
                asking.set(request.id().clone()).unwrap();
                let first = http_server::chunk("id: e1\nretry: 10\ndata:\n\n");
                vec![http_server::events(&[]), first, cut()]
            });
            server.on("GET", move |request| {
                let Some(place) = request.header("last-event-id") else {
                    return vec![Step::Proper];
                };
                // The stream that goes on breaks once too.
                if resumed.fetch_add(1, Ordering::SeqCst) == 0 {
                    return vec![http_server::events(&[]), cut()];
                }
                let result = object!({ "content": [{ "type": "text", "text": place }]});
                let answer = object!({ "jsonrpc": "2.0", "id": asked.get(), "result": result });
                let last = event_with("id: e2", &answer);
                vec![http_server::events(&[]), last, http_server::end_of_events()]
            });
            let session = open(&world, remote(&server)).await;
            assert_eq!(ended(session.call("a.echo", ())).await.unwrap().text(), "e1");
            assert_eq!(server.count("tools/call echo"), 1, "it was not sent again");
            is_unharmed(&session).await;
        });
    }
}

#[test]
fn a_call_whose_stream_ended_without_an_id_is_lost_alone() {
    world::run(async |world| {
        let server = HttpServer::session();
        server.on("tools/call echo", |_| {
            vec![http_server::events(&[]), http_server::end_of_events()]
        });
        let session = open(&world, remote(&server)).await;
        let others = hold(&session, &server, 3).await;
        let error = ended(session.call("a.echo", ())).await.unwrap_err();
        assert_eq!((error.kind(), error.delivery()), ("transport_down", Delivery::MaybeSent));
        server.release();
        for other in others {
            other.await.unwrap().unwrap();
        }
        is_unharmed(&session).await;
    });
}

#[test]
fn a_call_that_cannot_be_resumed_is_lost_alone_and_soon() {
    world::run(async |world| {
        let server = HttpServer::session();
        server.on("tools/call echo", |_| {
            let first = http_server::chunk("id: e1\nretry: 10\ndata:\n\n");
            vec![http_server::events(&[]), first, http_server::end_of_events()]
        });
        server.on("GET", |request| match request.header("last-event-id") {
            None => vec![Step::Proper],
            Some(_) => status(405),
        });
        let session = open(&world, impatient(&server)).await;
        let error = ended(session.call("a.echo", ())).await.unwrap_err();
        assert_eq!(error.delivery(), Delivery::MaybeSent, "{error:?}");
        assert!(matches!(error.kind(), "transport_down" | "http_status"), "{error:?}");
        is_unharmed(&session).await;
        assert!(server.count("GET") < 10, "it asks without an end");
    });
}

/// Whatever its resumption fails by, and whatever that says of the link: the call itself has left.
#[test]
fn a_call_that_cannot_be_resumed_may_have_run() {
    for how in ["unknown", "elsewhere", "killed"] {
        world::run(async |world| {
            let (mut server, other) = (HttpServer::session(), HttpServer::session());
            server.on("tools/call echo", |_| {
                let first = http_server::chunk("id: e1\nretry: 10\ndata:\n\n");
                vec![http_server::events(&[]), first, Step::Hold, http_server::end_of_events()]
            });
            let location = other.url();
            server.on("GET", move |request| match request.header("last-event-id") {
                None => vec![Step::Proper],
                Some(_) if how == "elsewhere" => redirect(307, &location),
                Some(_) => status(404),
            });
            let policy = RestartPolicy::on_failure().max_restarts(1, remote::HOUR);
            let retry = RetryPolicy::max_attempts(2).delay(Duration::from_millis(1));
            let session = open(&world, remote(&server).restart(policy)).await;
            let options = CallOptions::default().retry(retry).when_down(WhenDown::Wait);
            let call = session.call("a.echo", ()).with_options(&options);
            let call = tokio::spawn(call.into_future());
            eventually(LONG, "it has the call", || server.held() == 1).await;
            if how == "killed" {
                server.kill()
            } else {
                server.release()
            }
            let error = ended(async { call.await.unwrap() }).await.unwrap_err();
            assert_eq!(error.delivery(), Delivery::MaybeSent, "{how}: {error:?}");
            assert_eq!(server.count("tools/call echo"), 1, "{how}: it was sent again");
        });
    }
}

/// C16: 2025-03-26 has batches.
#[test]
fn a_batch_of_messages_is_an_answer() {
    world::run(async |world| {
        let server = HttpServer::session();
        server.configure(|settings| settings.revision = "2025-03-26");
        server.on("tools/call echo", |request| {
            let result = object!({ "content": [{ "type": "text", "text": "of a batch" }]});
            let answer = http_server::answer(request, &result);
            let other = object!({ "jsonrpc": "2.0", "method": "notifications/message" });
            json(200, &object!([other, answer]))
        });
        let session = open(&world, remote(&server)).await;
        let output = ended(session.call("a.echo", ())).await.unwrap();
        assert_eq!(output.text(), "of a batch");
        is_unharmed(&session).await;
    });
}

#[test]
fn progress_comes_with_the_answer_of_its_call() {
    world::run(async |world| {
        let server = HttpServer::session();
        server.on("tools/call progress", |request| {
            let token = &request.message["params"]["_meta"]["progressToken"];
            let mut steps = vec![http_server::events(&[])];
            for progress in 1..=6 {
                let params = object!({ "progressToken": token, "progress": progress });
                let method = "notifications/progress";
                let told = object!({ "jsonrpc": "2.0", "method": method, "params": params });
                steps.push(http_server::event(&told));
                steps.push(Step::Pause(Duration::from_millis(500)));
            }
            let result = object!({ "content": [{ "type": "text", "text": "done" }]});
            steps.push(http_server::event(&http_server::answer(request, &result)));
            steps.push(http_server::end_of_events());
            steps
        });
        let session = open(&world, remote(&server)).await;
        let call = session.call("a.progress", ()).idle_timeout(Duration::from_secs(2));
        assert_eq!(ended(call).await.unwrap().text(), "done");
        is_unharmed(&session).await;
    });
}
