//! The time during which the host, and not the server, is waited for.

use std::sync::Arc;

use tokio::time::Instant;

use super::Link;

/// No request of the link is given up for being idle as long as one of these is held: which of them a
/// question of the server belongs to is not known.
pub(crate) struct Pause(Arc<Link>);

impl Link {
    pub(crate) fn pause(link: &Arc<Self>) -> Pause {
        link.state.lock().paused += 1;
        Pause(Arc::clone(link))
    }
}

impl Drop for Pause {
    /// From here on, the idle limits run afresh.
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.paused -= 1;
        if state.paused > 0 {
            return;
        }
        let now = Instant::now();
        state.pending.values_mut().filter(|p| p.is_waiting()).for_each(|p| p.extend(now));
        let next = state.pending.values().filter_map(|pending| pending.deadline).min();
        let alarm_moved = state.set_alarm(next);
        drop(state);
        if alarm_moved {
            self.0.alarm_moved.notify_one();
        }
    }
}

/// A link that is kept, although no call is in flight, as long as one of these is held.
pub(crate) struct Hold(Arc<Link>);

impl Link {
    pub(crate) fn hold(link: &Arc<Self>) -> Hold {
        link.state.lock().held += 1;
        Hold(Arc::clone(link))
    }
}

impl Hold {
    pub(crate) fn link(&self) -> &Arc<Link> {
        &self.0
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.state.lock().held -= 1;
    }
}
