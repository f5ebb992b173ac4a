//! What gives every request to a server its authorization.

use std::{fmt, sync::Arc};

use reqwest::{
    Method, StatusCode, Url,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use secrecy::SecretString;
use tokio::sync::Mutex;

#[cfg(feature = "oauth")]
use super::holder::Holder;
use super::{Auth, Fixed, Kind, fixed::sensitive};
use crate::{
    connection::SessionScope,
    error::{AuthError, SecretError},
    redactor::{Owner, Source},
    secret::Secret,
    spec::Http,
};

/// What gives every request to one server its authorization; lives as long as its connection, across
/// all its links.
pub(crate) struct Authority {
    home: Home,
    headers: Vec<(HeaderName, Secret)>,
    way: Way,
}

enum Way {
    None,
    Fixed(Box<(Fixed, Mutex<Current>)>),
    #[cfg(feature = "oauth")]
    Held(Arc<Holder>),
}

/// A declared secret, as it was resolved last.
#[derive(Default)]
struct Current {
    header: Option<(HeaderName, HeaderValue)>,
    serial: u64,
    /// How often it was resolved.
    looks: u64,
}

/// The session and the server that secrets belong to.
#[derive(Clone)]
pub(crate) struct Home {
    pub(crate) scope: Arc<SessionScope>,
    pub(crate) server: Arc<str>,
}

/// What a request may show.
#[derive(Debug, Default)]
pub(crate) struct Permit {
    pub(crate) headers: HeaderMap,
    /// Which of those that there have been; 0 is none.
    pub(crate) serial: u64,
    /// How often it had been looked up when this was given.
    pub(super) looks: u64,
}

impl Home {
    pub(crate) async fn resolve(&self, secret: &Secret) -> Result<SecretString, SecretError> {
        self.scope.resolve(secret, Some(&self.server)).await
    }

    /// Has what was made of a secret redacted, too.
    pub(crate) fn learn(&self, source: Source, value: &SecretString) {
        let owner = Owner { server: Some(Arc::clone(&self.server)), source };
        self.scope.secrets.redactor.learn(owner, value);
    }
}

impl Authority {
    pub(crate) fn new(http: &Http, scope: &Arc<SessionScope>, server: &Arc<str>) -> Self {
        let home = Home { scope: Arc::clone(scope), server: Arc::clone(server) };
        let way = match &http.auth {
            None => Way::None,
            Some(Auth(Kind::Fixed(fixed))) => {
                Way::Fixed(Box::new((fixed.clone(), Mutex::default())))
            }
            #[cfg(feature = "oauth")]
            Some(Auth(Kind::Grant(declared))) => match Url::parse(&http.url) {
                Ok(url) => Way::Held(Arc::new(Holder::new(home.clone(), (http, url), declared))),
                // The session would not have been opened.
                Err(_) => Way::None,
            },
        };
        Self { home, headers: http.secret_headers.clone(), way }
    }

    /// Prepares for a new link: what is declared is resolved again. Returns the declared headers
    /// that hold secrets.
    pub(crate) async fn renew(&self) -> Result<HeaderMap, SecretError> {
        let mut headers = HeaderMap::new();
        for (name, secret) in &self.headers {
            let value = self.home.resolve(secret).await?;
            headers.append(name.clone(), sensitive(secret, &value)?);
        }
        if let Way::Fixed(fixed) = &self.way {
            let (fixed, current) = &**fixed;
            let header = fixed.resolve(&self.home).await?;
            current.lock().await.set(header);
        }
        Ok(headers)
    }

    /// Whether there is nothing to show but declared headers.
    pub(crate) fn is_silent(&self) -> bool {
        matches!(self.way, Way::None)
    }

    /// What the next request may show.
    #[cfg_attr(
        not(feature = "oauth"),
        expect(unused_variables, reason = "only what is bound to a request looks at it")
    )]
    pub(crate) async fn permit(&self, request: (&Method, &Url)) -> Result<Permit, Arc<AuthError>> {
        match &self.way {
            Way::None => Ok(Permit::default()),
            Way::Fixed(fixed) => Ok(fixed.1.lock().await.permit()),
            #[cfg(feature = "oauth")]
            Way::Held(holder) => holder.permit(request).await,
        }
    }

    #[cfg_attr(
        not(feature = "oauth"),
        expect(unused_variables, reason = "only OAuth has challenges in headers")
    )]
    /// Is told how a request fared, and says whether it should be sent again with another permit.
    pub(crate) async fn fared(
        &self,
        permit: &Permit,
        (status, headers): (StatusCode, &HeaderMap),
    ) -> Result<bool, Arc<AuthError>> {
        match &self.way {
            Way::None => Ok(false),
            Way::Fixed(fixed) if status == StatusCode::UNAUTHORIZED => {
                let (fixed, current) = &**fixed;
                let mut current = current.lock().await;
                if current.serial == permit.serial && current.looks == permit.looks {
                    let header = fixed.resolve(&self.home).await.map_err(AuthError::from)?;
                    current.set(header);
                }
                // Whoever was refused besides has the same answer.
                Ok(current.serial != permit.serial)
            }
            Way::Fixed(_) => Ok(false),
            #[cfg(feature = "oauth")]
            Way::Held(holder) => holder.fared(permit, (status, headers)).await,
        }
    }

    /// Whoever holds tokens that a person has to log in for.
    #[cfg(feature = "oauth")]
    pub(crate) fn holder(&self) -> Option<&Arc<Holder>> {
        if let Way::Held(holder) = &self.way { Some(holder) } else { None }
    }
}

impl Current {
    fn permit(&self) -> Permit {
        let headers = self.header.clone().into_iter().collect();
        Permit { headers, serial: self.serial, looks: self.looks }
    }

    fn set(&mut self, header: (HeaderName, HeaderValue)) {
        self.looks += 1;
        if self.header.as_ref() != Some(&header) {
            self.serial += 1;
            self.header = Some(header);
        }
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("server", &self.home.server).finish_non_exhaustive()
    }
}
