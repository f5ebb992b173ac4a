//! Where a session's servers put up their lists, and calls read the merged catalog.

use std::{collections::hash_map::Entry, sync::Arc};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::{Catalog, CatalogFault, Listing, Route, Tool, tool::Description};
use crate::connection::Connection;

/// The lists of a session's servers, and the catalog made of them.
///
/// A list is up before its server is published as Ready, so whoever sees a server Ready can call
/// its tools.
#[derive(Debug, Default)]
pub(crate) struct Board {
    catalog: ArcSwap<Catalog>,
    lists: Mutex<Lists>,
}

#[derive(Debug, Default)]
struct Lists {
    /// The places of the servers, in the order of their declaration.
    order: Vec<usize>,
    /// By the places of their servers.
    posted: FxHashMap<usize, Posted>,
    /// Nothing is put up any more.
    closed: bool,
}

#[derive(Debug, Default, Clone)]
struct Posted {
    tools: Vec<Tool>,
    faults: Vec<CatalogFault>,
    /// Whether the server has listed them in this session.
    listed: bool,
    /// How often it has put up a list, whole or not.
    posts: u64,
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

    /// Says which servers there are, in which order. What others have put up is taken down; what
    /// `inherited` lists stands for a server until that has listed its tools itself.
    pub(crate) fn arrange(
        &self,
        order: Vec<usize>,
        inherited: Vec<(Arc<Connection>, Listing)>,
    ) -> Option<Arc<Catalog>> {
        let mut lists = self.lists.lock();
        if lists.closed {
            return None;
        }
        lists.posted.retain(|place, _| order.contains(place));
        lists.order = order;
        for (connection, listing) in inherited {
            lists.posted.entry(connection.place).or_default().put_up(&connection, listing);
        }
        Some(self.publish(&lists))
    }

    /// Puts up a server's list; returns the new catalog. A list that broke off does not replace
    /// the tools of one that did not: it only adds its fault. Nothing is put up in a session that has
    /// ended, or by a server that is in it no more.
    pub(crate) fn post(
        &self,
        connection: &Arc<Connection>,
        listing: Listing,
    ) -> Option<Arc<Catalog>> {
        let mut lists = self.lists.lock();
        if lists.closed || !lists.order.contains(&connection.place) {
            return None;
        }
        let posted = lists.posted.entry(connection.place).or_default();
        posted.listed = true;
        posted.posts += 1;
        if !listing.broke_off() || posted.tools.is_empty() {
            posted.put_up(connection, listing);
        } else {
            posted.faults.retain(|fault| !matches!(fault, CatalogFault::ListingFailed { .. }));
            posted.faults.extend(listing.faults);
        }
        Some(self.publish(&lists))
    }

    fn publish(&self, lists: &Lists) -> Arc<Catalog> {
        let catalog = Arc::new(merge(self.catalog.load().version + 1, lists));
        self.catalog.store(Arc::clone(&catalog));
        catalog
    }

    /// The tools that the server at this place has on the board.
    pub(crate) fn tools_of(&self, place: usize) -> Vec<Tool> {
        self.lists.lock().posted.get(&place).map(|posted| posted.tools.clone()).unwrap_or_default()
    }

    /// How often the server at this place has put up a list.
    pub(crate) fn posts(&self, place: usize) -> u64 {
        self.lists.lock().posted.get(&place).map_or(0, |posted| posted.posts)
    }

    /// Whether the server at this place has listed just this; its faults count where it did not.
    pub(crate) fn lists(&self, place: usize, listing: &Listing) -> bool {
        let lists = self.lists.lock();
        let Some(posted) = lists.posted.get(&place).filter(|posted| posted.listed) else {
            return false;
        };
        let [now, before] = [listing.faults.len(), posted.faults.len()];
        let tools = posted.tools.iter().map(Tool::raw);
        now == before && tools.eq(listing.tools.iter().map(Description::raw))
    }

    /// Whether the server at this place has put up a list.
    pub(crate) fn has_listed(&self, place: usize) -> bool {
        self.lists.lock().posted.get(&place).is_some_and(|posted| posted.listed)
    }

    /// Takes everything down: tools hold their connections, which hold this.
    pub(crate) fn clear(&self) {
        let mut lists = self.lists.lock();
        *lists = Lists { closed: true, ..Lists::default() };
        let version = self.catalog.load().version + 1;
        self.catalog.store(Arc::new(Catalog { version, ..Catalog::default() }));
    }
}

impl Posted {
    fn put_up(&mut self, connection: &Arc<Connection>, listing: Listing) {
        let tools = listing.tools.into_iter();
        self.tools = tools.map(|tool| Tool::new(tool, Arc::clone(connection))).collect();
        // Collected in place, where the descriptions were, which took a multiple.
        self.tools.shrink_to_fit();
        self.faults = listing.faults;
    }
}

fn merge(version: u64, lists: &Lists) -> Catalog {
    let in_order = lists.order.iter().filter_map(|place| lists.posted.get(place));
    let lists: Vec<&Posted> = in_order.collect();
    let count = lists.iter().map(|posted| posted.tools.len()).sum();
    let mut catalog = Catalog { version, ..Catalog::default() };
    catalog.tools.reserve(count);
    catalog.routes.reserve(count);
    for Posted { tools, faults, .. } in lists {
        catalog.faults.extend(faults.iter().cloned());
        tools.iter().for_each(|tool| catalog.add(tool.clone()));
    }
    catalog.withdraw_ambiguous();
    catalog
}

impl Catalog {
    fn add(&mut self, tool: Tool) {
        match self.routes.entry(Arc::clone(tool.shared_id())) {
            Entry::Vacant(entry) => {
                entry.insert(Route::To(tool.clone()));
            }
            Entry::Occupied(mut entry) => {
                if let Route::To(first) = entry.get() {
                    let (a, b) = (first.connection().name(), tool.connection().name());
                    let (id, servers) = (tool.id().to_owned(), (a.to_string(), b.to_string()));
                    let ambiguous = Route::Ambiguous(Arc::clone(a), Arc::clone(b));
                    self.faults.push(CatalogFault::Collision { tool: id, servers });
                    entry.insert(ambiguous);
                }
            }
        }
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
