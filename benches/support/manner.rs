//! How the servers are started that every client here talks to: as this same executable, with a
//! hidden argument.

use std::path::PathBuf;

/// What the server does with a tool call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Answers with the text it was given.
    Echo,
    /// Never answers, except a call whose text is [`COUNT`].
    Hold,
}

/// The text that asks a holding server how many calls it holds; the length of the answered text
/// is the number.
pub(crate) const COUNT: &str = "count";

impl Manner {
    /// The argument that starts this executable as such a server.
    pub(crate) fn argument(self) -> &'static str {
        match self {
            Self::Echo => "--echo-child",
            Self::Hold => "--hold-child",
        }
    }
}

/// The executable to start as the server.
pub(crate) fn executable() -> PathBuf {
    std::env::current_exe().expect("the path of this executable")
}

/// What this process was started as, if as a server.
pub(crate) fn asked() -> Option<Manner> {
    let asked = std::env::args().nth(1);
    [Manner::Echo, Manner::Hold]
        .into_iter()
        .find(|manner| asked.as_deref() == Some(manner.argument()))
}
