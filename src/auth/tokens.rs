//! A token, and what it takes to renew it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::dpop::Key;

/// A token is renewed when a fifth of its time is left, but not before half a minute is: enough for a
/// request under way, and little enough that a token of seconds is used more than once.
const MOST: u64 = 30_000;

/// Authorization servers count in whole seconds, and may take a token for expired a second before we
/// do; some then take all that belongs to it for stolen. So that much has to be left, of a token that
/// has it.
const LEAST: u64 = 1_250;

/// A token, and what it takes to renew it. What a store keeps of one server.
#[derive(Debug, Clone)]
pub(super) struct Tokens {
    pub(super) access: SecretString,
    pub(super) refresh: Option<SecretString>,
    /// When it ends, in milliseconds since 1970, and how many it has had from the beginning.
    pub(super) expiry: Option<(u64, u64)>,
    pub(super) scopes: Vec<String>,
    pub(super) client: Client,
    /// Whom it is for (RFC 8707).
    pub(super) resource: String,
    pub(super) issuer: String,
    pub(super) token_endpoint: String,
    /// The key that it is bound to, if it is (RFC 9449).
    pub(super) key: Option<Key>,
}

/// Who we are to an authorization server.
#[derive(Debug, Clone)]
pub(super) struct Client {
    pub(super) id: String,
    pub(super) secret: Option<SecretString>,
    /// Whether the secret goes into the body rather than into a header.
    pub(super) in_body: bool,
    /// What it was registered for, if it registered itself.
    pub(super) redirect_uri: Option<String>,
}

impl Client {
    /// The secret, of one that registered itself. Any other is declared, and kept where it is.
    fn kept_secret(&self) -> Option<&SecretString> {
        self.secret.as_ref().filter(|_| self.redirect_uri.is_some())
    }
}

/// The answer to a request for a token (RFC 6749, 5.1).
#[derive(Deserialize)]
pub(super) struct Granted {
    pub(super) access_token: SecretString,
    #[serde(default)]
    pub(super) token_type: Option<String>,
    #[serde(default)]
    pub(super) expires_in: Option<f64>,
    #[serde(default)]
    pub(super) refresh_token: Option<SecretString>,
    #[serde(default)]
    pub(super) scope: Option<String>,
}

impl Granted {
    pub(super) fn expiry(&self) -> Option<(u64, u64)> {
        let seconds = self.expires_in.filter(|seconds| seconds.is_finite() && *seconds >= 0.0)?;
        let lifetime =
            u64::try_from(Duration::try_from_secs_f64(seconds).ok()?.as_millis()).ok()?;
        Some((now().checked_add(lifetime)?, lifetime))
    }

    pub(super) fn scopes(&self) -> Option<Vec<String>> {
        Some(self.scope.as_ref()?.split_whitespace().map(str::to_owned).collect())
    }
}

impl Tokens {
    /// Whether it is time to renew it.
    pub(super) fn is_stale(&self) -> bool {
        self.expiry.is_some_and(|(end, lifetime)| {
            let margin = (lifetime / 5).max(LEAST).min(lifetime / 2).min(MOST);
            now().saturating_add(margin) >= end
        })
    }

