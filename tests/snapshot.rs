//! What a runtime looks like from outside: its snapshot.

#[path = "support/world.rs"]
mod world;

use std::{
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use callboard::{
    Alarm, Alert, Backoff, BreakerState, CircuitBreaker, Limits, Phase, RestartPolicy, Runtime,
    Secret, ServerSnapshot, ServerSpec, Session, Snapshot, TransportKind,
};
use rustix::process::Signal;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use world::{World, await_status, eventually, run};

const LONG: Duration = Duration::from_secs(30);

fn quick() -> RestartPolicy {
    let backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(1));
    RestartPolicy::on_failure().backoff(backoff)
}

async fn puppet(world: &World) -> Session {
    world.open([ServerSpec::new("a", world.script("puppet.py")).restart(quick())]).await
}

/// The only server of the only session.
fn only(runtime: &Runtime) -> ServerSnapshot {
    let snapshot = runtime.snapshot();
    let [session] = &snapshot.sessions[..] else { panic!("{snapshot:?}") };
    let [server] = &session.servers[..] else { panic!("{session:?}") };
    server.clone()
}

#[test]
fn a_snapshot_shows_where_each_server_of_each_session_stands() {
    run(async |world| {
        assert_eq!(world.runtime.snapshot().sessions, []);
        let gone = ServerSpec::new("gone", world.stdio("/no/such/program"));
        let up = ServerSpec::new("up", world.echo()).circuit_breaker(CircuitBreaker::default());
        let session = world.open([up, gone.restart(RestartPolicy::never())]).await;
        let snapshot = world.runtime.snapshot();
        let [shown] = &snapshot.sessions[..] else { panic!("{snapshot:?}") };
        assert_eq!((shown.id.as_str(), shown.closing), ("test", false));
        let [up, gone] = &shown.servers[..] else { panic!("{shown:?}") };
        let status = session.server("up").unwrap().status();
        assert_eq!((up.name.as_str(), up.phase, up.since), ("up", Phase::Ready, status.since));
        assert_eq!((up.pid, up.epoch, up.restarts), (status.pid, 1, 0));
        assert_eq!(up.transport, Some(TransportKind::Stdio));
        assert_eq!(up.protocol_version, status.protocol_version);
        assert_eq!((up.breaker, gone.breaker), (Some(BreakerState::Closed), None));
        assert!(up.traffic.bytes_sent > 100 && up.traffic.bytes_received > 100, "{up:?}");
        assert_eq!((gone.phase, gone.pid), (Phase::Failed, None));
        assert!(gone.last_error.as_ref().unwrap().contains("/no/such/program"), "{gone:?}");
        let second = world.runtime.session("second").open().await.unwrap();
        let ids: Vec<_> = world.runtime.snapshot().sessions.into_iter().map(|one| one.id).collect();
        assert_eq!(ids, ["test", "second"]);
        second.close().await;
        session.close().await;
        let after = world.runtime.snapshot();
        assert_eq!((after.sessions.len(), after.leaked_processes), (0, 0));
    });
}

#[test]
fn the_last_words_of_a_server_are_in_its_snapshot_without_secrets() {
    run(async |world| {
        let planted = format!("planted-{:032x}", fastrand::u128(..));
        let file = world.folder().join("secret");
        std::fs::write(&file, &planted).unwrap();
        let says = "for n in $(seq 300); do echo line $n >&2; done; echo $TOKEN >&2; read line";
        let stdio = world.stdio("sh").args(["-c", says]).env_from("TOKEN", Secret::file(&file));
        let silent = ServerSpec::new("silent", world.echo());
        let spec = ServerSpec::new("a", stdio).restart(RestartPolicy::never());
        let session = world.open([spec, silent]).await;
        let snapshot = || world.runtime.snapshot().sessions.remove(0).servers;
        let complete =
            || snapshot()[0].stderr_tail.last().is_some_and(|last| !last.contains("line"));
        eventually(LONG, "its last words are here", complete).await;
        let servers = snapshot();
        let [a, silent] = &servers[..] else { panic!("{servers:?}") };
        assert_eq!((&*a.name, a.phase), ("a", Phase::Failed));
        let [before @ .., last] = &a.stderr_tail[..] else { panic!("{a:?}") };
        assert!(last.contains("[redacted]"), "{last}");
        assert_eq!(before.len(), 199, "of 301 lines");
        assert_eq!((&*before[0], &*before[198]), ("line 102", "line 300"));
        assert_eq!(silent.stderr_tail, [""; 0]);
        assert_eq!(a.stderr_tail, session.server("a").unwrap().stderr_tail());
        let written = world.runtime.snapshot().to_json();
        let lines = &written["sessions"][0]["servers"][0]["stderr_tail"];
        assert_eq!(lines, &json!(a.stderr_tail));
        assert!(!written.to_string().contains(&planted[..16]), "{written}");
        session.close().await;
    });
}

