//! A server of MCP 2026-07-28 over HTTP/2 and TLS, for what only HTTP/2 has: many calls on one
//! connection, each with an end of its own.

#![allow(missing_docs, reason = "a test's server")]

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream, server::SendResponse};
use hyper::{Request, Response, Version};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};

pub(crate) struct Http2Server {
    pub(crate) url: String,
    books: Arc<Books>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Books {
    connected: AtomicUsize,
    held: AtomicUsize,
    /// Why clients have closed the streams of their calls.
    cancelled: Mutex<Vec<Reason>>,
    /// How often all connections were cut, and what is held was released.
    cut: watch::Sender<()>,
    gate: watch::Sender<()>,
}

impl Http2Server {
    /// One that allows so many streams on a connection, or any number.
    pub(crate) async fn start(mut config: ServerConfig, streams: Option<u32>) -> Self {
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("https://{}/mcp", listener.local_addr().unwrap());
        let books = Arc::new(Books::default());
        let task = tokio::spawn(accept(
            listener,
            TlsAcceptor::from(Arc::new(config)),
            streams,
            books.clone(),
        ));
        Self { url, books, task }
    }

    pub(crate) fn connected(&self) -> usize {
        self.books.connected.load(Ordering::SeqCst)
    }

    pub(crate) fn held(&self) -> usize {
        self.books.held.load(Ordering::SeqCst)
    }

    pub(crate) fn cancelled(&self) -> Vec<Reason> {
        self.books.cancelled.lock().unwrap().clone()
    }

    pub(crate) fn release(&self) {
        self.books.gate.send_replace(());
    }

    /// Resets every connection.
    pub(crate) fn cut(&self) {
        self.books.cut.send_replace(());
    }

    pub(crate) async fn stop(self) {
        self.task.abort();
        drop(self.task.await);
    }
}

async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    streams: Option<u32>,
    books: Arc<Books>,
) {
    let mut connections = JoinSet::new();
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        books.connected.fetch_add(1, Ordering::SeqCst);
        let (acceptor, books) = (acceptor.clone(), Arc::clone(&books));
        let mut cut = books.cut.subscribe();
        connections.spawn(async move {
            tokio::select! {
                () = serve(socket, acceptor, streams, books) => {}
                _ = cut.changed() => {}
            }
        });
    }
}

async fn serve(socket: TcpStream, acceptor: TlsAcceptor, allowed: Option<u32>, books: Arc<Books>) {
    socket.set_zero_linger().unwrap();
    let tls = acceptor.accept(socket).await.unwrap();
    assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]), "HTTP/2 was offered");
    let mut builder = h2::server::Builder::new();
    if let Some(allowed) = allowed {
        builder.max_concurrent_streams(allowed);
    }
    let mut connection = builder.handshake(tls).await.unwrap();
    let mut streams = JoinSet::new();
    while let Some(Ok((request, respond))) = connection.accept().await {
        streams.spawn(answer(request, respond, Arc::clone(&books)));
    }
}

async fn answer(request: Request<RecvStream>, respond: SendResponse<Bytes>, books: Arc<Books>) {
    assert_eq!(request.version(), Version::HTTP_2);
    let message = read(request.into_body()).await;
    let method = message["method"].as_str().unwrap();
    if method == "tools/call" {
        return call(&message, respond, &books).await;
    }
    let result = match method {
        "server/discover" => json!({
            "supportedVersions": ["2026-07-28"],
            "capabilities": { "tools": {} },
            "resultType": "complete",
        }),
        "tools/list" => {
            let schema = json!({ "type": "object" });
            let names = ["echo", "hold", "reset"];
            let tools = names.map(|name| json!({ "name": name, "inputSchema": schema }));
            json!({ "tools": tools, "resultType": "complete" })
        }
        other => panic!("{other} is unknown"),
    };
    send(&message, &result, respond);
}

async fn call(message: &Value, mut respond: SendResponse<Bytes>, books: &Books) {
    let name = message["params"]["name"].as_str().unwrap();
    match name {
        "reset" => return respond.send_reset(Reason::INTERNAL_ERROR),
        "hold" => {
            let mut gate = books.gate.subscribe();
            books.held.fetch_add(1, Ordering::SeqCst);
            tokio::select! {
                released = gate.changed() => released.unwrap(),
                reason = std::future::poll_fn(|cx| respond.poll_reset(cx)) => {
                    books.cancelled.lock().unwrap().extend(reason.ok());
                }
            }
            books.held.fetch_sub(1, Ordering::SeqCst);
        }
        _ => {}
    }
    let content = json!([{ "type": "text", "text": name }]);
    send(message, &json!({ "content": content, "resultType": "complete" }), respond);
}

async fn read(mut body: RecvStream) -> Value {
    let mut bytes = Vec::new();
    while let Some(Ok(piece)) = body.data().await {
        body.flow_control().release_capacity(piece.len()).unwrap();
        bytes.extend_from_slice(&piece);
    }
    serde_json::from_slice(&bytes).unwrap_or_default()
}

fn send(message: &Value, result: &Value, mut respond: SendResponse<Bytes>) {
    let answer = json!({ "jsonrpc": "2.0", "id": message["id"], "result": result });
    let head = Response::builder().header("content-type", "application/json").body(()).unwrap();
    // The client may have closed the stream.
    let Ok(mut body): Result<SendStream<Bytes>, _> = respond.send_response(head, false) else {
        return;
    };
    drop(body.send_data(answer.to_string().into(), true));
}
