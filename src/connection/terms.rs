//! What the options of a tool's calls come to: worked out when the tool is listed or its handle is
//! made, so that a call has only to look.

use super::{Connection, link::Timing};
use crate::{pattern::fits, policy::CallOptions};

/// Merged options, and what follows from them.
#[derive(Debug)]
pub(crate) struct Terms {
    options: CallOptions,
    /// The limits of a call that says nothing else.
    pub(super) timing: Timing,
    /// What the host adds to the `_meta` of its requests.
    pub(super) meta: String,
    /// Whether anything stands between a call and its link.
    pub(super) guarded: bool,
}

impl Terms {
    pub(crate) fn new(options: CallOptions, connection: &Connection) -> Self {
        Self {
            timing: Timing { idle: options.idle(), total: options.total() },
            meta: options.meta_members(),
            guarded: connection.guards_calls() || options.guard_calls(),
            options,
        }
    }

    pub(crate) fn options(&self) -> &CallOptions {
        &self.options
    }
}

/// The options of a tool as it is listed, without those of a handle.
pub(crate) fn of_tool(connection: &Connection, name: &str) -> CallOptions {
    let fitting = connection.spec.tool_options.iter().filter(|(pattern, _)| fits(pattern, name));
    fitting.fold(connection.options.clone(), |inherited, (_, options)| options.over(&inherited))
}
