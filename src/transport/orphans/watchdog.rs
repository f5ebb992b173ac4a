//! The process that outlives its host for a moment, to end the host's servers.

use std::{
    collections::BTreeSet,
    io::{self, PipeWriter, Write as _},
    process::Stdio,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{process::Child, time::Instant};

use super::mark::{Mark, put_on_watchdog};
use crate::transport::environment;

/// What the watchdog does. A shell is everywhere where there are processes, so nothing has to be
/// installed, found, or embedded; and nothing of the host's is mapped into it.
const SCRIPT: &str = include_str!("watchdog.sh");

/// How long it may take to take its leave.
const FAREWELL: Duration = Duration::from_secs(2);

/// The watchdog of one runtime, from its first process on.
#[derive(Debug)]
pub(crate) struct Watchdog {
    mark: Option<Mark>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    running: Option<Running>,
    /// The inodes of the pipes of those that are being started.
    announced: BTreeSet<u64>,
    /// The leaders of the groups that are alive.
    groups: BTreeSet<u32>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    pipe: PipeWriter,
}

impl Watchdog {
    pub(super) fn new(mark: Option<Mark>) -> Self {
        Self { mark, state: Mutex::default() }
    }

    /// Says that a process is about to be started whose stdin is this pipe. Starts the watchdog if
    /// there is none, or if it is no longer there.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub(super) fn announce(&self, pipe: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        state.announced.insert(pipe);
        if state.running.as_mut().is_some_and(|running| running.tell(&announced(pipe)).is_ok()) {
            return Ok(());
        }
        state.replace(self.mark)
    }

    pub(super) fn withdraw(&self, pipe: u64) {
        let mut state = self.state.lock();
        state.announced.remove(&pipe);
        state.tell(&format!("withdrawn {pipe}\n"));
    }

    pub(super) fn started(&self, group: u32, pipe: u64) {
        let mut state = self.state.lock();
        state.announced.remove(&pipe);
        state.groups.insert(group);
        state.tell(&format!("started {group} {pipe}\n"));
    }

    pub(super) fn gone(&self, group: u32) {
        let mut state = self.state.lock();
        state.groups.remove(&group);
        state.tell(&format!("gone {group}\n"));
    }

    pub(super) fn pid(&self) -> Option<u32> {
        let mut state = self.state.lock();
        let running = state.running.as_mut()?;
        // One that has exited has no number any more.
        let alive = running.child.try_wait().is_ok_and(|status| status.is_none());
        running.child.id().filter(|_| alive)
    }

    /// Takes leave of it, and waits until it has ended.
    pub(super) async fn close(&self) {
        let Some(running) = self.state.lock().running.take() else { return };
        let mut child = running.leave();
        if !has_ended(&mut child).await {
            drop(child.start_kill());
            has_ended(&mut child).await;
        }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        if let Some(running) = self.state.get_mut().running.take() {
            // tokio collects what is left of it.
            drop(running.leave());
        }
    }
}

impl State {
    /// Tells what need not be known at once: whoever comes in its place is told everything.
    fn tell(&mut self, line: &str) {
        if let Some(running) = &mut self.running
            && running.tell(line).is_err()
        {
            running.end();
        }
    }

    /// Puts another in its place, and tells it everything. One that cannot be told everything, for it
    /// does not read as fast as it is written to, is ended, so that the next process gets another.
    fn replace(&mut self, mark: Option<Mark>) -> io::Result<()> {
        if let Some(mut running) = self.running.take() {
            // Before it sees the end of its pipe, and does what it is there for.
            running.end();
        }
        let mut running = Running::start(mark)?;
        let told = self.tell_everything(&mut running);
        if told.is_err() {
            // It must not take the end of its pipe for ours.
            running.end();
        }
        self.running = Some(running);
        told
    }

    fn tell_everything(&self, running: &mut Running) -> io::Result<()> {
        for pipe in &self.announced {
            running.tell(&announced(*pipe))?;
        }
        for group in &self.groups {
            running.tell(&format!("started {group}\n"))?;
        }
        Ok(())
    }
}

/// Whether a child has ended by the time that its farewell may take.
async fn has_ended(child: &mut Child) -> bool {
    let deadline = Instant::now() + FAREWELL;
    let mut pause = Duration::from_millis(1);
    // Asked and not awaited, for the async runtime that it was started on may be gone.
    while child.try_wait().is_ok_and(|status| status.is_none()) {
        if Instant::now() >= deadline {
            return false;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(20));
    }
    true
}

fn announced(pipe: u64) -> String {
    format!("announced {pipe}\n")
}

impl Running {
    fn start(mark: Option<Mark>) -> io::Result<Self> {
        let (theirs, ours) = io::pipe()?;
        // No task of the host may ever wait for it.
        rustix::io::ioctl_fionbio(&ours, true)?;
        let mut command = tokio::process::Command::new("/bin/sh");
        command
            .args(["-c", SCRIPT, "callboard-watchdog"])
            .arg(mark.map(|mark| mark.digits().to_string()).unwrap_or_default())
            .env_clear()
            .envs(environment::path())
            .current_dir("/")
            .stdin(theirs)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Signals of the terminal, and those to the host's group, do not reach it.
            .process_group(0);
        let child = command.spawn()?;
        if let Some(pid) = child.id() {
            put_on_watchdog(pid);
        }
        Ok(Self { child, pipe: ours })
    }

