//! The names of metrics, and the buckets of their histograms.

/// How long requests took, in seconds (OpenTelemetry's conventions for MCP).
pub const OPERATION_DURATION: &str = "mcp.client.operation.duration";
/// How long links lasted, in seconds (OpenTelemetry's conventions for MCP, where a session is a
/// connection).
pub const SESSION_DURATION: &str = "mcp.client.session.duration";
/// How long it took from the start of a server until its tools were listed, in seconds.
pub const START_DURATION: &str = "callboard.start.duration";
/// How long it took until nothing of a link was left, in seconds.
pub const STOP_DURATION: &str = "callboard.stop.duration";
/// Calls that began.
pub const CALLS_STARTED: &str = "callboard.calls.started";
/// Calls that ended, by outcome.
pub const CALLS: &str = "callboard.calls";
/// Calls that began and have not ended: those that started, less those that ended in any way. Zero when
/// no call is on its way; anything else then is a defect of this crate.
pub const CALLS_RUNNING: &str = "callboard.calls.running";
/// Calls that wait before they are sent.
pub const CALLS_QUEUED: &str = "callboard.calls.queued";
/// Bytes of messages.
pub const BYTES: &str = "callboard.bytes";
/// Links that were begun.
pub const EPOCHS: &str = "callboard.epochs";
/// Links that were begun after another had been lost.
pub const RESTARTS: &str = "callboard.restarts";
/// Circuit breakers in a state.
pub const BREAKERS: &str = "callboard.breakers";
/// Processes of sessions that have ended; must be zero.
pub const LEAKED: &str = "callboard.processes.leaked";

/// The upper bounds, in seconds, of the buckets that OpenTelemetry's conventions for MCP want for
/// [`OPERATION_DURATION`] and [`SESSION_DURATION`]; they fit the other two as well.
pub const BUCKETS: [f64; 14] =
    [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];
