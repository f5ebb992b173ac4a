//! Whether the server behind a URL is still there: asked when an exchange was lost, and now and then
//! when there is none, if the host wants that.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::Remote;
use crate::{
    connection::{
        ask::{AskError, ask},
        handshake::{Era, is_modern},
        link::{Link, Loss, Timing},
    },
    error::{DownCause, DownReason, HttpError},
};

/// JSON-RPC code of a server that failed, and said nothing of what it speaks.
const INTERNAL_ERROR: i64 = -32603;

/// How many connections that were lost unnoticed a probe may meet.
const STALE: u32 = 2;

/// How long a server has to answer a probe.
const PROBE: Duration = Duration::from_secs(10);

impl Remote {
    /// The task that takes the link down when the server is no longer there.
    pub(in crate::connection) async fn watch(
        self: Arc<Self>,
        link: Arc<Link>,
        every: Option<Duration>,
    ) {
        tokio::select! {
            reason = self.until_lost(&link, every) => link.go_down(reason),
            _ = link.down() => {}
        }
    }

    async fn until_lost(&self, link: &Arc<Link>, every: Option<Duration>) -> DownReason {
        loop {
            tokio::select! {
                () = self.doubt.notified() => {}
                () = self.idle(every) => {}
            }
            if let Some(cause) = Box::pin(self.probe(link)).await {
                return DownReason::new(cause);
            }
        }
    }

    /// Resolves after an interval without an answer from the server.
    async fn idle(&self, every: Option<Duration>) {
        let Some(every) = every else { return std::future::pending().await };
        loop {
            tokio::time::sleep(every).await;
            if !self.active.swap(false, Ordering::Relaxed) {
                return;
            }
        }
    }

    /// Asks the server something that has no consequences, and returns what says that it is lost.
    async fn probe(&self, link: &Arc<Link>) -> Option<DownCause> {
        let modern = link.era() == Some(Era::Modern);
        let method = if modern { "server/discover" } else { "ping" };
        let timing = Timing { idle: None, total: Some(PROBE) };
        self.disowned.store(false, Ordering::Relaxed);
        let mut answer = ask(link, method, timing, |_| Ok(())).await;
        for _ in 0..STALE {
            // It may have met a connection that was lost with the exchange that raised the doubt.
            let stale = matches!(&answer, Err(AskError::Lost(Loss::Http { error, .. }))
                if matches!(**error, HttpError::Broken { .. }));
            if stale {
                answer = ask(link, method, timing, |_| Ok(())).await;
            }
        }
        match answer {
            Ok(result) if modern => (!is_modern(&result)).then_some(DownCause::ProtocolChanged),
            Err(AskError::Refused(error)) if modern => {
                (error.code != INTERNAL_ERROR).then_some(DownCause::ProtocolChanged)
            }
            Err(AskError::Refused(_)) => {
                let disowned = self.disowned.load(Ordering::Relaxed);
                disowned.then_some(DownCause::HttpSessionLost)
            }
            Err(AskError::Lost(Loss::Http { error, .. })) => {
                // For want of authorization nobody was asked, or it was the server that said so.
                let alive = error.is_unauthorized()
                    || error.status().is_some_and(|status| status < 500 && status != 404);
                (!alive).then_some(DownCause::Http(error))
            }
            Err(AskError::Lost(Loss::TimedOut { after, .. })) => {
                Some(DownCause::Unresponsive { after })
            }
            // Whatever it says, it is there; or the link is down already.
            Ok(_) | Err(AskError::Malformed(_) | AskError::Lost(_)) => None,
        }
    }
}
