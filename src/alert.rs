//! Alerts: conditions of the host on its servers, and whom to tell when one comes to hold.

use std::{
    collections::HashMap,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use tokio_util::sync::DropGuard;

use crate::{
    runtime::{Runtime, WeakRuntime},
    snapshot::{self, ServerSnapshot},
    telemetry,
};

/// How often, at least, servers are looked at while nothing changes: latencies and rates change without
/// a word.
const LATEST: Duration = Duration::from_secs(1);

/// How soon, at most, they are looked at again, however much changes.
const SOONEST: Duration = Duration::from_millis(20);

/// A condition that is watched: see [`Runtime::alert`]. It ends when this is dropped, and with the
/// runtime.
#[derive(Debug)]
#[must_use = "an alert ends when this is dropped"]
pub struct Alert {
    name: Arc<str>,
    stop: DropGuard,
}

impl Alert {
    /// The name that the host gave it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Has it go on until the runtime ends.
    pub fn keep(self) {
        self.stop.disarm();
    }
}

/// What an alert tells: that its condition has come to hold for a server, or holds no more.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Alarm {
    /// The name of the alert.
    pub alert: Arc<str>,
    /// The session, by the id that the host gave it.
    pub session: Arc<str>,
    /// Whether the condition holds now, and did not before; or the other way round.
    pub raised: bool,
    /// The server, as it was seen; of one whose session has ended, as it was seen last.
    pub server: ServerSnapshot,
}

impl Runtime {
    /// Watches a condition on every server of every session, present and to come: when it comes to hold
    /// for one, and when it holds no more, the callback is told, once each.
    ///
    /// Servers are looked at when a status changes (at most every 20 ms), and every second. What comes
    /// and goes between two looks is not seen. Condition and callback run in a task of their own, and on
    /// no actor's, so they cannot hold up sessions; one that blocks blocks a thread of the async
    /// runtime. One that panics is logged, and goes on with the next server.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn alert(
        &self,
        name: impl Into<Arc<str>>,
        condition: impl Fn(&ServerSnapshot) -> bool + Send + 'static,
        callback: impl FnMut(Alarm) + Send + 'static,
    ) -> Alert {
        let name = name.into();
        let watch = Watch {
            name: Arc::clone(&name),
            runtime: self.downgrade(),
            condition: Box::new(condition),
            callback: Box::new(callback),
            raised: HashMap::new(),
        };
        Alert { name, stop: self.spawn_watch(|stop| watch.run(stop)).drop_guard() }
    }
}

/// One alert at work.
struct Watch {
    name: Arc<str>,
    runtime: WeakRuntime,
    condition: Box<dyn Fn(&ServerSnapshot) -> bool + Send>,
    callback: Box<dyn FnMut(Alarm) + Send>,
    /// For which servers of which sessions it holds, as they were seen last.
    raised: HashMap<(u64, String), Alarm>,
}

impl Watch {
    async fn run(mut self, stop: tokio_util::sync::CancellationToken) {
        let Some(mut changed) = self.runtime.changes() else { return };
        let watch = async {
            while self.look() {
                tokio::time::sleep(SOONEST).await;
                // What fails is the wait for more changes, of which there are none any more.
                if let Ok(Err(_)) = tokio::time::timeout(LATEST, changed.changed()).await {
                    return;
                }
            }
        };
        stop.run_until_cancelled(watch).await.unwrap_or_default();
    }

    /// Looks at all servers once; false once there is no runtime any more.
    fn look(&mut self) -> bool {
        let Some(held) = self.runtime.held() else { return false };
        let mut before = std::mem::take(&mut self.raised);
        for (number, held) in held {
            for connection in held.roster.list().iter() {
                let server = snapshot::of_server(connection);
                let key = (number, server.name.clone());
                let (was, holds) = (before.remove(&key).is_some(), self.holds(&server));
                let session = Arc::clone(&held.scope.id);
                let alarm = Alarm { alert: Arc::clone(&self.name), session, raised: holds, server };
                if holds {
                    self.raised.insert(key, alarm.clone());
                }
                if was != holds {
                    self.tell(alarm);
                }
            }
        }
        // Those that are gone hold nothing any more.
        for mut alarm in before.into_values() {
            alarm.raised = false;
            self.tell(alarm);
        }
        true
    }

    fn holds(&self, server: &ServerSnapshot) -> bool {
        let holds = catch_unwind(AssertUnwindSafe(|| (self.condition)(server)));
        holds.unwrap_or_else(|_| {
            telemetry::alert_panicked(&self.name);
            false
        })
    }

    fn tell(&mut self, alarm: Alarm) {
        telemetry::alert_moved(&alarm);
        if catch_unwind(AssertUnwindSafe(|| (self.callback)(alarm))).is_err() {
            telemetry::alert_panicked(&self.name);
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("name", &self.name).finish_non_exhaustive()
    }
}
