//! A server that is lost is started again: as its policy says, or as its host asks.

#[path = "support/world.rs"]
mod world;

use std::time::{Duration, SystemTime};

use callboard::{
    Backoff, ConnectError, DownCause, Phase, RestartPolicy, ServerError, ServerSpec, Status, Stdio,
};
use rustix::process::Signal;
use serde_json::json;
use world::{World, await_status, eventually};

const LONG: Duration = Duration::from_secs(30);
const HOUR: Duration = Duration::from_secs(3600);

fn soon() -> Backoff {
    Backoff::new(Duration::from_millis(10), Duration::from_millis(100))
}

fn quick(name: &str, stdio: Stdio) -> ServerSpec {
    let grace = Duration::from_millis(300);
    ServerSpec::new(name, stdio.eof_grace(grace).term_grace(grace))
        .restart(RestartPolicy::on_failure().backoff(soon()))
}

/// A server whose first `count` starts fail.
fn fail_first(world: &World, count: u32) -> Stdio {
    let state = world.folder().join("starts");
    world.hostile("fail-first").arg("--count").arg(count.to_string()).arg("--state").arg(state)
}

fn starts(world: &World) -> u64 {
    std::fs::read_to_string(world.folder().join("starts")).unwrap().parse().unwrap()
}

fn ready_in(epoch: u64) -> impl FnMut(&Status) -> bool {
    move |status| status.is_ready() && status.epoch == epoch
}

fn in_phase(phase: Phase) -> impl FnMut(&Status) -> bool {
    move |status| status.phase == phase
}

fn kill(status: &Status) {
    world::signal(status.pid.unwrap(), Signal::KILL);
}

#[test]
fn a_server_that_dies_on_its_first_starts_is_started_until_it_works() {
    world::run(async |world| {
        let session = world.open([quick("a", fail_first(&world, 2))]).await;
        let server = session.server("a").unwrap();
        let status = await_status(&server, LONG, Status::is_ready).await;
        assert_eq!((status.epoch, status.restarts), (3, 2), "{status:?}");
        let Some(ServerError::Connect(error)) = &status.last_error else { panic!("{status:?}") };
        let ConnectError::Ended { reason, .. } = &**error else { panic!("{error}") };
        assert_eq!(reason.exit_code(), Some(1));
        assert_eq!(reason.stderr_tail(), ["not yet (start 2)"]);
        assert_eq!(session.call("a.echo", json!({ "text": "x" })).await.unwrap().text(), "x");
    });
}

#[test]
fn a_server_that_flaps_is_given_up_and_a_restart_by_hand_begins_afresh() {
    world::run(async |world| {
        let stdio = world.hostile("flap").args(["--delay", "0.05"]);
        let stdio = stdio.arg("--state").arg(world.folder().join("starts"));
        let policy = RestartPolicy::on_failure().max_restarts(2, HOUR).backoff(soon());
        let session = world.open([quick("a", stdio).restart(policy)]).await;
        let server = session.server("a").unwrap();
        for round in 1..=2 {
            let given_up = in_phase(Phase::Failed);
            let status = await_status(&server, LONG, given_up).await;
            assert_eq!((status.epoch, starts(&world)), (3 * round, 3 * round));
            let Some(ServerError::Down(reason)) = &status.last_error else { panic!("{status:?}") };
            assert_eq!(reason.exit_code(), Some(9));
            let error = session.call("a.echo", ()).await.unwrap_err();
            assert_eq!(error.kind(), "not_ready");
            assert!(error.to_string().contains("exited with code 9"), "{error}");
            server.restart();
            await_status(&server, LONG, ready_in(3 * round + 1)).await;
        }
    });
}

#[test]
fn only_a_sustained_uptime_forgets_the_restarts() {
    world::run(async |world| {
        let sustained = Duration::from_secs(1);
        let policy = RestartPolicy::on_failure().max_restarts(1, HOUR).reset_after(sustained);
        let spec = quick("a", world.echo()).restart(policy.backoff(soon()));
        let session = world.open([spec]).await;
        let server = session.server("a").unwrap();
        kill(&server.status());
        let status = await_status(&server, LONG, ready_in(2)).await;
        let uptime = || SystemTime::now().duration_since(status.since).unwrap();
        eventually(LONG, "it was up long enough", || uptime() > sustained).await;
        kill(&status);
        kill(&await_status(&server, LONG, ready_in(3)).await);
        let status = await_status(&server, LONG, in_phase(Phase::Failed)).await;
        assert_eq!((status.epoch, status.restarts), (3, 2));
        let Some(ServerError::Down(reason)) = &status.last_error else { panic!("{status:?}") };
        assert_eq!(reason.signal(), Some(9));
    });
}

#[test]
fn a_restart_by_hand_of_a_ready_server_ends_its_calls_and_starts_it_again() {
    world::run(async |world| {
        let session = world.open([quick("a", world.script("fault.py"))]).await;
        let server = session.server("a").unwrap();
        let pending = tokio::spawn(session.call("a.hold", ()));
        while session.call("a.held", ()).await.unwrap().text() != "1" {}
        server.restart();
        let error = pending.await.unwrap().unwrap_err();
        let callboard::CallError::TransportDown { reason, .. } = &error else { panic!("{error}") };
        assert!(matches!(reason.kind(), DownCause::Restarted), "{error}");
        let status = await_status(&server, LONG, ready_in(2)).await;
        assert_eq!(status.restarts, 1);
    });
}

