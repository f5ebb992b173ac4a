//! The signals that end the command: the first asks it to, the second does not ask.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::sync::atomic::{AtomicU8, Ordering};

use tokio_util::sync::CancellationToken;

#[cfg(unix)]
pub(crate) use unix::Signals;
#[cfg(windows)]
pub(crate) use windows::Signals;

/// Whether the command was asked to end, and by which signal.
#[derive(Default)]
pub(crate) struct Stop {
    asked: CancellationToken,
    number: AtomicU8,
}

impl Stop {
    /// Waits until the command is asked to end; returns the signal's number.
    pub(crate) async fn asked(&self) -> u8 {
        self.asked.cancelled().await;
        self.number.load(Ordering::Acquire)
    }

    /// Passes the first signal on, and returns at the second.
    pub(crate) async fn listen(&self, mut signals: Signals) -> u8 {
        self.number.store(signals.next().await, Ordering::Release);
        self.asked.cancel();
        signals.next().await
    }
}
