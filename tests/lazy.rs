//! Servers that are up only when they are needed: with the first call, for one call, until idle.

#[path = "support/world.rs"]
mod world;

use std::time::Duration;

use callboard::{
    Backoff, CallError, CallOptions, Delivery, Event, Limits, OpenError, Phase, RestartPolicy,
    ServerSpec, Session, SpecError, Status, WhenDown,
};
use rustix::process::Signal;
use serde_json::json;
use tokio::{task::JoinSet, time::Instant};
use world::{World, await_status, eventually};

const LONG: Duration = Duration::from_secs(30);
const SECOND: Duration = Duration::from_secs(1);
const SHORT: Duration = Duration::from_millis(120);

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

async fn open(world: &World, spec: ServerSpec) -> Session {
    world.runtime.session("s").server(spec).open().await.unwrap()
}

fn hostile(world: &World) -> ServerSpec {
    let log = world.folder().join("log");
    ServerSpec::new("a", world.hostile("normal").arg("--log").arg(log))
}

/// How many processes a hostile server was started as.
fn starts(world: &World) -> usize {
    let log = world::log(&world.folder().join("log"));
    log.iter().filter(|event| event["method"] == "tools/list").count()
}

async fn echo(session: &Session) -> String {
    session.call("a.echo", json!({ "text": "x" })).await.unwrap().text()
}

/// FX-01: no process and no socket before the first use.
#[test]
fn a_lazy_server_has_no_process_and_no_descriptor_until_it_is_used() {
    world::run(async |world| {
        let before = descriptors();
        let session = open(&world, hostile(&world).lazy()).await;
        session.settled().await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        let report = world.runtime.leak_report();
        assert_eq!(
            (world.processes().len(), report.processes.len(), report.descriptors),
            (0, 0, 0)
        );
        assert_eq!(descriptors(), before);
        let server = session.server("a").unwrap();
        assert_eq!((server.status().phase, server.status().epoch), (Phase::Idle, 0));
        assert!(session.tools().is_empty());
        assert_eq!(echo(&session).await, "x", "by an id that is in no list yet");
        assert_eq!((server.status().epoch, server.status().restarts), (1, 0));
        assert!(session.tools().get("a.echo").is_some());
        assert_eq!(echo(&session).await, "x");
        assert_eq!(starts(&world), 1);
    });
}

#[test]
fn many_first_calls_start_a_lazy_server_once() {
    world::run(async |world| {
        let session = open(&world, hostile(&world).lazy()).await;
        let mut calls = JoinSet::new();
        for _ in 0..50 {
            calls.spawn(session.call("a.echo", json!({ "text": "x" })));
        }
        while let Some(outcome) = calls.join_next().await {
            assert_eq!(outcome.unwrap().unwrap().text(), "x");
        }
        assert_eq!((starts(&world), session.server("a").unwrap().status().epoch), (1, 1));
    });
}

/// FX-02: connects on first use, and lists.
#[test]
fn discovering_starts_a_lazy_server_and_ready_does_too() {
    world::run(async |world| {
        let session = open(&world, hostile(&world).lazy()).await;
        let server = session.server("a").unwrap();
        let tools = server.discover().await.unwrap();
        assert!(tools.get("a.echo").is_some());
        assert!(server.status().is_ready());
        session.close().await;
        let session = open(&world, hostile(&world).lazy()).await;
        session.server("a").unwrap().ready().await.unwrap();
        assert_eq!(echo(&session).await, "x");
    });
}

#[test]
fn an_id_that_no_sleeping_server_can_have_wakes_none() {
    world::run(async |world| {
        let session = open(&world, hostile(&world).lazy()).await;
        for id in ["b.echo", "ab.echo", "echo"] {
            assert_eq!(session.call(id, ()).await.unwrap_err().kind(), "unknown_tool", "{id}");
        }
        assert_eq!(world.processes().len(), 0);
        let error = session.call("a.ecko", ()).await.unwrap_err();
        let CallError::UnknownTool { nearest, .. } = error else { panic!("{error}") };
        assert_eq!(nearest[0], "a.echo", "once it has listed them");
    });
}

