//! Requests to authorization servers: ours, and those of rmcp's `auth` module.

use std::{error::Error, sync::Arc, time::Duration};

use parking_lot::Mutex;
use reqwest::{
    Certificate, Client, Method, Proxy, Request, Response, StatusCode, Url,
    header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION},
    redirect,
};
use rmcp::transport::auth::{
    OAuthHttpClient, OAuthHttpClientFuture, OAuthHttpRedirectPolicy, OAuthHttpRequest,
};
use serde::Deserialize;

use super::{
    address::Reach,
    dpop::{Key, NONCE, PROOF},
};
use crate::{
    error::AuthError,
    spec::{ClientSettings, Http, is_loopback, origin},
    transport::http::clients::Clients,
};

/// How long one request may take.
const LIMIT: Duration = Duration::from_secs(20);

/// No document of an authorization server is larger.
const LARGEST: usize = 1 << 20;

const REDIRECTS: usize = 3;

/// Asks authorization servers, of one server.
#[derive(Debug, Clone)]
pub(super) struct Asker {
    client: Client,
    server: Arc<Url>,
    reach: Reach,
    plain_http: bool,
    clients: Arc<Clients>,
    notes: Arc<Mutex<Notes>>,
}

/// What is noted of the answers that went by.
#[derive(Debug, Default)]
struct Notes {
    /// What the server calls itself in its metadata (RFC 9728).
    resource: Option<String>,
    /// Whether there was such metadata at all.
    described: bool,
    /// The key that tokens are to be bound to, and the nonce that the last proof was asked to have.
    key: Option<Key>,
    nonce: Option<String>,
}

/// An answer, read to its end.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

type Fault = Box<dyn Error + Send + Sync>;

impl Asker {
    pub(super) fn new(http: &Http, url: &Url, clients: &Arc<Clients>) -> Result<Self, AuthError> {
        let reach = Reach::of(url);
        let client = client(&http.client, reach);
        let client = client.map_err(|error| AuthError::Unusable {
            detail: format!("no HTTP client can be built as declared: {error}"),
        })?;
        let (server, clients) = (Arc::new(url.clone()), Arc::clone(clients));
        let (plain_http, notes) = (http.plain_http, Arc::default());
        Ok(Self { client, server, reach, plain_http, clients, notes })
    }

    /// The same with notes of its own: for a round that others may begin another beside.
    pub(super) fn apart(&self) -> Self {
        Self { notes: Arc::default(), ..self.clone() }
    }

    /// Forgets what was noted of an earlier round.
    pub(super) fn begin(&self) {
        *self.notes.lock() = Notes::default();
    }

    /// Has tokens bound to this key from now on.
    pub(super) fn bind(&self, key: Key) {
        self.notes.lock().key = Some(key);
    }

    pub(super) fn key(&self) -> Option<Key> {
        self.notes.lock().key.clone()
    }

    /// What the server calls itself, if it said so.
    pub(super) fn resource(&self) -> Option<String> {
        self.notes.lock().resource.clone()
    }

    /// Whether the server has described itself (RFC 9728), which those of 2025-03-26 do not.
    pub(super) fn is_described(&self) -> bool {
        self.notes.lock().described
    }

    /// Posts a form; the secret, if there is one, is in a header that the caller has made.
    pub(super) async fn post_form(
        &self,
        url: &Url,
        headers: HeaderMap,
        form: &[(&str, &str)],
    ) -> Result<Answer, AuthError> {
        let mut request = Request::new(Method::POST, url.clone());
        *request.headers_mut() = headers;
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(CONTENT_TYPE, kind);
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        *request.body_mut() = Some(encoded(form).into());
        self.send(request, OAuthHttpRedirectPolicy::Stop)
            .await
            .map_err(|source| AuthError::Unavailable { origin: origin(url), source: source.into() })
    }

    async fn send(
        &self,
        mut request: Request,
        policy: OAuthHttpRedirectPolicy,
    ) -> Result<Answer, Fault> {
        let first = request.url().clone();
        for _ in 0..=REDIRECTS {
            let again = request.try_clone();
            let answer = self.proven(request).await?;
            let follows =
                policy == OAuthHttpRedirectPolicy::Follow && answer.status.is_redirection();
            let target = follows.then(|| redirected(&first, &answer.headers)).flatten();
            let (Some(target), Some(mut next)) = (target, again) else {
                self.note(&answer);
                return Ok(answer);
            };
            *next.url_mut() = target;
            request = next;
        }
        Err("it redirects again and again".into())
    }

    /// Sends a request with the proof that it needs, and once more where that lacked a nonce.
    async fn proven(&self, mut request: Request) -> Result<Answer, Fault> {
        let key = self.key().filter(|_| is_token_request(&request));
        let Some(key) = key else { return self.once(request).await };
        let again = request.try_clone();
        let nonce = self.notes.lock().nonce.clone();
        self.prove(&mut request, &key, nonce.as_deref())?;
        let answer = self.once(request).await?;
        let Some(nonce) = answer.headers.get(NONCE).and_then(|nonce| nonce.to_str().ok()) else {
            return Ok(answer);
        };
        self.notes.lock().nonce = Some(nonce.to_owned());
        match again {
            Some(mut again) if wants_nonce(&answer) => {
                self.prove(&mut again, &key, Some(nonce))?;
                self.once(again).await
            }
            _ => Ok(answer),
        }
    }

