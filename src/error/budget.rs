//! A budget is spent.

use std::fmt;

/// Whose limit it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LimitOf {
    /// The runtime's, for all servers of all sessions.
    Runtime,
    /// The session's, for all of its servers.
    Session,
    /// The server's own.
    Server,
}

impl fmt::Display for LimitOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Runtime => "runtime",
            Self::Session => "session",
            Self::Server => "server",
        })
    }
}

/// What a [`Budget`](crate::Budget) is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BudgetItem {
    /// Processes at once.
    Processes,
    /// Starts of processes within 60 seconds.
    StartsPerMinute,
    /// Calls in flight.
    Calls,
    /// Bytes of calls in flight.
    Bytes,
}

impl BudgetItem {
    /// The name of the [`Budget`](crate::Budget)'s method that sets it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Processes => "processes",
            Self::StartsPerMinute => "starts_per_minute",
            Self::Calls => "calls",
            Self::Bytes => "bytes",
        }
    }
}

impl fmt::Display for BudgetItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Processes => "processes",
            Self::StartsPerMinute => "starts a minute",
            Self::Calls => "calls in flight",
            Self::Bytes => "bytes in flight",
        })
    }
}

/// A budget had no room within the time that there was to wait for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the budget of the {of} of {limit} {item} had no room in time: wait, or raise Budget::{}",
    item.as_str()
)]
#[non_exhaustive]
pub struct OverBudget {
    /// Whose budget it is.
    pub of: LimitOf,
    /// What it is of.
    pub item: BudgetItem,
    /// How much of that there may be.
    pub limit: u64,
}
