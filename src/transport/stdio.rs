//! A server on the pipes of a child process, one frame a line.

use std::{
    io::{self, IoSlice},
    process::ExitStatus,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use super::{
    Frames, Sink, environment,
    lines::{LineTooLong, Lines},
    pipe,
    process::{self, Ladder, Leader, Process},
    stderr::StderrTail,
};
use crate::{
    census::{Census, Counted, ProcessRecord},
    error::{ConnectError, DownCause, DownReason},
    spec::Stdio,
};

/// How long the end of the stream waits for the exit status that explains it. Callers wait as long,
/// so it is short; only a server that lives on without its stdout or stdin makes them wait all of it.
const EXIT_FOLLOWS: Duration = Duration::from_millis(25);

/// How long an exit waits for the last words on stderr.
const STDERR_FOLLOWS: Duration = Duration::from_millis(5);

/// How much of a flood is read in one turn, before everybody else has theirs.
const TURN: u64 = 128 << 10;

/// A started child with our ends of its pipes.
pub(crate) struct Started {
    pub(crate) leader: Leader,
    pub(crate) stdin: Arc<Stdin>,
    pub(crate) stdout: Stream,
    pub(crate) stderr: Stream,
}

/// Our end of a child's stdin.
#[derive(Debug)]
pub(crate) struct Stdin {
    pipe: pipe::Sender,
    _counted: Counted,
}

/// Our end of a child's stdout or stderr.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) pipe: pipe::Receiver,
    pub(crate) _counted: Counted,
}

impl Sink for Stdin {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.pipe.try_write(bytes)
    }

    fn try_write_vectored(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.pipe.try_write_vectored(parts)
    }

    fn expect_large(&self) {
        pipe::widen_sender(&self.pipe);
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pipe.poll_write_ready(cx)
    }
}

impl Stdin {
    /// Whether the child has read everything that was written to it.
    pub(crate) fn is_drained(&self) -> bool {
        pipe::is_drained(&self.pipe)
    }
}

/// Starts the child, in a process group of its own.
pub(crate) fn start(
    stdio: &Stdio,
    secrets: &environment::Resolved,
    census: &Arc<Census>,
) -> Result<Started, ConnectError> {
    let variables = environment::variables(stdio, secrets);
    let program = environment::program(stdio, &variables)?;
    let refused = |source: io::Error| ConnectError::Spawn {
        command: program.display().to_string(),
        source: Arc::new(source),
    };
    let (our_in, child_in) = pipe::to_child().map_err(refused)?;
    let (our_out, child_out) = pipe::from_child().map_err(refused)?;
    let (our_err, child_err) = pipe::from_child().map_err(refused)?;
    let mut command = tokio::process::Command::new(&program);
    command
        .args(environment::arguments(stdio, secrets))
        .env_clear()
        .envs(variables)
        .stdin(child_in)
        .stdout(child_out)
        .stderr(child_err);
    if let Some(path) = &stdio.cwd {
        command.current_dir(path);
    }
    let leader = Leader::spawn(command, &our_in, census).map_err(refused)?;
    Ok(Started {
        leader,
        stdin: Arc::new(Stdin { pipe: our_in, _counted: census.descriptor() }),
        stdout: Stream { pipe: our_out, _counted: census.descriptor() },
        stderr: Stream { pipe: our_err, _counted: census.descriptor() },
    })
}

/// Hands a freshly started child over to its reaper.
pub(crate) fn adopt(
    leader: Leader,
    stdio: &Stdio,
    census: &Arc<Census>,
    record: ProcessRecord,
) -> Result<(Process, impl Future<Output = ()> + Send + use<>), ConnectError> {
    let ladder = Ladder { eof_grace: stdio.eof_grace, term_grace: stdio.term_grace };
    Process::adopt(leader, ladder, census, record).map_err(|source| ConnectError::Spawn {
        command: stdio.command.to_string_lossy().into_owned(),
        source: Arc::new(source),
    })
}