#[test]
fn calls_are_counted_by_tool_and_by_how_they_ended() {
    run(async |world| {
        let session = puppet(&world).await;
        for _ in 0..3 {
            session.call("a.say", json!({ "result": "{}" })).await.unwrap();
        }
        let failed = r#"{"content":[],"isError" : true}"#;
        session.call("a.say", json!({ "result": failed })).await.unwrap();
        // In a text it is no word of the server.
        let quoted = r#"{"content":[{"type":"text","text":"{\"isError\":true}"}],"isError":false}"#;
        session.call("a.say", json!({ "result": quoted })).await.unwrap();
        session.call("a.say", json!({ "result": "5" })).await.unwrap_err();
        let token = CancellationToken::new();
        let waits = session.call("a.wait", json!({ "file": "/no/such/file" }));
        let waits = tokio::spawn(waits.cancel_on(token.clone()));
        eventually(LONG, "it waits", || only(&world.runtime).traffic.in_flight == 1).await;
        assert!(only(&world.runtime).traffic.bytes_in_flight > 50);
        token.cancel();
        assert_eq!(waits.await.unwrap().unwrap_err().kind(), "cancelled");
        session.call("a.nothing", json!({})).await.unwrap_err();
        drop(session.call("a.say", json!({})));

        let server = only(&world.runtime);
        let [say, wait] = &server.tools[..] else { panic!("{:?}", server.tools) };
        assert_eq!((say.name.as_str(), wait.name.as_str()), ("say", "wait"));
        let calls = say.usage.calls;
        assert_eq!((calls.started, calls.finished, calls.tool_errors), (6, 5, 1));
        assert_eq!((calls.failed, calls.cancelled, calls.running()), (1, 0, 0));
        assert_eq!((wait.usage.calls.started, wait.usage.calls.cancelled), (1, 1));
        assert!((say.usage.error_rate - 2.0 / 6.0).abs() < 1e-9, "{say:?}");
        assert_eq!((say.usage.calls_per_minute, wait.usage.calls_per_minute), (6.0, 0.0));
        assert_eq!((server.usage.calls.started, server.usage.calls_per_minute), (7, 6.0));
        let all = world.runtime.snapshot();
        assert_eq!((all.sessions[0].calls.started, all.sessions[0].calls.failed), (8, 2));
        assert_eq!(all.calls, all.sessions[0].calls);
        session.close().await;
        let after = world.runtime.snapshot();
        assert_eq!(after.calls, all.calls, "what a session did outlives it");
    });
}

#[test]
fn latencies_are_those_of_the_calls() {
    run(async |world| {
        let session = puppet(&world).await;
        for ms in [1, 1, 1, 100] {
            session.call("a.progress", json!({ "times": 1, "ms": ms })).await.unwrap();
        }
        let latency = only(&world.runtime).usage.latency;
        assert!(latency.p50 >= Duration::from_millis(1), "{latency:?}");
        assert!(latency.p50 <= latency.p90 && latency.p90 <= latency.p99, "{latency:?}");
        assert!(latency.p99 >= Duration::from_millis(96), "{latency:?}");
        assert!(latency.max >= Duration::from_millis(96) && latency.max < LONG, "{latency:?}");
        assert_eq!(only(&world.runtime).tools[0].usage.latency, latency);
        session.close().await;
    });
}

