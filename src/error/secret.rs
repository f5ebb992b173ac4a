//! Why a secret could not be had.

use std::{error::Error, fmt, io, sync::Arc, time::Duration};

/// Why a secret could not be had. It names the reference, and never holds the secret.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the secret {reference:?} {cause}")]
pub struct SecretError {
    /// The reference, as [`Secret`](crate::Secret)'s `Debug` shows it.
    pub reference: String,
    /// What was wrong.
    #[source]
    pub cause: SecretCause,
}

/// What keeps a secret from being had.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum SecretCause {
    /// The variable is not set in the host's environment.
    Unset,
    /// It is there, and empty.
    Empty,
    /// It is no UTF-8 text.
    NotText,
    /// It is larger than any secret.
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// It has characters that cannot stand where it is wanted: control characters in a header, a NUL
    /// in the environment.
    Unfit,
    /// The file cannot be read, or the program not be started.
    Unreadable(Arc<io::Error>),
    /// The program did not succeed.
    Failed {
        /// Its exit code, unless a signal ended it.
        code: Option<i32>,
        /// The last line that it wrote on stderr.
        said: String,
    },
    /// It was not there in time.
    TimedOut {
        /// The limit that ran out.
        after: Duration,
    },
    /// The session has no [`SecretProvider`](crate::SecretProvider).
    NoProvider,
    /// The host's provider failed.
    Provider(Arc<dyn Error + Send + Sync>),
}

impl SecretError {
    /// Whether it cannot be otherwise at the next attempt.
    pub(crate) fn is_permanent(&self) -> bool {
        matches!(self.cause, SecretCause::Unset | SecretCause::NoProvider)
    }
}

impl fmt::Display for SecretCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unset => f.write_str("is not set: export it to the host's process"),
            Self::Empty => f.write_str("is empty"),
            Self::NotText => f.write_str("is no UTF-8 text"),
            Self::TooLarge { limit } => write!(f, "is larger than {limit} bytes"),
            Self::Unfit => f.write_str("has characters that cannot stand where it is wanted"),
            Self::Unreadable(error) => write!(f, "cannot be read: {error}"),
            Self::Failed { code, said } => {
                match code {
                    Some(code) => write!(f, "was not told: the program exited with code {code}")?,
                    None => f.write_str("was not told: a signal ended the program")?,
                }
                if said.is_empty() { Ok(()) } else { write!(f, ": {said}") }
            }
            Self::TimedOut { after } => write!(f, "was not told within {after:?}"),
            Self::NoProvider => f.write_str("needs SessionBuilder::secret_provider"),
            Self::Provider(error) => write!(f, "was not provided: {error}"),
        }
    }
}

impl Error for SecretCause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Unreadable(error) => Some(error.as_ref()),
            Self::Provider(error) => Some(error.as_ref()),
            Self::Unset
            | Self::Empty
            | Self::NotText
            | Self::TooLarge { .. }
            | Self::Unfit
            | Self::Failed { .. }
            | Self::TimedOut { .. }
            | Self::NoProvider => None,
        }
    }
}
