//! What stands between a client and a server: a forwarder of bytes whose connections can be cut, and
//! that can lead to another server from one moment to the next, as a load balancer does.

#![allow(dead_code, reason = "each test uses its own part of it")]
#![allow(missing_docs, reason = "a test's harness")]

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU16, AtomicU64, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};

pub(crate) struct Relay {
    address: SocketAddr,
    target: Arc<AtomicU16>,
    brought: Arc<AtomicU64>,
    cut: watch::Sender<()>,
    held: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl Relay {
    /// Forwards to this port of this machine.
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let ((cut, cuts), (held, holds)) = (watch::channel(()), watch::channel(false));
        let (target, brought) = (Arc::new(AtomicU16::new(port)), Arc::default());
        let both = (Arc::clone(&target), Arc::clone(&brought));
        let accepting = tokio::spawn(accept(listener, both, (cuts, holds)));
        Self { address, target, brought, cut, held, accepting }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// How many bytes servers have sent to clients.
    pub(crate) fn brought(&self) -> u64 {
        self.brought.load(Ordering::SeqCst)
    }

    /// Cuts every connection that there is; new ones are welcome.
    pub(crate) fn cut(&self) {
        self.cut.send_replace(());
    }

    /// Cuts every connection that there is; new ones wait until they are [`released`](Self::release).
    pub(crate) fn hold(&self) {
        self.held.send_replace(true);
        self.cut();
    }

    pub(crate) fn release(&self) {
        self.held.send_replace(false);
    }

    /// Leads to another port from now on.
    pub(crate) fn switch(&self, port: u16) {
        self.target.store(port, Ordering::SeqCst);
        self.cut();
    }

    /// Ends it, with every connection.
    pub(crate) async fn end(self) {
        self.accepting.abort();
        drop(self.accepting.await);
    }
}

async fn accept(
    listener: TcpListener,
    (target, brought): (Arc<AtomicU16>, Arc<AtomicU64>),
    (cuts, holds): (watch::Receiver<()>, watch::Receiver<bool>),
) {
    let mut forwarding = tokio::task::JoinSet::new();
    loop {
        let (near, _) = listener.accept().await.unwrap();
        let (mut cuts, mut holds) = (cuts.clone(), holds.clone());
        // In this order: whoever still sees the old target is cut.
        cuts.mark_unchanged();
        let port = target.load(Ordering::SeqCst);
        let brought = Arc::clone(&brought);
        forwarding.spawn(async move {
            tokio::select! {
                () = async {
                    drop(holds.wait_for(|held| !held).await);
                    forward(near, port, &brought).await;
                } => {}
                _ = cuts.changed() => {}
            }
        });
    }
}

/// Forwards a connection to its end; which of both ends it, and how, is not its business.
async fn forward(near: TcpStream, port: u16, brought: &AtomicU64) {
    let Ok(far) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let ((mut asked, near), (far, mut asking)) = (near.into_split(), far.into_split());
    let there = async {
        drop(tokio::io::copy(&mut asked, &mut asking).await);
        drop(asking);
    };
    tokio::join!(there, bring(far, near, brought));
}

async fn bring(mut far: OwnedReadHalf, mut near: OwnedWriteHalf, brought: &AtomicU64) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(count @ 1..) = far.read(&mut buffer).await {
        if near.write_all(&buffer[..count]).await.is_err() {
            return;
        }
        brought.fetch_add(count as u64, Ordering::SeqCst);
    }
}
