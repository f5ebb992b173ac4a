//! Declared servers, as data: nothing here does I/O.

#[cfg(feature = "http")]
mod http;
mod looked_at;
mod stdio;

use std::{collections::HashSet, sync::Arc, time::Duration};

use crate::{
    error::SpecError,
    layer::{CallLayer, CallLike, CallService},
    pattern::fits_any,
    policy::{CallOptions, CircuitBreaker, HealthCheck, Limits, RateLimit, RestartPolicy},
    transport::memory::Memory,
};

#[cfg(feature = "oauth")]
pub(crate) use http::is_loopback;
#[cfg(feature = "http")]
pub(crate) use http::{ClientSettings, Dialect, Http, Pin, origin};
#[cfg(feature = "http")]
pub use http::{HttpEra, HttpSse, Remote, Sse, Streamable, StreamableHttp};
pub use stdio::Stdio;
pub(crate) use stdio::{ArgValue, EnvValue};

/// A declared server: its name, how it is reached, and the policies of its connection.
///
/// Building one cannot fail; opening the session refuses a faulty one, with every fault at once. Two
/// are equal if they declare the same: secrets by reference, and what only the host can make (layers,
/// clients, token stores, servers in memory) if it is the same one.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct ServerSpec {
    pub(crate) name: Arc<str>,
    pub(crate) transport: Transport,
    pub(crate) prefix: Option<String>,
    pub(crate) required: bool,
    pub(crate) init_timeout: Duration,
    pub(crate) restart: RestartPolicy,
    pub(crate) limits: Limits,
    pub(crate) call_options: CallOptions,
    pub(crate) tool_options: Vec<(String, CallOptions)>,
    pub(crate) trusts_annotations: bool,
    pub(crate) tags: Vec<String>,
    /// Patterns of the tools that are offered; all, where there are none.
    pub(crate) only_tools: Option<Vec<String>>,
    /// Patterns of those that are not.
    pub(crate) without_tools: Vec<String>,
    pub(crate) opening: Opening,
    pub(crate) stop_when_idle: Option<Duration>,
    pub(crate) breaker: Option<CircuitBreaker>,
    pub(crate) rate_limit: Option<RateLimit>,
    pub(crate) health: Option<HealthCheck>,
    pub(crate) layers: Vec<CallLayer>,
    pub(crate) roots: Vec<String>,
}

impl ServerSpec {
    /// A server of this name (`^[A-Za-z][A-Za-z0-9_-]*$`, 64 bytes at most), reached this way.
    pub fn new(name: impl Into<String>, transport: impl Into<Transport>) -> Self {
        Self {
            name: name.into().into(),
            transport: transport.into(),
            prefix: None,
            required: false,
            init_timeout: Duration::from_secs(30),
            restart: RestartPolicy::default(),
            limits: Limits::default(),
            call_options: CallOptions::default(),
            tool_options: Vec::new(),
            trusts_annotations: false,
            tags: Vec::new(),
            only_tools: None,
            without_tools: Vec::new(),
            opening: Opening::Eager,
            stop_when_idle: None,
            breaker: None,
            rate_limit: None,
            health: None,
            layers: Vec::new(),
            roots: Vec::new(),
        }
    }

    /// The name that it was declared by.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it is reached.
    #[must_use]
    pub fn transport(&self) -> &Transport {
        &self.transport
    }

