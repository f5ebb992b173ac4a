//! C28: calls that a server of 2026-07-28 answers with questions, which the host answers.

#[path = "support/both.rs"]
mod both;
#[path = "support/person.rs"]
mod person;
#[path = "support/world.rs"]
mod world;

use std::{sync::Arc, time::Duration};

use both::{SOON, got, open};
use callboard::{
    Backoff, CachePolicy, CallError, CallOptions, Delivery, FormAnswer, HostCapabilities, Limits,
    Phase, RestartPolicy, RetryPolicy, ServerSpec, Session, WhenDown,
};
use person::Person;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::{sync::Notify, time::timeout};
use world::{World, await_status, eventually};

/// How many calls the server was given from their beginning.
fn begun(world: &World, tool: &str) -> usize {
    let calls = got(world, "tools/call");
    let first = |call: &&Value| call["params"].get("inputResponses").is_none();
    calls.iter().filter(first).filter(|call| call["params"]["name"] == tool).count()
}

/// A person who does not answer before this is told.
fn thinking() -> (Person, Arc<Notify>) {
    let (mut person, answers) = (Person::new(), Arc::new(Notify::new()));
    person.thinks = Some(Arc::clone(&answers));
    (person, answers)
}

async fn open_with(world: &World, person: &Person, limits: Limits) -> Session {
    let never = Backoff::new(SOON * 100, SOON * 100).without_jitter();
    let spec = ServerSpec::new("a", both::server(world, "modern"))
        .restart(RestartPolicy::on_failure().backoff(never))
        .limits(limits)
        .required();
    world.runtime.session("test").host(person.clone()).server(spec).open().await.unwrap()
}

async fn await_asked(person: &Person) {
    eventually(SOON, "the person is asked", || !person.asked().is_empty()).await;
}

#[test]
fn every_question_is_answered_and_the_state_comes_back_to_the_byte() {
    world::run(async |world| {
        let person = Person::new();
        person.fills(json!({ "age": 7 }));
        person.roots.lock().unwrap().push("file:///r".to_owned());
        let session = open(&world, "modern", &person).await;
        let output = session.call("a.ask", json!({ "x": 1 })).await.unwrap();
        let said: Value = serde_json::from_str(&output.text()).unwrap();
        let form = json!({ "action": "accept", "content": { "age": 7, "name": "nobody" } });
        assert_eq!(said[0]["one"], form);
        assert_eq!(said[0]["two"], json!({ "roots": [{ "uri": "file:///r" }] }));
        assert_eq!(person.asked(), ["fill a who", "roots a"]);
        let calls = got(&world, "tools/call");
        assert_ne!(calls[0]["id"], calls[1]["id"]);
        assert_eq!(calls[1]["params"]["arguments"], json!({ "x": 1 }));
        assert!(calls[0]["params"].get("requestState").is_none());
        // As it was written, escapes and all.
        let log = std::fs::read_to_string(world.log_path()).unwrap();
        let state = r#""requestState":"a\u0041\/\ud83d\ude00 \"x\"""#;
        assert!(log.contains(state), "{log}");
        // Nothing of it is in the next call.
        session.call("a.shout", json!({})).await.unwrap();
        let next = got(&world, "tools/call").pop().unwrap();
        assert!(
            next["params"].get("requestState").or(next["params"].get("inputResponses")).is_none()
        );
        session.close().await;
    });
}

#[test]
fn a_state_alone_comes_back_and_a_server_that_asks_for_ever_is_left() {
    world::run(async |world| {
        let person = Person::new();
        let session = open(&world, "modern", &person).await;
        assert_eq!(session.call("a.state", json!({})).await.unwrap().text(), "xxx");
        let error = session.call("a.endless", json!({})).await.unwrap_err();
        assert_eq!(error.kind(), "invalid_response", "{error}");
        assert!(error.to_string().contains("more than 10 times"), "{error}");
        assert_eq!(person.asked().len(), 10);
        session.close().await;
    });
}

#[test]
fn prompts_and_reads_have_rounds_too() {
    world::run(async |world| {
        let person = Person::new();
        let session = open(&world, "modern", &person).await;
        let server = session.server("a").unwrap();
        server.prompt("p", [("", ""); 0]).await.unwrap();
        let resource = server.resource("note://ask");
        assert_eq!(resource.read().await.unwrap().text(), "read 2");
        assert_eq!(person.asked(), ["fill a who", "fill a who"]);
        // C23: what came of questions is not kept.
        assert_eq!(resource.read().await.unwrap().text(), "read 4");
        session.close().await;
    });
}

