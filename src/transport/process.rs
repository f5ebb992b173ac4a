//! A server's process group, and the reaper that owns it.
//!
//! A process belongs to its reaper task, not to an actor: whichever way a session ends, the reaper
//! goes down the ladder (end of stdin, a request to end, no request), reaps the leader, and ends only
//! when the group is gone. Where the async runtime itself goes down, dropping the task kills the group.
//!
//! What a group is, and how it is asked and killed, is a matter of the system: a process group and its
//! signals, or a job object, which cannot be asked.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::{
    io,
    process::ExitStatus,
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::census::{Census, ProcessRecord};

#[cfg(unix)]
use unix::{Group, Strangers};
#[cfg(unix)]
pub(crate) use unix::{Leader, signal};
#[cfg(windows)]
use windows::{Group, Strangers};
#[cfg(windows)]
pub(crate) use windows::{Leader, signal};

/// How long the kernel may take to end a group that it was told to.
const KILL_GRACE: Duration = Duration::from_secs(1);

/// The times that the ladder waits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ladder {
    pub(crate) eof_grace: Duration,
    pub(crate) term_grace: Duration,
}

/// What a link holds of its process: to watch it, and to have it stopped.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    /// Known when `exited` has fired.
    status: Arc<OnceLock<ExitStatus>>,
    pub(crate) exited: CancellationToken,
    stop: CancellationToken,
    gone: CancellationToken,
    /// Descendants that have left the group.
    strangers: Strangers,
}

impl Process {
    /// Takes a freshly started group leader; the future is its reaper, to be run as a task.
    pub(crate) fn adopt(
        leader: Leader,
        ladder: Ladder,
        census: &Arc<Census>,
        record: ProcessRecord,
    ) -> io::Result<(Self, impl Future<Output = ()> + Send + use<>)> {
        let group = Group::new(leader, census, record)?;
        let process = Self {
            pid: group.leader(),
            status: Arc::default(),
            exited: CancellationToken::new(),
            stop: CancellationToken::new(),
            gone: CancellationToken::new(),
            strangers: Strangers::default(),
        };
        let reaper = Reaper { group, ladder, process: process.clone() };
        Ok((process, reaper.run()))
    }

    /// The exit status, once the leader has exited.
    ///
    /// It is ready whatever is left of the task's budget, which a flood on stdout uses up in every
    /// turn of its reader.
    pub(crate) async fn exit(&self) -> ExitStatus {
        self.exited.cancelled().await;
        self.status.get().copied().unwrap_or_default()
    }

    /// Takes hold of the descendants that have left the group, while the kernel still knows them by
    /// their parents: they are killed after the group.
    pub(crate) fn hold_strangers(&self) {
        self.strangers.hold(self.pid, !self.exited.is_cancelled());
    }

    /// Has the group stopped by the ladder. Its stdin should be closed by then.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// Has the group stopped when it is dropped.
    pub(crate) fn stop_guard(&self) -> DropGuard {
        self.stop.clone().drop_guard()
    }

    /// Resolves once nothing of the group is left.
    pub(crate) async fn gone(&self) {
        self.gone.cancelled().await;
    }

    /// Fires once nothing of the group is left.
    pub(crate) fn gone_token(&self) -> CancellationToken {
        self.gone.clone()
    }
}

struct Reaper {
    group: Group,
    ladder: Ladder,
    process: Process,
}

impl Reaper {
    async fn run(mut self) {
        // Fires on every way out, so that nobody waits for a reaper that is no more.
        let _gone = self.process.gone.clone().drop_guard();
        let stop = self.process.stop.clone();
        if stop.run_until_cancelled(self.reap()).await.is_some() {
            stop.cancelled().await;
        }
        self.go_down_the_ladder().await;
        self.group.sweep(&self.process.strangers).await;
        self.group.strike_off();
    }

    async fn go_down_the_ladder(&mut self) {
        drop(tokio::time::timeout(self.ladder.eof_grace, self.reap()).await);
        if self.group.is_gone() {
            return;
        }
        let asked = self.group.ask_to_end();
        if !asked || !self.ended_by(deadline_after(self.ladder.term_grace)).await {
            self.group.kill();
            self.ended_by(deadline_after(KILL_GRACE)).await;
        }
    }

    /// Waits for the leader and tells its status, once.
    async fn reap(&mut self) {
        if self.process.exited.is_cancelled() {
            return;
        }
        // A status that cannot be had is one that somebody else reaped: gone all the same.
        let status = self.group.exit().await.unwrap_or_default();
        self.process.status.get_or_init(|| status);
        self.process.exited.cancel();
    }

    /// Whether the leader is reaped and the group gone by then.
    async fn ended_by(&mut self, deadline: Instant) -> bool {
        if tokio::time::timeout_at(deadline, self.reap()).await.is_err() {
            return false;
        }
        self.group.gone_by(deadline).await
    }
}

impl Drop for Reaper {
    /// Where the async runtime goes down, strangers may not have been held yet.
    fn drop(&mut self) {
        self.group.end_now(&self.process);
    }
}

/// The end of a grace that begins now; one that no clock can show never ends.
pub(crate) fn deadline_after(grace: Duration) -> Instant {
    const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
    let now = Instant::now();
    now.checked_add(grace).unwrap_or_else(|| now + NEVER)
}
