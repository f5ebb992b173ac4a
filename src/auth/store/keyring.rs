//! Tokens in the keyring of the system.

use std::path::PathBuf;

use keyring::{Entry, Error};
use secrecy::{ExposeSecret as _, SecretString};

use super::{FileTokenStore, StoreFuture, StoreLock, TokenKey, TokenStore};

/// Keeps tokens in the keyring of the system: the Secret Service of a Linux desktop, the keychain of
/// macOS, the credential manager of Windows.
#[derive(Debug, Clone)]
pub struct KeyringTokenStore {
    service: String,
    /// A keyring has no locks.
    locks: FileTokenStore,
}

impl KeyringTokenStore {
    /// A store of entries for this service, which is the name that a person sees them under. In the
    /// folder nothing but locks are kept, by which processes take turns in renewing a token.
    pub fn new(service: impl Into<String>, locks: impl Into<PathBuf>) -> Self {
        Self { service: service.into(), locks: FileTokenStore::new(locks) }
    }

    /// Does something that waits for the keyring, or for the person who has to unlock it.
    fn with<T: Send + 'static>(
        &self,
        key: &TokenKey,
        work: impl FnOnce(&Entry) -> keyring::Result<T> + Send + 'static,
    ) -> StoreFuture<'_, T> {
        let (service, user) = (self.service.clone(), format!("{} {}", key.server, key.issuer));
        let work = move || Entry::new(&service, &user).and_then(|entry| work(&entry));
        Box::pin(async move { Ok(tokio::task::spawn_blocking(work).await??) })
    }
}

impl TokenStore for KeyringTokenStore {
    fn load<'a>(&'a self, key: &'a TokenKey) -> StoreFuture<'a, Option<SecretString>> {
        self.with(key, |entry| match entry.get_password() {
            Ok(value) => Ok(Some(SecretString::from(value))),
            Err(Error::NoEntry) => Ok(None),
            Err(error) => Err(error),
        })
    }

    fn save<'a>(&'a self, key: &'a TokenKey, value: &'a SecretString) -> StoreFuture<'a, ()> {
        let value = value.clone();
        self.with(key, move |entry| entry.set_password(value.expose_secret()))
    }

    fn remove<'a>(&'a self, key: &'a TokenKey) -> StoreFuture<'a, ()> {
        self.with(key, |entry| match entry.delete_credential() {
            Err(Error::NoEntry) => Ok(()),
            outcome => outcome,
        })
    }

    fn lock<'a>(&'a self, key: &'a TokenKey) -> StoreFuture<'a, StoreLock> {
        self.locks.lock(key)
    }
}
