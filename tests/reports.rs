//! What a person sees of a failure: each picture is of a real one, and was looked at in a terminal.

#[path = "support/capture.rs"]
mod capture;
#[path = "support/http_server.rs"]
mod http_server;
#[path = "support/remote.rs"]
mod remote;
#[path = "support/tls.rs"]
mod tls;
#[path = "support/world.rs"]
mod world;

use std::{io::Write as _, net::TcpListener, time::Duration};

use callboard::{
    CallError, Report, RestartPolicy, ServerSpec, Session, Stdio, StreamableHttp, Transport,
};
use http_server::{Dialect, HttpServer, json as json_answer, refusal, status, whole};
use remote::LONG;
use serde_json::json;
use tls::{Authority, server};
use world::{World, await_status};

/// A server that is started once.
fn once(transport: impl Into<Transport>) -> ServerSpec {
    ServerSpec::new("git", transport).restart(RestartPolicy::never())
}

/// Why a server did not start.
async fn failure(world: &World, spec: ServerSpec) -> Report {
    let session = world.open([spec]).await;
    let server = session.server("git").unwrap();
    await_status(&server, LONG, |status| status.last_error.is_some()).await;
    let report = server.report().unwrap();
    session.close().await;
    report
}

/// The report of a program that ends as it starts.
async fn program(world: &World, stdio: Stdio) -> Report {
    let mut report = failure(world, once(stdio)).await;
    // What had left by then is a matter of luck.
    report.record.retain(|entry| entry.kind == callboard::EntryKind::Noise);
    report
}

/// As [`program`], for one that says why on stderr: it may have ended before all of that was read.
async fn complaint(world: &World, code: &str, stdio: impl Fn() -> Stdio) -> Report {
    for _ in 0..50 {
        let report = program(world, stdio()).await;
        if cause(&report) == code {
            return report;
        }
    }
    panic!("no {code} in 50 starts");
}

fn picture(world: &World, name: &str, report: &Report) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let folder = world.folder().display().to_string();
    settings.add_filter(&folder, "[folder]");
    settings.add_filter(r"127\.0\.0\.1:\d+", "127.0.0.1:[port]");
    settings.add_filter(r" +\d+\.\d{3} s", " 0.000 s");
    settings.add_filter(r" +\d+ B ", " 000 B ");
    settings.add_filter(r"/\S+/python3", "python3");
    settings.add_filter(r"node:internal\S*|Node\.js v\S+", "[node]");
    settings.bind(|| insta::assert_snapshot!(name, report.to_string()));
    // To be looked at: `SHOW=1 cargo test --test reports -- --nocapture --test-threads 1`.
    if std::env::var_os("SHOW").is_some() {
        let mut terminal = std::io::stdout();
        writeln!(terminal, "{}", report.sheet().color(true)).unwrap();
    }
}

fn cause(report: &Report) -> &str {
    report.cause.as_ref().map_or("", |cause| cause.code)
}

async fn failed(session: &Session, tool: &str, arguments: serde_json::Value) -> CallError {
    session.call(tool, arguments).await.unwrap_err()
}

#[test]
fn a_command_that_is_not_on_the_path_of_the_child() {
    world::run(async |world| {
        let npx = world.stdio("npx").env_literal("PATH", world.folder());
        picture(&world, "command_not_found", &program(&world, npx).await);
    });
}

#[test]
fn a_module_of_python_that_is_missing() {
    world::run(async |world| {
        let report = complaint(&world, "python_module_missing", || {
            world.stdio("python3").args(["-c", "from mcp_that_is_nowhere import FastMCP"])
        });
        picture(&world, "python_module_missing", &report.await);
    });
}

#[test]
fn a_module_of_node_that_is_missing() {
    world::run(async |world| {
        let report = complaint(&world, "node_module_missing", || {
            world.stdio("node").arg("/nowhere/build/index.js")
        })
        .await;
        let sentence = report.cause.unwrap().sentence;
        assert!(sentence.contains("Cannot find module '/nowhere/build/index.js'"), "{sentence}");
    });
}

#[test]
fn a_variable_that_is_missing() {
    world::run(async |world| {
        let report = complaint(&world, "variable_missing", || {
            world.stdio("sh").args(["-c", "echo 'Error: GITHUB_TOKEN is required' >&2; exit 1"])
        });
        picture(&world, "variable_missing", &report.await);
    });
}

#[test]
fn a_banner_on_stdout() {
    world::run(async |world| {
        let chatty =
            world.stdio("sh").args(["-c", "echo 'Git server v1.2, ready to serve'; exit 3"]);
        picture(&world, "stdout_banner", &program(&world, chatty).await);
    });
}

