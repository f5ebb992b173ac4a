//! What can be seen of a runtime from outside: the names of spans, events and fields.
//!
//! The library logs through [`tracing`](https://docs.rs/tracing), and installs nothing. Names and
//! attributes are those of [OpenTelemetry's conventions for
//! MCP](https://opentelemetry.io/docs/specs/semconv/gen-ai/mcp/) where they have one. Arguments,
//! results, headers and values of the environment stand nowhere here, and what servers say comes
//! without the session's secrets.
//!
//! # Spans
//!
//! Those of a runtime form a tree: `runtime`, `session`, `connection`, `link`. A `call` and a `request`
//! are in the span of whoever makes them, and follow from the link that they go over. Fields that do not
//! apply are empty.
//!
//! | Span | Level | Is in | Fields |
//! |---|---|---|---|
//! | `runtime` | INFO | nothing | |
//! | `session` | INFO | `runtime` | `session.id` |
//! | `connection` | INFO | `session` | `server`, `mcp.connection.mode`, `mcp.server.url` |
//! | `link` | INFO | `connection` | `epoch`, `network.transport`, `network.protocol.name`, `server.address`, `server.port`, `mcp.server.url`, `mcp.protocol.version`, `mcp.session.id` |
//! | `call` | DEBUG | the caller's | `otel.name`, `otel.kind`, `otel.status_code`, `mcp.method.name`, `gen_ai.operation.name`, `gen_ai.tool.name`, `mcp.tool.name`, `jsonrpc.request.id`, `server`, `mcp.connection.mode`, `mcp.server.url`, `mcp.protocol.version`, `mcp.session.id`, `network.transport`, `network.protocol.name`, `server.address`, `server.port`, `outcome`, `delivery`, `error.type`, `rpc.response.status_code` |
//! | `request` | DEBUG | the caller's, or `link` | `otel.name`, `otel.kind`, `otel.status_code`, `mcp.method.name`, `gen_ai.prompt.name`, `mcp.resource.uri`, `jsonrpc.request.id`, `mcp.server.url`, `mcp.protocol.version`, `mcp.session.id`, `network.transport`, `network.protocol.name`, `server.address`, `server.port`, `outcome`, `delivery`, `error.type`, `rpc.response.status_code` |
//! | `question` | DEBUG | `link`, or the call that is answered by it | `otel.name`, `otel.kind`, `otel.status_code`, `mcp.method.name`, `jsonrpc.request.id`, `server`, `outcome` |
//!
//! `request` is one of any other method than `tools/call`, those of the handshake and of listings
//! included; `question` one of the server, for as long as the host takes to answer it.
//! `mcp.connection.mode` is `session`, `lazy` or `per_call`: how the server was declared.
//! `gen_ai.tool.name` is the id of the tool, `mcp.tool.name` its name at the server. URLs come without
//! user, query and fragment. `outcome` is `ok`, `tool_error`, `failed` or `cancelled`; `delivery` what
//! is known of a request that failed; `error.type` the JSON-RPC code of a refusal, `tool_error`, or the
//! [kind](crate::CallError::kind) of the error. What its caller gave up, by a token or by dropping it,
//! has no outcome but `cancelled`, and none of the fields of an error.
//!
//! # Events
//!
//! | Event | Level | Target | Fields |
//! |---|---|---|---|
//! | `status changed` | INFO, WARN | `callboard::status` | `from`, `to`, `reason`, `epoch`, `pending`, `restarts` |
//! | `breaker moved` | INFO, WARN | `callboard::status` | `to` |
//! | `call ended` | DEBUG | `callboard::call` | `outcome`, `kind`, `delivery` |
//! | `request ended` | DEBUG | `callboard::call` | `outcome`, `kind`, `delivery` |
//! | `call tried again` | DEBUG | `callboard::call` | `tool`, `retry`, `kind`, `delivery`, `pause` |
//! | `schema mismatch` | WARN | `callboard::call` | `tool`, `what`, `faults` |
//! | `server stderr` | DEBUG | `callboard::stderr` | `line`, `suppressed` |
//! | `frame sent` | TRACE | `callboard::wire` | `id`, `bytes` |
//! | `frames read` | TRACE | `callboard::wire` | `count`, `bytes` |
//! | `noise on stdout` | WARN | `callboard::wire` | `count`, `bytes` |
//! | `stray answer` | DEBUG | `callboard::wire` | `count` |
//! | `question refused` | DEBUG | `callboard::wire` | `method` |
//! | `question on modern link` | WARN | `callboard::wire` | `method`, `count` |
//! | `form does not fit` | WARN | `callboard::wire` | `faults` |
//! | `url of other scheme` | WARN | `callboard::wire` | |
//! | `certificates are not verified` | WARN | `callboard::wire` | |
//! | `catalog fault` | WARN | `callboard::catalog` | `fault` |
//! | `watchdog not started` | WARN | `callboard::process` | `error` |
//! | `ledger not kept` | WARN | `callboard::process` | `error` |
//! | `orphans ended` | WARN | `callboard::process` | `count` |
//! | `alert raised` | WARN | `callboard::alert` | `alert`, `session`, `server` |
//! | `alert cleared` | INFO | `callboard::alert` | `alert`, `session`, `server` |
//! | `alert panicked` | WARN | `callboard::alert` | `alert` |
//! | `actor died` | ERROR | `callboard::bug` | `actor`, `error` |
//!
//! A server that needs attention warns, an error is a defect of this crate, and what comes with every
//! call is of DEBUG. A change of a status stands in the span of its connection, once; its `reason` is
//! the headline of the error alone, without the server's last words. Of a server's stderr at most 20
//! lines a second are logged.
//!
//! # Metrics
//!
//! With the feature `metrics`, to the recorder of the [`metrics`](https://docs.rs/metrics) crate, which
//! has to be installed before sessions are opened. Names are in [`metric`], and so are the buckets of
//! the histograms, which are in seconds.
//!
//! | Metric | Kind | Labels |
//! |---|---|---|
//! | `mcp.client.operation.duration` | histogram | `server`, `mcp.method.name`, `gen_ai.tool.name`, `network.transport`, `error.type` |
//! | `mcp.client.session.duration` | histogram | `server`, `network.transport`, `error.type` |
//! | `callboard.start.duration` | histogram | `server`, `outcome` |
//! | `callboard.stop.duration` | histogram | `server` |
//! | `callboard.calls.started` | counter | `server`, `tool` |
//! | `callboard.calls` | counter | `server`, `tool`, `outcome`, `error.type` |
//! | `callboard.calls.running` | gauge | `server`, `tool` |
//! | `callboard.calls.queued` | gauge | `server` |
//! | `callboard.bytes` | counter | `server`, `direction` |
//! | `callboard.epochs` | counter | `server` |
//! | `callboard.restarts` | counter | `server`, `reason` |
//! | `callboard.breakers` | gauge | `server`, `state` |
//! | `callboard.processes.leaked` | gauge | |
//!
//! `server` is the name that the host gave it, the same in all sessions; sessions are no label, for
//! there is no end of them. `tool` is its name at the server, and `gen_ai.tool.name` its id, as in the
//! spans; calls of tools that nobody has come with
//! both empty. Every call that was begun ends once: `callboard.calls.started` is
//! `callboard.calls.running` and all of `callboard.calls` together.

mod events;
mod labels;
pub mod metric;
mod spans;
#[cfg(test)]
mod tests;

pub(crate) use events::*;
pub(crate) use labels::Labels;
pub(crate) use spans::*;

/// Changes of a server's status and breaker.
pub const STATUS: &str = "callboard::status";
/// The lines that servers write on stderr.
pub const STDERR: &str = "callboard::stderr";
/// What goes over a link and should not, and the sizes of all that does.
pub const WIRE: &str = "callboard::wire";
/// What is wrong with the lists of servers.
pub const CATALOG: &str = "callboard::catalog";
/// How calls and other requests ended.
pub const CALL: &str = "callboard::call";
/// The host's alerts: raised, cleared, or panicked.
pub const ALERT: &str = "callboard::alert";
/// What is done so that no process outlives the host.
pub const PROCESS: &str = "callboard::process";
/// Defects of this crate.
pub const BUG: &str = "callboard::bug";
