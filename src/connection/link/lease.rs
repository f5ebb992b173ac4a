//! When a link is not used: calls in flight hold a lease on it.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::Link;
use crate::error::{DownCause, DownReason};

/// In so many parts the time is cut after which an unused link ends; it may last two parts longer.
const PARTS: u32 = 8;

impl Link {
    /// Ends the link once nobody has used it for this long, and returns then, or once it is down.
    ///
    /// A call pays nothing for this: every request takes a number, so no new number and no call in
    /// flight, look after look, is what it is to be unused.
    pub(crate) async fn end_when_unused(self: Arc<Self>, after: Duration) {
        let watch = async {
            let mut unused = (self.ids.load(Ordering::Relaxed), 0);
            while unused.1 <= PARTS || !self.end_if_unused(unused.0) {
                tokio::time::sleep(after / PARTS).await;
                let seen = self.ids.load(Ordering::Relaxed);
                let used = seen != unused.0 || self.state.lock().is_in_use();
                unused = (seen, if used { 0 } else { unused.1 + 1 });
            }
        };
        self.down.run_until_cancelled(watch).await;
    }

    /// Ends the link unless a call is in flight or a request has taken a number since; in one step,
    /// so that a call is either before it or finds the link down.
    fn end_if_unused(&self, seen: u64) -> bool {
        let state = self.state.lock();
        if state.is_in_use() || self.ids.load(Ordering::Relaxed) != seen {
            return false;
        }
        if state.down.is_none() {
            self.end(state, DownReason::new(DownCause::Unused));
        }
        true
    }
}
