//! A session closes in whatever phase its servers are, and its calls do not wait for it.

#[path = "support/world.rs"]
mod world;

use std::time::Duration;

use callboard::{Backoff, Delivery, Phase, RestartPolicy, ServerSpec, Status, Stdio};
use rustix::process::Signal;
use tokio::time::timeout;
use world::{await_status, eventually};

const LONG: Duration = Duration::from_secs(30);
const GRACE: Duration = Duration::from_millis(300);
/// Both steps of the ladder, what the kernel may take after the last, and air for a machine that
/// does other things too.
const BOUND: Duration = Duration::from_millis(3600);

fn quick(name: &str, stdio: Stdio) -> ServerSpec {
    ServerSpec::new(name, stdio.eof_grace(GRACE).term_grace(GRACE))
}

#[test]
fn a_session_closes_while_its_server_starts() {
    world::run(async |world| {
        let spec = quick("a", world.hostile("no-init"));
        let session = world.runtime.session("s").server(spec).open().await.unwrap();
        eventually(LONG, "its process lives", || !world.processes().is_empty()).await;
        let server = session.server("a").unwrap();
        assert_eq!(server.status().phase, Phase::Starting);
        let ready = tokio::spawn(async move { server.ready().await });
        timeout(BOUND, session.close()).await.unwrap();
        assert_eq!(world.processes(), [0; 0]);
        assert!(ready.await.unwrap().is_err());
    });
}

#[test]
fn a_session_closes_before_its_server_has_started() {
    world::run(async |world| {
        for _ in 0..20 {
            let spec = quick("a", world.echo());
            let session = world.runtime.session("s").server(spec).open().await.unwrap();
            session.close().await;
            assert_eq!(world.processes(), [0; 0]);
        }
    });
}

#[test]
fn a_session_closes_while_its_server_backs_off() {
    world::run(async |world| {
        let hour = Duration::from_secs(3600);
        let policy = RestartPolicy::on_failure().backoff(Backoff::new(hour, hour).without_jitter());
        let session = world.open([quick("a", world.echo()).restart(policy)]).await;
        let server = session.server("a").unwrap();
        world::signal(server.status().pid.unwrap(), Signal::KILL);
        let status = |phase| move |status: &Status| status.phase == phase;
        await_status(&server, LONG, status(Phase::BackingOff)).await;
        timeout(BOUND, session.close()).await.unwrap();
        assert_eq!(server.status().phase, Phase::Stopped);
    });
}

#[test]
fn calls_in_flight_end_as_session_closed_before_the_processes_do() {
    world::run(async |world| {
        let stdio = world.script("fault.py").args(["--fault", "hang", "--when", "closing"]);
        // The server ends by SIGTERM only, in a time that no call should wait for.
        let spec = ServerSpec::new("a", stdio.eof_grace(LONG));
        let session = world.open([spec]).await;
        let calls: Vec<_> = (0..8).map(|_| tokio::spawn(session.call("a.hold", ()))).collect();
        while session.call("a.held", ()).await.unwrap().text() != "8" {}
        let closing = session.clone();
        let closing = tokio::spawn(async move { closing.close().await });
        for call in calls {
            let error = timeout(BOUND, call).await.unwrap().unwrap().unwrap_err();
            assert_eq!((error.kind(), error.delivery()), ("session_closed", Delivery::MaybeSent));
        }
        assert!(!closing.is_finished());
        let server = session.server("a").unwrap();
        let hangs = || server.stderr_tail().contains(&"fault: hang".to_owned());
        eventually(LONG, "it hangs", hangs).await;
        assert_eq!(server.status().phase, Phase::Stopping);
        let error = session.call("a.echo", ()).await.unwrap_err();
        assert_eq!((error.kind(), error.delivery()), ("session_closed", Delivery::NotSent));
        world::signal(world.processes()[0].unsigned_abs(), Signal::KILL);
        closing.await.unwrap();
    });
}

#[test]
fn closing_twice_at_once_waits_for_the_same_end() {
    world::run(async |world| {
        let session = world.open([quick("a", world.hostile("ignore-term"))]).await;
        let close = || async {
            session.close().await;
            assert_eq!(world.processes(), [0; 0]);
        };
        // A close that nobody waits for any more goes on all the same.
        assert!(timeout(Duration::from_millis(10), close()).await.is_err());
        tokio::join!(close(), close());
        close().await;
    });
}

#[test]
fn events_and_notifications_end_with_the_session_while_its_handles_are_held() {
    world::run(async |world| {
        let session = world.open([quick("a", world.echo())]).await;
        let server = session.server("a").unwrap();
        let (mut events, mut notifications) = (session.events(), server.notifications());
        session.close().await;
        let end = async {
            while events.next().await.is_some() {}
            while notifications.next().await.is_some() {}
        };
        timeout(LONG, end).await.expect("a feed goes on");
        let late = async {
            assert!(session.events().next().await.is_none());
            assert!(server.notifications().next().await.is_none());
        };
        timeout(LONG, late).await.expect("a feed goes on");
    });
}
