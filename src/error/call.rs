//! Why a call has no result, and whether it may be repeated.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde_json::value::RawValue;

use super::{DownReason, HttpError, OverBudget, ServerError, headline};
use crate::record::Record;

/// What is known about whether a request left us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// No byte of it left: the server cannot have acted, and the call may be repeated.
    NotSent,
    /// A part of it, or all, may have left: the server may have acted.
    MaybeSent,
    /// The server answered it.
    Answered,
}

/// Which time limit of a call ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallLimit {
    /// Neither an answer nor progress for this long.
    Idle,
    /// The cap that no progress can move.
    Total,
}

/// Why a call has no result.
///
/// A tool that ran and reports its own failure is not one of these: it is an
/// [`Output`](crate::Output) with [`is_error`](crate::Output::is_error).
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// No server of the session offers this tool.
    #[error("no tool {tool:?} in this session{}", Nearest(.nearest))]
    UnknownTool {
        /// The tool id that was asked for.
        tool: String,
        /// The tool ids most like it, best first; at most three.
        nearest: Vec<String>,
    },
    /// Two servers offer a tool of this id, so that neither can be meant.
    #[error(
        "tool {tool:?} is offered by {} and {}: give one of them a prefix", servers.0, servers.1
    )]
    AmbiguousTool {
        /// The tool id that was asked for.
        tool: String,
        /// The names of two servers that offer it.
        servers: (String, String),
    },
    /// The arguments are not a JSON object, or could not be written as JSON.
    #[error("the arguments of {tool:?} are {found}: tools take a JSON object")]
    InvalidArguments {
        /// The tool id that was asked for.
        tool: String,
        /// What was given instead of an object.
        found: String,
    },
    /// The arguments do not fit the schema of the tool, and its options say that they have to.
    #[error("the arguments of {tool:?} do not fit its schema: {}", faults.join("; "))]
    SchemaMismatch {
        /// The tool id that was asked for.
        tool: String,
        /// What does not fit, where, without the values themselves; at most five.
        faults: Vec<String>,
    },
    /// The arguments hold a secret that was declared for another server; see
    /// [`SessionBuilder::egress_scope`](crate::SessionBuilder::egress_scope).
    #[error(
        "the arguments of {tool:?} hold a secret of server {owner:?}, which is none of {server:?}'s business"
    )]
    SecretOutOfScope {
        /// The server of the tool.
        server: String,
        /// The tool id that was asked for.
        tool: String,
        /// The server that the secret was declared for.
        owner: String,
    },
    /// The server of this tool has no live link at this moment.
    #[error("server {server:?} is {phase}{}; see its status, or await Server::ready", Because(.error))]
    NotReady {
        /// The server of the tool.
        server: String,
        /// Where its connection stands.
        phase: crate::Phase,
        /// Why it is not ready, where a cause is known.
        error: Option<ServerError>,
    },
    /// The link ended while the call was outstanding.
    #[error("transport_down: server {server:?} (epoch {epoch}): {reason}")]
    TransportDown {
        /// The server of the tool.
        server: String,
        /// The link that ended.
        epoch: u64,
        /// Whether the server may have acted.
        delivery: Delivery,
        /// Why the link ended; the same value for every call it took along.
        #[source]
        reason: Arc<DownReason>,
    },
    /// A time limit of the call ran out.
    #[error(
        "server {server:?} gave no answer to {tool:?} within {after:?} ({limit}); raise the \
         call's {limit} timeout if it needs longer"
    )]
    TimedOut {
        /// The server of the tool.
        server: String,
        /// The tool id that was asked for.
        tool: String,
        /// Which limit it was.
        limit: CallLimit,
        /// The limit that ran out.
        after: Duration,
        /// Whether the server may have acted.
        delivery: Delivery,
        /// What went over the link: the latest, and what belongs to the call.
        record: Record,
    },
    /// The host cancelled the call.
    #[error("the call of {tool:?} was cancelled")]
    Cancelled {
        /// The tool id that was asked for.
        tool: String,
        /// Whether the server may have acted.
        delivery: Delivery,
    },
    /// Too many calls, or too many bytes of arguments, are in flight on this server.
    #[error(
        "server {server:?} is at its limit of {limit}: wait for calls to end, or raise Limits::{setting}"
    )]
    Overloaded {
        /// The server of the tool.
        server: String,
        /// The limit, with its unit.
        limit: String,
        /// The field of [`Limits`](crate::Limits) that sets it.
        setting: &'static str,
        /// Whether the server may have acted: it has, where it asked for something before it answers,
        /// and there was no room for what it asked for.
        delivery: Delivery,
    },
    /// There was no room for the call in a budget of the session or the runtime before its deadline.
    #[error("the call of a tool of server {server:?} was not sent: {over}")]
    OverBudget {
        /// The server of the tool.
        server: String,
        /// Which budget it was.
        #[source]
        over: OverBudget,
    },
    /// The server answered with a JSON-RPC error.
    #[error("server {server:?} rejected {tool:?} with error {code}: {message}")]
    Rejected {
        /// The server of the tool.
        server: String,
        /// The tool id that was asked for.
        tool: String,
        /// The JSON-RPC error code.
        code: i64,
        /// The message of the server.
        message: String,
        /// What the server added to it; untouched but for the session's secrets, which are redacted.
        data: Option<Box<RawValue>>,
        /// What went over the link: the latest, and what belongs to the call.
        record: Record,
    },
    /// The server behind the URL answered with an HTTP status that is no answer, such as 429 or 503.
    /// Only this call is affected.
    #[error("{error}, to {tool:?} of server {server:?}")]
    HttpStatus {
        /// The server of the tool.
        server: String,
        /// The tool id that was asked for.
        tool: String,
        /// The HTTP status.
        status: u16,
        /// Whether the server may have acted.
        delivery: Delivery,
        /// The whole answer; always an [`HttpError::Status`].
        #[source]
        error: Arc<HttpError>,
        /// What went over the link: the latest, and what belongs to the call.
        record: Record,
    },
    /// There is no authorization for the server, or not for this call. Where a person has to log in,
    /// `Server::login` gives the URL.
    #[error("{error}, to {tool:?} of server {server:?}")]
    Unauthorized {
        /// The server of the tool.
        server: String,
        /// The tool id that was asked for.
        tool: String,
        /// Whether the server may have acted.
        delivery: Delivery,
        /// Why there is none; always an [`HttpError::Unauthorized`].
        #[source]
        error: Arc<HttpError>,
        /// What went over the link: the latest, and what belongs to the call.
        record: Record,
    },
    /// The server answered with something that is no result of a tool.
    #[error("server {server:?} gave an answer to {tool:?} that makes no sense: {detail}")]
    InvalidResponse {
        /// The server of the tool.
        server: String,
        /// The tool id that was asked for.
        tool: String,
        /// What was wrong with it.
        detail: String,
        /// What went over the link: the latest, and what belongs to the call.
        record: Record,
    },
    /// The server does not offer what this request is of: it declared no such capability.
    #[error("server {server:?} does not offer {method}: it declares no such capability")]
    NotOffered {
        /// The server.
        server: String,
        /// The method.
        method: String,
    },
    /// The server knows no such resource.
    #[error("server {server:?} has no resource {uri:?}")]
    ResourceNotFound {
        /// The server.
        server: String,
        /// The URI that was asked for.
        uri: String,
    },
    /// Which server a resource is to be read from is not clear: none lists it, or several do.
    #[error("{uri:?} is a resource of {}: read it by Server::resource", Listed(.servers))]
    UnroutedResource {
        /// The URI that was asked for.
        uri: String,
        /// The servers that list it, or have a template that fits it.
        servers: Vec<String>,
    },
    /// The server wanted something of the host before it could answer, and the host did not give it.
    #[error("server {server:?} asked for {method} to answer {tool:?}, and the host declined")]
    InputDeclined {
        /// The server.
        server: String,
        /// The tool id that was asked for, or the method.
        tool: String,
        /// What the server asked for.
        method: String,
    },
    /// The circuit breaker of the server is open: too many calls to it have failed in a row.
    #[error(
        "the circuit breaker of server {server:?} is open after failures in a row; the next try is \
         in {retry_after:?}"
    )]
    CircuitOpen {
        /// The server of the tool.
        server: String,
        /// How long it is to the next try, at most.
        retry_after: Duration,
        /// When that is.
        next_try: SystemTime,
    },
    /// The rate limit of the server would have let the call wait beyond its deadline.
    #[error("the rate limit of server {server:?} has no room for this call for {retry_after:?}")]
    RateLimited {
        /// The server of the tool.
        server: String,
        /// How long it would have had to wait.
        retry_after: Duration,
    },
    /// The host's [approval hook](crate::SessionBuilder::approval) said no.
    #[error("the call of {tool:?} was denied: {reason}")]
    Denied {
        /// The tool id that was asked for.
        tool: String,
        /// What the hook gave as the reason.
        reason: String,
    },
    /// A [layer](crate::layer) of the host ended the call with an error of its own.
    #[error("the call of {tool:?} was ended by middleware: {source}")]
    Middleware {
        /// The tool id that was asked for.
        tool: String,
        /// What the layer said.
        source: Arc<dyn std::error::Error + Send + Sync>,
        /// Whether the server may have acted.
        delivery: Delivery,
    },
    /// The session is closed, or was closed while the call was outstanding.
    #[error("the session is closed")]
    SessionClosed {
        /// Whether the server may have acted.
        delivery: Delivery,
    },
}

