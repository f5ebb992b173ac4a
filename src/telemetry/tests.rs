//! What is told of a defect, and of a system that gives nothing more: nobody can bring that about from
//! outside. The test of all else that is told is in `tests/telemetry.rs`.

#[path = "../../tests/support/capture.rs"]
mod capture;

use std::{process::Command, time::Duration};

use tracing::Level;

use super::*;
use crate::{Memory, Runtime, ServerSpec};

const LONG: Duration = Duration::from_secs(30);

/// Runs a test once more in a process of its own, whose traces and limits are nobody else's.
fn alone(test: &str, work: impl FnOnce()) {
    const ALONE: &str = "CALLBOARD_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        capture::begin();
        return work();
    }
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", "--nocapture", &format!("telemetry::tests::{test}")]).env(ALONE, "");
    let ended = again.output().unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    let complained = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success() && said.contains("1 passed"), "{said}{complained}");
}

fn tokio() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn an_actor_that_dies_of_a_defect_is_told() {
    alone("an_actor_that_dies_of_a_defect_is_told", || {
        tokio().block_on(async {
            let runtime = Runtime::start().await;
            let (memory, _nobody_accepts) = Memory::pair();
            let builder = runtime.session("crash").server(ServerSpec::new("a", memory));
            let session = builder.open().await.unwrap();
            for (place, crashes) in [(Some(0), 1), (None, 2)] {
                session.panic_in(place);
                let counted = async {
                    while runtime.leak_report().crashes < crashes {
                        tokio::task::yield_now().await;
                    }
                };
                tokio::time::timeout(LONG, counted).await.expect("it lives");
            }
            session.close().await;
            runtime.shutdown().await;
        });
        let told = capture::events(BUG);
        let parent =
            |one: &capture::Told| capture::captured(|all| all.spans[&one.parent.unwrap()].name);
        let seen: Vec<_> = told.iter().map(|one| (one.get("actor"), parent(one))).collect();
        assert_eq!(seen, [("connection", "connection"), ("session", "runtime")]);
        for one in told {
            assert_eq!((one.level, one.get("message")), (Level::ERROR, "actor died"));
            assert_eq!(one.names, ["message", "actor", "error"]);
            assert!(!one.get("error").is_empty(), "{one:?}");
        }
    });
}

#[cfg(unix)]
#[test]
fn a_watchdog_that_cannot_be_started_is_told() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    use crate::{host_death::HostDeath, transport::orphans::Orphans};

    alone("a_watchdog_that_cannot_be_started_is_told", || {
        let tokio = tokio();
        let _entered = tokio.enter();
        let orphans = Orphans::new(HostDeath::default().without_ledger(), runtime_span());
        let (pipe, _other_end) = std::io::pipe().unwrap();
        let before = getrlimit(Resource::Nofile);
        // Those that are open stay so, and there are no others.
        setrlimit(Resource::Nofile, Rlimit { current: Some(0), ..before }).unwrap();
        let booking = orphans.book(&pipe);
        setrlimit(Resource::Nofile, before).unwrap();
        drop(booking.expect("a server is started without one"));
        assert_eq!(orphans.watchdog(), None);
        let [told] = &capture::events(PROCESS)[..] else { panic!("one event") };
        assert_eq!((told.level, told.get("message")), (Level::WARN, "watchdog not started"));
        assert_eq!(told.names, ["message", "error"]);
        assert!(told.get("error").contains("os error 24"), "{told:?}");
        let parent = capture::captured(|all| all.spans[&told.parent.unwrap()].name);
        assert_eq!(parent, "runtime");
    });
}
