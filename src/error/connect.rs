//! Why a server is not up.

use std::{fmt, io, path::PathBuf, sync::Arc, time::Duration};

use super::{DownCause, DownReason, HttpError, OverBudget, SecretError, SpecError, write_stderr};
use crate::record::Record;

/// How far a start had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// Between the start of the process and an answer to `server/discover` or `initialize`.
    Handshake,
    /// While the first `tools/list` was read.
    Listing,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Handshake => "the handshake",
            Self::Listing => "the first listing of its tools",
        })
    }
}

/// Why a start of a server failed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The command is nowhere on the PATH of the child. Not retried.
    #[error(
        "no program {command:?} was found: looked for it in {searched}; install it, or give its full path"
    )]
    CommandNotFound {
        /// The command as declared.
        command: String,
        /// Where it was looked for, as a person reads it.
        searched: String,
    },
    /// The working directory is not there. Not retried.
    #[error("the working directory {} does not exist: create it, or change `cwd`", path.display())]
    NoDirectory {
        /// The directory as declared.
        path: PathBuf,
    },
    /// A secret that it needs could not be had. Not retried where it cannot be otherwise next time.
    #[error(transparent)]
    Secret(Arc<SecretError>),
    /// The operating system refused to start the process.
    #[error("could not start {command:?}: {source}")]
    Spawn {
        /// The command as resolved.
        command: String,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// There was no room for it in a budget within its init timeout.
    #[error("it was not started: {0}")]
    OverBudget(#[from] OverBudget),
    /// Nobody listens at the other end, in this process.
    #[error("no server listens in this process: await MemoryListener::accept, or start it")]
    NotListening,
    /// The link ended before the server was ready.
    #[error("the server ended during {stage}: {reason}")]
    Ended {
        /// How far it had come.
        stage: Stage,
        /// Why the link ended.
        reason: Arc<DownReason>,
    },
    /// The server was not ready within its init timeout.
    #[error("no answer during {stage} within {after:?}: {hint}{}", Tail(.stderr_tail), hint = timeout_hint(.stage))]
    TimedOut {
        /// How far it had come.
        stage: Stage,
        /// The init timeout of the spec.
        after: Duration,
        /// What the server had written on stderr by then.
        stderr_tail: Vec<String>,
        /// What went over the link.
        record: Record,
    },
    /// The server behind the URL was not reached, or gave no answer that is one.
    #[error("{error}")]
    Http {
        /// What went wrong.
        #[source]
        error: Arc<HttpError>,
        /// What went over the link, where there was one.
        record: Record,
    },
    /// The server answered the handshake with a JSON-RPC error.
    #[error("the server refused {stage} with error {code}: {message}")]
    Refused {
        /// How far it had come.
        stage: Stage,
        /// The JSON-RPC error code.
        code: i64,
        /// The message of the server.
        message: String,
        /// What went over the link.
        record: Record,
    },
    /// The server speaks no revision of MCP that this crate speaks. Not retried.
    #[error("the server speaks MCP {offered}, which is not supported: update one of the two")]
    UnsupportedVersion {
        /// What the server offered.
        offered: String,
        /// What went over the link.
        record: Record,
    },
    /// The server answered the handshake with something that is no such answer.
    #[error("the server's answer during {stage} makes no sense: {detail}")]
    InvalidAnswer {
        /// How far it had come.
        stage: Stage,
        /// What was wrong with it.
        detail: String,
        /// What went over the link.
        record: Record,
    },
}

impl ConnectError {
    /// A stable name of the kind of error, in snake case; part of this crate's semver promise. Of
    /// [`Http`](Self::Http), that of the [`HttpError`].
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::CommandNotFound { .. } => "command_not_found",
            Self::NoDirectory { .. } => "no_directory",
            Self::Secret(_) => "secret",
            Self::Spawn { .. } => "spawn",
            Self::OverBudget(_) => "over_budget",
            Self::NotListening => "not_listening",
            Self::Ended { .. } => "ended",
            Self::TimedOut { .. } => "init_timed_out",
            Self::Http { error, .. } => error.kind(),
            Self::Refused { .. } => "refused",
            Self::UnsupportedVersion { .. } => "unsupported_version",
            Self::InvalidAnswer { .. } => "invalid_answer",
        }
    }

    /// Whether another attempt with the same declaration cannot end differently.
    ///
    /// Such a start is retried only under [`RestartPolicy::always`](crate::RestartPolicy::always).
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::CommandNotFound { .. }
            | Self::NoDirectory { .. }
            | Self::UnsupportedVersion { .. } => true,
            Self::Http { error, .. } => error.is_permanent(),
            Self::Secret(error) => error.is_permanent(),
            Self::Spawn { source, .. } => source.kind() == io::ErrorKind::PermissionDenied,
            Self::OverBudget(_)
            | Self::NotListening
            | Self::Ended { .. }
            | Self::TimedOut { .. }
            | Self::Refused { .. }
            | Self::InvalidAnswer { .. } => false,
        }
    }
}

