//! Declared servers that are child processes.

use std::{
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{error::SpecError, secret::Secret};

/// A server that is a child process, one JSON message a line on stdin and stdout (MCP 2026-07-28,
/// basic/transports/stdio).
///
/// The child's environment is empty but for a base set (PATH, HOME, LANG, LC_*, TERM, TMPDIR, USER,
/// SHELL) and what is named here. It leads a process group of its own, which is stopped as a whole:
/// stdin is closed, after [`eof_grace`](Self::eof_grace) the group gets `SIGTERM`, after
/// [`term_grace`](Self::term_grace) `SIGKILL`.
///
/// On Windows the base set is `APPDATA`, `COMSPEC`, `HOMEDRIVE`, `HOMEPATH`, `LANG`, `LC_*`,
/// `LOCALAPPDATA`, `PATH`, `PATHEXT`, `PROCESSOR_ARCHITECTURE`, `PROGRAMDATA`, `PROGRAMFILES`,
/// `SYSTEMDRIVE`, `SYSTEMROOT`, `TEMP`, `TMP`, `USERNAME`, `USERPROFILE` and `WINDIR`; a command may be
/// named without its extension, as PATHEXT says (`npx` is `npx.cmd`). The child is in a job object of its
/// own, without a window. Nothing there asks it to end: after [`eof_grace`](Self::eof_grace) the job is
/// terminated.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Stdio {
    pub(crate) command: OsString,
    pub(crate) args: Vec<ArgValue>,
    pub(crate) env: Vec<(OsString, EnvValue)>,
    pub(crate) cwd: Option<PathBuf>,
    pub(crate) eof_grace: Duration,
    pub(crate) term_grace: Duration,
}

impl Stdio {
    /// A command: a path, or a name that is looked up on the PATH of the child.
    pub fn new(command: impl Into<OsString>) -> Self {
        Self {
            command: command.into(),
            args: Vec::new(),
            env: Vec::new(),
            cwd: None,
            eof_grace: Duration::from_secs(2),
            term_grace: Duration::from_secs(2),
        }
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(ArgValue::Literal(arg.into()));
        self
    }

    /// Adds arguments.
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.args.extend(args.into_iter().map(|arg| ArgValue::Literal(arg.into())));
        self
    }

    /// Adds an argument that is a secret, resolved at each start. Whoever may list the processes of
    /// this machine can read it while the server runs: a variable
    /// ([`env_from`](Self::env_from)) is the better place, where the server knows one.
    pub fn arg_from(mut self, secret: Secret) -> Self {
        self.args.push(ArgValue::Secret(secret));
        self
    }

    /// Passes a variable of the host's environment on to the child, if it is set at the start.
    pub fn env(mut self, name: impl Into<OsString>) -> Self {
        self.env.push((name.into(), EnvValue::Inherited));
        self
    }

    /// Sets a variable of the child's environment. The value is never printed.
    pub fn env_literal(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), EnvValue::Literal(value.into())));
        self
    }

    /// Sets a variable of the child's environment to a secret, resolved at each start.
    pub fn env_from(mut self, name: impl Into<OsString>, secret: Secret) -> Self {
        self.env.push((name.into(), EnvValue::Secret(secret)));
        self
    }

    /// The working directory of the child. Default: the host's.
    pub fn cwd(mut self, path: impl AsRef<Path>) -> Self {
        self.cwd = Some(path.as_ref().to_owned());
        self
    }

    /// How long the child may take to exit after its stdin was closed. Default 2 s.
    pub fn eof_grace(mut self, grace: Duration) -> Self {
        self.eof_grace = grace;
        self
    }

    /// How long its group may take to exit after `SIGTERM`. Default 2 s. On Windows it means nothing.
    pub fn term_grace(mut self, grace: Duration) -> Self {
        self.term_grace = grace;
        self
    }

    pub(super) fn faults(&self, server: &str, faults: &mut Vec<SpecError>) {
        let server = || server.to_owned();
        if self.command.is_empty() {
            faults.push(SpecError::EmptyCommand { server: server() });
        }
        if has_nul(&self.command) {
            faults.push(SpecError::NulByte { server: server(), what: "the command".to_owned() });
        }
        for (n, _) in self.args.iter().enumerate().filter(|(_, arg)| arg.has_nul()) {
            faults
                .push(SpecError::NulByte { server: server(), what: format!("argument {}", n + 1) });
        }
        for (name, value) in &self.env {
            let shown = name.to_string_lossy().into_owned();
            if name.is_empty() || name.as_encoded_bytes().contains(&b'=') || has_nul(name) {
                faults.push(SpecError::InvalidVariable { server: server(), name: shown });
            } else if matches!(value, EnvValue::Literal(value) if has_nul(value)) {
                let what = format!("environment variable {shown}");
                faults.push(SpecError::NulByte { server: server(), what });
            }
        }
    }
}

fn has_nul(text: &OsString) -> bool {
    text.as_encoded_bytes().contains(&0)
}

/// Where an argument of a child comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ArgValue {
    /// The declaration itself.
    Literal(OsString),
    /// Wherever the secret is kept, at the moment of the start.
    Secret(Secret),
}

impl ArgValue {
    fn has_nul(&self) -> bool {
        matches!(self, Self::Literal(text) if has_nul(text))
    }
}

/// Where the value of a child's environment variable comes from.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum EnvValue {
    /// The host's environment, at the moment of the start.
    Inherited,
    /// The declaration itself.
    Literal(OsString),
    /// Wherever the secret is kept, at the moment of the start.
    Secret(Secret),
}

impl fmt::Debug for EnvValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inherited => f.write_str("inherited"),
            Self::Literal(_) => f.write_str("literal(…)"),
            Self::Secret(secret) => secret.fmt(f),
        }
    }
}
