//! Grants: how a token is come by without a person.

use std::{fmt, sync::Arc};

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use super::{
    OAuth,
    authority::Home,
    discovery::Found,
    enterprise::EnterpriseManaged,
    exchange::{Proof, ask, endpoint},
    http::Asker,
    jwt::{Signer, unique},
    oauth::ByHand,
    store::TokenStore,
    tokens::{Client, Granted, Tokens, now},
};
use crate::{
    error::{AuthError, SecretError},
    secret::Secret,
};

/// What is declared.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Declared {
    ClientCredentials(ClientCredentials),
    JwtBearer(JwtBearer),
    Enterprise(EnterpriseManaged),
    Person(OAuth),
}

impl Declared {
    /// The secrets that a token is asked for with.
    pub(crate) fn secrets(&self) -> Vec<&Secret> {
        match self {
            Self::ClientCredentials(declared) => match &declared.proof {
                Credential::Secret(secret, _) | Credential::Key(secret) => vec![secret],
            },
            Self::JwtBearer(declared) => vec![&declared.assertion],
            Self::Enterprise(declared) => declared.secrets(),
            Self::Person(declared) => {
                declared.client.iter().filter_map(|(_, secret)| secret.as_ref()).collect()
            }
        }
    }
}

/// OAuth 2.1 client credentials (RFC 6749, 4.4): the program itself is who is authorized.
///
/// The token is renewed before it ends, and when the server refuses it.
#[derive(Clone, PartialEq)]
#[must_use]
pub struct ClientCredentials {
    id: String,
    proof: Credential,
    token_url: Option<String>,
    scopes: Vec<String>,
    resource: Option<String>,
    audience: Option<String>,
}

#[derive(Clone, PartialEq)]
enum Credential {
    /// In a header or in the body; as the authorization server says, where it is not declared.
    Secret(Secret, Option<bool>),
    Key(Secret),
}

impl ClientCredentials {
    /// The client's id and secret. They are shown in a header (`client_secret_basic`), or in the body
    /// where the authorization server takes only that.
    pub fn new(id: impl Into<String>, secret: Secret) -> Self {
        Self::of(id.into(), Credential::Secret(secret, None))
    }

    /// The client's id, and the private key (PEM: P-256, P-384, Ed25519 or RSA) that it signs with who
    /// it is (`private_key_jwt`; RFC 7523, 2.2).
    pub fn private_key(id: impl Into<String>, key: Secret) -> Self {
        Self::of(id.into(), Credential::Key(key))
    }

    fn of(id: String, proof: Credential) -> Self {
        Self { id, proof, token_url: None, scopes: Vec::new(), resource: None, audience: None }
    }

    /// Shows the secret in a header (`client_secret_basic`), whatever the authorization server says.
    pub fn secret_in_header(mut self) -> Self {
        if let Credential::Secret(_, in_body) = &mut self.proof {
            *in_body = Some(false);
        }
        self
    }

    /// Shows the secret in the body (`client_secret_post`), whatever the authorization server says.
    pub fn secret_in_body(mut self) -> Self {
        if let Credential::Secret(_, in_body) = &mut self.proof {
            *in_body = Some(true);
        }
        self
    }

    /// Where tokens are given. Without this it is found out from the server's metadata, once the
    /// server has refused a request.
    pub fn token_url(mut self, url: impl Into<String>) -> Self {
        self.token_url = Some(url.into());
        self
    }

    /// The scopes to ask for. Without any, those that the server wants.
    pub fn scopes(mut self, scopes: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// Whom the token is for (RFC 8707). Default: what the server calls itself, or its URL.
    pub fn resource(mut self, resource: impl Into<String>) -> Self {
        self.resource = Some(resource.into());
        self
    }

    /// Whom a signed statement is for, where that is not the issuer, or the token URL.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }
}

#[cfg(feature = "config")]
impl ClientCredentials {
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Its secret, if it has no private key instead.
    pub(crate) fn secret(&self) -> Option<&Secret> {
        match &self.proof {
            Credential::Secret(secret, _) => Some(secret),
            Credential::Key(_) => None,
        }
    }

    pub(crate) fn declared_token_url(&self) -> Option<&str> {
        self.token_url.as_deref()
    }

    pub(crate) fn declared_resource(&self) -> Option<&str> {
        self.resource.as_deref()
    }

    /// Where its secret is shown, if that is declared.
    pub(crate) fn declared_in_body(&self) -> Option<bool> {
        if let Credential::Secret(_, in_body) = &self.proof { *in_body } else { None }
    }

    pub(crate) fn has_audience(&self) -> bool {
        self.audience.is_some()
    }
}

impl fmt::Debug for ClientCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCredentials")
            .field("id", &self.id)
            .field("token_url", &self.token_url)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

/// A token for an assertion that the workload was given by its platform (RFC 7523, 2.1; MCP draft on
/// workload identity federation). A refused assertion is not tried again.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct JwtBearer {
    assertion: Secret,
    client_id: Option<String>,
    scopes: Vec<String>,
}

impl JwtBearer {
    /// The assertion, such as `Secret::file("/var/run/secrets/…/token")`; resolved for each token.
    pub fn new(assertion: Secret) -> Self {
        Self { assertion, client_id: None, scopes: Vec::new() }
    }

    /// The id of the client, where the authorization server wants to be told.
    pub fn client_id(mut self, id: impl Into<String>) -> Self {
        self.client_id = Some(id.into());
        self
    }

