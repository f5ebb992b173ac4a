//! Opening waits for the required servers, and for no others.

#[path = "support/world.rs"]
mod world;

use std::time::Duration;

use callboard::{Backoff, OpenError, Phase, RequiredFailure, RestartPolicy, ServerSpec, Stdio};

const HOUR: Duration = Duration::from_secs(3600);

fn quick(name: &str, stdio: Stdio) -> ServerSpec {
    let grace = Duration::from_millis(300);
    let soon = Backoff::new(Duration::from_millis(10), Duration::from_millis(100));
    ServerSpec::new(name, stdio.eof_grace(grace).term_grace(grace))
        .restart(RestartPolicy::on_failure().backoff(soon))
}

fn failure<'a>(failures: &'a [RequiredFailure], server: &str) -> &'a RequiredFailure {
    failures.iter().find(|failure| failure.server == server).unwrap()
}

#[test]
fn opening_fails_with_the_reasons_of_all_required_servers_together() {
    world::run(async |world| {
        let limit = Duration::from_secs(2);
        let never = RestartPolicy::never;
        let open = world.runtime.session("s").servers([
            quick("missing", world.stdio("no-such-program")).required(),
            quick("dies", world.hostile("exit-at-start")).restart(never()).required(),
            quick("hangs", world.hostile("no-init")).init_timeout(limit).required(),
            quick("good", world.hostile("normal")).required(),
            quick("unneeded", world.stdio("no-such-program-either")),
        ]);
        let error = open.open().await.unwrap_err();
        assert_eq!(world.processes(), [0; 0], "everything is stopped again");
        assert!(world.runtime.leak_report().is_empty());
        let message = error.to_string();
        let OpenError::Required(failures) = error else { panic!("{message}") };
        let names: Vec<_> = failures.iter().map(|failure| failure.server.as_str()).collect();
        assert_eq!(names, ["missing", "dies", "hangs"], "{message}");
        assert!(failure(&failures, "missing").to_string().contains("no-such-program"));
        let dies = failure(&failures, "dies").to_string();
        assert!(dies.contains("code 7") && dies.contains("left-pad"), "{dies}");
        let hangs = failure(&failures, "hangs").to_string();
        assert!(hangs.contains("no answer during the handshake within 2s"), "{hangs}");
    });
}

#[test]
fn a_required_server_that_works_on_its_second_start_opens_the_session() {
    world::run(async |world| {
        let stdio = world.hostile("fail-first").args(["--count", "1", "--state"]);
        let stdio = stdio.arg(world.folder().join("starts"));
        let spec = quick("a", stdio).required();
        let session = world.runtime.session("s").server(spec).open().await.unwrap();
        let status = session.server("a").unwrap().status();
        assert_eq!((status.phase, status.epoch), (Phase::Ready, 2), "{status:?}");
    });
}

#[test]
fn a_good_server_is_usable_while_others_hang_or_are_slow_or_missing() {
    world::run(async |world| {
        let hung = world.hostile("no-init");
        let slow = world.hostile("slow-init").args(["--delay", "2"]);
        let open = world.runtime.session("s").servers([
            quick("hung", hung).init_timeout(Duration::from_secs(5)),
            quick("missing", world.stdio("no-such-program")),
            quick("slow", slow),
            quick("good", world.echo()).required(),
        ]);
        let session = open.open().await.unwrap();
        let phase = |name| session.server(name).unwrap().status().phase;
        session.call("good.echo", ()).await.unwrap();
        assert_eq!((phase("hung"), phase("slow")), (Phase::Starting, Phase::Starting));
        assert_eq!(session.tools().len(), 1, "its tools are there before those of the others");
        session.server("slow").unwrap().ready().await.unwrap();
        session.call("slow.echo", ()).await.unwrap();
        assert_eq!((phase("missing"), phase("hung")), (Phase::Failed, Phase::Starting));
        session.settled().await;
        assert_ne!(phase("hung"), Phase::Ready);
    });
}

#[test]
fn opening_takes_no_longer_than_the_init_timeouts_of_required_servers() {
    world::run(async |world| {
        let limit = Duration::from_secs(1);
        let open = world.runtime.session("s").servers([
            quick("optional", world.hostile("no-init")).init_timeout(HOUR),
            quick("required", world.hostile("no-init")).init_timeout(limit).required(),
        ]);
        let began = tokio::time::Instant::now();
        open.open().await.unwrap_err();
        // The limit, both steps of the ladder, and some air for a busy machine.
        let bound = limit + Duration::from_millis(600) + Duration::from_secs(2);
        assert!(began.elapsed() < bound, "{:?}", began.elapsed());
    });
}
