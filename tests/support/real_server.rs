//! A real server that listens on a port of this machine, and can be killed and started again there.

#![allow(dead_code, reason = "each test uses its own part of it")]
#![allow(missing_docs, reason = "a test's harness")]

use std::{
    fs::File,
    net::TcpListener,
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::Instant};

use crate::world::{self, World};

/// How long a server may take until its port accepts, on a machine that does other things too.
const START: Duration = Duration::from_secs(30);

/// What a server prints goes to a file.
pub(crate) struct RealServer {
    command: Command,
    port: u16,
    log: PathBuf,
    running: Option<Child>,
}

impl RealServer {
    /// Starts a server whose command is made for a port, and waits until it accepts connections
    /// there.
    async fn start(world: &World, command: impl FnOnce(u16) -> Command) -> Self {
        let port = free_port();
        let log = world.folder().join(format!("{port}.log"));
        let mut command = command(port);
        command.process_group(0).stdin(Stdio::null());
        let mut server = Self { command, port, log, running: None };
        server.start_again().await;
        server
    }

    /// Starts it on the same port, after it was killed.
    pub(crate) async fn start_again(&mut self) {
        assert!(self.running.is_none(), "it runs");
        let log = File::options().create(true).append(true).open(&self.log).unwrap();
        self.command.stdout(log.try_clone().unwrap()).stderr(log);
        self.running = Some(self.command.spawn().unwrap());
        // The command keeps its files, and the test counts descriptors.
        self.command.stdout(Stdio::null()).stderr(Stdio::null());
        let deadline = Instant::now() + START;
        while TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
            let ended = self.running.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "it ended with {ended:?}:\n{}", self.printed());
            assert!(Instant::now() < deadline, "it does not listen:\n{}", self.printed());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Kills all of it with `SIGKILL`.
    pub(crate) fn kill(&mut self) {
        let Some(mut child) = self.running.take() else { return };
        let group = Pid::from_child(&child);
        // A server that ended by itself has no group any more.
        kill_process_group(group, Signal::KILL).unwrap_or_default();
        child.wait().unwrap();
    }

    /// Sends a signal to all of it.
    pub(crate) fn signal(&self, signal: Signal) {
        let group = Pid::from_child(self.running.as_ref().unwrap());
        kill_process_group(group, signal).unwrap();
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// How many lines it has printed with this in them.
    pub(crate) fn told(&self, what: &str) -> usize {
        self.printed().lines().filter(|line| line.contains(what)).count()
    }

    pub(crate) fn printed(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap()).into_owned()
    }
}

/// Also when a test fails.
impl Drop for RealServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that nobody listened on a moment ago.
fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// The reference server in TypeScript, over `sse` or `streamableHttp`.
pub(crate) async fn everything(world: &World, transport: &str) -> RealServer {
    let start = |port: u16| {
        let program = world::installed("node/node_modules/.bin/mcp-server-everything");
        let mut command = Command::new(program);
        command.arg(transport).env("PORT", port.to_string());
        command
    };
    RealServer::start(world, start).await
}

/// The small server on one of the Python libraries, over `sse` or `http`.
pub(crate) async fn python(world: &World, library: &str, transport: &str) -> RealServer {
    let environment = if library == "sdk1" { "python-sdk1" } else { "python" };
    let start = |port: u16| {
        let mut command = Command::new(world::installed(&format!("{environment}/bin/python")));
        command.arg(world::root().join("tests/servers/sdk.py")).args([library, transport]);
        command.arg(port.to_string());
        command
    };
    RealServer::start(world, start).await
}

/// The small server of 2026-07-28 that asks, on one of the Python libraries, over HTTP.
pub(crate) async fn asking(world: &World, library: &str) -> RealServer {
    let start = |port: u16| {
        let mut command = Command::new(world::installed("python/bin/python"));
        command.arg(world::root().join("tests/servers/asking.py")).arg(library);
        command.arg(port.to_string());
        command
    };
    RealServer::start(world, start).await
}

/// What a server offers that the tests need.
pub(crate) struct Tools {
    pub(crate) sum: &'static str,
    pub(crate) says: fn(u32, u32) -> String,
    /// Reports progress for two seconds, every hundred milliseconds.
    pub(crate) progress: (&'static str, fn() -> Value),
    /// Does not answer while the test runs.
    pub(crate) hold: (&'static str, fn() -> Value),
    /// What the server prints when a call has arrived.
    pub(crate) arrived: &'static str,
}

pub(crate) const EVERYTHING: Tools = Tools {
    sum: "a.get-sum",
    says: |a, b| format!("The sum of {a} and {b} is {}.", a + b),
    progress: ("a.trigger-long-running-operation", || json!({ "duration": 2, "steps": 20 })),
    hold: ("a.trigger-long-running-operation", || json!({ "duration": 3600, "steps": 1 })),
    arrived: "POST request",
};

pub(crate) const EVERYTHING_SSE: Tools = Tools { arrived: "Client Message", ..EVERYTHING };

pub(crate) const SDK: Tools = Tools {
    sum: "a.add",
    says: |a, b| (a + b).to_string(),
    progress: ("a.count", || json!({ "steps": 20, "ms": 100 })),
    hold: ("a.hold", || json!({})),
    arrived: "holding",
};

/// The server behind an authorization server of its own, whose tokens live this long.
pub(crate) async fn oauth(world: &World, seconds: u32) -> RealServer {
    let start = |port: u16| {
        let mut command = Command::new(world::installed("python/bin/python"));
        command.arg(world::root().join("tests/servers/oauth.py"));
        command.args([port.to_string(), seconds.to_string()]);
        command
    };
    RealServer::start(world, start).await
}
