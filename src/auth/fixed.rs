//! Tokens, keys and passwords that are declared.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};

use super::{Fixed, authority::Home};
use crate::{
    error::{SecretCause, SecretError},
    redactor::Source,
    secret::Secret,
};

impl Fixed {
    /// The header, with what its secret resolves to at this moment.
    pub(super) async fn resolve(
        &self,
        home: &Home,
    ) -> Result<(HeaderName, HeaderValue), SecretError> {
        match self {
            Self::Bearer(secret) => {
                let token = home.resolve(secret).await?;
                Ok((AUTHORIZATION, bearer(secret, &token)?))
            }
            Self::Key { header, secret } => {
                let key = home.resolve(secret).await?;
                let header = header.clone().unwrap_or(AUTHORIZATION);
                Ok((header, sensitive(secret, &key)?))
            }
            Self::Basic { user, password } => {
                let value = home.resolve(password).await?;
                let pair = pair(user, &value);
                home.learn(Source::Made(password.clone()), &pair);
                Ok((AUTHORIZATION, scheme(password, "Basic", &pair)?))
            }
        }
    }
}

fn bearer(secret: &Secret, token: &SecretString) -> Result<HeaderValue, SecretError> {
    scheme(secret, "Bearer", token)
}

fn scheme(secret: &Secret, name: &str, token: &SecretString) -> Result<HeaderValue, SecretError> {
    sensitive(secret, &SecretString::from(format!("{name} {}", token.expose_secret())))
}

/// User and password, as one (RFC 7617, 2).
pub(super) fn pair(user: &str, password: &SecretString) -> SecretString {
    let pair = SecretString::from(format!("{user}:{}", password.expose_secret()));
    SecretString::from(BASE64_STANDARD.encode(pair.expose_secret()))
}

/// A header that nobody prints.
pub(super) fn sensitive(secret: &Secret, value: &SecretString) -> Result<HeaderValue, SecretError> {
    let unfit = |_| SecretError { reference: secret.reference(), cause: SecretCause::Unfit };
    let mut header = HeaderValue::try_from(value.expose_secret()).map_err(unfit)?;
    header.set_sensitive(true);
    Ok(header)
}