    fn prove(
        &self,
        request: &mut Request,
        key: &Key,
        nonce: Option<&str>,
    ) -> Result<(), AuthError> {
        let proof = key.proof((request.method(), request.url()), None, nonce)?;
        request.headers_mut().insert(PROOF, proof);
        Ok(())
    }

    async fn once(&self, request: Request) -> Result<Answer, Fault> {
        let url = request.url();
        if url.scheme() != "https" && !(url.scheme() == "http" && self.may_be_plain(url)) {
            return Err(format!("{} is no https: tokens do not go there", origin(url)).into());
        }
        if !self.reach.admits(url) {
            let origin = origin(url);
            return Err(format!("{origin} leads into a network that the server is not in").into());
        }
        self.clients.admit(url)?;
        let response = self.client.execute(request).await.map_err(reqwest::Error::without_url)?;
        read(response).await
    }

    fn may_be_plain(&self, url: &Url) -> bool {
        self.plain_http || is_loopback(url)
    }

    fn note(&self, answer: &Answer) {
        #[derive(Deserialize)]
        struct Described {
            resource: String,
            #[serde(default)]
            authorization_servers: Vec<String>,
        }
        if answer.status == StatusCode::OK
            && let Ok(described) = serde_json::from_slice::<Described>(&answer.body)
            && !described.authorization_servers.is_empty()
        {
            let mut notes = self.notes.lock();
            notes.described = true;
            // What comes after the first is not asked as a description, but may look like one.
            if notes.resource.is_none() && names(&described.resource, &self.server) {
                notes.resource = Some(described.resource);
            }
        }
    }
}

/// Whether the server at this URL may call itself so: by its own origin, and its own path or one above
/// it. A token for whatever else a document names would go to this server nevertheless (RFC 9728, 3.3;
/// RFC 8707, 2).
fn names(resource: &str, server: &Url) -> bool {
    let Ok(resource) = Url::parse(resource) else { return false };
    let whole =
        |rest: &str| rest.is_empty() || rest.starts_with('/') || resource.path().ends_with('/');
    resource.fragment().is_none()
        && resource.origin() == server.origin()
        && server.path().strip_prefix(resource.path()).is_some_and(whole)
}

/// A client with what is declared of the server's own, but for the certificate that it shows: that is
/// for the server. It keeps no connections.
fn client(settings: &ClientSettings, reach: Reach) -> reqwest::Result<Client> {
    let mut roots = Vec::new();
    for pem in &settings.roots {
        roots.extend(Certificate::from_pem_bundle(pem)?);
    }
    let mut builder = Client::builder()
        .user_agent(concat!("callboard/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(settings.connect_timeout)
        .timeout(LIMIT)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .pool_max_idle_per_host(0)
        .tls_certs_merge(roots)
        .tls_danger_accept_invalid_certs(!settings.verify);
    match &settings.proxy {
        // Which looks names up, and is where the host says what is reached.
        Some(proxy) => builder = builder.proxy(Proxy::all(proxy)?),
        None => builder = builder.dns_resolver(Arc::new(reach)),
    }
    builder.build()
}

fn encoded(form: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish()
}

/// A request for a token: the only one whose answer is bound to anything.
fn is_token_request(request: &Request) -> bool {
    let form = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    *request.method() == Method::POST
        && form.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"))
}

fn wants_nonce(answer: &Answer) -> bool {
    #[derive(Deserialize)]
    struct Refusal {
        error: String,
    }
    answer.status.is_client_error()
        && serde_json::from_slice(&answer.body)
            .is_ok_and(|refusal: Refusal| refusal.error == "use_dpop_nonce")
}

/// Where a redirect leads, if it stays where it is.
fn redirected(first: &Url, headers: &HeaderMap) -> Option<Url> {
    let location = headers.get(LOCATION)?.to_str().ok()?;
    first.join(location).ok().filter(|target| target.origin() == first.origin())
}

async fn read(mut response: Response) -> Result<Answer, Fault> {
    let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(reqwest::Error::without_url)? {
        if body.len() + chunk.len() > LARGEST {
            return Err(format!("it answers with more than {LARGEST} bytes").into());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status, headers, body })
}

impl OAuthHttpClient for Asker {
    fn execute(&self, request: OAuthHttpRequest) -> OAuthHttpClientFuture<'_> {
        Box::pin(async move {
            let policy = request.redirect_policy;
            let answer = self.send(Request::try_from(request.request)?, policy).await?;
            let mut response = http::Response::new(answer.body);
            *response.status_mut() = answer.status;
            *response.headers_mut() = answer.headers;
            Ok(response)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_called_by_its_own_address_or_one_above_it() {
        let server = Url::parse("https://mcp.example/team/mcp?x=1").unwrap();
        for own in [
            "https://mcp.example/team/mcp",
            "https://mcp.example:443/team/mcp?y=2",
            "https://mcp.example/team",
            "https://mcp.example/team/",
            "https://mcp.example/",
            "https://MCP.example",
        ] {
            assert!(names(own, &server), "{own}");
        }
        for strange in [
            "https://mcp.example/team/mcp/",
            "https://mcp.example/team/mcp/deeper",
            "https://mcp.example/team/m",
            "https://mcp.example/other",
            "http://mcp.example/team/mcp",
            "https://mcp.example:8443/team/mcp",
            "https://example/team/mcp",
            "https://mcp.example/team/mcp#part",
            "urn:mcp",
            "/team/mcp",
            "",
        ] {
            assert!(!names(strange, &server), "{strange}");
        }
    }
}
