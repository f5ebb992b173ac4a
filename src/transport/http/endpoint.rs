//! One server behind a URL, as one link sees it: requests out, answers in.

use std::{future::poll_fn, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    Method, Response, StatusCode,
    header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION},
};
use http_body::Body as _;
use reqwest::Url;

use super::{
    body::{Body, BodyError},
    client::Client,
    clients::Clients,
    events::{Cursor, EventStream},
    failure::{self, Failure},
    pool::Asked,
    target::Target,
};
use crate::{
    auth::Authority,
    error::{AuthError, Delivery, HttpError},
    redactor::Redactor,
    spec::{Http, origin},
    transport::Departure,
};

pub(crate) const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";

/// How many redirects of one request are followed.
const REDIRECTS: usize = 5;

/// How often a request is sent, where the server wants other authorization for it each time: a token,
/// a nonce for its proof, more scopes.
const ATTEMPTS: usize = 4;

/// How much is read of an answer that is an error.
const ERROR_BODY: usize = 64 << 10;

/// How long the end of an HTTP session may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// A server behind a URL.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    client: Client,
    url: Url,
    target: Target,
    origin: String,
    /// What was declared, and what goes without saying.
    headers: HeaderMap,
    /// The same, and what every message is posted with.
    message_headers: HeaderMap,
    max_frame: usize,
    authority: Arc<Authority>,
    redactor: Redactor,
}

/// What a link shows its server, and what is kept from everybody else.
#[derive(Debug)]
pub(crate) struct Access {
    /// Declared headers that hold secrets.
    pub(crate) headers: HeaderMap,
    pub(crate) authority: Arc<Authority>,
    pub(crate) redactor: Redactor,
}

/// The answer to a request.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) headers: HeaderMap,
    pub(crate) content: Content,
}

#[derive(Debug)]
pub(crate) enum Content {
    /// Nothing: it was taken.
    Accepted,
    /// One message.
    Message(Vec<u8>),
    /// As many messages as come.
    Stream(Box<EventStream>),
    /// A status that is an error, and what stood in the body.
    Refused { status: StatusCode, body: Vec<u8> },
}

impl Endpoint {
    pub(crate) fn new(
        http: &Http,
        clients: &Clients,
        max_frame: usize,
        access: Access,
    ) -> Result<Self, HttpError> {
        let url = match Url::parse(&http.url) {
            Ok(url) => url,
            // The session would not have been opened.
            Err(_) => {
                return Err(HttpError::NotAllowed { origin: "a URL that is none".to_owned() });
            }
        };
        clients.admit(&url)?;
        let client = clients.client(http, &url)?;
        let target = target(&url)?;
        let mut headers = client.headers();
        headers.extend(http.headers.clone());
        let Access { headers: secret, authority, redactor } = access;
        headers.extend(secret);
        let mut message_headers = headers.clone();
        message_headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
        let both = HeaderValue::from_static("application/json, text/event-stream");
        message_headers.insert(ACCEPT, both);
        let origin = origin(&url);
        Ok(Self {
            client,
            url,
            target,
            origin,
            headers,
            message_headers,
            max_frame,
            authority,
            redactor,
        })
    }

    /// The same server at another URL of its origin, absolute or relative.
    pub(crate) fn at(&self, reference: &str) -> Result<Self, HttpError> {
        match self.url.join(reference) {
            Ok(url) if url.origin() == self.url.origin() => {
                Ok(Self { target: target(&url)?, url, ..self.clone() })
            }
            Ok(url) => Err(HttpError::Endpoint { origin: self.origin(), found: origin(&url) }),
            Err(error) => {
                Err(HttpError::Endpoint { origin: self.origin(), found: error.to_string() })
            }
        }
    }

    pub(crate) fn origin(&self) -> String {
        self.origin.clone()
    }

    /// Posts a message, with the headers that are its own.
    /// Its departure is noted before anything of it leaves.
    pub(crate) async fn post(
        &self,
        message: Vec<u8>,
        own: HeaderMap,
        departure: &Departure,
    ) -> Result<Answered, Failure> {
        let letter = (Bytes::from(message), departure);
        let response = self.send(Method::POST, (&self.message_headers, own), letter).await?;
        self.answered(response).await
    }

