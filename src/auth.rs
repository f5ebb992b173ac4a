//! Who we are to a server behind a URL.

mod authority;
mod fixed;

#[cfg(feature = "oauth")]
mod address;
#[cfg(feature = "oauth")]
mod challenge;
#[cfg(feature = "oauth")]
mod discovery;
#[cfg(feature = "oauth")]
mod dpop;
#[cfg(feature = "oauth")]
mod enterprise;
#[cfg(feature = "oauth")]
mod exchange;
#[cfg(feature = "oauth")]
mod grant;
#[cfg(feature = "oauth")]
mod holder;
#[cfg(feature = "oauth")]
mod http;
#[cfg(feature = "oauth")]
mod jwt;
#[cfg(feature = "oauth")]
mod login;
#[cfg(feature = "oauth")]
mod loopback;
#[cfg(feature = "oauth")]
mod oauth;
#[cfg(feature = "oauth")]
mod store;
#[cfg(feature = "oauth")]
mod tokens;

use reqwest::header::{AUTHORIZATION, HeaderName};

use crate::secret::Secret;

pub(crate) use authority::Authority;
#[cfg(feature = "oauth")]
pub use enterprise::EnterpriseManaged;
#[cfg(feature = "oauth")]
pub(crate) use grant::Declared;
#[cfg(feature = "oauth")]
pub use grant::{ClientCredentials, JwtBearer};
#[cfg(feature = "oauth")]
pub use login::Login;
#[cfg(feature = "oauth")]
pub use oauth::OAuth;
#[cfg(all(feature = "oauth", feature = "keyring"))]
pub use store::KeyringTokenStore;
#[cfg(feature = "oauth")]
pub use store::{FileTokenStore, MemoryTokenStore, StoreFuture, StoreLock, TokenKey, TokenStore};

/// How a server behind a URL is shown who we are: see
/// [`StreamableHttp::auth`](crate::StreamableHttp::auth).
///
/// A client certificate is not one of these but a matter of the connection:
/// [`client_certificate`](crate::StreamableHttp::client_certificate).
#[derive(Debug, Clone, PartialEq)]
pub struct Auth(pub(crate) Kind);

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    Fixed(Fixed),
    #[cfg(feature = "oauth")]
    Grant(Box<Declared>),
}

/// What stays as it is, until the secret behind it changes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fixed {
    Bearer(Secret),
    Key { header: Result<HeaderName, String>, secret: Secret },
    Basic { user: String, password: Secret },
}

impl Auth {
    /// `Authorization: Bearer …` (RFC 6750) with every request. When the server refuses it, the
    /// secret is resolved again, once: another value is tried.
    pub fn bearer(token: Secret) -> Self {
        Self(Kind::Fixed(Fixed::Bearer(token)))
    }

    /// A key in this header, such as `X-API-Key`, with every request. A refused one is looked up
    /// again, as [`bearer`](Self::bearer) is.
    pub fn api_key(header: impl AsRef<str>, key: Secret) -> Self {
        let header = header.as_ref();
        let header = HeaderName::try_from(header).map_err(|_| header.to_owned());
        Self(Kind::Fixed(Fixed::Key { header, secret: key }))
    }

    /// `Authorization: Basic …` (RFC 7617) with every request. A refused password is looked up
    /// again, as [`bearer`](Self::bearer) is.
    pub fn basic(user: impl Into<String>, password: Secret) -> Self {
        Self(Kind::Fixed(Fixed::Basic { user: user.into(), password }))
    }

    /// OAuth 2.1 client credentials: the program itself is who is authorized, and nobody logs in.
    #[cfg(feature = "oauth")]
    pub fn client_credentials(credentials: ClientCredentials) -> Self {
        Self(Kind::Grant(Box::new(Declared::ClientCredentials(credentials))))
    }

    /// A token for an assertion that the workload was given by its platform (RFC 7523, 2.1).
    #[cfg(feature = "oauth")]
    pub fn jwt_bearer(bearer: JwtBearer) -> Self {
        Self(Kind::Grant(Box::new(Declared::JwtBearer(bearer))))
    }

    /// Enterprise-managed authorization: the identity provider of the enterprise decides, and nobody
    /// is asked (MCP, extension enterprise-managed-authorization).
    #[cfg(feature = "oauth")]
    pub fn enterprise_managed(managed: EnterpriseManaged) -> Self {
        Self(Kind::Grant(Box::new(Declared::Enterprise(managed))))
    }

    /// OAuth 2.1 with a person who logs in once: see [`OAuth`].
    #[cfg(feature = "oauth")]
    pub fn oauth(oauth: OAuth) -> Self {
        Self(Kind::Grant(Box::new(Declared::Person(oauth))))
    }

    /// The header that it is shown in, as it was declared.
    pub(crate) fn header(&self) -> Result<HeaderName, String> {
        match &self.0 {
            Kind::Fixed(Fixed::Key { header, .. }) => header.clone(),
            Kind::Fixed(Fixed::Bearer(_) | Fixed::Basic { .. }) => Ok(AUTHORIZATION),
            #[cfg(feature = "oauth")]
            Kind::Grant(_) => Ok(AUTHORIZATION),
        }
    }

    /// The secret that stays as it is, until what is behind it changes.
    pub(crate) fn secret(&self) -> Option<&Secret> {
        match &self.0 {
            Kind::Fixed(Fixed::Bearer(secret) | Fixed::Key { secret, .. }) => Some(secret),
            Kind::Fixed(Fixed::Basic { password, .. }) => Some(password),
            #[cfg(feature = "oauth")]
            Kind::Grant(_) => None,
        }
    }

    /// The secrets that a token is asked for with.
    pub(crate) fn granted(&self) -> Vec<&Secret> {
        match &self.0 {
            Kind::Fixed(_) => Vec::new(),
            #[cfg(feature = "oauth")]
            Kind::Grant(declared) => declared.secrets(),
        }
    }

    /// Keeps the tokens of a login where those of this one are kept, if nothing is said of it.
    #[cfg(feature = "oauth")]
    pub(crate) fn keep_in(&mut self, other: &OAuth) {
        if let Kind::Grant(declared) = &mut self.0
            && let Declared::Person(oauth) = &mut **declared
            && oauth.store.is_none()
        {
            oauth.store.clone_from(&other.store);
            oauth.folder.clone_from(&other.folder);
        }
    }
}