#[test]
fn a_loss_and_a_restart_are_seen() {
    run(async |world| {
        let session = puppet(&world).await;
        let waits = tokio::spawn(session.call("a.wait", json!({ "file": "/no/such/file" })));
        eventually(LONG, "it waits", || only(&world.runtime).traffic.in_flight == 1).await;
        let first = only(&world.runtime);
        world::signal(first.pid.unwrap(), Signal::KILL);
        assert_eq!(waits.await.unwrap().unwrap_err().kind(), "transport_down");
        let server = session.server("a").unwrap();
        await_status(&server, LONG, |status| status.is_ready() && status.epoch == 2).await;
        let second = only(&world.runtime);
        assert_eq!((second.epoch, second.restarts, second.traffic.in_flight), (2, 1, 0));
        assert_ne!(second.pid, first.pid);
        assert!(second.last_error.unwrap().contains("signal 9"));
        assert_eq!((second.usage.calls.failed, second.usage.calls.running()), (1, 0));
        session.close().await;
    });
}

#[test]
fn a_call_that_waits_for_its_place_is_queued_and_not_in_flight() {
    run(async |world| {
        let limits = Limits::default().with_max_concurrent(1);
        let spec = ServerSpec::new("a", world.script("puppet.py")).limits(limits);
        let session = world.open([spec]).await;
        let file = world.folder().join("go");
        let wait = || tokio::spawn(session.call("a.wait", json!({ "file": file })));
        let both = [wait(), wait()];
        eventually(LONG, "one waits for the other", || {
            let traffic = only(&world.runtime).traffic;
            (traffic.in_flight, traffic.queued) == (1, 1)
        })
        .await;
        assert_eq!(only(&world.runtime).usage.calls.running(), 2);
        std::fs::write(&file, "").unwrap();
        for call in both {
            call.await.unwrap().unwrap();
        }
        let after = only(&world.runtime);
        assert_eq!((after.traffic.in_flight, after.traffic.queued), (0, 0));
        assert_eq!(after.usage.calls.finished, 2);
        session.close().await;
    });
}

#[test]
fn the_first_call_of_a_server_that_sleeps_is_counted_as_one_of_its_tool() {
    run(async |world| {
        let spec = ServerSpec::new("a", world.script("puppet.py")).lazy();
        let session = world.runtime.session("test").server(spec).open().await.unwrap();
        session.call("a.say", json!({ "result": "{}" })).await.unwrap();
        let server = only(&world.runtime);
        assert_eq!(server.tools[0].usage.calls.finished, 1, "{server:?}");
        let all = world.runtime.snapshot().calls;
        assert_eq!((all.started, all.finished), (1, 1));
        session.close().await;
    });
}

#[test]
fn a_snapshot_is_json_and_comes_back_as_it_was() {
    run(async |world| {
        let up = ServerSpec::new("a", world.echo()).circuit_breaker(CircuitBreaker::default());
        let session = world.open([up]).await;
        session.call("a.echo", json!({ "text": "x" })).await.unwrap();
        let snapshot = world.runtime.snapshot();
        let written = snapshot.to_json();
        let server = &written["sessions"][0]["servers"][0];
        assert_eq!((&server["phase"], &server["transport"]), (&json!("ready"), &json!("stdio")));
        assert_eq!(server["breaker"], json!({ "state": "closed" }));
        assert!(server["usage"]["latency"]["p99"].as_f64().unwrap() > 0.0, "{server}");
        assert!(written["taken_at"].as_u64().unwrap() > 1_700_000_000_000);
        let read: Snapshot = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(read.to_json(), written);
        assert_eq!(read.sessions[0].servers[0].usage.calls, snapshot.calls);
        session.close().await;
    });
}

/// No mailbox, no task, no async runtime: it is there at once, whatever else goes on.
#[test]
fn a_snapshot_can_be_taken_outside_of_the_async_runtime() {
    run(async |world| {
        let session = puppet(&world).await;
        let runtime = world.runtime.clone();
        let taken = std::thread::spawn(move || runtime.snapshot()).join().unwrap();
        assert_eq!(taken.sessions[0].servers[0].phase, Phase::Ready);
        let _world: Arc<World> = world;
        session.close().await;
    });
}

