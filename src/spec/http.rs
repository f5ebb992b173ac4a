//! Declared servers behind a URL.

use std::{fmt, marker::PhantomData, sync::Arc, time::Duration};

use reqwest::{
    Url,
    header::{HeaderMap, HeaderName, HeaderValue},
};

use crate::{auth::Auth, error::SpecError, secret::Secret};

/// A server that speaks streamable HTTP.
///
/// Which revision it speaks is found out: 2026-07-28 first, then the older ones that open with
/// `initialize`, and last, where it answers neither, legacy HTTP+SSE (MCP 2026-07-28,
/// basic/versioning and basic/transports/streamable-http).
pub type StreamableHttp = Remote<Streamable>;

/// A server that speaks nothing but HTTP+SSE, the transport of MCP 2024-11-05: one stream for all
/// answers, and a second URL for the requests.
pub type HttpSse = Remote<Sse>;

/// A server behind a URL, and how it is reached: a [`StreamableHttp`] or an [`HttpSse`].
#[derive(Clone)]
#[must_use]
pub struct Remote<Kind> {
    pub(crate) http: Http,
    kind: PhantomData<Kind>,
}

/// Marks a [`StreamableHttp`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Streamable;

/// Marks an [`HttpSse`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Sse;

/// The eras of streamable HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HttpEra {
    /// MCP 2026-07-28: every request stands for itself.
    Modern,
    /// MCP 2025-03-26 to 2025-11-25: `initialize`, and mostly an HTTP session.
    Legacy,
}

/// What is declared, and need not be found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pin {
    Streamable(HttpEra),
    Sse,
}

/// How a URL is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dialect {
    pub(crate) sse: bool,
    pub(crate) era: HttpEra,
}

/// A client of the host's own; the same one, or another.
#[derive(Clone)]
pub(crate) struct Given(pub(crate) Arc<reqwest::Client>);

impl PartialEq for Given {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// What both kinds have in common.
#[derive(Clone, PartialEq)]
pub(crate) struct Http {
    pub(crate) url: String,
    pub(crate) headers: HeaderMap,
    pub(crate) client: ClientSettings,
    /// The host's own client.
    pub(crate) given: Option<Given>,
    pub(crate) pinned: Option<Pin>,
    pub(crate) probe_every: Option<Duration>,
    pub(crate) plain_http: bool,
    pub(crate) auth: Option<Auth>,
    /// Headers whose values are resolved at each connection.
    pub(crate) secret_headers: Vec<(HeaderName, Secret)>,
    /// Headers that cannot be sent: their names, and what is wrong.
    pub(crate) unfit: Vec<(String, &'static str)>,
}

/// What a client is built from; servers that agree in it share one, with its connections.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct ClientSettings {
    pub(crate) connect_timeout: Duration,
    pub(crate) keep_alive: Duration,
    pub(crate) compression: bool,
    pub(crate) verify: bool,
    pub(crate) proxy: Option<String>,
    pub(crate) roots: Vec<Vec<u8>>,
    pub(crate) identity: Option<Vec<u8>>,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            keep_alive: Duration::from_secs(30),
            compression: true,
            verify: true,
            proxy: None,
            roots: Vec::new(),
            identity: None,
        }
    }
}

impl StreamableHttp {
    /// A server at this URL, such as `https://example.com/mcp`. `http://` is refused unless it leads
    /// to this machine, or [`allow_plain_http`](Self::allow_plain_http) says otherwise.
    pub fn new(url: impl Into<String>) -> Self {
        Self::of(url.into(), None)
    }

    /// Pins what would be found out: only this era is tried.
    pub fn era(mut self, era: HttpEra) -> Self {
        self.http.pinned = Some(Pin::Streamable(era));
        self
    }
}

impl StreamableHttp {
    /// The same URL, reached by nothing but HTTP+SSE.
    #[cfg(feature = "config")]
    pub(crate) fn into_sse(mut self) -> HttpSse {
        self.http.pinned = Some(Pin::Sse);
        Remote { http: self.http, kind: PhantomData }
    }
}

impl HttpSse {
    /// A server whose stream is at this URL, such as `https://example.com/sse`. `http://` is refused
    /// unless it leads to this machine, or [`allow_plain_http`](Self::allow_plain_http) says
    /// otherwise.
    pub fn new(url: impl Into<String>) -> Self {
        Self::of(url.into(), Some(Pin::Sse))
    }
}

