//! What others get of a runtime: its metrics over HTTP, its traces at a collector. The examples run as
//! the programs that they are.

#[path = "support/world.rs"]
mod world;

use std::{
    collections::BTreeMap,
    convert::Infallible,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use callboard::telemetry::metric;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    client, server,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
};
use world::run;

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

/// The sum over all labels that fit.
fn sum(values: &BTreeMap<&str, f64>, name: &str, label: &str) -> f64 {
    let of = |key: &&&str| key.split('{').next() == Some(name) && key.contains(label);
    values.iter().filter(|(key, _)| of(key)).map(|(_, value)| value).sum()
}

#[test]
fn metrics_are_there_for_prometheus_to_fetch() {
    run(async |_| {
        let mut program = example("prometheus", "127.0.0.1:0");
        let url = line(&mut program).await;
        let page = get(&url).await;
        let all = values(&page);
        let of = |name: &str, label: &str| sum(&all, name, label);
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
        assert_eq!((of("callboard_epochs", ""), of("callboard_restarts", "")), (1.0, 0.0));
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
            key.starts_with(&format!("{operations}_bucket")) && key.contains("tool_name=\"demo.add\"")
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
