//! Budgets of runtimes and sessions: what is over one waits, or is told so; processes do not storm.

#[path = "support/world.rs"]
mod world;

use std::time::Duration;

use callboard::{
    Backoff, Budget, BudgetItem, CallError, CallOptions, ConnectError, Delivery, DownCause,
    LimitOf, Limits, OverBudget, Phase, RestartPolicy, Runtime, RuntimeBuilder, ServerError,
    ServerSpec, Session, Status, WhenDown,
};
use serde_json::json;
use tokio::time::Instant;
use world::{World, await_status, eventually};

const LONG: Duration = Duration::from_secs(60);
const MIB: u64 = 1 << 20;

async fn within(world: &World, builder: RuntimeBuilder) -> World {
    World::within(world, builder.start().await)
}

/// What a status says of a budget.
fn over(status: &Status) -> Option<OverBudget> {
    match &status.last_error {
        Some(ServerError::Connect(error)) => match **error {
            ConnectError::OverBudget(over) => Some(over),
            _ => None,
        },
        _ => None,
    }
}

#[test]
fn a_server_waits_until_there_is_room_for_its_process() {
    world::run(async |world| {
        let budget = Budget::unlimited().processes(2);
        let inner = within(&world, Runtime::builder().budget(budget)).await;
        let [a, b] = [inner.open_one(inner.echo()).await, inner.open_one(inner.echo()).await];
        let spec = ServerSpec::new("a", inner.echo());
        let waiting = inner.runtime.session("c").server(spec).open().await.unwrap();
        b.call("a.echo", ()).await.unwrap();
        assert_eq!(world.processes().len(), 2, "the third waits");
        a.close().await;
        let server = waiting.server("a").unwrap();
        await_status(&server, LONG, Status::is_ready).await;
        assert_eq!(world.processes().len(), 2);
        // A restart takes the place that it gives back.
        server.restart();
        await_status(&server, LONG, |status| status.is_ready() && status.epoch == 2).await;
        inner.runtime.shutdown().await;
    });
}

#[test]
fn a_server_that_finds_no_room_in_time_says_whose_budget_it_is() {
    world::run(async |world| {
        let runtime = Runtime::builder().budget(Budget::unlimited().processes(3));
        let inner = within(&world, runtime).await;
        let quick = |name| {
            ServerSpec::new(name, inner.echo())
                .init_timeout(Duration::from_secs(4))
                .restart(RestartPolicy::never())
        };
        let builder = inner.runtime.session("s").budget(Budget::unlimited().processes(1));
        let session = builder.servers([quick("a"), quick("b")]).open().await.unwrap();
        session.settled().await;
        let servers = ["a", "b"].map(|name| session.server(name).unwrap().status());
        let [ready] = servers.iter().filter(|status| status.is_ready()).collect::<Vec<_>>()[..]
        else {
            panic!("{servers:?}")
        };
        assert!(over(ready).is_none());
        let refused = servers.iter().find_map(over).unwrap();
        assert_eq!(refused.of, LimitOf::Session);
        assert_eq!((refused.item, refused.limit), (BudgetItem::Processes, 1));
        let text = refused.to_string();
        assert!(text.contains("budget of the session of 1 processes"), "{text}");
        inner.runtime.shutdown().await;
    });
}

#[test]
fn servers_that_die_at_once_do_not_storm() {
    world::run(async |world| {
        // All that a restart policy could do to bound them is turned off.
        let wild = RestartPolicy::always()
            .max_restarts(u32::MAX, Duration::from_secs(60))
            .backoff(Backoff::new(Duration::ZERO, Duration::ZERO));
        let (log, began) = (world.folder().join("starts"), Instant::now());
        let spec = |n: u32| {
            let script = format!("echo >>{}; exit 1", log.display());
            let stdio = world.stdio("sh").args(["-c", &script]);
            ServerSpec::new(format!("s{n}"), stdio)
                .restart(wild.clone())
                .init_timeout(Duration::from_millis(300))
        };
        let runtime = Runtime::builder().budget(Budget::unlimited().starts_per_minute(12));
        let inner = within(&world, runtime).await;
        let session = inner.runtime.session("s").servers((0..4).map(spec)).open().await.unwrap();
        let starts =
            || std::fs::read_to_string(&log).map(|text| text.lines().count()).unwrap_or_default();
        eventually(LONG, "the budget is spent", || starts() >= 12).await;
        // From here on each attempt is told that there is no room; none starts a process.
        for n in 0..4 {
            let server = session.server(&format!("s{n}")).unwrap();
            let told = await_status(&server, LONG, |status| over(status).is_some()).await;
            let again = await_status(&server, LONG, |status| status.epoch > told.epoch + 2).await;
            let over = over(&again).unwrap();
            assert_eq!((over.of, over.item), (LimitOf::Runtime, BudgetItem::StartsPerMinute));
        }
        let minutes = began.elapsed().as_secs() / 60;
        assert!(starts() as u64 <= 12 * (1 + minutes), "{}", starts());
        inner.runtime.shutdown().await;
    });
}

