//! C28: calls that a server of 2026-07-28 answers with questions, which the host answers.

#[path = "support/both.rs"]
mod both;
#[path = "support/person.rs"]
mod person;
#[path = "support/world.rs"]
mod world;

use std::{sync::Arc, time::Duration};

use both::{got, open};
use callboard::{CachePolicy, CallOptions, FormAnswer, HostCapabilities};
use person::Person;
use serde_json::{Value, json};
use tokio::sync::Notify;

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
