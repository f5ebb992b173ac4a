//! Traces of a runtime, exported to a collector by OTLP over HTTP.
//!
//! ```text
//! docker run -p 4318:4318 -p 16686:16686 jaegertracing/jaeger
//! cargo run --example otlp --features opentelemetry -- http://127.0.0.1:4318/v1/traces
//! ```
//!
//! The call is in a span of this program, and the server is told which trace it is part of.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to its reader")]

#[path = "demo/server.rs"]
mod server;

use std::process::ExitCode;

use callboard::{Runtime, ServerSpec, Stdio};
use opentelemetry::{global, trace::TracerProvider as _};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::{Resource, propagation::TraceContextPropagator, trace::SdkTracerProvider};
use serde_json::json;
use tracing::Instrument as _;
use tracing_subscriber::layer::SubscriberExt as _;

type Fault = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    if server::serve_if_asked() {
        return ExitCode::SUCCESS;
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Fault> {
    let collector = std::env::args().nth(1);
    let collector = collector.unwrap_or_else(|| "http://127.0.0.1:4318/v1/traces".to_owned());
    // Outside of tokio: the exporter has a thread of its own, and waits in it.
    let provider = export_to(&collector)?;
    let traced = tracing_opentelemetry::layer().with_tracer(provider.tracer("callboard"));
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(traced))?;
    // What goes into the `_meta` of requests: `traceparent` and `tracestate`.
    global::set_text_map_propagator(TraceContextPropagator::new());

    let tokio = tokio::runtime::Runtime::new()?;
    tokio.block_on(work().instrument(tracing::info_span!("host")))?;
    drop(tokio);
    // Sends what is left.
    provider.shutdown()?;
    Ok(())
}

fn export_to(collector: &str) -> Result<SdkTracerProvider, Fault> {
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(collector)
        .build()?;
    let resource = Resource::builder().with_service_name("callboard-otlp").build();
    let provider = SdkTracerProvider::builder();
    Ok(provider.with_resource(resource).with_batch_exporter(exporter).build())
}

async fn work() -> Result<(), Fault> {
    let runtime = Runtime::start().await;
    let command = server::command(false);
    let stdio = Stdio::new(&command[0]).args(&command[1..]);
    let spec = ServerSpec::new("demo", stdio).required();
    let session = runtime.session("otlp").server(spec).open().await?;
    let output = session.call("demo.add", json!({ "a": 2, "b": 3 })).await?;
    println!("2 + 3 = {}", output.text());
    session.close().await;
    runtime.shutdown().await;
    Ok(())
}
