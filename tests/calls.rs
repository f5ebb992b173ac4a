//! One call, from admission to outcome: what each error says, and what the server is told.

#[path = "support/world.rs"]
mod world;

use std::{path::PathBuf, time::Duration};

use callboard::{
    Arguments, Backoff, Call, CallError, CallLimit, CallOptions, Delivery, Limits, Output, Phase,
    RestartPolicy, ServerSpec, Session, Status,
};
use rustix::process::Signal;
use serde_json::{Value, json, value::RawValue};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use world::{World, await_status, eventually, log};

const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(100);

type Outcome = Result<Output, CallError>;

/// A session over the server that does as it is told, and the file of what it was sent.
async fn puppet(world: &World, limits: Limits) -> (Session, PathBuf) {
    let log = world.folder().join("log");
    let stdio = world.script("puppet.py").arg("--log").arg(&log);
    let session = world.open([ServerSpec::new("a", stdio).limits(limits)]).await;
    session.server("a").unwrap().ready().await.unwrap();
    (session, log)
}

/// A call that is answered once the file of this name is there.
fn wait(world: &World, session: &Session, file: &str) -> Call {
    session.call("a.wait", json!({ "file": world.folder().join(file) }))
}

fn let_go(world: &World, file: &str) {
    std::fs::write(world.folder().join(file), "").unwrap();
}

/// The ids of the calls of `wait` that the server was sent.
fn waiting(path: &std::path::Path) -> Vec<u64> {
    let of_wait = |frame: &&Value| frame["params"]["name"] == "wait";
    log(path).iter().filter(of_wait).map(|frame| frame["id"].as_u64().unwrap()).collect()
}

/// The requests that the server was told to forget.
fn cancelled(path: &std::path::Path) -> Vec<u64> {
    let all = log(path);
    let told = all.iter().filter(|frame| frame["method"] == "notifications/cancelled");
    told.map(|frame| frame["params"]["requestId"].as_u64().unwrap()).collect()
}

async fn say(session: &Session, result: &str) -> Outcome {
    session.call("a.say", json!({ "result": result })).await
}

fn expect(error: &CallError, kind: &str, delivery: Delivery) {
    assert_eq!((error.kind(), error.delivery()), (kind, delivery), "{error}");
}

