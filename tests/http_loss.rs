//! A server behind a URL that is gone: nothing is sent twice, nobody is told that it is Ready, and it
//! is back in a new epoch as soon as it is back.

#[path = "support/http_server.rs"]
mod http_server;
#[path = "support/remote.rs"]
mod remote;
#[path = "support/world.rs"]
mod world;

use std::time::Duration;

use callboard::{
    CallError, CallOptions, ConnectError, Delivery, DownCause, Event, Events, HttpError, Phase,
    RateLimit, RestartPolicy, ServerError, ServerSpec, Status, StreamableHttp, WhenDown,
};
use http_server::{HttpServer, Step, status};
use remote::{LONG, ended, hold, is_unharmed, open, quick, ready_after, ready_in, remote};
use serde_json::json as object;
use tokio::time::Instant;
use world::{await_status, eventually};

/// How long a server stays away in these tests.
const AWAY: Duration = Duration::from_secs(2);

fn all() -> [HttpServer; 3] {
    [HttpServer::modern(), HttpServer::session(), HttpServer::sse()]
}

/// Asserts that a call reaches nobody, and says so.
fn is_not_sent(error: &CallError) {
    assert_eq!(error.delivery(), Delivery::NotSent, "{error:?}");
    match error {
        CallError::NotReady { .. } => {}
        CallError::TransportDown { .. } => {
            let cause = remote::http_error(error);
            assert!(matches!(*cause, HttpError::Connect { .. }), "{cause:?}");
        }
        other => panic!("{other:?}"),
    }
}

/// Asserts that a call met a connection that broke, whoever of the two came first, or reaches nobody.
fn is_lost(error: &CallError) {
    match error {
        CallError::TransportDown { .. } => {
            let cause = remote::http_error(error);
            if !matches!(*cause, HttpError::Broken { .. }) {
                is_not_sent(error);
            }
        }
        other => is_not_sent(other),
    }
}

/// The phases that were told until now, but for the first Ready, which may be told late.
fn told(events: &mut Events) -> Vec<Phase> {
    let mut phases = Vec::new();
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        let next = std::pin::pin!(events.next());
        match next.poll(&mut context) {
            std::task::Poll::Ready(Some(Event::Status { status, .. }))
                if !status.is_ready() || status.epoch > 1 =>
            {
                phases.push(status.phase);
            }
            std::task::Poll::Ready(Some(_)) => {}
            std::task::Poll::Ready(None) | std::task::Poll::Pending => return phases,
        }
    }
}

/// Asserts that a status tells of the connection that broke, or of one that could not be had since.
fn is_explained(lost: &Status) {
    match &lost.last_error {
        Some(ServerError::Down(reason)) => {
            assert!(matches!(reason.kind(), DownCause::Http(_)), "{reason:?}");
        }
        Some(ServerError::Connect(error)) => {
            assert!(matches!(**error, ConnectError::Http { .. }), "{error:?}");
        }
        _ => panic!("{lost:?}"),
    }
}

