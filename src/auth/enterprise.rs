//! Enterprise-managed authorization: tokens by the identity of a user.

use oauth2::ClientSecret;
use reqwest::Url;
use rmcp::transport::auth::enterprise::{
    EmaAuthorizationServer, EmaClientAuthentication, EmaError, EmaExchangeRequest, EmaExchangeStage,
};
use secrecy::{ExposeSecret as _, SecretString};

use super::{
    exchange::{may_pass, unavailable},
    grant::{Obtained, Round, client},
    tokens::Granted,
};
use crate::{error::AuthError, secret::Secret};

/// Enterprise-managed authorization: the identity of a user, known to the identity provider of the
/// enterprise, is exchanged for an assertion (RFC 8693), and that for a token (RFC 7523).
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct EnterpriseManaged {
    issuer: String,
    token_url: String,
    provider_client: (String, Option<Secret>),
    id_token: Secret,
    client: (String, Option<Secret>),
    scopes: Vec<String>,
}

impl EnterpriseManaged {
    /// The identity provider: its issuer, where it gives tokens, the id of the client there; and the
    /// user's ID token from it, resolved for each token.
    pub fn new(
        issuer: impl Into<String>,
        token_url: impl Into<String>,
        client_id: impl Into<String>,
        id_token: Secret,
    ) -> Self {
        let client_id = client_id.into();
        Self {
            issuer: issuer.into(),
            token_url: token_url.into(),
            provider_client: (client_id.clone(), None),
            id_token,
            client: (client_id, None),
            scopes: Vec::new(),
        }
    }

    /// The secrets that a token is asked for with.
    pub(super) fn secrets(&self) -> Vec<&Secret> {
        let clients = [&self.provider_client.1, &self.client.1];
        [&self.id_token].into_iter().chain(clients.into_iter().flatten()).collect()
    }

    /// The secret of the client at the identity provider.
    pub fn provider_secret(mut self, secret: Secret) -> Self {
        self.provider_client.1 = Some(secret);
        self
    }

    /// The client at the server's own authorization server. Default: the same id, and no secret.
    pub fn client(mut self, id: impl Into<String>, secret: Option<Secret>) -> Self {
        self.client = (id.into(), secret);
        self
    }

    /// The scopes to ask for. Without any, those that the server wants.
    pub fn scopes(mut self, scopes: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    pub(super) fn declared_scopes(&self) -> &[String] {
        &self.scopes
    }
}

impl EnterpriseManaged {
    pub(super) async fn obtain(&self, round: &Round<'_>) -> Obtained {
        let id_token = round.home.resolve(&self.id_token).await?;
        let (provider_id, provider_secret) = &self.provider_client;
        let provider = EmaAuthorizationServer::new(&self.issuer, &self.token_url, provider_id)
            .with_client_authentication(shown(round, provider_secret.as_ref(), false).await?);
        let (id, secret) = &self.client;
        let in_body = round.found.takes_body && !round.found.takes_header;
        let own = &round.found;
        let own = EmaAuthorizationServer::new(&own.issuer, &own.token_endpoint, id)
            .with_client_authentication(shown(round, secret.as_ref(), in_body).await?);
        let resource = round.resource;
        let request = EmaExchangeRequest::new_with_id_token(
            provider,
            own,
            resource,
            id_token.expose_secret(),
        )
        .with_scopes(round.scope.split_whitespace());
        let token = request.exchange(round.asker, round.asker).await;
        let token = token.map_err(|error| self.error(error, &round.found.token_endpoint))?;
        let granted = Granted {
            access_token: SecretString::from(token.access_token.secret().clone()),
            token_type: None,
            expires_in: token.expires_in.map(|lifetime| lifetime.as_secs_f64()),
            refresh_token: None,
            scope: None,
        };
        Ok((granted, client(id, None, in_body)))
    }

    /// rmcp's errors hold no tokens.
    #[expect(clippy::wildcard_enum_match_arm, reason = "what else there is was ours to get right")]
    fn error(&self, error: EmaError, token_endpoint: &str) -> AuthError {
        let (description, origin) = (error.to_string(), |stage| {
            let provider = stage == EmaExchangeStage::IdentityProvider;
            let url = if provider { &self.token_url } else { token_endpoint };
            Url::parse(url).map_or_else(|_| url.to_owned(), |url| crate::spec::origin(&url))
        });
        match error {
            EmaError::InvalidGrant(stage) => refused(origin(stage), ("invalid_grant", description)),
            EmaError::InsufficientUserAuthentication(stage) => {
                refused(origin(stage), ("insufficient_user_authentication", description))
            }
            EmaError::OAuthRejected { stage, status, code } if is_refusal(status, code) => {
                refused(origin(stage), (code, description))
            }
            EmaError::InvalidResponse { message, .. } if !is_garbage(message) => {
                AuthError::Unusable { detail: description }
            }
            // A server that fails, or somebody in between.
            EmaError::OAuthRejected { stage, .. }
            | EmaError::RequestFailed(stage)
            | EmaError::InvalidResponse { stage, .. } => unavailable(origin(stage), description),
            _ => AuthError::Unusable { detail: description },
        }
    }
}

fn refused(origin: String, (code, description): (&str, String)) -> AuthError {
    AuthError::Refused { origin, code: code.to_owned(), description }
}

/// Whether an answer refuses, and will again. Of an error that rmcp does not know it has a sentence,
/// as of an answer without any; only where somebody in between is not likely, that counts.
fn is_refusal(status: u16, code: &str) -> bool {
    let known = !code.contains(' ');
    !may_pass(code) && (status == 400 || matches!(status, 401 | 403) && known)
}

/// Whether what rmcp says of an answer may be true of one by somebody in between, or may pass.
fn is_garbage(message: &str) -> bool {
    message.contains("token response")
        || message.contains("too large")
        || message.contains("expired")
}

/// A secret, the way that it is to be shown.
async fn shown(
    round: &Round<'_>,
    secret: Option<&Secret>,
    in_body: bool,
) -> Result<EmaClientAuthentication, AuthError> {
    let Some(secret) = secret else { return Ok(EmaClientAuthentication::None) };
    let secret = round.home.resolve(secret).await?;
    let secret = ClientSecret::new(secret.expose_secret().to_owned());
    Ok(match in_body {
        true => EmaClientAuthentication::ClientSecretPost(secret),
        false => EmaClientAuthentication::ClientSecretBasic(secret),
    })
}
