//! Loss of a link: every outstanding call fails at once and says why, and nothing else does.

#[path = "support/world.rs"]
mod world;

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Waker},
    time::Duration,
};

use callboard::{
    Backoff, Call, CallError, Delivery, DownCause, DownReason, Limits, Output, RestartPolicy,
    ServerSpec, Session, Stdio,
};
use rustix::process::Signal;
use serde_json::json;
use tokio::task::{JoinHandle, JoinSet};
use world::{World, await_status, eventually};

/// "At once", on a machine that does other things too; a benchmark measures it.
const AT_ONCE: Duration = Duration::from_secs(2);
/// For a Python server to start.
const START: Duration = Duration::from_secs(20);

type Outcome = Result<Output, CallError>;

/// A policy that starts again soon, and a ladder that does not wait long.
fn quick(name: &str, stdio: Stdio) -> ServerSpec {
    let grace = Duration::from_millis(300);
    let backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(100));
    ServerSpec::new(name, stdio.eof_grace(grace).term_grace(grace))
        .restart(RestartPolicy::on_failure().backoff(backoff))
}

fn start(session: &Session, id: &str) -> JoinHandle<Outcome> {
    sent(session.call(id, ()))
}

/// Sends a call here and now, and waits for it in a task.
fn sent(mut call: Call) -> JoinHandle<Outcome> {
    let mut nobody = Context::from_waker(Waker::noop());
    assert!(Pin::new(&mut call).poll(&mut nobody).is_pending());
    tokio::spawn(call)
}

/// Waits until the server says that it holds so many calls.
async fn held(session: &Session, server: &str, count: usize) {
    let ask = async {
        while session.call(format!("{server}.held"), ()).await.unwrap().text() != count.to_string()
        {
        }
    };
    tokio::time::timeout(START, ask).await.unwrap();
}

async fn at_once(call: JoinHandle<Outcome>) -> (Arc<DownReason>, Delivery) {
    let outcome = tokio::time::timeout(AT_ONCE, call).await.expect("still pending").unwrap();
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), "transport_down", "{error}");
    let CallError::TransportDown { reason, delivery, .. } = error else { unreachable!() };
    (reason, delivery)
}

async fn comes_back(session: &Session, server: &str, epoch: u64) {
    let server = session.server(server).unwrap();
    await_status(&server, START, |status| status.is_ready() && status.epoch == epoch).await;
}

fn pid(session: &Session, server: &str) -> u32 {
    session.server(server).unwrap().status().pid.unwrap()
}

/// Check 1; how many milliseconds it takes is measured by `benches/loss.rs`.
#[test]
fn a_killed_server_fails_its_calls_with_the_signal_and_its_last_words() {
    world::run(async |world| {
        let fault = || world.script("fault.py");
        let session = world.open([quick("a", fault()), quick("b", fault())]).await;
        let mut calls: Vec<_> = (0..64).map(|_| start(&session, "a.hold")).collect();
        let sibling = start(&session, "b.hold");
        held(&session, "a", 64).await;
        held(&session, "b", 1).await;
        world::signal(pid(&session, "a"), Signal::KILL);
        let (first, delivery) = at_once(calls.pop().unwrap()).await;
        assert_eq!(first.signal(), Some(9), "{first}");
        assert_eq!(first.exit_code(), None);
        assert_eq!(first.stderr_tail(), ["fault.py is up"]);
        assert_eq!(delivery, Delivery::MaybeSent);
        for call in calls {
            let (reason, delivery) = at_once(call).await;
            assert!(Arc::ptr_eq(&first, &reason), "one reason for all");
            assert_eq!(delivery, Delivery::MaybeSent);
        }
        let echo = session.call("b.echo", json!({ "text": "still here" })).await.unwrap();
        assert_eq!(echo.text(), "still here");
        assert!(!sibling.is_finished());
        session.call("b.fault", ()).await.unwrap();
        assert_eq!(sibling.await.unwrap().unwrap().text(), "survived");
        assert_eq!(session.server("b").unwrap().status().epoch, 1);
        comes_back(&session, "a", 2).await;
        session.call("a.echo", ()).await.unwrap();
    });
}

