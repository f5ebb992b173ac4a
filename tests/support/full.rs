//! A store of tokens that fails as a test says.

#![allow(dead_code, reason = "each test uses its own part of it")]
#![allow(missing_docs, reason = "a test's store")]

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use callboard::{MemoryTokenStore, SecretString, StoreFuture, StoreLock, TokenKey, TokenStore};

/// A store that does not take what it is given, while it is full.
#[derive(Clone, Default)]
pub(crate) struct Full {
    pub(crate) store: Arc<MemoryTokenStore>,
    pub(crate) full: Arc<AtomicBool>,
    pub(crate) refused: Arc<AtomicUsize>,
    pub(crate) taken: Arc<AtomicUsize>,
}

impl TokenStore for Full {
    fn load<'a>(&'a self, key: &'a TokenKey) -> StoreFuture<'a, Option<SecretString>> {
        self.store.load(key)
    }

    fn save<'a>(&'a self, key: &'a TokenKey, value: &'a SecretString) -> StoreFuture<'a, ()> {
        if self.full.load(Ordering::SeqCst) {
            self.refused.fetch_add(1, Ordering::SeqCst);
            return Box::pin(std::future::ready(Err("no space is left".into())));
        }
        self.taken.fetch_add(1, Ordering::SeqCst);
        self.store.save(key, value)
    }

    fn remove<'a>(&'a self, key: &'a TokenKey) -> StoreFuture<'a, ()> {
        self.store.remove(key)
    }

    fn lock<'a>(&'a self, key: &'a TokenKey) -> StoreFuture<'a, StoreLock> {
        self.store.lock(key)
    }
}
