//! The names of everything that is traced, and the traces that requests are part of.

#[path = "support/both.rs"]
mod both;
#[path = "support/capture.rs"]
mod capture;
#[path = "support/http_server.rs"]
mod http_server;
#[path = "support/person.rs"]
mod person;
#[path = "support/world.rs"]
mod world;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use callboard::{
    Alarm, CallOptions, CircuitBreaker, FormAnswer, FormQuestion, Host, HostCapabilities,
    HostFuture, Phase, RestartPolicy, RetryPolicy, ServerSnapshot, ServerSpec, Session,
    StreamableHttp, TraceContext,
};
use capture::{Told, captured, events, spans};
use http_server::HttpServer;
use serde_json::json;
use tokio::sync::Notify;
use world::{World, await_status, eventually};

const LONG: Duration = Duration::from_secs(30);

fn run<F: Future<Output = ()>>(test: impl FnOnce(Arc<World>) -> F) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    capture::begin();
    world::run(test);
}

/// A row of the tables at the head of the module `telemetry`.
#[derive(Debug)]
struct Row {
    name: String,
    is_span: bool,
    levels: String,
    target: Option<String>,
    fields: BTreeSet<String>,
}

/// What stands in a cell between backticks.
fn quoted(cell: &str) -> impl Iterator<Item = String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned)
}

fn documented() -> Vec<Row> {
    let text = include_str!("../src/telemetry.rs");
    let lines = text.split("# Metrics").next().unwrap().lines();
    let cells = lines.filter_map(|line| line.strip_prefix("//! | "));
    let rows: Vec<Row> = cells
        .filter_map(|line| {
            let cells: Vec<&str> = line.split('|').collect();
            let is_span = cells[2].contains("nothing")
                || ["runtime", "session", "connection", "caller", "link"]
                    .iter()
                    .any(|place| cells[2].contains(place));
            let target = quoted(cells[2]).find(|name| name.starts_with("callboard::"));
            Some(Row {
                name: quoted(cells[0]).next()?,
                is_span: is_span && target.is_none(),
                levels: cells[1].trim().to_owned(),
                target,
                fields: quoted(cells[3]).collect(),
            })
        })
        .collect();
    assert_eq!(rows.iter().filter(|row| row.is_span).count(), 7, "{rows:?}");
    rows
}

/// Everything of this crate that was told; an event by its message.
fn told() -> Vec<(String, Told)> {
    captured(|all| {
        let spans = all.spans.values().map(|span| (span.name.to_owned(), span.clone()));
        let events = all.events.iter().map(|one| (one.get("message").to_owned(), one.clone()));
        let all = spans.chain(events);
        all.filter(|(_, told)| told.target.starts_with("callboard")).collect()
    })
}

/// Asserts that something is told as it is documented.
fn check(rows: &[Row], name: &str, told: &Told) {
    let row = rows.iter().find(|row| row.name == name && row.is_span == told.is_span);
    let row = row.unwrap_or_else(|| panic!("{name:?} is nowhere documented: {told:?}"));
    let level = told.level.to_string();
    assert!(row.levels.split(", ").any(|one| one == level), "{level}: {row:?}");
    if !told.is_span {
        assert_eq!(row.target.as_deref(), Some(told.target.as_str()), "{row:?}");
    }
    let fields: BTreeSet<String> =
        told.names.iter().filter(|name| **name != "message").map(|name| (*name).into()).collect();
    assert_eq!(fields, row.fields, "{name}");
}

/// Answers a form with what does not fit it.
struct Careless;

impl Host for Careless {
    fn capabilities(&self) -> HostCapabilities {
        HostCapabilities::default().elicitation_forms().roots()
    }

    fn fill(&self, _: FormQuestion) -> HostFuture<'_, FormAnswer> {
        let content = json!({ "age": "old" }).as_object().unwrap().clone();
        Box::pin(std::future::ready(FormAnswer::Accept(content)))
    }
}

