//! What a session's servers offer: one immutable version at a time.

mod annotations;
mod board;
mod listing;
mod mirror;
mod naming;
mod tool;

pub use annotations::Annotations;
pub(crate) use board::Board;
pub(crate) use listing::Listing;
pub use tool::Tool;

use std::{fmt, sync::Arc};

use rustc_hash::FxHashMap;

use crate::toolset::ToolSet;

/// One version of what a session's servers offer together.
///
/// Immutable: a call in flight keeps the version it was made with.
#[derive(Debug, Default)]
pub struct Catalog {
    version: u64,
    /// In the order of the declarations, and of each server's own list.
    tools: Vec<Tool>,
    /// From tool id to tool; the routing table of calls.
    routes: FxHashMap<Arc<str>, Route>,
    faults: Vec<CatalogFault>,
}

/// Where a tool id leads.
#[derive(Debug)]
pub(crate) enum Route {
    To(Tool),
    /// Two servers, by name, offer it.
    Ambiguous(Arc<str>, Arc<str>),
}

impl Catalog {
    /// The number of this version; it grows with every change.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The tools, in the order of the declared servers and of each server's own list.
    pub fn iter(&self) -> std::slice::Iter<'_, Tool> {
        self.tools.iter()
    }

    /// The number of tools.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tools.len()
    }

    /// Whether there is no tool.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tools.is_empty()
    }

    /// The tool of this id, such as `git.status`.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Tool> {
        match self.routes.get(id)? {
            Route::To(tool) => Some(tool),
            Route::Ambiguous(..) => None,
        }
    }

    /// The tool of this provider-safe name, such as `git__status`.
    #[must_use]
    pub fn by_llm_name(&self, name: &str) -> Option<&Tool> {
        self.tools.iter().find(|tool| tool.llm_name() == name)
    }

    /// What was wrong with the servers' lists; whatever was right is in the catalog all the same.
    /// Of each list at most a hundred bad tools are named.
    #[must_use]
    pub fn faults(&self) -> &[CatalogFault] {
        &self.faults
    }

    /// All tools, as a set to choose from.
    #[must_use]
    pub fn toolset(&self) -> ToolSet {
        self.tools.iter().cloned().collect()
    }

    pub(crate) fn route(&self, id: &str) -> Option<&Route> {
        self.routes.get(id)
    }

    /// The ids most like this one, best first.
    pub(crate) fn nearest(&self, id: &str) -> Vec<String> {
        const SHOWN: usize = 3;
        const LIKE: f64 = 0.6;
        // Ids come from models: a long one, or a large catalog, must not cost the caller's time.
        let affordable = id.len() <= 128 && self.tools.len() <= 2048;
        let likeness = |tool: &Tool| {
            let like = if affordable { strsim::jaro_winkler(id, tool.id()) } else { 0.0 };
            like.max(same_tool(id, tool))
        };
        let mut scored: Vec<_> = self
            .tools
            .iter()
            .map(|tool| (likeness(tool), tool.id()))
            .filter(|(score, _)| *score >= LIKE)
            .collect();
        scored.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        scored.into_iter().take(SHOWN).map(|(_, id)| id.to_owned()).collect()
    }
}

/// A tool that was asked for by its bare name is as near as can be.
fn same_tool(id: &str, tool: &Tool) -> f64 {
    if tool.name() == id || tool.llm_name() == id { 1.0 } else { 0.0 }
}

impl<'a> IntoIterator for &'a Catalog {
    type Item = &'a Tool;
    type IntoIter = std::slice::Iter<'a, Tool>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Something wrong with a server's list of tools.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogFault {
    /// A tool that cannot be offered; the others of its server are.
    #[error("server {server:?}: tool {tool} is left out: {reason}")]
    BadTool {
        /// The server that listed it.
        server: String,
        /// Its name, or its place in the list (from 1) where it has none.
        tool: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Two servers offer a tool of the same id: neither can be called by it.
    #[error("tool {tool:?} is offered by {} and {}: give one of them a prefix", servers.0, servers.1)]
    Collision {
        /// The id.
        tool: String,
        /// Both servers.
        servers: (String, String),
    },
    /// The list repeats a page for ever; the pages so far are kept.
    #[error(
        "server {server:?}: tools/list gave the cursor {cursor:?} a second time, after {pages} pages"
    )]
    CursorRepeated {
        /// The server.
        server: String,
        /// The cursor.
        cursor: String,
        /// How many pages were kept.
        pages: usize,
    },
    /// The list has more pages than the limit; the pages so far are kept.
    #[error(
        "server {server:?}: tools/list has more than {limit} pages: raise Limits::max_pages if that is meant to be"
    )]
    TooManyPages {
        /// The server.
        server: String,
        /// [`Limits::max_pages`](crate::Limits::max_pages).
        limit: usize,
    },
    /// The list has more tools than the limit; the tools up to it are kept.
    #[error(
        "server {server:?}: tools/list has more than {limit} tools: raise Limits::max_tools if that is meant to be"
    )]
    TooManyTools {
        /// The server.
        server: String,
        /// [`Limits::max_tools`](crate::Limits::max_tools).
        limit: usize,
    },
    /// A page could not be had; the pages before it are kept.
    #[error("server {server:?}: tools/list failed after {pages} pages: {reason}")]
    ListingFailed {
        /// The server.
        server: String,
        /// How many pages were kept.
        pages: usize,
        /// What the server answered, or why it did not.
        reason: String,
    },
}

impl fmt::Display for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "version {}: {} tools", self.version, self.tools.len())
    }
}
