//! Tokens that are bound to a key (RFC 9449): whoever steals one can do nothing with it.

use std::{fmt, sync::Arc};

use aws_lc_rs::{
    digest::{SHA256, digest},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use reqwest::{
    Method, Url,
    header::{HeaderName, HeaderValue},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use super::{
    jwt::{Signer, unique},
    tokens::now,
};
use crate::error::AuthError;

pub(super) const PROOF: HeaderName = HeaderName::from_static("dpop");
pub(super) const NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// The algorithm that all proofs are signed with.
pub(super) const ALGORITHM: &str = "ES256";

/// The key that tokens are bound to.
#[derive(Clone)]
pub(super) struct Key {
    pair: Arc<EcdsaKeyPair>,
    /// PKCS #8, in base64.
    text: SecretString,
}

impl Key {
    pub(super) fn generate() -> Result<Self, AuthError> {
        let failed = |_| AuthError::Key { detail: "none can be generated".to_owned() };
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random);
        let text = SecretString::from(BASE64_STANDARD.encode(document.map_err(failed)?.as_ref()));
        Self::from_text(&text).ok_or_else(|| AuthError::Key { detail: "it is none".to_owned() })
    }

    pub(super) fn from_text(text: &SecretString) -> Option<Self> {
        let der = BASE64_STANDARD.decode(text.expose_secret()).ok()?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der).ok()?;
        Some(Self { pair: Arc::new(pair), text: text.clone() })
    }

    pub(super) fn to_text(&self) -> &SecretString {
        &self.text
    }

    /// The proof that whoever sends this request has the key (RFC 9449, 4.2).
    pub(super) fn proof(
        &self,
        (method, url): (&Method, &Url),
        token: Option<&SecretString>,
        nonce: Option<&str>,
    ) -> Result<HeaderValue, AuthError> {
        // The point as it stands in the key, uncompressed: a mark, then x and y.
        let point = self.pair.public_key().as_ref();
        let coordinate = |at: std::ops::Range<usize>| {
            BASE64_URL_SAFE_NO_PAD.encode(point.get(at).unwrap_or_default())
        };
        let jwk =
            json!({ "kty": "EC", "crv": "P-256", "x": coordinate(1..33), "y": coordinate(33..65) });
        let mut address = url.clone();
        address.set_query(None);
        address.set_fragment(None);
        let mut claims = json!({
            "jti": unique()?, "htm": method.as_str(), "htu": address.as_str(), "iat": now() / 1000,
        });
        if let Some(token) = token {
            let hash = digest(&SHA256, token.expose_secret().as_bytes());
            claims["ath"] = BASE64_URL_SAFE_NO_PAD.encode(hash.as_ref()).into();
        }
        if let Some(nonce) = nonce {
            claims["nonce"] = nonce.into();
        }
        let signer = Signer::Ecdsa(Arc::clone(&self.pair), ALGORITHM);
        let proof = signer.sign(json!({ "typ": "dpop+jwt", "jwk": jwk }), &claims)?;
        let mut proof = HeaderValue::try_from(proof.expose_secret())
            .map_err(|_| AuthError::Key { detail: "its proofs are no headers".to_owned() })?;
        proof.set_sensitive(true);
        Ok(proof)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}