    /// Names the tools `<prefix>.<tool>` instead of `<server>.<tool>`; the empty prefix gives the
    /// bare `<tool>`.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = Some(prefix.into());
        self
    }

    /// Makes opening the session wait for this server, and fail with it; also where it waits for a
    /// login.
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// Takes [`required`](Self::required) back: the session opens without this server, too.
    pub fn optional(mut self) -> Self {
        self.required = false;
        self
    }

    /// How long one start may take: process, handshake and first listing. Default 30 s, which a
    /// cold `npx` or `uvx` needs.
    pub fn init_timeout(mut self, limit: Duration) -> Self {
        self.init_timeout = limit;
        self
    }

    /// When and how often the server is started again.
    pub fn restart(mut self, policy: RestartPolicy) -> Self {
        self.restart = policy;
        self
    }

    /// The bounds of this server.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// What holds for calls to this server, where the session says otherwise or nothing.
    pub fn call_options(mut self, options: CallOptions) -> Self {
        self.call_options = options;
        self
    }

    /// What holds for calls of its tools whose name, as the server knows it, fits this pattern (`*`
    /// stands for any text), where the server's options say otherwise or nothing. Of several that
    /// fit, the later goes before the earlier.
    pub fn tool_options(mut self, pattern: impl Into<String>, options: CallOptions) -> Self {
        self.tool_options.push((pattern.into(), options));
        self
    }

    /// Believes what the server says of its tools (`readOnlyHint`, `idempotentHint`). Without this,
    /// no call is repeated and no result is cached on the word of its annotations, for they are a
    /// server's own claims (MCP 2026-07-28, server/tools).
    pub fn trust_annotations(mut self) -> Self {
        self.trusts_annotations = true;
        self
    }

    /// Adds a tag to all its tools; see [`Tool::tags`](crate::Tool::tags).
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// Offers only those of its tools whose name, as the server knows it, fits one of these patterns
    /// (`*` stands for any text). The others are not in the catalog, and cannot be called.
    pub fn only_tools(mut self, patterns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.only_tools = Some(patterns.into_iter().map(Into::into).collect());
        self
    }

    /// Leaves out those of its tools whose name fits one of these patterns, as
    /// [`only_tools`](Self::only_tools) leaves out the others.
    pub fn without_tools(mut self, patterns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.without_tools.extend(patterns.into_iter().map(Into::into));
        self
    }

    /// Whether a tool of this name is offered.
    pub(crate) fn offers(&self, tool: &str) -> bool {
        let wanted = self.only_tools.as_ref().is_none_or(|only| fits_any(only, tool));
        wanted && !fits_any(&self.without_tools, tool)
    }

    /// Starts it when it is first used, and not with the session: until then it has no process and
    /// no socket, and its catalog is empty unless the session was opened with
    /// [saved tools](crate::SessionBuilder::saved_tools).
    ///
    /// A call of one of its tools, also by an id that it has not listed yet but that begins with its
    /// prefix, [`Server::discover`](crate::Server::discover) and
    /// [`Server::ready`](crate::Server::ready) start it; the call waits for it, within its total
    /// timeout.
    pub fn lazy(mut self) -> Self {
        self.opening = Opening::Lazy;
        self
    }

    /// Starts it for each call anew, and stops it after: nothing is left of it between calls. All of
    /// it is held to the call's total timeout; an answer that has come is not lost if the stop takes
    /// longer than that. Its tools are listed as those of a [`lazy`](Self::lazy) server.
    pub fn per_call(mut self) -> Self {
        self.opening = Opening::PerCall;
        self
    }

    /// Stops its process when no call has been in flight for this long (up to a quarter longer). Its
    /// tools stay in the catalog, and the next call starts it again, and waits for that. This is no
    /// failure: nothing is counted, and no error stands in its status.
    pub fn stop_when_idle(mut self, after: Duration) -> Self {
        self.stop_when_idle = Some(after);
        self
    }

    /// Leaves the server alone for a while when calls to it fail again and again. Off unless asked
    /// for; [`CircuitBreaker::default`] opens after 5 failures, for 60 s.
    pub fn circuit_breaker(mut self, breaker: CircuitBreaker) -> Self {
        self.breaker = Some(breaker);
        self
    }

    /// Limits how often the server is called. Off unless asked for; [`RateLimit::default`] is 60
    /// calls a minute, 10 of them at once.
    pub fn rate_limit(mut self, limit: RateLimit) -> Self {
        self.rate_limit = Some(limit);
        self
    }

    /// Declares the server down when it no longer answers. Off unless asked for; see [`HealthCheck`].
    pub fn health(mut self, check: HealthCheck) -> Self {
        self.health = Some(check);
        self
    }

    /// Puts a layer of [tower](https://docs.rs/tower) around the calls of this server, inside of those
    /// that are there already and of the session's; see [`layer`](crate::layer).
    pub fn layer<L>(mut self, layer: L) -> Self
    where
        L: tower_layer::Layer<CallService> + Send + Sync + 'static,
        L::Service: CallLike,
    {
        self.layers.push(CallLayer::new(layer));
        self
    }

    /// Adds a root, a `file://` URI, to what the server is told when it asks for roots (MCP
    /// 2025-11-25, client/roots). A server without roots is told that there is no such method.
    pub fn root(mut self, uri: impl Into<String>) -> Self {
        self.roots.push(uri.into());
        self
    }

    /// Whether a call may find it asleep, and wakes it then.
    pub(crate) fn sleeps(&self) -> bool {
        self.opening == Opening::Lazy
            || (self.opening == Opening::Eager && self.stop_when_idle.is_some())
    }

    /// What stands before the dot in the ids of its tools: its prefix, or else its name; empty for
    /// none.
    #[must_use]
    pub fn tool_prefix(&self) -> &str {
        self.prefix.as_deref().unwrap_or(&self.name)
    }

    fn faults(&self, faults: &mut Vec<SpecError>) {
        let server = || self.name.to_string();
        if !is_name(&self.name) {
            faults.push(SpecError::InvalidName { name: server() });
        }
        if let Some(prefix) = self.prefix.as_deref()
            && !prefix.is_empty()
            && !is_name(prefix)
        {
            faults.push(SpecError::InvalidPrefix { server: server(), prefix: prefix.to_owned() });
        }
        faults.extend(
            self.roots
                .iter()
                .filter(|uri| !uri.starts_with("file://"))
                .map(|uri| SpecError::InvalidRoot { server: server(), uri: uri.clone() }),
        );
        faults.extend(
            self.zeroes().into_iter().map(|what| SpecError::Zero { server: server(), what }),
        );
        let contradictions = [
            (self.required && self.opening != Opening::Eager, "required, and not started with it"),
            (
                self.opening == Opening::PerCall && self.stop_when_idle.is_some(),
                "opened per call, and to be stopped when idle",
            ),
        ];
        let contradictions = contradictions.into_iter().filter(|(holds, _)| *holds);
        faults.extend(
            contradictions.map(|(_, what)| SpecError::Contradiction { server: server(), what }),
        );
        let backoff = &self.restart.backoff;
        if backoff.initial > backoff.max {
            let (initial, max) = (backoff.initial, backoff.max);
            faults.push(SpecError::InvertedBackoff { server: server(), initial, max });
        }
        match &self.transport {
            Transport::Stdio(stdio) => stdio.faults(&self.name, faults),
            Transport::Memory(_) => {}
            #[cfg(feature = "http")]
            Transport::StreamableHttp(remote) => remote.http.faults(&self.name, faults),
            #[cfg(feature = "http")]
            Transport::HttpSse(remote) => remote.http.faults(&self.name, faults),
        }
    }

    fn zeroes(&self) -> Vec<&'static str> {
        let limits = &self.limits;
        [
            ("init_timeout", self.init_timeout.is_zero()),
            ("max_calls", limits.max_calls == 0),
            ("max_call_bytes", limits.max_call_bytes == 0),
            ("max_memory", limits.max_memory == Some(0)),
            ("max_frame", limits.max_frame == 0),
            ("max_pages", limits.max_pages == 0),
            ("max_tools", limits.max_tools == 0),
            ("max_concurrent", limits.max_concurrent == Some(0)),
            ("stop_when_idle", self.stop_when_idle.is_some_and(|after| after.is_zero())),
            ("the threshold of the breaker", self.breaker.is_some_and(|one| one.threshold == 0)),
            (
                "the rate limit",
                self.rate_limit.is_some_and(|one| one.calls == 0 || one.per.is_zero()),
            ),
            ("probe_after", self.health.is_some_and(|check| check.probe_after == Some(0))),
            ("down_after", self.health.is_some_and(|check| check.down_after == Some(0))),
            (
                "probe_every",
                self.health.is_some_and(|check| check.probe_every.is_some_and(|at| at.is_zero())),
            ),
            ("probe_within", self.health.is_some_and(|check| check.probe_within.is_zero())),
            ("the burst of the rate limit", self.rate_limit.is_some_and(|one| one.burst == 0)),
        ]
        .into_iter()
        .filter_map(|(what, zero)| zero.then_some(what))
        .collect()
    }
}

