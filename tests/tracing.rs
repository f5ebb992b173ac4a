//! What is traced: every change with its place in the tree, and nothing that a host would not want
//! in its log; and the traces that requests are part of.

#[path = "support/both.rs"]
mod both;
#[path = "support/capture.rs"]
mod capture;
#[path = "support/person.rs"]
mod person;
#[path = "support/world.rs"]
mod world;

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use callboard::{
    Backoff, FormAnswer, FormQuestion, Host, HostCapabilities, HostFuture, RestartPolicy,
    ServerSpec, Session, TraceContext,
};
use capture::{Told, captured, events, spans};
use rustix::process::Signal;
use serde_json::json;
use tokio::time::Instant;
use tracing::Instrument as _;
use world::{World, await_status, eventually};

const LONG: Duration = Duration::from_secs(30);

/// Runs a test whose traces are captured.
fn run<F: Future<Output = ()>>(test: impl FnOnce(Arc<World>) -> F) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    capture::begin();
    world::run(test);
}

/// A session over a server whose life is worth a trace.
async fn open(world: &World) -> Session {
    let backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(1));
    let stdio = world.script("puppet.py").env_literal("TOKEN", "s3cret-variable");
    let spec = ServerSpec::new("a", stdio).restart(RestartPolicy::on_failure().backoff(backoff));
    world.open([spec]).await
}

async fn epoch(session: &Session, epoch: u64) {
    let server = session.server("a").unwrap();
    await_status(&server, LONG, |status| status.is_ready() && status.epoch == epoch).await;
}

/// Start, a loss with a call in flight, a restart by hand, and the end.
async fn live_through_all(world: &World) {
    let session = open(world).await;
    let file = world.folder().join("never");
    let lost = tokio::spawn(session.call("a.wait", json!({ "file": file })));
    eventually(LONG, "the call is on its way", || !spans("call").is_empty()).await;
    world::signal(session.server("a").unwrap().status().pid.unwrap(), Signal::KILL);
    assert_eq!(lost.await.unwrap().unwrap_err().kind(), "transport_down");
    epoch(&session, 2).await;
    session.server("a").unwrap().restart();
    epoch(&session, 3).await;
    session.close().await;
}

#[test]
fn the_spans_form_a_tree_from_the_runtime_to_the_link() {
    run(async |world| {
        live_through_all(&world).await;
        let [(session, told)] = &spans("session")[..] else { panic!("{:?}", spans("session")) };
        assert_eq!(told.get("session.id"), "test");
        let root = captured(|all| all.spans[&told.parent.unwrap()].clone());
        assert_eq!((root.name, root.parent), ("runtime", None));
        let [(connection, told)] = &spans("connection")[..] else { panic!("one server") };
        assert_eq!((told.parent, told.get("server")), (Some(*session), "a"));
        let links = spans("link");
        assert_eq!(links.len(), 3);
        for ((_, link), epoch) in links.iter().zip(["1", "2", "3"]) {
            assert_eq!((link.parent, link.get("epoch")), (Some(*connection), epoch));
            assert_eq!(link.get("network.transport"), "pipe");
            assert_eq!(link.get("mcp.protocol.version"), "2025-11-25");
        }
    });
}

#[test]
fn every_change_of_a_status_is_one_event_in_the_span_of_its_connection() {
    run(async |world| {
        live_through_all(&world).await;
        let changes = events("callboard::status");
        let told = |one: &Told| {
            let fields = ["from", "to", "epoch", "pending", "restarts"].map(|field| one.get(field));
            fields.join(" ")
        };
        let seen: Vec<_> = changes.iter().map(told).collect();
        let wanted = [
            "idle starting 1 0 0",
            "starting ready 1 0 0",
            "ready backing_off 1 1 0",
            "backing_off starting 2 0 1",
            "starting ready 2 0 1",
            "ready backing_off 2 0 1",
            "backing_off starting 3 0 2",
            "starting ready 3 0 2",
            "ready stopping 3 0 2",
            "stopping stopped 3 0 2",
        ];
        assert_eq!(seen, wanted);
        let [(connection, _)] = &spans("connection")[..] else { panic!("one server") };
        assert!(changes.iter().all(|one| one.parent == Some(*connection)));
        let reasons: Vec<_> = changes.iter().map(|one| one.get("reason")).collect();
        assert!(reasons[2].contains("signal 9"), "{reasons:?}");
        assert!(reasons[5].contains("asked for a restart"), "{reasons:?}");
        assert_eq!(reasons.iter().filter(|reason| !reason.is_empty()).count(), 2, "{reasons:?}");
    });
}