#[test]
fn a_program_that_is_no_server() {
    world::run(async |world| {
        picture(&world, "ended_at_once", &program(&world, world.stdio("true")).await);
    });
}

#[test]
fn a_program_that_is_silent() {
    world::run(async |world| {
        let silent = once(world.stdio("sleep").arg("600")).init_timeout(Duration::from_secs(2));
        let mut report = failure(&world, silent).await;
        assert_eq!(report.record[0].method.as_deref(), Some("server/discover"), "{report:?}");
        // Whether `initialize` has followed by then is a matter of luck.
        report.record.truncate(1);
        picture(&world, "silent", &report);
    });
}

#[test]
fn a_server_that_is_killed_under_a_call() {
    world::run(async |world| {
        let session = world.open([once(world.hostile("hang-call"))]).await;
        let handle = session.server("git").unwrap();
        let call = session.call("git.echo", json!({ "text": "hello" }));
        let call = tokio::spawn(async move { call.await.unwrap_err() });
        let sent = || {
            handle
                .record()
                .entries()
                .iter()
                .any(|entry| entry.method.as_deref() == Some("tools/call"))
        };
        world::eventually(LONG, "the call is sent", sent).await;
        world::signal(handle.status().pid.unwrap(), rustix::process::Signal::KILL);
        let report = call.await.unwrap().report();
        assert_eq!(report.exit, Some(callboard::Exit::Signal(9)));
        picture(&world, "killed", &report);
    });
}

#[test]
fn a_tool_that_hangs_and_one_that_is_nowhere() {
    world::run(async |world| {
        let session = world.open([once(world.hostile("normal"))]).await;
        let sleep = session.call("git.sleep", json!({ "ms": 600_000 }));
        let late = sleep.idle_timeout(Duration::from_secs(1)).await.unwrap_err();
        picture(&world, "timed_out", &late.report());
        let unknown = failed(&session, "git.ecko", json!({})).await;
        picture(&world, "unknown_tool", &unknown.report());
    });
}

#[test]
fn arguments_that_are_refused() {
    world::run(async |world| {
        let server = HttpServer::modern();
        server.on("tools/call echo", |request| {
            json_answer(200, &refusal(request, -32602, "text: Required"))
        });
        let session = world.open([once(StreamableHttp::new(server.url()))]).await;
        let report = failed(&session, "git.echo", json!({ "txt": "hello" })).await.report();
        assert_eq!(
            report.received.as_ref().and_then(|entry| entry.id),
            report.sent.as_ref().and_then(|entry| entry.id)
        );
        picture(&world, "rejected", &report);
    });
}

#[test]
fn an_answer_that_breaks_off_and_a_version_of_the_future() {
    world::run(async |world| {
        let session = world.open([once(world.odd("malformed"))]).await;
        let torn = failed(&session, "git.echo", json!({})).await;
        picture(&world, "answer_torn", &torn.report());
        let future = failure(&world, once(world.odd("future-only"))).await;
        picture(&world, "unsupported_version", &future);
    });
}

#[test]
fn nobody_there_a_page_instead_and_a_login_that_is_wanted() {
    world::run(async |world| {
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let refused =
            failure(&world, once(StreamableHttp::new(format!("http://{nobody}/mcp")))).await;
        picture(&world, "connection_refused", &refused);
        let page = || {
            let html = "<!doctype html>\n<title>Sign in</title>\n<form>…</form>\n";
            whole(200, &[("Content-Type", "text/html; charset=utf-8")], html)
        };
        for name in ["wrong_path", "unauthorized", "web_page"] {
            let server = HttpServer::modern();
            for what in ["server/discover", "initialize", "GET"] {
                server.on(what, move |_| match name {
                    "wrong_path" => status(404),
                    "unauthorized" => status(401),
                    _ => page(),
                });
            }
            let error = failure(&world, once(StreamableHttp::new(server.url()))).await;
            picture(&world, name, &error);
        }
    });
}

#[test]
fn a_certificate_that_nobody_trusts() {
    world::run(async |world| {
        let server = server(Dialect::Modern, &Authority::new("theirs").sign("127.0.0.1"), None);
        let url = server.url().replace("http://", "https://");
        let error = failure(&world, once(StreamableHttp::new(url))).await;
        picture(&world, "certificate_unknown", &error);
    });
}

#[test]
fn a_session_that_was_not_opened() {
    world::run(async |world| {
        let absent = once(world.stdio("mcp-server-gti").env_literal("PATH", world.folder()));
        let opening = world.runtime.session("test").server(absent.required()).open();
        let report = opening.await.unwrap_err().report();
        assert_eq!(report.related[0].server.as_deref(), Some("git"));
        picture(&world, "required", &report);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["related"][0]["cause"]["code"], "command_not_found", "{json}");
    });
}
