//! The server on HTTP, seen from the client's process.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};

use crate::manner::{Manner, executable};

pub(crate) struct HttpServer {
    pub(crate) child: Child,
    port: u16,
}

impl HttpServer {
    /// Returns once it listens.
    pub(crate) fn start(manner: Manner) -> Self {
        let mut child = Command::new(executable())
            .arg(manner.argument())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("start the server");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("a piped stdout");
        BufReader::new(stdout).read_line(&mut line).expect("read the port");
        Self { child, port: line.trim().parse().expect("a port") }
    }

    /// What stands at `path`: `/mcp`, or `/session`.
    pub(crate) fn url(&self, number: u16, path: &str) -> String {
        format!("http://{}{path}", self.address(number))
    }

    /// The same server has as many addresses as there are numbers here, each an origin of its own.
    pub(crate) fn address(&self, number: u16) -> SocketAddr {
        let [high, low] = number.to_be_bytes();
        (Ipv4Addr::new(127, 1, high, low), self.port).into()
    }

    /// Ends its stdin, and waits for it.
    pub(crate) fn stop(mut self) {
        drop(self.child.stdin.take());
        self.child.wait().expect("wait for the server");
    }
}