#[test]
fn a_call_is_traced_in_the_span_of_its_caller() {
    run(async |world| {
        let session = open(&world).await;
        let span = tracing::info_span!("host");
        let host = span.id().unwrap().into_u64();
        let ok = session.call("a.say", json!({ "result": "{}" }));
        ok.instrument(span.clone()).await.unwrap();
        let odd = session.call("a.say", json!({ "result": "5" }));
        odd.instrument(span).await.unwrap_err();
        let calls = spans("call");
        let [(first, ok), (_, odd)] = &calls[..] else { panic!("{calls:?}") };
        for call in [ok, odd] {
            assert_eq!((call.parent, call.get("gen_ai.tool.name")), (Some(host), "a.say"));
            assert_eq!(call.get("mcp.method.name"), "tools/call");
            assert_eq!(call.get("gen_ai.operation.name"), "execute_tool");
        }
        assert_eq!((ok.get("outcome"), odd.get("outcome")), ("ok", "failed"));
        assert_eq!((odd.get("error.type"), odd.get("delivery")), ("invalid_response", "Answered"));
        let follows = captured(|all| all.follows.iter().find(|one| one.0 == *first).copied());
        let after = captured(|all| all.spans[&follows.unwrap().1].name);
        assert_eq!(after, "link", "a call is a consequence of the link that it goes over");
        let ended = events("callboard::call");
        let calls_ended = ended.iter().filter(|one| one.get("message") == "call ended");
        let ended: Vec<_> = calls_ended.map(|one| (one.parent, one.get("kind"))).collect();
        assert_eq!(ended, [(Some(*first), ""), (Some(calls[1].0), "invalid_response")]);
    });
}

#[test]
fn no_argument_no_result_and_no_value_of_the_environment_is_traced() {
    run(async |world| {
        let session = open(&world).await;
        let text = "{\"content\":[{\"type\":\"text\",\"text\":\"s3cret-result\"}]}";
        let arguments = json!({ "result": text, "key": "s3cret-argument" });
        let output = session.call("a.say", arguments.clone()).await.unwrap();
        assert_eq!(output.text(), "s3cret-result");
        session.call("a.say", json!({ "result": "\"s3cret-result\"" })).await.unwrap_err();
        session.call("a.say", json!(["s3cret-argument"])).await.unwrap_err();
        session.call("a.nothing", arguments.clone()).await.unwrap_err();
        let lost = session.call("a.wait", json!({ "file": "/s3cret-argument" }));
        lost.total_timeout(Duration::from_millis(100)).await.unwrap_err();
        session.call("a.leave", arguments).await.ok();
        epoch(&session, 2).await;
        session.close().await;
        let mut all = String::new();
        captured(|captured| write!(all, "{captured:?}").unwrap());
        assert!(all.contains("a.say") && all.contains("call ended"), "nothing was captured");
        let found =
            all.find("s3cret").map(|at| &all[at.saturating_sub(300)..all.len().min(at + 60)]);
        assert_eq!(found, None);
    });
}

#[test]
fn a_flood_on_stderr_is_traced_at_twenty_lines_a_second() {
    run(async |world| {
        let began = Instant::now();
        let stdio = world.hostile("stderr-flood").args(["--size", "3000000"]);
        let session = world.open_one(stdio).await;
        let left_out = || {
            let lines = events("callboard::stderr");
            lines.iter().map(|one| one.get("suppressed").parse::<u64>().unwrap()).sum::<u64>()
        };
        // The first line of the next second says how many of this one are left out.
        let mut calls = 0;
        let until_told = async {
            while calls < 5 || left_out() == 0 {
                session.call("a.echo", json!({ "text": "x" })).await.unwrap();
                calls += 1;
            }
        };
        tokio::time::timeout(4 * LONG, until_told).await.expect("none is ever left out");
        session.close().await;
        let seconds = began.elapsed().as_secs() + 1;
        let lines = events("callboard::stderr");
        let count = u64::try_from(lines.len()).unwrap();
        assert!(count >= 20 && count <= 20 * seconds, "{count} lines in {seconds} s");
        assert!(lines.iter().all(|one| !one.get("line").is_empty()), "{lines:?}");
        assert!(lines[..20].iter().all(|one| one.get("suppressed") == "0"), "{lines:?}");
        // So many lines come before whatever it does about a message; a start takes four of these.
        assert!(left_out() + count <= (calls + 4) * 15_000, "{} of {calls} calls", left_out());
    });
}

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// MCP 2026-07-28, basic: `_meta` (C44). From the first request on, whoever makes it.
#[test]
fn every_request_says_which_trace_it_is_part_of() {
    run(async |world| {
        for era in ["modern", "legacy"] {
            let context = || Some(TraceContext::new(PARENT).tracestate("a=1").baggage("b=2"));
            let spec = ServerSpec::new("a", both::server(&world, era)).required();
            let builder = world.runtime.session("test").trace_context(context).server(spec);
            let session = builder.open().await.unwrap();
            session.call("a.ping", json!({})).await.unwrap();
            session.close().await;
            let mut methods = BTreeSet::new();
            for message in world::log(&world.log_path()) {
                let method = message["method"].as_str().unwrap_or_default().to_owned();
                if message["id"].is_null() || method.is_empty() {
                    continue;
                }
                let meta = &message["params"]["_meta"];
                assert_eq!(meta["traceparent"], PARENT, "{era}: {message}");
                assert_eq!((&meta["tracestate"], &meta["baggage"]), (&json!("a=1"), &json!("b=2")));
                methods.insert(method);
            }
            let first = if era == "modern" { "server/discover" } else { "initialize" };
            for method in [first, "tools/list", "tools/call"] {
                assert!(methods.contains(method), "{era}: {method} in {methods:?}");
            }
            std::fs::remove_file(world.log_path()).unwrap();
        }
    });
}

