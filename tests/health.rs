//! A server that is connected and does not answer is declared down, where its policy says so.

#[path = "support/world.rs"]
mod world;

use std::{sync::Arc, time::Duration};

use callboard::{
    Backoff, CallOptions, DownCause, DownReason, HealthCheck, RestartPolicy, ServerError,
    ServerSpec, Session, Status, Stdio,
};
use rustix::process::Signal;
use serde_json::json;
use world::{World, await_status};

const LONG: Duration = Duration::from_secs(60);

/// A server that is soon back, and whose calls soon time out.
fn checked(stdio: Stdio, check: Option<HealthCheck>) -> ServerSpec {
    let soon = Backoff::new(Duration::from_millis(1), Duration::from_millis(1));
    let options = CallOptions::default().total_timeout(Duration::from_millis(100));
    let spec = ServerSpec::new("a", stdio.eof_grace(Duration::ZERO).term_grace(Duration::ZERO));
    let spec = spec.restart(RestartPolicy::on_failure().backoff(soon)).call_options(options);
    match check {
        Some(check) => spec.health(check),
        None => spec,
    }
}

/// One that may take long to answer a probe on a machine that does other things too.
fn patient() -> HealthCheck {
    HealthCheck::default().probe_within(Duration::from_secs(20))
}

fn hasty() -> HealthCheck {
    HealthCheck::default().probe_within(Duration::from_millis(200))
}

/// Calls a tool that does not answer in time.
async fn time_out(session: &Session) {
    let error = session.call("a.wait", json!({ "file": "/nowhere" })).await.unwrap_err();
    assert_eq!(error.kind(), "timed_out", "{error}");
}

async fn answers(session: &Session) {
    let long = CallOptions::default().total_timeout(LONG);
    let call = session.call("a.say", json!({ "result": "{\"content\":[]}" }));
    call.with_options(&long).await.unwrap();
}

/// Stops the process of a server that is Ready, as whatever hangs does.
fn hang(status: &Status) {
    world::signal(status.pid.unwrap(), Signal::STOP);
}

/// Waits until it is Ready again, and says why it was not.
async fn restarted(session: &Session) -> Arc<DownReason> {
    let server = session.server("a").unwrap();
    let again = |status: &Status| status.epoch == 2 && status.is_ready();
    let status = await_status(&server, LONG, again).await;
    let Some(ServerError::Down(reason)) = status.last_error else { panic!("{status:?}") };
    reason
}

async fn open(world: &World, spec: ServerSpec) -> Session {
    let session = world.open([spec]).await;
    assert!(session.server("a").unwrap().status().is_ready());
    session
}

#[test]
fn a_server_that_swallows_calls_and_a_probe_is_restarted() {
    world::run(async |world| {
        let puppet = world.script("puppet.py");
        let modern = world.hostile("normal").arg("--discover");
        for (stdio, tool) in [(puppet, "a.say"), (modern, "a.echo")] {
            let session = open(&world, checked(stdio, Some(hasty()))).await;
            hang(&session.server("a").unwrap().status());
            for _ in 0..3 {
                let error = session.call(tool, json!({ "text": "x" })).await.unwrap_err();
                assert_eq!(error.kind(), "timed_out", "{error}");
            }
            let reason = restarted(&session).await;
            assert!(matches!(reason.kind(), DownCause::Unresponsive { .. }), "{reason}");
            assert_eq!(reason.kind().as_str(), "unresponsive");
            session.close().await;
        }
    });
}

#[test]
fn a_slow_tool_of_a_server_that_answers_probes_is_left_alone() {
    world::run(async |world| {
        let session = open(&world, checked(world.script("puppet.py"), Some(patient()))).await;
        for _ in 0..8 {
            time_out(&session).await;
        }
        answers(&session).await;
        assert_eq!(session.server("a").unwrap().status().epoch, 1);
    });
}

#[test]
fn timeouts_in_a_row_are_enough_where_the_policy_says_so_and_an_answer_between_them_is_not() {
    world::run(async |world| {
        let check = patient().down_after(3);
        let session = open(&world, checked(world.script("puppet.py"), Some(check))).await;
        for _ in 0..3 {
            time_out(&session).await;
            time_out(&session).await;
            answers(&session).await;
        }
        assert_eq!(session.server("a").unwrap().status().epoch, 1);
        for _ in 0..3 {
            time_out(&session).await;
        }
        let reason = restarted(&session).await;
        assert!(matches!(reason.kind(), DownCause::Unanswered { calls: 3 }), "{reason}");
        answers(&session).await;
    });
}

#[test]
fn an_idle_server_that_hangs_is_found_out_by_a_probe() {
    world::run(async |world| {
        let check = HealthCheck::default().probe_within(Duration::from_secs(2));
        let check = check.probe_every(Duration::from_millis(100));
        let spec = checked(world.script("puppet.py"), Some(check));
        let session = open(&world, spec).await;
        hang(&session.server("a").unwrap().status());
        let server = session.server("a").unwrap();
        await_status(&server, LONG, |status| status.epoch > 1 && status.is_ready()).await;
        let status = server.status();
        let Some(ServerError::Down(reason)) = status.last_error else { panic!("{status:?}") };
        assert!(matches!(reason.kind(), DownCause::Unresponsive { .. }), "{reason}");
    });
}

#[test]
fn without_a_policy_timeouts_say_nothing_about_a_server() {
    world::run(async |world| {
        let session = open(&world, checked(world.script("puppet.py"), None)).await;
        for _ in 0..8 {
            time_out(&session).await;
        }
        answers(&session).await;
        assert_eq!(session.server("a").unwrap().status().epoch, 1);
    });
}
