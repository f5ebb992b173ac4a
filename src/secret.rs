//! References to secrets: what a host declares instead of a value.

mod command;
mod resolve;
mod value;

use std::{error::Error, ffi::OsString, fmt, path::PathBuf, pin::Pin, sync::Arc};

use secrecy::SecretString;

pub(crate) use resolve::Secrets;

/// A reference to a secret, such as a token or a password.
///
/// It is resolved when a connection is made, and again at each reconnect, never where it is
/// declared; what it resolves to is wiped from memory when it is dropped. There is no way to print
/// it or to write it to a file: `Debug` shows the reference.
///
/// ```
/// use callboard::Secret;
///
/// let token = Secret::env("GITHUB_TOKEN");
/// assert_eq!(format!("{token:?}"), "Secret(env GITHUB_TOKEN)");
/// ```
#[derive(Clone)]
pub struct Secret(pub(crate) Source);

/// Where a secret is kept.
#[derive(Clone)]
#[cfg_attr(not(feature = "config"), expect(dead_code, reason = "some only a config file can make"))]
pub(crate) enum Source {
    Literal(SecretString),
    Env(OsString),
    File(PathBuf),
    Command(Command),
    Provider(String),
    /// A variable, or this text where it is not set or empty.
    EnvOr(OsString, String),
    /// A text with secrets in it.
    Joined(Arc<[Piece]>),
}

/// A piece of a text with secrets in it.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(not(feature = "config"), expect(dead_code, reason = "only a config file can make it"))]
pub(crate) enum Piece {
    Text(String),
    Secret(Secret),
}

/// A program that prints a secret.
#[derive(Clone)]
pub(crate) struct Command {
    /// What it is called in errors, without arguments that nobody should read.
    shown: String,
    argv: Vec<OsString>,
    /// The variables of the host's environment that it gets besides the base set.
    passed: fn(&str) -> bool,
}

impl Secret {
    /// The value itself, which the host has got from elsewhere.
    pub fn literal(value: impl Into<SecretString>) -> Self {
        Self(Source::Literal(value.into()))
    }

    /// A variable of the host's environment.
    pub fn env(name: impl Into<OsString>) -> Self {
        Self(Source::Env(name.into()))
    }

    /// The content of a file, without the line end that it ends with.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(Source::File(path.into()))
    }

    /// A field in 1Password, as `op://vault/item/field`: read by its command line tool, `op read`,
    /// within 30 s. Of the host's environment, `op` gets the base set of a child process (see
    /// [`Stdio`](crate::Stdio)) and what begins with `OP_` or `XDG_`.
    pub fn op(reference: impl Into<String>) -> Self {
        let reference = reference.into();
        let argv = ["op", "read", "--no-newline", "--", &reference].map(OsString::from).to_vec();
        let passed = |name: &str| name.starts_with("OP_") || name.starts_with("XDG_");
        Self(Source::Command(Command { shown: reference, argv, passed }))
    }

    /// What a program prints, without the line end that it ends with, within 30 s: its path or name,
    /// then its arguments. No shell is involved. It gets the host's whole environment, as credential
    /// helpers do elsewhere.
    pub fn exec(command: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        let argv: Vec<OsString> = command.into_iter().map(Into::into).collect();
        let shown = argv.first().map(|program| program.to_string_lossy().into_owned());
        let shown = shown.unwrap_or_default();
        Self(Source::Command(Command { shown, argv, passed: |_| true }))
    }

    /// What the session's [`SecretProvider`] knows by this name.
    pub fn provider(name: impl Into<String>) -> Self {
        Self(Source::Provider(name.into()))
    }

    /// A variable of the host's environment, or this text where it is not set or empty.
    #[cfg(feature = "config")]
    pub(crate) fn env_or(name: impl Into<OsString>, otherwise: impl Into<String>) -> Self {
        Self(Source::EnvOr(name.into(), otherwise.into()))
    }

    /// A text with secrets in it. Those are what is redacted, not the text around them.
    #[cfg(feature = "config")]
    pub(crate) fn joined(pieces: impl IntoIterator<Item = Piece>) -> Self {
        Self(Source::Joined(pieces.into_iter().collect()))
    }

    /// What the session's provider is asked for, to resolve it.
    pub(crate) fn provided(&self) -> Vec<&str> {
        match &self.0 {
            Source::Provider(name) => vec![name],
            Source::Joined(pieces) => {
                let secrets = pieces.iter().filter_map(|piece| match piece {
                    Piece::Text(_) => None,
                    Piece::Secret(secret) => Some(secret.provided()),
                });
                secrets.flatten().collect()
            }
            Source::Literal(_)
            | Source::Env(_)
            | Source::EnvOr(..)
            | Source::File(_)
            | Source::Command(_) => Vec::new(),
        }
    }

    /// What it is called in errors and `Debug`.
    pub(crate) fn reference(&self) -> String {
        match &self.0 {
            Source::Literal(_) => "literal".to_owned(),
            Source::Env(name) => format!("env {}", name.to_string_lossy()),
            Source::File(path) => format!("file {}", path.display()),
            Source::Command(Command { shown, argv, .. }) => {
                let op = argv.first().is_some_and(|program| program == "op");
                if op { shown.clone() } else { format!("exec {shown}") }
            }
            Source::Provider(name) => format!("provider {name}"),
            Source::EnvOr(name, _) => format!("env {}, or a default", name.to_string_lossy()),
            Source::Joined(pieces) => {
                let secrets = pieces.iter().filter_map(|piece| match piece {
                    Piece::Text(_) => None,
                    Piece::Secret(secret) => Some(secret.reference()),
                });
                format!("text with {}", secrets.collect::<Vec<_>>().join(" and "))
            }
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", self.reference())
    }
}