    /// Whether it is the same token.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.access.expose_secret() == other.access.expose_secret()
    }

    /// Whether it is of no use any more.
    pub(super) fn has_expired(&self) -> bool {
        self.expiry.is_some_and(|(end, _)| now() >= end)
    }

    pub(super) fn to_json(&self) -> Option<SecretString> {
        let record = Record {
            access_token: self.access.expose_secret().into(),
            refresh_token: self.refresh.as_ref().map(|token| token.expose_secret().into()),
            expiry: self.expiry,
            scopes: self.scopes.clone(),
            client_id: self.client.id.clone(),
            client_secret: self.client.kept_secret().map(|secret| secret.expose_secret().into()),
            secret_in_body: self.client.in_body,
            redirect_uri: self.client.redirect_uri.clone(),
            resource: self.resource.clone(),
            issuer: self.issuer.clone(),
            token_endpoint: self.token_endpoint.clone(),
            dpop_key: self.key.as_ref().map(|key| key.to_text().expose_secret().to_owned().into()),
        };
        serde_json::to_string(&record).ok().map(SecretString::from)
    }

    pub(super) fn from_json(json: &SecretString) -> Option<Self> {
        let record: Record<'_> = serde_json::from_str(json.expose_secret()).ok()?;
        let secret = |text: std::borrow::Cow<'_, str>| SecretString::from(text.into_owned());
        let key = match record.dpop_key {
            Some(text) => Some(Key::from_text(&secret(text))?),
            None => None,
        };
        Some(Self {
            access: secret(record.access_token),
            refresh: record.refresh_token.map(secret),
            expiry: record.expiry,
            scopes: record.scopes,
            client: Client {
                id: record.client_id,
                secret: record.client_secret.map(secret),
                in_body: record.secret_in_body,
                redirect_uri: record.redirect_uri,
            },
            resource: record.resource,
            issuer: record.issuer,
            token_endpoint: record.token_endpoint,
            key,
        })
    }
}

/// As a store keeps it.
#[derive(Serialize, Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    access_token: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    refresh_token: Option<std::borrow::Cow<'a, str>>,
    expiry: Option<(u64, u64)>,
    scopes: Vec<String>,
    client_id: String,
    #[serde(borrow)]
    client_secret: Option<std::borrow::Cow<'a, str>>,
    secret_in_body: bool,
    redirect_uri: Option<String>,
    resource: String,
    issuer: String,
    token_endpoint: String,
    #[serde(borrow)]
    dpop_key: Option<std::borrow::Cow<'a, str>>,
}

/// Milliseconds since 1970: what is kept is read by other processes, at other times.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(lifetime: u64, left: u64) -> Tokens {
        Tokens {
            access: "at-12345678".into(),
            refresh: Some("rt-12345678".into()),
            expiry: Some((now() + left, lifetime)),
            scopes: vec!["a".to_owned()],
            client: Client { id: "c".to_owned(), secret: None, in_body: false, redirect_uri: None },
            resource: "https://mcp.example/mcp".to_owned(),
            issuer: "https://as.example".to_owned(),
            token_endpoint: "https://as.example/token".to_owned(),
            key: Some(Key::generate().unwrap()),
        }
    }

    #[test]
    fn a_token_of_seconds_is_used_more_than_once() {
        assert!(!tokens(3_000, 2_900).is_stale());
        assert!(tokens(3_000, 500).is_stale() && !tokens(3_000, 500).has_expired());
        assert!(!tokens(3_600_000, 60_000).is_stale());
        assert!(tokens(3_600_000, 20_000).is_stale());
        assert!(tokens(3_000, 0).has_expired());
    }

    #[test]
    fn what_is_kept_comes_back_and_is_not_printed() {
        let kept = tokens(3_000, 3_000);
        let back = Tokens::from_json(&kept.to_json().unwrap()).unwrap();
        assert_eq!(back.access.expose_secret(), "at-12345678");
        assert_eq!(back.refresh.unwrap().expose_secret(), "rt-12345678");
        assert_eq!((back.expiry, back.scopes), (kept.expiry, kept.scopes.clone()));
        assert!(!format!("{kept:?}").contains("12345678"));
    }

    #[test]
    fn the_secret_of_a_client_is_kept_only_if_nobody_has_declared_it() {
        for redirect_uri in [None, Some("http://127.0.0.1:9/callback".to_owned())] {
            let mut kept = tokens(3_000, 3_000);
            let registered = redirect_uri.is_some();
            let secret = Some("cs-12345678".into());
            kept.client = Client { id: "c".to_owned(), secret, in_body: true, redirect_uri };
            let json = kept.to_json().unwrap();
            assert_eq!(json.expose_secret().contains("cs-12345678"), registered);
            let back = Tokens::from_json(&json).unwrap().client;
            assert!(back.in_body && back.secret.is_some() == registered);
        }
    }
}
