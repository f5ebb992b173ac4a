//! Actors that die of a defect: nothing of them is left, and a server comes back.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::{RestartPolicy, ServerError, Stdio};

const LONG: Duration = Duration::from_secs(20);

fn hostile() -> ServerSpec {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/servers/hostile.py");
    ServerSpec::new("a", Stdio::new("python3").args([script, "--mode", "normal"])).required()
}

async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONG, what).await.unwrap()
}

#[tokio::test]
async fn a_connection_whose_actor_died_comes_back_as_the_next_epoch() {
    let runtime = Runtime::start().await;
    let session = runtime.session("crash").server(hostile()).open().await.unwrap();
    let server = session.server("a").unwrap();
    let pid = server.status().pid.unwrap();
    let call = tokio::task::unconstrained(session.call("a.sleep", json!({ "ms": 60_000 })));
    let (error, ()) = tokio::join!(in_time(call), async { session.panic_in(Some(0)) });
    assert_eq!(error.unwrap_err().kind(), "transport_down");
    let mut watch = server.watch();
    in_time(watch.wait_for(|status| status.is_ready() && status.epoch == 2)).await.unwrap();
    assert_ne!(server.status().pid, Some(pid));
    assert!(matches!(server.status().last_error, Some(ServerError::Down(_))));
    assert_eq!(session.call("a.echo", json!({ "text": "x" })).await.unwrap().text(), "x");
    session.close().await;
    let report = runtime.leak_report();
    assert!(report.is_empty(), "{report}");
    assert_eq!(report.crashes, 1);
    runtime.shutdown().await;
}

#[tokio::test]
async fn a_connection_whose_actors_die_again_and_again_is_given_up() {
    let runtime = Runtime::start().await;
    let spec = hostile().restart(RestartPolicy::never());
    let session = runtime.session("crash").server(spec).open().await.unwrap();
    let server = session.server("a").unwrap();
    for crashes in 1..=6 {
        session.panic_in(Some(0));
        let counted = async {
            while runtime.leak_report().crashes < crashes {
                tokio::task::yield_now().await;
            }
        };
        in_time(counted).await;
    }
    in_time(server.ready()).await.unwrap_err();
    assert_eq!(server.status().phase, Phase::Failed);
    session.close().await;
    assert!(runtime.leak_report().is_empty());
    runtime.shutdown().await;
}

#[tokio::test]
async fn nothing_is_left_of_a_session_whose_own_actor_died() {
    let runtime = Runtime::start().await;
    let session = runtime.session("crash").server(hostile()).open().await.unwrap();
    let pid = session.server("a").unwrap().status().pid.unwrap();
    session.panic_in(None);
    in_time(session.close()).await;
    assert_eq!(session.server("a").unwrap().status().phase, Phase::Stopped);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    let report = runtime.leak_report();
    assert_eq!((report.sessions, report.processes.len()), (0, 0), "{report}");
    let error = session.call("a.echo", ()).await.unwrap_err();
    assert_eq!(error.kind(), "session_closed");
    runtime.shutdown().await;
    assert!(runtime.leak_report().is_empty(), "{}", runtime.leak_report());
}
