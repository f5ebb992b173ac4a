//! The servers of the run: this same executable as a process, behind HTTP, and servers in memory.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio as Pipe},
    sync::Mutex,
};

use callboard::{Memory, Stdio, StreamableHttp, testing};
use serde_json::json;

use super::{child, http_child, manner, meter::MARK};

const HTTP: &str = "http";

/// Serves until stdin ends if this process was started as a server; returns whether it was.
pub(crate) fn serve_if_asked() -> bool {
    if std::env::args().nth(2).as_deref() == Some(HTTP) {
        return http_child::serve_if_asked();
    }
    child::serve_if_asked()
}

/// A process that echoes; with a `descendant` that it leaves behind, as wrappers such as `npx` do.
pub(crate) fn process(mark: &str, descendant: bool) -> Stdio {
    let argument = manner::Manner::Echo.argument();
    let stdio = if descendant {
        let line = r#"sleep 1000 & exec "$0" "$1""#;
        Stdio::new("sh").arg("-c").arg(line).arg(manner::executable()).arg(argument)
    } else {
        Stdio::new(manner::executable()).arg(argument)
    };
    stdio.env_literal(MARK, mark)
}

/// A server in memory that breaks as a seed says.
pub(crate) fn memory(seed: u64) -> testing::Server {
    let server = testing::Server::new().tool("echo", |arguments| async move {
        let text = arguments["text"].as_str().unwrap_or_default();
        Ok(json!(text))
    });
    server.faults(testing::Faults::chaos(seed))
}

/// The way to a server in memory.
pub(crate) fn way(server: &testing::Server) -> Memory {
    server.transport()
}

/// A server behind HTTP, in a process that can be killed and is started again then.
pub(crate) struct HttpServer {
    running: Mutex<Child>,
    port: u16,
}

impl HttpServer {
    pub(crate) fn start() -> Self {
        let (running, port) = start(0);
        Self { running: Mutex::new(running), port }
    }

    pub(crate) fn way(&self) -> StreamableHttp {
        StreamableHttp::new(format!("http://127.0.0.1:{}/mcp", self.port))
    }

    /// Kills it, and starts it again.
    pub(crate) fn go_away(&self) {
        let mut running = self.running.lock().expect("nobody panicked");
        kill(&mut running);
        *running = start(self.port).0;
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        kill(&mut self.running.lock().expect("nobody panicked"));
    }
}

fn kill(child: &mut Child) {
    child.kill().expect("kill the server");
    child.wait().expect("wait for the server");
}

/// A server on this port, or on any, if it is 0; returns once it listens.
fn start(port: u16) -> (Child, u16) {
    let (manner, port) = (manner::Manner::Echo.argument(), port.to_string());
    let mut command = Command::new(manner::executable());
    command.args([manner, HTTP, &port]).stdin(Pipe::piped()).stdout(Pipe::piped());
    let mut child = command.spawn().expect("start the server");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("a piped stdout");
    BufReader::new(stdout).read_line(&mut line).expect("read the port");
    (child, line.trim().parse().expect("a port"))
}
