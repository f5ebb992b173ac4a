//! A session that goes on with other servers: only what changed is touched.

#[path = "support/world.rs"]
mod world;

use std::time::Duration;

use callboard::{
    ApplyError, Backoff, CallError, CallOptions, DownCause, Event, Phase, RestartPolicy,
    ServerSpec, Session, Status, Stdio, WhenDown,
};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use world::{World, await_status, eventually};

const LONG: Duration = Duration::from_secs(30);

fn quick(world: &World, name: &str) -> ServerSpec {
    spec(name, world.hostile("normal"))
}

fn spec(name: &str, stdio: Stdio) -> ServerSpec {
    let grace = Duration::from_millis(300);
    ServerSpec::new(name, stdio.eof_grace(grace).term_grace(grace))
}

async fn ready(session: &Session, name: &str) -> Status {
    await_status(&session.server(name).unwrap(), LONG, Status::is_ready).await
}

async fn echo(session: &Session, server: &str) -> Result<String, CallError> {
    let output = session.call(format!("{server}.echo"), json!({ "text": "x" })).await?;
    Ok(output.text())
}

#[test]
fn only_what_changed_is_touched() {
    world::run(async |world| {
        let [a, b, c] = ["a", "b", "c"].map(|name| quick(&world, name));
        let session = world.open([a.clone(), b.clone(), c]).await;
        let (before_a, before_b) = (ready(&session, "a").await, ready(&session, "b").await);
        ready(&session, "c").await;
        let gone = session.server("c").unwrap();
        // Over the whole change, a call is in flight on the server that stays.
        let token = CancellationToken::new();
        let sleeping = session.call("a.sleep", json!({ "ms": 60_000 })).cancel_on(token.clone());
        let in_flight = tokio::spawn(sleeping);
        let server_a = session.server("a").unwrap();
        eventually(LONG, "it is in flight", || in_flight_on(&world, "a") == 1).await;

        let changed = quick(&world, "b").prefix("bee");
        let applied = session.apply([a, changed, quick(&world, "d")]).await.unwrap();
        assert_eq!(applied.unchanged, ["a"]);
        assert_eq!(applied.restarted, ["b"]);
        assert_eq!(applied.stopped, ["c"]);
        assert_eq!(applied.started, ["d"]);

        // What is gone is gone by now, and its handle says so.
        assert_eq!(gone.status().phase, Phase::Stopped);
        assert!(session.server("c").is_none());
        assert_eq!(echo(&session, "c").await.unwrap_err().kind(), "unknown_tool");

        let after_b = ready(&session, "b").await;
        ready(&session, "d").await;
        let after_a = server_a.status();
        assert_eq!((after_a.pid, after_a.epoch), (before_a.pid, before_a.epoch));
        assert_ne!(after_b.pid, before_b.pid);
        assert_eq!(after_b.epoch, before_b.epoch + 1, "epochs go on counting");
        assert_eq!(after_b.restarts, 0);
        assert_eq!(echo(&session, "bee").await.unwrap(), "x");
        assert_eq!(echo(&session, "b").await.unwrap_err().kind(), "unknown_tool");
        assert_eq!(echo(&session, "d").await.unwrap(), "x");
        let names: Vec<_> = session.servers().iter().map(|s| s.name().to_owned()).collect();
        assert_eq!(names, ["a", "b", "d"]);
        assert_eq!(world.runtime.leak_report().processes.len(), 3);

        token.cancel();
        assert_eq!(in_flight.await.unwrap().unwrap_err().kind(), "cancelled");
        assert_eq!(server_a.status().pid, before_a.pid);
        session.close().await;
    });
}

fn jealous(world: &World, policy: RestartPolicy) -> ServerSpec {
    spec("a", jealous_server(world)).restart(policy)
}