    /// Asks for the stream of what the server says of its own accord, from the cursor on.
    pub(crate) async fn listen(
        &self,
        mut own: HeaderMap,
        cursor: &Cursor,
    ) -> Result<Answered, Failure> {
        own.insert(ACCEPT, HeaderValue::from_static(EVENTS));
        if let Some(id) = &cursor.last_event_id {
            own.insert(LAST_EVENT_ID, id.clone());
        }
        let nothing = (Bytes::new(), &Departure::default());
        let response = self.send(Method::GET, (&self.headers, own), nothing).await?;
        self.answered(response).await
    }

    /// Tells the server that the HTTP session is over. It may not care (status 405), or be gone.
    pub(crate) async fn farewell(&self, own: HeaderMap) {
        let departure = Departure::default();
        let nothing = (Bytes::new(), &departure);
        let deletion = self.send(Method::DELETE, (&self.headers, own), nothing);
        drop(tokio::time::timeout(FAREWELL, deletion).await);
    }

    /// Sends a request with what authorizes it; again, where the server wants something else, and
    /// that can be had.
    async fn send(
        &self,
        method: Method,
        (common, own): (&HeaderMap, HeaderMap),
        (message, departure): (Bytes, &Departure),
    ) -> Result<Response<Body>, Failure> {
        if self.authority.is_silent() {
            return self.exchange(method, (common, own), (message, departure)).await;
        }
        let mut attempt = 1;
        loop {
            let permit = self.authority.permit((&method, &self.url)).await;
            let permit = permit.map_err(|error| self.unauthorized(error, Delivery::NotSent))?;
            let own = joined(&own, &permit.headers);
            let letter = (message.clone(), departure);
            let response = self.exchange(method.clone(), (common, own), letter).await?;
            let answer = (response.status(), response.headers());
            let fared = self.authority.fared(&permit, answer).await;
            let again = fared.map_err(|error| self.unauthorized(error, Delivery::Answered))?;
            if !again || attempt == ATTEMPTS {
                return Ok(response);
            }
            // Read to its end, for the connection to be used again.
            self.error_body(response.into_body()).await;
            attempt += 1;
        }
    }

    fn unauthorized(&self, error: Arc<AuthError>, delivery: Delivery) -> Failure {
        Failure::new(HttpError::Unauthorized { origin: self.origin(), error }, delivery)
    }

    /// Sends a request, and follows redirects within the origin.
    async fn exchange(
        &self,
        method: Method,
        (common, own): (&HeaderMap, HeaderMap),
        (message, departure): (Bytes, &Departure),
    ) -> Result<Response<Body>, Failure> {
        let mut redirected = None;
        for _ in 0..=REDIRECTS {
            let (url, target) = match &redirected {
                Some((url, target)) => (url, target),
                None => (&self.url, &self.target),
            };
            let asked = || {
                departure.note();
                let (headers, body) = (joined(common, &own), message.clone());
                Asked { method: method.clone(), headers, body }
            };
            let response = self.client.send((url, target), asked).await?;
            if !is_redirect(&method, response.status()) {
                return Ok(response);
            }
            redirected = Some(self.redirected(url, response.headers())?);
        }
        Err(self.not_followed(format!("itself, more than {REDIRECTS} times")))
    }

    fn redirected(&self, url: &Url, headers: &HeaderMap) -> Result<(Url, Target), Failure> {
        let location = headers.get(LOCATION).and_then(|location| location.to_str().ok());
        let url = location.and_then(|location| url.join(location).ok());
        let Some((url, target)) = url.and_then(|url| Some((url.clone(), Target::new(&url).ok()?)))
        else {
            return Err(self.not_followed("no URL".to_owned()));
        };
        if url.origin() == self.url.origin() {
            return Ok((url, target));
        }
        Err(self.not_followed(origin(&url)))
    }

    fn not_followed(&self, to: String) -> Failure {
        // Whoever redirects a request has not carried it out (RFC 9110, 15.4).
        Failure::new(HttpError::Redirected { origin: self.origin(), to }, Delivery::NotSent)
    }

