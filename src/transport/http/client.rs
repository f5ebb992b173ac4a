//! What carries the requests to one origin.

use std::sync::Arc;

use http::{
    HeaderMap, HeaderValue, Response,
    header::{ACCEPT_ENCODING, HOST, USER_AGENT as USER_AGENT_NAME},
};
use reqwest::Url;

use super::{
    body::Body,
    decode::{OFFERED, decoded},
    failure::Failure,
    pool::{Asked, Pool},
    target::Target,
};
use crate::{error::HttpError, spec::origin};

pub(crate) const USER_AGENT: &str = concat!("callboard/", env!("CARGO_PKG_VERSION"));

/// For about how many headers a request has room from the start.
const ROOM: usize = 12;

/// What carries the requests to one origin.
#[derive(Debug, Clone)]
pub(crate) enum Client {
    /// Connections of our own.
    Direct { pool: Arc<Pool>, compression: bool },
    /// The host's own client, or one that goes through a proxy.
    Foreign(reqwest::Client),
}

impl Client {
    /// What every request says besides, unless it says otherwise.
    pub(crate) fn headers(&self) -> HeaderMap {
        // With room for what a message adds: a copy of the map has it, too.
        let mut headers = HeaderMap::with_capacity(ROOM);
        if let Self::Direct { pool, compression } = self {
            headers.insert(HOST, pool.host());
            headers.insert(USER_AGENT_NAME, HeaderValue::from_static(USER_AGENT));
            if *compression {
                headers.insert(ACCEPT_ENCODING, OFFERED);
            }
        }
        headers
    }

    /// Sends a request, and returns when the head of the answer is there.
    pub(crate) async fn send(
        &self,
        (url, target): (&Url, &Target),
        asked: impl Fn() -> Asked + Send + Sync,
    ) -> Result<Response<Body>, Failure> {
        match self {
            Self::Direct { pool, compression } => {
                let (head, body) = pool.send(target, asked).await?.into_parts();
                let body =
                    if *compression { decoded(&head.headers, body) } else { Body::Direct(body) };
                Ok(Response::from_parts(head, body))
            }
            Self::Foreign(client) => {
                let asked = asked();
                let mut request = reqwest::Request::new(asked.method, url.clone());
                *request.headers_mut() = asked.headers;
                let body = Some(asked.body).filter(|body| !body.is_empty());
                *request.body_mut() = body.map(reqwest::Body::from);
                // Boxed, for it is large, and not what is usual.
                let response = Box::pin(client.execute(request)).await;
                let response =
                    response.map_err(|error| Failure::of_request(&origin(url), error))?;
                // It may follow redirects by itself, and what came is somebody else's word then.
                if response.url().origin() != url.origin() {
                    let (origin, to) = (origin(url), origin(response.url()));
                    return Err(Failure::maybe_sent(HttpError::Redirected { origin, to }));
                }
                Ok(Response::<reqwest::Body>::from(response).map(Body::Foreign))
            }
        }
    }
}