/// The task that reads a child's stdout; returns why the link over it has to end.
///
/// It reads on after the link went down for another reason, so that a child that is being stopped
/// is not stuck on a full pipe.
pub(crate) async fn read(
    stdout: Stream,
    max_frame: usize,
    child: &Child<'_>,
    frames: &mut impl Frames,
    write_failed: impl Future<Output = Arc<io::Error>> + Send,
) -> DownReason {
    let mut reading = Reading {
        stdout: &stdout.pipe,
        lines: Lines::new(max_frame),
        frames,
        bytes: 0,
        turn: TURN,
    };
    let cause = tokio::select! {
        biased;
        cause = reading.until_ended() => settle(cause, child.process).await,
        status = child.process.exit() => exit_cause(status),
        error = write_failed => settle(DownCause::WriteFailed(error), child.process).await,
        // A leader that not even SIGKILL ends has no status to tell.
        () = child.process.gone() => DownCause::StreamEnded,
    };
    // Answers that it wrote before its end still count; behind a frame too large there are none.
    if !matches!(cause, DownCause::FrameTooLarge { .. }) {
        reading.drain().await;
    }
    if child.process.exited.is_cancelled() {
        child.stderr.complete_within(STDERR_FOLLOWS).await;
    }
    DownReason { stderr_tail: child.stderr.lines(), ..DownReason::new(cause) }
}

/// What explains the end of a stream.
pub(crate) struct Child<'a> {
    pub(crate) process: &'a Process,
    pub(crate) stderr: &'a StderrTail,
}

/// Most streams end because the process did; its status says more than they do.
async fn settle(cause: DownCause, process: &Process) -> DownCause {
    if let DownCause::FrameTooLarge { .. } = cause {
        return cause;
    }
    tokio::time::timeout(EXIT_FOLLOWS, process.exit()).await.map_or(cause, exit_cause)
}

struct Reading<'a, F> {
    stdout: &'a pipe::Receiver,
    lines: Lines,
    frames: &'a mut F,
    /// How many bytes have come in.
    bytes: u64,
    /// At how many bytes this turn is over.
    turn: u64,
}

enum Step {
    More,
    Dry,
    End(DownCause),
}

impl<F: Frames> Reading<'_, F> {
    async fn until_ended(&mut self) -> DownCause {
        loop {
            if let Err(error) = self.stdout.readable().await {
                return DownCause::ReadFailed(Arc::new(error));
            }
            if let Step::End(cause) = self.step() {
                return cause;
            }
            self.give_way().await;
        }
    }

    /// Reads what the pipe holds now, and no more: others may go on filling it.
    async fn drain(&mut self) {
        let end = self.bytes + pipe::held(self.stdout);
        while self.bytes < end {
            match self.step() {
                Step::More => self.give_way().await,
                Step::Dry if pipe::more(self.stdout).await => {}
                Step::Dry | Step::End(_) => return,
            }
        }
    }

    /// Ends a long turn. The budget that tokio gives a task is no measure of what frames cost.
    async fn give_way(&mut self) {
        if self.bytes >= self.turn {
            self.turn = self.bytes + TURN;
            tokio::task::yield_now().await;
        }
    }

    /// Reads once, and hands over what is complete.
    fn step(&mut self) -> Step {
        let stdout = self.stdout;
        match self.lines.read(|buffer| stdout.try_read_buf(buffer)) {
            Ok(0) => return Step::End(DownCause::StreamEnded),
            Ok(count) => self.bytes += count as u64,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.lines.rest();
                return Step::Dry;
            }
            Err(error) => return Step::End(DownCause::ReadFailed(Arc::new(error))),
        }
        let complete = self.lines.take(|line| self.frames.frame(line));
        self.frames.flush();
        if self.lines.is_large() {
            pipe::widen_receiver(self.stdout);
        }
        match complete {
            Ok(()) => Step::More,
            Err(LineTooLong { limit }) => Step::End(DownCause::FrameTooLarge { limit }),
        }
    }
}

fn exit_cause(status: ExitStatus) -> DownCause {
    match process::signal(status) {
        Some(signal) => DownCause::Signalled { signal },
        None => DownCause::Exited { code: status.code().unwrap_or_default() },
    }
}
