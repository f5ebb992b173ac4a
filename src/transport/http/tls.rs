//! Whom we trust, and who we are.

use std::{fmt, sync::Arc};

use parking_lot::Mutex;
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WantsClientCert,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{
        CertificateDer, PrivateKeyDer, ServerName, UnixTime,
        pem::{self, PemObject as _},
    },
};
use rustls_platform_verifier::Verifier;

use crate::spec::ClientSettings;

/// What TLS is configured with, as far as a server declares it.
pub(crate) struct Trust {
    verify: bool,
    roots: Vec<CertificateDer<'static>>,
    identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    /// Built for the first server that speaks TLS: the platform's roots are many.
    config: Mutex<Option<Arc<ClientConfig>>>,
}

/// What is wrong with a declared certificate or key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrustError {
    #[error("a root certificate is no PEM")]
    RootPem(#[source] pem::Error),
    #[error("there is no certificate in the PEM of a root certificate")]
    NoRoot,
    #[error("a root certificate cannot be used")]
    Root(#[source] Error),
    #[error("the client certificate and its key are no PEM")]
    IdentityPem(#[source] pem::Error),
    #[error("there is no certificate in the PEM of the client certificate")]
    NoIdentity,
}

impl Trust {
    pub(crate) fn new(settings: &ClientSettings) -> Result<Self, TrustError> {
        let mut roots = Vec::new();
        for pem in &settings.roots {
            roots.extend(root_certificates(pem)?);
        }
        let identity = settings.identity.as_deref().map(identity).transpose()?;
        Ok(Self { verify: settings.verify, roots, identity, config: Mutex::default() })
    }

    /// The one configuration of all connections, with the sessions that they may resume.
    pub(crate) fn config(&self) -> Result<Arc<ClientConfig>, Error> {
        let mut config = self.config.lock();
        if let Some(config) = &*config {
            return Ok(Arc::clone(config));
        }
        Ok(Arc::clone(config.insert(Arc::new(self.build()?))))
    }

    fn build(&self) -> Result<ClientConfig, Error> {
        // Not the process's default, which is the host's to choose for itself.
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_safe_default_protocol_versions()?.dangerous();
        let builder = builder.with_custom_certificate_verifier(self.verifier(provider)?);
        let mut config = self.identified(builder)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }

    fn verifier(
        &self,
        provider: Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ServerCertVerifier>, Error> {
        if !self.verify {
            return Ok(Arc::new(Anyone(provider)));
        }
        let verifier = Verifier::new_with_extra_roots(self.roots.iter().cloned(), provider)?;
        Ok(Arc::new(verifier))
    }

    fn identified(
        &self,
        builder: rustls::ConfigBuilder<ClientConfig, WantsClientCert>,
    ) -> Result<ClientConfig, Error> {
        match &self.identity {
            Some((chain, key)) => builder.with_client_auth_cert(chain.clone(), key.clone_key()),
            None => Ok(builder.with_no_client_auth()),
        }
    }
}

fn root_certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let roots: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let roots = roots.map_err(TrustError::RootPem)?;
    let mut usable = RootCertStore::empty();
    for root in &roots {
        usable.add(root.clone()).map_err(TrustError::Root)?;
    }
    if usable.is_empty() { Err(TrustError::NoRoot) } else { Ok(roots) }
}

fn identity(
    pem: &[u8],
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TrustError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(TrustError::IdentityPem)?;
    if chain.is_empty() {
        return Err(TrustError::NoIdentity);
    }
    let key = PrivateKeyDer::from_pem_slice(pem).map_err(TrustError::IdentityPem)?;
    Ok((chain, key))
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").field("verify", &self.verify).finish_non_exhaustive()
    }
}

/// Takes every server for the one that is meant.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
