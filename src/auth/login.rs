//! A person logs in: the host shows a URL, and hears where the browser was sent back to.

use std::{collections::HashMap, fmt, sync::Arc};

use reqwest::Url;
use rmcp::transport::auth::{AuthorizationRequest, AuthorizationSession};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::oneshot;

use super::{
    OAuth,
    discovery::{Discovered, Found, discover, quietly, unusable},
    dpop::Key,
    grant::Declared,
    holder::Holder,
    http::Asker,
    loopback::Loopback,
    tokens::{Client, Granted, Tokens},
};
use crate::{connection::Connection, error::AuthError, redactor::Source, status::Phase};

/// A login that a person is to go through: see [`Server::login`](crate::Server::login).
///
/// The host shows [`url`](Self::url), or opens it in a browser; this crate never does. The browser
/// is sent back to the redirect URI: [`wait`](Self::wait) hears it there, or the person copies that
/// URL, and it goes to [`finish`](Self::finish). Then the server's connection goes on by itself.
///
/// Dropping it gives the login up.
pub struct Login {
    url: String,
    loopback: Option<Loopback>,
    round: Arc<Round>,
}

/// One way to the authorization server and back.
struct Round {
    holder: Arc<Holder>,
    connection: Arc<Connection>,
    session: AuthorizationSession,
    asker: Asker,
    found: Found,
    client: Client,
    requested: Vec<String>,
    /// What only the answer to our own question has.
    state: String,
    requires_issuer: bool,
}

impl Login {
    /// Prepares a login: finds out where, registers the client if it has to be, and listens where the
    /// browser is going to come back to.
    pub(crate) async fn begin(
        holder: Arc<Holder>,
        connection: Arc<Connection>,
    ) -> Result<Self, Arc<AuthError>> {
        match Self::prepare(Arc::clone(&holder), connection).await {
            Ok(login) => Ok(login),
            Err(error) => Err(holder.told(error)),
        }
    }

    async fn prepare(holder: Arc<Holder>, connection: Arc<Connection>) -> Result<Self, AuthError> {
        let Declared::Person(declared) = &holder.declared else { return Err(AuthError::NoLogin) };
        let mut state = holder.lock().await;
        // A person takes a while, and tokens are renewed meanwhile.
        let asker = holder.asker(&mut state)?.apart();
        let challenge = state.challenge.clone();
        let wanted = state.wanted.clone();
        drop(state);
        let discovered = discover(&asker, &holder.url, challenge.text.as_deref()).await?;
        discovered.check_pkce()?;
        let (loopback, redirect_uri) = back(declared).await?;
        if challenge.scheme == "dpop" {
            asker.bind(Key::generate()?);
        }
        let scopes = scopes(declared, &discovered, wanted).await;
        let Discovered { mut manager, metadata, found, .. } = discovered;
        let client = identity(
            (&holder, declared),
            &mut manager,
            (&metadata, &found),
            (&redirect_uri, &scopes),
        )
        .await?;
        let mut request = AuthorizationRequest::new(&redirect_uri)
            .with_preregistered_client(&client.id)
            .with_scopes(&scopes)
            .with_initial_scope_selection();
        if let Some(secret) = &client.secret {
            request = request.with_client_secret(secret.expose_secret());
        }
        let session = quietly(AuthorizationSession::new(manager, request)).await;
        let session = session.map_err(|(_, error)| unusable(&holder.url, error))?;
        let url = session.get_authorization_url().to_owned();
        let (state, requested) = asked(&url)?;
        let requires_issuer = metadata
            .additional_fields
            .get("authorization_response_iss_parameter_supported")
            .and_then(serde_json::Value::as_bool)
            .unwrap_or_default();
        let round = Round {
            holder,
            connection,
            session,
            asker,
            found,
            client,
            requested,
            state,
            requires_issuer,
        };
        Ok(Self { url, loopback, round: Arc::new(round) })
    }

