//! Reports of servers that did not start.

use super::{Diagnosis, Report, call, clues::Said, down, http, process};
use crate::error::{ConnectError, SecretCause, SecretError, ServerError, Stage};

impl ConnectError {
    /// What is known of it, for a person.
    #[must_use]
    pub fn report(&self) -> Report {
        let report = Report::new(self.kind(), what(self)).on_record(self.record());
        match self {
            Self::Ended { reason, .. } => report.because(down::of(reason, true)),
            Self::TimedOut { stage, after, stderr_tail, .. } => {
                let said = Said { stderr: stderr_tail, record: &report.record };
                let diagnosis = match stage {
                    Stage::Handshake => {
                        process::silent(*after, said, self.record().address().unwrap_or_default())
                    }
                    Stage::Listing => said.meant().unwrap_or_else(slow_listing),
                };
                Report { stderr: stderr_tail.clone(), ..report }.diagnosed(Some(diagnosis))
            }
            Self::Http { error, .. } => report.answered(error),
            Self::CommandNotFound { .. }
            | Self::NoDirectory { .. }
            | Self::Secret(_)
            | Self::Spawn { .. }
            | Self::NotListening
            | Self::OverBudget(_)
            | Self::Refused { .. }
            | Self::UnsupportedVersion { .. }
            | Self::InvalidAnswer { .. } => report.diagnosed(diagnose(self)),
        }
    }
}

impl ServerError {
    /// What is known of it, for a person.
    #[must_use]
    pub fn report(&self) -> Report {
        match self {
            Self::Connect(error) => error.report(),
            Self::Down(reason) => reason.report(),
        }
    }
}

/// What happened, without what to do, and without the lines of stderr, which have a place of their
/// own.
fn what(error: &ConnectError) -> String {
    match error {
        ConnectError::CommandNotFound { command, searched } => {
            format!("no program {command:?} was found in {searched}")
        }
        ConnectError::NoDirectory { path } => {
            format!("the working directory {} does not exist", path.display())
        }
        ConnectError::NotListening => "no server listens in this process".to_owned(),
        ConnectError::OverBudget(over) => format!("it was not started: {over}"),
        ConnectError::Ended { stage, reason } => format!("{} during {stage}", reason.kind()),
        ConnectError::TimedOut { stage, after, .. } => {
            format!("no answer during {stage} within {after:?}")
        }
        ConnectError::UnsupportedVersion { offered, .. } => {
            format!("the server speaks MCP {offered}, which is not supported")
        }
        ConnectError::Http { error, .. } => http::what(error),
        ConnectError::Secret(_)
        | ConnectError::Spawn { .. }
        | ConnectError::Refused { .. }
        | ConnectError::InvalidAnswer { .. } => error.to_string(),
    }
}

fn diagnose(error: &ConnectError) -> Option<Diagnosis> {
    Some(match error {
        ConnectError::CommandNotFound { command, .. } => missing(command),
        ConnectError::NoDirectory { .. } => Diagnosis::help(
            "create it, or change `cwd`: no shell is between, so `~` and `$HOME` are not expanded",
        ),
        ConnectError::Secret(error) => return secret(error),
        ConnectError::Spawn { source, .. } => return process::unstarted(source),
        ConnectError::OverBudget(over) => call::over_budget(over),
        ConnectError::NotListening => {
            Diagnosis::help("await MemoryListener::accept, or start the test server")
        }
        ConnectError::UnsupportedVersion { .. } => Diagnosis::new(
            "unsupported_version",
            "one of the two is too old for the other: callboard speaks 2026-07-28 and the \
             revisions from 2024-11-05 to 2025-11-25",
            "update the server, or callboard",
        ),
        ConnectError::Refused { code: -32601, .. } => Diagnosis::new(
            "not_mcp",
            "it speaks JSON-RPC, but not MCP: a language server, or a server of another protocol",
            "check that the command is that of the MCP server",
        ),
        ConnectError::Refused { .. } => {
            Diagnosis::help("what it says is all that is known: look into its log, and update it")
        }
        ConnectError::InvalidAnswer { .. } => Diagnosis::new(
            "broken_server",
            "it answers, but not as MCP wants it: a defect of the server, or another protocol",
            "update it; check that the command or the URL is that of an MCP server",
        ),
        ConnectError::Ended { .. } | ConnectError::TimedOut { .. } | ConnectError::Http { .. } => {
            return None;
        }
    })
}

/// What to do where a command is not found, by what brings it.
fn missing(command: &str) -> Diagnosis {
    if command.contains('/') {
        return Diagnosis::new(
            "path_wrong",
            "there is no program at this path, or it may not be executed",
            "check the path and the mode (`chmod +x`); relative paths begin at the spec's `cwd`",
        );
    }
    let brought = match command {
        "npx" | "npm" | "node" => "install Node.js",
        "uvx" | "uv" => "install uv",
        "docker" => "install Docker",
        "python" => "install Python, or call it `python3`",
        "bunx" | "bun" => "install Bun",
        "deno" => "install Deno",
        _ => "install it",
    };
    Diagnosis::new(
        "command_not_found",
        format!(
            "`{command}` is not on the PATH of the child, which is the host's: a service's PATH is \
             mostly shorter than that of a terminal"
        ),
        format!(
            "{brought}; or give its full path (`which {command}` in a terminal tells it), or set \
             PATH in the spec's environment"
        ),
    )
}

fn slow_listing() -> Diagnosis {
    Diagnosis::new(
        "slow_listing",
        "it is up, but takes long to say what tools it has",
        "raise `init_timeout`",
    )
}

pub(super) fn secret(error: &SecretError) -> Option<Diagnosis> {
    Some(Diagnosis::help(match &error.cause {
        SecretCause::Unset => "set the variable in the environment of the host, and start it anew",
        SecretCause::NoProvider => "give the session a SessionBuilder::secret_provider",
        SecretCause::Empty
        | SecretCause::NotText
        | SecretCause::TooLarge { .. }
        | SecretCause::Unfit
        | SecretCause::Unreadable(_) => "correct what is kept there",
        SecretCause::Failed { .. } => "run the program in a terminal: it may want to be unlocked",
        SecretCause::TimedOut { .. } => {
            "run the program in a terminal: it may wait for somebody to unlock it"
        }
        SecretCause::Provider(_) => "look into what the host's provider says",
    }))
}
