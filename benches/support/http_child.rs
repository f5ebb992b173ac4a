//! The server on HTTP/1.1: one thread, one task a connection, one read and one write a call, and
//! every connection kept alive.
//!
//! At `/mcp` there are no sessions, and it may be called in the revision with and in those without
//! a handshake. At `/session` it speaks the older ones alone, with a session id and a stream for
//! what a server has to say, on which nothing ever comes.

use std::io;
use std::net::Ipv4Addr;

use hyper::body::Buf;
use memchr::{memchr, memmem};
use tokio::io::{AsyncReadExt, AsyncWriteExt, stdin};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::answers::Answers;
use crate::manner::{Manner, asked};

/// Serves until stdin ends if this process was started as the server; returns whether it was.
pub(crate) fn serve_if_asked() -> bool {
    let Some(manner) = asked() else { return false };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    runtime.expect("start the async runtime").block_on(serve(manner));
    true
}

#[expect(clippy::print_stdout, reason = "it tells its parent where it listens")]
async fn serve(manner: Manner) {
    // Every address of the loopback network is an origin of its own. One that is started again may
    // have to listen where it did before.
    let port = std::env::args().nth(3).and_then(|port| port.parse().ok()).unwrap_or(0);
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await.expect("listen");
    println!("{}", listener.local_addr().expect("an address").port());
    let mut rest = Vec::new();
    let mut input = stdin();
    tokio::select! {
        () = accept(listener, manner) => {}
        _ = input.read_to_end(&mut rest) => {}
    }
}

async fn accept(listener: TcpListener, manner: Manner) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted.expect("accept a connection");
                stream.set_nodelay(true).expect("set an option of a socket");
                connections.spawn(Connection::new(stream, manner).run());
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

struct Connection {
    stream: TcpStream,
    input: Vec<u8>,
    answers: Answers,
}

/// Where the parts of the first request in the input end.
struct Request {
    head: usize,
    body: usize,
}

impl Connection {
    fn new(stream: TcpStream, manner: Manner) -> Self {
        Self { stream, input: Vec::new(), answers: Answers::new(manner) }
    }

    /// A client that goes away in the middle is not this server's error.
    async fn run(mut self) -> io::Result<()> {
        while let Some(request) = self.read().await? {
            self.answer(&request).await?;
            self.input.drain(..request.body);
        }
        Ok(())
    }

    /// Reads until a request is there as a whole; `None` at the end.
    async fn read(&mut self) -> io::Result<Option<Request>> {
        loop {
            let missing = match memmem::find(&self.input, b"\r\n\r\n").map(|at| at + 4) {
                None => 16 * 1024,
                Some(head) => {
                    let body = head + content_length(&self.input[..head]);
                    if body <= self.input.len() {
                        return Ok(Some(Request { head, body }));
                    }
                    body - self.input.len()
                }
            };
            self.input.reserve(missing);
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Ok(None);
            }
        }
    }

    async fn answer(&mut self, request: &Request) -> io::Result<()> {
        let (head, body) = self.input[..request.body].split_at(request.head);
        let line = &head[..memchr(b'\r', head).unwrap_or(head.len())];
        let session = memmem::find(line, b" /session ").is_some();
        let method = &line[..memchr(b' ', line).unwrap_or(line.len())];
        if method != b"POST" {
            let empty = match method {
                b"GET" if session => STREAM,
                b"DELETE" if session => EMPTY,
                _ => NOT_ALLOWED,
            };
            return self.stream.write_all(empty).await;
        }
        self.answers.clear();
        self.answers.modern = !session;
        self.answers.answer(body);
        if self.answers.bytes().is_empty() {
            return self.stream.write_all(ACCEPTED).await;
        }
        let head = head_of(self.answers.bytes(), session);
        self.stream.write_all_buf(&mut Buf::chain(head.as_bytes(), self.answers.bytes())).await
    }
}

const STREAM: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
const EMPTY: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const ACCEPTED: &[u8] = b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n";
const NOT_ALLOWED: &[u8] = b"HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 0\r\n\r\n";

/// What comes before an answer. An older server refuses what belongs to no session, and is asked
/// by clients what it does not know before they have one.
fn head_of(answer: &[u8], session: bool) -> String {
    let refused = session && memmem::find(&answer[..answer.len().min(64)], b"\"error\"").is_some();
    let status = if refused { "400 Bad Request" } else { "200 OK" };
    let id = if session { "mcp-session-id: 5ca1ab1e\r\n" } else { "" };
    let length = answer.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{id}content-length: {length}\r\n\r\n"
    )
}

/// Clients write the name of this header in small letters; a body in chunks would have none.
fn content_length(head: &[u8]) -> usize {
    const NAME: &[u8] = b"\r\ncontent-length: ";
    let Some(at) = memmem::find(head, NAME) else {
        let chunked = memmem::find(head, b"chunked").is_some();
        assert!(!chunked, "a body in chunks");
        return 0;
    };
    let digits = head[at + NAME.len()..].iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0'))
}