#[test]
fn a_lazy_server_that_cannot_start_fails_its_call_with_the_reason() {
    world::run(async |world| {
        let missing = ServerSpec::new("a", world.stdio("no-such-program")).lazy();
        let dies = ServerSpec::new("b", world.hostile("exit-at-start"))
            .restart(RestartPolicy::never())
            .lazy();
        let builder = world.runtime.session("s").servers([missing, dies]);
        let session = builder.open().await.unwrap();
        for (id, words) in [("a.x", "no-such-program"), ("b.x", "exited with code 7")] {
            let error = session.call(id, ()).await.unwrap_err();
            assert_eq!((error.kind(), error.delivery()), ("not_ready", Delivery::NotSent));
            assert!(error.to_string().contains(words), "{error}");
        }
    });
}

#[test]
fn a_slow_start_is_held_to_the_deadline_of_the_call() {
    world::run(async |world| {
        let spec = ServerSpec::new("a", world.hostile("slow-init").args(["--delay", "20"])).lazy();
        let session = open(&world, spec).await;
        let began = Instant::now();
        let call = session.call("a.echo", ()).total_timeout(Duration::from_millis(300));
        let error = call.await.unwrap_err();
        assert_eq!((error.kind(), error.delivery()), ("not_ready", Delivery::NotSent));
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    });
}

#[test]
fn a_server_that_stops_when_idle_keeps_its_tools_and_comes_back_with_a_call() {
    world::run(async |world| {
        let session = open(&world, hostile(&world).stop_when_idle(SHORT).required()).await;
        let server = session.server("a").unwrap();
        let mut events = session.events();
        for epoch in 1..=3 {
            assert_eq!(echo(&session).await, "x");
            let status = server.status();
            assert_eq!((status.epoch, status.phase), (epoch, Phase::Ready));
            let idle = |status: &Status| status.phase == Phase::Idle;
            let status = await_status(&server, LONG, idle).await;
            assert_eq!((status.restarts, status.last_error.is_none()), (0, true), "{status:?}");
            assert_eq!(world.processes().len(), 0);
            assert!(session.tools().get("a.echo").is_some());
        }
        session.close().await;
        let mut phases = Vec::new();
        while let Some(event) = events.next().await {
            if let Event::Status { status, .. } = event {
                phases.push(status.phase);
            }
        }
        assert!(
            !phases.contains(&Phase::BackingOff) && !phases.contains(&Phase::Failed),
            "{phases:?}"
        );
    });
}

#[test]
fn a_call_in_flight_holds_a_lease() {
    world::run(async |world| {
        let session = open(&world, hostile(&world).stop_when_idle(SHORT).required()).await;
        let call = session.call("a.sleep", json!({ "ms": 1500 }));
        call.await.unwrap();
        assert_eq!(session.server("a").unwrap().status().epoch, 1);
        let idle = |status: &Status| status.phase == Phase::Idle;
        await_status(&session.server("a").unwrap(), LONG, idle).await;
    });
}

/// A call is before the end of an unused link or finds it ended: none is lost in between.
#[test]
fn calls_that_come_while_it_falls_asleep_all_go_through() {
    world::run(async |world| {
        let after = Duration::from_millis(40);
        let spec = ServerSpec::new("a", world.echo()).stop_when_idle(after).required();
        let session = open(&world, spec).await;
        let server = session.server("a").unwrap();
        let began = Instant::now();
        for n in 0.. {
            let mut calls = JoinSet::new();
            for _ in 0..4 {
                calls.spawn(session.call("a.echo", json!({ "text": "x" })));
            }
            while let Some(outcome) = calls.join_next().await {
                outcome.unwrap().unwrap();
            }
            if server.status().epoch > 8 {
                break;
            }
            assert!(began.elapsed() < 2 * LONG, "{:?}", server.status());
            // Around the time after which it ends, from both sides, however slow the machine is.
            tokio::time::sleep(Duration::from_millis(35 + n % 60)).await;
        }
        assert_eq!(server.status().restarts, 0);
    });
}

#[test]
fn a_server_that_sleeps_is_still_restarted_when_it_is_lost() {
    world::run(async |world| {
        let session = open(&world, hostile(&world).lazy().stop_when_idle(LONG)).await;
        echo(&session).await;
        let server = session.server("a").unwrap();
        world::signal(server.status().pid.unwrap(), Signal::KILL);
        await_status(&server, LONG, |status| status.is_ready() && status.epoch == 2).await;
        assert_eq!(server.status().restarts, 1);
    });
}

