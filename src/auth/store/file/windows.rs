//! Files whose folder says who may read them, and locks on them.

use std::{io, path::Path};

use tokio::fs::{DirBuilder, File, OpenOptions};

/// What the system says of a file that somebody else has open for themselves
/// (`ERROR_SHARING_VIOLATION`).
const TAKEN: i32 = 32;

/// Makes a folder, if it is not there. Who may read what is in it is what the folder around it says; in
/// a user's profile, the user.
pub(super) async fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).create(path).await
}

/// Creates a file.
pub(super) async fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path).await
}

/// The names in a folder last once they are there.
pub(super) fn settle(_: &Path) -> std::future::Ready<io::Result<()>> {
    std::future::ready(Ok(()))
}

/// A lock on a file, until it is dropped: the file, open for nobody else.
pub(super) type Lock = std::fs::File;

/// Locks a file, which is made if it is not there; `None` if somebody else has it.
pub(super) async fn try_lock(path: &Path) -> io::Result<Option<Lock>> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).share_mode(0);
    match options.open(path).await {
        Ok(file) => Ok(Some(file.into_std().await)),
        Err(error) if error.raw_os_error() == Some(TAKEN) => Ok(None),
        Err(error) => Err(error),
    }
}
