//! How a server is shown who we are, as it would stand in a file.

use serde_json::{Value as Json, json};

use super::written::{is_open, secret_or_variable};
use crate::{
    Auth,
    auth::{Fixed, Kind},
};

/// What of an authorization is not written, or not as it was.
pub(super) fn unwritten(auth: &Auth) -> Vec<String> {
    if write(auth).is_null() {
        return vec!["its auth".to_owned()];
    }
    let mut unwritten = Vec::new();
    if let Some(variable) = open_secret(auth) {
        unwritten.push(format!("the secret of its auth: set the variable {variable}"));
    }
    #[cfg(feature = "oauth")]
    if let Kind::Grant(grant) = &auth.0 {
        unwritten.extend(grants::unwritten(grant).map(str::to_owned));
    }
    unwritten
}

/// The variable that a secret has to be put into that was declared as a value.
fn open_secret(auth: &Auth) -> Option<&'static str> {
    let (secret, variable) = match &auth.0 {
        Kind::Fixed(Fixed::Bearer(secret)) => (secret, "TOKEN"),
        Kind::Fixed(Fixed::Key { secret, .. }) => (secret, "API_KEY"),
        Kind::Fixed(Fixed::Basic { password, .. }) => (password, "PASSWORD"),
        #[cfg(feature = "oauth")]
        Kind::Grant(grant) => (grants::secret(grant)?, "CLIENT_SECRET"),
    };
    is_open(secret).then_some(variable)
}

/// As it would stand in a file; null for what cannot.
pub(super) fn write(auth: &Auth) -> Json {
    match &auth.0 {
        Kind::Fixed(Fixed::Bearer(secret)) => {
            json!({ "type": "bearer", "token": secret_or_variable(secret, "TOKEN") })
        }
        Kind::Fixed(Fixed::Key { header, secret }) => {
            let header = header.as_ref().map_or_else(String::as_str, |header| header.as_str());
            json!({ "type": "api_key", "header": header, "key": secret_or_variable(secret, "API_KEY") })
        }
        Kind::Fixed(Fixed::Basic { user, password }) => {
            json!({ "type": "basic", "user": user, "password": secret_or_variable(password, "PASSWORD") })
        }
        #[cfg(feature = "oauth")]
        Kind::Grant(grant) => grants::write(grant),
    }
}

#[cfg(feature = "oauth")]
mod grants {
    use serde_json::Map;

    use super::{Json, secret_or_variable};
    use crate::{Secret, auth::Declared};

    /// The secret of its client.
    pub(super) fn secret(grant: &Declared) -> Option<&Secret> {
        match grant {
            Declared::ClientCredentials(declared) => declared.secret(),
            Declared::Person(declared) => declared.client.as_ref()?.1.as_ref(),
            Declared::JwtBearer(_) | Declared::Enterprise(_) => None,
        }
    }

    /// What no file can say of it.
    pub(super) fn unwritten(grant: &Declared) -> Option<&'static str> {
        match grant {
            Declared::ClientCredentials(declared) => {
                declared.has_audience().then_some("the audience of its auth")
            }
            Declared::Person(declared) => {
                declared.is_kept_elsewhere().then_some("where the tokens of its auth are kept")
            }
            Declared::JwtBearer(_) | Declared::Enterprise(_) => None,
        }
    }

    pub(super) fn write(grant: &Declared) -> Json {
        let mut written = Map::new();
        let mut put = |key: &str, value: Json| {
            if !value.is_null() && value.as_array().is_none_or(|all| !all.is_empty()) {
                written.insert(key.to_owned(), value);
            }
        };
        match grant {
            Declared::ClientCredentials(declared) => {
                let Some(secret) = declared.secret() else { return Json::Null };
                put("type", "client_credentials".into());
                put("client_id", declared.id().into());
                put("client_secret", secret_or_variable(secret, "CLIENT_SECRET"));
                put("token_url", declared.declared_token_url().into());
                put("resource", declared.declared_resource().into());
                let place = |in_body| if in_body { "body" } else { "header" };
                put("secret_in", declared.declared_in_body().map(place).into());
            }
            Declared::Person(declared) => {
                put("type", "oauth".into());
                put("client_name", declared.client_name.as_str().into());
                if let Some((id, secret)) = &declared.client {
                    let secret = secret.as_ref();
                    put("client_id", id.as_str().into());
                    put(
                        "client_secret",
                        secret.map_or(Json::Null, |secret| {
                            secret_or_variable(secret, "CLIENT_SECRET")
                        }),
                    );
                }
                put("client_metadata_url", declared.metadata_url.as_deref().into());
                put("redirect_uri", declared.redirect_uri.as_deref().into());
                put(
                    "store",
                    declared.folder.as_ref().map(|folder| folder.to_string_lossy()).into(),
                );
            }
            Declared::JwtBearer(_) | Declared::Enterprise(_) => return Json::Null,
        }
        put("scopes", grant.scopes().into());
        Json::Object(written)
    }
}
