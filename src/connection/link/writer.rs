//! The writer task of a link.

use std::{io, sync::Arc, task::Poll};

use super::Link;
use crate::{connection::outbox::Outbox, transport::Sink};

impl Link {
    /// Writes what is queued until the link is down.
    pub(crate) async fn write(self: Arc<Self>, sink: Arc<dyn Sink>) {
        self.down.run_until_cancelled(self.write_frames(&*sink)).await;
    }

    async fn write_frames(&self, sink: &dyn Sink) {
        let mut batch = Outbox::default();
        loop {
            self.frames_wait.notified().await;
            loop {
                // Let every task that is ready queue its frame first: one system call for all.
                let_others_run().await;
                if !self.take_frames(&mut batch) {
                    break;
                }
                let written = batch.write(sink);
                self.put_back(&mut batch);
                let more = match written {
                    Ok(true) => Ok(()),
                    Ok(false) => std::future::poll_fn(|cx| sink.poll_writable(cx)).await,
                    Err(error) => Err(error),
                };
                if let Err(error) = more {
                    return self.fail_write(error);
                }
            }
        }
    }

    /// Takes what is queued. From here until it is put back, what is taken may have left; there is
    /// no await between.
    fn take_frames(&self, batch: &mut Outbox) -> bool {
        let mut state = self.state.lock();
        let taken = state.down.is_none() && state.outbox.take(batch);
        (state.writer_awake, state.writing) = (taken, taken);
        taken
    }

    /// Puts back what was not written, so that it can be withdrawn; a link that went down meanwhile
    /// has waited for it, to know what has left.
    fn put_back(&self, batch: &mut Outbox) {
        let mut state = self.state.lock();
        state.outbox.put_back(batch);
        state.writing = false;
        if state.down.is_some() {
            drop(state);
            self.fail_pending();
        }
    }

    pub(super) fn fail_write(&self, error: io::Error) {
        self.state.lock().write_error = Some(Arc::new(error));
        self.write_failed.cancel();
    }
}

/// Lets every task run once that is ready on this worker now. (tokio's `yield_now` waits until the
/// worker has nothing left to do at all, and has looked for work and events elsewhere.)
async fn let_others_run() {
    let mut waited = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
