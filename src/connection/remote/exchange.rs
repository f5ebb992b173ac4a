//! One message and what comes back for it.

use std::{sync::Arc, time::Duration};

use reqwest::{StatusCode, header::HeaderMap};
use tokio::sync::oneshot;

use super::Remote;
use crate::{
    connection::link::{Link, Loss},
    error::{Delivery, DownCause, DownReason},
    status::TransportKind,
    transport::http::{
        endpoint::{Content, SESSION_ID},
        events::{Cursor, EventStream},
        failure::{Cause, Failure},
    },
    wire::{self, Incoming, RequestId},
};

/// How long a stream that has brought its answer may take to end: what it was read on for is its
/// connection.
const LINGER: Duration = Duration::from_secs(1);

/// How long a message that nobody waits for may take.
const DELIVERY: Duration = Duration::from_secs(30);

/// Sees to it that a request ends with its exchange, whatever became of that.
struct Settle {
    link: Arc<Link>,
    id: RequestId,
    /// Whether the answer comes another way.
    elsewhere: bool,
    loss: Option<Loss>,
}

impl Drop for Settle {
    fn drop(&mut self) {
        if self.elsewhere {
            return;
        }
        let lost = || {
            let reason = Arc::new(DownReason::new(DownCause::Internal));
            Loss::Down { reason, delivery: Delivery::MaybeSent }
        };
        self.link.fail(self.id, self.loss.take().unwrap_or_else(lost));
    }
}

impl Remote {
    /// Sends a request, and brings its answer home.
    pub(super) async fn exchange(
        self: Arc<Self>,
        link: Arc<Link>,
        (id, opening): (RequestId, bool),
        (frame, headers): (Vec<u8>, HeaderMap),
        stopped: oneshot::Receiver<()>,
    ) {
        let mut settle = Settle { link: Arc::clone(&link), id, elsewhere: false, loss: None };
        let outcome = tokio::select! {
            biased;
            outcome = self.ask(&link, (id, opening), frame, headers) => outcome,
            // Nobody waits for it: it was given up, or went down with its link.
            _ = stopped => return,
        };
        if let Some(exchanges) = &mut *self.exchanges.lock() {
            exchanges.remove(&id);
        }
        match outcome {
            Ok(()) if self.kind == TransportKind::HttpSse => settle.elsewhere = true,
            Ok(()) => {
                let error = Arc::new(self.endpoint.ended());
                settle.loss = Some(Loss::Http { error, delivery: Delivery::MaybeSent });
            }
            Err(failure) => {
                if let Cause::SessionLost = failure.cause {
                    link.refused(id);
                }
                self.weigh(&link, &failure);
                let Failure { cause, delivery } = failure;
                settle.loss = match cause {
                    Cause::Http(error) => Some(Loss::Http { error, delivery }),
                    Cause::SessionLost => None,
                };
            }
        }
    }

    async fn ask(
        &self,
        link: &Arc<Link>,
        (id, opening): (RequestId, bool),
        frame: Vec<u8>,
        headers: HeaderMap,
    ) -> Result<(), Failure> {
        let session = headers.contains_key(SESSION_ID);
        let answered = self.endpoint.post(frame, headers).await?;
        let Some(mut inbound) = self.inbound(link) else { return Ok(()) };
        if opening && self.kind == TransportKind::StreamableHttp {
            self.learn_session(&answered.headers);
        }
        match answered.content {
            Content::Accepted => {}
            Content::Message(message) => self.hand_over(&mut inbound, message, Some(id)),
            Content::Stream(events) => return self.follow_answer(link, id, events).await,
            Content::Refused { status: StatusCode::NOT_FOUND, .. } if session => {
                return Err(Failure::session_lost());
            }
            Content::Refused { status, body } => {
                if !is_error_answer(&body) {
                    return Err(self.refusal(status, &answered.headers, &body));
                }
                self.hand_over(&mut inbound, body, Some(id));
            }
        }
        Ok(())
    }

    fn refusal(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Failure {
        let delivery = match status.as_u16() {
            // It was not taken (RFC 6585, 4).
            429 => Delivery::NotSent,
            400..500 => Delivery::Answered,
            // Whoever is in between may say so of what the server has done.
            _ => Delivery::MaybeSent,
        };
        Failure::new(self.endpoint.refusal(status, headers, body), delivery)
    }

    /// Reads a stream until it brings the answer. One that breaks off before can be taken up where
    /// it ended, if its events had ids (MCP 2025-11-25, basic/transports; no more in 2026-07-28).
    async fn follow_answer(
        &self,
        link: &Arc<Link>,
        id: RequestId,
        mut events: Box<EventStream>,
    ) -> Result<(), Failure> {
        let mut cursor = Cursor::default();
        loop {
            let Some(mut inbound) = self.inbound(link) else { return Ok(()) };
            let broken = loop {
                match events.next(&mut cursor).await {
                    Ok(Some(event)) => self.hand_over(&mut inbound, event.data, Some(id)),
                    Ok(None) => break None,
                    Err(error) => break Some(error),
                }
                if !link.waits_for(id) {
                    return self.linger(link, events).await;
                }
            };
            let resumable = link.era() == Some(crate::connection::handshake::Era::Legacy)
                && cursor.last_event_id.is_some();
            if !resumable {
                let error = broken.unwrap_or_else(|| self.endpoint.ended());
                return Err(Failure::maybe_sent(error));
            }
            events = self.reopen(link, &mut cursor, 0).await?;
        }
    }

    /// Reads what else a stream says, so that its connection can be used again.
    async fn linger(&self, link: &Arc<Link>, mut events: Box<EventStream>) -> Result<(), Failure> {
        let rest = async {
            let mut cursor = Cursor::default();
            while let (Ok(Some(event)), Some(mut inbound)) =
                (events.next(&mut cursor).await, self.inbound(link))
            {
                self.hand_over(&mut inbound, event.data, None);
            }
        };
        drop(tokio::time::timeout(LINGER, rest).await);
        Ok(())
    }

    /// Sends a message that is no request.
    pub(super) async fn deliver(
        self: Arc<Self>,
        link: Arc<Link>,
        frame: Vec<u8>,
        headers: HeaderMap,
    ) {
        let session = headers.contains_key(SESSION_ID);
        let posting = self.endpoint.post(frame, headers);
        let posted = tokio::select! {
            posted = tokio::time::timeout(DELIVERY, posting) => posted,
            _ = link.down() => return,
        };
        match posted {
            Ok(Ok(answered)) => {
                if let Content::Refused { status: StatusCode::NOT_FOUND, .. } = answered.content
                    && session
                {
                    self.weigh(&link, &Failure::session_lost());
                }
            }
            Ok(Err(failure)) => self.weigh(&link, &failure),
            Err(_elapsed) => self.doubt.notify_one(),
        }
    }
}

/// Whether the body of an error status is a JSON-RPC error: then that says more than the status.
fn is_error_answer(body: &[u8]) -> bool {
    matches!(wire::classify(wire::trim(body)), Incoming::Answer { .. } | Incoming::Unroutable)
}
