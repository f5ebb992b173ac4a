//! Processes do not outlive those who should end them: each is in a job that the kernel ends with its
//! host (`transport/process/windows.rs`). So there is neither watchdog nor mark nor ledger, whatever is
//! said about the host's death.

use std::{
    future::{Ready, ready},
    sync::Arc,
};

use tracing::Span;

use crate::host_death::HostDeath;

/// The books on the processes of one runtime that others can read when it cannot: none.
#[derive(Debug)]
pub(crate) struct Orphans;

impl Orphans {
    pub(crate) fn new(_: HostDeath, _: Span) -> Arc<Self> {
        Arc::new(Self)
    }

    /// The process id of the watchdog.
    pub(crate) fn watchdog(&self) -> Option<u32> {
        None
    }

    pub(crate) fn close(&self) -> Ready<()> {
        ready(())
    }
}