    /// Lines are shorter than what a pipe takes in one piece (`PIPE_BUF`; pipe(7)): all or nothing.
    fn tell(&mut self, line: &str) -> io::Result<()> {
        self.pipe.write_all(line.as_bytes())
    }

    fn end(&mut self) {
        drop(self.child.start_kill());
    }

    /// Has it end without doing anything.
    fn leave(mut self) -> Child {
        if self.tell("farewell\n").is_err() {
            self.end();
        }
        self.child
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::os::unix::process::ExitStatusExt as _;

    use rustix::{fs::fstat, process::Signal};

    const LONG: Duration = Duration::from_secs(20);

    /// A process that reads from a pipe that never ends, in a group of its own.
    fn sleeper() -> (Child, PipeWriter, u64) {
        let (theirs, ours) = io::pipe().unwrap();
        let pipe = fstat(&ours).unwrap().st_ino;
        let mut command = tokio::process::Command::new("sleep");
        command.arg("1000").stdin(theirs).process_group(0).kill_on_drop(true);
        (command.spawn().unwrap(), ours, pipe)
    }

    /// Drops our end of the pipe, as the kernel does for a host that dies.
    fn die(watchdog: &Watchdog) -> Child {
        watchdog.state.lock().running.take().unwrap().child
    }

    async fn is_killed(mut child: Child) {
        let status = tokio::time::timeout(LONG, child.wait()).await.expect("it lives").unwrap();
        assert_eq!(status.signal(), Some(Signal::KILL.as_raw()));
    }

    #[tokio::test]
    async fn what_was_not_told_of_is_known_by_its_pipe_and_what_was_by_its_group() {
        let watchdog = Watchdog::new(None);
        let (announced, _kept, pipe) = sleeper();
        watchdog.announce(pipe).unwrap();
        let (told, _told_pipe, pipe) = sleeper();
        watchdog.announce(pipe).unwrap();
        watchdog.started(told.id().unwrap(), pipe);
        let (mut gone, _gone_pipe, pipe) = sleeper();
        watchdog.announce(pipe).unwrap();
        watchdog.started(gone.id().unwrap(), pipe);
        watchdog.gone(gone.id().unwrap());
        let (mut withdrawn, _withdrawn_pipe, pipe) = sleeper();
        watchdog.announce(pipe).unwrap();
        watchdog.withdraw(pipe);
        let mut shell = die(&watchdog);
        is_killed(announced).await;
        is_killed(told).await;
        let status = tokio::time::timeout(LONG, shell.wait()).await.expect("it stays").unwrap();
        assert!(status.success(), "{status}");
        assert!(gone.try_wait().unwrap().is_none(), "it is somebody else's by now");
        assert!(withdrawn.try_wait().unwrap().is_none(), "so is this");
    }

    #[tokio::test]
    async fn one_that_takes_the_place_of_another_knows_what_that_did() {
        let watchdog = Watchdog::new(None);
        let (told, _pipe, pipe) = sleeper();
        watchdog.announce(pipe).unwrap();
        watchdog.started(told.id().unwrap(), pipe);
        let first = watchdog.pid().unwrap();
        watchdog.state.lock().running.as_mut().unwrap().end();
        while watchdog.pid().is_some() {
            tokio::task::yield_now().await;
        }
        let (announced, _announced_pipe, pipe) = sleeper();
        watchdog.announce(pipe).unwrap();
        assert_ne!(watchdog.pid(), Some(first));
        drop(die(&watchdog));
        is_killed(told).await;
        is_killed(announced).await;
    }

    #[tokio::test]
    async fn a_farewell_ends_it_and_nothing_else() {
        let watchdog = Watchdog::new(None);
        let (mut told, _pipe, pipe) = sleeper();
        watchdog.announce(pipe).unwrap();
        watchdog.started(told.id().unwrap(), pipe);
        let mut shell = watchdog.state.lock().running.take().unwrap().leave();
        let status = tokio::time::timeout(LONG, shell.wait()).await.expect("it stays").unwrap();
        assert!(status.success(), "{status}");
        assert!(told.try_wait().unwrap().is_none());
    }

    #[tokio::test]
    async fn one_that_cannot_be_told_everything_kills_nobody() {
        // Larger than any process id, so that they are nobody's.
        const NOBODY: std::ops::Range<u32> = 5_000_000..5_020_000;
        let watchdog = Watchdog::new(None);
        let (mut told, _pipe, pipe) = sleeper();
        watchdog.started(told.id().unwrap(), pipe);
        watchdog.state.lock().groups.extend(NOBODY);
        let (_announced, _announced_pipe, pipe) = sleeper();
        // Far more than a pipe takes, but who knows how fast it reads.
        let mut shell = match watchdog.announce(pipe) {
            Ok(()) => watchdog.state.lock().running.take().unwrap().leave(),
            Err(_) => die(&watchdog),
        };
        tokio::time::timeout(LONG, shell.wait()).await.expect("it stays").unwrap();
        assert!(told.try_wait().unwrap().is_none());
    }
}
