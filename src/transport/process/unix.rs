//! A process group, its signals, and what has left it.

use std::{
    io,
    os::{fd::AsFd, unix::process::ExitStatusExt as _},
    process::ExitStatus,
    sync::Arc,
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

use super::{KILL_GRACE, Process};
use crate::{
    census::{Census, ProcessRecord},
    transport::{
        orphans::Booking,
        process_table::{self, Held, group_exists},
    },
};

/// A freshly started group leader, in the books.
pub(crate) struct Leader {
    child: Child,
    booking: Booking,
}

impl Leader {
    /// Starts a process that leads a group of its own, with the other end of this pipe as its stdin or
    /// stdout.
    pub(crate) fn spawn(
        mut command: Command,
        pipe: impl AsFd,
        census: &Census,
    ) -> io::Result<Self> {
        let mut booking = census.orphans.book(pipe)?;
        let child = command.process_group(0).kill_on_drop(true).spawn()?;
        booking.started(child.id().ok_or(io::ErrorKind::NotFound)?);
        Ok(Self { child, booking })
    }
}

/// The signal that ended a process.
pub(crate) fn signal(status: ExitStatus) -> Option<i32> {
    status.signal()
}

/// Descendants that have left their group, shared by whoever looks for them.
#[derive(Debug, Clone, Default)]
pub(super) struct Strangers(Arc<Mutex<Vec<Held>>>);

impl Strangers {
    /// Takes hold of those that the kernel still knows by their parents; `leads` says whether the
    /// group's leader lives.
    pub(super) fn hold(&self, group: u32, leads: bool) {
        // As long as it has a member, the group's number is nobody else's.
        if leads || group_exists(group) {
            let found = process_table::strangers(group, leads);
            self.0.lock().extend(found);
        }
    }
}

/// A process group that is killed when this is dropped, unless it has been seen gone.
///
/// Once seen gone it is never signalled again: the number may be somebody else's by then.
pub(super) struct Group {
    child: Child,
    id: Pid,
    gone: bool,
    /// Whether what has left it was ended, too.
    swept: bool,
    census: Arc<Census>,
    booking: Option<Booking>,
}

impl Group {
    pub(super) fn new(
        Leader { child, booking }: Leader,
        census: &Arc<Census>,
        record: ProcessRecord,
    ) -> io::Result<Self> {
        let leader = child.id().ok_or(io::ErrorKind::NotFound)?;
        let id = i32::try_from(leader).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
        booking.belongs_to(&record.session);
        census.process_started(leader, record);
        let (census, booking) = (Arc::clone(census), Some(booking));
        Ok(Self { child, id, gone: false, swept: false, census, booking })
    }

    pub(super) fn leader(&self) -> u32 {
        self.id.as_raw_nonzero().get().unsigned_abs()
    }

    /// Waits for the leader.
    pub(super) async fn exit(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Asks all of the group to end; false where nobody can be asked.
    pub(super) fn ask_to_end(&mut self) -> bool {
        self.signal(Signal::TERM);
        true
    }

    pub(super) fn kill(&mut self) {
        self.signal(Signal::KILL);
    }

    fn signal(&mut self, signal: Signal) {
        if !self.gone && kill_process_group(self.id, signal) == Err(Errno::SRCH) {
            self.set_gone();
        }
    }

    pub(super) fn is_gone(&mut self) -> bool {
        if !self.gone && !group_exists(self.leader()) {
            self.set_gone();
        }
        self.gone
    }

    /// Whether nothing of the group is left by then. Its other members are not our children, and cannot
    /// be waited for.
    pub(super) async fn gone_by(&mut self, deadline: Instant) -> bool {
        let mut pause = Duration::from_millis(1);
        while !self.is_gone() {
            if Instant::now() >= deadline {
                return false;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(20));
        }
        true
    }

    fn set_gone(&mut self) {
        self.gone = true;
        self.census.process_gone(self.leader());
    }

    /// Kills what has left the group, held or not.
    pub(super) async fn sweep(&mut self, strangers: &Strangers) {
        let strangers = std::mem::take(&mut *strangers.0.lock());
        kill_strangers(strangers).await;
        self.kill_stragglers().await;
        self.swept = true;
    }

    /// Kills what bears the group's mark still: whose parent had died before anybody looked.
    async fn kill_stragglers(&self) {
        let (orphans, leader) = (Arc::clone(&self.census.orphans), self.leader());
        let deadline = Instant::now() + KILL_GRACE;
        loop {
            let found = orphans.stragglers(leader).await;
            if found.is_empty() || Instant::now() >= deadline {
                return;
            }
            kill_strangers(found).await;
        }
    }

    /// Kills all of it, for where nobody can wait.
    pub(super) fn end_now(&mut self, process: &Process) {
        if !self.gone {
            process.hold_strangers();
            self.signal(Signal::KILL);
        }
        // What has left it may live on when it is gone.
        if !self.swept {
            process.strangers.0.lock().retain(Held::kill);
            let mut stragglers = self.census.orphans.stragglers_now(self.leader());
            stragglers.retain(Held::kill);
        }
    }

    /// Strikes the group off the books that outlive us, once nothing is left of it.
    pub(super) fn strike_off(&mut self) {
        if self.gone {
            self.booking = None;
        }
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

// Elsewhere, processes bear no mark.
#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    use std::{io::Write as _, process::Stdio};

    use tokio_util::sync::CancellationToken;

    use crate::{
        host_death::HostDeath,
        transport::{
            orphans::Orphans,
            process::{Ladder, Reaper},
        },
    };

    const LONG: Duration = Duration::from_secs(20);

    /// Of a process that has exited by now.
    fn exited(pid: u32) -> Process {
        let process = Process {
            pid,
            status: Arc::default(),
            exited: CancellationToken::new(),
            stop: CancellationToken::new(),
            gone: CancellationToken::new(),
            strangers: Strangers::default(),
        };
        process.exited.cancel();
        process
    }

    #[tokio::test]
    async fn a_daemon_ends_with_a_reaper_that_has_not_looked_for_it_yet() {
        let orphans = Orphans::new(HostDeath::unwatched(), tracing::Span::none());
        let census = Arc::new(Census::new(Arc::clone(&orphans)));
        let (theirs, mut ours) = io::pipe().unwrap();
        let mut command = Command::new("sh");
        // Once it bears its mark.
        command.args(["-c", "read line; (setsid sleep 1000 &)"]).stdin(theirs);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let leader = Leader::spawn(command, &ours, &census).unwrap();
        let record = ProcessRecord { session: "s".into(), server: "a".into() };
        let mut group = Group::new(leader, &census, record).unwrap();
        let number = group.leader();
        writeln!(ours).unwrap();
        group.exit().await.unwrap();
        assert!(group.gone_by(Instant::now() + LONG).await);
        assert_eq!(orphans.stragglers_now(number).len(), 1, "the daemon has left it");

        let ladder = Ladder { eof_grace: LONG, term_grace: LONG };
        drop(Reaper { group, ladder, process: exited(number) });
        let deadline = Instant::now() + LONG;
        while !orphans.stragglers_now(number).is_empty() {
            assert!(Instant::now() < deadline, "it lives");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
