//! How it ends: the exit code, and what is said about it.

use std::{fmt, process::ExitCode};

use callboard::{CallError, Delivery, OpenError, Phase, Report, ServerError, Status};
use serde_json::{Value, json};

/// How the command ends; the codes stand in its help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// 0: done.
    Done,
    /// 1: the tool said that it failed, or the server answered with an error.
    Failed,
    /// 2: the command line or a config file is wrong.
    Usage,
    /// 3: a server was not connected, or its connection was lost.
    NotConnected,
    /// 4: there was no answer in time.
    TimedOut,
    /// 128 and the number of the signal that ended it.
    Signal(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::NotConnected => 3,
            Exit::TimedOut => 4,
            Exit::Signal(number) => 128_u8.saturating_add(number),
        })
    }
}

/// Why there is no result.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// A name of the kind of failure, for programs.
    pub(crate) kind: &'static str,
    /// What is told to a person; nothing, where all has been said.
    pub(crate) message: String,
    /// What else programs may want to know.
    pub(crate) more: Vec<(&'static str, Value)>,
    /// What the library knows of it, which then stands in the place of the message.
    pub(crate) report: Option<Box<Report>>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, kind: &'static str, message: impl Into<String>) -> Self {
        Self { exit, kind, message: message.into(), more: Vec::new(), report: None }
    }

    /// The command line, or a file that it names, is wrong.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, "usage", message)
    }

    /// A signal ended it.
    pub(crate) fn stopped(signal: u8) -> Self {
        Self::new(Exit::Signal(signal), "interrupted", "")
    }

    /// Nobody reads the output any more.
    pub(crate) fn unread() -> Self {
        Self::new(Exit::Done, "unread", "")
    }

    /// A server is not ready.
    pub(crate) fn of_status(server: &str, status: &Status) -> Self {
        let mut failure = Self::not_ready(server, status.last_error.as_ref());
        if status.phase == Phase::AuthRequired {
            failure.kind = "login_required";
            if let Some(report) = &mut failure.report {
                report.help = Some(format!(
                    "log in once: `callboard login` with its URL, or with --config and {server}"
                ));
            }
        }
        failure
    }

    /// A server is not ready, for this reason.
    pub(crate) fn not_ready(server: &str, error: Option<&ServerError>) -> Self {
        let why = error.map_or_else(|| "not ready".to_owned(), ToString::to_string);
        let text = format!("server {server:?}: {why}");
        let mut failure = Self::new(Exit::NotConnected, "not_ready", text);
        failure.more = vec![("server", server.into())];
        failure.report = error.map(|error| {
            let mut report = error.report();
            report.server.get_or_insert_with(|| server.to_owned());
            Box::new(report)
        });
        failure
    }

    /// It as JSON, for `--json`.
    pub(crate) fn json(&self) -> Value {
        let mut error = json!({ "kind": self.kind, "message": self.message });
        if let Value::Object(error) = &mut error {
            error.extend(self.more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
            if let Some(report) = self.report.as_ref().and_then(|it| serde_json::to_value(it).ok())
            {
                error.insert("report".to_owned(), report);
            }
        }
        error
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// What a call's failure means for the exit code: what was not answered was not connected.
pub(crate) fn exit_of(error: &CallError) -> Exit {
    match error {
        CallError::TimedOut { .. } => Exit::TimedOut,
        CallError::UnknownTool { .. }
        | CallError::AmbiguousTool { .. }
        | CallError::InvalidArguments { .. }
        | CallError::SchemaMismatch { .. }
        | CallError::SecretOutOfScope { .. }
        | CallError::NotOffered { .. }
        | CallError::ResourceNotFound { .. }
        | CallError::UnroutedResource { .. } => Exit::Usage,
        other if other.delivery() == Delivery::Answered => Exit::Failed,
        _ => Exit::NotConnected,
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let report = error.report();
        let mut failure = Self::new(exit_of(&error), error.kind(), error.to_string());
        failure.more = vec![("server", json!(report.server)), ("delivery", json!(report.delivery))];
        failure.report = Some(Box::new(report));
        failure
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        let exit = match &error {
            OpenError::Required(_) | OpenError::RuntimeClosed => Exit::NotConnected,
            _ => Exit::Usage,
        };
        let mut failure = Self::new(exit, "not_opened", error.to_string());
        failure.report = Some(Box::new(error.report()));
        failure
    }
}
