//! The HTTP clients of a runtime, and what they may reach.

use std::collections::HashMap;

use parking_lot::Mutex;
use reqwest::{Certificate, Client, Identity, Proxy, Url, redirect};

use super::failure::shared;
use crate::{
    error::HttpError,
    spec::{ClientSettings, Dialect, Http, origin},
};

/// The clients of a runtime: one for each set of settings, so that servers that agree in them share
/// its connections.
#[derive(Default)]
pub(crate) struct Clients {
    /// Origins that may be reached; all, if there is no list.
    allowed: Option<Vec<String>>,
    built: Mutex<HashMap<ClientSettings, Client>>,
    /// What was learnt about URLs. About URLs, and not origins: a gateway speaks for many servers.
    learnt: Mutex<HashMap<String, Dialect>>,
}

/// About how many URLs something is kept.
const LEARNT: usize = 4096;

impl Clients {
    /// Clients that reach these URLs' origins only. What is no URL allows nothing.
    pub(crate) fn limited_to(urls: &[String]) -> Self {
        let origins = urls.iter().filter_map(|url| Url::parse(url).ok()).map(|url| origin(&url));
        Self { allowed: Some(origins.collect()), ..Self::default() }
    }

    /// Refuses a URL of an origin that is not allowed, before its name is resolved.
    pub(crate) fn admit(&self, url: &Url) -> Result<(), HttpError> {
        let origin = origin(url);
        match &self.allowed {
            Some(allowed) if !allowed.contains(&origin) => Err(HttpError::NotAllowed { origin }),
            Some(_) | None => Ok(()),
        }
    }

    /// The client for a declared server.
    pub(crate) fn client(&self, http: &Http) -> Result<Client, HttpError> {
        if let Some(given) = &http.given {
            return Ok(given.clone());
        }
        if let Some(built) = self.built.lock().get(&http.client) {
            return Ok(built.clone());
        }
        let client =
            build(&http.client).map_err(|error| HttpError::Settings { source: shared(error) })?;
        Ok(self.built.lock().entry(http.client.clone()).or_insert(client).clone())
    }

    /// How a URL was spoken to last.
    pub(crate) fn known(&self, url: &str) -> Option<Dialect> {
        self.learnt.lock().get(url).copied()
    }

    pub(crate) fn learn(&self, url: &str, dialect: Dialect) {
        let mut learnt = self.learnt.lock();
        if learnt.len() < LEARNT || learnt.contains_key(url) {
            learnt.insert(url.to_owned(), dialect);
        }
    }

    /// What was believed of it may be what was wrong.
    pub(crate) fn forget(&self, url: &str) {
        self.learnt.lock().remove(url);
    }

    /// Drops the clients, and with them the connections that nobody uses.
    pub(crate) fn close(&self) {
        let built = std::mem::take(&mut *self.built.lock());
        drop(built);
    }
}

impl std::fmt::Debug for Clients {
    /// Without the URLs, which may hold what nobody should read.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Clients").field("allowed", &self.allowed).finish_non_exhaustive()
    }
}

fn build(settings: &ClientSettings) -> reqwest::Result<Client> {
    let mut roots = Vec::new();
    for pem in &settings.roots {
        roots.extend(Certificate::from_pem_bundle(pem)?);
    }
    let mut builder = Client::builder()
        .user_agent(concat!("callboard/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(settings.connect_timeout)
        .pool_idle_timeout(settings.keep_alive)
        .tcp_nodelay(true)
        .gzip(settings.compression)
        .brotli(settings.compression)
        .zstd(settings.compression)
        // Redirects are ours to follow: to the same origin only.
        .redirect(redirect::Policy::none())
        // The variables of the environment are not.
        .no_proxy()
        .tls_certs_merge(roots)
        .tls_danger_accept_invalid_certs(!settings.verify);
    if let Some(proxy) = &settings.proxy {
        builder = builder.proxy(Proxy::all(proxy)?);
    }
    if let Some(identity) = &settings.identity {
        builder = builder.identity(Identity::from_pem(identity)?);
    }
    builder.build()
}