impl<Kind> Remote<Kind> {
    fn of(url: String, pinned: Option<Pin>) -> Self {
        let http = Http {
            url,
            headers: HeaderMap::new(),
            client: ClientSettings::default(),
            given: None,
            pinned,
            probe_every: None,
            plain_http: false,
            auth: None,
            secret_headers: Vec::new(),
            unfit: Vec::new(),
        };
        Self { http, kind: PhantomData }
    }

    /// Sends this header with every request.
    pub fn header(mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        self.http.add_header(name.as_ref(), value.as_ref(), false);
        self
    }

    /// Sends this header with every request, and never prints its value.
    pub fn sensitive_header(mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        self.http.add_header(name.as_ref(), value.as_ref(), true);
        self
    }

    /// Sends this header with every request, with a secret that is resolved at each connection.
    pub fn header_from(mut self, name: impl AsRef<str>, secret: Secret) -> Self {
        if let Some(header) = self.http.header_name(name.as_ref()) {
            self.http.secret_headers.push((header, secret));
        }
        self
    }

    /// Shows the server who we are. Credentials go to the origin of the URL, and nowhere else:
    /// redirects to others are not followed.
    pub fn auth(mut self, auth: Auth) -> Self {
        self.http.auth = Some(auth);
        self
    }

    /// How long a new connection may take. Default: 10 s.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.http.client.connect_timeout = limit;
        self
    }

    /// How long an idle connection is kept for the next request. Default: 30 s.
    pub fn keep_alive(mut self, limit: Duration) -> Self {
        self.http.client.keep_alive = limit;
        self
    }

    /// Whether compressed answers (gzip, br, zstd) are asked for. Default: yes. Limits count what
    /// they unpack to.
    pub fn compression(mut self, offered: bool) -> Self {
        self.http.client.compression = offered;
        self
    }

    /// Goes through this proxy, such as `http://proxy.example:3128`. The proxy variables of the
    /// environment are not read.
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.http.client.proxy = Some(url.into());
        self
    }

    /// Trusts this root certificate (PEM, one or more) besides the system's.
    pub fn root_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.http.client.roots.push(pem.into());
        self
    }

    /// Shows this certificate to the server (mTLS): the chain and the private key in one PEM.
    pub fn client_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.http.client.identity = Some(pem.into());
        self
    }

    /// Trusts any certificate: whoever is in between reads and changes everything. Warns at every
    /// start.
    pub fn danger_accept_invalid_certificates(mut self) -> Self {
        self.http.client.verify = false;
        self
    }

    /// Uses this client instead of the runtime's. Its own settings hold; those for connections
    /// declared here do not. Build it with `redirect::Policy::none()`: one that follows redirects by
    /// itself carries the headers declared here wherever they lead, and all that can be done here is
    /// to refuse the answer.
    pub fn client(mut self, client: reqwest::Client) -> Self {
        self.http.given = Some(Given(Arc::new(client)));
        self
    }

    /// Allows `http://` to other machines, where everybody in between can read along.
    pub fn allow_plain_http(mut self) -> Self {
        self.http.plain_http = true;
        self
    }

    /// Asks an idle server this often whether it is still there: `ping` in older revisions,
    /// `server/discover` in 2026-07-28. Off by default.
    pub fn probe_every(mut self, interval: Duration) -> Self {
        self.http.probe_every = Some(interval);
        self
    }
}

impl Http {
    /// Scheme, host and port of the URL; empty if it is none.
    pub(crate) fn origin(&self) -> String {
        Url::parse(&self.url).map(|url| origin(&url)).unwrap_or_default()
    }

    fn add_header(&mut self, name: &str, value: &str, sensitive: bool) {
        let Some(header) = self.header_name(name) else { return };
        let Ok(mut value) = HeaderValue::try_from(value) else {
            return self.unfit.push((name.to_owned(), "its value holds control characters"));
        };
        value.set_sensitive(sensitive);
        self.headers.append(header, value);
    }

    /// A name that may be used; what is wrong with another is noted.
    fn header_name(&mut self, name: &str) -> Option<HeaderName> {
        let reason = match HeaderName::try_from(name) {
            Ok(header) if !is_reserved(header.as_str()) => return Some(header),
            Ok(_) => "the protocol itself sets it",
            Err(_) => "its name is no HTTP token",
        };
        self.unfit.push((name.to_owned(), reason));
        None
    }

    /// What is wrong with how authorization is declared.
    fn auth_fault(&self) -> Option<(String, &'static str)> {
        let header = match self.auth.as_ref()?.header() {
            Ok(header) => header,
            Err(name) => return Some((name, "its name is no HTTP token")),
        };
        let name = header.as_str().to_owned();
        if is_reserved(&name) {
            return Some((name, "the protocol itself sets it"));
        }
        let declared = self.headers.contains_key(&header)
            || self.secret_headers.iter().any(|(name, _)| *name == header);
        declared.then_some((name, "it is declared twice: as a header, and by auth"))
    }

