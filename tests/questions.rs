//! Check 15: what servers up to 2025-11-25 ask of the host in requests of their own.

#[path = "support/both.rs"]
mod both;
#[path = "support/person.rs"]
mod person;
#[path = "support/world.rs"]
mod world;

use std::{sync::Arc, time::Duration};

use both::{SOON, await_got, got, open, server};
use callboard::{Budget, FormAnswer, FormQuestion, Host, HostCapabilities, HostFuture, ServerSpec};
use person::Person;
use serde_json::{Value, json};
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

/// C4, C29, C30: only what was declared.
#[test]
fn initialize_declares_what_the_host_implements() {
    world::run(async |world| {
        let session = open(&world, "legacy", &Person::new()).await;
        let declared = got(&world, "initialize")[0]["params"]["capabilities"].clone();
        let expected = json!({
            "elicitation": { "form": {}, "url": {} },
            "roots": { "listChanged": true },
            "sampling": { "tools": {} },
        });
        assert_eq!(declared, expected);
        session.close().await;
        std::fs::remove_file(world.log_path()).unwrap();
        let mut person = Person::new();
        person.capabilities = HostCapabilities::default();
        let session = open(&world, "legacy", &person).await;
        assert_eq!(got(&world, "initialize")[0]["params"]["capabilities"], json!({}));
        let text = session.call("a.ask", json!({})).await.unwrap().text();
        assert!(text.contains("-32601"), "{text}");
        assert!(person.asked().is_empty());
        session.close().await;
    });
}

#[test]
fn a_declined_sample_is_an_error_and_a_form_has_its_defaults() {
    world::run(async |world| {
        let mut person = Person::new();
        person.samples = false;
        person.fills(json!({ "age": 3 }));
        let session = open(&world, "legacy", &person).await;
        let text = session.call("a.sample", json!({})).await.unwrap().text();
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["code"], -1);
        let text = session.call("a.ask", json!({})).await.unwrap().text();
        let said: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(said["content"], json!({ "age": 3, "name": "nobody" }));
        session.close().await;
    });
}

struct Panicking;

impl Host for Panicking {
    fn capabilities(&self) -> HostCapabilities {
        HostCapabilities::default().elicitation_forms()
    }

    fn fill(&self, _: FormQuestion) -> HostFuture<'_, FormAnswer> {
        Box::pin(async { std::panic::resume_unwind(Box::new("a defect of the host")) })
    }
}

#[test]
fn a_host_that_panics_leaves_no_server_without_an_answer() {
    world::run(async |world| {
        let spec = ServerSpec::new("a", server(&world, "legacy")).required();
        let session = world.runtime.session("s").host(Panicking).server(spec);
        let session = session.open().await.unwrap();
        let text = timeout(SOON, session.call("a.ask", json!({}))).await.unwrap().unwrap().text();
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["code"], -32603, "{text}");
        session.close().await;
    });
}

/// Tools go only to a host that has declared that its model takes them.
#[test]
fn a_sample_with_tools_is_asked_of_a_host_that_takes_tools() {
    world::run(async |world| {
        for era in ["legacy", "modern"] {
            let mut person = Person::new();
            let session = open(&world, era, &person).await;
            let text = session.call("a.sample", json!({ "tools": true })).await.unwrap().text();
            assert!(text.contains("a sampled answer"), "{text}");
            assert_eq!(person.asked(), ["sample a \"hm\" with weigh"]);
            session.close().await;

            person.capabilities = HostCapabilities::default().sampling();
            let session = open(&world, era, &person).await;
            let refused = session.call("a.sample", json!({ "tools": true })).await;
            let told = refused.map_or_else(|error| error.to_string(), |output| output.text());
            assert!(told.contains("does not take tools"), "{era}: {told}");
            assert_eq!(person.asked().len(), 1, "{era}: the host is not asked");
            session.close().await;
        }
    });
}

