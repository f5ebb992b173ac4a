//! What goes wrong between us and a server behind a URL.

use std::{error::Error, fmt, sync::Arc, time::Duration};

use super::AuthError;

/// What went wrong between us and a server behind a URL.
///
/// Of the URL itself, only scheme, host and port are ever told.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// No connection: refused, unreachable, unresolved, or not within the connect timeout.
    #[error("no connection to {origin}: {}", Chain(.source))]
    Connect {
        /// Scheme, host and port.
        origin: String,
        /// What the HTTP client said.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// No secure connection: one of the two does not trust the other.
    #[error(
        "no secure connection to {origin}: {}; add the root that signed its certificate by \
         root_certificate, or show it one of yours by client_certificate", Chain(.source)
    )]
    Tls {
        /// Scheme, host and port.
        origin: String,
        /// What TLS said.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// The connection broke before the answer was complete.
    #[error("the connection to {origin} broke before the answer: {}", Chain(.source))]
    Broken {
        /// Scheme, host and port.
        origin: String,
        /// What the HTTP client said.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// The answer ended, in good order, without what was asked for.
    #[error("{origin} ended its answer without what was asked for")]
    Ended {
        /// Scheme, host and port.
        origin: String,
    },
    /// An HTTP status that is no answer.
    #[error("{origin} answered with HTTP status {status}{}", After(.retry_after, .body))]
    Status {
        /// Scheme, host and port.
        origin: String,
        /// The status, such as 503.
        status: u16,
        /// When to try again, where the server said so (RFC 9110, 10.2.3).
        retry_after: Option<Duration>,
        /// What it wants to be shown, where it said so (`WWW-Authenticate`; RFC 9110, 11.6.1).
        challenge: Option<String>,
        /// The beginning of the body.
        body: String,
    },
    /// An answer that is neither JSON nor an event stream.
    #[error("{origin} answered with {found}, where JSON or an event stream was expected")]
    ContentType {
        /// Scheme, host and port.
        origin: String,
        /// The content type that came.
        found: String,
    },
    /// A message that does not answer the request it came for.
    #[error("{origin} answered with a message that is no answer to the request")]
    NoAnswer {
        /// Scheme, host and port.
        origin: String,
    },
    /// An answer above the limit.
    #[error(
        "{origin} sent more than {limit} bytes in one message: raise Limits::max_frame if that is \
         meant to be"
    )]
    TooLarge {
        /// Scheme, host and port.
        origin: String,
        /// The limit in bytes.
        limit: usize,
    },
    /// A redirect that is not followed: to another origin, or one too many.
    #[error("{origin} redirects to {to}, which is not followed: declare the URL that is meant")]
    Redirected {
        /// Scheme, host and port.
        origin: String,
        /// Scheme, host and port of where it leads, or what else is wrong with it.
        to: String,
    },
    /// The runtime does not allow this origin.
    #[error("{origin} is not among the allowed servers of the runtime")]
    NotAllowed {
        /// Scheme, host and port.
        origin: String,
    },
    /// An HTTP+SSE server told an endpoint that cannot be used.
    #[error("{origin} named {found} as its endpoint: it has to be a URL of the same origin")]
    Endpoint {
        /// Scheme, host and port.
        origin: String,
        /// What came instead.
        found: String,
    },
    /// There is no authorization for the server.
    #[error("no authorization for {origin}: {error}")]
    Unauthorized {
        /// Scheme, host and port.
        origin: String,
        /// Why there is none.
        #[source]
        error: Arc<AuthError>,
    },
    /// No client can be built from the declared settings.
    #[error("no HTTP client can be built as declared: {}", Chain(.source))]
    Settings {
        /// What the HTTP client said.
        source: Arc<dyn Error + Send + Sync>,
    },
}

