//! Why a link ended.

use std::{fmt, io, sync::Arc, time::Duration};

use super::{HttpError, LimitOf, write_stderr};
use crate::record::Record;

/// Why a link ended, with what its server said last.
///
/// Every outstanding call of the link fails with the same `Arc<DownReason>`, as the source of
/// [`CallError::TransportDown`](crate::CallError::TransportDown).
#[derive(Debug, Clone)]
pub struct DownReason {
    pub(crate) cause: DownCause,
    pub(crate) stderr_tail: Vec<String>,
    pub(crate) record: Record,
}

/// What ended a link.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum DownCause {
    /// The server process exited by itself.
    Exited {
        /// Its exit code. On Windows also that of a program that crashed, such as 0xC0000005.
        code: i32,
    },
    /// A signal ended the server process. Never on Windows, where there are exit codes only.
    Signalled {
        /// The number of the signal; 9 is `SIGKILL`.
        signal: i32,
    },
    /// The server closed its stdout, although its process lives.
    StreamEnded,
    /// Writing to the server failed, although its process lives.
    WriteFailed(Arc<io::Error>),
    /// Reading from the server failed.
    ReadFailed(Arc<io::Error>),
    /// The server sent a message above the limit.
    FrameTooLarge {
        /// The limit in bytes: [`Limits::max_frame`](crate::Limits::max_frame).
        limit: usize,
    },
    /// The server asks on and on and does not read our answers.
    NotReading {
        /// How many answers waited for it.
        queued: usize,
    },
    /// The server behind the URL cannot be reached, or its stream cannot be had back. Of a call that
    /// failed alone: its own exchange did.
    Http(Arc<HttpError>),
    /// The server has forgotten the HTTP session (status 404; MCP 2025-11-25, basic/transports).
    HttpSessionLost,
    /// The server no longer speaks the revision that was agreed: another has taken its place.
    ProtocolChanged,
    /// The processes of the server, or of all servers of the session or the runtime of which it was the
    /// largest, had more memory resident than they may.
    Memory {
        /// How much it was, in bytes.
        resident: u64,
        /// How much it may be, in bytes.
        limit: u64,
        /// Whose limit it is: [`Limits::max_memory`](crate::Limits::max_memory), or that of a
        /// [`Budget`](crate::Budget).
        of: LimitOf,
    },
    /// The server left a health probe unanswered.
    Unresponsive {
        /// How long it had.
        after: Duration,
    },
    /// The server left calls unanswered until their time was over, one after the other, and
    /// [`HealthCheck::down_after`](crate::HealthCheck::down_after) says that these are too many.
    Unanswered {
        /// How many.
        calls: u32,
    },
    /// The host asked for a restart.
    Restarted,
    /// Nobody used it for as long as [`ServerSpec::stop_when_idle`](crate::ServerSpec::stop_when_idle)
    /// says; the next call starts it again.
    Unused,
    /// The server was taken out of the session.
    Removed,
    /// The session was closed.
    SessionClosed,
    /// What owned the link panicked: a defect of this crate, or of code that the host gave it, such as
    /// what provides secrets.
    Internal,
}

impl DownCause {
    /// A stable name of the cause, in snake case; part of this crate's semver promise. Of
    /// [`Http`](Self::Http), that of the [`HttpError`].
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Exited { .. } => "exited",
            Self::Signalled { .. } => "signalled",
            Self::StreamEnded => "stream_ended",
            Self::WriteFailed(_) => "write_failed",
            Self::ReadFailed(_) => "read_failed",
            Self::FrameTooLarge { .. } => "frame_too_large",
            Self::NotReading { .. } => "not_reading",
            Self::Http(error) => error.kind(),
            Self::HttpSessionLost => "http_session_lost",
            Self::ProtocolChanged => "protocol_changed",
            Self::Memory { .. } => "memory",
            Self::Unresponsive { .. } => "unresponsive",
            Self::Unanswered { .. } => "unanswered",
            Self::Restarted => "restarted",
            Self::Unused => "unused",
            Self::Removed => "removed",
            Self::SessionClosed => "session_closed",
            Self::Internal => "internal",
        }
    }
}

impl DownReason {
    pub(crate) fn new(cause: DownCause) -> Self {
        Self { cause, stderr_tail: Vec::new(), record: Record::default() }
    }

    /// Whether nothing goes on before a person has logged in.
    pub(crate) fn needs_login(&self) -> bool {
        matches!(&self.cause, DownCause::Http(error) if error.needs_login())
    }

