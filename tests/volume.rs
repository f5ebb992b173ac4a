//! However much a server writes, and however little it reads, the host's memory is bounded, its
//! calls end, and its other servers do not notice.

#[path = "support/world.rs"]
mod world;

use std::time::Duration;

use callboard::{
    Call, CallError, Delivery, Limits, Notification, Notifications, ServerSpec, Session,
};
use serde_json::{Value, json, value::to_raw_value};
use tokio::time::Instant;
use world::World;

const MB: usize = 1_000_000;

/// Opens a session over a server `a`, and `b` that has to stay unaffected by it.
async fn open(world: &World, a: ServerSpec) -> Session {
    let session = world.open([a, ServerSpec::new("b", world.hostile("normal"))]).await;
    for server in session.servers() {
        assert!(server.status().is_ready(), "{}: {:?}", server.name(), server.status());
    }
    session
}

/// Awaits a call of one server while another one is called again and again; returns the outcome
/// and the longest that the other took to answer.
async fn beside(session: &Session, call: Call) -> (Result<callboard::Output, CallError>, Duration) {
    let mut slowest = Duration::ZERO;
    let neighbour = async {
        loop {
            let began = Instant::now();
            let output = session.call("b.echo", json!({ "text": "x" })).await.unwrap();
            assert_eq!(output.text(), "x");
            slowest = slowest.max(began.elapsed());
            tokio::task::yield_now().await;
        }
    };
    let outcome = tokio::select! {
        outcome = call => outcome,
        () = neighbour => unreachable!(),
    };
    (outcome, slowest)
}

/// The most memory that this process held, in bytes.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

fn megabytes_since(before: usize) -> usize {
    (peak() - before) / MB
}

/// Check 8: the flood is drained all the time, into a bounded tail.
#[test]
fn a_flood_on_stderr_stops_nobody_and_is_bounded() {
    world::run(async |world| {
        let stdio = world.hostile("stderr-flood").args(["--size", "30000000"]);
        let before = peak();
        let session = open(&world, ServerSpec::new("a", stdio)).await;
        let call = session.call("a.echo", json!({ "text": "x" }));
        let (output, slowest) = beside(&session, call).await;
        assert_eq!(output.unwrap().text(), "x");
        assert!(slowest < Duration::from_secs(1), "the neighbour took {slowest:?}");
        let tail = session.server("a").unwrap().stderr_tail();
        assert!(tail.len() <= 200 && tail.concat().len() <= 64 << 10, "{} lines", tail.len());
        assert!(tail.iter().any(|line| *line == "E".repeat(199)));
        assert!(megabytes_since(before) < 16, "{} MB more", megabytes_since(before));
    });
}

/// How many notifications a reader got, and how many it was told that it missed.
async fn read_until(mut notifications: Notifications, last: &str) -> (u64, u64) {
    let (mut got, mut missed) = (0, 0);
    loop {
        match notifications.next().await.unwrap() {
            Notification::Lagged { missed: more } => missed += more,
            Notification::Message { params, .. } => {
                got += 1;
                let params: Value = serde_json::from_str(params.unwrap().get()).unwrap();
                if params["data"] == last {
                    return (got, missed);
                }
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Check 8: queues are bounded and say what they lost; changes of the list are coalesced.
#[test]
fn a_flood_of_notifications_delays_nobody_and_is_bounded() {
    world::run(async |world| {
        let log = world.folder().join("log");
        let stdio = world.hostile("notif-flood").args(["--count", "30000", "--log"]).arg(&log);
        let session = open(&world, ServerSpec::new("a", stdio)).await;
        let slow_reader = session.server("a").unwrap().notifications();
        let before = peak();
        let call = session.call("a.echo", json!({ "text": "x" }));
        let (output, slowest) = beside(&session, call).await;
        assert_eq!(output.unwrap().text(), "x");
        assert!(slowest < Duration::from_secs(1), "the neighbour took {slowest:?}");
        let (got, missed) = read_until(slow_reader, "flood 29997").await;
        assert!(got <= 256 && missed > 0, "{got} waited");
        assert_eq!(got + missed, 10_000, "what was not read is counted");
        let lists = world::log(&log).iter().filter(|one| one["method"] == "tools/list").count();
        assert!(lists < 30, "{lists} listings for ten thousand changes");
        assert!(megabytes_since(before) < 16, "{} MB more", megabytes_since(before));
    });
}

/// Check 7: ten megabytes for a server that does not read end at the deadline of the call.
#[test]
fn a_call_to_a_server_that_does_not_read_ends_at_its_deadline() {
    world::run(async |world| {
        let stdio = world.odd("deaf").eof_grace(Duration::ZERO);
        let session = open(&world, ServerSpec::new("a", stdio)).await;
        let text = "x".repeat(10 * MB);
        let limit = Duration::from_millis(500);
        for delivery in [Delivery::MaybeSent, Delivery::NotSent] {
            // The second waits behind the first, whose first bytes fill the pipe.
            let call = session.call("a.echo", json!({ "text": text })).total_timeout(limit);
            let began = Instant::now();
            let (outcome, slowest) = beside(&session, call).await;
            let error = outcome.unwrap_err();
            assert_eq!((error.kind(), error.delivery()), ("timed_out", delivery));
            let took = began.elapsed();
            assert!(took >= limit && took < limit + Duration::from_secs(2), "{took:?}");
            assert!(slowest < Duration::from_secs(1), "the neighbour took {slowest:?}");
        }
        let status = session.server("a").unwrap().status();
        assert!(status.is_ready() && status.epoch == 1, "{status:?}");
    });
}

#[test]
fn what_waits_for_a_server_that_does_not_read_is_bounded_in_bytes() {
    world::run(async |world| {
        let limits = Limits::default().with_max_call_bytes(25 * MB);
        let spec = ServerSpec::new("a", world.odd("deaf").eof_grace(Duration::ZERO)).limits(limits);
        let session = open(&world, spec).await;
        // Written beforehand, so that all three are under way before the first deadline.
        let arguments = to_raw_value(&json!({ "text": "x".repeat(10 * MB) })).unwrap();
        let call = || {
            let call = session.call("a.echo", arguments.clone());
            call.total_timeout(Duration::from_secs(2))
        };
        let (first, second, third) = tokio::join!(call(), call(), call());
        for error in [first, second].map(Result::unwrap_err) {
            assert_eq!(error.kind(), "timed_out");
        }
        let error = third.unwrap_err();
        assert_eq!((error.kind(), error.delivery()), ("overloaded", Delivery::NotSent));
        assert!(error.to_string().contains("max_call_bytes"), "{error}");
        let error = call().await.unwrap_err();
        assert_eq!(error.kind(), "timed_out", "the share of those that ended is free again");
    });
}

#[test]
fn ten_megabytes_of_arguments_arrive_whole() {
    world::run(async |world| {
        let session = world.open_one(world.hostile("normal")).await;
        let text = "é".repeat(5 * MB);
        let output = session.call("a.echo", json!({ "text": text })).await.unwrap();
        assert!(output.text() == text);
    });
}
