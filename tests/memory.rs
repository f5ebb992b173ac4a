//! FX-33, FX-40, TX-41: servers in this very process, which work as remote ones do.
#![cfg(feature = "testing")]

#[path = "support/world.rs"]
mod world;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use callboard::{
    Backoff, Change, Memory, MemoryListener, RestartPolicy, Runtime, ServerSpec, Topics,
    TransportKind,
    testing::{Client, Era, Fault, Server},
};
use rmcp::{
    ServerHandler, ServiceExt as _, handler::server::wrapper::Parameters, tool, tool_handler,
    tool_router,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    time::timeout,
};

const SOON: Duration = Duration::from_secs(10);

fn spec(server: &Server) -> ServerSpec {
    let backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(10));
    let policy = RestartPolicy::on_failure().backoff(backoff).max_restarts(100_000, SOON);
    ServerSpec::new("a", server.transport()).restart(policy).required()
}

fn offering(era: Era) -> Server {
    let server = Server::speaking(era);
    server.tool("add", |arguments| async move {
        let (a, b) = (arguments["a"].as_i64(), arguments["b"].as_i64());
        a.zip(b).map(|(a, b)| json!({ "sum": a + b })).ok_or_else(|| "no numbers".to_owned())
    });
    server.resource("note://a", || "noted".to_owned());
    server.prompt("greet", |arguments| format!("Greet {}", arguments["who"]));
    server
}

