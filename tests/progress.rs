//! Progress shows that a call is alive, and no more than that.

#[path = "support/world.rs"]
mod world;

use std::time::Duration;

use callboard::{CallError, CallLimit, Delivery};
use serde_json::json;
use tokio::time::Instant;

/// For a machine that does other things too.
const LONG: Duration = Duration::from_secs(30);

#[test]
fn progress_extends_the_idle_limit_and_not_the_total() {
    world::run(async |world| {
        let log = world.folder().join("log");
        let session = world.open_one(world.script("puppet.py").arg("--log").arg(&log)).await;
        let idle = Duration::from_secs(1);
        let report = |times| session.call("a.progress", json!({ "times": times, "ms": 100 }));
        let began = Instant::now();
        let output = report(20).idle_timeout(idle).await.unwrap();
        assert_eq!(output.text(), "done");
        assert!(began.elapsed() > idle * 2, "{:?}", began.elapsed());
        let began = Instant::now();
        let total = Duration::from_millis(1500);
        let error = report(1000).idle_timeout(idle).total_timeout(total).await.unwrap_err();
        assert_eq!((error.kind(), error.delivery()), ("timed_out", Delivery::MaybeSent));
        let CallError::TimedOut { limit, after, .. } = error else { unreachable!() };
        assert_eq!((limit, after), (CallLimit::Total, total));
        assert!(began.elapsed() >= total && began.elapsed() < total + LONG);
        session.call("a.say", json!({ "result": "{}" })).await.unwrap();
        let told = world::log(&log);
        let told = told.iter().filter(|frame| frame["method"] == "notifications/cancelled");
        assert_eq!(told.count(), 1);
    });
}

#[test]
fn a_token_that_comes_back_as_a_string_counts_too() {
    world::run(async |world| {
        let session = world.open_one(world.script("puppet.py")).await;
        let idle = Duration::from_secs(1);
        let arguments = json!({ "times": 20, "ms": 100, "as": "string" });
        let output = session.call("a.progress", arguments).idle_timeout(idle).await.unwrap();
        assert_eq!(output.text(), "done");
    });
}