async fn open(world: &World, specs: impl IntoIterator<Item = ServerSpec>) -> Session {
    world.open(specs).await
}

/// Losses, restarts, a server that is given up, and its calls.
async fn live_badly(world: &World) {
    let failed = |server: &ServerSnapshot| server.phase == Phase::Failed;
    let raised = Arc::new(Notify::new());
    let tell = Arc::clone(&raised);
    let alert = world.runtime.alert("failed", failed, move |alarm: Alarm| {
        tell.notify_one();
        assert!(alarm.raised, "a callback that panics");
    });
    let breaker = CircuitBreaker::default().threshold(1);
    let hangs = ServerSpec::new("hangs", world.hostile("hang-call")).circuit_breaker(breaker);
    let gone = ServerSpec::new("gone", world.stdio("/no/such/program"));
    let dies = ServerSpec::new("dies", world.hostile("exit-after").args(["--count", "1"]));
    let specs = vec![
        hangs,
        gone.restart(RestartPolicy::never()),
        dies.restart(RestartPolicy::never()),
        ServerSpec::new("noisy", world.hostile("stdout-noise")),
        ServerSpec::new("odd", world.hostile("wrong-shape")),
        ServerSpec::new("strays", world.hostile("wrong-id")),
        ServerSpec::new("asks", world.hostile("server-requests")),
        ServerSpec::new("talks", world.hostile("stderr-flood").args(["--size", "1000"])),
    ];
    let session = open(world, specs).await;
    assert_eq!(session.server("gone").unwrap().status().phase, Phase::Failed);
    let echo = |server: &str| session.call(format!("{server}.echo"), json!({ "text": "x" }));
    let short = Duration::from_millis(100);
    echo("hangs").total_timeout(short).await.unwrap_err();
    assert_eq!(echo("hangs").await.unwrap_err().kind(), "circuit_open");
    let again = CallOptions::default().retry(RetryPolicy::max_attempts(2));
    echo("dies").await.unwrap_err();
    let dies = session.server("dies").unwrap();
    await_status(&dies, LONG, |status| status.phase == Phase::Failed).await;
    echo("dies").with_options(&again).await.unwrap_err();
    echo("noisy").await.unwrap();
    echo("strays").total_timeout(short).await.unwrap_err();
    echo("asks").await.unwrap();
    echo("talks").await.unwrap();
    raised.notified().await;
    session.close().await;
    eventually(LONG, "it is cleared, and panics", || {
        !events("callboard::alert").is_empty()
            && events("callboard::alert").iter().any(|one| one.get("message") == "alert panicked")
    })
    .await;
    drop(alert);
}

/// What goes well, with everything that a server and its host have to ask.
async fn live_well(world: &World) {
    for era in ["modern", "legacy"] {
        let spec = ServerSpec::new("a", both::server(world, era)).required();
        let session = world.runtime.session("test").host(Careless).server(spec).open().await;
        let session = session.unwrap();
        session.call("a.ping", json!({})).await.unwrap();
        session.call("a.ask", json!({})).await.unwrap();
        session.server("a").unwrap().restart();
        session.server("a").unwrap().ready().await.unwrap();
        session.close().await;
        std::fs::remove_file(world.log_path()).unwrap();
    }
    let server = HttpServer::session();
    let blind = StreamableHttp::new(server.url()).danger_accept_invalid_certificates();
    let checks = CallOptions::default().check_arguments(callboard::SchemaCheck::Warn);
    let echo = ServerSpec::new("echo", world.echo()).call_options(checks);
    let session = open(world, [ServerSpec::new("a", blind), echo]).await;
    session.call("a.echo", json!({ "text": "x" })).await.unwrap();
    session.call("echo.echo", json!({ "text": 5 })).await.ok();
    session.close().await;
}

/// Not told here: an actor that dies of a defect, which nobody can bring about from outside, and a URL
/// of a scheme that the host does not take, which no server here asks for.
const UNTOLD: [&str; 5] = [
    "actor died",
    "ledger not kept",
    "orphans ended",
    "url of other scheme",
    "watchdog not started",
];

