//! Which servers a session has at this moment.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use crate::connection::Connection;

/// The servers of a session, in the order of their declaration: one immutable list at a time.
#[derive(Debug)]
pub(crate) struct Roster(ArcSwap<Vec<Arc<Connection>>>);

impl Roster {
    pub(crate) fn new(connections: Vec<Arc<Connection>>) -> Self {
        Self(ArcSwap::from_pointee(connections))
    }

    /// The current list, for the time of one look.
    pub(crate) fn look(&self) -> Guard<Arc<Vec<Arc<Connection>>>> {
        self.0.load()
    }

    /// The current list, to keep.
    pub(crate) fn list(&self) -> Arc<Vec<Arc<Connection>>> {
        self.0.load_full()
    }

    pub(crate) fn replace(&self, connections: Vec<Arc<Connection>>) {
        self.0.store(Arc::new(connections));
    }

    pub(crate) fn find(&self, name: &str) -> Option<Arc<Connection>> {
        self.look().iter().find(|one| one.name().as_ref() == name).cloned()
    }

    /// What has taken the place of a connection that left, if anything has; otherwise itself.
    pub(crate) fn current(&self, connection: &Arc<Connection>) -> Arc<Connection> {
        let successor = connection.has_left().then(|| self.find(connection.name())).flatten();
        successor.unwrap_or_else(|| Arc::clone(connection))
    }
}