/// Starts with a lock that two instances cannot both have, and stops only by force.
fn jealous_server(world: &World) -> Stdio {
    const LOCKED: &str = "import fcntl, os, sys
lock = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)
fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
os.set_inheritable(lock, True)
os.execv(sys.executable, [sys.executable] + sys.argv[2:])";
    let server = world::root().join("tests/servers/hostile.py");
    let stdio = world.stdio("python3").args(["-c", LOCKED]).arg(world.folder().join("lock"));
    stdio.arg(server).args(["--mode", "ignore-term"])
}

#[test]
fn what_takes_a_place_starts_when_nothing_is_left_of_what_had_it() {
    world::run(async |world| {
        let never = RestartPolicy::never();
        let session = world.open([jealous(&world, never.clone())]).await;
        let before = ready(&session, "a").await;
        let tool = session.tool("a.echo").unwrap();
        let server = session.server("a").unwrap();
        let in_flight = tokio::spawn(session.call("a.sleep", json!({ "ms": 60_000 })));
        let is_in_flight = || in_flight_on(&world, "a") == 1;
        eventually(LONG, "it is in flight", is_in_flight).await;

        let applied = session.apply([jealous(&world, never).tag("new")]).await.unwrap();
        assert_eq!(applied.restarted, ["a"]);
        let Err(CallError::TransportDown { reason, .. }) = in_flight.await.unwrap() else {
            panic!("it went on");
        };
        assert!(matches!(reason.kind(), DownCause::Restarted), "{reason}");
        // Its tools stay, and wait for it if they are told to.
        assert_eq!(session.tool("a.echo").unwrap().tags(), ["new"]);
        let patient = CallOptions::default().when_down(WhenDown::Wait);
        let waiting = session.tool("a.echo").unwrap().with_options(&patient);
        assert_eq!(waiting.call(json!({ "text": "y" })).await.unwrap().text(), "y");

        // Handles that were had before go on with what has taken the place.
        let after = server.status();
        assert!(after.is_ready() && after.epoch == before.epoch + 1, "{after:?}");
        assert_eq!(tool.call(json!({ "text": "z" })).await.unwrap().text(), "z");
        assert_eq!(server.discover().await.unwrap().len(), session.tools().len());
        session.close().await;
    });
}

/// A call's own process is part of its server.
#[test]
fn what_takes_the_place_of_a_server_per_call_starts_when_its_calls_are_gone() {
    world::run(async |world| {
        let log = world.folder().join("log");
        let declared = |tag: &str| {
            spec("a", jealous_server(&world).arg("--log").arg(&log)).per_call().tag(tag)
        };
        let session = world.open([declared("first")]).await;
        let sent = || world::log(&log).iter().filter(|one| one["method"] == "tools/call").count();
        #[expect(clippy::async_yields_async, reason = "it ends only later")]
        let in_flight = async |before| {
            let call = tokio::spawn(session.call("a.sleep", json!({ "ms": 60_000 })));
            eventually(LONG, "the server has it", || sent() > before).await;
            call
        };
        let lost = in_flight(0).await;
        let applied = session.apply([declared("second")]).await.unwrap();
        assert_eq!(applied.restarted, ["a"]);
        assert_eq!(world.processes().len(), 0, "nothing is left of it");
        let Err(CallError::TransportDown { reason, .. }) = lost.await.unwrap() else {
            panic!("it went on");
        };
        assert!(matches!(reason.kind(), DownCause::Restarted), "{reason}");

        // A call of what takes its place waits for that, too.
        let lost = in_flight(sent()).await;
        let changing = session.clone();
        let third = declared("third");
        let change = tokio::spawn(async move { changing.apply([third]).await });
        let begun = || session.server("a").unwrap().spec() == declared("third");
        eventually(LONG, "the change is made", begun).await;
        assert_eq!(echo(&session, "a").await.unwrap(), "x");
        change.await.unwrap().unwrap();
        assert_eq!(lost.await.unwrap().unwrap_err().kind(), "transport_down");
        session.close().await;
    });
}

fn in_flight_on(world: &World, server: &str) -> usize {
    let snapshot = world.runtime.snapshot();
    let of = snapshot.sessions[0].servers.iter().find(|one| one.name == server);
    of.map_or(0, |server| server.traffic.in_flight)
}