    async fn answered(&self, response: Response<Body>) -> Result<Answered, Failure> {
        let (head, body) = response.into_parts();
        let (status, headers) = (head.status, head.headers);
        let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
        let content = if !status.is_success() {
            let body = self.error_body(body).await;
            Content::Refused { status, body }
        } else if is_kind(kind, EVENTS) {
            Content::Stream(Box::new(EventStream::new(&self.origin, body, self.max_frame)))
        } else if is_kind(kind, JSON) && status != StatusCode::ACCEPTED {
            Content::Message(self.body(body).await?)
        } else if matches!(status, StatusCode::ACCEPTED | StatusCode::NO_CONTENT)
            || body.length() == Some(0)
        {
            // Read to its end, for the connection to be used again.
            self.error_body(body).await;
            Content::Accepted
        } else {
            let found = self.redactor.redact(&String::from_utf8_lossy(kind)).into_owned();
            let found = if found.is_empty() { "no content type".to_owned() } else { found };
            let error = HttpError::ContentType { origin: self.origin(), found };
            return Err(Failure::new(error, Delivery::Answered));
        };
        Ok(Answered { headers, content })
    }

    /// Reads a message to its end.
    async fn body(&self, mut body: Body) -> Result<Vec<u8>, Failure> {
        let mut message = Vec::new();
        if let Some(length) = body.length().filter(|length| *length <= self.max_frame) {
            message.reserve_exact(length);
        }
        while let Some(chunk) = next_chunk(&mut body).await {
            let chunk = chunk.map_err(|error| self.broken(error))?;
            if message.len() + chunk.len() > self.max_frame {
                let limit = self.max_frame;
                return Err(Failure::maybe_sent(HttpError::TooLarge {
                    origin: self.origin(),
                    limit,
                }));
            }
            message.extend_from_slice(&chunk);
        }
        Ok(message)
    }

    /// As much as came of the body of an error: the status says enough.
    async fn error_body(&self, mut body: Body) -> Vec<u8> {
        let mut read = Vec::new();
        while let Some(Ok(chunk)) = next_chunk(&mut body).await {
            read.extend_from_slice(&chunk[..chunk.len().min(ERROR_BODY - read.len())]);
            if read.len() >= ERROR_BODY {
                break;
            }
        }
        read
    }

    fn broken(&self, error: BodyError) -> Failure {
        let origin = self.origin();
        Failure::maybe_sent(HttpError::Broken { origin, source: Arc::new(error) })
    }

    /// What a status that is no answer says.
    pub(crate) fn refusal(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) -> HttpError {
        failure::status(&self.origin, status.as_u16(), headers, (body, &self.redactor))
    }

    pub(crate) fn ended(&self) -> HttpError {
        HttpError::Ended { origin: self.origin() }
    }
}

fn target(url: &Url) -> Result<Target, HttpError> {
    Target::new(url).map_err(|error| HttpError::Settings { source: Arc::new(error) })
}

fn joined(common: &HeaderMap, own: &HeaderMap) -> HeaderMap {
    let mut headers = common.clone();
    for (name, value) in own {
        headers.insert(name, value.clone());
    }
    headers
}

/// The next piece of a body; none at its end.
async fn next_chunk(body: &mut Body) -> Option<Result<Bytes, BodyError>> {
    loop {
        let frame = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await?;
        match frame.map(http_body::Frame::into_data) {
            Ok(Ok(chunk)) => return Some(Ok(chunk)),
            // Trailers, which nobody reads.
            Ok(Err(_)) => {}
            Err(error) => return Some(Err(error)),
        }
    }
}

/// Whether a redirect may be followed: not by a method that would change on the way.
fn is_redirect(method: &Method, status: StatusCode) -> bool {
    match status {
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => true,
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND | StatusCode::SEE_OTHER => {
            *method == Method::GET
        }
        _ => false,
    }
}

fn is_kind(found: &[u8], wanted: &str) -> bool {
    found.get(..wanted.len()).is_some_and(|start| start.eq_ignore_ascii_case(wanted.as_bytes()))
}
