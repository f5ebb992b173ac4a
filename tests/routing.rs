//! Every answer finds its own call, and every question of a server its answer.

#[path = "support/world.rs"]
mod world;

use std::time::Duration;

use callboard::{CallError, Delivery, Notification, ServerSpec, Session};
use serde_json::{Value, json};
use tokio::time::Instant;

fn assert_same_link(session: &Session) {
    let status = session.server("a").unwrap().status();
    assert!(status.is_ready() && status.epoch == 1, "{status:?}");
}

/// How often a hostile server got this method.
fn count(log: &std::path::Path, method: &str) -> usize {
    world::log(log).iter().filter(|event| event["method"] == method).count()
}

/// Check 14: an answer to nobody is dropped; the call that it was meant for ends at its deadline.
#[test]
fn an_answer_under_an_unknown_id_costs_its_own_call_alone() {
    world::run(async |world| {
        let session = world.open_one(world.hostile("wrong-id")).await;
        for _ in 0..2 {
            let call = session.call("a.echo", json!({ "text": "x" }));
            let error = call.idle_timeout(Duration::from_millis(200)).await.unwrap_err();
            let CallError::TimedOut { delivery, .. } = error else { panic!("{error:?}") };
            assert_eq!(delivery, Delivery::MaybeSent);
        }
        assert_same_link(&session);
    });
}

#[test]
fn an_id_that_comes_back_as_a_string_is_accepted() {
    world::run(async |world| {
        let session = world.open_one(world.hostile("string-id")).await;
        let output = session.call("a.echo", json!({ "text": "x" })).await.unwrap();
        assert_eq!(output.text(), "x");
        let error = session.call("a.rpcerror", ()).await.unwrap_err();
        assert!(matches!(error, CallError::Rejected { code: -32042, .. }), "{error:?}");
        assert_same_link(&session);
    });
}

#[test]
fn answers_out_of_order_find_their_calls() {
    world::run(async |world| {
        let session = world.open_one(world.hostile("out-of-order")).await;
        let began = Instant::now();
        let mut calls = tokio::task::JoinSet::new();
        for n in 0..40 {
            let call = session.call("a.echo", json!({ "text": n.to_string() }));
            calls.spawn(async move { (n.to_string(), call.await.unwrap().text()) });
        }
        while let Some(echoed) = calls.join_next().await {
            let (asked, answered) = echoed.unwrap();
            assert_eq!(asked, answered);
        }
        // One after another they would take about ten seconds.
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    });
}

/// Check 9: the deadline tells the server once, and the late answer goes to nobody.
#[test]
fn a_late_answer_does_not_answer_another_call() {
    world::run(async |world| {
        let log = world.folder().join("log");
        let stdio = world.hostile("late-reply").args(["--delay", "0.5", "--log"]).arg(&log);
        let session = world.open_one(stdio).await;
        let first = session.call("a.echo", json!({ "text": "first" }));
        let error = first.idle_timeout(Duration::from_millis(100)).await.unwrap_err();
        assert_eq!(error.kind(), "timed_out");
        let output = session.call("a.echo", json!({ "text": "second" })).await.unwrap();
        assert_eq!(output.text(), "second");
        assert_eq!(count(&log, "notifications/cancelled"), 1);
        assert_same_link(&session);
    });
}

/// Check 9, for a server that answers nothing and hears of no cancellation.
#[test]
fn calls_that_hang_end_at_their_deadlines_and_cost_nobody_the_link() {
    world::run(async |world| {
        let log = world.folder().join("log");
        let session = world.open_one(world.hostile("hang-call").arg("--log").arg(&log)).await;
        let began = Instant::now();
        let call = || {
            let call = session.call("a.echo", json!({ "text": "x" }));
            call.idle_timeout(Duration::from_millis(200))
        };
        for outcome in <[_; 3]>::from(tokio::join!(call(), call(), call())) {
            assert_eq!(outcome.unwrap_err().kind(), "timed_out");
        }
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        let told = || count(&log, "notifications/cancelled") == 3;
        world::eventually(Duration::from_secs(10), "each is cancelled", told).await;
        assert_same_link(&session);
    });
}

/// Check 15: silence would hang the server.
#[test]
fn every_question_of_a_server_is_answered() {
    world::run(async |world| {
        let open = async |root: Option<&str>| {
            let spec = ServerSpec::new("a", world.hostile("server-requests"));
            let spec = root.into_iter().fold(spec, ServerSpec::root);
            let session = world.open([spec]).await;
            let output = session.call("a.echo", ()).await.unwrap();
            assert_same_link(&session);
            session.close().await;
            serde_json::from_str::<Value>(&output.text()).unwrap()
        };
        let answers = open(None).await;
        assert_eq!(answers["ping"], "result");
        let refused = ["no/such/method", "sampling/createMessage", "elicitation/create"];
        for method in refused.into_iter().chain(["roots/list"]) {
            assert_eq!(answers[method]["code"], -32601, "{method}: {answers}");
        }
        let answers = open(Some("file:///srv")).await;
        assert_eq!(answers["roots/list"], "result");
    });
}

/// C8: on a modern link there are no questions, and so no answers to them.
#[test]
fn a_question_on_a_modern_link_is_not_answered() {
    world::run(async |world| {
        let session = world.open_one(world.odd("modern")).await;
        session.call("a.ask", json!({})).await.unwrap();
        // The question came before the answer to this call, so its own answer would be there.
        session.call("a.echo", json!({ "text": "x" })).await.unwrap();
        let output = session.call("a.received", json!({})).await.unwrap();
        let received: Vec<Value> = serde_json::from_str(&output.text()).unwrap();
        assert!(received.iter().all(|one| one.get("method").is_some()), "{received:?}");
        assert_same_link(&session);
    });
}

/// C16: a server of 2025-03-26 may send several messages as one.
#[test]
fn a_batch_is_taken_apart() {
    world::run(async |world| {
        let session = world.open_one(world.odd("batch")).await;
        let server = session.server("a").unwrap();
        assert_eq!(server.status().protocol_version.as_deref(), Some("2025-03-26"));
        let mut notifications = server.notifications();
        let (held, released) =
            tokio::join!(session.call("a.hold", ()), session.call("a.release", ()));
        assert_eq!(held.unwrap().text(), "hold");
        assert_eq!(released.unwrap().text(), "release");
        let Some(Notification::Message { method, .. }) = notifications.next().await else {
            panic!("no notification")
        };
        assert_eq!(&*method, "notifications/message");
        let answered = || {
            let log = world::log(&world.log_path());
            log.iter().any(|one| one["id"] == "q-1" && one.get("result").is_some())
        };
        world::eventually(Duration::from_secs(10), "the ping is answered", answered).await;
    });
}
