//! Requests for tokens.

use reqwest::{
    Url,
    header::{AUTHORIZATION, HeaderMap, HeaderValue},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::{
    http::{Answer, Asker},
    tokens::{Client, Granted, Tokens},
};
use crate::{error::AuthError, spec::origin};

/// How a request for a token says whose it is.
pub(super) enum Proof<'a> {
    /// The secret of a client, or none.
    Client(&'a Client),
    /// Nothing but what is in the form.
    Form,
    /// A statement signed by it (RFC 7523, 2.2).
    Statement(SecretString),
}

/// Asks for a token.
pub(super) async fn ask(
    asker: &Asker,
    endpoint: &Url,
    proof: &Proof<'_>,
    form: &[(&str, &str)],
) -> Result<Granted, AuthError> {
    let mut form = form.to_vec();
    let mut headers = HeaderMap::new();
    match proof {
        Proof::Client(Client { id, secret: Some(secret), in_body: false, .. }) => {
            headers.insert(AUTHORIZATION, basic(id, secret)?);
        }
        Proof::Client(Client { id, secret, .. }) => {
            form.push(("client_id", id));
            form.extend(secret.iter().map(|secret| ("client_secret", secret.expose_secret())));
        }
        Proof::Form => {}
        Proof::Statement(statement) => {
            let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
            form.push(("client_assertion_type", kind));
            form.push(("client_assertion", statement.expose_secret()));
        }
    }
    granted(endpoint, asker.post_form(endpoint, headers, &form).await?)
}

/// Renews a token. Whoever gets the new one has to keep it before it is used: the old one may be
/// spent. It is refused only if it never will be renewed; anything else may pass.
pub(super) async fn refresh(asker: &Asker, tokens: &Tokens) -> Result<Granted, AuthError> {
    let Some(refresh) = &tokens.refresh else {
        return Err(AuthError::Unusable { detail: "there is nothing to renew it with".to_owned() });
    };
    let endpoint = endpoint(&tokens.token_endpoint)?;
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh.expose_secret()),
        ("resource", tokens.resource.as_str()),
    ];
    let granted = ask(asker, &endpoint, &Proof::Client(&tokens.client), &form).await;
    if let Err(AuthError::Refused { origin, code, description }) = &granted
        && !is_final(code)
    {
        return Err(unavailable(origin.clone(), format!("{code} {description}")));
    }
    granted
}

pub(super) fn endpoint(text: &str) -> Result<Url, AuthError> {
    Url::parse(text)
        .map_err(|error| AuthError::Unusable { detail: format!("its token endpoint: {error}") })
}

/// Id and secret, as forms are encoded (RFC 6749, 2.3.1).
fn basic(id: &str, secret: &SecretString) -> Result<HeaderValue, AuthError> {
    let encode =
        |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let encoded = SecretString::from(encode(secret.expose_secret()));
    let pair = super::fixed::pair(&encode(id), &encoded);
    let unfit = |_| AuthError::Unusable { detail: "the client's secret is no header".to_owned() };
    let mut value =
        HeaderValue::try_from(format!("Basic {}", pair.expose_secret())).map_err(unfit)?;
    value.set_sensitive(true);
    Ok(value)
}

fn granted(endpoint: &Url, answer: Answer) -> Result<Granted, AuthError> {
    #[derive(Deserialize)]
    struct Refusal {
        error: String,
        #[serde(default)]
        error_description: String,
    }
    let (origin, status) = (origin(endpoint), answer.status.as_u16());
    if answer.status.is_success()
        && let Ok(granted) = serde_json::from_slice(&answer.body)
    {
        return Ok(granted);
    }
    // The statuses of RFC 6749, 5.2, and those that some have besides. Whatever else there is, or has
    // no such error in it, may come from somebody in between.
    let refusal = matches!(status, 200 | 400 | 401 | 403)
        .then(|| serde_json::from_slice::<Refusal>(&answer.body).ok());
    match refusal.flatten() {
        Some(Refusal { error: code, .. }) if may_pass(&code) => Err(unavailable(origin, code)),
        Some(Refusal { error: code, error_description }) => {
            let description = error_description.chars().take(400).collect();
            Err(AuthError::Refused { origin, code, description })
        }
        // What it holds instead is not to be told: it may well be a token.
        None => Err(unavailable(origin, format!("HTTP status {status}, and no token"))),
    }
}

/// Whether an error says that a token that renews never will again (RFC 6749, 5.2; the last one is
/// GitHub's).
fn is_final(code: &str) -> bool {
    let codes = ["invalid_grant", "invalid_client", "unauthorized_client", "bad_refresh_token"];
    codes.contains(&code)
}

/// Whether an error says that asking again may help (RFC 6749, 4.1.2.1; RFC 8628, 3.5).
pub(super) fn may_pass(code: &str) -> bool {
    ["server_error", "temporarily_unavailable", "slow_down"].contains(&code)
}

pub(super) fn unavailable(origin: String, what: String) -> AuthError {
    let source = Box::<dyn std::error::Error + Send + Sync>::from(what).into();
    AuthError::Unavailable { origin, source }
}