#[test]
fn a_server_in_memory_works_as_any_other_in_both_eras() {
    world::run(async |world| {
        for (era, version) in [(Era::Modern, "2026-07-28"), (Era::Legacy, "2025-11-25")] {
            let server = offering(era);
            let session = world.runtime.session("test").server(spec(&server)).open().await.unwrap();
            let status = session.server("a").unwrap().status();
            assert_eq!(status.transport, Some(TransportKind::Memory));
            assert_eq!(status.protocol_version.as_deref(), Some(version));
            let output = session.call("a.add", json!({ "a": 2, "b": 3 })).await.unwrap();
            assert_eq!(output.structured::<Value>().unwrap().unwrap()["sum"], 5);
            let failed = session.call("a.add", json!({})).await.unwrap();
            assert!(failed.is_error() && failed.text() == "no numbers", "{}", failed.raw());
            assert_eq!(server.calls().len(), 2);
            let handle = session.server("a").unwrap();
            assert_eq!(handle.resource("note://a").read().await.unwrap().text(), "noted");
            let missing = handle.resource("note://b").read().await.unwrap_err();
            assert_eq!(missing.kind(), "resource_not_found");
            let prompt = handle.prompt("greet", [("who", "Ada")]).await.unwrap();
            assert!(prompt.raw().contains(r#"Greet \"Ada\""#), "{prompt:?}");
            let mut changes = handle.subscribe(Topics::new().resource("note://a"));
            // Told again until it listens.
            let change = loop {
                server.touch("note://a");
                let next = timeout(Duration::from_millis(20), changes.next()).await;
                if let Ok(change) = next {
                    break change.unwrap();
                }
            };
            assert!(matches!(change, Change::ResourceUpdated { .. }), "{change:?}");
            server.tool("more", |_| async { Ok(json!("!")) });
            let listed = || session.tool("a.more").is_some();
            world::eventually(SOON, "the new tool is listed", listed).await;
            session.close().await;
            server.stop().await;
        }
    });
}

#[test]
fn faults_are_a_switch() {
    world::run(async |world| {
        let server = offering(Era::Modern);
        let session = world.runtime.session("test").server(spec(&server)).open().await.unwrap();
        let sum = || session.call("a.add", json!({ "a": 1, "b": 1 })).idle_timeout(SOON);
        server.fault(Fault::Error(-32000));
        assert_eq!(sum().await.unwrap_err().kind(), "rejected");
        server.fault(Fault::Hang);
        let error = sum().idle_timeout(Duration::from_millis(30)).await.unwrap_err();
        assert_eq!(error.kind(), "timed_out");
        server.fault(Fault::Garbage);
        let error = sum().idle_timeout(Duration::from_millis(30)).await.unwrap_err();
        assert_eq!(error.kind(), "timed_out");
        assert!(session.server("a").unwrap().skipped_lines() >= 1);
        server.fault(Fault::Disconnect);
        assert_eq!(sum().await.unwrap_err().kind(), "transport_down");
        server.fault(Fault::None);
        timeout(SOON, session.server("a").unwrap().ready()).await.unwrap().unwrap();
        assert_eq!(sum().await.unwrap().text(), r#"{"sum":2}"#);
        session.close().await;
        server.stop().await;
    });
}

#[test]
fn a_stopped_server_is_down_until_it_starts_again() {
    world::run(async |world| {
        let server = offering(Era::Legacy);
        let session = world.runtime.session("test").server(spec(&server)).open().await.unwrap();
        let handle = session.server("a").unwrap();
        server.stop().await;
        let refused = world::await_status(&handle, SOON, |status| {
            let error = status.last_error.as_ref().map(ToString::to_string).unwrap_or_default();
            error.contains("no server listens")
        });
        refused.await;
        let error = session.call("a.add", json!({})).await.unwrap_err();
        assert_eq!(error.kind(), "not_ready", "{error}");
        server.start();
        timeout(SOON, handle.ready()).await.unwrap().unwrap();
        assert!(session.call("a.add", json!({ "a": 1, "b": 2 })).await.is_ok());
        session.close().await;
        server.stop().await;
    });
}

#[test]
fn a_client_for_tests_needs_one_line() {
    world::run(async |_world| {
        let server = offering(Era::Modern);
        let client = Client::connect(server.transport()).await.unwrap();
        let output = client.execute_tool("add", json!({ "a": 20, "b": 22 })).await.unwrap();
        assert_eq!(output.text(), r#"{"sum":42}"#);
        assert_eq!(client.read_resource("note://a").await.unwrap().text(), "noted");
        assert_eq!(client.session().tools().len(), 1);
        client.close().await;
        server.stop().await;
        assert!(Client::connect(server.transport()).await.is_err());
    });
}

#[derive(Clone)]
struct Sdk;

#[tool_router]
impl Sdk {
    #[tool(description = "Says it again")]
    fn echo(&self, Parameters(said): Parameters<rmcp::model::JsonObject>) -> String {
        said["text"].as_str().unwrap().to_owned()
    }
}

#[tool_handler]
impl ServerHandler for Sdk {}

/// What listens at the other end may be any server, such as one on the protocol's own SDK.
/// Answers as a server that lets its list of tools hold for a second, and has another tool each time.
async fn lets_its_list_hold(mut listener: MemoryListener, lists: Arc<AtomicUsize>) {
    let (read, mut write) = tokio::io::split(listener.accept().await);
    let mut lines = BufReader::new(read).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        let message: Value = serde_json::from_str(&line).unwrap();
        let result = match message["method"].as_str().unwrap() {
            "server/discover" => json!({
                "supportedVersions": ["2026-07-28"], "capabilities": { "tools": {} },
                "serverInfo": { "name": "s", "version": "1" }, "resultType": "complete",
            }),
            "tools/list" => {
                let tool = format!("tool-{}", lists.fetch_add(1, Ordering::SeqCst));
                let tool = json!({ "name": tool, "inputSchema": { "type": "object" } });
                json!({ "tools": [tool], "ttlMs": 1000, "resultType": "complete" })
            }
            _ => json!({ "content": [], "resultType": "complete" }),
        };
        let answer = json!({ "jsonrpc": "2.0", "id": message["id"], "result": result });
        write.write_all(format!("{answer}\n").as_bytes()).await.unwrap();
    }
}

/// C23: a list that has outlived what its server said of it is asked for again, if the server is in
/// use; its age is no reason to ask on and on.
#[test]
fn a_list_of_tools_that_has_outlived_its_hint_is_asked_for_again_by_use() {
    world::run_on_one_thread(SOON, async |world| {
        let (memory, listener) = Memory::pair();
        let lists = Arc::new(AtomicUsize::new(0));
        let serving = tokio::spawn(lets_its_list_hold(listener, Arc::clone(&lists)));
        let spec = ServerSpec::new("a", memory).required();
        let session = world.runtime.session("test").server(spec).open().await.unwrap();
        tokio::time::pause();
        session.call("a.tool-0", ()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(lists.load(Ordering::SeqCst), 1, "never often");
        tokio::time::sleep(Duration::from_secs(100)).await;
        assert_eq!(lists.load(Ordering::SeqCst), 2);
        assert!(session.tool("a.tool-1").is_some() && session.tool("a.tool-0").is_none());
        tokio::time::sleep(Duration::from_secs(1000)).await;
        assert_eq!(lists.load(Ordering::SeqCst), 2, "nobody uses it");
        session.call("a.tool-1", ()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(100)).await;
        assert_eq!(lists.load(Ordering::SeqCst), 3);
        tokio::time::resume();
        session.close().await;
        timeout(SOON, serving).await.unwrap().unwrap();
    });
}

#[test]
fn the_other_end_is_a_stream_of_bytes() {
    world::run(async |_world| {
        let (memory, mut listener) = Memory::pair();
        let serving = tokio::spawn(async move {
            let stream = listener.accept().await;
            let service = Sdk.serve(stream).await.unwrap();
            service.waiting().await.unwrap();
        });
        let runtime = Runtime::start().await;
        let spec = ServerSpec::new("a", memory).required();
        let session = runtime.session("test").server(spec).open().await.unwrap();
        let long = "x".repeat(1 << 20);
        let output = session.call("a.echo", json!({ "text": long })).await.unwrap();
        assert_eq!(output.text(), long);
        runtime.shutdown().await;
        timeout(SOON, serving).await.unwrap().unwrap();
    });
}
