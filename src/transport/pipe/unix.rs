//! Anonymous pipes.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    process::Stdio,
};

use tokio::net::unix::pipe;

/// Our end of a pipe that a child reads from.
pub(crate) type Sender = pipe::Sender;

/// Our end of a pipe that a child writes to.
pub(crate) type Receiver = pipe::Receiver;

/// Whether whoever reads until nothing is there has read all that was written by then.
pub(crate) const READS_ALL: bool = true;

/// A pipe to a child: our end and the child's.
pub(crate) fn to_child() -> io::Result<(Sender, Stdio)> {
    let (theirs, ours) = io::pipe()?;
    Ok((Sender::from_owned_fd(OwnedFd::from(ours))?, theirs.into()))
}

/// A pipe from a child: our end and the child's.
pub(crate) fn from_child() -> io::Result<(Receiver, Stdio)> {
    let (ours, theirs) = io::pipe()?;
    Ok((Receiver::from_owned_fd(OwnedFd::from(ours))?, theirs.into()))
}

/// Whether the child has read everything that was written to it.
pub(crate) fn is_drained(pipe: &Sender) -> bool {
    rustix::io::ioctl_fionread(pipe).is_ok_and(|unread| unread == 0)
}

/// How many bytes have been written that nobody has read.
pub(crate) fn held(pipe: &Receiver) -> u64 {
    rustix::io::ioctl_fionread(pipe).unwrap_or_default()
}

/// Waits for bytes that the pipe [`held`]; false if they are not there.
pub(crate) async fn more(pipe: &Receiver) -> bool {
    // tokio has not heard of them yet; they are there, so this comes at once.
    pipe.readable().await.is_ok()
}

/// Lets a pipe hold more, see `widen`.
pub(crate) fn widen_sender(pipe: &Sender) {
    widen(pipe);
}

/// Lets a pipe hold more, see `widen`.
pub(crate) fn widen_receiver(pipe: &Receiver) {
    widen(pipe);
}

/// Lets a pipe hold more, once it has carried a frame that did not fit: every fill of a pipe costs
/// two task switches. Not before, for the kernel has a budget of pipe memory for each user; where
/// that is spent, the pipe stays as it is.
#[cfg(target_os = "linux")]
fn widen(pipe: impl AsFd) {
    const WIDE: usize = 1 << 20;
    if rustix::pipe::fcntl_getpipe_size(&pipe).is_ok_and(|size| size < WIDE) {
        let (Ok(_) | Err(_)) = rustix::pipe::fcntl_setpipe_size(&pipe, WIDE);
    }
}

#[cfg(not(target_os = "linux"))]
fn widen(_: impl AsFd) {}
