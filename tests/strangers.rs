//! Processes that left their server's group end with the server, whoever started them.

#[path = "support/world.rs"]
mod world;

use std::time::Duration;

use callboard::{RestartPolicy, ServerSpec, Session};
use rustix::process::Signal;
use serde_json::json;
use world::{World, await_status, eventually};

const LONG: Duration = Duration::from_secs(30);

/// Has the server start a sleeper in a session of its own, which then is one more than before.
async fn spawn(world: &World, session: &Session, worker: bool) {
    let before = world.processes().len();
    let answer = session.call("a.spawn", json!({ "worker": worker })).await.unwrap();
    let stranger: i32 = answer.text().parse().unwrap();
    let lives = || world.processes().contains(&stranger);
    eventually(LONG, "the stranger lives", lives).await;
    assert_eq!(world.processes().len(), before + 1);
}

#[test]
fn a_stranger_goes_with_its_server_whichever_thread_started_it() {
    world::run(async |world| {
        for worker in [false, true] {
            let session = world.open_one(world.script("puppet.py")).await;
            for _ in 0..3 {
                spawn(&world, &session, worker).await;
            }
            session.close().await;
            assert_eq!(world.processes(), [0; 0], "worker: {worker}");
        }
    });
}

#[test]
fn a_stranger_goes_before_its_server_comes_back() {
    world::run(async |world| {
        let session = world.open_one(world.script("puppet.py")).await;
        spawn(&world, &session, true).await;
        let server = session.server("a").unwrap();
        server.restart();
        await_status(&server, LONG, |status| status.is_ready() && status.epoch == 2).await;
        assert_eq!(world.processes().len(), 1);
    });
}

#[test]
fn a_stranger_of_a_group_that_lost_its_leader_goes_too() {
    world::run(async |world| {
        for worker in [false, true] {
            let script = world::root().join("tests/servers/puppet.py");
            let line = format!("exec 3<&0; python3 {} <&3 & wait; true", script.display());
            let stdio = world.stdio("sh").arg("-c").arg(line);
            let spec = ServerSpec::new("a", stdio).restart(RestartPolicy::never());
            let session = world.open([spec]).await;
            spawn(&world, &session, worker).await;
            assert_eq!(world.processes().len(), 3);
            let server = session.server("a").unwrap();
            world::signal(server.status().pid.unwrap(), Signal::KILL);
            await_status(&server, LONG, |status| !status.is_ready()).await;
            session.close().await;
            assert_eq!(world.processes(), [0; 0], "worker: {worker}");
        }
    });
}
