//! Files that nobody else may read, by their modes, and locks on them.

use std::{io, path::Path};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};
use tokio::fs::{DirBuilder, File, OpenOptions};

/// Makes a folder for its owner alone, if it is not there.
pub(super) async fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).await
}

/// Creates a file for its owner alone.
pub(super) async fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).await
}

/// Sees to it that the names in a folder last.
pub(super) async fn settle(folder: &Path) -> io::Result<()> {
    File::open(folder).await?.sync_all().await
}

/// A lock on a file, until it is dropped.
pub(super) type Lock = std::fs::File;

/// Locks a file, which is made if it is not there; `None` if somebody else has it.
pub(super) async fn try_lock(path: &Path) -> io::Result<Option<Lock>> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(path).await?.into_std().await;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(Errno::WOULDBLOCK | Errno::INTR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
