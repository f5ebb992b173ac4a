//! A server's process group, and the reaper that owns it.
//!
//! A process belongs to its reaper task, not to an actor: whichever way a session ends, the reaper
//! goes down the ladder (end of stdin, `SIGTERM`, `SIGKILL`), reaps the leader, and ends only when
//! the group is gone. Where the async runtime itself goes down, dropping the task kills the group.

use std::{
    io,
    os::fd::AsFd,
    process::ExitStatus,
    sync::{Arc, OnceLock},
    time::Duration,
};

use parking_lot::Mutex;
use rustix::{
    io::Errno,
    process::{Pid, Signal, kill_process_group},
};
use tokio::{
    process::{Child, Command},
    time::Instant,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    census::{Census, ProcessRecord},
    transport::{
        orphans::Booking,
        process_table::{self, Held, group_exists},
    },
};

/// How long after `SIGKILL` the kernel may take to end a group.
const KILL_GRACE: Duration = Duration::from_secs(1);

/// The times that the ladder waits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ladder {
    pub(crate) eof_grace: Duration,
    pub(crate) term_grace: Duration,
}

/// A freshly started group leader, in the books.
pub(crate) struct Leader {
    pub(crate) child: Child,
    pub(crate) booking: Booking,
}

impl Leader {
    /// Starts a process that leads a group of its own, with the other end of this pipe as its stdin or
    /// stdout.
    pub(crate) fn spawn(
        command: &mut Command,
        pipe: impl AsFd,
        census: &Census,
    ) -> io::Result<Self> {
        let mut booking = census.orphans.book(pipe)?;
        let child = command.process_group(0).kill_on_drop(true).spawn()?;
        booking.started(child.id().ok_or(io::ErrorKind::NotFound)?);
        Ok(Self { child, booking })
    }
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
    strangers: Arc<Mutex<Vec<Held>>>,
}

impl Process {
    /// Takes a freshly started group leader; the future is its reaper, to be run as a task.
    pub(crate) fn adopt(
        leader: Leader,
        ladder: Ladder,
        census: &Arc<Census>,
        record: ProcessRecord,
    ) -> io::Result<(Self, impl Future<Output = ()> + Send + use<>)> {
        let Leader { child, booking } = leader;
        let pid = child.id().ok_or(io::ErrorKind::NotFound)?;
        let process = Self {
            pid,
            status: Arc::default(),
            exited: CancellationToken::new(),
            stop: CancellationToken::new(),
            gone: CancellationToken::new(),
            strangers: Arc::default(),
        };
        let group = Group::new((pid, booking), census, record)?;
        let reaper = Reaper { child, group, ladder, process: process.clone() };
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
        let leader = !self.exited.is_cancelled();
        // As long as it has a member, the group's number is nobody else's.
        if leader || group_exists(self.pid) {
            let found = process_table::strangers(self.pid, leader);
            self.strangers.lock().extend(found);
        }
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
    child: Child,
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
        let strangers = std::mem::take(&mut *self.process.strangers.lock());
        kill_strangers(strangers).await;
        self.kill_stragglers().await;
        self.group.strike_off();
    }

    async fn go_down_the_ladder(&mut self) {
        drop(tokio::time::timeout(self.ladder.eof_grace, self.reap()).await);
        if self.group.is_gone() {
            return;
        }
        self.group.signal(Signal::TERM);
        if !self.ended_by(deadline_after(self.ladder.term_grace)).await {
            self.group.signal(Signal::KILL);
            self.ended_by(deadline_after(KILL_GRACE)).await;
        }
    }

    /// Kills what bears the group's mark still: whose parent had died before anybody looked.
    async fn kill_stragglers(&self) {
        let (orphans, leader) = (Arc::clone(&self.group.census.orphans), self.group.leader());
        let deadline = Instant::now() + KILL_GRACE;
        loop {
            let found = orphans.stragglers(leader).await;
            if found.is_empty() || Instant::now() >= deadline {
                return;
            }
            kill_strangers(found).await;
        }
    }

    /// Waits for the leader and tells its status, once.
    async fn reap(&mut self) {
        if self.process.exited.is_cancelled() {
            return;
        }
        // A status that cannot be had is one that somebody else reaped: gone all the same.
        let status = self.child.wait().await.unwrap_or_default();
        self.process.status.get_or_init(|| status);
        self.process.exited.cancel();
    }

    /// Whether the leader is reaped and the group gone by then.
    async fn ended_by(&mut self, deadline: Instant) -> bool {
        if tokio::time::timeout_at(deadline, self.reap()).await.is_err() {
            return false;
        }
        let mut pause = Duration::from_millis(1);
        while !self.group.is_gone() {
            if Instant::now() >= deadline {
                return false;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(20));
        }
        true
    }
}

impl Drop for Reaper {
    /// Where the async runtime goes down, strangers may not have been held yet.
    fn drop(&mut self) {
        if !self.group.gone {
            self.process.hold_strangers();
            self.group.signal(Signal::KILL);
            self.process.strangers.lock().retain(Held::kill);
            let mut stragglers = self.group.census.orphans.stragglers_now(self.group.leader());
            stragglers.retain(Held::kill);
        }
    }
}

/// The end of a grace that begins now; one that no clock can show never ends.
pub(crate) fn deadline_after(grace: Duration) -> Instant {
    const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
    let now = Instant::now();
    now.checked_add(grace).unwrap_or_else(|| now + NEVER)
}

/// Kills what left the group before it was stopped.
async fn kill_strangers(mut strangers: Vec<Held>) {
    let deadline = Instant::now() + KILL_GRACE;
    loop {
        strangers.retain(Held::kill);
        if strangers.is_empty() || Instant::now() >= deadline {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// A process group that is killed when this is dropped, unless it has been seen gone.
///
/// Once seen gone it is never signalled again: the number may be somebody else's by then.
struct Group {
    id: Pid,
    gone: bool,
    census: Arc<Census>,
    booking: Option<Booking>,
}

impl Group {
    fn new(
        (leader, booking): (u32, Booking),
        census: &Arc<Census>,
        record: ProcessRecord,
    ) -> io::Result<Self> {
        let id = i32::try_from(leader).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
        booking.belongs_to(&record.session);
        census.process_started(leader, record);
        Ok(Self { id, gone: false, census: Arc::clone(census), booking: Some(booking) })
    }

    fn signal(&mut self, signal: Signal) {
        if !self.gone && kill_process_group(self.id, signal) == Err(Errno::SRCH) {
            self.set_gone();
        }
    }

    fn is_gone(&mut self) -> bool {
        if !self.gone && !group_exists(self.leader()) {
            self.set_gone();
        }
        self.gone
    }

    fn set_gone(&mut self) {
        self.gone = true;
        self.census.process_gone(self.leader());
    }

    /// Strikes the group off the books that outlive us, once nothing is left of it.
    fn strike_off(&mut self) {
        if self.gone {
            self.booking = None;
        }
    }

    fn leader(&self) -> u32 {
        self.id.as_raw_nonzero().get().unsigned_abs()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        // A group that survives SIGKILL stays in the census, to be seen in the leak report.
        let gone = self.is_gone();
        if let Some(booking) = self.booking.take().filter(|_| !gone) {
            booking.keep();
        }
    }
}