    /// The scopes to ask for. Without any, those that the server wants.
    pub fn scopes(mut self, scopes: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.scopes = scopes.into_iter().map(Into::into).collect();
        self
    }
}

impl Declared {
    /// Whether a token is come by without a person.
    pub(super) fn is_headless(&self) -> bool {
        !matches!(self, Self::Person(_))
    }

    pub(crate) fn scopes(&self) -> &[String] {
        match self {
            Self::ClientCredentials(declared) => &declared.scopes,
            Self::JwtBearer(declared) => &declared.scopes,
            Self::Enterprise(declared) => declared.declared_scopes(),
            Self::Person(declared) => &declared.scopes,
        }
    }

    pub(super) fn store(&self) -> Option<Arc<dyn TokenStore>> {
        if let Self::Person(declared) = self { declared.store.clone() } else { None }
    }

    /// The client of a person that was registered by hand, with its secret as it is at this moment.
    pub(super) async fn by_hand(&self, home: &Home) -> Result<Option<ByHand>, SecretError> {
        if let Self::Person(declared) = self { declared.by_hand(home).await } else { Ok(None) }
    }

    /// What is known of the authorization server without asking.
    pub(super) fn found(&self) -> Option<Found> {
        let Self::ClientCredentials(ClientCredentials { token_url: Some(url), .. }) = self else {
            return None;
        };
        let issuer = String::new();
        Some(Found { issuer, token_endpoint: url.clone(), takes_header: true, takes_body: true })
    }

    /// Asks for a token.
    pub(super) async fn obtain(
        &self,
        home: &Home,
        (asker, found): (&Asker, &Found),
        (resource, scopes): (&str, &[String]),
    ) -> Result<Tokens, AuthError> {
        let round = Round { home, asker, found, resource, scope: scopes.join(" ") };
        let (granted, client) = match self {
            Self::ClientCredentials(declared) => declared.obtain(&round).await?,
            Self::JwtBearer(declared) => declared.obtain(&round).await?,
            Self::Enterprise(declared) => declared.obtain(&round).await?,
            Self::Person(_) => return Err(AuthError::NoLogin),
        };
        Ok(Tokens {
            expiry: granted.expiry(),
            scopes: granted.scopes().unwrap_or_else(|| scopes.to_vec()),
            access: granted.access_token,
            refresh: None,
            client,
            resource: resource.to_owned(),
            issuer: found.issuer.clone(),
            token_endpoint: found.token_endpoint.clone(),
            key: asker.key(),
        })
    }
}

/// One request for a token.
pub(super) struct Round<'a> {
    pub(super) home: &'a Home,
    pub(super) asker: &'a Asker,
    pub(super) found: &'a Found,
    pub(super) resource: &'a str,
    pub(super) scope: String,
}

pub(super) type Obtained = Result<(Granted, Client), AuthError>;

impl Round<'_> {
    async fn ask(
        &self,
        proof: &Proof<'_>,
        mut form: Vec<(&str, &str)>,
    ) -> Result<Granted, AuthError> {
        let endpoint = endpoint(&self.found.token_endpoint)?;
        if !self.scope.is_empty() {
            form.push(("scope", &self.scope));
        }
        ask(self.asker, &endpoint, proof, &form).await
    }
}

pub(super) fn client(id: &str, secret: Option<SecretString>, in_body: bool) -> Client {
    Client { id: id.to_owned(), secret, in_body, redirect_uri: None }
}

impl ClientCredentials {
    async fn obtain(&self, round: &Round<'_>) -> Obtained {
        let resource = self.resource.as_deref().unwrap_or(round.resource);
        let form = vec![("grant_type", "client_credentials"), ("resource", resource)];
        match &self.proof {
            Credential::Secret(secret, declared) => {
                let in_body =
                    declared.unwrap_or(round.found.takes_body && !round.found.takes_header);
                let client = client(&self.id, Some(round.home.resolve(secret).await?), in_body);
                Ok((round.ask(&Proof::Client(&client), form).await?, client))
            }
            Credential::Key(key) => {
                let signer = Signer::from_pem(&round.home.resolve(key).await?)?;
                let proof = Proof::Statement(self.statement(&signer, round.found)?);
                Ok((round.ask(&proof, form).await?, client(&self.id, None, true)))
            }
        }
    }

    /// Who we are, signed (RFC 7523, 3).
    fn statement(&self, signer: &Signer, found: &Found) -> Result<SecretString, AuthError> {
        const VALID: u64 = 60;
        let issuer = Some(found.issuer.as_str()).filter(|issuer| !issuer.is_empty());
        let audience = self.audience.as_deref().or(issuer).unwrap_or(&found.token_endpoint);
        let seconds = now() / 1000;
        let claims = json!({
            "iss": self.id, "sub": self.id, "aud": audience, "jti": unique()?,
            "iat": seconds, "exp": seconds + VALID,
        });
        signer.sign(json!({ "typ": "JWT" }), &claims)
    }
}

impl JwtBearer {
    async fn obtain(&self, round: &Round<'_>) -> Obtained {
        let assertion = round.home.resolve(&self.assertion).await?;
        let mut form = vec![
            ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
            ("assertion", assertion.expose_secret()),
            ("resource", round.resource),
        ];
        form.extend(self.client_id.iter().map(|id| ("client_id", id.as_str())));
        let granted = round.ask(&Proof::Form, form).await?;
        Ok((granted, client(self.client_id.as_deref().unwrap_or_default(), None, true)))
    }
}