#[test]
fn what_is_taken_out_fails_its_calls_at_once_and_is_gone() {
    world::run(async |world| {
        let mut events = {
            let session = world.open([quick(&world, "a"), quick(&world, "b")]).await;
            let mut events = session.events();
            let tool = session.tool("b.echo").unwrap();
            let server = session.server("b").unwrap();
            let in_flight = tokio::spawn(session.call("b.sleep", json!({ "ms": 60_000 })));
            eventually(LONG, "it is in flight", || in_flight_on(&world, "b") == 1).await;
            let applied = session.apply([quick(&world, "a")]).await.unwrap();
            assert_eq!((applied.stopped.len(), applied.unchanged.len()), (1, 1));
            assert_eq!(world.processes().len(), 1, "nothing is left of it");
            let Err(CallError::TransportDown { reason, .. }) = in_flight.await.unwrap() else {
                panic!("it went on");
            };
            assert!(matches!(reason.kind(), DownCause::Removed), "{reason}");
            assert_eq!(tool.call(()).await.unwrap_err().kind(), "not_ready");
            assert!(server.ready().await.is_err());
            assert!(session.tools().iter().all(|tool| tool.server() == "a"));
            let changed = async {
                while let Some(event) = events.next().await {
                    if matches!(event, Event::Catalog { .. }) {
                        break;
                    }
                }
            };
            tokio::time::timeout(LONG, changed).await.unwrap();
            // With nothing to do, nothing is done.
            assert!(session.apply([quick(&world, "a")]).await.unwrap().is_empty());
            assert_eq!(session.apply([]).await.unwrap().stopped, ["a"]);
            assert!(session.tools().is_empty() && world.processes().is_empty());
            events
        };
        // It closes with its last handle, although it had no server any more.
        let ended = async { while events.next().await.is_some() {} };
        tokio::time::timeout(LONG, ended).await.unwrap();
    });
}

#[test]
fn faulty_declarations_change_nothing_and_a_closed_session_stays_closed() {
    world::run(async |world| {
        let session = world.open([quick(&world, "a")]).await;
        let before = ready(&session, "a").await;
        let faulty =
            [quick(&world, "a").prefix("x"), spec("9", Stdio::new("")), quick(&world, "a")];
        let Err(ApplyError::Spec(faults)) = session.apply(faulty).await else { panic!() };
        assert_eq!(faults.len(), 3, "{faults:?}");
        assert_eq!(ready(&session, "a").await.pid, before.pid);

        // Closed in the middle of it, nothing of either list is left.
        let (changed, ()) = tokio::join!(
            session.apply([quick(&world, "a").prefix("x"), quick(&world, "b")]),
            session.close()
        );
        assert!(matches!(changed, Ok(_) | Err(ApplyError::SessionClosed)), "{changed:?}");
        assert!(world.processes().is_empty());
        assert!(session.servers().iter().all(|one| one.status().phase == Phase::Stopped));
        let late = session.apply([quick(&world, "c")]).await;
        assert!(matches!(late, Err(ApplyError::SessionClosed)), "{late:?}");
    });
}

#[test]
fn whatever_it_stands_in_a_server_can_be_declared_otherwise() {
    world::run(async |world| {
        let missing = || spec("failed", Stdio::new("/no/such/program"));
        let lazy = || quick(&world, "lazy").lazy();
        let per_call = || quick(&world, "per_call").per_call();
        let slow = || {
            let policy =
                RestartPolicy::on_failure().backoff(Backoff::new(LONG, LONG).without_jitter());
            spec("backing_off", world.hostile("exit-at-start")).restart(policy)
        };
        let session = world.open([missing(), lazy(), per_call(), slow()]).await;
        let phase = |name: &str| session.server(name).unwrap().status().phase;
        assert_eq!(phase("failed"), Phase::Failed);
        assert_eq!(phase("backing_off"), Phase::BackingOff);
        assert_eq!(echo(&session, "per_call").await.unwrap(), "x");

        let working = |name: &str| quick(&world, name).tag("changed");
        let applied = session
            .apply([
                working("failed"),
                working("lazy").lazy(),
                working("per_call").per_call(),
                working("backing_off"),
            ])
            .await
            .unwrap();
        assert_eq!(applied.restarted.len(), 4);
        session.settled().await;
        assert_eq!(phase("lazy"), Phase::Idle, "nobody has called it");
        for name in ["failed", "lazy", "per_call", "backing_off"] {
            assert_eq!(echo(&session, name).await.unwrap(), "x", "{name}");
            assert_eq!(session.tool(&format!("{name}.echo")).unwrap().tags(), ["changed"]);
        }
        session.close().await;
    });
}

