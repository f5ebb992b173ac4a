//! Signed statements (RFC 7519, RFC 7515).

use std::sync::Arc;

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
    },
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject as _};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use crate::error::AuthError;

/// A key that signs, and the name of how it does.
pub(super) enum Signer {
    Ecdsa(Arc<EcdsaKeyPair>, &'static str),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

impl Signer {
    /// A private key in PEM: elliptic curves P-256 and P-384, Ed25519, or RSA.
    pub(super) fn from_pem(pem: &SecretString) -> Result<Self, AuthError> {
        let unfit = |detail: &str| AuthError::Key { detail: detail.to_owned() };
        let key = PrivateKeyDer::from_pem_slice(pem.expose_secret().as_bytes())
            .map_err(|_| unfit("it is no private key in PEM"))?;
        let der = key.secret_der();
        for (curve, name) in [
            (&ECDSA_P256_SHA256_FIXED_SIGNING, "ES256"),
            (&ECDSA_P384_SHA384_FIXED_SIGNING, "ES384"),
        ] {
            if let Ok(pair) = EcdsaKeyPair::from_private_key_der(curve, der) {
                return Ok(Self::Ecdsa(Arc::new(pair), name));
            }
        }
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
            return Ok(Self::Ed25519(pair));
        }
        RsaKeyPair::from_pkcs8(der)
            .or_else(|_| RsaKeyPair::from_der(der))
            .map(Self::Rsa)
            .map_err(|_| unfit("it is neither of P-256, P-384, Ed25519 nor RSA"))
    }

    pub(super) fn algorithm(&self) -> &'static str {
        match self {
            Self::Ecdsa(_, name) => name,
            Self::Ed25519(_) => "EdDSA",
            Self::Rsa(_) => "RS256",
        }
    }

    /// Header and claims, signed. The header is told the algorithm.
    pub(super) fn sign(
        &self,
        mut header: Value,
        claims: &Value,
    ) -> Result<SecretString, AuthError> {
        header["alg"] = self.algorithm().into();
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(claims));
        let failed = |_| AuthError::Key { detail: "it does not sign".to_owned() };
        let random = SystemRandom::new();
        let signature = match self {
            Self::Ecdsa(pair, _) => {
                pair.sign(&random, signed.as_bytes()).map_err(failed)?.as_ref().to_vec()
            }
            Self::Ed25519(pair) => pair.sign(signed.as_bytes()).as_ref().to_vec(),
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature)
                    .map_err(failed)?;
                signature
            }
        };
        Ok(SecretString::from(format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))))
    }
}

/// A number that nobody else comes up with.
pub(super) fn unique() -> Result<String, AuthError> {
    let mut bytes = [0u8; 16];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|_| AuthError::Key { detail: "the system has no randomness".to_owned() })?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}
