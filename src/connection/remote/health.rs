//! Whether the server behind a URL is still there, by what it answers a probe.

use std::sync::{Arc, atomic::Ordering};

use super::Remote;
use crate::{
    connection::{
        ask::AskError,
        handshake::{Era, is_modern},
        health::{Prober, question},
        link::{Link, Loss, Timing},
    },
    error::{DownCause, HttpError},
    status::TransportKind,
};

/// JSON-RPC code of a server that failed, and said nothing of what it speaks.
const INTERNAL_ERROR: i64 = -32603;

/// How many connections that were lost unnoticed a probe may meet.
const STALE: u32 = 2;

impl Prober for Remote {
    async fn probe(&self, link: &Arc<Link>, timing: Timing) -> Option<DownCause> {
        let modern = link.era() == Some(Era::Modern);
        self.disowned.store(false, Ordering::Relaxed);
        let mut answer = question(link, timing).await;
        for _ in 0..STALE {
            // It may have met a connection that was lost with the exchange that raised the doubt.
            let stale = matches!(&answer, Err(AskError::Lost(Loss::Http { error, .. }))
                if matches!(**error, HttpError::Broken { .. }));
            if stale {
                answer = question(link, timing).await;
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
            Err(AskError::Lost(Loss::Http { error, .. })) if self.is_strange_to(&error) => {
                Some(DownCause::HttpSessionLost)
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

impl Remote {
    /// Whether a server that has to know our HTTP session refuses a question that every server
    /// answers which does (MCP 2025-11-25, basic/utilities/ping).
    fn is_strange_to(&self, error: &HttpError) -> bool {
        // Over HTTP+SSE, it is part of the endpoint.
        let session = self.has_session() || self.kind == TransportKind::HttpSse;
        session && matches!(error.status(), Some(400 | 405))
    }
}