#[test]
fn a_call_that_is_given_up_is_cancelled_once_and_its_late_answer_ignored() {
    world::run(async |world| {
        let (session, path) = puppet(&world, Limits::default()).await;
        let token = CancellationToken::new();
        let arrived = async |count: usize| {
            eventually(LONG, "the call has arrived", || waiting(&path).len() == count).await;
        };
        tokio::select! {
            _ = wait(&world, &session, "late") => unreachable!(),
            () = arrived(1) => {}
        }
        let explicit = wait(&world, &session, "late").cancel_on(token.clone());
        let cancel = async {
            arrived(2).await;
            token.cancel();
        };
        let (explicit, ()) = tokio::join!(explicit, cancel);
        expect(&explicit.unwrap_err(), "cancelled", Delivery::MaybeSent);
        let idle = wait(&world, &session, "late").idle_timeout(SHORT).await.unwrap_err();
        let total = wait(&world, &session, "late").total_timeout(SHORT).await.unwrap_err();
        for (error, wanted) in [(idle, CallLimit::Idle), (total, CallLimit::Total)] {
            expect(&error, "timed_out", Delivery::MaybeSent);
            let CallError::TimedOut { limit, after, .. } = error else { unreachable!() };
            assert_eq!((limit, after), (wanted, SHORT));
        }
        let_go(&world, "late");
        // The late answers stand before these, and one line after the other is read.
        wait(&world, &session, "late").await.unwrap();
        assert_eq!(say(&session, r#"{"content":[]}"#).await.unwrap().raw(), r#"{"content":[]}"#);
        assert_eq!(waiting(&path).len(), 5);
        assert_eq!(cancelled(&path), waiting(&path)[..4]);
    });
}

#[test]
fn a_call_that_never_left_is_never_cancelled() {
    world::run(async |world| {
        let (session, path) = puppet(&world, Limits::default()).await;
        let token = CancellationToken::new();
        token.cancel();
        let error = wait(&world, &session, "never").cancel_on(token).await.unwrap_err();
        expect(&error, "cancelled", Delivery::NotSent);
        drop(wait(&world, &session, "never"));
        say(&session, "{}").await.unwrap();
        assert_eq!((waiting(&path).len(), cancelled(&path).len()), (0, 0));
    });
}

/// C18: every request has a limit, its own if it is given one.
#[test]
fn limits_of_time_come_from_the_call_or_the_server_or_the_session() {
    world::run(async |world| {
        let options = |ms| CallOptions::default().idle_timeout(Duration::from_millis(ms));
        let own = ServerSpec::new("own", world.script("puppet.py")).call_options(options(20));
        let none = ServerSpec::new("none", world.script("puppet.py"));
        let builder = world.runtime.session("s").call_options(options(30));
        let session = builder.servers([own.required(), none.required()]).open().await.unwrap();
        let wait =
            |server: &str| session.call(format!("{server}.wait"), json!({ "file": "/none" }));
        let calls = [
            (wait("own"), 20),
            (wait("none"), 30),
            (wait("own").idle_timeout(Duration::from_millis(10)), 10),
        ];
        for (call, wanted) in calls {
            let CallError::TimedOut { after, .. } = call.await.unwrap_err() else { panic!() };
            assert_eq!(after, Duration::from_millis(wanted));
        }
    });
}

#[test]
fn calls_above_the_limit_are_refused_and_go_through_again_below_it() {
    world::run(async |world| {
        let (session, path) = puppet(&world, Limits::default().with_max_calls(2)).await;
        let spawn = |_| tokio::spawn(wait(&world, &session, "go"));
        let calls: Vec<JoinHandle<Outcome>> = (0..2).map(spawn).collect();
        eventually(LONG, "both have arrived", || waiting(&path).len() == 2).await;
        let error = say(&session, "{}").await.unwrap_err();
        expect(&error, "overloaded", Delivery::NotSent);
        let message = error.to_string();
        assert!(
            message.contains("2 calls in flight") && message.contains("max_calls"),
            "{message}"
        );
        let_go(&world, "go");
        for call in calls {
            call.await.unwrap().unwrap();
        }
        say(&session, "{}").await.unwrap();
    });
}

#[test]
fn arguments_above_the_limit_of_bytes_are_refused() {
    world::run(async |world| {
        let (session, path) = puppet(&world, Limits::default().with_max_call_bytes(2000)).await;
        let call = tokio::spawn(wait(&world, &session, "go"));
        eventually(LONG, "it has arrived", || waiting(&path).len() == 1).await;
        let large = format!("{{\"text\":\"{}\"}}", "x".repeat(1900));
        let error = say(&session, &large).await.unwrap_err();
        expect(&error, "overloaded", Delivery::NotSent);
        let message = error.to_string();
        assert!(message.contains("2000 bytes") && message.contains("max_call_bytes"), "{message}");
        say(&session, "{}").await.unwrap();
        let_go(&world, "go");
        call.await.unwrap().unwrap();
    });
}

#[test]
fn an_unknown_tool_is_refused_with_the_nearest_names() {
    world::run(async |world| {
        let session = world.open_one(world.hostile("normal")).await;
        for (asked, first) in [("a.ecko", "a.echo"), ("echo", "a.echo"), ("a__add", "a.add")] {
            let error = session.call(asked, ()).await.unwrap_err();
            expect(&error, "unknown_tool", Delivery::NotSent);
            let message = error.to_string();
            let CallError::UnknownTool { nearest, .. } = error else { unreachable!() };
            assert_eq!(nearest.first().map(String::as_str), Some(first), "{asked}");
            assert!(nearest.len() <= 3 && message.contains(first), "{message}");
        }
    });
}

#[test]
fn arguments_that_are_no_object_are_refused_before_they_leave() {
    world::run(async |world| {
        let (session, path) = puppet(&world, Limits::default()).await;
        let raw = RawValue::from_string("[1]".to_owned()).unwrap();
        let odd = [json!([]), json!("x"), json!(null), json!(7), json!(true)];
        let odd = odd.map(Arguments::from).into_iter();
        for arguments in odd.chain([raw.into(), Arguments::of(&f64::NAN), Arguments::of("text")]) {
            let error = session.call("a.wait", arguments).await.unwrap_err();
            expect(&error, "invalid_arguments", Delivery::NotSent);
            assert!(error.to_string().contains("object"), "{error}");
        }
        say(&session, "{}").await.unwrap();
        assert_eq!(waiting(&path).len(), 0);
    });
}

#[test]
fn a_rejection_carries_code_message_and_data() {
    world::run(async |world| {
        let session = world.open_one(world.hostile("normal")).await;
        let error = session.call("a.rpcerror", ()).await.unwrap_err();
        expect(&error, "rejected", Delivery::Answered);
        let CallError::Rejected { code, message, data, server, tool, record } = error else {
            unreachable!()
        };
        assert_eq!((code, message.as_str()), (-32042, "custom error"));
        assert_eq!((server.as_str(), tool.as_str()), ("a", "a.rpcerror"));
        assert_eq!(data.unwrap().get(), r#"{"why":"asked for"}"#);
        assert!(
            record.entries().iter().any(|entry| entry.text.contains("custom error")),
            "{record:?}"
        );
    });
}

#[test]
fn a_tool_is_found_by_the_name_that_a_model_uses() {
    world::run(async |world| {
        let session = world.open_one(world.hostile("normal")).await;
        let tools = session.tools();
        let tool = tools.by_llm_name("a__echo").unwrap();
        assert_eq!((tool.id(), tool.name(), tool.server()), ("a.echo", "echo", "a"));
        assert_eq!(tool.call(json!({ "text": "by name" })).await.unwrap().text(), "by name");
        assert!(tools.by_llm_name("a.echo").is_none());
    });
}

#[test]
fn a_tool_that_two_servers_offer_under_one_id_is_ambiguous() {
    world::run(async |world| {
        let spec = |name| ServerSpec::new(name, world.echo()).prefix("both");
        let session = world.open([spec("a"), spec("b")]).await;
        let error = session.call("both.echo", ()).await.unwrap_err();
        expect(&error, "ambiguous_tool", Delivery::NotSent);
        assert!(error.to_string().contains("a and b"), "{error}");
    });
}

#[test]
fn a_call_while_its_server_is_down_says_why_and_does_not_wait() {
    world::run(async |world| {
        let hour = Duration::from_secs(3600);
        let policy = RestartPolicy::on_failure().backoff(Backoff::new(hour, hour).without_jitter());
        let session = world.open([ServerSpec::new("a", world.echo()).restart(policy)]).await;
        let server = session.server("a").unwrap();
        world::signal(server.status().pid.unwrap(), Signal::KILL);
        await_status(&server, LONG, |status: &Status| status.phase == Phase::BackingOff).await;
        let error = session.call("a.echo", ()).await.unwrap_err();
        expect(&error, "not_ready", Delivery::NotSent);
        let message = error.to_string();
        assert!(message.contains("backing_off") && message.contains("SIGKILL"), "{message}");
    });
}

#[test]
fn a_call_on_a_closed_session_was_not_sent() {
    world::run(async |world| {
        let session = world.open_one(world.echo()).await;
        let tool = session.tool("a.echo").unwrap();
        let declared = session.call("a.echo", ());
        session.close().await;
        for call in [declared, tool.call(()), session.call("a.echo", ()), session.call("none", ())]
        {
            expect(&call.await.unwrap_err(), "session_closed", Delivery::NotSent);
        }
    });
}

#[test]
fn ten_thousand_calls_at_once_are_all_answered_right() {
    world::run(async |world| {
        const SERVERS: usize = 4;
        let limits = Limits::default().with_max_calls(10_000);
        let spec = |n| ServerSpec::new(format!("s{n}"), world.echo()).limits(limits);
        let session = world.open((0..SERVERS).map(spec)).await;
        let mut calls = JoinSet::new();
        for n in 0..10_000 {
            let text = format!("{n}:{}", "x".repeat(n % 300));
            let call = session.call(format!("s{}.echo", n % SERVERS), json!({ "text": text }));
            calls.spawn(async move { assert_eq!(call.await.unwrap().text(), text) });
        }
        assert_eq!(calls.join_all().await.len(), 10_000);
    });
}
