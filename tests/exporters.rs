//! What others get of a runtime: its metrics over HTTP, its traces at a collector, and the trace that
//! goes to a server and comes back. The examples run as the programs that they are.

#[path = "support/world.rs"]
mod world;

use std::{
    collections::BTreeMap,
    convert::Infallible,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use callboard::{Host, HostCapabilities, Memory, MemoryListener, ServerSpec, telemetry::metric};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    client, server,
};
use hyper_util::rt::TokioIo;
use opentelemetry::{
    SpanId, global,
    trace::{SpanKind, TracerProvider as _},
};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    propagation::TraceContextPropagator,
    trace::{SdkTracerProvider, SpanData, SpanExporter},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
};
use tracing::Instrument as _;
use tracing_subscriber::layer::SubscriberExt as _;
use world::{eventually, run};

const LONG: Duration = Duration::from_secs(60);

/// Starts an example, which ends with its stdin or by itself.
fn example(name: &str, argument: &str) -> Child {
    let mut command = Command::new(world::example(name));
    command.arg(argument).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    command.spawn().unwrap()
}

/// The next line that it says.
async fn line(example: &mut Child) -> String {
    let stdout = example.stdout.as_mut().unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(stdout);
    let read = tokio::time::timeout(LONG, stdout.read_line(&mut line));
    read.await.expect("it says nothing").unwrap();
    line.trim().to_owned()
}

async fn ended(mut example: Child) {
    drop(example.stdin.take());
    let status = tokio::time::timeout(LONG, example.wait()).await.expect("it hangs").unwrap();
    assert!(status.success(), "{status}");
}

async fn get(url: &str) -> String {
    let address = url.strip_prefix("http://").unwrap();
    let (address, path) = address.split_at(address.find('/').unwrap());
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) =
        client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let request = Request::get(path).header("host", address).body(Empty::<Bytes>::new()).unwrap();
    let answered = async {
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.status(), 200);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        drop(sender);
        String::from_utf8(body.to_vec()).unwrap()
    };
    let (page, ended) = tokio::join!(answered, connection);
    ended.unwrap();
    page
}

/// The values of a page, by name and labels.
fn values(page: &str) -> BTreeMap<&str, f64> {
    let lines = page.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let parts = lines.map(|line| line.rsplit_once(' ').unwrap());
    parts.map(|(name, value)| (name, value.parse().unwrap())).collect()
}

/// The sum over all labels that fit; none where nothing is told of them.
fn sum(values: &BTreeMap<&str, f64>, name: &str, label: &str) -> Option<f64> {
    let of = |key: &&&str| key.split('{').next() == Some(name) && key.contains(label);
    let all: Vec<f64> = values.iter().filter(|(key, _)| of(key)).map(|(_, value)| *value).collect();
    (!all.is_empty()).then(|| all.iter().sum())
}

#[test]
fn metrics_are_there_for_prometheus_to_fetch() {
    run(async |_| {
        let mut program = example("prometheus", "127.0.0.1:0");
        let url = line(&mut program).await;
        let page = get(&url).await;
        let all = values(&page);
        let of = |name: &str, label: &str| {
            sum(&all, name, label).unwrap_or_else(|| panic!("no {name} with {label}: {page}"))
        };
        assert_eq!(of("callboard_calls_started", ""), 11.0, "{page}");
        assert_eq!(of("callboard_calls", "outcome=\"ok\""), 10.0, "{page}");
        assert_eq!(of("callboard_calls", "error_type=\"unknown_tool\""), 1.0, "{page}");
        assert_eq!(of("callboard_calls", "tool=\"add\""), 10.0, "{page}");
        // Everything that was begun has ended.
        let started = of("callboard_calls_started", "");
        assert_eq!(started, of("callboard_calls", "") + of("callboard_calls_running", ""));
        assert_eq!(
            (of("callboard_calls_running", ""), of("callboard_calls_queued", "")),
            (0.0, 0.0)
        );
        assert_eq!(of("callboard_epochs", ""), 1.0);
        assert_eq!(sum(&all, "callboard_restarts", ""), None, "told from the first one on");
        assert_eq!(of("callboard_processes_leaked", ""), 0.0);
        assert!(of("callboard_bytes", "direction=\"sent\"") > 500.0, "{page}");
        assert!(of("callboard_bytes", "direction=\"received\"") > 500.0, "{page}");
        assert_eq!(of("callboard_start_duration_count", "outcome=\"ok\""), 1.0, "{page}");
        let operations = "mcp_client_operation_duration";
        let calls = "mcp_method_name=\"tools/call\"";
        assert_eq!(of(&format!("{operations}_count"), calls), 11.0, "{page}");
        assert_eq!(of(&format!("{operations}_count"), "\"tools/list\""), 1.0, "{page}");
        // The buckets are those of the conventions, and one for all.
        let ok = |key: &&&str| {
            key.starts_with(&format!("{operations}_bucket"))
                && key.contains("tool_name=\"demo.add\"")
        };
        let buckets: Vec<_> = all.keys().filter(ok).filter(|key| !key.contains("error")).collect();
        assert_eq!(buckets.len(), metric::BUCKETS.len() + 1, "{buckets:?}");
        assert!(buckets.iter().any(|key| key.contains("le=\"300\"")), "{buckets:?}");
        assert!(page.contains("# TYPE callboard_calls counter"), "{page}");
        for told in page.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            let documented = documented().any(|row| row == told);
            assert!(documented, "{told:?} is nowhere documented");
        }
        ended(program).await;
    });
}