#[test]
fn calls_go_on_however_often_the_others_change() {
    world::run(async |world| {
        let session = world.open([quick(&world, "a")]).await;
        let stop = CancellationToken::new();
        let (calling, over) = (session.clone(), stop.clone());
        let calls = tokio::spawn(async move {
            let mut count = 0;
            while !over.is_cancelled() {
                assert_eq!(echo(&calling, "a").await.unwrap(), "x");
                count += 1;
            }
            count
        });
        for round in 0..5 {
            let others = (0..3).map(|n| {
                let spec = spec(&format!("b{n}"), world.echo());
                if round % 2 == n % 2 { spec } else { spec.tag(round.to_string()) }
            });
            session.apply(std::iter::once(quick(&world, "a")).chain(others)).await.unwrap();
        }
        // At the same time, one goes after the other.
        let both = tokio::join!(
            session.apply([quick(&world, "a"), spec("c", world.echo())]),
            session.apply([quick(&world, "a"), spec("d", world.echo())])
        );
        assert!(both.0.is_ok() && both.1.is_ok());
        assert_eq!(session.servers().len(), 2);
        session.settled().await;
        stop.cancel();
        assert!(calls.await.unwrap() > 0);
        assert_eq!(world.processes().len(), 2);
        session.close().await;
    });
}

/// Whoever stops waiting for a change leaves it going on, and the next change finds it so.
#[test]
fn a_change_over_a_change_that_nobody_waits_for_leaves_one_instance() {
    world::run(async |world| {
        let jealous = |tag: &str| jealous(&world, RestartPolicy::never()).tag(tag);
        let session = world.open([jealous("first")]).await;
        let server = session.server("a").unwrap();
        let first = ready(&session, "a").await;
        for tag in ["second", "third"] {
            let (changing, spec) = (session.clone(), jealous(tag));
            let change = tokio::spawn(async move { changing.apply([spec]).await });
            let begun = || session.server("a").unwrap().spec() == jealous(tag);
            eventually(LONG, "the change is made", begun).await;
            change.abort();
        }
        let applied = session.apply([jealous("last")]).await.unwrap();
        assert_eq!(applied.restarted, ["a"]);
        let last = ready(&session, "a").await;
        assert!(last.epoch > first.epoch);
        assert_eq!(world.processes().len(), 1);
        assert_eq!(session.tool("a.echo").unwrap().tags(), ["last"]);
        assert!(server.status().is_ready());
        session.close().await;
    });
}

#[test]
fn tools_can_be_left_out_and_cannot_be_called_then() {
    world::run(async |world| {
        let spec = quick(&world, "a").only_tools(["ec*", "add"]).without_tools(["a*"]);
        let session = world.open([spec.clone()]).await;
        let ids = |session: &Session| -> Vec<String> {
            session.tools().iter().map(|tool| tool.id().to_owned()).collect()
        };
        assert_eq!(ids(&session), ["a.echo"]);
        assert_eq!(session.call("a.add", ()).await.unwrap_err().kind(), "unknown_tool");
        session.server("a").unwrap().rediscover().await.unwrap();
        assert_eq!(ids(&session), ["a.echo"]);
        let saved = session.toolset().saved();
        session.close().await;
        let without = spec.without_tools(["echo"]).lazy();
        let session = world.runtime.session("later").server(without).saved_tools(saved);
        assert!(session.open().await.unwrap().tools().is_empty());
    });
}
