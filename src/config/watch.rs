//! A file of servers, followed.

use std::{
    fs::Metadata,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use tokio::time::sleep;

use super::{LoadError, Loaded, load};
use crate::{Applied, ApplyError, ServerSpec, Session};

/// How often a file is looked at.
const OFTEN: Duration = Duration::from_millis(500);

/// How long a file is to be at rest before it is read: some editors write in pieces.
const REST: Duration = Duration::from_millis(50);

/// Within this time of a change, another may not show in the times of the file.
const YOUNG: Duration = Duration::from_secs(2);

/// Follows a file of servers: see [`Watch::next`] and [`Watch::feed`].
///
/// The file is looked at twice a second, by its name: it may be written to, or another may take its
/// place, as editors do. What it names, such as files of variables, is not looked at.
#[must_use]
pub fn watch(path: impl AsRef<Path>) -> Watch {
    let path = path.as_ref().to_owned();
    Watch { path, every: OFTEN, stamp: None, last: None }
}

/// A file that is followed.
#[derive(Debug)]
pub struct Watch {
    path: PathBuf,
    every: Duration,
    /// How it looked when it was last read.
    stamp: Option<Stamp>,
    /// What was last told of it; none before the first.
    last: Option<Seen>,
}

/// What tells one state of a file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stamp {
    There { file: (u64, u64), size: u64, modified: (i64, i64), changed: (i64, i64) },
    Missing,
}

/// What was read, for another that is the same need not be told.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Content(Vec<u8>),
    Unreadable(String),
}

/// Why a session goes on as it was.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum FeedError {
    /// Nothing of the file can be used.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The session cannot go on with it.
    #[error(transparent)]
    Apply(#[from] ApplyError),
}

impl Watch {
    /// Looks at the file this often. Default: 500 ms.
    #[must_use]
    pub fn every(mut self, interval: Duration) -> Self {
        self.every = interval;
        self
    }

    /// What the file declares: at once the first time, then each time that its content has changed
    /// and been at rest for a moment.
    ///
    /// # Errors
    ///
    /// [`LoadError`] if nothing of it can be used, once for each time that this comes to be. What
    /// comes after is told again.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Result<Loaded, LoadError> {
        loop {
            if self.last.is_some() {
                sleep(self.every).await;
            }
            let before = self.look().await;
            if self.stamp == Some(before) && !before.is_young() {
                continue;
            }
            sleep(REST).await;
            // Still being written, or in the middle of being replaced.
            if self.look().await != before {
                continue;
            }
            let seen = match super::files::read(&self.path, super::LARGEST) {
                Ok(content) => Seen::Content(content),
                Err(error) => Seen::Unreadable(error.to_string()),
            };
            self.stamp = Some(before);
            if self.last.as_ref() != Some(&seen) {
                self.last = Some(seen);
                return load(&self.path);
            }
        }
    }

    /// Waits for the next change, as [`next`](Self::next) does, and has the session go on with what
    /// the file declares by then, as by [`Session::apply`]. Servers that are running and whose entries
    /// are wrong now ([`Loaded::broken`]) stay as they are; what is wrong is in [`Loaded::faults`].
    ///
    /// # Errors
    ///
    /// [`FeedError`]; the session goes on as it was.
    ///
    /// # Cancel safety
    ///
    /// As of [`Session::apply`] once the file has been read, as of [`next`](Self::next) before.
    pub async fn feed(&mut self, session: &Session) -> Result<(Loaded, Applied), FeedError> {
        let loaded = self.next().await?;
        let running = session.servers().into_iter().map(|server| server.spec());
        let kept = running.filter(|spec| loaded.broken.iter().any(|name| name == spec.name()));
        let kept: Vec<ServerSpec> = kept.collect();
        let applied = session.apply(loaded.specs.iter().cloned().chain(kept)).await?;
        Ok((loaded, applied))
    }

    async fn look(&self) -> Stamp {
        match tokio::fs::metadata(&self.path).await {
            Ok(found) => Stamp::of(&found),
            Err(_) => Stamp::Missing,
        }
    }
}

impl Stamp {
    #[cfg(unix)]
    fn of(found: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;

        Self::There {
            file: (found.dev(), found.ino()),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }

    /// Here a file that takes the place of another is known by when it was made, and its last change
    /// is the last time that it was written to.
    #[cfg(windows)]
    fn of(found: &Metadata) -> Self {
        use std::os::windows::fs::MetadataExt as _;

        let since = |time: std::io::Result<SystemTime>| {
            let since = time.ok().and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
            let since = since.unwrap_or_default();
            (since.as_secs().cast_signed(), i64::from(since.subsec_nanos()))
        };
        let modified = since(found.modified());
        Self::There {
            file: (found.creation_time(), u64::from(found.file_attributes())),
            size: found.file_size(),
            modified,
            changed: modified,
        }
    }

    fn is_young(&self) -> bool {
        let Self::There { changed: (seconds, _), .. } = self else { return false };
        let at = u64::try_from(*seconds).map(|s| SystemTime::UNIX_EPOCH + Duration::from_secs(s));
        at.is_ok_and(|at| at.elapsed().is_ok_and(|age| age < YOUNG + Duration::from_secs(1)))
    }
}
