//! However a session ends, nothing of it is left.

#[path = "support/world.rs"]
mod world;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use callboard::{
    Delivery, OpenError, Phase, RestartPolicy, Runtime, Secret, SecretString, ServerError,
    ServerSpec, Session, Stdio, TraceContext,
};
use tokio::time::{Instant, timeout};
use world::{World, await_status, eventually};

const LONG: Duration = Duration::from_secs(30);
const GRACE: Duration = Duration::from_millis(300);
/// Both steps of the ladder, and what the kernel may take after the last.
const LADDER: Duration = Duration::from_millis(1600);
/// Air for a machine that does other things too.
const AIR: Duration = Duration::from_secs(5);

fn quick(name: &str, stdio: Stdio) -> ServerSpec {
    ServerSpec::new(name, stdio.eof_grace(GRACE).term_grace(GRACE))
}

/// A shell that leaves a sleeper behind before it becomes the server.
fn shell(world: &World) -> Stdio {
    let line = format!("sleep 1000 & exec {} --echo-child", world::echo_server().display());
    world.stdio("sh").arg("-c").arg(line)
}

/// A server that has a child in a session of its own, and exits at the end of its stdin at once.
fn stranger(world: &World) -> Stdio {
    let code = "import os, subprocess, sys; null = subprocess.DEVNULL; \
                subprocess.Popen(['sleep', '1000'], start_new_session=True, stdin=null); \
                os.execv(sys.argv[1], sys.argv[1:])";
    world.stdio("python3").args(["-c", code]).arg(world::echo_server()).arg("--echo-child")
}

/// Servers that end well, badly, and not at all by themselves; one that never gets ready.
fn zoo(world: &World) -> [ServerSpec; 6] {
    [
        quick("good", world.echo()),
        quick("deaf", world.hostile("ignore-term")),
        quick("parent", world.hostile("grandchild")),
        quick("shell", shell(world)),
        quick("busy", world.script("fault.py")),
        quick("silent", world.hostile("no-init")),
    ]
}

/// How many processes the zoo has: one a server, and two others.
const ZOO: usize = 8;

/// Opens the zoo, with a call in flight.
async fn open_zoo(world: &World) -> Session {
    let session = world.runtime.session("zoo").servers(zoo(world)).open().await.unwrap();
    for server in session.servers().iter().filter(|server| server.name() != "silent") {
        server.ready().await.unwrap();
    }
    // Not dropped, so not cancelled, by this function.
    drop(tokio::spawn(session.call("busy.hold", ())));
    eventually(LONG, "all live", || world.processes().len() == ZOO).await;
    session
}

async fn is_empty(world: &World) {
    let bound = LADDER + AIR;
    eventually(bound, "no process is left", || world.processes().is_empty()).await;
    eventually(bound, "nothing is left", || world.runtime.leak_report().is_empty()).await;
}

/// Check 4, as the others here that end a session in another way.
#[test]
fn nothing_is_left_when_close_returns() {
    world::run(async |world| {
        let session = open_zoo(&world).await;
        let began = Instant::now();
        session.close().await;
        assert!(began.elapsed() < LADDER + AIR, "{:?}", began.elapsed());
        assert_eq!(world.processes(), [0; 0]);
        let report = world.runtime.leak_report();
        assert!(report.is_empty(), "{report}");
        assert!(session.servers().iter().all(|one| one.status().phase == Phase::Stopped));
    });
}

#[test]
fn nothing_is_left_after_the_last_handle_is_dropped() {
    world::run(async |world| {
        let session = open_zoo(&world).await;
        let others = (session.servers(), session.tool("good.echo").unwrap(), session.events());
        let clone = session.clone();
        drop(session);
        clone.call("good.echo", ()).await.unwrap();
        drop(clone);
        is_empty(&world).await;
        let error = others.1.call(()).await.unwrap_err();
        assert_eq!((error.kind(), error.delivery()), ("session_closed", Delivery::NotSent));
        assert!(others.0.iter().all(|one| one.status().phase == Phase::Stopped));
    });
}

#[test]
fn nothing_is_left_after_the_outer_scope_is_cancelled() {
    world::run(async |world| {
        let hold = async {
            let _session = open_zoo(&world).await;
            std::future::pending::<()>().await;
        };
        let all = || async {
            eventually(LONG, "all live", || world.processes().len() == ZOO).await;
        };
        tokio::select! { () = hold => {} () = all() => {} }
        is_empty(&world).await;
        let in_task = Arc::clone(&world);
        let task = tokio::spawn(async move {
            let session = open_zoo(&in_task).await;
            session.call("busy.hold", ()).await
        });
        all().await;
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        is_empty(&world).await;
    });
}

#[test]
fn nothing_is_left_after_an_opening_was_cancelled_at_any_moment() {
    world::run(async |world| {
        for ms in (0..60).step_by(3) {
            let required = zoo(&world).map(ServerSpec::required);
            let open = world.runtime.session("s").servers(required).open();
            assert!(timeout(Duration::from_millis(ms), open).await.is_err());
        }
        is_empty(&world).await;
    });
}

#[test]
fn nothing_is_left_after_the_task_of_the_host_panicked() {
    world::run(async |world| {
        let in_task = Arc::clone(&world);
        let task = tokio::spawn(async move {
            let _session = open_zoo(&in_task).await;
            std::panic::resume_unwind(Box::new("a defect of the host"));
        });
        assert!(task.await.unwrap_err().is_panic());
        is_empty(&world).await;
    });
}

