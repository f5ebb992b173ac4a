//! The stream of what a server says of its own accord, and how it is had back.

use std::sync::Arc;

use reqwest::{StatusCode, header::HeaderMap};
use tokio::sync::oneshot;

use super::Remote;
use crate::{
    connection::link::{DownOnDrop, Link},
    error::{DownCause, DownReason, HttpError},
    policy::RestartPolicy,
    transport::http::{
        endpoint::{Answered, Content, Endpoint},
        events::{Cursor, EventStream},
        failure::{Cause, Failure},
    },
};

/// How many streams without a word are taken for a server that polls, at most, when it comes to how
/// soon the next is asked for.
const QUIET: u32 = 6;

impl Remote {
    /// The task that keeps the stream of a server older than 2026-07-28, if it offers one, until the
    /// link is down. `opened` fires once that is known.
    pub(in crate::connection) async fn listen(
        self: Arc<Self>,
        link: Arc<Link>,
        opened: oneshot::Sender<()>,
    ) {
        tokio::select! {
            () = self.keep_listening(&link, opened) => {}
            _ = link.down() => {}
        }
    }

    async fn keep_listening(&self, link: &Arc<Link>, opened: oneshot::Sender<()>) {
        let mut cursor = Cursor::default();
        let Some(mut events) = self.first_stream(link, &cursor, opened).await else { return };
        let mut quiet = 0;
        loop {
            let spoke = self.read_on(link, &mut events, &mut cursor).await;
            quiet = if spoke { 0 } else { (quiet + 1).min(QUIET) };
            match self.reopen(link, &mut cursor, Some(quiet)).await {
                Ok(next) => events = next,
                Err(Failure { cause: Cause::Http(error), .. }) => {
                    return link.go_down(DownReason::new(DownCause::Http(error)));
                }
                Err(lost) => return self.weigh(link, &lost),
            }
        }
    }

    /// Asks for the stream for the first time: none if the server has none, whichever way it says so. A
    /// failure that may pass says nothing of that, so it is asked again, as often as its restart policy
    /// would start it again; one that never gives it a stream can be called all the same.
    async fn first_stream(
        &self,
        link: &Arc<Link>,
        cursor: &Cursor,
        opened: oneshot::Sender<()>,
    ) -> Option<Box<EventStream>> {
        let (policy, mut opened) = (self.restart_policy(), Some(opened));
        for attempt in 0..=policy.max_restarts {
            let answered = self.endpoint.listen(self.session_headers(link), cursor).await;
            // The first call waits no longer than for the first attempt.
            drop(opened.take());
            let failure = match answered {
                Ok(Answered { content: Content::Stream(events), .. }) => return Some(events),
                Ok(Answered { content: Content::Refused { status, body }, headers, .. })
                    if may_pass(status) =>
                {
                    Failure::maybe_sent(self.endpoint.refusal(status, &headers, &body))
                }
                Ok(_) => return None,
                Err(failure) => failure,
            };
            self.weigh(link, &failure);
            tokio::time::sleep(policy.backoff.delay(attempt, fastrand::f64())).await;
        }
        None
    }

    fn restart_policy(&self) -> RestartPolicy {
        let connection = self.connection.upgrade();
        connection.map(|connection| connection.spec.restart.clone()).unwrap_or_default()
    }

    /// Reads a stream to its end, and says whether it brought anything.
    async fn read_on(
        &self,
        link: &Arc<Link>,
        events: &mut EventStream,
        cursor: &mut Cursor,
    ) -> bool {
        let mut spoke = false;
        while let Ok(Some(event)) = events.next(cursor).await {
            spoke = true;
            self.hand_over(link, event.data, None);
        }
        spoke
    }

    /// Takes a stream up where it ended: as soon as the server wants, and as often as its restart
    /// policy would start it again. `quiet` is how many streams without a word came before, if it is
    /// the server's own and not that of an answer.
    pub(super) async fn reopen(
        &self,
        link: &Arc<Link>,
        cursor: &mut Cursor,
        quiet: Option<u32>,
    ) -> Result<Box<EventStream>, Failure> {
        let policy = self.restart_policy();
        let mut failure = Failure::maybe_sent(self.endpoint.ended());
        for attempt in 0..policy.max_restarts.max(1) {
            let pause =
                policy.backoff.delay(attempt.max(quiet.unwrap_or_default()), fastrand::f64());
            tokio::time::sleep(pause.max(cursor.retry.unwrap_or_default())).await;
            failure = match self.endpoint.listen(self.session_headers(link), cursor).await {
                Ok(answered) => match answered.content {
                    Content::Stream(events) => return Ok(events),
                    // What it has offered before, it only refuses to a stranger.
                    Content::Refused { status, .. }
                        if self.has_session() && is_loss(status, quiet.is_some()) =>
                    {
                        return Err(Failure::session_lost());
                    }
                    Content::Refused { status, body } => {
                        let error = self.endpoint.refusal(status, &answered.headers, &body);
                        Failure::maybe_sent(error)
                    }
                    Content::Accepted | Content::Message(_) => {
                        Failure::maybe_sent(self.endpoint.ended())
                    }
                },
                Err(failure) => failure,
            };
            self.weigh(link, &failure);
        }
        Err(failure)
    }

    /// The task that reads the stream of an HTTP+SSE server, which carries all its answers: its end
    /// is the end of the link.
    pub(in crate::connection) async fn read_all(
        self: Arc<Self>,
        link: Arc<Link>,
        mut events: Box<EventStream>,
    ) {
        let _guard = DownOnDrop(&link);
        let mut cursor = Cursor::default();
        let read = async {
            loop {
                match events.next(&mut cursor).await {
                    Ok(Some(event)) => self.hand_over(&link, event.data, None),
                    Ok(None) => return self.endpoint.ended(),
                    Err(error) => return error,
                }
            }
        };
        tokio::select! {
            error = read => link.go_down(DownReason::new(DownCause::Http(Arc::new(error)))),
            _ = link.down() => {}
        }
    }
}

/// Whether the same request may be answered otherwise in a while.
fn may_pass(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502..=504)
}

fn is_loss(status: StatusCode, offered: bool) -> bool {
    match status.as_u16() {
        404 => true,
        400 | 405 | 410 => offered,
        _ => false,
    }
}

/// Opens the stream of an HTTP+SSE server, and learns from it where messages go (MCP 2024-11-05,
/// basic/transports): to a URL of the same origin, or nowhere.
pub(in crate::connection) async fn open_sse(
    endpoint: &Endpoint,
) -> Result<(Endpoint, Box<EventStream>), Arc<HttpError>> {
    let mut cursor = Cursor::default();
    let answered = match endpoint.listen(HeaderMap::new(), &cursor).await {
        Ok(answered) => answered,
        Err(Failure { cause: Cause::Http(error), .. }) => return Err(error),
        Err(Failure { cause: Cause::SessionLost, .. }) => return Err(Arc::new(endpoint.ended())),
    };
    let mut events = match answered.content {
        Content::Stream(events) => events,
        Content::Refused { status, body } => {
            return Err(Arc::new(endpoint.refusal(status, &answered.headers, &body)));
        }
        Content::Accepted | Content::Message(_) => return Err(Arc::new(endpoint.ended())),
    };
    while let Some(event) = events.next(&mut cursor).await? {
        if event.name.as_deref() == Some("endpoint") {
            let reference = String::from_utf8_lossy(&event.data);
            return Ok((endpoint.at(reference.trim())?, events));
        }
    }
    Err(Arc::new(endpoint.ended()))
}