/// The metrics that the module `telemetry` lists, as Prometheus writes a name and a kind.
fn documented() -> impl Iterator<Item = String> {
    let text = include_str!("../src/telemetry.rs").split("# Metrics").nth(1).unwrap();
    text.lines().filter_map(|line| {
        let (name, rest) = line.strip_prefix("//! | `")?.split_once("` | ")?;
        let kind = rest.split(' ').next()?;
        Some(format!("{} {kind}", name.replace('.', "_")))
    })
}

/// Takes what an exporter sends, and keeps it.
async fn collect(listener: TcpListener, got: Arc<Mutex<Vec<(String, Bytes)>>>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let take = |request: Request<Incoming>| {
            let got = Arc::clone(&got);
            async move {
                let path = request.uri().path().to_owned();
                let body = request.into_body().collect().await.unwrap().to_bytes();
                got.lock().unwrap().push((path, body));
                Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
            }
        };
        let service = hyper::service::service_fn(take);
        let served = server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .await;
        // Whoever sends may hang up as he likes.
        drop(served);
    }
}

#[test]
fn traces_arrive_at_a_collector_of_opentelemetry() {
    run(async |_| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1/traces", listener.local_addr().unwrap());
        let got: Arc<Mutex<Vec<(String, Bytes)>>> = Arc::default();
        let program = example("otlp", &url);
        let exported = async {
            tokio::select! {
                () = collect(listener, Arc::clone(&got)) => {}
                () = ended(program) => {}
            }
        };
        exported.await;
        let got = got.lock().unwrap();
        assert!(!got.is_empty() && got.iter().all(|(path, _)| path == "/v1/traces"), "{got:?}");
        // Protobuf writes texts as they are.
        let all: Vec<u8> = got.iter().flat_map(|(_, body)| body.to_vec()).collect();
        let has = |text: &str| memchr::memmem::find(&all, text.as_bytes()).is_some();
        for name in [
            "callboard-otlp",
            "runtime",
            "session",
            "connection",
            "link",
            "host",
            "tools/call demo.add",
            "tools/list",
            "server/discover",
            "mcp.method.name",
            "gen_ai.tool.name",
            "mcp.tool.name",
            "mcp.connection.mode",
            "network.transport",
        ] {
            assert!(has(name), "{name} did not arrive: {}", String::from_utf8_lossy(&all));
        }
    });
}

/// What was exported, in the order of its end.
#[derive(Debug, Clone, Default)]
struct Exported(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Exported {
    fn export(&self, batch: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
        self.0.lock().unwrap().extend(batch);
        std::future::ready(Ok(()))
    }
}

impl Exported {
    /// The only span of this name with this attribute.
    fn only(&self, name: &str, (key, value): (&str, &str)) -> Option<SpanData> {
        let has = |span: &&SpanData| {
            let mut attributes = span.attributes.iter();
            span.name == name
                && attributes.any(|one| one.key.as_str() == key && one.value.as_str() == value)
        };
        let all = self.0.lock().unwrap();
        let mut found = all.iter().filter(has);
        let first = found.next().cloned();
        assert!(found.next().is_none(), "more than one {name} with {key}={value}: {all:?}");
        first
    }
}

/// Has this process trace to OpenTelemetry, as a host would.
fn trace_to(exported: &Exported) -> SdkTracerProvider {
    let provider = SdkTracerProvider::builder().with_simple_exporter(exported.clone()).build();
    let traced = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(traced)).unwrap();
    global::set_text_map_propagator(TraceContextPropagator::new());
    provider
}

