//! A server that fails again and again is left alone for a while; one that is busy is not flooded.

#[path = "support/both.rs"]
mod both;
#[path = "support/person.rs"]
mod person;
#[path = "support/world.rs"]
mod world;

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use callboard::{
    BreakerState, CallError, CallOptions, CircuitBreaker, Delivery, Limits, RateLimit, ServerSpec,
    Session,
};
use person::Person;
use serde_json::json;
use tokio::{sync::Notify, task::JoinSet, time::Instant};
use world::{World, await_status, eventually};

const LONG: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

fn puppet(world: &World) -> ServerSpec {
    let log = world.folder().join("log");
    ServerSpec::new("a", world.script("puppet.py").arg("--log").arg(log)).required()
}

async fn open(world: &World, spec: ServerSpec) -> Session {
    world.runtime.session("s").server(spec).open().await.unwrap()
}

fn calls(world: &World) -> usize {
    let log = world::log(&world.folder().join("log"));
    log.iter().filter(|frame| frame["method"] == "tools/call").count()
}

fn state(session: &Session) -> BreakerState {
    session.server("a").unwrap().status().breaker.unwrap()
}

async fn hang(session: &Session) -> CallError {
    let call = session.call("a.wait", json!({ "file": "/none" }));
    call.idle_timeout(Duration::from_millis(20)).await.unwrap_err()
}

async fn say(session: &Session, result: &str) -> Result<(), CallError> {
    session.call("a.say", json!({ "result": result })).await.map(drop)
}

#[test]
fn a_breaker_opens_tries_and_closes() {
    world::run_on_one_thread(LONG, async |world| {
        let breaker = CircuitBreaker::default().threshold(3);
        let session = open(&world, puppet(&world).circuit_breaker(breaker)).await;
        let server = session.server("a").unwrap();
        assert_eq!(state(&session), BreakerState::Closed);
        for _ in 0..3 {
            assert_eq!(hang(&session).await.kind(), "timed_out");
        }
        let BreakerState::Open { until } = state(&session) else { panic!() };
        let left = until.duration_since(SystemTime::now()).unwrap();
        assert!(left > 55 * SECOND && left <= 60 * SECOND, "{left:?}");
        let sent = || calls(&world) == 3;
        eventually(LONG, "three calls came", sent).await;
        let error = say(&session, "{}").await.unwrap_err();
        assert_eq!((error.kind(), error.delivery()), ("circuit_open", Delivery::NotSent));
        assert!(error.retry_after().unwrap() <= 60 * SECOND);
        let CallError::CircuitOpen { next_try, .. } = error else { unreachable!() };
        assert!(next_try > SystemTime::now());
        assert!(server.status().is_ready(), "an open breaker is no lost server");

        tokio::time::pause();
        tokio::time::advance(61 * SECOND).await;
        tokio::time::resume();
        assert_eq!(hang(&session).await.kind(), "timed_out", "one may try");
        assert!(matches!(state(&session), BreakerState::Open { .. }));
        assert_eq!(say(&session, "{}").await.unwrap_err().kind(), "circuit_open");

        tokio::time::pause();
        tokio::time::advance(61 * SECOND).await;
        tokio::time::resume();
        let file = world.folder().join("go");
        let probe = tokio::spawn(session.call("a.wait", json!({ "file": file })));
        await_status(&server, LONG, |status| status.breaker == Some(BreakerState::HalfOpen)).await;
        assert_eq!(
            say(&session, "{}").await.unwrap_err().kind(),
            "circuit_open",
            "the others wait"
        );
        std::fs::write(world.folder().join("go"), "").unwrap();
        probe.await.unwrap().unwrap();
        assert_eq!(state(&session), BreakerState::Closed);
        say(&session, "{}").await.unwrap();
        eventually(LONG, "nothing else came", || calls(&world) == 6).await;
    });
}

#[test]
fn a_tools_own_failures_and_rejections_do_not_count() {
    world::run(async |world| {
        let breaker = CircuitBreaker::default().threshold(1);
        let spec = ServerSpec::new("a", world.hostile("normal")).circuit_breaker(breaker);
        let session = world.open([spec]).await;
        for _ in 0..3 {
            assert!(session.call("a.fail", ()).await.unwrap().is_error());
            assert_eq!(session.call("a.rpcerror", ()).await.unwrap_err().kind(), "rejected");
        }
        assert_eq!(state(&session), BreakerState::Closed);
        assert_eq!(session.call("a.crash", ()).await.unwrap_err().kind(), "transport_down");
        assert!(matches!(state(&session), BreakerState::Open { .. }));
    });
}

#[test]
fn a_try_that_is_given_up_leaves_the_next_call_to_try() {
    world::run(async |world| {
        let breaker = CircuitBreaker::default().threshold(1).recovery(Duration::from_millis(1));
        let session = open(&world, puppet(&world).circuit_breaker(breaker)).await;
        hang(&session).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
        let given_up = session.call("a.wait", json!({ "file": "/none" }));
        drop(tokio::time::timeout(Duration::from_millis(50), given_up).await);
        say(&session, "{}").await.unwrap();
        assert_eq!(state(&session), BreakerState::Closed);
    });
}