/// A runtime, in which what its calls may take is bounded by one of the two budgets.
async fn bounded(world: &World, of: LimitOf, budget: Budget) -> (World, Session) {
    let mine = |whose| if whose == of { budget } else { Budget::unlimited() };
    let builder = Runtime::builder().budget(mine(LimitOf::Runtime));
    let inner = within(world, builder).await;
    let session = inner.runtime.session("s").budget(mine(LimitOf::Session));
    let hour = Duration::from_secs(3600);
    let restart = RestartPolicy::on_failure().backoff(Backoff::new(hour, hour));
    let spec = |name| ServerSpec::new(name, inner.script("puppet.py")).restart(restart.clone());
    let specs = ["a", "b"].map(spec);
    let session = session.servers(specs).open().await.unwrap();
    session.settled().await;
    (inner, session)
}

fn in_flight(runtime: &Runtime) -> usize {
    let snapshot = runtime.snapshot();
    let servers = snapshot.sessions.iter().flat_map(|session| &session.servers);
    servers.map(|server| server.traffic.in_flight).sum()
}

/// Whose budget a call found no room in.
fn refused(error: &CallError) -> (&str, LimitOf, BudgetItem, u64) {
    let CallError::OverBudget { server, over } = error else { panic!("{error}") };
    assert_eq!((error.kind(), error.delivery()), ("over_budget", Delivery::NotSent));
    (server, over.of, over.item, over.limit)
}

#[test]
fn a_call_waits_for_room_and_is_told_if_there_is_none_in_time() {
    world::run(async |world| {
        for of in [LimitOf::Session, LimitOf::Runtime] {
            let budget = Budget::unlimited().calls(2).bytes(1000);
            let (inner, session) = bounded(&world, of, budget).await;
            let gate = world.folder().join(format!("gate {of:?}"));
            let waits = json!({ "file": gate });
            let call = |id: &str| tokio::spawn(session.call(id, waits.clone()));
            let held = [call("a.wait"), call("b.wait")];
            eventually(LONG, "both are on their way", || in_flight(&inner.runtime) == 2).await;
            // The budget of the runtime is that of all its sessions together.
            let other = inner.runtime.session("other");
            let other = other.server(ServerSpec::new("a", inner.script("puppet.py")));
            let other = other.open().await.unwrap();
            other.settled().await;
            let short = CallOptions::default().total_timeout(Duration::from_millis(100));
            let third = session.call("a.say", json!({})).with_options(&short).await.unwrap_err();
            assert_eq!(refused(&third), ("a", of, BudgetItem::Calls, 2));
            let elsewhere = other.call("a.say", json!({ "result": "{}" }));
            if of == LimitOf::Runtime {
                let fourth = elsewhere.with_options(&short).await.unwrap_err();
                assert_eq!(refused(&fourth), ("a", of, BudgetItem::Calls, 2));
            } else {
                elsewhere.await.unwrap();
            }
            // One that has the time is sent when there is room.
            let fifth = session.call("a.say", json!({ "result": "{\"content\":[]}" }));
            let fifth = tokio::spawn(fifth);
            std::fs::write(&gate, "").unwrap();
            fifth.await.unwrap().unwrap();
            for held in held {
                held.await.unwrap().unwrap();
            }
            // What can never fit is told so at once.
            let large = session.call("a.say", json!({ "result": "x".repeat(2000) }));
            let large = tokio::time::timeout(LONG, large).await.expect("it waits").unwrap_err();
            assert_eq!(refused(&large), ("a", of, BudgetItem::Bytes, 1000));
            inner.runtime.shutdown().await;
        }
    });
}

