//! The signals that end the command: the first asks it to, the second does not ask.

use std::{
    io,
    sync::atomic::{AtomicU8, Ordering},
};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

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

/// The signals that end the command.
pub(crate) struct Signals {
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub(crate) fn catch() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> u8 {
        let Self { hangup, interrupt, terminate } = self;
        tokio::select! {
            _ = hangup.recv() => 1,
            _ = interrupt.recv() => 2,
            _ = terminate.recv() => 15,
        }
    }
}