    /// The secrets that are resolved at each connection.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &Secret> {
        let auth = self.auth.as_ref().and_then(Auth::secret);
        self.secret_headers.iter().map(|(_, secret)| secret).chain(auth)
    }

    /// The secrets that are resolved when a token is asked for.
    pub(super) fn granted(&self) -> Vec<&Secret> {
        self.auth.as_ref().map_or_else(Vec::new, Auth::granted)
    }

    /// Has a person log in where nothing else is declared.
    #[cfg(feature = "oauth")]
    pub(super) fn or_login(&mut self, login: crate::auth::OAuth) {
        use reqwest::header::AUTHORIZATION;

        let shown = self.headers.contains_key(AUTHORIZATION)
            || self.secret_headers.iter().any(|(name, _)| *name == AUTHORIZATION);
        match &mut self.auth {
            Some(auth) => auth.keep_in(&login),
            None if shown => {}
            None => self.auth = Some(Auth::oauth(login)),
        }
    }

    pub(super) fn faults(&self, server: &str, faults: &mut Vec<SpecError>) {
        let server = || server.to_owned();
        let unfit = self.unfit.iter().cloned().chain(self.auth_fault());
        for (name, reason) in unfit {
            faults.push(SpecError::InvalidHeader { server: server(), name, reason });
        }
        let zeroes = [
            ("connect_timeout", self.client.connect_timeout.is_zero()),
            ("probe_every", self.probe_every.is_some_and(|every| every.is_zero())),
        ];
        for (what, _) in zeroes.into_iter().filter(|(_, zero)| *zero) {
            faults.push(SpecError::Zero { server: server(), what });
        }
        if let Some(proxy) = &self.client.proxy
            && Url::parse(proxy).is_err()
        {
            let reason = "it is no URL".to_owned();
            faults.push(SpecError::InvalidUrl { server: server(), what: "proxy", reason });
        }
        if let Some(reason) = self.url_fault() {
            faults.push(SpecError::InvalidUrl { server: server(), what: "url", reason });
        }
    }

    fn url_fault(&self) -> Option<String> {
        let url = match Url::parse(&self.url) {
            Ok(url) => url,
            Err(error) => return Some(error.to_string()),
        };
        match url.scheme() {
            "https" => {}
            "http" if self.plain_http || is_loopback(&url) => {}
            "http" => {
                return Some(
                    "it is plain http to another machine: use https, or allow_plain_http".into(),
                );
            }
            other => return Some(format!("its scheme is {other:?}, not http or https")),
        }
        let credentials = !url.username().is_empty() || url.password().is_some();
        credentials.then(|| "it holds credentials: use auth for them".to_owned())
    }
}

/// Headers that say what a request is, and not whose.
fn is_reserved(name: &str) -> bool {
    matches!(
        name,
        "accept"
            | "content-type"
            | "content-length"
            | "transfer-encoding"
            | "connection"
            | "host"
            | "last-event-id"
            | "mcp-session-id"
            | "mcp-protocol-version"
            | "mcp-method"
            | "mcp-name"
    ) || name.starts_with("mcp-param-")
}

/// Whether a URL leads to this machine, as far as its text says.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

impl<Kind> PartialEq for Remote<Kind> {
    fn eq(&self, other: &Self) -> bool {
        self.http == other.http
    }
}

impl<Kind> fmt::Debug for Remote<Kind> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.http.fmt(f)
    }
}

impl fmt::Debug for Http {
    /// Without the query, where some put their keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = Url::parse(&self.url).map(|url| format!("{}{}", origin(&url), url.path()));
        f.debug_struct("Http")
            .field("url", &url.as_deref().unwrap_or("invalid"))
            .field("headers", &self.headers)
            .field("secret_headers", &self.secret_headers)
            .field("auth", &self.auth)
            .field("pinned", &self.pinned)
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ClientSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSettings")
            .field("connect_timeout", &self.connect_timeout)
            .field("keep_alive", &self.keep_alive)
            .field("compression", &self.compression)
            .field("verify", &self.verify)
            .field("proxy", &self.proxy.is_some())
            .field("roots", &self.roots.len())
            .field("identity", &self.identity.is_some())
            .finish()
    }
}

/// Scheme, host and port of a URL, which are safe to print.
pub(crate) fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}
