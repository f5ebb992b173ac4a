//! The names and fields of everything that is traced.

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
    fs::Permissions,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::Path,
    process::Command,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use callboard::{
    Alarm, CallOptions, CircuitBreaker, FormAnswer, FormQuestion, Host, HostCapabilities,
    HostDeath, HostFuture, Phase, RestartPolicy, RetryPolicy, Runtime, ServerSnapshot, ServerSpec,
    Session, StreamableHttp,
};
use capture::{Told, captured, events, spans};
use http_server::HttpServer;
use serde_json::json;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
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
        HostCapabilities::default().elicitation_forms().elicitation_urls().roots()
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
        if era == "legacy" {
            session.call("a.visit", json!({})).await.unwrap();
        }
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

/// A folder for ledgers that anybody can write to, and one in which a dead host has left a server.
async fn follow_others(world: &World) {
    let start = async |folder: &Path, mode| {
        std::fs::set_permissions(folder, Permissions::from_mode(mode)).unwrap();
        let runtime = Runtime::builder().host_death(HostDeath::default().ledger_in(folder));
        runtime.start().await.shutdown().await;
    };
    let [open, left] = ["open", "left"].map(|name| world.folder().join(name));
    std::fs::create_dir(&open).unwrap();
    start(&open, 0o777).await;
    std::fs::create_dir(&left).unwrap();
    let mut server = Command::new("sleep");
    let mut server = server.arg("1000").envs(world.marked()).process_group(0).spawn().unwrap();
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.id())).unwrap();
    // proc(5): the 22nd field, the third being the first behind the name.
    let began = stat.rsplit(") ").next().unwrap().split(' ').nth(19).unwrap();
    let ledger = format!("callboard 1 {} 0\n+ {} {began} \"s\"\n", boot.trim(), server.id());
    std::fs::write(left.join("1.ledger"), ledger).unwrap();
    start(&left, 0o700).await;
    server.wait().unwrap();
}

/// What nobody can bring about from outside; the tests of the module `telemetry` do so from inside.
const UNTOLD: [&str; 2] = ["actor died", "watchdog not started"];

#[test]
fn everything_that_is_traced_is_documented_and_everything_documented_is_traced() {
    run(async |world| {
        live_badly(&world).await;
        live_well(&world).await;
        follow_others(&world).await;
        let orphans = events("callboard::process");
        let count = orphans.iter().find(|one| one.get("message") == "orphans ended");
        assert_eq!(count.map(|one| one.get("count")), Some("1"), "{orphans:?}");
        let (rows, told) = (documented(), told());
        told.iter().for_each(|(name, told)| check(&rows, name, told));
        let seen: BTreeSet<&str> = told.iter().map(|(name, _)| name.as_str()).collect();
        let unseen: Vec<&str> =
            rows.iter().map(|row| row.name.as_str()).filter(|name| !seen.contains(name)).collect();
        let unseen = BTreeSet::from_iter(unseen);
        assert_eq!(unseen, BTreeSet::from(UNTOLD), "documented, and never traced");
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
        let token = CancellationToken::new();
        let waits = session.call("a.wait", json!({ "file": file })).cancel_on(token.clone());
        let waits = tokio::spawn(waits);
        eventually(LONG, "another waits", || spans("call").len() == 3).await;
        token.cancel();
        assert_eq!(waits.await.unwrap().unwrap_err().kind(), "cancelled");
        let calls = spans("call");
        let seen = |at: usize| {
            let fields = ["outcome", "error.type", "otel.status_code", "delivery"];
            fields.map(|field| calls[at].1.get(field))
        };
        assert_eq!(seen(0), ["tool_error", "tool_error", "ERROR", ""]);
        assert_eq!(seen(1), ["cancelled", "", "", ""], "dropped");
        assert_eq!(seen(2), ["cancelled", "", "", ""], "by its token");
        let ended = events("callboard::call");
        let outcomes: Vec<_> = ended
            .iter()
            .filter(|one| one.get("message") == "call ended")
            .map(|one| one.get("outcome"))
            .collect();
        assert_eq!(outcomes, ["tool_error", "cancelled", "cancelled"]);
        session.close().await;
    });
}

#[test]
fn what_a_request_names_and_how_it_was_refused_stands_in_its_span() {
    run(async |world| {
        let spec = ServerSpec::new("a", both::server(&world, "legacy")).required();
        let session = open(&world, [spec]).await;
        let server = session.server("a").unwrap();
        server.prompt("p", [("x", "y")]).await.unwrap();
        server.resource("note://a?key=hidden").read().await.unwrap();
        server.resource("note://none").read().await.unwrap_err();
        let refused = session.call("a.refuse", json!({})).await.unwrap_err();
        assert_eq!(refused.kind(), "rejected");
        session.close().await;
        let told = |name: &str, method: &str| {
            let all = spans(name).into_iter().map(|(_, one)| one);
            let all: Vec<Told> = all.filter(|one| one.get("mcp.method.name") == method).collect();
            let sent = both::got(&world, method);
            let ids: Vec<String> = sent.iter().map(|message| message["id"].to_string()).collect();
            let told: Vec<&str> = all.iter().map(|one| one.get("jsonrpc.request.id")).collect();
            assert_eq!(told, ids, "{method}");
            let fields = [
                "gen_ai.prompt.name",
                "mcp.resource.uri",
                "outcome",
                "error.type",
                "rpc.response.status_code",
            ];
            let values = |one: &Told| fields.map(|field| one.get(field).to_owned());
            all.iter().map(values).collect::<Vec<_>>()
        };
        assert_eq!(told("request", "prompts/get"), [["p", "", "ok", "", ""]]);
        let [read, missing] =
            [["", "note://a", "ok", "", ""], ["", "note://none", "failed", "-32002", "-32002"]];
        assert_eq!(told("request", "resources/read"), [read, missing]);
        assert_eq!(told("call", "tools/call"), [["", "", "failed", "-32050", "-32050"]]);
    });
}
