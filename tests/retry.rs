//! A call is tried again only where it cannot have been acted on, or where that does no harm.

#[path = "support/world.rs"]
mod world;

use std::{path::PathBuf, pin::Pin, task::Context, task::Waker, time::Duration};

use callboard::{
    Backoff, Call, CallError, CallLimit, CallOptions, Delivery, Output, RestartPolicy, RetryPolicy,
    ServerSpec, Session, WhenDown,
};
use rustix::process::Signal;
use serde_json::json;
use tokio::time::Instant;
use world::{World, await_status, eventually};

const LONG: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// A server whose pipe is cut where the plan says, and that counts how often it ran a tool.
struct Cutter {
    session: Session,
    plan: PathBuf,
    counter: PathBuf,
}

impl Cutter {
    async fn open(world: &World, retry: RetryPolicy, trusted: bool) -> Self {
        let (plan, counter) = (world.folder().join("plan"), world.folder().join("counter"));
        let script = world::root().join("tests/servers/cutter.py");
        let stdio = world.stdio("python3").args(["-ISE"]).arg(script).arg(&plan).arg(&counter);
        let soon = Backoff::new(Duration::from_millis(1), Duration::from_millis(2));
        let options = CallOptions::default().retry(retry).when_down(WhenDown::Wait);
        let spec = ServerSpec::new("a", stdio)
            .restart(RestartPolicy::on_failure().max_restarts(u32::MAX, HOUR).backoff(soon))
            .call_options(options)
            .required();
        let spec = if trusted { spec.trust_annotations() } else { spec };
        let session = world.runtime.session("cut").server(spec).open().await.unwrap();
        Self { session, plan, counter }
    }

    /// Calls a tool while the pipe is cut there, and counts how often it was run.
    async fn call(&self, tool: &str, cut: Option<&str>) -> (Result<Output, CallError>, usize) {
        self.call_with(tool, cut, "x").await
    }

    async fn call_with(
        &self,
        tool: &str,
        cut: Option<&str>,
        text: &str,
    ) -> (Result<Output, CallError>, usize) {
        std::fs::write(&self.counter, "").unwrap();
        if let Some(cut) = cut {
            std::fs::write(&self.plan, cut).unwrap();
        }
        let call = self.session.call(format!("a.{tool}"), json!({ "text": text }));
        let outcome = tokio::time::timeout(LONG, call).await.expect("it hangs");
        (outcome, self.runs())
    }

    fn runs(&self) -> usize {
        std::fs::read(&self.counter).unwrap().len()
    }

    /// Every place at which a call and its answer can be cut off.
    async fn every_byte(&self) -> Vec<String> {
        // The first epoch had a probe, so its numbers may be longer: the lengths of a later one.
        drop(self.call("act", Some("request 1")).await);
        let (whole, runs) = self.call("act", None).await;
        assert_eq!(runs, 1);
        let request: usize = whole.as_ref().unwrap().text().parse().unwrap();
        let answer = whole.unwrap().raw().len() + r#"{"jsonrpc":"2.0","id":1,"result":}"#.len();
        assert!(request > 100 && answer > 70);
        let requests = (0..=request).map(|count| format!("request {count}"));
        requests.chain((0..=answer).map(|count| format!("answer {count}"))).collect()
    }
}

fn eager() -> RetryPolicy {
    RetryPolicy::max_attempts(3).delay(Duration::from_millis(1))
}

/// FX-31, and check 14 of finding 1: `create_issue` is created once.
#[test]
fn a_tool_that_is_not_idempotent_runs_at_most_once_wherever_the_pipe_is_cut() {
    world::run(async |world| {
        let cutter = Cutter::open(&world, eager(), true).await;
        for cut in cutter.every_byte().await {
            let (outcome, runs) = cutter.call("act", Some(&cut)).await;
            assert!(runs <= 1, "{cut}: it ran {runs} times");
            match outcome {
                Ok(output) => assert_eq!((runs, output.is_error()), (1, false), "{cut}"),
                Err(error) => {
                    let got = (error.kind(), error.delivery());
                    assert_eq!(got, ("transport_down", Delivery::MaybeSent), "{cut}: {error}");
                }
            }
        }
    });
}

