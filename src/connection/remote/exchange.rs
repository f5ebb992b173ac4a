//! One message and what comes back for it.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use reqwest::{StatusCode, header::HeaderMap};

use super::Remote;
use crate::{
    connection::{
        handshake::Era,
        link::{Link, Loss, Outcome},
    },
    error::{Delivery, HttpError},
    status::TransportKind,
    transport::{
        Departure,
        http::{
            endpoint::{Content, SESSION_ID},
            events::{Cursor, EventStream},
            failure::{Cause, Failure},
        },
    },
    wire::{self, Incoming, RequestId},
};

/// How long a stream that has brought its answer may take to end: what it was read on for is its
/// connection.
const LINGER: Duration = Duration::from_secs(1);

/// How long a message that nobody waits for may take.
const DELIVERY: Duration = Duration::from_secs(30);

/// A request about to be sent.
pub(super) struct Asking {
    pub(super) id: RequestId,
    /// Whether its answer opens the HTTP session.
    pub(super) opening: bool,
    /// Whether it only asks if the server is there: then how it is refused answers a doubt, and casts
    /// none.
    pub(super) probe: bool,
    pub(super) departure: Departure,
}

impl Asking {
    fn cast_doubt(&self, link: &Link) {
        if !self.probe {
            link.pulse.doubt();
        }
    }
}

impl Remote {
    /// Sends a request, and brings its answer home.
    pub(super) async fn exchange(
        self: Arc<Self>,
        link: Arc<Link>,
        asking: Asking,
        frame: Vec<u8>,
        headers: HeaderMap,
    ) -> Option<Outcome> {
        match self.ask(&link, &asking, frame, headers).await {
            Ok(answer) => answer.map(Ok),
            Err(failure) => {
                if let (Cause::SessionLost, Delivery::NotSent) = (&failure.cause, failure.delivery)
                {
                    link.refused(asking.id);
                }
                self.weigh(&link, &failure);
                let Failure { cause, delivery } = failure;
                match cause {
                    Cause::Http(error) => Some(Err(Loss::Http { error, delivery })),
                    // It went down with its link.
                    Cause::SessionLost => None,
                }
            }
        }
    }

    /// The answer, where it came as such; where it came among other messages, it has been handed over
    /// with them.
    async fn ask(
        self: &Arc<Self>,
        link: &Arc<Link>,
        asking: &Asking,
        frame: Vec<u8>,
        headers: HeaderMap,
    ) -> Result<Option<Vec<u8>>, Failure> {
        let (id, session) = (asking.id, headers.contains_key(SESSION_ID));
        let answered = self.endpoint.post(frame, headers, &asking.departure).await?;
        link.pulse.beat();
        if self.kind == TransportKind::HttpSse {
            let Content::Refused { status, body } = answered.content else { return Ok(None) };
            if is_estranged(status) {
                asking.cast_doubt(link);
            }
            return Err(self.refusal(status, &answered.headers, &body));
        }
        if asking.opening {
            self.learn_session(&answered.headers);
        }
        let message = match answered.content {
            Content::Accepted => return Err(self.no_answer()),
            Content::Message(message) => message,
            Content::Stream(events) => {
                self.follow_answer(link, id, events).await?;
                return Ok(None);
            }
            Content::Refused { status: StatusCode::NOT_FOUND, .. } if session => {
                return Err(Failure::session_lost());
            }
            Content::Refused { status, body } if is_error_answer(&body) => {
                // It refuses whoever asks, and not what was asked.
                if is_unaddressed(&body) && is_estranged(status) {
                    self.disowned.store(true, Ordering::Relaxed);
                    asking.cast_doubt(link);
                }
                body
            }
            Content::Refused { status, body } => {
                if is_estranged(status) {
                    asking.cast_doubt(link);
                }
                return Err(self.refusal(status, &answered.headers, &body));
            }
        };
        if let Incoming::Answer { id: found } = wire::classify(&message)
            && found == id
        {
            return Ok(Some(message));
        }
        self.hand_over(link, message, Some(id));
        if link.waits_for(id) { Err(self.no_answer()) } else { Ok(None) }
    }

    fn no_answer(&self) -> Failure {
        let origin = self.endpoint.origin();
        Failure::new(HttpError::NoAnswer { origin }, Delivery::Answered)
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
        self: &Arc<Self>,
        link: &Arc<Link>,
        id: RequestId,
        mut events: Box<EventStream>,
    ) -> Result<(), Failure> {
        let mut cursor = Cursor::default();
        loop {
            let broken = loop {
                match events.next(&mut cursor).await {
                    Ok(Some(event)) => self.hand_over(link, event.data, Some(id)),
                    Ok(None) => break None,
                    Err(error) => break Some(error),
                }
                if !link.waits_for(id) {
                    self.spawn(Arc::clone(self).linger(Arc::clone(link), events));
                    return Ok(());
                }
            };
            let resumable = link.era() == Some(Era::Legacy) && cursor.last_event_id.is_some();
            if !resumable {
                let error = broken.unwrap_or_else(|| self.endpoint.ended());
                return Err(Failure::maybe_sent(error));
            }
            // What failed is the GET. The request has left, and the server may be at it.
            events = self.reopen(link, &mut cursor, None).await.map_err(Failure::of_sent)?;
        }
    }

    /// Reads what else a stream says, so that its connection can be used again.
    async fn linger(self: Arc<Self>, link: Arc<Link>, mut events: Box<EventStream>) {
        let rest = async {
            let mut cursor = Cursor::default();
            while let Ok(Some(event)) = events.next(&mut cursor).await {
                self.hand_over(&link, event.data, None);
            }
        };
        tokio::select! {
            () = rest => {}
            () = tokio::time::sleep(LINGER) => {}
            _ = link.down() => {}
        }
    }

    /// Sends a message that is no request.
    pub(super) async fn deliver(
        self: Arc<Self>,
        link: Arc<Link>,
        (frame, headers): (Vec<u8>, HeaderMap),
        answer: bool,
    ) {
        let session = headers.contains_key(SESSION_ID);
        let departure = Departure::default();
        let posting = async {
            // An answer is waited for, and does not queue behind what is not.
            let _place = if answer { None } else { self.places.acquire().await.ok() };
            self.endpoint.post(frame, headers, &departure).await
        };
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
            Err(_elapsed) => link.pulse.doubt(),
        }
    }
}

/// Whether a status may be how a server greets a stranger: one that has taken the place of another
/// knows nothing of what was agreed.
fn is_estranged(status: StatusCode) -> bool {
    matches!(status.as_u16(), 400 | 404 | 405)
}

fn is_unaddressed(body: &[u8]) -> bool {
    matches!(wire::classify(wire::trim(body)), Incoming::Unroutable)
}

/// Whether the body of an error status is a JSON-RPC error: then that says more than the status.
fn is_error_answer(body: &[u8]) -> bool {
    matches!(wire::classify(wire::trim(body)), Incoming::Answer { .. } | Incoming::Unroutable)
}