#[test]
fn whoever_restarts_a_server_and_waits_for_it_gets_the_new_link() {
    world::run(async |world| {
        let session = world.open_one(world.echo()).await;
        let server = session.server("a").unwrap();
        for restarts in 1..=10 {
            server.restart();
            server.ready().await.unwrap();
            let status = server.status();
            assert_eq!((status.phase, status.restarts), (Phase::Ready, restarts));
            session.call("a.echo", ()).await.unwrap();
        }
    });
}

#[test]
fn a_restart_by_hand_does_not_wait_for_the_backoff() {
    world::run(async |world| {
        let policy = RestartPolicy::on_failure().backoff(Backoff::new(HOUR, HOUR).without_jitter());
        let session = world.open([quick("a", fail_first(&world, 1)).restart(policy)]).await;
        let server = session.server("a").unwrap();
        await_status(&server, LONG, in_phase(Phase::BackingOff)).await;
        server.restart();
        await_status(&server, LONG, ready_in(2)).await;
    });
}

#[test]
fn a_restart_by_hand_revives_a_server_that_was_given_up() {
    world::run(async |world| {
        let spec = quick("a", fail_first(&world, 1)).restart(RestartPolicy::never());
        let session = world.open([spec]).await;
        let server = session.server("a").unwrap();
        assert_eq!(server.status().phase, Phase::Failed);
        assert!(matches!(server.ready().await, Err(Some(ServerError::Connect(_)))));
        server.restart();
        await_status(&server, LONG, ready_in(2)).await;
    });
}

#[test]
fn a_restart_by_hand_ends_a_start_that_hangs() {
    world::run(async |world| {
        let armed = world.folder().join("armed");
        std::fs::write(&armed, "").unwrap();
        let stdio = world.script("fault.py").args(["--fault", "hang", "--when", "handshake"]);
        let spec = quick("a", stdio.arg("--armed").arg(&armed)).init_timeout(HOUR);
        let session = world.runtime.session("s").server(spec).open().await.unwrap();
        let server = session.server("a").unwrap();
        let hangs = || server.stderr_tail().contains(&"fault: hang".to_owned());
        eventually(LONG, "it hangs", hangs).await;
        assert_eq!(server.status().phase, Phase::Starting);
        std::fs::remove_file(armed).unwrap();
        server.restart();
        await_status(&server, LONG, ready_in(2)).await;
    });
}

#[test]
fn a_restart_by_hand_does_not_open_a_closed_session() {
    world::run(async |world| {
        let session = world.open_one(world.echo()).await;
        let server = session.server("a").unwrap();
        session.close().await;
        server.restart();
        assert!(server.ready().await.is_err());
        assert_eq!(server.status().phase, Phase::Stopped);
    });
}

#[test]
fn a_policy_of_never_leaves_a_lost_server_lost() {
    world::run(async |world| {
        let spec = quick("a", world.echo()).restart(RestartPolicy::never());
        let session = world.open([spec]).await;
        let server = session.server("a").unwrap();
        kill(&server.status());
        let status = await_status(&server, LONG, in_phase(Phase::Failed)).await;
        assert_eq!((status.epoch, status.restarts), (1, 0));
        eventually(LONG, "its process is gone", || world.processes().is_empty()).await;
    });
}

/// A command and a directory that are not there yet.
fn permanent(world: &World) -> [(&'static str, Stdio); 2] {
    let folder = world.folder();
    let command = world.stdio(folder.join("later")).arg("--echo-child");
    [("command", command), ("cwd", world.echo().cwd(folder.join("cwd")))]
}

#[test]
fn permanent_causes_are_not_tried_again() {
    world::run(async |world| {
        let specs = permanent(&world).map(|(name, stdio)| quick(name, stdio));
        let session = world.open(specs).await;
        for server in session.servers() {
            let status = server.status();
            assert_eq!((status.phase, status.epoch), (Phase::Failed, 1), "{status:?}");
            let error = status.last_error.unwrap();
            let ServerError::Connect(cause) = &error else { panic!("{error}") };
            assert!(cause.is_permanent(), "{cause}");
            let advice = if server.name() == "cwd" { "create it" } else { "install it" };
            assert!(error.to_string().contains(advice), "{error}");
            assert!(error.to_string().contains(world.folder().to_str().unwrap()), "{error}");
        }
    });
}

#[test]
fn permanent_causes_are_tried_again_where_the_policy_says_always() {
    world::run(async |world| {
        let policy = RestartPolicy::always().backoff(soon()).max_restarts(100_000, HOUR);
        let specs =
            permanent(&world).map(|(name, stdio)| quick(name, stdio).restart(policy.clone()));
        let session = world.open(specs).await;
        for server in session.servers() {
            await_status(&server, LONG, |status| status.restarts > 0).await;
        }
        std::os::unix::fs::symlink(world::echo_server(), world.folder().join("later")).unwrap();
        std::fs::create_dir(world.folder().join("cwd")).unwrap();
        for server in session.servers() {
            await_status(&server, LONG, Status::is_ready).await;
        }
    });
}