#[test]
fn an_idempotent_tool_of_a_trusted_server_is_tried_again_wherever_the_pipe_is_cut() {
    world::run(async |world| {
        let cutter = Cutter::open(&world, eager(), true).await;
        for cut in cutter.every_byte().await {
            let (outcome, runs) = cutter.call("get", Some(&cut)).await;
            assert!(!outcome.unwrap().is_error(), "{cut}");
            assert!((1..=2).contains(&runs), "{cut}: it ran {runs} times");
        }
    });
}

#[test]
fn a_frame_that_a_pipe_does_not_hold_runs_at_most_once_too() {
    world::run(async |world| {
        let cutter = Cutter::open(&world, eager(), true).await;
        let text = "x".repeat(150_000);
        for count in [0, 1, 4096, 65_535, 65_536, 65_537, 131_072, 150_000] {
            let cut = format!("request {count}");
            let (outcome, runs) = cutter.call_with("act", Some(&cut), &text).await;
            assert_eq!(runs, 0, "{cut}");
            assert_eq!(outcome.unwrap_err().delivery(), Delivery::MaybeSent, "{cut}");
        }
    });
}

/// C24: annotations are a server's own word.
#[test]
fn annotations_count_only_where_they_are_trusted_and_the_host_may_say_more() {
    world::run(async |world| {
        let cutter = Cutter::open(&world, eager(), false).await;
        let (outcome, runs) = cutter.call("get", Some("answer 0")).await;
        assert_eq!((outcome.unwrap_err().delivery(), runs), (Delivery::MaybeSent, 1));
        cutter.session.close().await;
        let cutter = Cutter::open(&world, eager().retry_unsafe(), false).await;
        let (outcome, runs) = cutter.call("act", Some("answer 0")).await;
        assert_eq!((outcome.unwrap().is_error(), runs), (false, 2));
    });
}

/// Sends a call here and now.
fn sent(call: Call) -> tokio::task::JoinHandle<Result<Output, CallError>> {
    let mut call = Box::pin(call);
    assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    tokio::spawn(call)
}

#[test]
fn what_never_left_is_tried_again_whatever_the_tool() {
    world::run(async |world| {
        let folder = world.folder();
        std::fs::write(folder.join("plan"), "deaf").unwrap();
        let cutter = Cutter::open(&world, eager(), false).await;
        std::fs::write(&cutter.counter, "").unwrap();
        let large = sent(cutter.session.call("a.act", json!({ "text": "x".repeat(3 << 20) })));
        let small = sent(cutter.session.call("a.act", json!({ "text": "x" })));
        let server = cutter.session.server("a").unwrap();
        let pid = server.status().pid.unwrap();
        std::fs::remove_file(&cutter.plan).unwrap();
        world::signal(pid, Signal::KILL);
        let error = large.await.unwrap().unwrap_err();
        assert_eq!((error.kind(), error.delivery()), ("transport_down", Delivery::MaybeSent));
        small.await.unwrap().unwrap();
        assert_eq!(cutter.runs(), 1);
    });
}

fn puppet(world: &World) -> ServerSpec {
    let log = world.folder().join("log");
    ServerSpec::new("a", world.script("puppet.py").arg("--log").arg(log)).required()
}

fn calls(world: &World) -> usize {
    let log = world::log(&world.folder().join("log"));
    log.iter().filter(|frame| frame["method"] == "tools/call").count()
}

fn cancels(world: &World) -> usize {
    let log = world::log(&world.folder().join("log"));
    log.iter().filter(|frame| frame["method"] == "notifications/cancelled").count()
}

