//! Which results are kept, and for how long.

use std::time::Duration;

/// Which results of a tool are kept for calls with the same arguments, and for how long.
///
/// Never kept are errors, results in which the tool says that it failed, and anything that is not a
/// complete result; and, unless the host says [`even_if_not_read_only`](Self::even_if_not_read_only),
/// results of tools that are not read-only by the annotations of a server whose annotations are
/// [trusted](crate::ServerSpec::trust_annotations). Results are kept for one server of one session,
/// so those of a private scope meet no other's; they are forgotten when the server's list of tools
/// changes, or when they take more than [`Limits::max_cached`](crate::Limits::max_cached) says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct CachePolicy {
    pub(crate) lifetime: Lifetime,
    pub(crate) any_tool: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// Nothing is kept.
    Off,
    /// All are kept for this long.
    Fixed(Duration),
    /// Each says how long it may be kept.
    Hinted,
}

impl CachePolicy {
    /// Keeps nothing: for a tool whose server's results otherwise are.
    pub fn off() -> Self {
        Self { lifetime: Lifetime::Off, any_tool: false }
    }

    /// Keeps every result for this long.
    pub fn keep_for(time: Duration) -> Self {
        Self { lifetime: Lifetime::Fixed(time), any_tool: false }
    }

    /// Keeps a result for as long as its server says in `ttlMs` (MCP 2026-07-28, server/caching);
    /// not at all where it does not.
    pub fn as_the_server_says() -> Self {
        Self { lifetime: Lifetime::Hinted, any_tool: false }
    }

    /// Keeps results of tools, too, that may change something: the host says that their results may
    /// be used twice all the same.
    pub fn even_if_not_read_only(mut self) -> Self {
        self.any_tool = true;
        self
    }

    pub(crate) fn is_on(&self) -> bool {
        self.lifetime != Lifetime::Off
    }
}