/// C23: what a person said to one call is no answer to the next.
#[test]
fn a_result_that_took_questions_is_not_kept_for_like_calls() {
    world::run(async |world| {
        let person = Person::new();
        let session = open(&world, "modern", &person).await;
        let keep = CachePolicy::keep_for(Duration::from_secs(3600)).even_if_not_read_only();
        let keep = CallOptions::default().cache(keep);
        for asked in [2, 4] {
            session.call("a.ask", json!({})).with_options(&keep).await.unwrap();
            assert_eq!(person.asked().len(), asked);
        }
        for _ in 0..2 {
            session.call("a.shout", json!({})).with_options(&keep).await.unwrap();
        }
        assert_eq!(got(&world, "tools/call").len(), 5, "another is");
        session.close().await;
    });
}

#[test]
fn what_the_host_does_not_give_ends_the_call_with_its_name() {
    world::run(async |world| {
        let mut person = Person::new();
        person.samples = false;
        let session = open(&world, "modern", &person).await;
        let error = session.call("a.sample", json!({})).await.unwrap_err();
        assert_eq!(error.kind(), "input_declined", "{error}");
        assert!(error.to_string().contains("sampling/createMessage"), "{error}");
        *person.form.lock().unwrap() = FormAnswer::Decline;
        let output = session.call("a.ask", json!({})).await.unwrap();
        assert!(output.text().contains(r#"{"action": "decline"}"#), "{}", output.text());
        session.close().await;
        person.capabilities = HostCapabilities::default();
        let session = open(&world, "modern", &person).await;
        let error = session.call("a.ask", json!({})).await.unwrap_err();
        assert_eq!(error.kind(), "input_declined", "{error}");
        session.close().await;
    });
}

/// C5: what is declared, is declared with every request.
/// C31, C34: no extension is declared that nobody implements.
#[test]
fn every_request_says_what_the_host_implements() {
    world::run(async |world| {
        let session = open(&world, "modern", &Person::new()).await;
        session.server("a").unwrap().resources().await.unwrap();
        for method in ["server/discover", "tools/list", "resources/list"] {
            let meta = got(&world, method)[0]["params"]["_meta"].clone();
            let declared = &meta["io.modelcontextprotocol/clientCapabilities"];
            assert_eq!(declared["elicitation"], json!({ "form": {}, "url": {} }), "{method}");
            assert_eq!(declared["sampling"], json!({ "tools": {} }), "{method}");
            assert!(declared["extensions"]["io.modelcontextprotocol/tasks"].is_object());
            assert_eq!(meta["io.modelcontextprotocol/protocolVersion"], "2026-07-28");
        }
        session.close().await;
    });
}

#[test]
fn the_total_limit_holds_while_the_host_thinks() {
    world::run(async |world| {
        let mut person = Person::new();
        person.thinks = Some(Arc::new(Notify::new()));
        let session = open(&world, "modern", &person).await;
        let limit = Duration::from_millis(300);
        let call = session.call("a.ask", json!({})).idle_timeout(limit / 10).total_timeout(limit);
        let error = call.await.unwrap_err();
        assert_eq!(error.kind(), "timed_out", "{error}");
        assert!(error.to_string().contains("total"), "{error}");
        session.close().await;
    });
}

/// C8: no question comes over a modern link, and none is answered.
#[test]
fn a_question_over_a_modern_link_is_counted_and_not_answered() {
    world::run(async |world| {
        let session = open(&world, "modern", &Person::new()).await;
        for _ in 0..3 {
            session.call("a.ping", json!({})).await.unwrap();
        }
        assert_eq!(session.server("a").unwrap().violations(), 3);
        assert!(got(&world, "").is_empty(), "{:?}", got(&world, ""));
        session.close().await;
    });
}

/// What is sent late is a part of a call that the server had: nothing tries it from its beginning.
#[test]
fn a_call_that_is_lost_while_the_host_thinks_is_not_made_again() {
    world::run(async |world| {
        let (person, answers) = thinking();
        let session = open_with(&world, &person, Limits::default()).await;
        let server = session.server("a").unwrap();
        let retry = RetryPolicy::max_attempts(2).delay(Duration::from_millis(1));
        let options = CallOptions::default().when_down(WhenDown::Wait).retry(retry);
        let call = session.call("a.ask", json!({})).with_options(&options);
        let loses = async {
            await_asked(&person).await;
            session.call("a.exit", json!({})).await.unwrap_err();
            await_status(&server, SOON, |status| !status.is_ready()).await;
            answers.notify_one();
        };
        let (outcome, ()) = timeout(SOON, async { tokio::join!(call, loses) }).await.unwrap();
        let error = outcome.unwrap_err();
        assert!(matches!(error, CallError::TransportDown { epoch: 1, .. }), "{error:?}");
        assert_eq!(error.delivery(), Delivery::MaybeSent);
        assert!(error.to_string().contains("code 3"), "{error}");
        assert_eq!(begun(&world, "ask"), 1);
        assert_eq!(person.asked(), ["fill a who", "roots a"]);
        session.close().await;
    });
}

#[test]
fn a_prompt_that_is_lost_while_the_host_thinks_was_begun() {
    world::run(async |world| {
        let (person, answers) = thinking();
        let session = open_with(&world, &person, Limits::default()).await;
        let server = session.server("a").unwrap();
        let loses = async {
            await_asked(&person).await;
            session.call("a.exit", json!({})).await.unwrap_err();
            await_status(&server, SOON, |status| !status.is_ready()).await;
            answers.notify_one();
        };
        let (outcome, ()) = tokio::join!(server.prompt("p", [("", ""); 0]), loses);
        let error = outcome.unwrap_err();
        assert_eq!((error.kind(), error.delivery()), ("transport_down", Delivery::MaybeSent));
        session.close().await;
    });
}

#[test]
fn a_later_round_that_finds_no_room_was_begun() {
    world::run(async |world| {
        let (person, answers) = thinking();
        let session = open_with(&world, &person, Limits::default().with_max_calls(1)).await;
        let pid = session.server("a").unwrap().status().pid.unwrap();
        let retry = RetryPolicy::max_attempts(2).delay(Duration::from_millis(1));
        let call = session.call("a.ask", json!({}));
        let call = call.with_options(&CallOptions::default().retry(retry));
        #[expect(clippy::async_yields_async, reason = "it can be answered only later")]
        let fills = async {
            await_asked(&person).await;
            world::signal(pid, Signal::STOP);
            let mut ping = session.call("a.ping", json!({}));
            timeout(Duration::ZERO, &mut ping).await.unwrap_err();
            answers.notify_one();
            ping
        };
        let both = async {
            let (outcome, ping) = tokio::join!(call, fills);
            world::signal(pid, Signal::CONT);
            ping.await.unwrap();
            outcome
        };
        let error = timeout(SOON, both).await.unwrap().unwrap_err();
        assert_eq!((error.kind(), error.delivery()), ("overloaded", Delivery::MaybeSent));
        assert_eq!(begun(&world, "ask"), 1);
        session.close().await;
    });
}

#[test]
fn a_server_is_not_idle_while_the_host_thinks() {
    world::run(async |world| {
        let (person, answers) = thinking();
        let short = Duration::from_millis(200);
        let spec = ServerSpec::new("a", both::server(&world, "modern")).stop_when_idle(short);
        let builder = world.runtime.session("test").host(person.clone()).server(spec.required());
        let session = builder.open().await.unwrap();
        let server = session.server("a").unwrap();
        let call = session.call("a.ask", json!({}));
        let thinks = async {
            await_asked(&person).await;
            // As long as it takes a server that nobody uses to go, several times.
            tokio::time::sleep(5 * short).await;
            let epoch = server.status().epoch;
            answers.notify_one();
            epoch
        };
        let (outcome, epoch) = timeout(SOON, async { tokio::join!(call, thinks) }).await.unwrap();
        assert!(outcome.unwrap().text().contains("accept"));
        assert_eq!((epoch, person.asked().len(), begun(&world, "ask")), (1, 2, 1));
        await_status(&server, SOON, |status| status.phase == Phase::Idle).await;
        session.close().await;
    });
}