#[test]
fn the_idle_limit_pauses_while_the_host_thinks() {
    world::run(async |world| {
        let mut person = Person::new();
        let thinks = Arc::new(Notify::new());
        person.thinks = Some(Arc::clone(&thinks));
        let session = open(&world, "legacy", &person).await;
        // Long enough for the question to come in time, however slow the machine is.
        let idle = Duration::from_secs(2);
        let call = session.call("a.ask", json!({})).idle_timeout(idle);
        let asked = async {
            world::eventually(SOON, "the host is asked", || !person.asked().is_empty()).await;
            sleep(idle * 2).await;
            thinks.notify_one();
        };
        let (output, ()) = tokio::join!(call, asked);
        assert!(output.unwrap().text().contains("accept"));
        session.close().await;
    });
}

#[test]
fn a_question_that_the_server_takes_back_is_not_answered() {
    world::run(async |world| {
        let mut person = Person::new();
        person.thinks = Some(Arc::new(Notify::new()));
        let session = open(&world, "legacy", &person).await;
        let call = session.call("a.ask", json!({}));
        let forgets = async {
            await_got(&world, "tools/call", 1).await;
            world::eventually(SOON, "the host is asked", || !person.asked().is_empty()).await;
            session.call("a.forget", json!({})).await.unwrap();
        };
        let (output, ()) = tokio::join!(call, forgets);
        assert_eq!(output.unwrap().text(), "forgotten");
        session.call("a.shout", json!({})).await.unwrap();
        assert!(got(&world, "").is_empty(), "{:?}", got(&world, ""));
        session.close().await;
    });
}

#[test]
fn a_question_goes_with_its_link() {
    world::run(async |world| {
        let mut person = Person::new();
        person.thinks = Some(Arc::new(Notify::new()));
        let session = open(&world, "legacy", &person).await;
        let call = session.call("a.ask", json!({}));
        let exits = async {
            world::eventually(SOON, "the host is asked", || !person.asked().is_empty()).await;
            session.call("a.exit", json!({})).await.unwrap_err();
        };
        let (output, ()) = tokio::join!(call, exits);
        assert_eq!(output.unwrap_err().kind(), "transport_down");
        session.close().await;
    });
}

/// C29: such a call is made once more, with all that it was made with, in the room that it has.
#[test]
fn a_call_after_a_visit_has_its_progress_and_its_place_in_the_budget() {
    world::run(async |world| {
        for budget in [Budget::unlimited(), Budget::unlimited().calls(1)] {
            let (builder, person) = (world.runtime.session("test"), Person::new());
            let spec = ServerSpec::new("a", server(&world, "legacy")).required();
            let builder = builder.host(person.clone()).budget(budget).server(spec);
            let session = builder.open().await.unwrap();
            let mut call = session.call("a.sign", json!({}));
            let mut progress = call.progress();
            let output = timeout(SOON, call).await.expect("it has its room").unwrap();
            assert_eq!(output.text(), "counted");
            assert_eq!(person.asked(), ["visit a https://example.com/"]);
            let mut steps = 0;
            while progress.next().await.is_some() {
                steps += 1;
            }
            assert_eq!(steps, 3, "{budget:?}");
            session.close().await;
        }
    });
}

/// C19, C20.
#[test]
fn progress_comes_in_order_and_ends_with_the_call_and_pings_are_answered() {
    world::run(async |world| {
        let session = open(&world, "legacy", &Person::new()).await;
        let mut call = session.call("a.count", json!({})).idle_timeout(Duration::ZERO);
        let mut progress = call.progress();
        call.await.unwrap();
        let mut steps = Vec::new();
        while let Some(report) = progress.next().await {
            steps.push((report.progress, report.message.unwrap()));
        }
        assert_eq!(steps.len(), 3);
        assert_eq!(steps[2], (3.0, "step 3".to_owned()));
        // Nobody listens and no limit needs it: then there is no token.
        let quiet = session.call("a.shout", json!({})).idle_timeout(Duration::ZERO);
        quiet.await.unwrap();
        let calls = got(&world, "tools/call");
        assert_eq!(calls[0]["params"]["_meta"]["progressToken"], calls[0]["id"]);
        assert!(calls[1]["params"].get("_meta").is_none(), "{}", calls[1]);
        session.call("a.ping", json!({})).await.unwrap();
        await_got(&world, "", 1).await;
        assert_eq!(got(&world, "")[0]["result"], json!({}));
        session.close().await;
    });
}
