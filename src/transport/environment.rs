//! What a child process starts with: its environment and its program.

use std::{
    collections::HashMap,
    env,
    ffi::{OsStr, OsString},
    path::PathBuf,
};

use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    error::ConnectError,
    spec::{ArgValue, EnvValue, Stdio},
};

/// The variables that every child gets from the host's environment, besides those that start with
/// `LC_`: without them few programs work, and none of them holds a secret.
#[cfg(unix)]
const BASE: [&str; 7] = ["PATH", "HOME", "LANG", "TERM", "TMPDIR", "USER", "SHELL"];

/// The same for Windows, where hardly a program starts without its system folders.
#[cfg(windows)]
const BASE: [&str; 18] = [
    "APPDATA",
    "COMSPEC",
    "HOMEDRIVE",
    "HOMEPATH",
    "LANG",
    "LOCALAPPDATA",
    "PATH",
    "PATHEXT",
    "PROCESSOR_ARCHITECTURE",
    "PROGRAMDATA",
    "PROGRAMFILES",
    "SYSTEMDRIVE",
    "SYSTEMROOT",
    "TEMP",
    "TMP",
    "USERNAME",
    "USERPROFILE",
    "WINDIR",
];

/// The variable that says where the user's own folder is.
#[cfg(feature = "config")]
pub(crate) const HOME: &str = if cfg!(windows) { "USERPROFILE" } else { "HOME" };

/// The secrets of a child.
#[derive(Default)]
pub(crate) struct Resolved {
    /// By the variables that they are for.
    pub(crate) variables: HashMap<OsString, SecretString>,
    /// In the order of the arguments that they are.
    pub(crate) arguments: Vec<SecretString>,
}

/// All arguments of a child.
pub(crate) fn arguments(stdio: &Stdio, resolved: &Resolved) -> Vec<OsString> {
    let mut secrets = resolved.arguments.iter();
    let argument = |value: &ArgValue| match value {
        ArgValue::Literal(text) => Some(text.clone()),
        ArgValue::Secret(_) => secrets.next().map(|secret| secret.expose_secret().into()),
    };
    stdio.args.iter().filter_map(argument).collect()
}

/// The whole environment of a child: the base set, then what its spec names.
pub(crate) fn variables(stdio: &Stdio, resolved: &Resolved) -> Vec<(OsString, OsString)> {
    let base = env::vars_os().filter(|(name, _)| is_base(name));
    let named = stdio.env.iter().filter_map(|(name, value)| {
        let value = match value {
            EnvValue::Inherited => env::var_os(name)?,
            EnvValue::Literal(value) => value.clone(),
            EnvValue::Secret(_) => resolved.variables.get(name)?.expose_secret().into(),
        };
        Some((name.clone(), value))
    });
    base.chain(named).collect()
}

/// Whether a secret can be a variable, or an argument.
pub(crate) fn fits(secret: &SecretString) -> bool {
    !secret.expose_secret().contains('\0')
}

/// What a program of ours needs, that finds others by their names.
#[cfg(unix)]
pub(crate) fn path() -> Option<(OsString, OsString)> {
    Some(("PATH".into(), env::var_os("PATH")?))
}

/// Where the programs of this user keep what is of no use after the next boot (XDG Base Directory
/// Specification).
#[cfg(unix)]
pub(crate) fn runtime_folder() -> Option<PathBuf> {
    env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute())
}

/// A variable of the host's.
pub(crate) fn variable(name: &OsStr) -> Option<OsString> {
    env::var_os(name)
}

/// The base set, and what else is to be passed on.
pub(crate) fn passed(too: fn(&str) -> bool) -> impl Iterator<Item = (OsString, OsString)> {
    let wanted = move |name: &OsStr| is_base(name) || name.to_str().is_some_and(too);
    env::vars_os().filter(move |(name, _)| wanted(name))
}

fn is_base(name: &OsStr) -> bool {
    let is = |base: &&str| is_variable(name, base);
    BASE.iter().any(is) || name.to_str().is_some_and(|name| name.starts_with("LC_"))
}

/// Whether a variable has this name, in which Windows tells no case from another: `Path` is PATH.
fn is_variable(name: &OsStr, known: &str) -> bool {
    if cfg!(windows) { name.eq_ignore_ascii_case(known) } else { name == known }
}

/// What to start for a program that is to be found on the host's own PATH. Windows finds `.exe` alone
/// there, and many a tool is a batch file.
pub(crate) fn tool(name: &OsStr) -> PathBuf {
    let found = if cfg!(windows) { which::which(name).ok() } else { None };
    found.unwrap_or_else(|| name.into())
}

/// Finds the program on the PATH that the child will have.
pub(crate) fn program(
    stdio: &Stdio,
    variables: &[(OsString, OsString)],
) -> Result<PathBuf, ConnectError> {
    if let Some(path) = stdio.cwd.as_ref().filter(|path| !path.is_dir()) {
        return Err(ConnectError::NoDirectory { path: path.clone() });
    }
    let path =
        variables.iter().rev().find(|(name, _)| is_variable(name, "PATH")).map(|(_, value)| value);
    // Absolute, for a relative path found from here would be looked up again from there.
    let cwd = stdio.cwd.as_ref().and_then(|path| std::path::absolute(path).ok());
    let cwd = cwd.or_else(|| env::current_dir().ok()).unwrap_or_default();
    which::which_in(&stdio.command, path, &cwd).map_err(|_| {
        let command = stdio.command.to_string_lossy().into_owned();
        let searched = if command.contains(std::path::is_separator) {
            format!("{}", cwd.join(&stdio.command).display())
        } else {
            path.map_or("an empty PATH".to_owned(), |path| format!("PATH={}", path.display()))
        };
        ConnectError::CommandNotFound { command, searched }
    })
}