#[test]
fn a_server_that_exits_fails_its_calls_with_the_exit_code() {
    world::run(async |world| {
        let log = world.folder().join("log");
        let stdio = world.hostile("exit-after").args(["--count", "2"]).arg("--log").arg(&log);
        let session = world.open([quick("a", stdio)]).await;
        let pending = tokio::spawn(session.call("a.sleep", json!({ "ms": 600_000 })));
        let arrived = || world::log(&log).iter().any(|event| event["method"] == "tools/call");
        eventually(START, "the call has arrived", arrived).await;
        let error = session.call("a.echo", ()).await.unwrap_err();
        let CallError::TransportDown { reason, delivery, epoch, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!((reason.exit_code(), *delivery, *epoch), (Some(3), Delivery::MaybeSent, 1));
        assert!(error.to_string().contains("exited with code 3"), "{error}");
        assert_eq!(at_once(pending).await.0.exit_code(), Some(3));
        comes_back(&session, "a", 2).await;
    });
}

#[test]
fn a_server_that_closes_its_stdout_is_lost_although_it_lives() {
    world::run(async |world| {
        let session = world.open([quick("a", world.hostile("close-stdout"))]).await;
        let pending = tokio::spawn(session.call("a.sleep", json!({ "ms": 600_000 })));
        session.call("a.echo", ()).await.unwrap();
        let (reason, delivery) = at_once(pending).await;
        assert!(matches!(reason.kind(), DownCause::StreamEnded), "{reason}");
        assert_eq!(delivery, Delivery::MaybeSent);
        comes_back(&session, "a", 2).await;
    });
}

#[test]
fn a_message_above_the_limit_ends_the_link_with_that_cause() {
    world::run(async |world| {
        let stdio = world.hostile("huge-line").args(["--size", "8000000"]);
        let limits = Limits::default().with_max_frame(1 << 20);
        let session = world.open([quick("a", stdio).limits(limits)]).await;
        let (reason, delivery) = at_once(start(&session, "a.echo")).await;
        let DownCause::FrameTooLarge { limit } = reason.kind() else { panic!("{reason}") };
        assert_eq!((*limit, delivery), (1 << 20, Delivery::MaybeSent));
        assert!(reason.to_string().contains("max_frame"), "{reason}");
        comes_back(&session, "a", 2).await;
    });
}

#[test]
fn a_server_that_closes_its_stdin_is_lost_at_the_first_write() {
    world::run(async |world| {
        let stdio = world.script("fault.py").args(["--fault", "close-stdin", "--when", "call"]);
        let session = world.open([quick("a", stdio)]).await;
        let server = session.server("a").unwrap();
        let pending = start(&session, "a.fault");
        let closed = || server.stderr_tail().contains(&"closed".to_owned());
        eventually(START, "its stdin is closed", closed).await;
        let (reason, delivery) = at_once(start(&session, "a.echo")).await;
        assert!(matches!(reason.kind(), DownCause::WriteFailed(_)), "{reason}");
        assert_eq!(delivery, Delivery::NotSent, "no byte can leave into a closed pipe");
        assert_eq!(at_once(pending).await.1, Delivery::MaybeSent);
        comes_back(&session, "a", 2).await;
    });
}

async fn killed_while_another_holds_its_pipes(world: &World, stdio: Stdio, tool: &str) {
    let session = world.open([quick("a", stdio)]).await;
    let call = sent(session.call(format!("a.{tool}"), json!({ "ms": 600_000 })));
    let both = || world.processes().len() == 2;
    eventually(START, "server and grandchild live", both).await;
    let before = world.processes();
    world::signal(pid(&session, "a"), Signal::KILL);
    let (reason, _) = at_once(call).await;
    assert_eq!(reason.signal(), Some(9), "{reason}");
    comes_back(&session, "a", 2).await;
    let now = world.processes();
    assert!(before.iter().all(|pid| !now.contains(pid)), "{before:?} {now:?}");
    session.close().await;
    assert_eq!(world.processes(), [0; 0]);
}

#[test]
fn a_grandchild_that_holds_stdout_does_not_hold_the_calls() {
    world::run(async |world| {
        let stdio = world.hostile("grandchild");
        killed_while_another_holds_its_pipes(&world, stdio, "sleep").await;
    });
}

#[test]
fn a_sleeper_that_a_shell_left_does_not_hold_the_calls() {
    world::run(async |world| {
        let script = world::root().join("tests/servers/fault.py");
        let line = format!("sleep 1000 & exec python3 {}", script.display());
        let stdio = world.stdio("sh").arg("-c").arg(line);
        killed_while_another_holds_its_pipes(&world, stdio, "hold").await;
    });
}

#[test]
fn calls_that_never_left_for_a_server_that_does_not_read_are_safe_to_repeat() {
    world::run(async |world| {
        let stdio = world.script("fault.py").args(["--fault", "hang", "--when", "call"]);
        let session = world.open([quick("a", stdio)]).await;
        let server = session.server("a").unwrap();
        let fault = start(&session, "a.fault");
        let hangs = || server.stderr_tail().contains(&"fault: hang".to_owned());
        eventually(START, "it hangs", hangs).await;
        // More than a pipe holds: a part of it leaves. Its first poll puts it in front.
        let mut large = session.call("a.echo", json!({ "text": "x".repeat(1 << 20) }));
        tokio::select! { biased; _ = &mut large => {} () = std::future::ready(()) => {} }
        let large = tokio::spawn(large);
        let mut queued = JoinSet::new();
        for _ in 0..10 {
            queued.spawn(session.call("a.echo", ()).idle_timeout(Duration::ZERO));
        }
        // A call that gives up behind them shows that they are queued, and was not sent itself.
        let late = session.call("a.echo", ()).total_timeout(Duration::from_millis(200)).await;
        let late = late.unwrap_err();
        assert_eq!((late.kind(), late.delivery()), ("timed_out", Delivery::NotSent));
        world::signal(pid(&session, "a"), Signal::KILL);
        for call in [fault, large] {
            assert_eq!(at_once(call).await.1, Delivery::MaybeSent);
        }
        for outcome in queued.join_all().await {
            let error = outcome.unwrap_err();
            assert_eq!((error.kind(), error.delivery()), ("transport_down", Delivery::NotSent));
        }
        comes_back(&session, "a", 2).await;
    });
}

#[test]
fn whoever_lost_a_call_does_not_see_the_lost_link_as_ready() {
    world::run(async |world| {
        let session = world.open([ServerSpec::new("a", world.echo())]).await;
        let server = session.server("a").unwrap();
        for round in 1..=20 {
            server.ready().await.unwrap();
            let status = server.status();
            assert!(status.is_ready(), "{round}: {status:?}");
            world::signal(status.pid.unwrap(), Signal::KILL);
            while session.call("a.echo", json!({ "text": "x" })).await.is_ok() {}
            let after = server.status();
            let stale = after.is_ready() && after.epoch == status.epoch;
            assert!(!stale, "round {round}: the call has failed, and the status is {after:?}");
            server.restart();
            await_status(&server, START, |now| now.is_ready() && now.epoch > status.epoch).await;
        }
    });
}

/// Calls to a stopped server that fill its pipe to the byte, at the end of a frame: those behind it
/// have not left, and there is nothing to write once they are withdrawn.
#[test]
fn calls_that_are_withdrawn_behind_a_full_pipe_leave_the_link_alone() {
    const PAGE: usize = 4096;
    // On one thread the writer comes after all of them.
    world::run_on_one_thread(START, async |world| {
        let session = world.open_one(world.odd("server")).await;
        session.call("a.echo", ()).await.unwrap();
        let last = world::log(&world.log_path()).pop().unwrap();
        let next = last["id"].as_u64().unwrap() + 1;
        world::signal(pid(&session, "a"), Signal::STOP);
        let exactly_a_page = |id: u64| {
            let params = json!({ "name": "echo", "arguments": { "text": "" },
                                 "_meta": { "progressToken": id } });
            let frame = json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call",
                                "params": params });
            let text = "x".repeat(PAGE - frame.to_string().len() - "\n".len());
            session.call("a.echo", json!({ "text": text }))
        };
        // Two pipes full.
        let mut calls: Vec<_> = (next..next + 32).map(|id| Box::pin(exactly_a_page(id))).collect();
        for call in &mut calls {
            tokio::select! { biased; _ = call => {} () = std::future::ready(()) => {} }
        }
        let behind = session.call("a.echo", ()).total_timeout(Duration::from_millis(200)).await;
        assert_eq!(behind.unwrap_err().delivery(), Delivery::NotSent, "the pipe is full");
        let first = calls.remove(0);
        drop(calls);
        let after = start(&session, "a.echo");
        world::signal(pid(&session, "a"), Signal::CONT);
        assert!(first.await.unwrap().text().starts_with("xxx"));
        after.await.unwrap().unwrap();
        let status = session.server("a").unwrap().status();
        assert!(status.is_ready() && status.epoch == 1, "{status:?}");
        let arrived = world::log(&world.log_path());
        let text =
            |one: &serde_json::Value| one["params"]["arguments"]["text"].as_str().map(str::len);
        let pages = arrived.iter().filter(|one| text(one).is_some_and(|length| length > 1000));
        assert!(pages.count() < 32, "some of them never left");
    });
}
