//! What a server wrote before its end counts, and whoever else holds its pipes does not put it off.

#[path = "support/world.rs"]
mod world;

use std::{sync::Arc, time::Duration};

use callboard::{Phase, RestartPolicy, ServerSpec};
use serde_json::json;
use tokio::time::{Instant, timeout};
use world::{World, await_status};

/// "At once", on a machine that does other things too.
const AT_ONCE: Duration = Duration::from_secs(2);
/// For a Python server to start the writers, the first of which take all the cores.
const START: Duration = Duration::from_secs(3);
const GRACE: Duration = Duration::from_millis(300);
/// Both steps of the ladder, what the kernel may take after the last, and air.
const BOUND: Duration = Duration::from_millis(3600);
/// How long a test may take before it counts as hung.
const LONG: Duration = Duration::from_secs(60);

/// The server exits, and leaves processes that write to its stdout for ever.
async fn flooded(world: Arc<World>, setsid: bool) {
    let stdio = world.script("puppet.py").eof_grace(GRACE).term_grace(GRACE);
    let spec = ServerSpec::new("a", stdio).restart(RestartPolicy::never());
    let session = world.open([spec]).await;
    let server = session.server("a").unwrap();
    assert!(server.status().is_ready(), "{:?}", server.status());
    let began = Instant::now();
    let call = session.call("a.flood", json!({ "writers": 3, "setsid": setsid }));
    let error = timeout(LONG, call).await.unwrap().unwrap_err();
    assert!(began.elapsed() < AT_ONCE + START, "{:?}", began.elapsed());
    assert_eq!(error.kind(), "transport_down", "{error}");
    assert!(error.to_string().contains("exited with code 0"), "{error}");
    assert!(!server.status().is_ready(), "{:?}", server.status());
    await_status(&server, BOUND, |status| status.phase == Phase::Failed).await;
    timeout(BOUND, session.close()).await.unwrap();
    // A writer whose parent is gone is nobody's; one that writes into a closed pipe ends by itself.
    world::eventually(AT_ONCE, "the writers are gone", || world.processes().is_empty()).await;
}

#[test]
fn writers_that_a_server_leaves_on_its_stdout_hold_nobody() {
    world::run(async |world| flooded(world, false).await);
}

#[test]
fn writers_in_a_session_of_their_own_hold_nobody() {
    world::run(async |world| flooded(world, true).await);
}

#[test]
fn writers_hold_nobody_on_an_async_runtime_with_one_thread() {
    world::run_on_one_thread(LONG, async |world| {
        flooded(Arc::clone(&world), false).await;
        flooded(world, true).await;
    });
}

/// The host's only thread is busy while the server answers and exits; then it writes first.
#[test]
fn an_answer_in_the_pipe_counts_although_a_write_fails_first() {
    world::run_on_one_thread(LONG, async |world| {
        for round in 0..20 {
            let session = world.open_one(world.script("puppet.py")).await;
            let mut answered = session.call("a.leave", ());
            tokio::select! { biased; _ = &mut answered => {} () = std::future::ready(()) => {} }
            while !world.processes().is_empty() {
                std::thread::yield_now();
            }
            let mut refused = session.call("a.say", json!({ "result": "{}" }));
            tokio::select! { biased; _ = &mut refused => {} () = std::future::ready(()) => {} }
            let output = answered.await.unwrap_or_else(|error| panic!("round {round}: {error}"));
            assert_eq!(output.text(), "bye");
            assert_eq!(refused.await.unwrap_err().kind(), "transport_down");
            session.close().await;
        }
    });
}