/// Check 12: "status never says `Ready` when it is not".
#[test]
fn a_server_that_is_gone_is_not_ready_until_it_is_back() {
    world::run(async |world| {
        for mut server in all() {
            let session = open(&world, remote(&server)).await;
            let handle = session.server("a").unwrap();
            let mut events = session.events();
            server.kill();
            is_lost(&ended(session.call("a.echo", ())).await.unwrap_err());
            let lost = await_status(&handle, LONG, |status| !status.is_ready()).await;
            is_explained(&lost);
            assert!(!told(&mut events).contains(&Phase::Ready));
            let until = Instant::now() + AWAY;
            while Instant::now() < until {
                is_not_sent(&ended(session.call("a.echo", ())).await.unwrap_err());
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            assert!(!told(&mut events).contains(&Phase::Ready));
            let away = handle.status();
            assert!(away.restarts > 3, "it is tried again: {away:?}");
            server.revive();
            await_status(&handle, LONG, ready_after(1)).await;
            session.call("a.echo", ()).await.unwrap();
        }
    });
}

/// kill -9 in the middle of calls, and back on the same port.
#[test]
fn a_server_that_is_killed_in_the_middle_of_calls_comes_back() {
    world::run(async |world| {
        for mut server in all() {
            let session = open(&world, remote(&server)).await;
            let handle = session.server("a").unwrap();
            for round in 1..=3 {
                let before = handle.status().epoch;
                let calls = hold(&session, &server, 50).await;
                server.kill();
                for call in calls {
                    let error = ended(async { call.await.unwrap() }).await.unwrap_err();
                    assert_eq!(error.kind(), "transport_down", "{error:?}");
                    assert_eq!(error.delivery(), Delivery::MaybeSent, "{error:?}");
                }
                await_status(&handle, LONG, |status| !status.is_ready()).await;
                server.revive();
                await_status(&handle, LONG, ready_after(before)).await;
                session.call("a.echo", ()).await.unwrap();
                assert_eq!(server.count("tools/call hold"), 50 * round, "nothing is sent twice");
            }
        }
    });
}

/// A restart so quick that nobody saw it leaves dead connections in the pool: a call that meets one
/// ends, with a true delivery, and the next ones work.
#[test]
fn a_quick_restart_costs_no_more_than_the_calls_that_meet_it() {
    world::run(async |world| {
        let mut server = HttpServer::modern();
        let session = open(&world, remote(&server)).await;
        let handle = session.server("a").unwrap();
        for n in 1..=10 {
            let warm = (0..8).map(|_| tokio::spawn(session.call("a.counter", ()).into_future()));
            for call in warm.collect::<Vec<_>>() {
                drop(call.await.unwrap());
            }
            server.kill();
            server.revive();
            let executed = server.executed();
            match ended(session.call("a.counter", ())).await {
                Ok(_) => assert_eq!(server.executed(), executed + 1),
                Err(error) if error.delivery() == Delivery::NotSent => {
                    assert_eq!(server.executed(), executed, "round {n}: {error:?}");
                }
                Err(error) => assert_eq!(error.kind(), "transport_down", "{error:?}"),
            }
            let deadline = Instant::now() + LONG;
            while session.call("a.echo", ()).await.is_err() {
                assert!(Instant::now() < deadline, "{:?}", handle.status());
                tokio::task::yield_now().await;
            }
        }
    });
}

#[test]
fn a_server_that_is_not_there_yet_is_waited_for() {
    world::run(async |world| {
        for mut server in all() {
            server.kill();
            let session = world.open([remote(&server)]).await;
            let handle = session.server("a").unwrap();
            let failed = |status: &Status| status.last_error.is_some();
            let failed = await_status(&handle, LONG, failed).await;
            let Some(ServerError::Connect(error)) = &failed.last_error else { panic!() };
            let ConnectError::Http { error: cause, .. } = &**error else { panic!("{error:?}") };
            assert!(matches!(**cause, HttpError::Connect { .. }), "{cause:?}");
            assert!(error.to_string().contains(&server.origin()), "{error}");
            server.revive();
            await_status(&handle, LONG, Status::is_ready).await;
            session.call("a.echo", ()).await.unwrap();
        }
    });
}

#[test]
fn a_server_that_stays_away_is_given_up_by_the_policy() {
    world::run(async |world| {
        let mut server = HttpServer::modern();
        let policy = RestartPolicy::on_failure()
            .max_restarts(3, remote::HOUR)
            .backoff(callboard::Backoff::new(Duration::from_millis(5), Duration::from_millis(20)));
        let session = open(&world, remote(&server).restart(policy)).await;
        let handle = session.server("a").unwrap();
        server.kill();
        is_lost(&ended(session.call("a.echo", ())).await.unwrap_err());
        let given_up = await_status(&handle, LONG, |status| status.phase == Phase::Failed).await;
        assert_eq!((given_up.epoch, given_up.restarts), (4, 3));
        server.revive();
        handle.restart();
        await_status(&handle, LONG, Status::is_ready).await;
        session.call("a.echo", ()).await.unwrap();
    });
}

/// One 500, or a stream that breaks, is no loss of the server: an uncached probe decides.
#[test]
fn a_broken_answer_is_not_a_lost_server() {
    world::run(async |world| {
        for server in all() {
            let session = open(&world, remote(&server)).await;
            let mut events = session.events();
            for fault in [|| vec![Step::Reset], || vec![Step::Close], || status(500)] {
                server.on("tools/call echo", move |_| fault());
                for _ in 0..5 {
                    let error = ended(session.call("a.echo", ())).await.unwrap_err();
                    assert_eq!(error.delivery(), Delivery::MaybeSent, "{error:?}");
                }
                is_unharmed(&session).await;
            }
            assert_eq!(told(&mut events), []);
        }
    });
}

fn probed(server: &HttpServer) -> ServerSpec {
    quick("a", StreamableHttp::new(server.url()).probe_every(Duration::from_millis(50)))
}

#[test]
fn an_idle_link_is_probed_where_the_host_wants_it() {
    world::run(async |world| {
        for (server, question) in [
            (HttpServer::modern(), "server/discover"),
            (HttpServer::session(), "ping"),
            (HttpServer::sse(), "ping"),
        ] {
            let session = open(&world, probed(&server)).await;
            let asked = server.count(question);
            eventually(LONG, "it is probed", || server.count(question) >= asked + 5).await;
            is_unharmed(&session).await;
            session.close().await;

            let session = open(&world, remote(&server)).await;
            let asked = server.requests().len();
            tokio::time::sleep(Duration::from_millis(300)).await;
            assert_eq!(server.requests().len(), asked, "nobody asked for a probe");
            session.close().await;
        }
    });
}

#[test]
fn a_probe_finds_out_that_an_idle_server_is_gone() {
    world::run(async |world| {
        for mut server in [HttpServer::modern(), HttpServer::session()] {
            server.configure(|settings| settings.get_stream = false);
            let session = open(&world, probed(&server)).await;
            let handle = session.server("a").unwrap();
            server.kill();
            await_status(&handle, LONG, |status| status.phase == Phase::BackingOff).await;
            server.revive();
            await_status(&handle, LONG, ready_after(1)).await;
            session.call("a.echo", ()).await.unwrap();
        }
    });
}

/// A server that hangs is as gone as one that refuses.
#[test]
fn a_probe_that_is_not_answered_is_the_end_of_the_link() {
    world::run(async |world| {
        for (server, question) in
            [(HttpServer::modern(), "server/discover"), (HttpServer::session(), "ping")]
        {
            let session = open(&world, probed(&server)).await;
            let handle = session.server("a").unwrap();
            server.on_first(1, question, |_| vec![Step::Hold]);
            let lost = await_status(&handle, LONG * 2, |status| !status.is_ready()).await;
            let Some(ServerError::Down(reason)) = &lost.last_error else { panic!("{lost:?}") };
            assert!(matches!(reason.kind(), DownCause::Unresponsive { .. }), "{reason:?}");
            await_status(&handle, LONG, ready_in(2)).await;
            session.call("a.echo", ()).await.unwrap();
            server.release();
        }
    });
}

/// Calls that time out show nothing of whether it is there, and do not put the probe off.
#[test]
fn a_server_that_hangs_is_found_out_however_many_calls_time_out() {
    world::run(async |world| {
        let every = Duration::from_millis(500);
        let spec =
            |server: &HttpServer| quick("a", StreamableHttp::new(server.url()).probe_every(every));
        let server = HttpServer::session();
        let session = open(&world, spec(&server)).await;
        let handle = session.server("a").unwrap();
        server.on("ping", |_| vec![Step::Hold]);
        server.on("tools/call echo", |_| vec![Step::Hold]);
        let hang = async {
            loop {
                let call = session.call("a.echo", object!({}));
                drop(call.total_timeout(every / 10).await);
            }
        };
        tokio::select! {
            () = hang => {}
            lost = await_status(&handle, LONG * 2, |status| !status.is_ready()) => {
                let Some(ServerError::Down(reason)) = &lost.last_error else { panic!("{lost:?}") };
                assert!(matches!(reason.kind(), DownCause::Unresponsive { .. }), "{reason:?}");
            }
        }
        server.release();
    });
}

/// Who waits for its server takes no turn: turns that pass while it is down are no calls at once.
#[test]
fn calls_that_waited_for_a_server_come_in_their_turns() {
    world::run(async |world| {
        let mut server = HttpServer::session();
        let limit = RateLimit::new(4, Duration::from_secs(1)).burst(1);
        let waiting = CallOptions::default().when_down(WhenDown::Wait);
        let spec = remote(&server).rate_limit(limit).call_options(waiting);
        let session = open(&world, spec).await;
        let handle = session.server("a").unwrap();
        server.kill();
        ended(session.call("a.echo", ())).await.unwrap_err();
        await_status(&handle, LONG, |status| status.phase == Phase::BackingOff).await;
        let calls: Vec<_> = (0..4).map(|_| tokio::spawn(session.call("a.echo", ()))).collect();
        tokio::time::sleep(Duration::from_secs(1)).await;
        server.revive();
        let began = Instant::now();
        for call in calls {
            call.await.unwrap().unwrap();
        }
        assert!(began.elapsed() >= Duration::from_millis(700), "{:?}", began.elapsed());
    });
}

#[test]
fn a_server_that_is_busy_is_not_probed_to_death() {
    world::run(async |world| {
        for server in all() {
            let session = open(&world, probed(&server)).await;
            let calls = hold(&session, &server, 20).await;
            let until = Instant::now() + Duration::from_millis(500);
            while Instant::now() < until {
                session.call("a.echo", object!({})).await.unwrap();
            }
            server.release();
            for call in calls {
                call.await.unwrap().unwrap();
            }
            is_unharmed(&session).await;
        }
    });
}

/// Nothing of a host's session is left on the server's side either.
#[test]
fn a_closed_session_leaves_no_request_behind() {
    world::run(async |world| {
        for server in all() {
            let session = open(&world, remote(&server)).await;
            let calls = hold(&session, &server, 20).await;
            tokio::time::timeout(LONG, session.close()).await.expect("closing hangs");
            for call in calls {
                let error = ended(async { call.await.unwrap() }).await.unwrap_err();
                assert_eq!(error.kind(), "session_closed", "{error:?}");
                assert_eq!(error.delivery(), Delivery::MaybeSent);
            }
            let open = || {
                let all = server.requests();
                all.iter().filter(|exchange| exchange.end().is_none()).count()
            };
            if !server.url().ends_with("/sse") {
                eventually(LONG, "no request is left", || open() == 0).await;
            }
            server.release();
        }
    });
}

/// A runtime keeps idle connections for its sessions, and none behind its shutdown.
#[test]
fn a_runtime_that_is_shut_down_keeps_no_connection() {
    world::run(async |world| {
        for server in all() {
            let runtime = callboard::Runtime::start().await;
            let inner = world::World::within(&world, runtime.clone());
            let session = open(&inner, remote(&server)).await;
            is_unharmed(&session).await;
            runtime.shutdown().await;
            drop((session, inner, runtime));
            eventually(LONG, "no connection is left", || server.connections().0 == 0).await;
        }
    });
}
