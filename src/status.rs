//! Where a connection stands.

use std::{fmt, time::SystemTime};

use serde::{Deserialize, Serialize};

use crate::error::ServerError;

/// Where the connection of one server stands, as one consistent value.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Status {
    /// The phase.
    pub phase: Phase,
    /// The number of the current or latest link, from 1; 0 before the first start.
    pub epoch: u64,
    /// How often the server was started again since the session opened.
    pub restarts: u64,
    /// When the phase began.
    pub since: SystemTime,
    /// What carries the latest link that was open.
    pub transport: Option<TransportKind>,
    /// The process id of the server, while it is Ready.
    pub pid: Option<u32>,
    /// The revision of MCP spoken on the link, once it is Ready.
    pub protocol_version: Option<String>,
    /// Where its circuit breaker stands, if it has [one](crate::ServerSpec::circuit_breaker).
    pub breaker: Option<BreakerState>,
    /// Why the latest start failed or the latest link ended; kept while it comes back.
    pub last_error: Option<ServerError>,
}

impl Status {
    pub(crate) fn idle() -> Self {
        Self {
            phase: Phase::Idle,
            epoch: 0,
            restarts: 0,
            since: SystemTime::now(),
            transport: None,
            pid: None,
            protocol_version: None,
            breaker: None,
            last_error: None,
        }
    }

    /// Whether calls go through at this moment.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.phase == Phase::Ready
    }
}

/// What carries a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TransportKind {
    /// The pipes of a child process.
    Stdio,
    /// Memory of this process.
    Memory,
    /// Streamable HTTP.
    StreamableHttp,
    /// HTTP+SSE, of MCP 2024-11-05.
    HttpSse,
}

impl TransportKind {
    /// Its name in snake case, such as `streamable_http`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdio => "stdio",
            Self::Memory => "memory",
            Self::StreamableHttp => "streamable_http",
            Self::HttpSse => "http_sse",
        }
    }
}

impl fmt::Display for TransportKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The phase of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Phase {
    /// Declared, and not started yet; or stopped because nobody used it. Of a server that is
    /// [`lazy`](crate::ServerSpec::lazy), or that
    /// [stops when idle](crate::ServerSpec::stop_when_idle), the next call starts it; of one that is
    /// opened [`per_call`](crate::ServerSpec::per_call), this is the phase it stays in.
    Idle,
    /// Its process starts, shakes hands and lists its tools.
    Starting,
    /// Calls go through.
    Ready,
    /// Nobody used it, and its process is being stopped; the next call starts it again.
    GoingIdle,
    /// It was lost, and waits for its next start.
    BackingOff,
    /// A person has to log in before it is started again: see
    /// `Server::login`.
    AuthRequired,
    /// Given up: by its restart policy, or after a permanent cause.
    /// [`Server::restart`](crate::Server::restart) tries again.
    Failed,
    /// The session is closing, and the server's process is being stopped.
    Stopping,
    /// Nothing of it is left. Final.
    Stopped,
}

impl Phase {
    /// Whether it is stopped, or is being stopped, for want of use.
    pub(crate) fn is_asleep(self) -> bool {
        matches!(self, Self::Idle | Self::GoingIdle)
    }

    /// The name in snake case, as it stands in traces.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::GoingIdle => "going_idle",
            Self::BackingOff => "backing_off",
            Self::AuthRequired => "auth_required",
            Self::Failed => "failed",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Where a circuit breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
#[non_exhaustive]
pub enum BreakerState {
    /// Calls go through.
    Closed,
    /// Calls fail at once; from this time on, one may try.
    Open {
        /// When that is.
        #[serde(with = "crate::snapshot::millis")]
        until: SystemTime,
    },
    /// One call tries whether the server works again; the others fail at once.
    HalfOpen,
}
