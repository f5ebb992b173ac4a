//! Metrics of a runtime, for Prometheus to fetch.
//!
//! ```text
//! cargo run --example prometheus --features metrics -- 127.0.0.1:9464
//! curl http://127.0.0.1:9464/metrics
//! ```
//!
//! It ends when its stdin does, or at Ctrl-C. Without an address any free port will do.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to its reader")]
#![expect(clippy::disallowed_methods, reason = "a connection of an example may end with it")]

#[path = "demo/server.rs"]
mod server;

use std::{convert::Infallible, net::SocketAddr, process::ExitCode};

use callboard::{Runtime, ServerSpec, Session, Stdio, telemetry::metric};
use http_body_util::Full;
use hyper::{Request, Response, body::Bytes, body::Incoming, server::conn::http1};
use hyper_util::rt::TokioIo;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde_json::json;
use tokio::{io::AsyncReadExt as _, net::TcpListener};

type Fault = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    if server::serve_if_asked() {
        return ExitCode::SUCCESS;
    }
    let tokio = tokio::runtime::Runtime::new().expect("tokio starts");
    match tokio.block_on(run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Fault> {
    let asked = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    // Before the first session, for that is when the library registers what it tells.
    let recorder = PrometheusBuilder::new().set_buckets(&metric::BUCKETS)?.build_recorder();
    let page = recorder.handle();
    metrics::set_global_recorder(recorder)?;

    let runtime = Runtime::start().await;
    let command = server::command(false);
    let stdio = Stdio::new(&command[0]).args(&command[1..]);
    let spec = ServerSpec::new("demo", stdio).required();
    let session = runtime.session("prometheus").server(spec).open().await?;
    work(&session).await?;

    let listener = TcpListener::bind(asked.parse::<SocketAddr>()?).await?;
    println!("http://{}/metrics", listener.local_addr()?);
    tokio::select! {
        served = serve(listener, page) => served?,
        _ = tokio::signal::ctrl_c() => {}
        () = end_of_input() => {}
    }
    session.close().await;
    runtime.shutdown().await;
    Ok(())
}

/// Something to count.
async fn work(session: &Session) -> Result<(), Fault> {
    for n in 0..10 {
        session.call("demo.add", json!({ "a": n, "b": 1 })).await?;
    }
    // A tool that nobody has is a failure of the call, and counted as one.
    drop(session.call("demo.nothing", json!({})).await);
    Ok(())
}

async fn serve(listener: TcpListener, page: PrometheusHandle) -> Result<(), Fault> {
    loop {
        let (stream, _) = listener.accept().await?;
        let page = page.clone();
        tokio::spawn(async move {
            let answer = |_: Request<Incoming>| {
                page.run_upkeep();
                let page = Response::new(Full::new(Bytes::from(page.render())));
                std::future::ready(Ok::<_, Infallible>(page))
            };
            let service = hyper::service::service_fn(answer);
            let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            // A client that goes away is no error of ours.
            drop(served.await);
        });
    }
}

async fn end_of_input() {
    let mut rest = Vec::new();
    // However it ends, it has.
    drop(tokio::io::stdin().read_to_end(&mut rest).await);
}
