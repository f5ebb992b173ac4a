//! A host that is made to be killed: for tests of what it leaves behind.
//!
//! `mortal_host STAGE LEDGER COMMAND ARGUMENT…` starts this server, prints `here` once it has come to
//! the stage, and stays there. A line on stdin makes it abort, an empty one makes it return from `main`.

#![expect(clippy::print_stdout, reason = "whoever kills it has to know when")]

use std::{io::BufRead as _, time::Duration};

use callboard::{HostDeath, Runtime, ServerSpec, Session, Stdio};

type Failure = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let (stage, ledger) = arguments.next().zip(arguments.next()).ok_or("STAGE LEDGER COMMAND …")?;
    let command: Vec<String> = arguments.collect();
    let host_death = match stage.as_str() {
        "unwatched" => HostDeath::unwatched(),
        _ => HostDeath::default().ledger_in(ledger),
    };
    let runtime = Runtime::builder().host_death(host_death).start().await;
    let spec = move |name: &str| {
        let stdio = Stdio::new(&command[0]).args(&command[1..]).env("CALLBOARD_TEST_WORLD");
        let stdio = stdio.eof_grace(Duration::from_secs(60));
        ServerSpec::new(name, stdio).init_timeout(Duration::from_secs(60))
    };
    match stage.as_str() {
        "spawning" => {
            here()?;
            spawn_on_and_on(&runtime, spec).await
        }
        "handshake" => {
            let _session = runtime.session("s").server(spec("a")).open().await?;
            while runtime.leak_report().processes.is_empty() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            stay()
        }
        "idle" | "unwatched" => {
            let _session = open(&runtime, spec("a")).await?;
            stay()
        }
        "deaf" => {
            let _session = open(&runtime, spec("a")).await?;
            here()?;
            std::future::pending().await
        }
        "in-flight" => {
            let session = open(&runtime, spec("a")).await?;
            let mut call = Box::pin(session.call("a.hang", ()));
            drop(tokio::time::timeout(Duration::from_millis(50), &mut call).await);
            stay()
        }
        "closing" => {
            let session = open(&runtime, spec("a")).await?;
            let mut closing = Box::pin(session.close());
            drop(tokio::time::timeout(Duration::from_millis(50), &mut closing).await);
            stay()
        }
        _ => Err("no such stage".into()),
    }
}

async fn open(runtime: &Runtime, spec: ServerSpec) -> Result<Session, Failure> {
    let session = runtime.session("s").server(spec).open().await?;
    session.settled().await;
    let server = session.server("a").ok_or("no server")?;
    if server.status().is_ready() { Ok(session) } else { Err("it is not ready".into()) }
}

/// Starts one session after the other, and waits for none of them.
async fn spawn_on_and_on(
    runtime: &Runtime,
    spec: impl Fn(&str) -> ServerSpec,
) -> Result<(), Failure> {
    let mut sessions = Vec::new();
    while sessions.len() < 50 {
        sessions.push(runtime.session("s").server(spec("a")).open().await?);
    }
    stay()
}

fn here() -> Result<(), Failure> {
    println!("here");
    Ok(())
}

/// Stays at the stage until it is told to end, in the way that it is told.
fn stay() -> Result<(), Failure> {
    here()?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    if line.trim().is_empty() {
        return Ok(());
    }
    std::process::abort()
}