/// Every fault of these declarations together; empty if they can be opened.
pub(crate) fn faults(specs: &[ServerSpec]) -> Vec<SpecError> {
    let mut faults = Vec::new();
    let mut seen = HashSet::new();
    let mut twice = HashSet::new();
    for spec in specs {
        spec.faults(&mut faults);
        if !seen.insert(&spec.name) && twice.insert(&spec.name) {
            faults.push(SpecError::DuplicateName { name: spec.name.to_string() });
        }
    }
    faults
}

fn is_name(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// When a server is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opening {
    /// With the session.
    Eager,
    /// When it is first used.
    Lazy,
    /// For each call.
    PerCall,
}

/// How a server is reached.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Transport {
    /// A child process that speaks on its stdin and stdout.
    Stdio(Stdio),
    /// A server in this process.
    Memory(Memory),
    /// A server behind a URL.
    #[cfg(feature = "http")]
    StreamableHttp(StreamableHttp),
    /// A server behind a URL, of MCP 2024-11-05.
    #[cfg(feature = "http")]
    HttpSse(HttpSse),
}

impl Transport {
    /// What carries it, and the command, or scheme, host and port.
    pub(crate) fn address(&self) -> (&'static str, String) {
        match self {
            Self::Stdio(stdio) => ("stdio", stdio.command.to_string_lossy().into_owned()),
            Self::Memory(_) => ("memory", String::new()),
            #[cfg(feature = "http")]
            Self::StreamableHttp(remote) => ("http", remote.http.origin()),
            #[cfg(feature = "http")]
            Self::HttpSse(remote) => ("http", remote.http.origin()),
        }
    }
}

