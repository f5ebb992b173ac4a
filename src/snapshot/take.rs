//! Taking one, from what is published and counted: nobody is asked, and nobody waits.

use std::{error::Error, time::SystemTime};

use tokio::time::Instant;

use super::{
    Latency, ServerSnapshot, SessionSnapshot, Snapshot, ToolSnapshot, Traffic, UsageSnapshot,
};
use crate::{
    connection::{Connection, SessionScope},
    error::ServerError,
    runtime::{Held, Runtime},
    usage::{CallTotals, Recent, Usage},
};

impl Runtime {
    /// What the runtime looks like at this moment: its sessions, their servers, and what their calls
    /// came to.
    ///
    /// Read from what is published and counted; no actor and no server is asked, so it can be had
    /// however busy they are. Servers are looked at one after the other, so two of them may be some
    /// microseconds apart.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let held = self.held();
        let sessions: Vec<_> = held.iter().map(session).collect();
        let processes = self.leak_report().processes.into_iter();
        let of_none = |session: &str| !sessions.iter().any(|one| one.id == session);
        let leaked_processes = processes.filter(|(_, record)| of_none(&record.session)).count();
        let (taken_at, calls) = (SystemTime::now(), self.totals());
        Snapshot { taken_at, calls, leaked_processes, sessions }
    }
}

fn session(held: &Held) -> SessionSnapshot {
    let SessionScope { id, opened, book, tasks, .. } = &*held.scope;
    let servers = held.roster.look().iter().map(|connection| of_server(connection)).collect();
    SessionSnapshot {
        id: id.to_string(),
        since: *opened,
        closing: tasks.is_ending(),
        calls: book.totals(),
        servers,
    }
}

/// A server at this moment.
pub(crate) fn of_server(connection: &Connection) -> ServerSnapshot {
    let status = connection.status();
    let (tools, usage) = usage(connection);
    ServerSnapshot {
        name: connection.name().to_string(),
        phase: status.phase,
        since: status.since,
        pid: status.pid,
        epoch: status.epoch,
        restarts: status.restarts,
        transport: status.transport,
        protocol_version: status.protocol_version,
        breaker: status.breaker,
        traffic: traffic(connection),
        usage,
        last_error: status.last_error.as_ref().map(explained),
        stderr_tail: connection.stderr_tail(),
        tools,
    }
}

fn traffic(connection: &Connection) -> Traffic {
    let load = connection.live_link().as_ref().map(|link| link.load());
    let (in_flight, bytes_in_flight) = load.unwrap_or_default();
    let (bytes_sent, bytes_received) = connection.usage.bytes();
    let queued = connection.usage.queued();
    Traffic { in_flight, bytes_in_flight, queued, bytes_sent, bytes_received }
}

/// Those of each tool, and of all together.
fn usage(connection: &Connection) -> (Vec<ToolSnapshot>, UsageSnapshot) {
    let now = Instant::now();
    let (mut calls, mut recent) = (CallTotals::default(), Recent::new());
    let tools = connection.usage.tools().into_iter().map(|(name, usage)| {
        calls.add(usage.totals());
        usage.add_recent(&mut recent, now);
        let name = connection.scope.secrets.redactor.redact(&name).into_owned();
        ToolSnapshot { name, usage: of_tool(&usage, now) }
    });
    let tools = tools.collect();
    (tools, summary(calls, &recent))
}

fn of_tool(usage: &Usage, now: Instant) -> UsageSnapshot {
    let mut recent = Recent::new();
    usage.add_recent(&mut recent, now);
    summary(usage.totals(), &recent)
}

fn summary(calls: CallTotals, recent: &Recent) -> UsageSnapshot {
    let latency = Latency {
        p50: recent.quantile(0.5),
        p90: recent.quantile(0.9),
        p99: recent.quantile(0.99),
        max: recent.longest(),
    };
    let (calls_per_minute, error_rate) = (recent.per_minute(), recent.error_rate());
    UsageSnapshot { calls, calls_per_minute, error_rate, latency }
}

/// An error with all its causes, in one line each.
fn explained(error: &ServerError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        // Some errors say what their cause says.
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}
