//! The HTTP clients of a runtime, and what they may reach.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use reqwest::{Certificate, Identity, Proxy, Url, redirect};

use super::{
    client::{Client, USER_AGENT},
    connect::{Connector, Fault, fault},
    failure::shared,
    pool::Pool,
    tasks::Tasks,
    tls::Trust,
};
use crate::{
    error::HttpError,
    spec::{ClientSettings, Dialect, Http, origin},
};

/// The clients of a runtime: one for each set of settings, so that servers that agree in them share
/// its connections.
pub(crate) struct Clients {
    /// Origins that may be reached; all, if there is no list.
    allowed: Option<Vec<String>>,
    tasks: Arc<Tasks>,
    built: Mutex<HashMap<ClientSettings, Built>>,
    /// What was learnt about URLs. About URLs, and not origins: a gateway speaks for many servers.
    learnt: Mutex<HashMap<String, Dialect>>,
}

#[derive(Debug, Clone)]
enum Built {
    Direct(Arc<Direct>),
    Proxied(reqwest::Client),
}

/// The pools of servers that are reached without a proxy, by origin.
#[derive(Debug)]
struct Direct {
    trust: Trust,
    pools: Mutex<HashMap<String, Arc<Pool>>>,
}

/// About how many URLs something is kept.
const LEARNT: usize = 4096;

impl Clients {
    /// Clients that reach the origins of these URLs only, if there is such a list. What is no URL
    /// allows nothing.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, which the connections are going to be of.
    pub(crate) fn new(allowed: Option<Vec<String>>) -> Self {
        let parsed = |urls: Vec<String>| {
            urls.iter().filter_map(|url| Url::parse(url).ok()).map(|url| origin(&url)).collect()
        };
        Self {
            allowed: allowed.map(parsed),
            tasks: Arc::new(Tasks::new()),
            built: Mutex::default(),
            learnt: Mutex::default(),
        }
    }

    /// Refuses a URL of an origin that is not allowed, before its name is resolved.
    pub(crate) fn admit(&self, url: &Url) -> Result<(), HttpError> {
        let origin = origin(url);
        match &self.allowed {
            Some(allowed) if !allowed.contains(&origin) => Err(HttpError::NotAllowed { origin }),
            Some(_) | None => Ok(()),
        }
    }

    /// The client for a declared server at this URL.
    pub(crate) fn client(&self, http: &Http, url: &Url) -> Result<Client, HttpError> {
        if let Some(given) = &http.given {
            return Ok(Client::Foreign(given.0.as_ref().clone()));
        }
        let settings = |source| HttpError::Settings { source };
        match self.built(&http.client).map_err(settings)? {
            Built::Proxied(client) => Ok(Client::Foreign(client)),
            Built::Direct(direct) => {
                let pool = direct.pool(&http.client, url, &self.tasks).map_err(settings)?;
                Ok(Client::Direct { pool, compression: http.client.compression })
            }
        }
    }

    fn built(&self, settings: &ClientSettings) -> Result<Built, Fault> {
        if let Some(built) = self.built.lock().get(settings) {
            return Ok(built.clone());
        }
        let built = match &settings.proxy {
            Some(proxy) => Built::Proxied(proxied(settings, proxy).map_err(shared)?),
            None => {
                let trust = Trust::new(settings).map_err(fault)?;
                Built::Direct(Arc::new(Direct { trust, pools: Mutex::default() }))
            }
        };
        Ok(self.built.lock().entry(settings.clone()).or_insert(built).clone())
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

    /// Drops the clients, and returns when none of their connections is left.
    pub(crate) async fn close(&self) {
        let built = std::mem::take(&mut *self.built.lock());
        for built in built.into_values() {
            if let Built::Direct(direct) = built {
                let pools = std::mem::take(&mut *direct.pools.lock());
                pools.into_values().for_each(|pool| pool.close());
            }
        }
        self.tasks.end().await;
    }
}

impl Drop for Clients {
    /// Where nobody waited for the end.
    fn drop(&mut self) {
        self.tasks.abort();
    }
}

impl std::fmt::Debug for Clients {
    /// Without the URLs, which may hold what nobody should read.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Clients").field("allowed", &self.allowed).finish_non_exhaustive()
    }
}

impl Direct {
    fn pool(
        &self,
        settings: &ClientSettings,
        url: &Url,
        tasks: &Arc<Tasks>,
    ) -> Result<Arc<Pool>, Fault> {
        let origin = origin(url);
        if let Some(pool) = self.pools.lock().get(&origin) {
            return Ok(Arc::clone(pool));
        }
        let tls = match url.scheme() {
            "https" => Some(self.trust.config().map_err(fault)?),
            _ => None,
        };
        let connector = Connector::new(url, tls, settings.connect_timeout, Arc::clone(tasks))?;
        let pool = Pool::new(connector, settings.keep_alive, Arc::clone(tasks));
        let mut pools = self.pools.lock();
        // A host may meet any number of origins in its life: ports that are drawn anew, for one.
        let (kept, over): (HashMap<_, _>, _) =
            pools.drain().partition(|(_, pool)| Arc::strong_count(pool) > 1 || pool.is_open());
        *pools = kept;
        let pool = Arc::clone(pools.entry(origin).or_insert(pool));
        drop(pools);
        drop(over);
        Ok(pool)
    }
}

/// A client for servers behind a proxy.
fn proxied(settings: &ClientSettings, proxy: &str) -> reqwest::Result<reqwest::Client> {
    let mut roots = Vec::new();
    for pem in &settings.roots {
        roots.extend(Certificate::from_pem_bundle(pem)?);
    }
    let mut builder = reqwest::Client::builder()
        .user_agent(USER_AGENT)
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
        .proxy(Proxy::all(proxy)?)
        .tls_certs_merge(roots)
        .tls_danger_accept_invalid_certs(!settings.verify);
    if let Some(identity) = &settings.identity {
        builder = builder.identity(Identity::from_pem(identity)?);
    }
    builder.build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::StreamableHttp;

    #[tokio::test]
    async fn pools_of_origins_that_nobody_uses_any_more_are_not_kept() {
        let clients = Clients::new(None);
        let client = |port: u16| {
            let url = format!("http://127.0.0.1:{port}/mcp");
            let http = StreamableHttp::new(url.clone()).http;
            clients.client(&http, &url.parse().unwrap()).unwrap()
        };
        let used = client(1);
        for port in 2..100 {
            drop(client(port));
        }
        let Some(Built::Direct(direct)) = clients.built.lock().values().next().cloned() else {
            panic!("there is no proxy")
        };
        assert_eq!(direct.pools.lock().len(), 2, "the one in use, and the latest");
        let pool = direct.pools.lock().get("http://127.0.0.1:1").map(Arc::as_ptr);
        assert!(pool.is_some_and(|pool| matches!(&used, Client::Direct { pool: used, .. }
            if Arc::as_ptr(used) == pool)));
        clients.close().await;
    }
}
