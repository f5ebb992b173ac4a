//! Tokens in files that nobody else may read.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::{
    fmt::Write as _,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use tokio::{
    fs::File,
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::Instant,
};

#[cfg(unix)]
use unix as system;
#[cfg(windows)]
use windows as system;

use super::{StoreFuture, StoreLock, TokenKey, TokenStore};

/// How long another process may take to renew a token.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often a lock that somebody else has is asked for.
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// No record is larger.
const LARGEST: u64 = 256 << 10;

/// Keeps tokens in files of a folder of its own, a file for each server and issuer, that only their
/// owner may read (mode 0600; on Windows, whoever the folder says). What is written takes the place of
/// what was there at once, so that nobody ever reads a half; processes that share the folder renew a
/// token one after the other.
#[derive(Debug, Clone)]
pub struct FileTokenStore {
    folder: PathBuf,
}

impl FileTokenStore {
    /// A store in this folder, which is made, for its owner alone, when it is first written to.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The name says nothing, for URLs do not fit into names.
    fn path(&self, key: &TokenKey, ending: &str) -> PathBuf {
        let mut hash = Sha256::new();
        for part in [&key.server, &key.issuer] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let mut name = String::new();
        for byte in hash.finalize() {
            // Writing to a string cannot fail.
            write!(name, "{byte:02x}").unwrap_or_default();
        }
        self.folder.join(format!("{name}.{ending}"))
    }

    async fn write(&self, key: &TokenKey, value: &SecretString) -> io::Result<()> {
        system::make_folder(&self.folder).await?;
        let (path, draft) = (self.path(key, "json"), self.path(key, "draft"));
        // Left by somebody who died over it: whoever writes has the lock, or is the first.
        remove(&draft).await?;
        let mut file = system::create(&draft).await?;
        file.write_all(value.expose_secret().as_bytes()).await?;
        file.sync_all().await?;
        tokio::fs::rename(&draft, &path).await?;
        // The name lasts, too.
        system::settle(&self.folder).await
    }

    async fn acquire(&self, key: &TokenKey) -> io::Result<StoreLock> {
        system::make_folder(&self.folder).await?;
        let path = self.path(key, "lock");
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(lock) = system::try_lock(&path).await? {
                return Ok(StoreLock::new(lock));
            }
            if Instant::now() >= deadline {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }
}

impl TokenStore for FileTokenStore {
    fn load<'a>(&'a self, key: &'a TokenKey) -> StoreFuture<'a, Option<SecretString>> {
        Box::pin(async move {
            let file = match File::open(self.path(key, "json")).await {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error.into()),
            };
            let mut text = String::new();
            file.take(LARGEST).read_to_string(&mut text).await?;
            Ok(Some(SecretString::from(text)))
        })
    }

    fn save<'a>(&'a self, key: &'a TokenKey, value: &'a SecretString) -> StoreFuture<'a, ()> {
        Box::pin(async move { Ok(self.write(key, value).await?) })
    }

    fn remove<'a>(&'a self, key: &'a TokenKey) -> StoreFuture<'a, ()> {
        Box::pin(async move { Ok(remove(&self.path(key, "json")).await?) })
    }

    fn lock<'a>(&'a self, key: &'a TokenKey) -> StoreFuture<'a, StoreLock> {
        Box::pin(async move { Ok(self.acquire(key).await?) })
    }
}

async fn remove(path: &Path) -> io::Result<()> {
    match tokio::fs::remove_file(path).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
