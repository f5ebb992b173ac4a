//! What is in front of calls, for servers behind a URL.
#![cfg(feature = "http")]

#[path = "support/http_server.rs"]
mod http_server;
#[path = "support/remote.rs"]
mod remote;
#[path = "support/world.rs"]
mod world;

use std::time::Duration;

use callboard::{BreakerState, CallOptions, CircuitBreaker, Delivery, Phase, RetryPolicy, Status};
use http_server::{HttpServer, Step, status, whole};
use remote::{LONG, remote};
use serde_json::json;
use tokio::time::Instant;
use world::await_status;

const SECOND: Duration = Duration::from_secs(1);

fn retry() -> CallOptions {
    CallOptions::default().retry(RetryPolicy::max_attempts(2).delay(Duration::from_millis(1)))
}

/// Answers the next call of `echo` so, and those after it properly.
fn first(server: &HttpServer, plan: impl Fn() -> Vec<Step> + Send + Sync + 'static) {
    server.behave();
    server.on_first(1, "tools/call echo", move |_| plan());
}

fn busy(seconds: &'static str) -> Vec<Step> {
    whole(429, &[("Retry-After", seconds)], "busy")
}

#[test]
fn retry_after_is_honoured_within_the_deadline() {
    world::run(async |world| {
        let server = HttpServer::modern();
        let session = world.open([remote(&server).call_options(retry())]).await;
        first(&server, || busy("1"));
        let began = Instant::now();
        session.call("a.echo", json!({ "text": "x" })).await.unwrap();
        assert!(began.elapsed() >= SECOND, "{:?}", began.elapsed());
        assert_eq!(server.count("tools/call echo"), 2);
        first(&server, || busy("30"));
        let began = Instant::now();
        let call = session.call("a.echo", json!({ "text": "x" })).total_timeout(10 * SECOND);
        let error = call.await.unwrap_err();
        assert_eq!((error.kind(), error.retry_after()), ("http_status", Some(30 * SECOND)));
        assert!(began.elapsed() < 5 * SECOND, "{:?}", began.elapsed());
        assert_eq!(server.count("tools/call echo"), 3);
    });
}

#[test]
fn a_status_after_which_it_may_have_run_is_not_followed_by_another_try() {
    world::run(async |world| {
        let server = HttpServer::modern();
        let session = world.open([remote(&server).call_options(retry())]).await;
        first(&server, || status(503));
        let error = session.call("a.echo", json!({ "text": "x" })).await.unwrap_err();
        assert_eq!((error.kind(), error.delivery()), ("http_status", Delivery::MaybeSent));
        assert_eq!(server.count("tools/call echo"), 1);
        let harmless = RetryPolicy::max_attempts(2).delay(SECOND / 100).retry_unsafe();
        first(&server, || status(503));
        let call = session.call("a.echo", json!({ "text": "x" }));
        call.with_options(&CallOptions::default().retry(harmless)).await.unwrap();
        assert_eq!(server.count("tools/call echo"), 3);
    });
}

#[test]
fn a_breaker_counts_statuses_of_a_server_that_fails_and_no_others() {
    world::run(async |world| {
        let server = HttpServer::modern();
        let breaker = CircuitBreaker::default().threshold(2);
        let session = world.open([remote(&server).circuit_breaker(breaker)]).await;
        let state = || session.server("a").unwrap().status().breaker.unwrap();
        for code in [500, 400, 503, 429] {
            first(&server, move || status(code));
            session.call("a.echo", json!({ "text": "x" })).await.unwrap_err();
            assert_eq!(state(), BreakerState::Closed, "{code}");
        }
        for code in [500, 502] {
            first(&server, move || status(code));
            session.call("a.echo", json!({ "text": "x" })).await.unwrap_err();
        }
        assert!(matches!(state(), BreakerState::Open { .. }));
        let sent = server.count("tools/call echo");
        let error = session.call("a.echo", json!({ "text": "x" })).await.unwrap_err();
        assert_eq!((error.kind(), server.count("tools/call echo")), ("circuit_open", sent));
    });
}

/// FX-01: no socket before the first use; FX-16; and no socket after the last.
#[test]
fn a_server_behind_a_url_is_lazy_and_stops_when_idle_and_is_opened_per_call() {
    world::run(async |world| {
        let server = HttpServer::modern();
        let lazy = remote(&server).lazy().stop_when_idle(SECOND / 5);
        let session = world.runtime.session("s").server(lazy).open().await.unwrap();
        assert_eq!(server.connections(), (0, 0));
        let handle = session.server("a").unwrap();
        for epoch in 1..=2 {
            session.call("a.echo", json!({ "text": "x" })).await.unwrap();
            assert_eq!(handle.status().epoch, epoch);
            await_status(&handle, LONG, |status: &Status| status.phase == Phase::Idle).await;
        }
        session.close().await;
        let before = server.count("server/discover");
        let each = remote(&server).per_call();
        let session = world.runtime.session("s").server(each).open().await.unwrap();
        for opened in 0..2 {
            assert_eq!(server.count("server/discover") - before, opened + opened.min(1));
            session.call("a.echo", json!({ "text": "x" })).await.unwrap();
        }
    });
}