/// Code of the host runs in a start: what provides secrets, and what says which trace is on.
#[test]
fn a_panic_of_the_host_within_a_start_is_the_end_of_that_start_alone() {
    world::run(async |world| {
        let panics = Arc::new(AtomicUsize::new(2));
        let left = Arc::clone(&panics);
        let provider = move |_: String| {
            let left = Arc::clone(&left);
            async move {
                if left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok() {
                    std::panic::resume_unwind(Box::new("a defect of the host"));
                }
                Ok(SecretString::from("secret"))
            }
        };
        let faulty = world.echo().env_from("KEY", Secret::provider("key"));
        let session = world.runtime.session("s").secret_provider(provider);
        let session = session.servers([quick("a", faulty), quick("b", world.echo())]);
        let session = session.open().await.unwrap();
        let server = session.server("a").unwrap();
        let status = await_status(&server, LONG, |status| status.is_ready()).await;
        assert_eq!((status.epoch, panics.load(SeqCst)), (3, 0));
        let Some(ServerError::Connect(error)) = &status.last_error else { panic!("{status:?}") };
        assert!(error.to_string().contains("panic"), "{error}");
        session.call("a.echo", ()).await.unwrap();
        session.call("b.echo", ()).await.unwrap();
        session.close().await;
        is_empty(&world).await;
    });
}

#[test]
fn a_panic_in_a_handshake_leaves_no_process_and_nobody_waiting() {
    world::run(async |world| {
        let panicking = || -> Option<TraceContext> {
            std::panic::resume_unwind(Box::new("a defect of the host"))
        };
        let policy = RestartPolicy::never();
        let spec = ServerSpec::new("a", world.echo()).required().restart(policy);
        let session = world.runtime.session("s").trace_context(panicking).server(spec);
        let error = timeout(LONG, session.open()).await.unwrap().unwrap_err();
        assert!(matches!(error, OpenError::Required(_)), "{error:?}");
        is_empty(&world).await;
    });
}

#[test]
fn nothing_is_left_when_the_shutdown_of_the_runtime_returns() {
    world::run(async |world| {
        let session = open_zoo(&world).await;
        let other = world.open([quick("a", world.echo())]).await;
        world.runtime.shutdown().await;
        assert_eq!(world.processes(), [0; 0]);
        let report = world.runtime.leak_report();
        assert!(report.is_empty(), "{report}");
        for (session, tool) in [(&session, "good.echo"), (&other, "a.echo")] {
            let error = session.call(tool, ()).await.unwrap_err();
            assert_eq!(error.kind(), "session_closed");
            session.close().await;
        }
        let again = world.runtime.session("late").server(quick("a", world.echo())).open().await;
        assert!(matches!(again, Err(OpenError::RuntimeClosed)));
    });
}

/// Opens a session on an async runtime of its own, which is then dropped without a word.
fn drop_async_runtime<F: Future<Output = Session>>(
    open: impl FnOnce(Arc<World>) -> F + Send + 'static,
) {
    world::run(async |world| {
        let outer = Arc::clone(&world);
        let thread = tokio::task::spawn_blocking(move || {
            let tokio = tokio::runtime::Runtime::new().unwrap();
            let held = tokio.block_on(async {
                let world = Arc::new(World::within(&outer, Runtime::start().await));
                (Arc::clone(&world), open(world).await)
            });
            drop(tokio);
            drop(held);
        });
        thread.await.unwrap();
        is_empty(&world).await;
    });
}

#[test]
fn nothing_is_left_after_the_async_runtime_was_dropped_without_a_word() {
    drop_async_runtime(async |world| open_zoo(&world).await);
}

#[test]
fn no_stranger_is_left_after_the_async_runtime_was_dropped_without_a_word() {
    drop_async_runtime(async |world| {
        let session = world.open([quick("stranger", stranger(&world))]).await;
        eventually(LONG, "both live", || world.processes().len() == 2).await;
        session
    });
}

#[test]
fn a_server_that_ignores_every_request_to_end_is_killed_in_time() {
    world::run(async |world| {
        let log = world.folder().join("log");
        let stdio = world.hostile("ignore-term").arg("--log").arg(&log);
        let session = world.open([quick("a", stdio)]).await;
        let began = Instant::now();
        session.close().await;
        let took = began.elapsed();
        assert!(took >= GRACE * 2 && took < LADDER + AIR, "{took:?}");
        let log = world::log(&log);
        let told: Vec<_> = log.iter().filter(|event| event["ev"] != "recv").collect();
        let told: Vec<_> = told.iter().map(|event| event["ev"].as_str().unwrap()).collect();
        assert_eq!(told, ["start", "eof", "signal"], "{log:?}");
        assert_eq!(log.last().unwrap()["sig"], "SIGTERM");
    });
}

#[test]
fn descendants_in_a_session_of_their_own_go_with_their_server() {
    world::run(async |world| {
        for round in 0..10 {
            let setsid = quick("setsid", world.hostile("grandchild-setsid"));
            let session = world.open([setsid, quick("stranger", stranger(&world))]).await;
            eventually(LONG, "all live", || world.processes().len() == 4).await;
            session.close().await;
            assert_eq!(world.processes(), [0; 0], "round {round}");
        }
    });
}
