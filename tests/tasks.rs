//! C32: calls that come back as tasks.

#[path = "support/both.rs"]
mod both;
#[path = "support/person.rs"]
mod person;
#[path = "support/world.rs"]
mod world;

use std::time::Duration;

use both::{SOON, await_got, got, open};
use callboard::{Detached, HostCapabilities, Phase, ServerSpec, Session};
use person::Person;
use serde_json::json;
use tokio::time::timeout;
use world::{World, await_status};

const SHORT: Duration = Duration::from_millis(200);

fn spec(world: &World) -> ServerSpec {
    ServerSpec::new("a", both::server(world, "modern"))
}

async fn open_spec(world: &World, spec: ServerSpec) -> Session {
    let builder = world.runtime.session("test").host(Person::new());
    builder.server(spec).open().await.unwrap()
}

#[test]
fn a_task_is_followed_and_its_questions_are_answered_once() {
    world::run(async |world| {
        let person = Person::new();
        let session = open(&world, "modern", &person).await;
        let output = timeout(SOON, session.call("a.task", json!({}))).await.unwrap().unwrap();
        assert!(output.text().contains("accept"), "{}", output.raw());
        assert_eq!(person.asked(), ["fill a who"]);
        assert_eq!(got(&world, "tasks/update").len(), 1);
        assert!(got(&world, "tasks/cancel").is_empty());
        session.close().await;
    });
}

#[test]
fn a_task_that_nobody_waits_for_is_cancelled() {
    world::run(async |world| {
        let session = open(&world, "modern", &Person::new()).await;
        let call = session.call("a.slow", json!({})).total_timeout(Duration::from_secs(3));
        assert_eq!(call.await.unwrap_err().kind(), "timed_out");
        await_got(&world, "tasks/cancel", 1).await;
        let call = session.call("a.slow", json!({}));
        let polled = async {
            let before = got(&world, "tasks/get").len();
            await_got(&world, "tasks/get", before + 1).await;
        };
        tokio::select! {
            outcome = call => panic!("{outcome:?}"),
            () = polled => {}
        }
        await_got(&world, "tasks/cancel", 2).await;
        session.close().await;
    });
}

#[test]
fn a_task_whose_question_is_declined_is_cancelled() {
    world::run(async |world| {
        let mut person = Person::new();
        person.capabilities = HostCapabilities::default();
        let session = open(&world, "modern", &person).await;
        let call = session.call("a.task", json!({}));
        let error = timeout(SOON, call).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), "input_declined", "{error}");
        await_got(&world, "tasks/cancel", 1).await;
        session.close().await;
    });
}

#[test]
fn a_detached_task_is_the_hosts_and_survives_a_reconnect() {
    world::run(async |world| {
        let session = open(&world, "modern", &Person::new()).await;
        let detached = session.call("a.task", json!({})).detach().await.unwrap();
        let Detached::Task(task) = detached else { panic!("{detached:?}") };
        assert_eq!(task.server(), "a");
        let id = task.id().to_owned();
        let state = task.state().await.unwrap();
        assert!(state.get().contains("working"), "{state}");
        session.call("a.exit", json!({})).await.unwrap_err();
        let again = session.server("a").unwrap().task(&id);
        let output = timeout(SOON, again.output()).await.unwrap().unwrap();
        assert!(output.text().contains("accept"), "{}", output.raw());
        assert_eq!(session.server("a").unwrap().status().epoch, 2);
        let detached = session.call("a.slow", json!({})).detach().await.unwrap();
        let Detached::Task(task) = detached else { panic!("{detached:?}") };
        task.cancel().await.unwrap();
        assert_eq!(task.output().await.unwrap_err().kind(), "cancelled");
        let output = session.call("a.shout", json!({})).detach().await.unwrap();
        assert!(matches!(output, Detached::Output(_)));
        session.close().await;
    });
}

#[test]
fn a_task_is_followed_over_a_restart_in_the_middle() {
    world::run(async |world| {
        let session = open(&world, "modern", &Person::new()).await;
        let call = session.call("a.task", json!({}));
        let exits = async {
            await_got(&world, "tasks/get", 1).await;
            session.call("a.exit", json!({})).await.unwrap_err();
        };
        let (output, ()) = timeout(SOON, async { tokio::join!(call, exits) }).await.unwrap();
        assert!(output.unwrap().text().contains("accept"));
        session.close().await;
    });
}

