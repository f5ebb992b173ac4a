//! Tokens that are gone with the process.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use secrecy::SecretString;

use super::{StoreFuture, StoreLock, TokenKey, TokenStore};

/// Keeps tokens in memory: as long as a clone of this lives, for all who have one.
#[derive(Debug, Clone, Default)]
pub struct MemoryTokenStore {
    kept: Arc<Mutex<HashMap<TokenKey, Entry>>>,
}

#[derive(Debug, Default)]
struct Entry {
    value: Option<SecretString>,
    lock: Arc<tokio::sync::Mutex<()>>,
}

impl MemoryTokenStore {
    /// A store with nothing in it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl TokenStore for MemoryTokenStore {
    fn load<'a>(&'a self, key: &'a TokenKey) -> StoreFuture<'a, Option<SecretString>> {
        let value = self.kept.lock().get(key).and_then(|entry| entry.value.clone());
        Box::pin(std::future::ready(Ok(value)))
    }

    fn save<'a>(&'a self, key: &'a TokenKey, value: &'a SecretString) -> StoreFuture<'a, ()> {
        self.kept.lock().entry(key.clone()).or_default().value = Some(value.clone());
        Box::pin(std::future::ready(Ok(())))
    }

    fn remove<'a>(&'a self, key: &'a TokenKey) -> StoreFuture<'a, ()> {
        if let Some(entry) = self.kept.lock().get_mut(key) {
            entry.value = None;
        }
        Box::pin(std::future::ready(Ok(())))
    }

    fn lock<'a>(&'a self, key: &'a TokenKey) -> StoreFuture<'a, StoreLock> {
        let lock = Arc::clone(&self.kept.lock().entry(key.clone()).or_default().lock);
        Box::pin(async move { Ok(StoreLock::new(lock.lock_owned().await)) })
    }
}