/// What the server says of the trace that each of its questions is part of.
const ASKED: [(&str, Option<&str>); 3] = [
    ("q-with", Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")),
    ("q-without", None),
    ("q-nonsense", Some("00-xyz")),
];

/// A server that asks in the middle of a call, and answers the call when it has all answers.
async fn asks(mut listener: MemoryListener, got: Arc<Mutex<Vec<Value>>>) {
    let (reading, mut writing) = tokio::io::split(listener.accept().await);
    let mut lines = BufReader::new(reading).lines();
    let (mut call, mut answers) = (Value::Null, 0);
    while let Ok(Some(line)) = lines.next_line().await {
        let message: Value = serde_json::from_str(&line).unwrap();
        let id = message["id"].clone();
        let result =
            |id: Value, result: Value| json!({ "jsonrpc": "2.0", "id": id, "result": result });
        let said = match message["method"].as_str() {
            Some("server/discover") => vec![json!({
                "jsonrpc": "2.0", "id": id, "error": { "code": -32601, "message": "what?" },
            })],
            Some("initialize") => vec![result(
                id,
                json!({
                    "protocolVersion": "2025-11-25",
                    "capabilities": { "tools": {} },
                    "serverInfo": { "name": "asks", "version": "1" },
                }),
            )],
            Some("tools/list") => vec![result(
                id,
                json!({
                    "tools": [{ "name": "ask", "inputSchema": { "type": "object" } }],
                }),
            )],
            Some("tools/call") => {
                call = id;
                let question = |(id, parent)| {
                    let meta = json!({ "traceparent": parent });
                    let params = json!({ "_meta": meta });
                    json!({ "jsonrpc": "2.0", "id": id, "method": "roots/list", "params": params })
                };
                ASKED.map(question).to_vec()
            }
            None if answers + 1 == ASKED.len() => {
                vec![result(call.take(), json!({ "content": [] }))]
            }
            Some(_) => Vec::new(),
            None => {
                answers += 1;
                Vec::new()
            }
        };
        got.lock().unwrap().push(message);
        for message in said {
            writing.write_all(format!("{message}\n").as_bytes()).await.unwrap();
        }
    }
}

/// Has roots, and that is all.
struct Rooted;

impl Host for Rooted {
    fn capabilities(&self) -> HostCapabilities {
        HostCapabilities::default().roots()
    }
}

#[test]
fn a_trace_goes_to_the_server_and_what_it_asks_comes_back_in_its_own() {
    let exported = Exported::default();
    let provider = trace_to(&exported);
    run(async |world| {
        let (memory, listener) = Memory::pair();
        let got: Arc<Mutex<Vec<Value>>> = Arc::default();
        let server = tokio::spawn(asks(listener, Arc::clone(&got)));
        let spec = ServerSpec::new("a", memory).required();
        let session = world.runtime.session("test").host(Rooted).server(spec).open().await.unwrap();
        let call = session.call("a.ask", json!({}));
        call.instrument(tracing::info_span!("host", host = "us")).await.unwrap();
        session.close().await;
        drop(session);
        server.await.unwrap();
        // Exported at the end of whatever is in them.
        let find = |name: &str, what: (&str, &str)| exported.only(name, what);
        let ended =
            || find("host", ("host", "us")).is_some() && find("link", ("epoch", "1")).is_some();
        eventually(LONG, "all spans are exported", ended).await;

        let (host, link) =
            (find("host", ("host", "us")).unwrap(), find("link", ("epoch", "1")).unwrap());
        let call = find("tools/call a.ask", ("server", "a")).expect("the call");
        assert_eq!(call.span_kind, SpanKind::Client);
        let (trace, id) = (call.span_context.trace_id(), call.span_context.span_id());
        assert_eq!(
            (trace, call.parent_span_id),
            (host.span_context.trace_id(), host.span_context.span_id())
        );
        let all = got.lock().unwrap();
        let sent = all.iter().find(|message| message["method"] == "tools/call").unwrap();
        assert_eq!(sent["params"]["_meta"]["traceparent"], format!("00-{trace}-{id}-01"));

        let place = |question: &str| {
            let id = json!(question).to_string();
            let span = find("roots/list", ("jsonrpc.request.id", &id)).expect("the question");
            assert_eq!(span.span_kind, SpanKind::Server);
            (
                span.span_context.trace_id().to_string(),
                span.parent_span_id,
                span.parent_span_is_remote,
            )
        };
        let theirs = SpanId::from_hex("b7ad6b7169203331").unwrap();
        assert_eq!(place("q-with"), ("0af7651916cd43dd8448eb211c80319c".to_owned(), theirs, true));
        let context = &link.span_context;
        let in_link = (context.trace_id().to_string(), context.span_id(), false);
        assert_eq!(place("q-without"), in_link);
        assert_eq!(place("q-nonsense"), in_link, "a context that nobody can read is none");
    });
    provider.shutdown().unwrap();
}