/// The hook is asked within the span of the request, so that this is what the server's is a child of.
#[test]
fn the_host_is_asked_for_the_trace_within_the_span_of_the_request() {
    run(async |world| {
        let context = || {
            let (id, name) = capture::within()?;
            Some(TraceContext::new(format!("{name}-{id}")))
        };
        let spec = ServerSpec::new("a", both::server(&world, "modern")).required();
        let builder = world.runtime.session("test").trace_context(context).server(spec);
        let session = builder.open().await.unwrap();
        session.call("a.ping", json!({})).await.unwrap();
        let [(id, _)] = &spans("call")[..] else { panic!("one call") };
        let sent = both::got(&world, "tools/call");
        assert_eq!(sent[0]["params"]["_meta"]["traceparent"], format!("call-{id}"));
        let (id, listing) = spans("request")
            .into_iter()
            .find(|(_, one)| one.get("mcp.method.name") == "tools/list")
            .unwrap();
        let sent = both::got(&world, "tools/list");
        assert_eq!(sent[0]["params"]["_meta"]["traceparent"], format!("request-{id}"));
        let parent = captured(|all| all.spans[&listing.parent.unwrap()].name);
        assert_eq!(parent, "link");
        session.close().await;
    });
}

/// What a host is asked, with the trace it is part of and the span it was asked in.
#[derive(Clone, Default)]
struct Curious(Arc<Mutex<Vec<Asked>>>);

type Asked = (Option<TraceContext>, Option<&'static str>);

impl Host for Curious {
    fn capabilities(&self) -> HostCapabilities {
        HostCapabilities::default().elicitation_forms().roots()
    }

    fn fill(&self, question: FormQuestion) -> HostFuture<'_, FormAnswer> {
        let within = capture::within().map(|(_, name)| name);
        self.0.lock().unwrap().push((question.trace_context(), within));
        Box::pin(std::future::ready(FormAnswer::Decline))
    }
}

#[test]
fn the_host_learns_which_trace_a_question_of_a_server_is_part_of() {
    run(async |world| {
        for era in ["modern", "legacy"] {
            let host = Curious::default();
            let spec = ServerSpec::new("a", both::server(&world, era)).required();
            let builder = world.runtime.session("test").host(host.clone()).server(spec);
            let session = builder.open().await.unwrap();
            session.call("a.ask", json!({})).await.unwrap();
            let said = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
            let said = TraceContext::new(said).baggage("k=v");
            assert_eq!(*host.0.lock().unwrap(), [(Some(said), Some("question"))], "{era}");
            session.close().await;
            std::fs::remove_file(world.log_path()).unwrap();
        }
        let forms = spans("question");
        let forms: Vec<_> = forms
            .iter()
            .filter(|(_, one)| one.get("mcp.method.name") == "elicitation/create")
            .collect();
        assert_eq!(forms.len(), 2, "{forms:?}");
        assert!(forms.iter().all(|(_, one)| one.get("outcome") == "ok"), "{forms:?}");
        // The call that asks back, or the link that the server asked over.
        let parents: Vec<_> = forms
            .iter()
            .map(|(_, one)| captured(|all| all.spans[&one.parent.unwrap()].name))
            .collect();
        assert_eq!(parents, ["call", "link"]);
    });
}