/// FX-16.
#[test]
fn a_server_that_is_opened_per_call_is_gone_after_each() {
    world::run(async |world| {
        let session = open(&world, hostile(&world).per_call()).await;
        assert_eq!(world.processes().len(), 0);
        let tools = session.server("a").unwrap().discover().await.unwrap();
        assert!(tools.get("a.echo").is_some());
        assert_eq!(world.processes().len(), 0);
        let mut pids = Vec::new();
        for _ in 0..2 {
            let output = session.call("a.inspect", ()).await.unwrap();
            let seen: serde_json::Value = serde_json::from_str(&output.text()).unwrap();
            pids.push(seen["pid"].as_u64().unwrap());
            assert_eq!(world.processes().len(), 0);
        }
        assert_ne!(pids[0], pids[1]);
        let report = world.runtime.leak_report();
        assert_eq!((report.processes.len(), report.descriptors), (0, 0));
        assert_eq!(session.server("a").unwrap().status().phase, Phase::Idle);
    });
}

#[test]
fn calls_of_a_server_that_is_opened_per_call_meet_nobody() {
    world::run(async |world| {
        let session = open(&world, hostile(&world).per_call()).await;
        let crash = session.call("a.crash", ());
        let echo = session.call("a.echo", json!({ "text": "x" }));
        let (crash, echo) = tokio::join!(crash, echo);
        assert_eq!(crash.unwrap_err().kind(), "transport_down");
        assert_eq!(echo.unwrap().text(), "x");
    });
}

#[test]
fn opening_calling_and_closing_have_one_deadline() {
    world::run(async |world| {
        let limit = Duration::from_millis(400);
        let options = CallOptions::default().total_timeout(limit);
        let slow = ServerSpec::new("a", world.hostile("slow-init").args(["--delay", "20"]));
        let hangs = ServerSpec::new("b", world.hostile("hang-call"));
        let specs = [slow, hangs].map(|spec| spec.per_call().call_options(options.clone()));
        let session = world.runtime.session("s").servers(specs).open().await.unwrap();
        let began = Instant::now();
        let error = session.call("a.echo", ()).await.unwrap_err();
        assert_eq!((error.kind(), error.delivery()), ("not_ready", Delivery::NotSent), "{error}");
        let call = session.call("b.echo", ()).total_timeout(Duration::from_secs(2));
        let error = call.await.unwrap_err();
        assert_eq!((error.kind(), error.delivery()), ("timed_out", Delivery::MaybeSent), "{error}");
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        drop(tokio::time::timeout(Duration::from_millis(100), session.call("a.echo", ())).await);
        eventually(LONG, "nothing is left", || world.processes().is_empty()).await;
    });
}

#[test]
fn a_session_that_closes_ends_calls_that_have_a_server_of_their_own() {
    world::run(async |world| {
        let session = open(&world, hostile(&world).per_call()).await;
        let call = tokio::spawn(session.call("a.sleep", json!({ "ms": 600_000 })));
        let sent = || {
            let log = world::log(&world.folder().join("log"));
            log.iter().any(|event| event["method"] == "tools/call")
        };
        eventually(LONG, "it was sent", sent).await;
        session.close().await;
        assert_eq!(world.processes().len(), 0);
        let error = call.await.unwrap().unwrap_err();
        assert_eq!((error.kind(), error.delivery()), ("session_closed", Delivery::MaybeSent));
        assert_eq!(session.call("a.echo", ()).await.unwrap_err().kind(), "session_closed");
    });
}

#[test]
fn a_call_may_wait_for_a_server_that_is_down() {
    world::run(async |world| {
        let slowly = Backoff::new(SECOND, SECOND).without_jitter();
        let spec = hostile(&world).restart(RestartPolicy::on_failure().backoff(slowly));
        let session = world.open([spec]).await;
        let waits = CallOptions::default().when_down(WhenDown::Wait);
        let server = session.server("a").unwrap();
        world::signal(server.status().pid.unwrap(), Signal::KILL);
        await_status(&server, LONG, |status| !status.is_ready()).await;
        let call = session.call("a.echo", json!({ "text": "x" }));
        assert_eq!(call.await.unwrap_err().kind(), "not_ready");
        let call = session.call("a.echo", json!({ "text": "x" })).with_options(&waits);
        assert_eq!(call.await.unwrap().text(), "x");
    });
}

