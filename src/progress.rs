//! The progress of one call, as a stream.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::Stream;
use serde::Deserialize;

use crate::queue::{self, Next, Queue, Writer};

/// How many reports wait for a slow reader before the oldest are dropped and counted.
const CAPACITY: usize = 256;

/// One report of progress (MCP 2025-11-25, basic/utilities/progress).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct ProgressReport {
    /// How far it is; it grows with every report.
    pub progress: f64,
    /// How far it goes, where the server knows.
    #[serde(default)]
    pub total: Option<f64>,
    /// What is going on, for people.
    #[serde(default)]
    pub message: Option<String>,
}

/// The progress of one call, in the order in which the server reported it: see
/// [`Call::progress`](crate::Call::progress).
///
/// It ends with its call. At most 256 reports wait; a slower reader loses the oldest, and
/// [`missed`](Self::missed) says how many.
#[derive(Debug)]
pub struct Progress {
    queue: Queue<ProgressReport>,
    missed: u64,
}

pub(crate) fn progress() -> (Writer<ProgressReport>, Progress) {
    let (writer, queue) = queue::queue(CAPACITY);
    (writer, Progress { queue, missed: 0 })
}

impl Progress {
    /// The next report; `None` once the call has ended.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no report.
    pub async fn next(&mut self) -> Option<ProgressReport> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    /// How many reports were lost because this reader was too slow.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<ProgressReport>> {
        loop {
            match self.queue.poll_next(cx) {
                Poll::Ready(Some(Next::Item(report))) => return Poll::Ready(Some(report)),
                Poll::Ready(Some(Next::Missed(count))) => self.missed += count,
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl Stream for Progress {
    type Item = ProgressReport;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ProgressReport>> {
        self.poll(cx)
    }
}
