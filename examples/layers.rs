//! Middleware around calls: a log, and a cache that answers by itself.
//!
//! ```text
//! cargo run --example layers
//! ```
//!
//! Both are layers of [tower](https://docs.rs/tower), as any of its ecosystem's may be. (For a cache
//! that knows what may be kept there is `CallOptions::cache`; this one shows how a layer answers.)
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to its reader")]

#[path = "demo/server.rs"]
mod server;

use std::{
    collections::HashMap,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use callboard::{
    CallError, Output, Runtime, ServerSpec, Stdio,
    layer::{CallFuture, CallService, Request},
};
use serde_json::json;
use tokio::time::Instant;
use tower_layer::{Layer, layer_fn};
use tower_service::Service;

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

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let runtime = Runtime::start().await;
    let command = server::command(false);
    let stdio = Stdio::new(&command[0]).args(&command[1..]);
    let session = runtime
        .session("layers")
        .layer(layer_fn(Logged))
        .server(ServerSpec::new("demo", stdio).required().layer(Remembering::default()))
        .open()
        .await?;
    for _ in 0..2 {
        let output = session.call("demo.add", json!({ "a": 2, "b": 3 })).await?;
        println!("2 + 3 = {}", output.text());
    }
    session.close().await;
    runtime.shutdown().await;
    Ok(())
}

/// Says how each call of the session ended, and how long it took; outermost, so it sees the cached
/// ones too.
#[derive(Clone)]
struct Logged(CallService);

impl Service<Request> for Logged {
    type Response = Output;
    type Error = CallError;
    type Future = CallFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> CallFuture {
        let (tool, began) = (request.tool().id().to_owned(), Instant::now());
        let call = self.0.call(request);
        Box::pin(async move {
            let outcome = call.await;
            let ended = outcome.as_ref().map_or_else(CallError::kind, |_| "ok");
            println!("{tool}: {ended} after {:?}", began.elapsed());
            outcome
        })
    }
}

type Answers = Arc<Mutex<HashMap<String, Output>>>;

/// Keeps every answer of a server for ever, and gives it to whoever asks the same again.
#[derive(Default)]
struct Remembering(Answers);

impl Layer<CallService> for Remembering {
    type Service = Remembered;

    fn layer(&self, inner: CallService) -> Remembered {
        Remembered { inner, answers: Arc::clone(&self.0) }
    }
}

#[derive(Clone)]
struct Remembered {
    inner: CallService,
    answers: Answers,
}

impl Service<Request> for Remembered {
    type Response = Output;
    type Error = CallError;
    type Future = CallFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> CallFuture {
        let key = format!("{} {}", request.tool().id(), request.arguments().to_value());
        let answers = Arc::clone(&self.answers);
        let known = answers.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(output) = known {
            return Box::pin(std::future::ready(Ok(output)));
        }
        let call = self.inner.call(request);
        Box::pin(async move {
            let output = call.await?;
            answers.lock().unwrap_or_else(PoisonError::into_inner).insert(key, output.clone());
            Ok(output)
        })
    }
}
