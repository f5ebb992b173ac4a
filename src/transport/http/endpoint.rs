//! One server behind a URL, as one link sees it: requests out, answers in.

use std::time::Duration;

use reqwest::{
    Body, Client, Method, Request, Response, StatusCode, Url,
    header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION},
};

use super::{
    clients::Clients,
    events::{Cursor, EventStream},
    failure::{self, Failure, shared},
};
use crate::{
    error::{Delivery, HttpError},
    spec::{Http, origin},
};

pub(crate) const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";

/// How many redirects of one request are followed.
const REDIRECTS: usize = 5;

/// How much is read of an answer that is an error.
const ERROR_BODY: usize = 64 << 10;

/// How long the end of an HTTP session may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// A server behind a URL.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    client: Client,
    url: Url,
    origin: String,
    /// What was declared.
    headers: HeaderMap,
    /// The same, and what every message is posted with.
    message_headers: HeaderMap,
    max_frame: usize,
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
    pub(crate) fn new(http: &Http, clients: &Clients, max_frame: usize) -> Result<Self, HttpError> {
        let url = match Url::parse(&http.url) {
            Ok(url) => url,
            // The session would not have been opened.
            Err(_) => {
                return Err(HttpError::NotAllowed { origin: "a URL that is none".to_owned() });
            }
        };
        clients.admit(&url)?;
        let client = clients.client(http)?;
        let mut message_headers = http.headers.clone();
        message_headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
        let both = HeaderValue::from_static("application/json, text/event-stream");
        message_headers.insert(ACCEPT, both);
        let (origin, headers) = (origin(&url), http.headers.clone());
        Ok(Self { client, url, origin, headers, message_headers, max_frame })
    }

    /// The same server at another URL of its origin, absolute or relative.
    pub(crate) fn at(&self, reference: &str) -> Result<Self, HttpError> {
        match self.url.join(reference) {
            Ok(url) if url.origin() == self.url.origin() => Ok(Self { url, ..self.clone() }),
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
    pub(crate) async fn post(&self, message: Vec<u8>, own: HeaderMap) -> Result<Answered, Failure> {
        let headers = joined(&self.message_headers, own);
        let response = self.send(Method::POST, headers, Some(message)).await?;
        self.answered(response).await
    }

    /// Asks for the stream of what the server says of its own accord, from the cursor on.
    pub(crate) async fn listen(
        &self,
        own: HeaderMap,
        cursor: &Cursor,
    ) -> Result<Answered, Failure> {
        let mut headers = joined(&self.headers, own);
        headers.insert(ACCEPT, HeaderValue::from_static(EVENTS));
        if let Some(id) = &cursor.last_event_id {
            headers.insert(LAST_EVENT_ID, id.clone());
        }
        let response = self.send(Method::GET, headers, None).await?;
        self.answered(response).await
    }

    /// Tells the server that the HTTP session is over. It may not care (status 405), or be gone.
    pub(crate) async fn farewell(&self, own: HeaderMap) {
        let deletion = self.send(Method::DELETE, joined(&self.headers, own), None);
        drop(tokio::time::timeout(FAREWELL, deletion).await);
    }

    /// Sends a request, and follows redirects within the origin.
    async fn send(
        &self,
        method: Method,
        headers: HeaderMap,
        message: Option<Vec<u8>>,
    ) -> Result<Response, Failure> {
        let message = message.map(bytes::Bytes::from);
        let mut url = self.url.clone();
        for _ in 0..=REDIRECTS {
            let mut request = Request::new(method.clone(), url.clone());
            *request.headers_mut() = headers.clone();
            *request.body_mut() = message.clone().map(Body::from);
            let response = self.client.execute(request).await;
            let response = response.map_err(|error| Failure::of_request(&self.origin, error))?;
            if !is_redirect(&method, response.status()) {
                return Ok(response);
            }
            url = self.redirected(&url, response.headers())?;
        }
        Err(self.not_followed(format!("itself, more than {REDIRECTS} times")))
    }

    fn redirected(&self, url: &Url, headers: &HeaderMap) -> Result<Url, Failure> {
        let location = headers.get(LOCATION).and_then(|location| location.to_str().ok());
        let Some(target) = location.and_then(|location| url.join(location).ok()) else {
            return Err(self.not_followed("no URL".to_owned()));
        };
        if target.origin() == self.url.origin() {
            return Ok(target);
        }
        Err(self.not_followed(origin(&target)))
    }

    fn not_followed(&self, to: String) -> Failure {
        // Whoever redirects a request has not carried it out (RFC 9110, 15.4).
        Failure::new(HttpError::Redirected { origin: self.origin(), to }, Delivery::NotSent)
    }

    async fn answered(&self, mut response: Response) -> Result<Answered, Failure> {
        let status = response.status();
        let headers = std::mem::take(response.headers_mut());
        let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
        let content = if !status.is_success() {
            let body = self.error_body(response).await;
            Content::Refused { status, body }
        } else if is_kind(kind, EVENTS) {
            Content::Stream(Box::new(EventStream::new(&self.origin, response, self.max_frame)))
        } else if is_kind(kind, JSON) && status != StatusCode::ACCEPTED {
            Content::Message(self.body(response).await?)
        } else if matches!(status, StatusCode::ACCEPTED | StatusCode::NO_CONTENT)
            || response.content_length() == Some(0)
        {
            // Read to its end, for the connection to be used again.
            self.error_body(response).await;
            Content::Accepted
        } else {
            let found = String::from_utf8_lossy(kind).into_owned();
            let found = if found.is_empty() { "no content type".to_owned() } else { found };
            let error = HttpError::ContentType { origin: self.origin(), found };
            return Err(Failure::new(error, Delivery::Answered));
        };
        Ok(Answered { headers, content })
    }

    /// Reads a message to its end.
    async fn body(&self, mut response: Response) -> Result<Vec<u8>, Failure> {
        let expected = response.content_length().and_then(|length| usize::try_from(length).ok());
        let mut body = Vec::new();
        if expected.is_some_and(|length| length <= self.max_frame) {
            body.reserve_exact(expected.unwrap_or_default());
        }
        loop {
            let chunk = response.chunk().await.map_err(|error| self.broken(error))?;
            let Some(chunk) = chunk else { return Ok(body) };
            if body.len() + chunk.len() > self.max_frame {
                let limit = self.max_frame;
                return Err(Failure::maybe_sent(HttpError::TooLarge {
                    origin: self.origin(),
                    limit,
                }));
            }
            body.extend_from_slice(&chunk);
        }
    }

    /// As much as came of the body of an error: the status says enough.
    async fn error_body(&self, mut response: Response) -> Vec<u8> {
        let mut body = Vec::new();
        while let Ok(Some(chunk)) = response.chunk().await {
            body.extend_from_slice(&chunk[..chunk.len().min(ERROR_BODY - body.len())]);
            if body.len() >= ERROR_BODY {
                break;
            }
        }
        body
    }

    fn broken(&self, error: reqwest::Error) -> Failure {
        let origin = self.origin();
        Failure::maybe_sent(HttpError::Broken { origin, source: shared(error) })
    }

    /// What a status that is no answer says.
    pub(crate) fn refusal(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) -> HttpError {
        failure::status(&self.origin, status.as_u16(), headers, body)
    }

    pub(crate) fn ended(&self) -> HttpError {
        HttpError::Ended { origin: self.origin() }
    }
}

fn joined(common: &HeaderMap, own: HeaderMap) -> HeaderMap {
    let mut headers = common.clone();
    headers.extend(own);
    headers
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
