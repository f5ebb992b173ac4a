//! Async runtimes come and go around a supervision tree: nothing hangs, and its report is true.

#[path = "support/http_server.rs"]
mod http_server;
#[path = "support/remote.rs"]
mod remote;
#[path = "support/world.rs"]
mod world;

use std::{
    future::Future as _,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use callboard::{Phase, Runtime, ServerSpec};
use http_server::HttpServer;
use tokio::time::timeout;
use world::{World, eventually};

/// How long something may take before it counts as hung.
const LONG: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_secs(5);

fn two_threads() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Opens sessions for ever, and counts them.
async fn open_sessions(runtime: Runtime, opened: Arc<AtomicU32>) {
    loop {
        drop(runtime.session("s").open().await);
        opened.fetch_add(1, Ordering::Relaxed);
        tokio::task::yield_now().await;
    }
}

/// Drops an async runtime in the middle of the openings that run on it.
fn drop_while_opening(runtime: &Runtime, tokio: tokio::runtime::Runtime, sessions: u32) {
    let opened = Arc::new(AtomicU32::new(0));
    for _ in 0..2 {
        tokio.spawn(open_sessions(runtime.clone(), Arc::clone(&opened)));
    }
    while opened.load(Ordering::Relaxed) < sessions {
        std::thread::yield_now();
    }
    drop(tokio);
}

/// Over HTTP, a server is told in a message of its own that nobody waits any more.
#[test]
fn a_call_may_be_dropped_where_no_async_runtime_is() {
    world::run(async |world| {
        let server = HttpServer::session();
        let session = remote::open(&world, remote::remote(&server)).await;
        let mut call = Box::pin(session.call("a.hold", ()));
        assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        eventually(LONG, "it has the call", || {
            // Whoever holds a call over HTTP has to drive it.
            let _pending = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            server.held() == 1
        })
        .await;
        std::thread::spawn(move || drop(call)).join().unwrap();
        let told = || server.count("notifications/cancelled") == 1;
        eventually(LONG, "the server is told", told).await;
        remote::is_unharmed(&session).await;
    });
}

#[test]
fn an_async_runtime_that_opens_sessions_on_a_tree_of_another_can_be_dropped() {
    world::run(async |world| {
        let work = move || {
            let home = two_threads();
            for round in 0..150 {
                let runtime = home.block_on(Runtime::start());
                drop_while_opening(&runtime, two_threads(), round % 20);
                home.block_on(async {
                    let world = World::within(&world, runtime);
                    if round % 10 == 0 {
                        let session = world.open_one(world.echo()).await;
                        session.call("a.echo", ()).await.unwrap();
                    }
                    world.runtime.shutdown().await;
                    let report = world.runtime.leak_report();
                    assert!(report.is_empty(), "round {round}: {report}");
                });
            }
        };
        world::watched(LONG, work).await;
    });
}

#[test]
fn an_async_runtime_can_be_dropped_with_its_own_tree_while_sessions_open() {
    world::run(async |_| {
        let work = || {
            let other = two_threads();
            for round in 0..150 {
                let home = two_threads();
                let runtime = home.block_on(Runtime::start());
                drop_while_opening(&runtime, home, round % 20);
                let report = runtime.leak_report();
                assert!(report.is_empty(), "round {round}: {report}");
                other.block_on(runtime.shutdown());
            }
        };
        world::watched(LONG, work).await;
    });
}

/// Polls the opening of a session once, on an async runtime that may be gone.
fn poll_opening(runtime: &Runtime, handle: &tokio::runtime::Handle, spec: ServerSpec) {
    let _guard = handle.enter();
    let mut opening = Box::pin(runtime.session("late").server(spec).open());
    let outcome = opening.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    if let Poll::Ready(Ok(session)) = outcome {
        assert_eq!(session.server("a").unwrap().status().phase, Phase::Stopped);
    }
}

#[test]
fn a_session_that_is_opened_on_an_async_runtime_that_is_gone_hangs_nobody() {
    world::run(async |world| {
        let spec = move || ServerSpec::new("a", world.echo());
        let work = move || {
            let gone = two_threads();
            let handle = gone.handle().clone();
            let dead = gone.block_on(Runtime::start());
            drop(gone);
            poll_opening(&dead, &handle, spec());
            let home = two_threads();
            let alive = home.block_on(Runtime::start());
            poll_opening(&alive, &handle, spec());
            home.block_on(async {
                let session = alive.session("good").server(spec().required()).open().await.unwrap();
                session.call("a.echo", ()).await.unwrap();
                alive.shutdown().await;
                assert!(alive.leak_report().is_empty(), "{}", alive.leak_report());
            });
        };
        world::watched(LONG, work).await;
    });
}

#[test]
fn nothing_is_left_when_a_shutdown_returns_that_raced_with_openings() {
    world::run(async |world| {
        for round in 0..60 {
            let inner = Arc::new(World::within(&world, Runtime::start().await));
            let openings = (0..4).map(|_| {
                let world = Arc::clone(&inner);
                tokio::spawn(async move {
                    for _ in 0..3 {
                        let sleep = world.stdio("sleep").arg("777").eof_grace(Duration::ZERO);
                        let specs =
                            [ServerSpec::new("a", sleep), ServerSpec::new("b", world.echo())];
                        drop(world.runtime.session("s").servers(specs).open().await);
                    }
                })
            });
            let openings: Vec<_> = openings.collect();
            for _ in 0..round % 4 {
                tokio::task::yield_now().await;
            }
            inner.runtime.shutdown().await;
            let report = inner.runtime.leak_report();
            assert!(report.is_empty(), "round {round}: {report}");
            assert_eq!(world.processes(), [0; 0], "round {round}");
            for opening in openings {
                opening.await.unwrap();
            }
        }
    });
}

/// Calls until one fails, and says how that did.
async fn call_on(session: callboard::Session) -> &'static str {
    loop {
        if let Err(error) = session.call("a.echo", ()).await {
            return error.kind();
        }
    }
}

#[test]
fn a_report_is_true_after_the_async_runtime_was_dropped() {
    world::run(async |world| {
        for round in 0..10 {
            let outer = Arc::clone(&world);
            let home = two_threads();
            let opening = home.spawn(async move {
                let world = World::within(&outer, Runtime::start().await);
                (world.open_one(world.echo()).await, world.runtime.clone())
            });
            let (session, runtime) = opening.await.unwrap();
            let calls: Vec<_> = (0..8).map(|_| tokio::spawn(call_on(session.clone()))).collect();
            session.call("a.echo", ()).await.unwrap();
            assert!(!runtime.leak_report().is_empty());
            world::watched(LONG, move || drop(home)).await;
            for call in calls {
                let kind = timeout(SOON, call).await.expect("a call hangs").unwrap();
                assert!(kind != "timed_out", "round {round}: {kind}");
            }
            if runtime.leak_report().is_empty() {
                assert_eq!(world.processes(), [0; 0], "round {round}: the report knows of nothing");
            }
            timeout(SOON, session.close()).await.expect("the session does not close");
            timeout(SOON, runtime.shutdown()).await.expect("the shutdown hangs");
            eventually(SOON, "its process is gone", || world.processes().is_empty()).await;
            assert!(runtime.leak_report().is_empty(), "round {round}: {}", runtime.leak_report());
        }
    });
}
