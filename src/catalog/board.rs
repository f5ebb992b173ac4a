//! Where a session's servers put up their lists, and calls read the merged catalog.

use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::{Catalog, CatalogFault, Listing, Route, Tool};
use crate::connection::Connection;

/// The lists of a session's servers, and the catalog made of them.
///
/// A list is up before its server is published as Ready, so whoever sees a server Ready can call
/// its tools.
#[derive(Debug, Default)]
pub(crate) struct Board {
    catalog: ArcSwap<Catalog>,
    lists: Mutex<Vec<Option<Posted>>>,
}

#[derive(Debug)]
struct Posted {
    listing: Listing,
    // The connection holds the session's scope and with it this board.
    connection: Weak<Connection>,
}

impl Board {
    /// The current version, for the time of one look.
    pub(crate) fn load(&self) -> arc_swap::Guard<Arc<Catalog>> {
        self.catalog.load()
    }

    /// The current version, to keep.
    pub(crate) fn catalog(&self) -> Arc<Catalog> {
        self.catalog.load_full()
    }

    /// Puts up a server's list; returns the new catalog. A list that broke off does not replace
    /// the tools of one that did not: it only adds its fault.
    pub(crate) fn post(&self, connection: &Arc<Connection>, mut listing: Listing) -> Arc<Catalog> {
        let mut lists = self.lists.lock();
        if lists.len() <= connection.place {
            lists.resize_with(connection.place + 1, || None);
        }
        if let Some(before) = &lists[connection.place]
            && listing.broke_off()
        {
            listing.tools.clone_from(&before.listing.tools);
        }
        lists[connection.place] = Some(Posted { listing, connection: Arc::downgrade(connection) });
        let catalog = Arc::new(merge(self.catalog.load().version + 1, &lists));
        self.catalog.store(Arc::clone(&catalog));
        catalog
    }

    /// Takes everything down: tools hold their connections, which hold this.
    pub(crate) fn clear(&self) {
        let mut lists = self.lists.lock();
        lists.clear();
        let version = self.catalog.load().version + 1;
        self.catalog.store(Arc::new(Catalog { version, ..Catalog::default() }));
    }
}

fn merge(version: u64, lists: &[Option<Posted>]) -> Catalog {
    let mut catalog = Catalog { version, ..Catalog::default() };
    for Posted { listing, connection } in lists.iter().flatten() {
        let Some(connection) = connection.upgrade() else { continue };
        catalog.faults.extend(listing.faults.iter().cloned());
        for described in &listing.tools {
            catalog.add(Tool::new(Arc::clone(described), Arc::clone(&connection)));
        }
    }
    catalog.withdraw_ambiguous();
    catalog
}

impl Catalog {
    fn add(&mut self, tool: Tool) {
        let id = Arc::clone(tool.shared_id());
        let route = match self.routes.remove(&id) {
            None => Route::To(tool.clone()),
            Some(Route::To(first)) => {
                let (a, b) = (first.connection().name(), tool.connection().name());
                let servers = (a.to_string(), b.to_string());
                self.faults.push(CatalogFault::Collision { tool: id.to_string(), servers });
                Route::Ambiguous(Arc::clone(a), Arc::clone(b))
            }
            Some(ambiguous) => ambiguous,
        };
        self.routes.insert(id, route);
        self.tools.push(tool);
    }

    /// A tool that cannot be called is not listed either.
    fn withdraw_ambiguous(&mut self) {
        let Self { tools, routes, .. } = self;
        if tools.len() > routes.len() {
            tools.retain(|tool| matches!(routes.get(tool.id()), Some(Route::To(_))));
        }
    }
}