/// What an alert tells, as it comes.
fn told(
    runtime: &Runtime,
    condition: impl Fn(&ServerSnapshot) -> bool + Send + 'static,
) -> (Alert, mpsc::Receiver<(String, bool)>) {
    let (tell, told) = mpsc::channel(16);
    let alert = runtime.alert("watch", condition, move |alarm: Alarm| {
        let server = format!("{} {}/{}", alarm.alert, alarm.session, alarm.server.name);
        tell.try_send((server, alarm.raised)).unwrap();
    });
    (alert, told)
}

async fn next(told: &mut mpsc::Receiver<(String, bool)>) -> (String, bool) {
    tokio::time::timeout(LONG, told.recv()).await.expect("nothing is told").unwrap()
}

#[test]
fn an_alert_tells_once_that_it_holds_and_once_that_it_does_not() {
    run(async |world| {
        let down = |server: &ServerSnapshot| server.phase == Phase::Failed;
        let (alert, mut alarms) = told(&world.runtime, down);
        assert_eq!(alert.name(), "watch");
        let never = RestartPolicy::never();
        let spec = ServerSpec::new("a", world.script("puppet.py")).restart(never);
        let session = world.open([spec, ServerSpec::new("b", world.echo())]).await;
        let server = session.server("a").unwrap();
        for _ in 0..2 {
            world::signal(server.status().pid.unwrap(), Signal::KILL);
            assert_eq!(next(&mut alarms).await, ("watch test/a".to_owned(), true));
            server.restart();
            assert_eq!(next(&mut alarms).await, ("watch test/a".to_owned(), false));
            server.ready().await.unwrap();
        }
        world::signal(server.status().pid.unwrap(), Signal::KILL);
        assert!(next(&mut alarms).await.1);
        // Of what is gone, nothing holds any more.
        session.close().await;
        assert_eq!(next(&mut alarms).await, ("watch test/a".to_owned(), false));
        drop(alert);
        assert!(tokio::time::timeout(LONG, alarms.recv()).await.unwrap().is_none());
    });
}

/// Nothing changes but counts: they are looked at from time to time.
#[test]
fn an_alert_can_watch_how_calls_fare() {
    run(async |world| {
        let fails = |server: &ServerSnapshot| server.usage.error_rate > 0.4;
        let (alert, mut alarms) = told(&world.runtime, fails);
        let session = puppet(&world).await;
        session.call("a.say", json!({ "result": "{}" })).await.unwrap();
        session.call("a.say", json!({ "result": "5" })).await.unwrap_err();
        assert!(next(&mut alarms).await.1);
        alert.keep();
        session.close().await;
        assert!(!next(&mut alarms).await.1);
    });
}

#[test]
fn an_alert_that_panics_or_blocks_holds_up_nobody() {
    run(async |world| {
        let panics = world.runtime.alert("panics", |_| panic!("by its condition"), |_| {});
        let callback = |_: Alarm| panic!("by its callback");
        let also = world.runtime.alert("also", |server| server.pid.is_some(), callback);
        let (blocked, released) = (Arc::new(AtomicBool::new(false)), Arc::new(Barrier::new(2)));
        let (blocks, release) = (Arc::clone(&blocked), Arc::clone(&released));
        let blocking = world.runtime.alert(
            "blocks",
            |server| server.pid.is_some(),
            move |alarm| {
                if alarm.raised {
                    blocks.store(true, Ordering::SeqCst);
                    release.wait();
                }
            },
        );
        let session = puppet(&world).await;
        eventually(LONG, "it blocks", || blocked.load(Ordering::SeqCst)).await;
        session.call("a.say", json!({ "result": "{}" })).await.unwrap();
        let (alert, mut alarms) = told(&world.runtime, |server| server.pid.is_some());
        assert!(next(&mut alarms).await.1);
        tokio::task::spawn_blocking(move || released.wait()).await.unwrap();
        session.close().await;
        drop((panics, also, blocking, alert));
    });
}