/// FX-36, on the wire; check 9: each attempt is cancelled once.
#[test]
fn attempts_share_one_deadline() {
    world::run_on_one_thread(LONG, async |world| {
        let session = world.runtime.session("s").server(puppet(&world)).open().await.unwrap();
        let retry = RetryPolicy::max_attempts(10).without_jitter().retry_unsafe();
        let options = CallOptions::default()
            .retry(retry)
            .idle_timeout(Duration::from_secs(2))
            .total_timeout(Duration::from_secs(20));
        let tool = session.tool("a.wait").unwrap().with_options(&options);
        tokio::time::pause();
        let began = Instant::now();
        let error = tool.call(json!({ "file": "/none" })).await.unwrap_err();
        let took = began.elapsed();
        tokio::time::resume();
        // Attempts of 2 s each at 0, 3, 7 and 13 s; the pause of 8 s after the last does not fit.
        assert!((15_000..15_100).contains(&took.as_millis()), "{took:?}");
        let CallError::TimedOut { limit, delivery, .. } = error else { panic!("{error}") };
        assert_eq!((limit, delivery), (CallLimit::Idle, Delivery::MaybeSent));
        eventually(LONG, "four attempts came", || calls(&world) == 4).await;
        eventually(LONG, "each is cancelled", || cancels(&world) == 4).await;
    });
}

#[test]
fn the_last_attempt_has_what_is_left_of_the_deadline() {
    world::run_on_one_thread(LONG, async |world| {
        let session = world.runtime.session("s").server(puppet(&world)).open().await.unwrap();
        let retry = RetryPolicy::max_attempts(1).without_jitter().retry_unsafe();
        let options = CallOptions::default()
            .retry(retry)
            .idle_timeout(Duration::from_secs(3))
            .total_timeout(Duration::from_secs(5));
        let tool = session.tool("a.wait").unwrap().with_options(&options);
        tokio::time::pause();
        let began = Instant::now();
        let error = tool.call(json!({ "file": "/none" })).await.unwrap_err();
        let took = began.elapsed();
        tokio::time::resume();
        assert!((5000..5100).contains(&took.as_millis()), "{took:?}");
        let CallError::TimedOut { limit, after, .. } = error else { panic!("{error}") };
        assert_eq!((limit, after), (CallLimit::Total, Duration::from_secs(5)));
    });
}

/// Check 10: progress extends an attempt, and nothing extends the deadline of all.
#[test]
fn progress_extends_an_attempt_and_the_cap_over_all_holds() {
    world::run(async |world| {
        let session = world.runtime.session("s").server(puppet(&world)).open().await.unwrap();
        let options = CallOptions::default()
            .retry(eager().retry_unsafe())
            .idle_timeout(Duration::from_millis(1500))
            .total_timeout(Duration::from_secs(6));
        let tool = session.tool("a.progress").unwrap().with_options(&options);
        let done = tool.call(json!({ "times": 20, "ms": 100 })).await.unwrap();
        assert_eq!(done.text(), "done", "after longer than the idle limit");
        let error = tool.call(json!({ "times": 600, "ms": 100 })).await.unwrap_err();
        let CallError::TimedOut { limit, after, .. } = error else { panic!("{error}") };
        assert_eq!((limit, after), (CallLimit::Total, Duration::from_secs(6)));
        assert_eq!(calls(&world), 2, "one attempt each");
    });
}

/// Check 6: the restart policy decides how often a server is started, whatever its calls do.
#[test]
fn calls_that_wait_and_are_tried_again_do_not_start_a_server_more_often() {
    world::run(async |world| {
        let soon = Backoff::new(Duration::from_millis(5), Duration::from_millis(5));
        let starts = world.folder().join("starts");
        let stdio = world.hostile("fail-first").args(["--count", "100", "--state"]).arg(&starts);
        let spec = ServerSpec::new("a", stdio)
            .restart(RestartPolicy::on_failure().max_restarts(3, HOUR).backoff(soon))
            .call_options(CallOptions::default().retry(eager()).when_down(WhenDown::Wait))
            .lazy();
        let session = world.open([spec]).await;
        let calls = (0..5).map(|_| sent(session.call("a.echo", ())));
        for call in calls.collect::<Vec<_>>() {
            let error = call.await.unwrap().unwrap_err();
            assert_eq!((error.kind(), error.delivery()), ("not_ready", Delivery::NotSent));
        }
        let count = || std::fs::read_to_string(&starts).unwrap();
        assert_eq!(count(), "4");
        session.call("a.echo", ()).await.unwrap_err();
        assert_eq!(count(), "4");
    });
}

