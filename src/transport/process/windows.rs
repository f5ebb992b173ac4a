//! A job object, of which nothing is left when it is terminated, or when its last handle closes.
//!
//! A process is started suspended, put into its job, and resumed then, so whatever it starts is in the
//! job as well, and nothing can leave it. The host alone has a handle, which no child inherits: where
//! the host dies, the kernel closes it, and ends the job.

use std::{io, process::ExitStatus, sync::Arc};

use process_wrap::tokio::{ChildWrapper, CommandWrap, CreationFlags, JobObject, KillOnDrop};
use tokio::{process::Command, time::Instant};
use windows::Win32::System::Threading::CREATE_NO_WINDOW;

use super::Process;
use crate::{
    census::{Census, ProcessRecord},
    transport::pipe::Sender,
};

/// A freshly started process, in a job of its own.
pub(crate) struct Leader {
    job: Box<dyn ChildWrapper>,
}

impl Leader {
    /// Starts a process in a job of its own. Neither its pipe nor books are needed for it to be ended.
    pub(crate) fn spawn(command: Command, _: &Sender, _: &Census) -> io::Result<Self> {
        let mut command = CommandWrap::from(command);
        // Without a window it has no part in the host's console either, nor in its Ctrl+C.
        let wrapped = command.wrap(CreationFlags(CREATE_NO_WINDOW));
        // Of a job, being dropped means that its last handle closes, which kills it.
        Ok(Self { job: wrapped.wrap(KillOnDrop).wrap(JobObject).spawn()? })
    }
}

/// The signal that ended a process: there are none.
pub(crate) fn signal(_: ExitStatus) -> Option<i32> {
    None
}

/// Nobody leaves a job.
#[derive(Debug, Clone, Default)]
pub(super) struct Strangers(());

impl Strangers {
    pub(super) fn hold(&self, _: u32, _: bool) {}
}

/// A job that is terminated when this is dropped.
pub(super) struct Group {
    job: Box<dyn ChildWrapper>,
    leader: u32,
    gone: bool,
    census: Arc<Census>,
}

impl Group {
    pub(super) fn new(
        Leader { job }: Leader,
        census: &Arc<Census>,
        record: ProcessRecord,
    ) -> io::Result<Self> {
        let leader = job.id().ok_or(io::ErrorKind::NotFound)?;
        census.process_started(leader, record);
        Ok(Self { job, leader, gone: false, census: Arc::clone(census) })
    }

    pub(super) fn leader(&self) -> u32 {
        self.leader
    }

    /// Waits for the leader, and for nobody else of the job.
    pub(super) async fn exit(&mut self) -> io::Result<ExitStatus> {
        self.job.inner_mut().wait().await
    }

    /// Asks all of the job to end; false where nobody can be asked.
    pub(super) fn ask_to_end(&mut self) -> bool {
        false
    }

    /// Terminates all of the job. From then on none of its programs does anything any more.
    pub(super) fn kill(&mut self) {
        // Fails only for a handle that is none.
        drop(self.job.start_kill());
    }

    /// Whether it was seen gone; a job whose leader has exited may have others.
    pub(super) fn is_gone(&self) -> bool {
        self.gone
    }

    /// Whether nothing of the job, which was terminated, is left by then.
    pub(super) async fn gone_by(&mut self, deadline: Instant) -> bool {
        let ended = tokio::time::timeout_at(deadline, self.job.wait()).await;
        if ended.is_ok_and(|ended| ended.is_ok()) {
            self.set_gone();
        }
        self.gone
    }

    fn set_gone(&mut self) {
        self.gone = true;
        self.census.process_gone(self.leader);
    }

    /// Nothing has left the job.
    pub(super) fn sweep(&self, _: &Strangers) -> std::future::Ready<()> {
        std::future::ready(())
    }

    /// Terminates all of it, for where nobody can wait.
    pub(super) fn end_now(&mut self, _: &Process) {
        if !self.gone {
            self.kill();
            self.set_gone();
        }
    }

    /// There are no books that outlive us.
    pub(super) fn strike_off(&mut self) {}
}