    /// The URL that the person has to open.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Waits until the browser comes back to the redirect URI, and finishes the login. Answers that
    /// are to other questions than ours are passed over.
    ///
    /// # Errors
    ///
    /// As [`finish`](Self::finish); [`AuthError::LoginFailed`] if the redirect URI is not on this
    /// machine.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before the browser has come back has no effect.
    pub async fn wait(&self) -> Result<(), Arc<AuthError>> {
        let failed = |detail: String| Arc::new(AuthError::LoginFailed { detail });
        let Some(loopback) = &self.loopback else {
            return Err(failed("the redirect URI is not on this machine: use finish".to_owned()));
        };
        loop {
            let visit = loopback.visit().await.map_err(|error| failed(error.to_string()))?;
            if answer(&visit.url).get("state") != Some(&self.round.state) {
                visit.refuse().await;
                continue;
            }
            let outcome = self.finish(visit.url.as_str()).await;
            match outcome {
                Ok(()) => visit.thank().await,
                Err(_) => visit.refuse().await,
            }
            return outcome;
        }
    }

    /// Finishes the login with the URL that the browser was sent back to. When this returns, the
    /// tokens are kept, and the connection goes on.
    ///
    /// # Errors
    ///
    /// [`AuthError::LoginFailed`] if the login was denied, or the URL is no answer to this login or
    /// not from its authorization server; [`AuthError::Refused`] or [`AuthError::Unavailable`] if no
    /// token is given for it; [`AuthError::Store`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not keep the login from being finished.
    pub async fn finish(&self, redirect_url: &str) -> Result<(), Arc<AuthError>> {
        let (tell, told) = oneshot::channel();
        let (round, url) = (Arc::clone(&self.round), redirect_url.to_owned());
        let scope = &self.round.holder.home.scope;
        scope.tasks.spawn(&scope.span, async move {
            let outcome = round.finish(&url).await.map_err(|error| round.holder.told(error));
            drop(tell.send(outcome));
        });
        let lost =
            |_| Arc::new(AuthError::LoginFailed { detail: "the session has ended".to_owned() });
        told.await.map_err(lost)?
    }
}

impl Round {
    async fn finish(&self, url: &str) -> Result<(), AuthError> {
        self.check(url)?;
        let exchanged = quietly(self.session.handle_callback_url(url)).await;
        let response =
            exchanged.map_err(|error| AuthError::LoginFailed { detail: error.to_string() })?;
        let invalid = |_| AuthError::LoginFailed { detail: "its answer is no token".to_owned() };
        let response = serde_json::to_value(&response).map_err(invalid)?;
        let granted: Granted = serde_json::from_value(response).map_err(invalid)?;
        let bound =
            granted.token_type.as_deref().is_some_and(|kind| kind.eq_ignore_ascii_case("dpop"));
        let tokens = Tokens {
            expiry: granted.expiry(),
            scopes: granted.scopes().unwrap_or_else(|| self.requested.clone()),
            access: granted.access_token,
            refresh: granted.refresh_token,
            client: self.client.clone(),
            resource: self.asker.resource().unwrap_or_else(|| self.holder.url.to_string()),
            issuer: self.found.issuer.clone(),
            token_endpoint: self.found.token_endpoint.clone(),
            key: self.asker.key().filter(|_| bound),
        };
        self.holder.accept(tokens, self.requested.clone()).await?;
        self.connection.forget_answers();
        if matches!(self.connection.status().phase, Phase::AuthRequired | Phase::Failed) {
            crate::connection::actor::restart(&self.connection);
        }
        Ok(())
    }

    /// Whether a URL is the answer to this login, and a good one (RFC 9207; RFC 6749, 4.1.2).
    fn check(&self, url: &str) -> Result<(), AuthError> {
        let failed = |detail: &str| Err(AuthError::LoginFailed { detail: detail.to_owned() });
        let Ok(url) = Url::parse(url) else { return failed("that is no URL") };
        let answer = answer(&url);
        if answer.get("state") != Some(&self.state) {
            return failed("that URL is no answer to this login");
        }
        let issuer = Some(&self.found.issuer).filter(|issuer| !issuer.is_empty());
        // Character by character. What somebody else has to say about it is not shown.
        match (answer.get("iss"), issuer) {
            (Some(said), known) if Some(said) != known => {
                return failed("the answer is from another authorization server");
            }
            (None, _) if self.requires_issuer => {
                return failed("the answer does not say which authorization server it is from");
            }
            _ => {}
        }
        let Some(error) = answer.get("error") else { return Ok(()) };
        let about = answer.get("error_description").map(|text| format!(": {text}"));
        failed(&format!("denied, {error}{}", about.unwrap_or_default()))
    }
}

