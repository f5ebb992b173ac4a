//! callboard inside a long-running service: a session per job, bounded work, and a shutdown that
//! leaves nothing.
//!
//! ```text
//! cargo run --example daemon -- /tmp/jobs.sock [COMMAND ARGS…]
//! nc -U /tmp/jobs.sock
//! ```
//!
//! A connection to the socket is a job, and has MCP servers of its own. A line `TOOL {ARGUMENTS}`,
//! such as `demo.add {"a":2,"b":3}`, calls a tool, the line `tools` lists them, and every line is
//! answered by one of JSON. `SIGTERM` and `SIGINT` end the service: no new job is taken, calls in
//! flight get some time, then everything is stopped; a second signal cuts the time short.

#[path = "demo/outside.rs"]
mod outside;
#[path = "demo/server.rs"]
mod server;

use std::{error::Error, io, path::Path, process::ExitCode, time::Duration};

use callboard::{CallError, Output, Runtime, ServerSpec, Session, Stdio};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream, unix::OwnedReadHalf},
    signal::unix::{Signal, SignalKind, signal},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tracing::{Level, error, info, warn};

use outside::Outside;

/// How many jobs run at once; more wait in the socket's queue.
const MAX_JOBS: usize = 32;
/// How long a line may be, in bytes.
const MAX_LINE: u64 = 1 << 20;
/// How long calls in flight may go on after the signal to stop.
const DRAIN: Duration = Duration::from_secs(3);

/// How long to wait after the system refused a connection, for lack of descriptors, say.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    if server::serve_if_asked() {
        return ExitCode::SUCCESS;
    }
    tracing_subscriber::fmt().with_max_level(Level::INFO).with_writer(io::stderr).init();
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let Some((socket, command)) = arguments.split_first() else {
        error!("name the socket: cargo run --example daemon -- /tmp/jobs.sock [COMMAND ARGS…]");
        return ExitCode::FAILURE;
    };
    let command = if command.is_empty() { server::command(false) } else { command.to_vec() };
    let tokio = tokio::runtime::Runtime::new().expect("tokio starts");
    tokio.block_on(run(Path::new(socket), &command))
}

async fn run(socket: &Path, command: &[String]) -> ExitCode {
    let outside = Outside::new();
    let stdio = outside.mark(Stdio::new(&command[0]).args(&command[1..]));
    let spec = ServerSpec::new("demo", stdio).required();
    let outcome = serve(socket, &spec).await;
    if let Err(error) = &outcome {
        error!(%error, "service failed");
    }
    let left = outside.left().await;
    info!("{left}");
    if outcome.is_ok() && left.is_nothing() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Takes jobs until it is told to stop, then sees to their end.
async fn serve(socket: &Path, spec: &ServerSpec) -> Outcome {
    let mut stop = Stop::new()?;
    let listener = UnixListener::bind(socket)
        .map_err(|error| format!("cannot listen on {}: {error}", socket.display()))?;
    let runtime = Runtime::start().await;
    let stopping = CancellationToken::new();
    let mut jobs = JoinSet::new();
    info!(socket = %socket.display(), "listening");
    for number in 1u64.. {
        let stream = tokio::select! {
            accepted = accept(&listener, &mut jobs) => accepted,
            () = stop.asked() => break,
        };
        match stream {
            Ok(stream) => {
                let job = Job { number, runtime: runtime.clone(), stopping: stopping.clone() };
                jobs.spawn(job.run(stream, spec.clone()));
            }
            Err(error) => {
                warn!(%error, "no job taken");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
    drop(listener);
    if let Err(error) = std::fs::remove_file(socket) {
        warn!(%error, "socket not removed");
    }
    info!(jobs = jobs.len(), "stopping");
    stopping.cancel();
    tokio::select! {
        _ = tokio::time::timeout(DRAIN, drain(&mut jobs)) => {}
        () = stop.asked() => {}
    }
    // Whatever call is still in flight ends here, as `session_closed`.
    runtime.shutdown().await;
    // What is left are jobs whose client does not read its answer.
    jobs.shutdown().await;
    info!("leak report: {}", runtime.leak_report());
    Ok(())
}

/// The next connection, once there is room for it.
async fn accept(listener: &UnixListener, jobs: &mut JoinSet<()>) -> io::Result<UnixStream> {
    loop {
        tokio::select! {
            accepted = listener.accept(), if jobs.len() < MAX_JOBS => return Ok(accepted?.0),
            Some(ended) = jobs.join_next() => {
                if let Err(error) = ended {
                    error!(%error, "job died");
                }
            }
        }
    }
}

async fn drain(jobs: &mut JoinSet<()>) {
    while jobs.join_next().await.is_some() {}
}

/// The two signals that ask a service to stop.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    fn new() -> io::Result<Self> {
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self { interrupt, terminate: signal(SignalKind::terminate())? })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// One connection, and the session that belongs to it.
struct Job {
    number: u64,
    runtime: Runtime,
    stopping: CancellationToken,
}

impl Job {
    async fn run(self, stream: UnixStream, spec: ServerSpec) {
        let number = self.number;
        info!(number, "job started");
        match self.work(stream, spec).await {
            Ok(calls) => info!(number, calls, "job ended"),
            Err(error) => warn!(number, %error, "job failed"),
        }
    }

    /// Opens a session, answers every line, and closes the session; returns the number of lines.
    async fn work(&self, stream: UnixStream, spec: ServerSpec) -> Outcome<usize> {
        let (reader, mut writer) = stream.into_split();
        let id = format!("job-{}", self.number);
        let opened = tokio::select! {
            opened = self.runtime.session(id).server(spec).open() => opened,
            () = self.stopping.cancelled() => return Ok(0),
        };
        let session = match opened {
            Ok(session) => session,
            Err(error) => {
                writer.write_all(&line(&failure("not_open", &error))).await?;
                return Err(error.into());
            }
        };
        let mut reader = BufReader::new(reader);
        let mut calls = 0;
        while let Some(request) = self.request(&mut reader).await? {
            let answer = answer(&session, request.trim()).await;
            writer.write_all(&line(&answer)).await?;
            calls += 1;
        }
        session.close().await;
        Ok(calls)
    }

    /// The next line; none once the client is gone or the service is stopping.
    async fn request(&self, reader: &mut BufReader<OwnedReadHalf>) -> io::Result<Option<String>> {
        let mut request = String::new();
        let mut bounded = reader.take(MAX_LINE);
        tokio::select! {
            read = bounded.read_line(&mut request) => Ok((read? > 0).then_some(request)),
            () = self.stopping.cancelled() => Ok(None),
        }
    }
}

async fn answer(session: &Session, request: &str) -> Value {
    if request == "tools" {
        let catalog = session.tools();
        return json!({ "tools": catalog.iter().map(|tool| tool.id()).collect::<Vec<_>>() });
    }
    let (tool, arguments) = request.split_once(' ').unwrap_or((request, "{}"));
    match serde_json::from_str::<Value>(arguments) {
        Ok(arguments) => result(session.call(tool, arguments).await),
        Err(error) => failure("invalid_arguments", &error),
    }
}

fn result(outcome: Result<Output, CallError>) -> Value {
    match outcome {
        Ok(output) => json!({ "text": output.text(), "is_error": output.is_error() }),
        Err(error) => failure(error.kind(), &error),
    }
}

fn failure(kind: &str, error: &dyn Error) -> Value {
    json!({ "error": kind, "message": error.to_string() })
}

fn line(answer: &Value) -> Vec<u8> {
    format!("{answer}\n").into_bytes()
}
