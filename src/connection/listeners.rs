//! Who listens to the progress of which request.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use serde_json::value::RawValue;

use super::link::Link;
use crate::{progress::ProgressReport, queue::Writer, wire::RequestId};

/// Who listens to the progress of the requests of one link.
#[derive(Default)]
pub(super) struct Listeners {
    /// How many: looked at before the lock, for mostly there is none.
    count: AtomicUsize,
    by_request: Mutex<FxHashMap<RequestId, Writer<ProgressReport>>>,
}

impl Listeners {
    pub(super) fn tell(&self, id: RequestId, params: &RawValue) {
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let Some(writer) = self.by_request.lock().get(&id).cloned() else { return };
        if let Ok(report) = serde_json::from_str(params.get()) {
            writer.send(report);
        }
    }
}

/// Listens to one request until it is dropped.
pub(crate) struct Listening {
    link: Arc<Link>,
    id: RequestId,
}

impl Listening {
    pub(crate) fn to(link: &Arc<Link>, id: RequestId, writer: &Writer<ProgressReport>) -> Self {
        link.listeners.by_request.lock().insert(id, writer.clone());
        link.listeners.count.fetch_add(1, Ordering::Relaxed);
        Self { link: Arc::clone(link), id }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let writer = self.link.listeners.by_request.lock().remove(&self.id);
        self.link.listeners.count.fetch_sub(1, Ordering::Relaxed);
        drop(writer);
    }
}

impl std::fmt::Debug for Listening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listening").field("id", &self.id).finish_non_exhaustive()
    }
}
