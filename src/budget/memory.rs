//! What the processes of servers have resident, looked at now and then where that is limited.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Weak},
    time::Duration,
};

use parking_lot::Mutex;
use tracing::Span;

use super::Pool;
use crate::{
    connection::link::Link,
    error::{DownCause, DownReason, LimitOf},
    scope::Scope,
    transport::process_table,
};

/// The sampling of one runtime: one task, as long as there is a server whose memory is limited.
#[derive(Debug)]
pub(crate) struct MemoryWatch {
    every: Duration,
    runtime: Arc<Pool>,
    tasks: Scope,
    span: Span,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    watched: HashMap<u32, Watched>,
    /// Whether the task is there.
    sampling: bool,
}

/// The group of one server, and what it may have resident.
#[derive(Debug, Clone)]
pub(crate) struct Watched {
    pub(crate) link: Weak<Link>,
    /// What the server may have.
    pub(crate) limit: Option<u64>,
    /// What all servers of its session may have.
    pub(crate) session: Arc<Pool>,
}

impl MemoryWatch {
    /// `tasks` own the task that looks.
    pub(crate) fn new(every: Duration, runtime: Arc<Pool>, tasks: Scope, span: Span) -> Arc<Self> {
        Arc::new(Self { every, runtime, tasks, span, state: Mutex::default() })
    }

    /// Watches over the group of this leader until the guard is dropped; none where nothing limits it.
    pub(crate) fn watch(self: &Arc<Self>, leader: u32, watched: Watched) -> Option<Watching> {
        let limits = [watched.limit, watched.session.memory(), self.runtime.memory()];
        limits.into_iter().flatten().next()?;
        let mut state = self.state.lock();
        state.watched.insert(leader, watched);
        let begins = !std::mem::replace(&mut state.sampling, true);
        drop(state);
        if begins {
            let (this, token) = (Arc::clone(self), self.tasks.token().clone());
            self.tasks.spawn(&self.span, async move {
                token.run_until_cancelled(this.sample()).await;
            });
        }
        Some(Watching { watch: Arc::clone(self), leader })
    }

    /// Looks now and then, as long as there is something to look at.
    async fn sample(&self) {
        loop {
            tokio::time::sleep(self.every).await;
            let mut state = self.state.lock();
            if state.watched.is_empty() {
                state.sampling = false;
                return;
            }
            let watched = state.watched.clone();
            drop(state);
            self.look(&watched);
        }
    }

    /// Looks once, and takes down what is too large.
    fn look(&self, watched: &HashMap<u32, Watched>) {
        let leaders: HashSet<u32> = watched.keys().copied().collect();
        let mut sizes = process_table::resident(&leaders);
        for (leader, one) in watched {
            let resident = sizes.get(leader).copied().unwrap_or_default();
            if let Some(limit) = one.limit.filter(|limit| resident > *limit) {
                self.take_down((*leader, one), (resident, limit, LimitOf::Server));
                sizes.remove(leader);
            }
        }
        let mut sessions: HashMap<*const Pool, Vec<u32>> = HashMap::new();
        for (leader, one) in watched {
            sessions.entry(Arc::as_ptr(&one.session)).or_default().push(*leader);
        }
        for leaders in sessions.values() {
            let limit = leaders.first().and_then(|leader| watched[leader].session.memory());
            self.hold((watched, leaders), &mut sizes, (limit, LimitOf::Session));
        }
        let all: Vec<u32> = leaders.into_iter().collect();
        self.hold((watched, &all), &mut sizes, (self.runtime.memory(), LimitOf::Runtime));
    }

    /// Takes down the largest of these, if together they are too large.
    fn hold(
        &self,
        (watched, leaders): (&HashMap<u32, Watched>, &[u32]),
        sizes: &mut HashMap<u32, u64>,
        (limit, of): (Option<u64>, LimitOf),
    ) {
        let Some(limit) = limit else { return };
        let size = |leader: &u32| sizes.get(leader).copied().unwrap_or_default();
        let resident: u64 = leaders.iter().map(size).sum();
        let largest = leaders.iter().max_by_key(|leader| size(leader)).copied();
        if let Some(largest) = largest.filter(|_| resident > limit) {
            self.take_down((largest, &watched[&largest]), (resident, limit, of));
            sizes.remove(&largest);
        }
    }

    fn take_down(
        &self,
        (leader, watched): (u32, &Watched),
        (resident, limit, of): (u64, u64, LimitOf),
    ) {
        // It counts no more, and is not taken down twice.
        self.state.lock().watched.remove(&leader);
        if let Some(link) = watched.link.upgrade() {
            link.go_down(DownReason::new(DownCause::Memory { resident, limit, of }));
        }
    }
}

/// A group that is watched over.
#[derive(Debug)]
#[must_use]
pub(crate) struct Watching {
    watch: Arc<MemoryWatch>,
    leader: u32,
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.watch.state.lock().watched.remove(&self.leader);
    }
}