#[test]
fn a_call_that_waits_for_its_server_takes_no_room_from_others() {
    world::run(async |world| {
        let budget = Budget::unlimited().calls(1);
        let (inner, session) = bounded(&world, LimitOf::Session, budget).await;
        let a = session.server("a").unwrap();
        // It is started again, but not for a long time.
        world::signal(a.status().pid.unwrap(), rustix::process::Signal::KILL);
        await_status(&a, LONG, |status| status.phase == Phase::BackingOff).await;
        let waits = CallOptions::default().when_down(WhenDown::Wait);
        let say = |id: &str| session.call(id, json!({ "result": "{}" })).with_options(&waits);
        let waiting = tokio::spawn(say("a.say"));
        let queued = || inner.runtime.snapshot().sessions[0].servers[0].traffic.queued == 1;
        eventually(LONG, "the first waits", queued).await;
        tokio::time::timeout(LONG, say("b.say")).await.expect("there is room").unwrap();
        a.restart();
        waiting.await.unwrap().unwrap();
        inner.runtime.shutdown().await;
    });
}

#[test]
fn the_bytes_of_calls_that_are_on_their_way_are_counted_together() {
    world::run(async |world| {
        for of in [LimitOf::Session, LimitOf::Runtime] {
            let (inner, session) = bounded(&world, of, Budget::unlimited().bytes(4000)).await;
            let gate = world.folder().join(format!("gate {of:?}"));
            let waits = json!({ "file": gate, "padding": "x".repeat(3000) });
            let held = tokio::spawn(session.call("a.wait", waits));
            eventually(LONG, "it is on its way", || in_flight(&inner.runtime) == 1).await;
            let short = CallOptions::default().total_timeout(Duration::from_millis(100));
            let result = format!("{{\"content\":[],\"_meta\":{{\"x\":\"{}\"}}}}", "x".repeat(2000));
            let say = || session.call("b.say", json!({ "result": result }));
            let second = say().with_options(&short).await.unwrap_err();
            assert_eq!(refused(&second), ("b", of, BudgetItem::Bytes, 4000));
            // A small one still fits beside it.
            session.call("b.say", json!({ "result": "{}" })).await.unwrap();
            let waiting = tokio::spawn(say().into_future());
            std::fs::write(&gate, "").unwrap();
            held.await.unwrap().unwrap();
            waiting.await.unwrap().unwrap();
            inner.runtime.shutdown().await;
        }
    });
}

/// A server that has grown too large, and another that has not.
async fn hogs(inner: &World, limits: Limits, budget: Budget) {
    let hog = ServerSpec::new("hog", inner.hostile("memory-hog")).limits(limits);
    let specs = [hog, ServerSpec::new("small", inner.script("puppet.py"))];
    let session = inner.runtime.session("s").budget(budget).servers(specs).open().await.unwrap();
    session.settled().await;
    let (hog, small) = (session.server("hog").unwrap(), session.server("small").unwrap());
    // Each request makes it 20 MB larger.
    let down = loop {
        if let Err(error) = session.call("hog.echo", json!({ "text": "x" })).await {
            break error;
        }
    };
    assert!(matches!(down.kind(), "not_ready" | "transport_down"), "{down}");
    let status = await_status(&hog, LONG, |status| status.last_error.is_some()).await;
    let Some(ServerError::Down(reason)) = &status.last_error else { panic!("{status:?}") };
    let DownCause::Memory { resident, limit, .. } = *reason.kind() else { panic!("{reason}") };
    assert!(resident > limit && limit == 150 * MIB, "{reason}");
    assert!(reason.to_string().starts_with("memory: "), "{reason}");
    assert_eq!(reason.kind().as_str(), "memory");
    let status = await_status(&hog, LONG, Status::is_ready).await;
    assert_eq!(status.restarts, 1);
    assert_eq!(small.status().epoch, 1, "it is not the one");
    session.close().await;
}

#[test]
fn a_server_above_its_memory_is_restarted() {
    world::run(async |world| {
        let sampled = Runtime::builder().memory_sampled_every(Duration::from_millis(20));
        let inner = within(&world, sampled).await;
        let limits = Limits::default().with_max_memory(150 * MIB);
        hogs(&inner, limits, Budget::unlimited()).await;
        inner.runtime.shutdown().await;
    });
}

#[test]
fn the_largest_server_is_restarted_where_all_are_above_their_memory() {
    world::run(async |world| {
        let sampled = || Runtime::builder().memory_sampled_every(Duration::from_millis(20));
        let budget = Budget::unlimited().memory(150 * MIB);
        let inner = within(&world, sampled()).await;
        hogs(&inner, Limits::default(), budget).await;
        inner.runtime.shutdown().await;
        let inner = within(&world, sampled().budget(budget)).await;
        hogs(&inner, Limits::default(), Budget::unlimited()).await;
        inner.runtime.shutdown().await;
    });
}