impl CallError {
    /// A stable name of the kind of error, in snake case; part of this crate's semver promise.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::UnknownTool { .. } => "unknown_tool",
            Self::AmbiguousTool { .. } => "ambiguous_tool",
            Self::InvalidArguments { .. } | Self::SchemaMismatch { .. } => "invalid_arguments",
            Self::SecretOutOfScope { .. } => "secret_out_of_scope",
            Self::NotReady { .. } => "not_ready",
            Self::TransportDown { .. } => "transport_down",
            Self::TimedOut { .. } => "timed_out",
            Self::Cancelled { .. } => "cancelled",
            Self::Overloaded { .. } => "overloaded",
            Self::OverBudget { .. } => "over_budget",
            Self::Rejected { .. } => "rejected",
            Self::HttpStatus { .. } => "http_status",
            Self::Unauthorized { .. } => "unauthorized",
            Self::InvalidResponse { .. } => "invalid_response",
            Self::NotOffered { .. } => "not_offered",
            Self::ResourceNotFound { .. } => "resource_not_found",
            Self::UnroutedResource { .. } => "unrouted_resource",
            Self::InputDeclined { .. } => "input_declined",
            Self::CircuitOpen { .. } => "circuit_open",
            Self::RateLimited { .. } => "rate_limited",
            Self::Denied { .. } => "denied",
            Self::Middleware { .. } => "middleware",
            Self::SessionClosed { .. } => "session_closed",
        }
    }

    /// How long to wait before the call makes sense again, where that is known: from an open breaker,
    /// a rate limit, or the server itself (`Retry-After`; RFC 9110, 10.2.3).
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::CircuitOpen { retry_after, .. } | Self::RateLimited { retry_after, .. } => {
                Some(*retry_after)
            }
            Self::HttpStatus { error, .. } => error.retry_after(),
            Self::UnknownTool { .. }
            | Self::AmbiguousTool { .. }
            | Self::InvalidArguments { .. }
            | Self::SchemaMismatch { .. }
            | Self::SecretOutOfScope { .. }
            | Self::NotReady { .. }
            | Self::Denied { .. }
            | Self::Middleware { .. }
            | Self::TransportDown { .. }
            | Self::TimedOut { .. }
            | Self::Cancelled { .. }
            | Self::Overloaded { .. }
            | Self::OverBudget { .. }
            | Self::Rejected { .. }
            | Self::Unauthorized { .. }
            | Self::InvalidResponse { .. }
            | Self::NotOffered { .. }
            | Self::ResourceNotFound { .. }
            | Self::UnroutedResource { .. }
            | Self::InputDeclined { .. }
            | Self::SessionClosed { .. } => None,
        }
    }

    /// Whether the server may have acted, and so whether the call may be repeated.
    #[must_use]
    pub fn delivery(&self) -> Delivery {
        match self {
            Self::UnknownTool { .. }
            | Self::AmbiguousTool { .. }
            | Self::InvalidArguments { .. }
            | Self::SchemaMismatch { .. }
            | Self::SecretOutOfScope { .. }
            | Self::NotReady { .. }
            | Self::NotOffered { .. }
            | Self::UnroutedResource { .. }
            | Self::CircuitOpen { .. }
            | Self::RateLimited { .. }
            | Self::Denied { .. }
            | Self::OverBudget { .. } => Delivery::NotSent,
            Self::TransportDown { delivery, .. }
            | Self::Overloaded { delivery, .. }
            | Self::TimedOut { delivery, .. }
            | Self::Cancelled { delivery, .. }
            | Self::Middleware { delivery, .. }
            | Self::HttpStatus { delivery, .. }
            | Self::Unauthorized { delivery, .. }
            | Self::SessionClosed { delivery } => *delivery,
            Self::Rejected { .. }
            | Self::ResourceNotFound { .. }
            | Self::InputDeclined { .. }
            | Self::InvalidResponse { .. } => Delivery::Answered,
        }
    }

    /// The same, of a request that the server has had: what failed is a later message about it.
    pub(crate) fn after_the_first(mut self) -> Self {
        if let Self::TransportDown { delivery, .. }
        | Self::Overloaded { delivery, .. }
        | Self::TimedOut { delivery, .. }
        | Self::Cancelled { delivery, .. }
        | Self::HttpStatus { delivery, .. }
        | Self::Unauthorized { delivery, .. }
        | Self::SessionClosed { delivery } = &mut self
            && *delivery == Delivery::NotSent
        {
            *delivery = Delivery::MaybeSent;
        }
        self
    }
}

impl fmt::Display for CallLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Idle => "idle",
            Self::Total => "total",
        })
    }
}

struct Nearest<'a>(&'a [String]);

impl fmt::Display for Nearest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => f.write_str(": list them with Session::tools"),
            names => write!(f, ": did you mean {}?", names.join(", ")),
        }
    }
}

struct Listed<'a>(&'a [String]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => f.write_str("no server that is ready"),
            names => write!(f, "{}", names.join(" and ")),
        }
    }
}

struct Because<'a>(&'a Option<ServerError>);

impl fmt::Display for Because<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |error| write!(f, " ({})", headline(error)))
    }
}
