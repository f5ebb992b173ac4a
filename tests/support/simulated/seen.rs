//! What is seen of a life from outside: how its calls end, and what its servers' statuses do.

use std::{
    collections::HashMap,
    future::{pending, poll_fn},
    task::Poll,
};

use callboard::{CallError, CallTotals, Event, Output, Phase, Server, Session};

use super::Played;

/// How calls ended, as their callers saw it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Books {
    finished: u64,
    tool_errors: u64,
    /// By a token, or dropped.
    cancelled: u64,
    failed: u64,
}

impl Books {
    pub(super) fn note(&mut self, outcome: Option<&Result<Output, CallError>>) {
        match outcome {
            Some(Ok(output)) => {
                self.finished += 1;
                self.tool_errors += u64::from(output.is_error());
            }
            None | Some(Err(CallError::Cancelled { .. })) => self.cancelled += 1,
            Some(Err(_)) => self.failed += 1,
        }
    }

    /// Whether the runtime has counted the same.
    pub(super) fn agree(&self, totals: CallTotals) {
        let CallTotals { started, finished, tool_errors, cancelled, failed, .. } = totals;
        let counted = Self { finished, tool_errors, cancelled, failed };
        assert_eq!(counted, *self, "the books are not what callers saw");
        assert_eq!(started, finished + cancelled + failed, "{totals:?}");
    }
}

/// The statuses as they are seen.
pub(super) struct Statuses {
    watched: Vec<(tokio::sync::watch::Receiver<callboard::Status>, u64)>,
}

impl Statuses {
    pub(super) fn new(session: &Session) -> Self {
        let watched = session.servers().iter().map(|server: &Server| (server.watch(), 0)).collect();
        Self { watched }
    }

    /// Waits until one of them has changed.
    pub(super) async fn changed(&mut self) {
        let mut each: Vec<_> = self
            .watched
            .iter_mut()
            .map(|(watch, _)| {
                // A server that is gone has no other status any more.
                Box::pin(async {
                    if watch.changed().await.is_err() {
                        pending().await
                    }
                })
            })
            .collect();
        poll_fn(|cx| {
            let any = each.iter_mut().any(|one| one.as_mut().poll(cx).is_ready());
            if any { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    pub(super) fn look(&mut self) {
        for (watch, seen) in &mut self.watched {
            let status = watch.borrow_and_update();
            assert!(status.epoch >= *seen, "epochs go back: {status:?} after {seen}");
            assert_eq!(status.protocol_version.is_some(), status.is_ready(), "{status:?}");
            *seen = status.epoch;
        }
    }
}

/// The phases of each server, one after the other.
#[derive(Default)]
pub(super) struct Chain {
    last: HashMap<String, (Phase, u64)>,
    lagged: bool,
}

impl Chain {
    pub(super) fn take(&mut self, event: &Event) {
        match event {
            Event::Status { server, from, status } => {
                let (last, lost) = self.last.get(&**server).copied().unwrap_or((*from, 0));
                assert!(self.lagged || last == *from, "{server}: {last} is followed by {from}");
                let mut lost = lost;
                if status.phase == Phase::Ready {
                    assert_eq!(*from, Phase::Starting, "{server}");
                    assert!(status.epoch > lost, "{server}: a lost link came back");
                } else if *from == Phase::Ready {
                    lost = status.epoch;
                }
                self.last.insert(server.to_string(), (status.phase, lost));
            }
            Event::Lagged { .. } => self.lagged = true,
            _ => {}
        }
    }

    pub(super) fn ends_well(&self, one: &Played, session: &Session) {
        let status = session.server(one.name).unwrap().status();
        assert_eq!(status.phase, Phase::Stopped, "{}", one.name);
        if let Some((last, _)) = self.last.get(one.name) {
            assert_eq!(*last, Phase::Stopped, "{}", one.name);
        }
        let counted = status.restarts == status.epoch.saturating_sub(1);
        assert!(!one.eager || counted, "restarts do not add up: {status:?}");
    }
}
