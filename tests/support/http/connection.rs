//! The server's own thread, and what happens on each of its connections.

use std::{io, pin::Pin, sync::Arc};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf},
    net::{TcpListener, TcpStream},
    sync::{oneshot, watch},
    task::JoinSet,
};

use super::{Exchange, Request, Step, dialect, request::End, shared::Shared};

/// No request of a client in these tests is larger.
const LARGEST: usize = 64 << 20;

/// A connection as the server sees it, plain or in TLS.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {
    fn tcp(&self) -> &TcpStream;
}

impl Io for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

type Accepting = Pin<Box<dyn Future<Output = io::Result<Box<dyn Io>>> + Send>>;

/// Makes a connection of an accepted socket.
pub(crate) type Accept = Box<dyn Fn(TcpStream) -> Accepting + Send + Sync>;

/// Accepts connections until the sender is gone.
pub(crate) fn run(
    listener: std::net::TcpListener,
    shared: Arc<Shared>,
    mut stopped: oneshot::Receiver<()>,
) {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio.block_on(async move {
        listener.set_nonblocking(true).unwrap();
        let listener = TcpListener::from_std(listener).unwrap();
        let (end, ended) = watch::channel(());
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let (socket, _) = accepted.unwrap();
                    connections.spawn(connection(Arc::clone(&shared), socket, ended.clone()));
                }
                _ = &mut stopped => break,
                Some(ended) = connections.join_next() => ended.unwrap(),
            }
        }
        // From here on the port refuses.
        drop(listener);
        drop(end);
        while connections.join_next().await.is_some() {}
    });
}

async fn connection(shared: Arc<Shared>, socket: TcpStream, mut ended: watch::Receiver<()>) {
    socket.set_nodelay(true).unwrap();
    let (number, _open) = shared.opened();
    let accepted: io::Result<Box<dyn Io>> = match &shared.accept {
        None => Ok(Box::new(socket)),
        Some(accept) => tokio::select! {
            accepted = accept(socket) => accepted,
            _ = ended.changed() => return,
        },
    };
    // A client that does not trust us, or that we do not trust, is part of the test.
    let Ok(io) = accepted else { return };
    let (reader, writer) = tokio::io::split(io);
    let mut peer = Peer { number, reader, writer, unread: Vec::new() };
    let end = tokio::select! {
        end = peer.serve(&shared) => end,
        _ = ended.changed() => End::Reset,
    };
    let io = peer.reader.unsplit(peer.writer);
    if end == End::Reset {
        io.tcp().set_zero_linger().unwrap();
    }
}

struct Peer {
    number: u64,
    reader: ReadHalf<Box<dyn Io>>,
    writer: WriteHalf<Box<dyn Io>>,
    unread: Vec<u8>,
}

impl Peer {
    /// Answers one request after the other, until one side has had enough.
    async fn serve(&mut self, shared: &Arc<Shared>) -> End {
        while let Some(request) = self.read().await {
            let exchange = shared.record(request);
            let ended = Ended(&exchange);
            let steps = shared.plan(&exchange.request);
            let end = self.perform(shared, &exchange.request, steps).await;
            ended.with(end);
            if end != End::Answered {
                return end;
            }
        }
        End::Closed
    }

    async fn read(&mut self) -> Option<Request> {
        let end = loop {
            match self.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                Some(end) => break end,
                None => self.more().await?,
            }
        };
        let head: Vec<u8> = self.unread.drain(..end + 4).collect();
        let mut request = Request::head(self.number, std::str::from_utf8(&head).ok()?)?;
        let length = request.header("content-length").and_then(|length| length.parse().ok());
        let length: usize = length.unwrap_or(0);
        assert!(request.header("transfer-encoding").is_none(), "a body of unknown length");
        while self.unread.len() < length {
            self.more().await?;
        }
        request.set_body(self.unread.drain(..length).collect());
        Some(request)
    }

    async fn more(&mut self) -> Option<()> {
        assert!(self.unread.len() < LARGEST, "a request without an end");
        let read = self.reader.read_buf(&mut self.unread).await;
        read.is_ok_and(|count| count > 0).then_some(())
    }

    /// Returns when the client has closed the connection.
    async fn left(&mut self) {
        while self.more().await.is_some() {}
    }

    async fn perform(&mut self, shared: &Arc<Shared>, request: &Request, steps: Vec<Step>) -> End {
        for step in steps {
            let end = match step {
                Step::Proper => {
                    let proper = dialect::proper(shared, request);
                    Box::pin(self.perform(shared, request, proper)).await
                }
                Step::Listen(mut steps) => loop {
                    let next = tokio::select! {
                        next = steps.recv() => next,
                        () = self.left() => break End::Abandoned,
                    };
                    let Some(next) = next else { break End::Answered };
                    // The client may use the connection again for another request.
                    let is_last = next.ends_events();
                    let end = self.step(shared, next).await;
                    if is_last || end != End::Answered {
                        break end;
                    }
                },
                step => self.step(shared, step).await,
            };
            if end != End::Answered {
                return end;
            }
        }
        End::Answered
    }

    async fn step(&mut self, shared: &Arc<Shared>, step: Step) -> End {
        match step {
            Step::Bytes(bytes) => self.write(&bytes, 1).await,
            Step::Repeat(bytes, times) => self.write(&bytes, times).await,
            Step::Drip(bytes, pause) => {
                for byte in bytes {
                    let end = self.write(&[byte], 1).await;
                    if end != End::Answered {
                        return end;
                    }
                    tokio::time::sleep(pause).await;
                }
                End::Answered
            }
            Step::Close => End::Closed,
            Step::Reset => End::Reset,
            Step::Aside(steps) => {
                let shared = Arc::clone(shared);
                // Dropped with the server's async runtime at the latest.
                tokio::spawn(async move {
                    for step in steps {
                        aside(&shared, step).await;
                    }
                });
                End::Answered
            }
            step => tokio::select! {
                () = aside(shared, step) => End::Answered,
                () = self.left() => End::Abandoned,
            },
        }
    }

    async fn write(&mut self, bytes: &[u8], times: usize) -> End {
        for _ in 0..times {
            let written = self.writer.write_all(bytes).await;
            if written.is_err() || self.writer.flush().await.is_err() {
                return End::Abandoned;
            }
        }
        End::Answered
    }
}

/// Does what needs no connection.
async fn aside(shared: &Shared, step: Step) {
    match step {
        Step::Pause(time) => tokio::time::sleep(time).await,
        Step::Hold => shared.hold().await,
        Step::Push(session, bytes) => shared.push(&session, Step::Bytes(bytes)),
        other => panic!("{other:?} needs a connection"),
    }
}

/// Notes how an exchange ended, also where the server died over it.
struct Ended<'a>(&'a Exchange);

impl Ended<'_> {
    fn with(&self, end: End) {
        self.0.end.set(end).unwrap();
    }
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.end.get_or_init(|| End::Reset);
    }
}
