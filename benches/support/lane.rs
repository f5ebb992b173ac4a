//! One contender under one load.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::kill::kill;
use crate::manner::Manner;
use crate::peer::Peer;
use crate::round::{Fault, Load, Round, round};

type Pending<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// A lane whose kind of client does not matter.
pub(crate) trait Contender {
    fn name(&self) -> &'static str;
    fn rounds(&self) -> &[Round];
    fn fault(&self) -> Option<&Fault>;
    /// Measures once more, unless it has a fault.
    fn run_round(&mut self) -> Pending<'_>;
    fn close(self: Box<Self>) -> Pending<'static>;
}

/// A client, its load and what was measured so far.
pub(crate) struct Lane<P: Peer> {
    peer: Arc<P>,
    request: Arc<P::Request>,
    load: Load,
    rounds: Vec<Round>,
    fault: Option<Fault>,
}

impl<P: Peer> Lane<P> {
    /// Connects the client and warms it up.
    pub(crate) async fn open(load: Load) -> Self {
        let text = "The quick brown fox jumps over the lazy dog. ".repeat(load.size / 45 + 1);
        let mut lane = Self {
            peer: Arc::new(P::open(Manner::Echo).await),
            request: Arc::new(P::request(&text[..load.size])),
            load: Load { span: Duration::from_millis(200), ..load },
            rounds: Vec::new(),
            fault: None,
        };
        lane.measure().await;
        lane.rounds.clear();
        lane.load = load;
        lane
    }

    async fn measure(&mut self) {
        if self.fault.is_none() {
            match round(&self.peer, &self.request, self.load).await {
                Ok(round) => self.rounds.push(round),
                Err(fault) => self.fault = Some(fault),
            }
        }
    }
}

impl<P: Peer> Contender for Lane<P> {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn rounds(&self) -> &[Round] {
        &self.rounds
    }

    fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    fn run_round(&mut self) -> Pending<'_> {
        Box::pin(self.measure())
    }

    /// A client with a fault may never close: its server is killed instead.
    fn close(self: Box<Self>) -> Pending<'static> {
        Box::pin(async move {
            if self.fault.is_some() {
                kill(self.peer.pid());
            } else if let Some(peer) = Arc::into_inner(self.peer) {
                peer.close().await;
            }
        })
    }
}
