//! What a runtime looks like at one moment: plain data, to be shown, kept or sent.

mod take;

pub(crate) use take::of_server;

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::{
    status::{BreakerState, Phase, TransportKind},
    usage::CallTotals,
};

/// A runtime at one moment: [`Runtime::snapshot`](crate::Runtime::snapshot).
///
/// As JSON, a time is in milliseconds since 1970 (UTC), and a duration in seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Snapshot {
    /// When it was taken.
    #[serde(with = "millis")]
    pub taken_at: SystemTime,
    /// All calls since the runtime started, those of sessions that have ended included.
    pub calls: CallTotals,
    /// Processes of sessions that have ended, which must be none.
    pub leaked_processes: usize,
    /// The sessions that are open or closing, the oldest first.
    pub sessions: Vec<SessionSnapshot>,
}

/// A session at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SessionSnapshot {
    /// The id that the host gave it.
    pub id: String,
    /// When it was opened.
    #[serde(with = "millis")]
    pub since: SystemTime,
    /// Whether it is closing.
    pub closing: bool,
    /// All its calls, those of tools that nobody has included.
    pub calls: CallTotals,
    /// Its servers, in the order of their declaration.
    pub servers: Vec<ServerSnapshot>,
}

/// A server at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ServerSnapshot {
    /// The name that the host gave it.
    pub name: String,
    /// Where it stands.
    pub phase: Phase,
    /// When that began.
    #[serde(with = "millis")]
    pub since: SystemTime,
    /// The process id, while it is Ready and a process of ours.
    pub pid: Option<u32>,
    /// The number of the current or latest link, from 1; 0 before the first start.
    pub epoch: u64,
    /// How often it was started again since the session opened.
    pub restarts: u64,
    /// What carries the latest link that was open.
    pub transport: Option<TransportKind>,
    /// The revision of MCP spoken on the link, while it is Ready.
    pub protocol_version: Option<String>,
    /// Where its circuit breaker stands, if it has one.
    pub breaker: Option<BreakerState>,
    /// What is on its way, and what went.
    pub traffic: Traffic,
    /// The calls of all its tools.
    pub usage: UsageSnapshot,
    /// Why the latest start failed or the latest link ended, causes included; without secrets.
    pub last_error: Option<String>,
    /// The last lines that the current or latest process wrote on stderr, oldest first; without
    /// secrets.
    pub stderr_tail: Vec<String>,
    /// Its tools that were called, by name.
    pub tools: Vec<ToolSnapshot>,
}

/// What goes through the connection of a server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Traffic {
    /// Requests of the host that wait for an answer.
    pub in_flight: usize,
    /// The bytes of these requests.
    pub bytes_in_flight: usize,
    /// Calls that wait before they are sent: for a place, for their turn, or for the server.
    pub queued: usize,
    /// Bytes of messages sent since the session opened.
    pub bytes_sent: u64,
    /// Bytes of messages received since the session opened.
    pub bytes_received: u64,
}

/// The calls of one tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ToolSnapshot {
    /// Its name as the server knows it.
    pub name: String,
    /// Its calls.
    pub usage: UsageSnapshot,
}

/// What calls came to: from the beginning, and within the last minute.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UsageSnapshot {
    /// Since the session opened.
    pub calls: CallTotals,
    /// Calls that ended, a minute; within the last minute.
    pub calls_per_minute: f64,
    /// The share of these that failed, by a tool's own word or otherwise; from 0 to 1. A cancelled
    /// call counts on neither side.
    pub error_rate: f64,
    /// How long they took.
    pub latency: Latency,
}

/// How long calls took that ended within the last minute, from their first poll to their answer,
/// within 3 %; zero where there were none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Latency {
    /// Half of them took no longer.
    #[serde(with = "seconds")]
    pub p50: Duration,
    /// 90 % of them took no longer.
    #[serde(with = "seconds")]
    pub p90: Duration,
    /// 99 % of them took no longer.
    #[serde(with = "seconds")]
    pub p99: Duration,
    /// None of them took longer.
    #[serde(with = "seconds")]
    pub max: Duration,
}

impl Snapshot {
    /// The snapshot as JSON.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        // Nothing in it can fail to be written.
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// Times in milliseconds since 1970.
pub(crate) mod millis {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(at: &SystemTime, to: S) -> Result<S::Ok, S::Error> {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        to.serialize_u64(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SystemTime, D::Error> {
        let since = Duration::from_millis(u64::deserialize(from)?);
        UNIX_EPOCH.checked_add(since).ok_or_else(|| serde::de::Error::custom("too late a time"))
    }
}

/// Durations in seconds.
mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(time.as_secs_f64())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        Duration::try_from_secs_f64(f64::deserialize(from)?).map_err(D::Error::custom)
    }
}