#[cfg(feature = "config")]
impl Command {
    /// The reference, where it is one to 1Password.
    pub(crate) fn op_reference(&self) -> Option<&str> {
        let op = self.argv.first().is_some_and(|program| program == "op");
        (op && self.shown.starts_with("op://")).then_some(&self.shown)
    }

    pub(crate) fn words(&self) -> Vec<String> {
        self.argv.iter().map(|word| word.to_string_lossy().into_owned()).collect()
    }
}

/// What a [`SecretProvider`] returns.
pub type ProvidedSecret<'a> =
    Pin<Box<dyn Future<Output = Result<SecretString, Box<dyn Error + Send + Sync>>> + Send + 'a>>;

/// The host's own source of secrets, such as a vault: see
/// [`SessionBuilder::secret_provider`](crate::SessionBuilder::secret_provider).
///
/// Closures from a name to a future of a [`SecretString`] are providers.
pub trait SecretProvider: Send + Sync + 'static {
    /// Looks a secret up, at each connection anew.
    ///
    /// # Errors
    ///
    /// Whatever keeps the secret from being had; it is told as
    /// [`SecretError`](crate::SecretError). It must not hold the secret.
    fn secret<'a>(&'a self, name: &'a str) -> ProvidedSecret<'a>;
}

impl<F, Looked> SecretProvider for F
where
    F: Fn(String) -> Looked + Send + Sync + 'static,
    Looked: Future<Output = Result<SecretString, Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    fn secret<'a>(&'a self, name: &'a str) -> ProvidedSecret<'a> {
        Box::pin(self(name.to_owned()))
    }
}

/// The provider of a session, if it has one.
#[derive(Clone, Default)]
pub(crate) struct Provider(pub(crate) Option<Arc<dyn SecretProvider>>);

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "a provider" } else { "no provider" })
    }
}

/// A text without the line end that it ends with.
fn without_line_end(mut text: String) -> String {
    for end in ['\n', '\r'] {
        if text.ends_with(end) {
            text.pop();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_the_reference_and_never_the_value() {
        let shown = |secret: Secret| format!("{secret:?}");
        assert_eq!(shown(Secret::literal("hunter2")), "Secret(literal)");
        assert_eq!(shown(Secret::env("TOKEN")), "Secret(env TOKEN)");
        assert_eq!(shown(Secret::file("/run/token")), "Secret(file /run/token)");
        assert_eq!(shown(Secret::op("op://v/i/f")), "Secret(op://v/i/f)");
        // An argument may well be a password of its own.
        assert_eq!(shown(Secret::exec(["vault", "--pin", "1234"])), "Secret(exec vault)");
        assert_eq!(shown(Secret::provider("linear")), "Secret(provider linear)");
    }

    #[test]
    fn one_line_end_is_left_out() {
        for (text, expected) in [("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), ("a ", "a ")] {
            assert_eq!(without_line_end(text.to_owned()), expected);
        }
    }
}