impl From<Arc<HttpError>> for ConnectError {
    /// With nothing on record: that is put there once the link has nothing more to say.
    fn from(error: Arc<HttpError>) -> Self {
        Self::Http { error, record: Record::default() }
    }
}

impl From<SecretError> for ConnectError {
    fn from(error: SecretError) -> Self {
        Self::Secret(Arc::new(error))
    }
}

impl ConnectError {
    /// Whether nothing goes on before a person has logged in.
    pub(crate) fn needs_login(&self) -> bool {
        matches!(self, Self::Http { error, .. } if error.needs_login())
    }

    /// The want of a login as such, also where the link ended over it.
    pub(crate) fn or_login(self) -> Self {
        if let Self::Ended { reason, .. } = &self
            && let DownCause::Http(error) = reason.kind()
            && error.needs_login()
        {
            return Self::Http { error: Arc::clone(error), record: reason.record().clone() };
        }
        self
    }
}

struct Tail<'a>(&'a [String]);

impl fmt::Display for Tail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_stderr(f, self.0)
    }
}

fn timeout_hint(stage: &Stage) -> &'static str {
    match stage {
        Stage::Handshake => {
            "no answer to server/discover or initialize; check that the command speaks MCP on \
             stdin and stdout, or raise `init_timeout` if it is slow to start"
        }
        Stage::Listing => "no answer to tools/list; raise `init_timeout` if the server is slow",
    }
}

/// Why a server is not ready: its last start failed, or its last link ended.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The last start failed.
    #[error(transparent)]
    Connect(Arc<ConnectError>),
    /// The last link ended.
    #[error(transparent)]
    Down(Arc<DownReason>),
}

impl ServerError {
    /// A stable name of it, in snake case: [`ConnectError::kind`], or [`DownCause::as_str`].
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Connect(error) => error.kind(),
            Self::Down(reason) => reason.cause.as_str(),
        }
    }

    /// Whether the host itself asked for it.
    pub(crate) fn was_asked_for(&self) -> bool {
        matches!(self, Self::Down(reason) if reason.was_asked_for())
    }
}

/// One required server that did not become ready.
#[derive(Debug, Clone)]
pub struct RequiredFailure {
    /// The name of the server.
    pub server: String,
    /// Why it is not ready, where a cause is known by the end of its init timeout.
    pub error: Option<ServerError>,
}

impl fmt::Display for RequiredFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.error {
            Some(error) => write!(f, "{}: {error}", self.server),
            None => write!(f, "{}: not ready within its init timeout", self.server),
        }
    }
}

/// Why a session was not opened. Nothing of it is left when this is returned.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The declaration is faulty; nothing was started.
    #[error("the session cannot be opened:{}", List(.0))]
    Spec(Vec<SpecError>),
    /// A secret of [`SessionBuilder::secrets`](crate::SessionBuilder::secrets) could not be had;
    /// nothing was started.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// Required servers did not become ready; whatever had started was stopped again.
    #[error("required servers are not ready:{}", List(.0))]
    Required(Vec<RequiredFailure>),
    /// The runtime is shut down.
    #[error("the runtime is shut down: start another to open sessions")]
    RuntimeClosed,
}

/// Why a session does not go on with other servers.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// The declarations are faulty; nothing was changed.
    #[error("the session goes on as it is:{}", List(.0))]
    Spec(Vec<SpecError>),
    /// The session has ended, or ended meanwhile.
    #[error("the session was closed")]
    SessionClosed,
}

struct List<'a, T>(&'a [T]);

impl<T: fmt::Display> fmt::Display for List<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|item| write!(f, "\n  - {item}"))
    }
}
