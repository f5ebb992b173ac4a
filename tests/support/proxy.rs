//! A proxy that opens tunnels (CONNECT, RFC 9110, 9.3.6), to one server under whatever name it is
//! asked for, and keeps all that clients send it.

#![allow(dead_code, reason = "each test uses its own part of it")]
#![allow(missing_docs, reason = "a test's harness")]

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

pub(crate) struct Proxy {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    accepting: JoinHandle<()>,
}

/// What went by.
#[derive(Default)]
struct Seen {
    /// What each tunnel was asked for with.
    heads: Vec<String>,
    /// What went through the tunnels, in both directions.
    through: Vec<u8>,
}

impl Proxy {
    /// Leads to this port of this machine; or nowhere, and answers with this instead.
    pub(crate) async fn to(target: Result<u16, &'static str>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::<Mutex<Seen>>::default();
        let accepting = tokio::spawn(accept(listener, target, Arc::clone(&seen)));
        Self { address, seen, accepting }
    }

    /// Its URL, for whoever shows these credentials.
    pub(crate) fn url(&self, credentials: &str) -> String {
        format!("http://{credentials}@{}", self.address)
    }

    pub(crate) fn heads(&self) -> Vec<String> {
        self.seen.lock().unwrap().heads.clone()
    }

    pub(crate) fn through(&self) -> Vec<u8> {
        self.seen.lock().unwrap().through.clone()
    }

    /// Ends it, with every tunnel.
    pub(crate) async fn end(self) {
        self.accepting.abort();
        drop(self.accepting.await);
    }
}

async fn accept(listener: TcpListener, target: Result<u16, &'static str>, seen: Arc<Mutex<Seen>>) {
    let mut tunnels = JoinSet::new();
    loop {
        let (near, _) = listener.accept().await.unwrap();
        tunnels.spawn(tunnel(near, target, Arc::clone(&seen)));
    }
}

/// Serves a connection to its end; which side ends it, and how, is not its business.
async fn tunnel(mut near: TcpStream, target: Result<u16, &'static str>, seen: Arc<Mutex<Seen>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match near.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    seen.lock().unwrap().heads.push(String::from_utf8(head).unwrap());
    let port = match target {
        Ok(port) => port,
        Err(answer) => return drop(near.write_all(answer.as_bytes()).await),
    };
    let Ok(far) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    if near.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.is_err() {
        return;
    }
    let ((mut asked, mut answers), (mut answered, mut asks)) =
        (near.into_split(), far.into_split());
    let keep = |bytes: &[u8]| seen.lock().unwrap().through.extend_from_slice(bytes);
    tokio::join!(bring(&mut asked, &mut asks, keep), bring(&mut answered, &mut answers, keep));
}

async fn bring(
    from: &mut (impl tokio::io::AsyncRead + Unpin),
    to: &mut (impl tokio::io::AsyncWrite + Unpin),
    keep: impl Fn(&[u8]),
) {
    let mut buffer = vec![0; 1 << 14];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        keep(&buffer[..count]);
        if to.write_all(&buffer[..count]).await.is_err() {
            break;
        }
    }
    drop(to.shutdown().await);
}
