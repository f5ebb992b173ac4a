//! Whether the server is still there: asked when something casts doubt on it, and now and then when
//! nothing comes from it, if the host wants that.

use std::{pin::pin, sync::Arc};

use super::{
    ask::{AskError, ask},
    handshake::Era,
    link::{Link, Loss, Timing},
};
use crate::{
    error::{DownCause, DownReason},
    policy::HealthCheck,
    wire::RawResult,
};

/// Who asks a server whether it is there.
pub(super) trait Prober: Send + Sync {
    /// Asks the server something that has no consequences, and returns what says that it is lost.
    fn probe(
        &self,
        link: &Arc<Link>,
        timing: Timing,
    ) -> impl Future<Output = Option<DownCause>> + Send;
}

/// Over a stream of bytes, whatever the server says proves that it is there.
pub(super) struct StreamProber;

impl Prober for StreamProber {
    async fn probe(&self, link: &Arc<Link>, timing: Timing) -> Option<DownCause> {
        match question(link, timing).await {
            Err(AskError::Lost(Loss::TimedOut { after, .. })) => {
                Some(DownCause::Unresponsive { after })
            }
            // If it is lost otherwise, the link is down already.
            Ok(_) | Err(AskError::Refused(_) | AskError::Malformed(_) | AskError::Lost(_)) => None,
        }
    }
}

/// The question itself.
pub(super) async fn question(link: &Arc<Link>, timing: Timing) -> Result<RawResult, AskError> {
    let modern = link.era() == Some(Era::Modern);
    let method = if modern { "server/discover" } else { "ping" };
    ask(link, method, timing, |_| Ok(())).await
}

/// The task that takes the link down when the server is no longer there.
pub(super) async fn watch(link: Arc<Link>, check: HealthCheck, prober: Arc<impl Prober>) {
    tokio::select! {
        reason = until_lost(&link, check, &*prober) => link.go_down(reason),
        _ = link.down() => {}
    }
}

async fn until_lost(link: &Arc<Link>, check: HealthCheck, prober: &impl Prober) -> DownReason {
    let timing = Timing { idle: None, total: Some(check.probe_within) };
    // It goes on while calls time out: they do not show that the server is there.
    let mut idle = pin!(link.pulse.idle(check.probe_every));
    loop {
        tokio::select! {
            () = link.pulse.doubted() => {}
            () = &mut idle => {}
            () = link.pulse.timed_out() => {
                let calls = link.unanswered();
                if check.is_down(calls) {
                    return DownReason::new(DownCause::Unanswered { calls });
                }
                if !check.is_doubtful(calls) {
                    continue;
                }
            }
        }
        if let Some(cause) = Box::pin(prober.probe(link, timing)).await {
            return DownReason::new(cause);
        }
        idle.set(link.pulse.idle(check.probe_every));
    }
}
