//! What becomes of servers whose host dies without a word.

use std::path::PathBuf;

/// What becomes of the servers if the host dies without closing them: killed, aborted, out of memory.
/// To be given to [`RuntimeBuilder::host_death`](crate::RuntimeBuilder::host_death).
///
/// A child process is not ended by the end of its parent. By default, therefore, every runtime has a
/// watchdog from its first stdio server on: one `/bin/sh` with a script of this crate (so nothing has
/// to be installed), in a process group of its own. It holds the end of a pipe that only the host has
/// the other end of; when that ends without a farewell, it kills every process of the runtime within
/// two seconds, usually within some ten milliseconds.
///
/// On Linux those are found by a mark that all descendants inherit (an `RLIMIT_RTTIME` that bounds
/// nothing), daemons that called `setsid` included, whoever their parent is by then. Where a process
/// may not be marked (its hard `RLIMIT_RTTIME` is set, or `prlimit` is forbidden), and on other
/// systems, only the process groups of the servers are killed, and a server that is started in the
/// very moment of the host's death may stay.
///
/// This is for servers that are careless, and no fence around those that mean harm: a process that
/// takes the mark off itself, and leaves its group and its parent, is not found.
///
/// Where the watchdog dies with the host, the next runtime of the same user ends what is left: it
/// finds it in the ledger (Linux), a file for each runtime in `$XDG_RUNTIME_DIR/callboard`, or nowhere
/// if that is not set and no [folder](Self::ledger_in) is given. The ledger of a runtime that lives is
/// locked, and left alone.
///
/// On Windows there is neither, and nothing of this changes anything: each server is in a job object of
/// which the host has the only handle, and the kernel ends the job, whatever is in it, when that closes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct HostDeath {
    pub(crate) watched: bool,
    pub(crate) ledger: LedgerPlace,
}

/// Where the ledger is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LedgerPlace {
    /// In `$XDG_RUNTIME_DIR`, if there is one.
    Usual,
    Folder(PathBuf),
    Nowhere,
}

impl HostDeath {
    /// Ends all servers. The default.
    pub fn ends_servers() -> Self {
        Self { watched: true, ledger: LedgerPlace::Usual }
    }

    /// Starts no watchdog and keeps no ledger: for a host that has a supervisor of its own, such as a
    /// container that ends with it, or a service of systemd.
    pub fn unwatched() -> Self {
        Self { watched: false, ledger: LedgerPlace::Nowhere }
    }

    /// Keeps the ledger in this folder. It is made if it is not there, and has to be the user's own,
    /// with no right to write for others; otherwise no ledger is kept, which the log tells.
    pub fn ledger_in(mut self, folder: impl Into<PathBuf>) -> Self {
        self.ledger = LedgerPlace::Folder(folder.into());
        self
    }

    /// Keeps no ledger.
    pub fn without_ledger(mut self) -> Self {
        self.ledger = LedgerPlace::Nowhere;
        self
    }
}

impl Default for HostDeath {
    fn default() -> Self {
        Self::ends_servers()
    }
}