impl HttpError {
    /// A stable name of the kind of error, in snake case; part of this crate's semver promise.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Connect { .. } => "connect",
            Self::Tls { .. } => "tls",
            Self::Broken { .. } => "broken",
            Self::Ended { .. } => "stream_ended",
            Self::Status { .. } => "http_status",
            Self::ContentType { .. } => "content_type",
            Self::NoAnswer { .. } => "no_answer",
            Self::TooLarge { .. } => "too_large",
            Self::Redirected { .. } => "redirected",
            Self::NotAllowed { .. } => "not_allowed",
            Self::Endpoint { .. } => "bad_endpoint",
            Self::Unauthorized { .. } => "unauthorized",
            Self::Settings { .. } => "settings",
        }
    }

    /// When to try again, where the server said so.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        if let Self::Status { retry_after, .. } = self { *retry_after } else { None }
    }

    /// The HTTP status, where there was one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        if let Self::Status { status, .. } = self { Some(*status) } else { None }
    }

    /// Whether asking again cannot help.
    pub(crate) fn is_permanent(&self) -> bool {
        match self {
            Self::Status { status, .. } => matches!(status, 401 | 403),
            Self::Unauthorized { error, .. } => error.is_permanent(),
            Self::Redirected { .. }
            | Self::NotAllowed { .. }
            | Self::Endpoint { .. }
            | Self::Settings { .. } => true,
            Self::Connect { .. }
            | Self::Tls { .. }
            | Self::Broken { .. }
            | Self::Ended { .. }
            | Self::ContentType { .. }
            | Self::NoAnswer { .. }
            | Self::TooLarge { .. } => false,
        }
    }

    /// Whether this is how a server answers what it does not understand: by a status, a page, or
    /// nothing (MCP 2026-07-28, basic/transports/streamable-http). One that wants authorization, or
    /// to be left alone, has not been asked yet.
    pub(crate) fn is_foreign(&self) -> bool {
        match self {
            Self::Status { status, .. } => !matches!(status, 401 | 403 | 407 | 429),
            Self::ContentType { .. } | Self::NoAnswer { .. } | Self::Ended { .. } => true,
            Self::Connect { .. }
            | Self::Tls { .. }
            | Self::Broken { .. }
            | Self::TooLarge { .. }
            | Self::Redirected { .. }
            | Self::NotAllowed { .. }
            | Self::Endpoint { .. }
            | Self::Unauthorized { .. }
            | Self::Settings { .. } => false,
        }
    }

    /// Whether it was not asked, or did not answer, for want of authorization.
    pub(crate) fn is_unauthorized(&self) -> bool {
        matches!(self, Self::Unauthorized { .. })
    }

    /// Whether nothing goes on before a person has logged in.
    pub(crate) fn needs_login(&self) -> bool {
        matches!(self, Self::Unauthorized { error, .. } if error.needs_login())
    }

    /// Whether no request at all goes through before a person has logged in.
    pub(crate) fn is_logged_out(&self) -> bool {
        matches!(self, Self::Unauthorized { error, .. }
            if matches!(**error, AuthError::LoginRequired { .. }))
    }

    /// Whether the next attempt may well succeed.
    pub(crate) fn is_transient(&self) -> bool {
        let busy = self.status().is_some_and(|status| status >= 500 || status == 429);
        busy || self.is_loss() || matches!(self, Self::Ended { .. })
    }

    /// Whether this casts doubt on the server as a whole, and not just on one request.
    pub(crate) fn is_loss(&self) -> bool {
        matches!(self, Self::Connect { .. } | Self::Tls { .. } | Self::Broken { .. })
    }
}

/// An error with its sources, each once.
struct Chain<'a>(&'a Arc<dyn Error + Send + Sync>);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.0.to_string();
        f.write_str(&said)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            let text = error.to_string();
            if !said.contains(&text) {
                write!(f, ": {text}")?;
            }
            said = text;
            source = error.source();
        }
        Ok(())
    }
}

struct After<'a>(&'a Option<Duration>, &'a str);

impl fmt::Display for After<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(wait) = self.0 {
            write!(f, ", to be tried again after {wait:?}")?;
        }
        let first = self.1.lines().next().unwrap_or_default().trim();
        if first.is_empty() { Ok(()) } else { write!(f, ": {first}") }
    }
}
