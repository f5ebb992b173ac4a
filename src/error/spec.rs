//! Faults of a declaration, all found before anything starts.

use std::time::Duration;

/// One fault of a declaration.
///
/// Opening a session collects the faults of all its servers and refuses them together in
/// [`OpenError::Spec`](crate::OpenError::Spec).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// A server name that does not match `^[A-Za-z][A-Za-z0-9_-]*$`, or is longer than 64 bytes.
    #[error(
        "server name {name:?} is not allowed: start with a letter, go on with letters, digits, \
         '_' or '-', and stop at 64 bytes"
    )]
    InvalidName {
        /// The name as declared.
        name: String,
    },
    /// Two servers of one session with the same name.
    #[error("two servers are named {name:?}: give each its own name")]
    DuplicateName {
        /// The name that stands twice.
        name: String,
    },
    /// A prefix that is neither empty nor a valid server name.
    #[error(
        "server {server:?}: prefix {prefix:?} is not allowed: leave it empty, or start with a \
         letter and go on with letters, digits, '_' or '-', 64 bytes at most"
    )]
    InvalidPrefix {
        /// The server that declared it.
        server: String,
        /// The prefix as declared.
        prefix: String,
    },
    /// A child process without a command.
    #[error("server {server:?}: the command is empty: name the program to start")]
    EmptyCommand {
        /// The server that declared it.
        server: String,
    },
    /// A string that no operating system takes: a NUL byte inside it.
    #[error("server {server:?}: {what} holds a NUL byte, which no process can be given")]
    NulByte {
        /// The server that declared it.
        server: String,
        /// Which part of the declaration: `command`, `argument 2`, `environment variable X`.
        what: String,
    },
    /// The name of an environment variable that is empty or holds `=`.
    #[error("server {server:?}: {name:?} cannot name an environment variable")]
    InvalidVariable {
        /// The server that declared it.
        server: String,
        /// The name as declared.
        name: String,
    },
    /// A URL that cannot be used.
    #[error("server {server:?}: its {what} cannot be used: {reason}")]
    InvalidUrl {
        /// The server that declared it.
        server: String,
        /// Which setting.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A header that cannot be sent.
    #[error("server {server:?}: header {name:?} cannot be sent: {reason}")]
    InvalidHeader {
        /// The server that declared it.
        server: String,
        /// The name as declared.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A root that is not a `file://` URI (MCP 2025-11-25, client/roots).
    #[error("server {server:?}: root {uri:?} is not a file:// URI")]
    InvalidRoot {
        /// The server that declared it.
        server: String,
        /// The URI as declared.
        uri: String,
    },
    /// A duration or a limit of zero, with which nothing could ever work.
    #[error("server {server:?}: {what} is zero: leave it out for the default")]
    Zero {
        /// The server that declared it.
        server: String,
        /// Which setting.
        what: &'static str,
    },
    /// Two settings that cannot both be meant.
    #[error("server {server:?}: it is {what}: leave one of the two out")]
    Contradiction {
        /// The server that declared it.
        server: String,
        /// The two.
        what: &'static str,
    },
    /// A backoff whose first delay is longer than its longest.
    #[error(
        "server {server:?}: the backoff starts at {initial:?}, above its maximum of {max:?}: swap them"
    )]
    InvertedBackoff {
        /// The server that declared it.
        server: String,
        /// The first delay.
        initial: Duration,
        /// The longest delay.
        max: Duration,
    },
}