#[test]
fn a_server_that_is_asleep_or_restarted_does_not_trip_its_breaker() {
    world::run(async |world| {
        let breaker = CircuitBreaker::default().threshold(1);
        let session = open(&world, puppet(&world).circuit_breaker(breaker)).await;
        let server = session.server("a").unwrap();
        let call = tokio::spawn(session.call("a.wait", json!({ "file": "/none" })));
        eventually(LONG, "it has arrived", || calls(&world) == 1).await;
        server.restart();
        assert_eq!(call.await.unwrap().unwrap_err().kind(), "transport_down");
        let error = say(&session, "{}").await.err().map(|error| error.kind());
        assert!(matches!(error, None | Some("not_ready")), "{error:?}");
        assert_eq!(state(&session), BreakerState::Closed);
    });
}

/// Who was slow is the person that the server asked.
#[test]
fn a_person_who_thinks_for_too_long_does_not_trip_the_breaker() {
    world::run(async |world| {
        let mut person = Person::new();
        person.thinks = Some(Arc::new(Notify::new()));
        // As long as it takes until somebody is asked.
        for limit in (0..8).map(|n| Duration::from_millis(300 << n)) {
            let breaker = CircuitBreaker::default().threshold(1);
            let spec = ServerSpec::new("a", both::server(&world, "modern")).required();
            let builder = world.runtime.session("s").host(person.clone());
            let session = builder.server(spec.circuit_breaker(breaker)).open().await.unwrap();
            let call = session.call("a.ask", json!({})).total_timeout(limit);
            assert_eq!(call.await.unwrap_err().kind(), "timed_out");
            if !person.asked().is_empty() {
                assert_eq!(state(&session), BreakerState::Closed);
                session.call("a.shout", json!({})).await.unwrap();
                return session.close().await;
            }
            session.close().await;
        }
        panic!("it does not ask");
    });
}

#[test]
fn a_rate_limit_lets_a_burst_through_and_spreads_the_rest() {
    world::run_on_one_thread(LONG, async |world| {
        let limit = RateLimit::new(60, 60 * SECOND).burst(5);
        let session = open(&world, puppet(&world).rate_limit(limit)).await;
        for _ in 0..5 {
            say(&session, "{}").await.unwrap();
        }
        tokio::time::pause();
        let began = Instant::now();
        // What does not come within the deadline fails at once.
        let call = session.call("a.say", json!({ "result": "{}" }));
        let error = call.total_timeout(SECOND / 2).await.unwrap_err();
        assert_eq!((error.kind(), error.delivery()), ("rate_limited", Delivery::NotSent));
        let wait = error.retry_after().unwrap();
        assert!(wait > SECOND / 2 && wait <= SECOND, "{wait:?}");
        assert_eq!(began.elapsed(), Duration::ZERO);
        // A wait that is given up gives its turn back.
        let call = session.call("a.say", json!({ "result": "{}" }));
        assert!(tokio::time::timeout(SECOND / 10, call).await.is_err());
        tokio::time::resume();
        let began = Instant::now();
        say(&session, "{}").await.unwrap();
        say(&session, "{}").await.unwrap();
        let took = began.elapsed();
        assert!(took > SECOND && took < 3 * SECOND, "{took:?}");
    });
}

fn let_go(folder: &Path, file: &str) {
    std::fs::write(folder.join(file), "").unwrap();
}

#[test]
fn more_calls_than_the_server_is_sent_at_once_wait_for_their_turn() {
    world::run(async |world| {
        let limits = Limits::default().with_max_concurrent(2);
        let session = open(&world, puppet(&world).limits(limits)).await;
        let mut waiting = JoinSet::new();
        for _ in 0..6 {
            let file = world.folder().join("go");
            waiting.spawn(session.call("a.wait", json!({ "file": file })));
        }
        eventually(LONG, "two have arrived", || calls(&world) == 2).await;
        let call = session.call("a.say", json!({ "result": "{}" }));
        let error = call.total_timeout(Duration::from_millis(100)).await.unwrap_err();
        assert_eq!((error.kind(), error.delivery()), ("overloaded", Delivery::NotSent));
        assert!(error.to_string().contains("max_concurrent"), "{error}");
        assert_eq!(calls(&world), 2);
        let_go(world.folder(), "go");
        while let Some(outcome) = waiting.join_next().await {
            outcome.unwrap().unwrap();
        }
        assert_eq!(calls(&world), 6);
    });
}

#[test]
fn nothing_of_this_is_on_unless_it_is_asked_for() {
    world::run(async |world| {
        let session = open(&world, puppet(&world)).await;
        assert_eq!(session.server("a").unwrap().status().breaker, None);
        let options = CallOptions::default();
        assert_eq!(session.tool("a.say").unwrap().options(), &options);
        for _ in 0..10 {
            hang(&session).await;
        }
        say(&session, "{}").await.unwrap();
    });
}