#[test]
fn waiting_ends_with_the_deadline_or_when_the_server_is_given_up() {
    world::run(async |world| {
        let waits = CallOptions::default().when_down(WhenDown::Wait);
        let spec = hostile(&world).restart(RestartPolicy::never()).call_options(waits);
        let stays_down = ServerSpec::new("b", world.stdio("sleep").arg("1000"))
            .call_options(CallOptions::default().when_down(WhenDown::Wait))
            .init_timeout(LONG * 10);
        let session = world.runtime.session("s").servers([spec.required(), stays_down]);
        let session = session.open().await.unwrap();
        let server = session.server("a").unwrap();
        world::signal(server.status().pid.unwrap(), Signal::KILL);
        await_status(&server, LONG, |status| status.phase == Phase::Failed).await;
        let error = session.call("a.echo", ()).await.unwrap_err();
        assert!(error.to_string().contains("signal 9"), "at once: {error}");
        let saved = session.toolset().saved();
        session.close().await;
        let text = serde_json::to_string(&saved).unwrap().replace("\"a", "\"b");
        assert!(serde_json::from_str::<callboard::SavedTools>(&text).is_err(), "another hash");
    });
}

#[test]
fn contradictions_are_refused_before_anything_starts() {
    world::run(async |world| {
        let spec = |name: &str| ServerSpec::new(name, world.echo());
        let open = world.runtime.session("s").servers([
            spec("a").lazy().required(),
            spec("b").per_call().required(),
            spec("c").per_call().stop_when_idle(SHORT),
            spec("d").lazy().stop_when_idle(Duration::ZERO),
        ]);
        let OpenError::Spec(faults) = open.open().await.unwrap_err() else { panic!() };
        let contradictions =
            faults.iter().filter(|one| matches!(one, SpecError::Contradiction { .. }));
        assert_eq!((contradictions.count(), faults.len()), (3, 4), "{faults:?}");
    });
}

#[test]
fn many_first_calls_of_a_server_that_each_opens_list_it_once() {
    world::run(async |world| {
        let limits = Limits::default().with_max_concurrent(2);
        let session = open(&world, hostile(&world).per_call().limits(limits)).await;
        let mut calls = JoinSet::new();
        for _ in 0..8 {
            calls.spawn(session.call("a.echo", json!({ "text": "x" })));
        }
        while let Some(outcome) = calls.join_next().await {
            assert_eq!(outcome.unwrap().unwrap().text(), "x");
        }
        assert_eq!(starts(&world), 9, "one for the list, and one for each call");
    });
}

#[test]
fn first_calls_of_a_server_that_cannot_start_share_its_failure() {
    world::run(async |world| {
        let log = world.folder().join("starts");
        let script = world.stdio("sh").args(["-c", "echo {} >> \"$0\"; exit 7"]).arg(&log);
        let session = open(&world, ServerSpec::new("a", script).per_call()).await;
        let call = || session.call("a.echo", ());
        let outcomes = tokio::join!(call(), call(), call(), call());
        let count = world::log(&log).len();
        for outcome in [outcomes.0, outcomes.1, outcomes.2, outcomes.3] {
            let error = outcome.unwrap_err();
            assert!(error.to_string().contains("exited with code 7"), "{error}");
        }
        // One start, and a second where the first may have ended over the probe.
        assert!(matches!(count, 1 | 2), "{count}");
        call().await.unwrap_err();
        assert!(world::log(&log).len() > count, "a later one tries again");
    });
}

#[test]
fn requests_that_open_their_server_have_the_bound_of_its_calls() {
    world::run(async |world| {
        let limits = Limits::default().with_max_concurrent(1);
        let session = open(&world, hostile(&world).per_call().limits(limits)).await;
        let server = session.server("a").unwrap();
        server.discover().await.unwrap();
        let mut call = session.call("a.sleep", json!({ "ms": 600_000 }));
        let sent = || {
            let log = world::log(&world.folder().join("log"));
            log.iter().any(|event| event["method"] == "tools/call")
        };
        tokio::select! {
            outcome = &mut call => panic!("{outcome:?}"),
            () = eventually(LONG, "it was sent", sent) => {}
        }
        let limit = Duration::from_millis(300);
        let error = server.task("t").state().total_timeout(limit).await.unwrap_err();
        assert_eq!((error.kind(), error.delivery()), ("overloaded", Delivery::NotSent), "{error}");
        assert_eq!(starts(&world), 2);
        drop(call);
        let error = server.task("t").state().await.unwrap_err();
        assert_eq!(error.kind(), "rejected", "{error}");
        assert_eq!(starts(&world), 3);
    });
}
