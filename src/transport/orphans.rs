//! Processes that could outlive those who should end them: how they are known, and who ends them.
//!
//! A server's process can be orphaned in two ways. Its parent, a server, dies before it: then it is
//! known by its [`mark`]. Or the host dies: then the [`watchdog`] ends it, or, where that died too, the
//! next host that finds it in the [`ledger`].

mod ledger;
pub(super) mod mark;
mod watchdog;

use std::{collections::HashSet, io, os::fd::AsFd, sync::Arc};

use parking_lot::Mutex;
use tracing::Span;

use self::{
    ledger::Ledger,
    mark::{Mark, Marked},
    watchdog::Watchdog,
};
use super::process_table::Held;
use crate::{host_death::HostDeath, telemetry};

/// The books on the processes of one runtime that others can read when it cannot.
#[derive(Debug)]
pub(crate) struct Orphans {
    span: Span,
    mark: Option<Mark>,
    watchdog: Option<Watchdog>,
    ledger: Option<Ledger>,
    search: Search,
}

/// One search at a time, for all who have asked by then.
#[derive(Debug, Default)]
struct Search {
    asked: Mutex<HashSet<u32>>,
    found: tokio::sync::Mutex<Marked>,
}

impl Orphans {
    /// The books of a new runtime. What an earlier host left behind is ended.
    pub(crate) fn new(host_death: HostDeath, span: Span) -> Arc<Self> {
        let mark = Mark::new();
        let HostDeath { watched, ledger } = host_death;
        let ledger = ledger::folder(ledger, &span).map(|folder| {
            let ended = ledger::sweep(&folder);
            if ended > 0 {
                telemetry::ledgers_swept(&span, ended);
            }
            Ledger::new(folder, mark, span.clone())
        });
        let watchdog = watched.then(|| Watchdog::new(mark));
        Arc::new(Self { span, mark, watchdog, ledger, search: Search::default() })
    }

    /// Books a process that is about to be started with the other end of this pipe as its stdin or
    /// stdout, so that it is known from its first moment.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub(crate) fn book(self: &Arc<Self>, pipe: impl AsFd) -> io::Result<Booking> {
        let pipe = rustix::fs::fstat(pipe)?.st_ino;
        if let Some(watchdog) = &self.watchdog
            && let Err(error) = watchdog.announce(pipe)
        {
            telemetry::watchdog_missing(&self.span, &error);
        }
        Ok(Booking { orphans: Arc::clone(self), pipe, leader: None, kept: false })
    }

    /// The process id of the watchdog, while it lives.
    pub(crate) fn watchdog(&self) -> Option<u32> {
        self.watchdog.as_ref().and_then(Watchdog::pid)
    }

    /// Takes hold of what is left of a group, its descendants included, wherever they went.
    pub(crate) async fn stragglers(&self, leader: u32) -> Vec<Held> {
        let Some(mark) = self.mark else { return Vec::new() };
        self.search.asked.lock().insert(leader);
        let mut found = self.search.found.lock().await;
        // Whoever had the lock before may have searched for this one, too.
        let asked = std::mem::take(&mut *self.search.asked.lock());
        if !asked.is_empty() {
            found.extend(mark.find(&asked).await);
        }
        found.remove(&leader).unwrap_or_default()
    }

    /// As [`stragglers`](Self::stragglers), for where nobody can wait.
    pub(crate) fn stragglers_now(&self, leader: u32) -> Vec<Held> {
        self.mark.map(|mark| mark.find_now(Some(leader))).unwrap_or_default()
    }

    /// Ends what stands beside the runtime; its processes have to be gone by then.
    pub(crate) async fn close(&self) {
        if let Some(watchdog) = &self.watchdog {
            watchdog.close().await;
        }
        if let Some(ledger) = &self.ledger {
            ledger.close();
        }
    }
}

/// A process in the books; dropped, it is struck off.
#[derive(Debug)]
pub(crate) struct Booking {
    orphans: Arc<Orphans>,
    pipe: u64,
    leader: Option<u32>,
    kept: bool,
}

impl Booking {
    /// The process has been started, and leads a group of this number.
    pub(crate) fn started(&mut self, leader: u32) {
        if let Some(mark) = self.orphans.mark {
            mark.put_on(leader);
        }
        if let Some(watchdog) = &self.orphans.watchdog {
            watchdog.started(leader, self.pipe);
        }
        self.leader = Some(leader);
    }

    /// Says whose process it is.
    pub(crate) fn belongs_to(&self, session: &Arc<str>) {
        if let (Some(ledger), Some(leader)) = (&self.orphans.ledger, self.leader) {
            ledger.started(leader, session);
        }
    }

    /// Leaves it in the books, for it could not be ended.
    pub(crate) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Booking {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        if let Some(watchdog) = &self.orphans.watchdog {
            match self.leader {
                Some(leader) => watchdog.gone(leader),
                None => watchdog.withdraw(self.pipe),
            }
        }
        if let (Some(ledger), Some(leader)) = (&self.orphans.ledger, self.leader) {
            ledger.gone(leader);
        }
    }
}