/// The host has to know that the server may have acted, although the last attempt never left.
#[test]
fn an_earlier_attempt_that_may_have_been_acted_on_is_not_forgotten() {
    world::run(async |world| {
        let spec = puppet(&world).restart(RestartPolicy::never());
        let session = world.runtime.session("s").server(spec).open().await.unwrap();
        let retry = RetryPolicy::max_attempts(2).delay(Duration::from_millis(5)).retry_unsafe();
        let tool = session.tool("a.wait").unwrap();
        let call = sent(
            tool.with_options(&CallOptions::default().retry(retry))
                .call(json!({ "file": "/none" })),
        );
        eventually(LONG, "it has arrived", || calls(&world) == 1).await;
        let server = session.server("a").unwrap();
        world::signal(server.status().pid.unwrap(), Signal::KILL);
        let error = call.await.unwrap().unwrap_err();
        assert_eq!((error.kind(), error.delivery()), ("transport_down", Delivery::MaybeSent));
        await_status(&server, LONG, |status| !status.is_ready()).await;
        let error =
            tool.with_options(&CallOptions::default().retry(retry)).call(()).await.unwrap_err();
        assert_eq!((error.kind(), error.delivery()), ("not_ready", Delivery::NotSent));
    });
}

#[test]
fn an_answer_is_never_asked_for_twice() {
    world::run(async |world| {
        let log = world.folder().join("log");
        let retry = eager().retry_unsafe();
        let spec = ServerSpec::new("a", world.hostile("normal").arg("--log").arg(&log))
            .call_options(CallOptions::default().retry(retry));
        let session = world.open([spec]).await;
        assert!(session.call("a.fail", ()).await.unwrap().is_error());
        assert_eq!(session.call("a.rpcerror", ()).await.unwrap_err().kind(), "rejected");
        let calls = world::log(&log).iter().filter(|event| event["method"] == "tools/call").count();
        assert_eq!(calls, 2);
    });
}

/// Check 9, in the middle of a pause and in the middle of an attempt.
#[test]
fn a_call_that_is_tried_again_can_be_cancelled_at_any_time() {
    world::run(async |world| {
        let session = world.runtime.session("s").server(puppet(&world)).open().await.unwrap();
        let retry = RetryPolicy::max_attempts(5).delay(HOUR / 60).retry_unsafe();
        let options = CallOptions::default().retry(retry).idle_timeout(HOUR);
        let tool = session.tool("a.wait").unwrap().with_options(&options);
        let token = tokio_util::sync::CancellationToken::new();
        let in_attempt = sent(tool.call(json!({ "file": "/none" })).cancel_on(token.clone()));
        let short = options.idle_timeout(Duration::from_millis(20));
        let in_pause = sent(
            tool.with_options(&short).call(json!({ "file": "/none" })).cancel_on(token.clone()),
        );
        eventually(LONG, "one is cancelled by its time limit", || cancels(&world) == 1).await;
        token.cancel();
        for call in [in_attempt, in_pause] {
            let error = call.await.unwrap().unwrap_err();
            assert_eq!((error.kind(), error.delivery()), ("cancelled", Delivery::MaybeSent));
        }
        eventually(LONG, "the other is cancelled too", || cancels(&world) == 2).await;
        let dropped = Pin::from(Box::new(tool.call(json!({ "file": "/none" }))));
        drop(tokio::time::timeout(Duration::from_millis(50), dropped).await);
        eventually(LONG, "and a dropped one", || cancels(&world) == 3).await;
    });
}
