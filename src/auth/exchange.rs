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
/// spent.
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
    ask(asker, &endpoint, &Proof::Client(&tokens.client), &form).await
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
    let origin = origin(endpoint);
    if answer.status.is_success() {
        // What it holds instead is not to be told: it may well be a token.
        return serde_json::from_slice(&answer.body).map_err(|_| AuthError::Refused {
            origin,
            code: "invalid answer".to_owned(),
            description: "there is no token in it".to_owned(),
        });
    }
    if answer.status.is_server_error() || answer.status.as_u16() == 429 {
        let source = format!("HTTP status {}", answer.status.as_u16());
        return Err(AuthError::Unavailable {
            origin,
            source: Box::<dyn std::error::Error + Send + Sync>::from(source).into(),
        });
    }
    let status = Refusal { error: answer.status.to_string(), error_description: String::new() };
    let refusal = serde_json::from_slice(&answer.body).unwrap_or(status);
    let description = refusal.error_description.chars().take(400).collect();
    Err(AuthError::Refused { origin, code: refusal.error, description })
}
