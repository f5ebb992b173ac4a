//! What the console tells, as the signals that come closest.

use std::io;

use tokio::signal::windows::{CtrlBreak, CtrlC, CtrlClose, ctrl_break, ctrl_c, ctrl_close};

/// What ends the command.
pub(crate) struct Signals {
    close: CtrlClose,
    interrupt: CtrlC,
    stop: CtrlBreak,
}

impl Signals {
    pub(crate) fn catch() -> io::Result<Self> {
        Ok(Self { close: ctrl_close()?, interrupt: ctrl_c()?, stop: ctrl_break()? })
    }

    /// The number of the next.
    pub(super) async fn next(&mut self) -> u8 {
        let Self { close, interrupt, stop } = self;
        tokio::select! {
            _ = close.recv() => 1,
            _ = interrupt.recv() => 2,
            _ = stop.recv() => 15,
        }
    }
}