    /// What ended the link.
    #[must_use]
    pub fn kind(&self) -> &DownCause {
        &self.cause
    }

    /// Whether the host itself wanted it so: no fault of the server.
    pub(crate) fn was_asked_for(&self) -> bool {
        matches!(
            self.cause,
            DownCause::Restarted
                | DownCause::Unused
                | DownCause::Removed
                | DownCause::SessionClosed
        )
    }

    pub(crate) fn is_unused(&self) -> bool {
        matches!(self.cause, DownCause::Unused)
    }

    /// The exit code, where the process exited by itself.
    #[must_use]
    pub fn exit_code(&self) -> Option<i32> {
        if let DownCause::Exited { code } = self.cause { Some(code) } else { None }
    }

    /// The signal, where one ended the process.
    #[must_use]
    pub fn signal(&self) -> Option<i32> {
        if let DownCause::Signalled { signal } = self.cause { Some(signal) } else { None }
    }

    /// What went over the link.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The last lines that the server wrote on stderr, oldest first: at most 200 lines, 64 KiB.
    #[must_use]
    pub fn stderr_tail(&self) -> &[String] {
        &self.stderr_tail
    }
}

impl fmt::Display for DownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.cause)?;
        write_stderr(f, &self.stderr_tail)
    }
}

impl std::error::Error for DownReason {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            DownCause::WriteFailed(error) | DownCause::ReadFailed(error) => Some(error.as_ref()),
            DownCause::Http(error) => Some(error.as_ref()),
            DownCause::Exited { .. }
            | DownCause::Signalled { .. }
            | DownCause::StreamEnded
            | DownCause::FrameTooLarge { .. }
            | DownCause::NotReading { .. }
            | DownCause::HttpSessionLost
            | DownCause::ProtocolChanged
            | DownCause::Memory { .. }
            | DownCause::Unresponsive { .. }
            | DownCause::Unanswered { .. }
            | DownCause::Restarted
            | DownCause::Unused
            | DownCause::Removed
            | DownCause::SessionClosed
            | DownCause::Internal => None,
        }
    }
}

impl DownCause {
    /// Whether an exit code is that of a program which Windows ended: an error of the system's own
    /// ([MS-ERREF], 2.3), which everybody writes in hexadecimal. Elsewhere codes end at 255.
    pub(crate) fn is_exception(code: i32) -> bool {
        (0xC000_0000..0xD000_0000).contains(&code.cast_unsigned())
    }
}

impl fmt::Display for DownCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited { code } if Self::is_exception(*code) => {
                write!(f, "the server exited with code {code:#X}")
            }
            Self::Exited { code } => write!(f, "the server exited with code {code}"),
            Self::Signalled { signal } => match signal_name(*signal) {
                Some(name) => write!(f, "the server was ended by signal {signal} ({name})"),
                None => write!(f, "the server was ended by signal {signal}"),
            },
            Self::StreamEnded => f.write_str("the server closed its stdout"),
            Self::WriteFailed(error) => write!(f, "writing to the server failed: {error}"),
            Self::ReadFailed(error) => write!(f, "reading from the server failed: {error}"),
            Self::FrameTooLarge { limit } => write!(
                f,
                "the server sent a message of more than {limit} bytes: raise Limits::max_frame if \
                 that is meant to be"
            ),
            Self::NotReading { queued } => {
                write!(f, "the server asks, but left {queued} answers unread")
            }
            Self::Http(error) => write!(f, "{error}"),
            Self::HttpSessionLost => f.write_str("the server has forgotten the HTTP session"),
            Self::ProtocolChanged => {
                f.write_str("the server no longer speaks the revision that was agreed")
            }
            Self::Memory { resident, limit, of } => write!(
                f,
                "memory: {resident} bytes are resident, {limit} are the limit of the {of}"
            ),
            Self::Unresponsive { after } => {
                write!(f, "the server left a health probe unanswered for {after:?}")
            }
            Self::Unanswered { calls } => {
                write!(f, "the server left {calls} calls in a row unanswered")
            }
            Self::Restarted => f.write_str("the host asked for a restart"),
            Self::Unused => f.write_str("nobody used it for a while; the next call starts it"),
            Self::Removed => f.write_str("the server was taken out of the session"),
            Self::SessionClosed => f.write_str("the session was closed"),
            Self::Internal => f.write_str("a panic, and so the link lost its owner"),
        }
    }
}

/// The names of the signals that end servers in practice; the same numbers on every Unix.
fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        15 => "SIGTERM",
        _ => return None,
    })
}
