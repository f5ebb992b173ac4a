//! Many servers at once.

use callboard::{Runtime, ServerSpec, Session, Stdio};
use serde_json::json;
use tokio::task::JoinSet;

use crate::manner::{Manner, executable};
use crate::peer::Peer;

const TEXT: &str = "one call to each";

/// Servers that are open at the same time, each called once.
pub(crate) trait Fleet: Sized {
    /// What its lines in the report start with.
    const NAME: &'static str;
    fn open(count: usize) -> impl Future<Output = Self>;
    fn pids(&self) -> Vec<u32>;
    fn close(self) -> impl Future<Output = ()>;
}

/// One client for each server.
pub(crate) struct Clients<P>(Vec<P>);

impl<P: Peer> Fleet for Clients<P> {
    const NAME: &'static str = P::NAME;

    async fn open(count: usize) -> Self {
        let mut opening = JoinSet::new();
        for _ in 0..count {
            opening.spawn(async {
                let peer = P::open(Manner::Echo).await;
                let length = peer.call(&P::request(TEXT)).await;
                assert_eq!(length, Ok(TEXT.len()));
                peer
            });
        }
        Self(opening.join_all().await)
    }

    fn pids(&self) -> Vec<u32> {
        self.0.iter().map(P::pid).collect()
    }

    async fn close(self) {
        let mut closing = JoinSet::new();
        for peer in self.0 {
            closing.spawn(peer.close());
        }
        closing.join_all().await;
    }
}

/// One session of this crate with all servers.
pub(crate) struct OneSession {
    runtime: Runtime,
    session: Session,
}

impl Fleet for OneSession {
    const NAME: &'static str = "callboard";

    async fn open(count: usize) -> Self {
        let runtime = Runtime::start().await;
        let mut session = runtime.session("bench");
        for number in 0..count {
            let server = Stdio::new(executable()).arg(Manner::Echo.argument());
            session = session.server(ServerSpec::new(format!("echo{number}"), server));
        }
        let session = session.open().await.expect("open the session");
        session.settled().await;
        let mut calls = JoinSet::new();
        for number in 0..count {
            let session = session.clone();
            calls.spawn(async move {
                let tool = format!("echo{number}.echo");
                let output = session.call(&tool, json!({ "text": TEXT })).await;
                assert_eq!(output.expect("an answer").text(), TEXT);
            });
        }
        calls.join_all().await;
        Self { runtime, session }
    }

    fn pids(&self) -> Vec<u32> {
        let servers = self.session.servers();
        let pids = servers.iter().map(|server| server.status().pid);
        pids.collect::<Option<_>>().expect("every server has a process")
    }

    async fn close(self) {
        self.session.close().await;
        self.runtime.shutdown().await;
    }
}
