//! Where a server's tokens come from, found out by rmcp's `auth` module.

use std::sync::Arc;

use reqwest::Url;
use rmcp::transport::auth::{
    AuthError as RmcpError, AuthorizationManager, AuthorizationMetadata,
    AuthorizationMetadataSource,
};
use tracing::{instrument::WithSubscriber as _, subscriber::NoSubscriber};

use super::http::Asker;
use crate::{error::AuthError, spec::origin};

/// What matters of an authorization server.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// Empty if it was not said.
    pub(super) issuer: String,
    pub(super) token_endpoint: String,
    pub(super) takes_header: bool,
    pub(super) takes_body: bool,
}

/// An authorization server, and rmcp's manager of it.
pub(super) struct Discovered {
    pub(super) manager: AuthorizationManager,
    pub(super) metadata: AuthorizationMetadata,
    /// Whether its endpoints are a guess, as servers of 2025-03-26 want it.
    pub(super) guessed: bool,
    pub(super) found: Found,
}

/// Asks the server's metadata, and the authorization server's.
pub(super) async fn discover(
    asker: &Asker,
    url: &Url,
    challenge: Option<&str>,
) -> Result<Discovered, AuthError> {
    let manager =
        AuthorizationManager::new_with_oauth_http_client(url.clone(), Arc::new(asker.clone()));
    let mut manager = quietly(manager).await.map_err(|error| unusable(url, error))?;
    let resolved = quietly(manager.resolve_metadata_from_challenge(challenge)).await;
    let resolved = resolved.map_err(|error| unusable(url, error))?;
    let guessed = resolved.source == AuthorizationMetadataSource::LegacyEndpointFallback;
    // From 2025-06-18 on servers describe themselves, and nobody guesses (MCP 2025-06-18,
    // basic/authorization). One that points to a description has one, too.
    let describes =
        asker.is_described() || challenge.is_some_and(|text| text.contains("resource_metadata"));
    if guessed && describes {
        let detail = "it names authorization servers, but none of them has metadata".to_owned();
        return Err(AuthError::Unusable { detail });
    }
    let metadata = resolved.metadata;
    manager.set_metadata(metadata.clone());
    let found = Found::of(&metadata);
    Ok(Discovered { manager, metadata, guessed, found })
}

impl Found {
    fn of(metadata: &AuthorizationMetadata) -> Self {
        let methods = metadata.additional_fields.get("token_endpoint_auth_methods_supported");
        let methods = methods.and_then(serde_json::Value::as_array);
        let takes = |method: &str| {
            methods.is_some_and(|methods| methods.iter().any(|one| one.as_str() == Some(method)))
        };
        Self {
            issuer: metadata.issuer.clone().unwrap_or_default(),
            token_endpoint: metadata.token_endpoint.clone(),
            // What holds where nothing is said (RFC 8414, 2).
            takes_header: methods.is_none() || takes("client_secret_basic"),
            takes_body: takes("client_secret_post"),
        }
    }
}

impl Discovered {
    /// Refuses an authorization server that does not say that it checks PKCE by S256 (MCP 2026-07-28,
    /// basic/authorization/security-considerations).
    pub(super) fn check_pkce(&self) -> Result<(), AuthError> {
        let methods = self.metadata.code_challenge_methods_supported.as_deref().unwrap_or_default();
        if self.guessed || methods.iter().any(|method| method == "S256") {
            return Ok(());
        }
        let detail = "its authorization server does not say that it checks PKCE by S256".to_owned();
        Err(AuthError::Unusable { detail })
    }
}

/// Without what rmcp writes into traces on the way, codes among it.
pub(super) async fn quietly<T>(work: impl Future<Output = T>) -> T {
    work.with_subscriber(NoSubscriber::default()).await
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "what is not about the network is about what the server says"
)]
pub(super) fn unusable(url: &Url, error: RmcpError) -> AuthError {
    match error {
        RmcpError::DiscoveryRequestFailed { url, source } => {
            let origin = Url::parse(url.as_str()).map(|url| origin(&url)).unwrap_or_default();
            AuthError::Unavailable { origin, source: source.into() }
        }
        RmcpError::HttpError(error) => {
            AuthError::Unavailable { origin: origin(url), source: Arc::new(error.without_url()) }
        }
        error => AuthError::Unusable { detail: error.to_string() },
    }
}