/// Nobody is asked twice for what the server did not get.
#[test]
fn an_answer_that_meets_a_lost_server_is_given_once_more() {
    world::run(async |world| {
        let person = Person::new();
        let session = open(&world, "modern", &person).await;
        let call = session.call("a.task", json!({ "dies": true }));
        let output = timeout(SOON, call).await.unwrap().unwrap();
        assert!(output.text().contains("accept"), "{}", output.raw());
        assert_eq!(person.asked(), ["fill a who"]);
        assert_eq!(got(&world, "tasks/update").len(), 2);
        assert_eq!(session.server("a").unwrap().status().epoch, 2);
        session.close().await;
    });
}

#[test]
fn a_server_is_not_idle_while_its_task_is_followed() {
    world::run(async |world| {
        let session = open_spec(&world, spec(&world).stop_when_idle(SHORT).required()).await;
        let interval = u64::try_from(SHORT.as_millis()).unwrap() * 3;
        let call = session.call("a.task", json!({ "interval": interval }));
        let output = timeout(SOON, call).await.unwrap().unwrap();
        assert!(output.text().contains("accept"), "{}", output.raw());
        let server = session.server("a").unwrap();
        assert_eq!(server.status().epoch, 1);
        await_status(&server, SOON, |status| status.phase == Phase::Idle).await;
        session.close().await;
    });
}

#[test]
fn a_task_of_a_server_that_each_call_opens_is_followed_over_its_own_link() {
    world::run(async |world| {
        let session = open_spec(&world, spec(&world).per_call()).await;
        let output = timeout(SOON, session.call("a.task", json!({}))).await.unwrap().unwrap();
        assert!(output.text().contains("accept"), "{}", output.raw());
        assert_eq!(world.processes().len(), 0);
        let detached = session.call("a.task", json!({})).detach().await.unwrap();
        let Detached::Task(task) = detached else { panic!("{detached:?}") };
        let output = timeout(SOON, task.output()).await.unwrap().unwrap();
        assert!(output.text().contains("accept"), "{}", output.raw());
        assert_eq!(world.processes().len(), 0);
        let detached = session.call("a.slow", json!({})).detach().await.unwrap();
        let Detached::Task(task) = detached else { panic!("{detached:?}") };
        task.cancel().await.unwrap();
        let ended = timeout(SOON, task.output()).await.unwrap();
        assert_eq!(ended.unwrap_err().kind(), "cancelled");
        // One that nobody waits for is cancelled over a link of its own.
        let call = session.call("a.slow", json!({}));
        let before = got(&world, "tasks/get").len();
        tokio::select! {
            outcome = call => panic!("{outcome:?}"),
            () = await_got(&world, "tasks/get", before + 1) => {}
        }
        await_got(&world, "tasks/cancel", 2).await;
        session.close().await;
    });
}

#[test]
fn a_task_of_a_server_that_is_asleep_wakes_it() {
    world::run(async |world| {
        let session = open_spec(&world, spec(&world).required()).await;
        let detached = session.call("a.slow", json!({})).detach().await;
        let Ok(Detached::Task(task)) = detached else { panic!("{detached:?}") };
        let id = task.id().to_owned();
        session.close().await;
        let sleepy = spec(&world).lazy().stop_when_idle(SHORT);
        let session = open_spec(&world, sleepy).await;
        let server = session.server("a").unwrap();
        let task = server.task(&id);
        let output = task.output();
        let polled = await_got(&world, "tasks/get", 2);
        tokio::select! {
            outcome = output => panic!("{outcome:?}"),
            () = polled => {}
        }
        await_status(&server, SOON, |status| status.phase == Phase::Idle).await;
        task.cancel().await.unwrap();
        let ended = timeout(SOON, task.output()).await.unwrap();
        assert_eq!(ended.unwrap_err().kind(), "cancelled");
        session.close().await;
    });
}
