//! Why something failed, for a person: what happened, the probable cause, and what to do.

mod auth;
mod call;
mod clues;
mod connect;
mod down;
mod http;
mod open;
mod process;
mod sheet;
mod timeline;
mod tls;

use std::fmt;

use serde::Serialize;

pub use sheet::Sheet;

use crate::{
    error::{Delivery, HttpError},
    record::{Entry, Record},
};

/// What is known of one failure, put together for a person: [`CallError::report`],
/// [`ConnectError::report`], [`ServerError::report`], [`DownReason::report`] and
/// [`OpenError::report`] give one.
///
/// Its `Display` is a picture of plain text; [`sheet`](Self::sheet) draws one in colour, or of another
/// width. It serialises to JSON. Like the errors it comes from, it holds no secret of the session.
///
/// ```text
/// ended · git
///   × the server exited with code 1 during the handshake
///   ╰─▶ a Python module that it needs is not installed
///       (ModuleNotFoundError: No module named 'mcp')
///    ╭─[ its last words on stderr ]
///    │ Traceback (most recent call last):
///    │ ModuleNotFoundError: No module named 'mcp'
///    ╰────
///   help: install it for the interpreter that the command runs, or start the
///         server by `uvx` or `uv run`, which bring their own
/// ```
///
/// [`CallError::report`]: crate::CallError::report
/// [`ConnectError::report`]: crate::ConnectError::report
/// [`ServerError::report`]: crate::ServerError::report
/// [`DownReason::report`]: crate::DownReason::report
/// [`OpenError::report`]: crate::OpenError::report
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The stable name of the kind of error, such as `transport_down` or `command_not_found`.
    pub kind: &'static str,
    /// What happened, in one sentence.
    pub what: String,
    /// The server, where one is to blame and its name is known.
    pub server: Option<String>,
    /// The link that it happened on, where one is known.
    pub epoch: Option<u64>,
    /// Why it probably happened, where anything speaks for it.
    pub cause: Option<ProbableCause>,
    /// What to do, where that is known.
    pub help: Option<String>,
    /// Whether the server may have acted: `not_sent`, `maybe_sent` or `answered`; only of a call.
    pub delivery: Option<&'static str>,
    /// How the process of the server ended, if it did.
    pub exit: Option<Exit>,
    /// The HTTP status that the server answered with, if it did.
    pub http_status: Option<u16>,
    /// The beginning of the body that came with that status.
    pub answer: Option<String>,
    /// What was sent: the request that failed, where it is still on the record of its link.
    pub sent: Option<Entry>,
    /// What came back for it.
    pub received: Option<Entry>,
    /// What else went over the link, oldest first.
    pub record: Vec<Entry>,
    /// What carried the link: `stdio`, `memory` or `http`.
    pub transport: Option<&'static str>,
    /// What the server said last on stderr, oldest first: at most 200 lines, 64 KiB.
    pub stderr: Vec<String>,
    /// What this is made up of: the faults of a declaration, the servers that did not start.
    pub related: Vec<Report>,
}

/// Why something probably failed: a guess from the error, from what the server said, and from what
/// others have seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ProbableCause {
    /// A stable name for it in snake case, such as `node_module_missing`.
    pub code: &'static str,
    /// It in one sentence.
    pub sentence: String,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Exit {
    /// By itself, with this exit code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

/// A probable cause, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Diagnosis {
    cause: Option<ProbableCause>,
    help: Option<String>,
}

impl Diagnosis {
    fn new(code: &'static str, sentence: impl Into<String>, help: impl Into<String>) -> Self {
        let cause = ProbableCause { code, sentence: sentence.into() };
        Self { cause: Some(cause), help: Some(help.into()).filter(|help| !help.is_empty()) }
    }

    /// Where what happened is its own explanation.
    fn help(help: impl Into<String>) -> Self {
        Self { cause: None, help: Some(help.into()) }
    }
}

impl Report {
    fn new(kind: &'static str, what: impl Into<String>) -> Self {
        Self {
            kind,
            what: what.into(),
            server: None,
            epoch: None,
            cause: None,
            help: None,
            delivery: None,
            exit: None,
            http_status: None,
            answer: None,
            sent: None,
            received: None,
            record: Vec::new(),
            transport: None,
            stderr: Vec::new(),
            related: Vec::new(),
        }
    }

    fn diagnosed(mut self, diagnosis: Option<Diagnosis>) -> Self {
        if let Some(Diagnosis { cause, help }) = diagnosis {
            (self.cause, self.help) = (cause, help);
        }
        self
    }

    /// The report of what is behind it, under its own headline.
    fn because(self, of: Self) -> Self {
        Self { kind: self.kind, what: self.what, ..of }
    }

    fn on_record(mut self, record: &Record) -> Self {
        self.record = record.entries();
        (self.sent, self.received) = record.exchange(&self.record);
        self.server = record.server().map(str::to_owned);
        (self.epoch, self.transport) = (record.epoch(), record.transport());
        self
    }

    /// What the HTTP error itself tells.
    fn answered(mut self, error: &HttpError) -> Self {
        if let HttpError::Status { status, body, .. } = error {
            self.http_status = Some(*status);
            self.answer = Some(body.clone()).filter(|body| !body.trim().is_empty());
        }
        self.diagnosed(http::diagnose(error))
    }

    /// It as a person sees it; without colour, and 80 columns wide, unless told otherwise.
    pub fn sheet(&self) -> Sheet<'_> {
        Sheet::new(self)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sheet().fmt(f)
    }
}

fn name_of(delivery: Delivery) -> &'static str {
    match delivery {
        Delivery::NotSent => "not_sent",
        Delivery::MaybeSent => "maybe_sent",
        Delivery::Answered => "answered",
    }
}