impl From<Memory> for Transport {
    fn from(memory: Memory) -> Self {
        Self::Memory(memory)
    }
}

#[cfg(feature = "http")]
impl Transport {
    /// What is declared of a server behind a URL.
    pub(crate) fn http(&self) -> Option<&Http> {
        match self {
            Self::Stdio(_) | Self::Memory(_) => None,
            Self::StreamableHttp(remote) => Some(&remote.http),
            Self::HttpSse(remote) => Some(&remote.http),
        }
    }
}

impl From<Stdio> for Transport {
    fn from(stdio: Stdio) -> Self {
        Self::Stdio(stdio)
    }
}

#[cfg(feature = "http")]
impl From<StreamableHttp> for Transport {
    fn from(remote: StreamableHttp) -> Self {
        Self::StreamableHttp(remote)
    }
}

#[cfg(feature = "http")]
impl From<HttpSse> for Transport {
    fn from(remote: HttpSse) -> Self {
        Self::HttpSse(remote)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_faults_of_a_declaration_are_found_together() {
        let specs = [
            ServerSpec::new("9 lives", Stdio::new("")).prefix("a.b").root("/tmp"),
            ServerSpec::new("twin", Stdio::new("x\0y").arg("a\0").env_literal("A=B", "")),
            ServerSpec::new("twin", Stdio::new("x").env_literal("A", "\0"))
                .init_timeout(Duration::ZERO)
                .limits(Limits::default().with_max_calls(0)),
        ];
        let found = faults(&specs);
        assert_eq!(found.len(), 11, "{found:#?}");
        assert!(found.contains(&SpecError::DuplicateName { name: "twin".to_owned() }));
    }

    #[test]
    fn a_literal_value_is_not_in_debug_output() {
        let spec = ServerSpec::new("a", Stdio::new("x").env_literal("TOKEN", "hunter2"));
        let shown = format!("{spec:?}");
        assert!(shown.contains("TOKEN") && !shown.contains("hunter2"), "{shown}");
    }
}
