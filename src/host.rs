//! What servers may ask of the host: a model's answer, a form filled in, a page visited, its roots.

mod form;
mod question;

pub use form::FormFault;
pub(crate) use question::Elicitation;
pub use question::{FormQuestion, SamplingQuestion, UrlQuestion};

use std::{fmt, future::Future, pin::Pin};

use serde::Serialize;
use serde_json::{Map, Value, json};

/// What a host's answer comes as.
pub type HostFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What servers may ask of the host, whatever revision they speak: as requests of their own up to
/// 2025-11-25, as `input_required` rounds of a call in 2026-07-28.
///
/// Every method declines unless it is written, and servers are told only of what
/// [`capabilities`](Self::capabilities) names; nothing else reaches the host. An answer may take its
/// time: the idle limits of calls pause while the host has a question, their total limits do not.
///
/// # Cancel safety
///
/// A question is dropped, wherever it is, when the server takes it back, and when its link or its
/// call ends.
pub trait Host: Send + Sync + 'static {
    /// What this host implements; asked once, when a session is opened.
    fn capabilities(&self) -> HostCapabilities {
        HostCapabilities::default()
    }

    /// A server wants a model's answer (MCP 2025-11-25, client/sampling). `None` declines.
    fn sample(&self, question: SamplingQuestion) -> HostFuture<'_, Option<SamplingAnswer>> {
        drop(question);
        Box::pin(std::future::ready(None))
    }

    /// A server wants a form filled in (MCP 2025-11-25, client/elicitation). What is accepted is
    /// checked against the requested schema, and its defaults are put in where nothing was said;
    /// content that does not fit is not sent, and the server is told that the form was cancelled.
    fn fill(&self, question: FormQuestion) -> HostFuture<'_, FormAnswer> {
        drop(question);
        Box::pin(std::future::ready(FormAnswer::Decline))
    }

    /// A server wants a person to visit a page (MCP 2025-11-25, client/elicitation). The host shows
    /// the whole URL, and opens it only if the person wants that; this crate opens none. A call that a
    /// server refuses until a URL was visited (error -32042) is made again once this has accepted, so
    /// an answer had better wait until the person is done.
    fn visit(&self, question: UrlQuestion) -> HostFuture<'_, UrlAnswer> {
        drop(question);
        Box::pin(std::future::ready(UrlAnswer::Decline))
    }

    /// A server wants to know the host's roots (MCP 2025-11-25, client/roots): `file://` URIs, told
    /// after those of its [`ServerSpec`](crate::ServerSpec::root). When they change, say so by
    /// [`Session::roots_changed`](crate::Session::roots_changed).
    fn roots(&self, _server: &str) -> Vec<Root> {
        Vec::new()
    }
}

/// What a host implements, and its servers are told of; nothing by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use]
pub struct HostCapabilities {
    pub(crate) sampling: bool,
    pub(crate) sampling_tools: bool,
    pub(crate) forms: bool,
    pub(crate) urls: bool,
    pub(crate) url_schemes: Vec<String>,
    pub(crate) roots: bool,
}

impl HostCapabilities {
    /// The host has a model: [`Host::sample`].
    pub fn sampling(mut self) -> Self {
        self.sampling = true;
        self
    }

    /// The host has a model that can be given tools: [`Host::sample`].
    pub fn sampling_with_tools(mut self) -> Self {
        (self.sampling, self.sampling_tools) = (true, true);
        self
    }

    /// The host can have forms filled in: [`Host::fill`].
    pub fn elicitation_forms(mut self) -> Self {
        self.forms = true;
        self
    }

    /// The host can show URLs: [`Host::visit`]. Only those of `https` and `http`; see
    /// [`url_schemes`](Self::url_schemes).
    pub fn elicitation_urls(mut self) -> Self {
        self.urls = true;
        if self.url_schemes.is_empty() {
            self.url_schemes = vec!["https".to_owned(), "http".to_owned()];
        }
        self
    }

    /// The schemes of URLs that the host is asked to show; others are declined without asking.
    pub fn url_schemes(mut self, schemes: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.url_schemes = schemes.into_iter().map(Into::into).collect();
        self
    }

    /// The host has roots of its own: [`Host::roots`].
    pub fn roots(mut self) -> Self {
        self.roots = true;
        self
    }
}

/// What a model answered (MCP 2025-11-25, client/sampling).
#[derive(Debug, Clone, PartialEq)]
pub struct SamplingAnswer(pub(crate) Value);

impl SamplingAnswer {
    /// The text that a model of this name answered, to its end.
    pub fn text(model: impl Into<String>, text: impl Into<String>) -> Self {
        Self(json!({
            "role": "assistant",
            "content": { "type": "text", "text": text.into() },
            "model": model.into(),
            "stopReason": "endTurn",
        }))
    }

    /// Any answer that is written as the protocol's `CreateMessageResult`, with whatever content it
    /// has.
    ///
    /// # Errors
    ///
    /// Where it cannot be written as JSON.
    pub fn of(result: &impl Serialize) -> serde_json::Result<Self> {
        serde_json::to_value(result).map(Self)
    }
}

/// What became of a form.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum FormAnswer {
    /// It was filled in like this.
    Accept(Map<String, Value>),
    /// The person said no.
    Decline,
    /// The person said nothing.
    Cancel,
}

/// What became of a URL that was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum UrlAnswer {
    /// The person agreed to visit it, which does not say that they have finished there.
    Accept,
    /// The person said no.
    Decline,
    /// The person said nothing.
    Cancel,
}

impl UrlAnswer {
    pub(crate) fn action(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Decline => "decline",
            Self::Cancel => "cancel",
        }
    }
}

/// A folder or file that a server may work in.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Root {
    uri: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

impl Root {
    /// A root of this URI, which has to be a `file://` one; others are left out.
    pub fn new(uri: impl Into<String>) -> Self {
        Self { uri: uri.into(), name: None }
    }

    /// Gives it a name for people.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// MCP 2025-11-25, client/roots: no other scheme.
    pub(crate) fn is_told(&self) -> bool {
        self.uri.starts_with("file://")
    }
}

/// How grave a log message is (RFC 5424, 6.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogLevel {
    /// For whoever looks for a fault.
    Debug,
    /// In the course of things.
    Info,
    /// Normal, and worth a look.
    Notice,
    /// Not right yet.
    Warning,
    /// Something failed.
    Error,
    /// A part of the server failed.
    Critical,
    /// Somebody has to act at once.
    Alert,
    /// Nothing works.
    Emergency,
}

impl LogLevel {
    pub(crate) const ALL: [Self; 8] = [
        Self::Debug,
        Self::Info,
        Self::Notice,
        Self::Warning,
        Self::Error,
        Self::Critical,
        Self::Alert,
        Self::Emergency,
    ];

    /// Its name in the protocol.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
            Self::Alert => "alert",
            Self::Emergency => "emergency",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == name)
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
