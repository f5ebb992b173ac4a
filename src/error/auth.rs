//! Why there is no authorization for a server.

use std::{error::Error, fmt, sync::Arc};

use super::SecretError;

/// Why there is no authorization for a server behind a URL. It never holds a token.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// A secret that it takes could not be had.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A person has to log in, at the URL that `Server::login` gives.
    #[error("a person has to log in: {reason}; Server::login gives the URL")]
    LoginRequired {
        /// Why it is so.
        reason: LoginReason,
    },
    /// The server wants more scopes for a request than a person has granted so far. A login by
    /// `Server::login` asks for them; the server stays as it is.
    #[error("the server wants the scopes {:?} besides those granted; Server::login asks for them", scopes.join(" "))]
    ScopeRequired {
        /// All scopes that are going to be asked for.
        scopes: Vec<String>,
    },
    /// What the server says of its authorization cannot be used, or would not be safe to use.
    #[error("the server's authorization cannot be used: {detail}")]
    Unusable {
        /// What is wrong with it.
        detail: String,
    },
    /// The authorization server refused the request for a token.
    #[error("{origin} refused a token: {code}{}", Colon(description))]
    Refused {
        /// Scheme, host and port of the authorization server.
        origin: String,
        /// Its error code, such as `invalid_client` (RFC 6749, 5.2).
        code: String,
        /// What it said about it.
        description: String,
    },
    /// The authorization server was not reached, or failed, or what answered does not speak OAuth: a
    /// proxy, perhaps. It may be tried again.
    #[error("{origin} did not give a token: {source}")]
    Unavailable {
        /// Scheme, host and port of the authorization server.
        origin: String,
        /// What happened.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// The token store failed.
    #[error("the token store failed: {0}")]
    Store(#[source] Arc<dyn Error + Send + Sync>),
    /// A private key cannot be used.
    #[error("the key cannot be used: {detail}")]
    Key {
        /// What is wrong with it.
        detail: String,
    },
    /// The host that a login came back from is not the one that it was sent to, or the login was
    /// denied.
    #[error("the login failed: {detail}")]
    LoginFailed {
        /// What went wrong. Where the answer came from somebody else, not what that one said.
        detail: String,
    },
    /// The server is not declared with `Auth::oauth`.
    #[error("nobody can log in to this server: declare it with Auth::oauth")]
    NoLogin,
}

/// Why a person has to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoginReason {
    /// Nobody has yet.
    Never,
    /// The token has expired or was revoked, and there is none to renew it with.
    Expired,
    /// The authorization server refused to renew the token.
    Rejected,
}

impl AuthError {
    /// Whether nothing goes on before a person has logged in.
    pub(crate) fn needs_login(&self) -> bool {
        matches!(self, Self::LoginRequired { .. } | Self::ScopeRequired { .. })
    }

    /// Whether asking again cannot help.
    pub(crate) fn is_permanent(&self) -> bool {
        match self {
            Self::Secret(error) => error.is_permanent(),
            Self::Unavailable { .. } | Self::Store(_) => false,
            Self::LoginRequired { .. }
            | Self::ScopeRequired { .. }
            | Self::Unusable { .. }
            | Self::Refused { .. }
            | Self::Key { .. }
            | Self::LoginFailed { .. }
            | Self::NoLogin => true,
        }
    }
}

impl fmt::Display for LoginReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Never => "nobody has yet",
            Self::Expired => "the token has expired",
            Self::Rejected => "the token was rejected, and could not be renewed",
        })
    }
}

struct Colon<'a>(&'a str);

impl fmt::Display for Colon<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, ": {}", self.0) }
    }
}
