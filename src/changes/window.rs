//! Changes by the dozen.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures_core::Stream;
use tokio::time::{Sleep, sleep};

use super::{Change, Changes};

/// Changes in windows: see [`Changes::window`].
#[derive(Debug)]
pub struct Windows<S = Changes> {
    changes: S,
    count: usize,
    within: Duration,
    window: Vec<Change>,
    /// Runs from the first change of a window.
    closes: Option<Pin<Box<Sleep>>>,
    ended: bool,
}

impl Changes {
    /// Gathers changes into windows, which close when they hold `count` of them or are open for
    /// `within`, whichever comes first. A window opens with its first change, so none is empty.
    #[must_use]
    pub fn window(self, count: usize, within: Duration) -> Windows {
        Windows::new(self, count, within)
    }
}

impl<S: Stream<Item = Change> + Unpin> Windows<S> {
    pub(super) fn new(changes: S, count: usize, within: Duration) -> Self {
        let count = count.max(1);
        Self { changes, count, within, window: Vec::new(), closes: None, ended: false }
    }

    /// The next window; `None` at the end, after what was gathered.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no change.
    pub async fn next(&mut self) -> Option<Vec<Change>> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    fn close(&mut self) -> Poll<Option<Vec<Change>>> {
        self.closes = None;
        Poll::Ready(Some(std::mem::take(&mut self.window)))
    }
}

impl<S: Stream<Item = Change> + Unpin> Stream for Windows<S> {
    type Item = Vec<Change>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Vec<Change>>> {
        while !self.ended {
            match Pin::new(&mut self.changes).poll_next(cx) {
                Poll::Ready(Some(change)) => {
                    let within = self.within;
                    self.window.push(change);
                    self.closes.get_or_insert_with(|| Box::pin(sleep(within)));
                    if self.window.len() >= self.count {
                        return self.close();
                    }
                }
                Poll::Ready(None) => self.ended = true,
                Poll::Pending => break,
            }
        }
        if self.ended {
            return if self.window.is_empty() { Poll::Ready(None) } else { self.close() };
        }
        let over = self.closes.as_mut().is_some_and(|closes| closes.as_mut().poll(cx).is_ready());
        if over { self.close() } else { Poll::Pending }
    }
}
