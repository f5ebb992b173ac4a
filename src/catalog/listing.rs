//! What one server lists.

use std::{collections::HashSet, time::Duration};

use serde_json::value::RawValue;

use super::{CatalogFault, tool::Description};

/// What one server lists, with what was wrong with it.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) tools: Vec<Description>,
    pub(crate) faults: Vec<CatalogFault>,
    seen: HashSet<String>,
    listed: usize,
    /// For how long it holds, by what all pages so far say.
    lasts: Option<Option<Duration>>,
}

impl Listing {
    /// Leaves out the tools whose names, as the server knows them, are not to be kept.
    pub(crate) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.tools.retain(|tool| keep(tool.name()));
    }

    /// Learns for how long one page of it holds: the whole holds no longer than any part.
    pub(crate) fn lasts(&mut self, page: Option<Duration>) {
        let least = |before: Option<Duration>| before.zip(page).map(|(a, b)| a.min(b));
        self.lasts = Some(self.lasts.map_or(page, least));
    }

    /// For how long it holds; none if its server does not say.
    pub(crate) fn lasting(&self) -> Option<Duration> {
        self.lasts.flatten()
    }

    /// Takes one tool of a page, or quarantines it.
    pub(crate) fn add(&mut self, server: &str, prefix: &str, raw: &RawValue, mirrors: bool) {
        self.listed += 1;
        let (name, reason) = match Description::read(prefix, raw, mirrors) {
            Ok(described) if self.seen.insert(described.name.clone()) => {
                return self.tools.push(described);
            }
            Ok(twice) => (Some(twice.name), "its name stands twice".to_owned()),
            Err(fault) => fault,
        };
        let tool =
            name.map_or_else(|| format!("number {}", self.listed), |name| format!("{name:?}"));
        self.fault(CatalogFault::BadTool { server: server.to_owned(), tool, reason });
    }

    /// Whether a page could not be had.
    pub(crate) fn broke_off(&self) -> bool {
        matches!(self.faults.last(), Some(CatalogFault::ListingFailed { .. }))
    }

    /// How many tools were listed, good and bad.
    pub(crate) fn listed(&self) -> usize {
        self.listed
    }

    /// Keeps a fault. Of bad tools the first hundred have to do: a list may hold thousands.
    pub(crate) fn fault(&mut self, fault: CatalogFault) {
        const KEPT: usize = 100;
        if self.faults.len() < KEPT || !matches!(fault, CatalogFault::BadTool { .. }) {
            self.faults.push(fault);
        }
    }
}
