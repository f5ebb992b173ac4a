//! One connection of a test server, from its beginning to its end.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader},
    sync::mpsc,
};
use tokio_util::sync::CancellationToken;
use tracing::Span;

use super::Board;
use crate::{
    error::DownCause,
    scope::Scope,
    transport::memory::{Aside, MemoryStream, Refusal},
};

/// How many messages of the server may wait for its client.
const OUTGOING: usize = 256;

/// In how many pieces a slow answer comes.
const PIECES: usize = 16;

/// How long an answer is held back for another to overtake it.
const HELD_BACK: Duration = Duration::from_millis(50);

/// Something that a server does over a connection.
#[derive(Debug)]
pub(super) enum Deed {
    Send(Vec<u8>),
    /// Sends it in pieces, with a pause between.
    SendSlowly(Vec<u8>, Duration),
    /// Sends it behind the next message.
    SendLater(Vec<u8>),
    /// Sends half of it, and ends the connection.
    SendHalf(Vec<u8>),
    /// Refuses a request by a status.
    Refuse(Refusal),
    /// Reads nothing any more.
    StopReading,
    /// Writes nothing any more.
    StopWriting,
    /// Ends the connection, as a process does that exits, where that is to be told.
    Leave(Option<DownCause>),
}

impl Board {
    /// Serves one connection to its end.
    pub(super) async fn serve(self: Arc<Self>, stream: MemoryStream) {
        let aside = stream.aside();
        let (reading, writing) = tokio::io::split(stream);
        let (client, outgoing) = mpsc::channel(OUTGOING);
        self.offers.lock().clients.push(client.clone());
        let (answering, deaf) = (Scope::default(), CancellationToken::new());
        let read = async {
            let mut lines = BufReader::new(reading).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let (board, client) = (Arc::clone(&self), client.clone());
                // A tool may take its time, and others are called meanwhile.
                let token = answering.token().clone();
                answering.spawn(&Span::none(), async move {
                    let deed = token.run_until_cancelled(board.answer(line)).await;
                    if let Some(deed) = deed.flatten() {
                        drop(client.send(deed).await);
                    }
                });
            }
        };
        let listen = async {
            if deaf.run_until_cancelled(read).await.is_none() {
                std::future::pending::<()>().await;
            }
        };
        let _stop = answering.token().clone().drop_guard();
        tokio::select! {
            biased;
            () = Hand { writing, aside, deaf: &deaf }.work(outgoing) => {}
            () = listen => {}
        }
    }
}

/// What does the deeds of a server, in their order.
struct Hand<'a, W> {
    writing: W,
    aside: Aside,
    deaf: &'a CancellationToken,
}

impl<W: AsyncWrite + Unpin> Hand<'_, W> {
    /// Works until the connection is over.
    async fn work(mut self, mut outgoing: mpsc::Receiver<Deed>) {
        let mut held: Vec<u8> = Vec::new();
        loop {
            let next = if held.is_empty() {
                outgoing.recv().await
            } else {
                let next = tokio::time::timeout(HELD_BACK, outgoing.recv()).await;
                next.unwrap_or(Some(Deed::Send(Vec::new())))
            };
            let Some(deed) = next else { return };
            if let Deed::SendLater(message) = deed {
                held.extend(message);
                continue;
            }
            if !self.does(deed).await || !self.writes(&std::mem::take(&mut held)).await {
                return;
            }
        }
    }

    /// Does one; false at the end of the connection.
    async fn does(&mut self, deed: Deed) -> bool {
        match deed {
            Deed::Send(message) | Deed::SendLater(message) => self.writes(&message).await,
            Deed::SendSlowly(message, pause) => {
                for piece in message.chunks(message.len().div_ceil(PIECES).max(1)) {
                    tokio::time::sleep(pause).await;
                    if !self.writes(piece).await {
                        return false;
                    }
                }
                true
            }
            Deed::SendHalf(message) => {
                self.writes(&message[..message.len() / 2]).await;
                false
            }
            Deed::Refuse(refusal) => {
                self.aside.refuse(refusal);
                true
            }
            Deed::StopReading => {
                self.deaf.cancel();
                true
            }
            Deed::StopWriting => std::future::pending().await,
            Deed::Leave(cause) => {
                if let Some(cause) = cause {
                    self.aside.end(cause);
                }
                false
            }
        }
    }

    async fn writes(&mut self, bytes: &[u8]) -> bool {
        self.writing.write_all(bytes).await.is_ok()
    }
}
