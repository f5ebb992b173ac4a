//! Where tokens are kept from one run to the next.

mod file;
#[cfg(feature = "keyring")]
mod keyring;
mod memory;

use std::{error::Error, fmt, pin::Pin};

use secrecy::SecretString;

pub use file::FileTokenStore;
#[cfg(feature = "keyring")]
pub use keyring::KeyringTokenStore;
pub use memory::MemoryTokenStore;

/// What the tokens of one server, from one authorization server, are kept under.
#[derive(Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct TokenKey {
    /// The URL of the server.
    pub server: String,
    /// The issuer of the tokens; empty for the note of which issuer the server has.
    pub issuer: String,
}

impl TokenKey {
    pub(super) fn new(server: &str, issuer: &str) -> Self {
        Self { server: server.to_owned(), issuer: issuer.to_owned() }
    }
}

impl fmt::Debug for TokenKey {
    /// Without the query of the URL, where some put their keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = self.server.split(['?', '#']).next().unwrap_or_default();
        f.debug_struct("TokenKey").field("server", &server).field("issuer", &self.issuer).finish()
    }
}

/// What the methods of a [`TokenStore`] return.
pub type StoreFuture<'a, T> =
    Pin<Box<dyn Future<Output = Result<T, Box<dyn Error + Send + Sync>>> + Send + 'a>>;

/// Keeps tokens, so that a person who has logged in once need not again: in memory
/// ([`MemoryTokenStore`]), in files ([`FileTokenStore`]), or wherever the host keeps such things.
///
/// What is kept is a text that means something to this crate only. Nobody else writes it.
pub trait TokenStore: Send + Sync + 'static {
    /// What is kept under this key.
    ///
    /// # Errors
    ///
    /// If that cannot be known. A store that has lost it has nothing.
    fn load<'a>(&'a self, key: &'a TokenKey) -> StoreFuture<'a, Option<SecretString>>;

    /// Keeps a value in the place of another, all of it or nothing; when this returns it lasts.
    ///
    /// # Errors
    ///
    /// If it may not last. What it was to replace is still there then.
    fn save<'a>(&'a self, key: &'a TokenKey, value: &'a SecretString) -> StoreFuture<'a, ()>;

    /// Forgets a value.
    ///
    /// # Errors
    ///
    /// If it may still be there.
    fn remove<'a>(&'a self, key: &'a TokenKey) -> StoreFuture<'a, ()>;

    /// Keeps all others who share the store from renewing the same tokens, until the lock is dropped:
    /// the token that they are renewed with can often be spent only once.
    ///
    /// # Errors
    ///
    /// If it could not be had in time.
    fn lock<'a>(&'a self, key: &'a TokenKey) -> StoreFuture<'a, StoreLock>;
}

/// Keeps others from renewing the same tokens, until it is dropped.
#[must_use = "dropping the lock gives it back"]
pub struct StoreLock(#[expect(dead_code, reason = "held to be dropped")] Box<dyn Send>);

impl StoreLock {
    /// A lock that is given back by dropping this.
    pub fn new(guard: impl Send + 'static) -> Self {
        Self(Box::new(guard))
    }
}

impl fmt::Debug for StoreLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreLock")
    }
}