#[test]
fn everything_that_is_traced_is_documented_and_everything_documented_is_traced() {
    run(async |world| {
        live_badly(&world).await;
        live_well(&world).await;
        let (rows, told) = (documented(), told());
        told.iter().for_each(|(name, told)| check(&rows, name, told));
        let seen: BTreeSet<&str> = told.iter().map(|(name, _)| name.as_str()).collect();
        let unseen: Vec<&str> =
            rows.iter().map(|row| row.name.as_str()).filter(|name| !seen.contains(name)).collect();
        let mut untold = UNTOLD;
        untold.sort_unstable();
        let mut unseen = unseen;
        unseen.sort_unstable();
        assert_eq!(unseen, untold, "documented, and never traced");
    });
}

#[test]
fn a_call_over_http_says_where_it_went() {
    run(async |world| {
        let server = HttpServer::session();
        let url = format!("{}?key=hidden", server.url());
        let spec = ServerSpec::new("a", StreamableHttp::new(url)).required();
        let session = open(&world, [spec]).await;
        assert!(session.servers()[0].status().is_ready(), "{:?}", session.servers()[0].status());
        session.call("a.echo", json!({ "text": "x" })).await.unwrap();
        session.call("a.nosuch", json!({})).await.unwrap_err();
        let [(_, call)] = &spans("call")[..] else { panic!("one call left: {:?}", spans("call")) };
        let (port, bare) = (server.port().to_string(), format!("{}/mcp", server.origin()));
        let sent = server.only("tools/call echo");
        let http_session = sent.request.header("mcp-session-id");
        for (field, value) in [
            ("otel.name", "tools/call a.echo"),
            ("otel.kind", "client"),
            ("gen_ai.tool.name", "a.echo"),
            ("mcp.tool.name", "echo"),
            ("mcp.connection.mode", "session"),
            ("mcp.server.url", bare.as_str()),
            ("mcp.protocol.version", "2025-11-25"),
            ("mcp.session.id", http_session.unwrap()),
            ("network.transport", "tcp"),
            ("network.protocol.name", "http"),
            ("server.address", "127.0.0.1"),
            ("server.port", port.as_str()),
            ("outcome", "ok"),
            ("error.type", ""),
        ] {
            assert_eq!(call.get(field), value, "{field}");
        }
        let methods: Vec<_> =
            spans("request").iter().map(|(_, one)| one.get("mcp.method.name").to_owned()).collect();
        assert!(methods.contains(&"initialize".to_owned()), "{methods:?}");
        assert!(methods.contains(&"tools/list".to_owned()), "{methods:?}");
        session.close().await;
        let all = captured(|all| format!("{all:?}"));
        assert!(!all.contains("hidden"), "the query of the URL is traced");
    });
}

#[test]
fn how_a_call_failed_stands_in_its_span() {
    run(async |world| {
        let session = open(&world, [ServerSpec::new("a", world.script("puppet.py"))]).await;
        let failed = r#"{"content":[],"isError":true}"#;
        session.call("a.say", json!({ "result": failed })).await.unwrap();
        let file = world.folder().join("never");
        let waits = session.call("a.wait", json!({ "file": file }));
        let waits = tokio::spawn(waits);
        eventually(LONG, "it waits", || spans("call").len() == 2).await;
        waits.abort();
        waits.await.unwrap_err();
        let calls = spans("call");
        let seen = |at: usize| {
            ["outcome", "error.type", "otel.status_code"].map(|field| calls[at].1.get(field))
        };
        assert_eq!(seen(0), ["tool_error", "tool_error", "ERROR"]);
        assert_eq!(seen(1), ["cancelled", "", ""]);
        let ended = events("callboard::call");
        let outcomes: Vec<_> = ended
            .iter()
            .filter(|one| one.get("message") == "call ended")
            .map(|one| one.get("outcome"))
            .collect();
        assert_eq!(outcomes, ["tool_error", "cancelled"]);
        session.close().await;
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