/// Where the browser comes back to.
async fn back(declared: &OAuth) -> Result<(Option<Loopback>, String), AuthError> {
    let failed = |detail: String| AuthError::LoginFailed { detail };
    let bound = match &declared.redirect_uri {
        None => Some(Loopback::anywhere().await),
        Some(uri) => {
            let uri = Url::parse(uri).map_err(|error| failed(format!("redirect URI: {error}")))?;
            Loopback::at(&uri).await
        }
    };
    let loopback = bound
        .transpose()
        .map_err(|error| failed(format!("cannot listen at the redirect URI: {error}")))?;
    let uri = match (&declared.redirect_uri, &loopback) {
        (None, Some(loopback)) => loopback.redirect_uri().to_string(),
        (declared, _) => declared.clone().unwrap_or_default(),
    };
    Ok((loopback, uri))
}

/// More than before, where the server wants that; else what is declared, else what the server wants.
async fn scopes(declared: &OAuth, discovered: &Discovered, wanted: Vec<String>) -> Vec<String> {
    if !wanted.is_empty() {
        return wanted;
    }
    if !declared.scopes.is_empty() {
        return declared.scopes.clone();
    }
    discovered.manager.select_initial_scopes(&[]).await
}

/// Who we are to the authorization server: as registered by hand, by a document, before, or now.
async fn identity(
    (holder, declared): (&Holder, &OAuth),
    manager: &mut rmcp::transport::auth::AuthorizationManager,
    (metadata, found): (&rmcp::transport::auth::AuthorizationMetadata, &Found),
    (redirect_uri, scopes): (&str, &[String]),
) -> Result<Client, AuthError> {
    let in_body = found.takes_body && !found.takes_header;
    let known =
        |id: &str, secret| Client { id: id.to_owned(), secret, in_body, redirect_uri: None };
    if let Some((id, secret)) = declared.by_hand(&holder.home).await? {
        return Ok(known(&id, secret));
    }
    let documents = metadata.additional_fields.get("client_id_metadata_document_supported");
    if let Some(url) = &declared.metadata_url
        && documents.and_then(serde_json::Value::as_bool) == Some(true)
    {
        return Ok(known(url, None));
    }
    if let Some(client) = holder.registered(&found.issuer, redirect_uri).await {
        return Ok(client);
    }
    let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
    let registered = manager.register_client(&declared.client_name, redirect_uri, &scopes);
    let registered = quietly(registered).await.map_err(|error| unusable(&holder.url, error))?;
    let secret = registered.client_secret.map(SecretString::from);
    if let Some(secret) = &secret {
        holder.home.learn(Source::Had("client secret"), secret);
    }
    let redirect_uri = Some(redirect_uri.to_owned());
    Ok(Client { id: registered.client_id, secret, in_body, redirect_uri })
}

/// What the authorization URL asks: its state, and its scopes.
fn asked(url: &str) -> Result<(String, Vec<String>), AuthError> {
    let unfit = |detail: String| AuthError::Unusable { detail };
    let url = Url::parse(url).map_err(|error| unfit(error.to_string()))?;
    let mut asked = answer(&url);
    let state = asked.remove("state").ok_or_else(|| unfit("there is no state".to_owned()))?;
    let scopes = asked.remove("scope").unwrap_or_default();
    Ok((state, scopes.split_whitespace().map(str::to_owned).collect()))
}

/// The parameters of a URL; the first, where one stands there twice.
fn answer(url: &Url) -> HashMap<String, String> {
    let mut parameters = HashMap::new();
    for (name, value) in url.query_pairs() {
        parameters.entry(name.into_owned()).or_insert(value.into_owned());
    }
    parameters
}

impl fmt::Debug for Login {
    /// Without the URL, which only the person needs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("server", &self.round.holder.home.server)
            .finish_non_exhaustive()
    }
}
