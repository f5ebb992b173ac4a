//! Named pipes, for the anonymous ones of Windows cannot be waited for.
//!
//! Each has a name that nobody guesses, one instance, one direction and no clients from elsewhere.
//! Our end is never inherited, and is the one that is waited for; the child's is opened at once, and
//! is like any file that it gets.

use std::{
    fs::{File, OpenOptions},
    hash::{BuildHasher as _, Hasher as _, RandomState},
    io,
    pin::pin,
    process::Stdio,
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::net::windows::named_pipe::{NamedPipeServer, ServerOptions};

/// Our end of a pipe that a child reads from.
pub(crate) type Sender = NamedPipeServer;

/// Our end of a pipe that a child writes to.
pub(crate) type Receiver = NamedPipeServer;

/// Whether whoever reads until nothing is there has read all that was written by then. Here bytes are
/// read ahead in the background, a piece at a time, and the next comes when the last has been taken.
pub(crate) const READS_ALL: bool = false;

/// How many bytes a pipe holds; so do those of other systems.
const HOLDS: u32 = 64 << 10;

/// How many bytes are read ahead.
const AHEAD: u32 = 4 << 10;

/// How long bytes that a pipe holds may take to be told of.
const TOLD: Duration = Duration::from_millis(25);

/// A pipe to a child: our end and the child's.
pub(crate) fn to_child() -> io::Result<(Sender, Stdio)> {
    open(ServerOptions::new().access_inbound(false), OpenOptions::new().read(true))
}

/// A pipe from a child: our end and the child's.
pub(crate) fn from_child() -> io::Result<(Receiver, Stdio)> {
    open(ServerOptions::new().access_outbound(false), OpenOptions::new().write(true))
}

fn open(ours: &mut ServerOptions, theirs: &OpenOptions) -> io::Result<(NamedPipeServer, Stdio)> {
    let name = name();
    // The first of its name, or it is somebody else's.
    let ours = ours
        .first_pipe_instance(true)
        .max_instances(1)
        .reject_remote_clients(true)
        .in_buffer_size(HOLDS)
        .out_buffer_size(HOLDS)
        .create(&name)?;
    // Its only instance, so whoever came in between would make this fail.
    let theirs: File = theirs.open(&name)?;
    connected(&ours)?;
    Ok((ours, theirs.into()))
}

/// A name that nobody guesses: its hashers have keys from the system's source of randomness.
fn name() -> String {
    let word = || RandomState::new().build_hasher().finish();
    format!(r"\\.\pipe\callboard-{}-{:016x}{:016x}", std::process::id(), word(), word())
}

/// Has the other end noted, which is open already.
fn connected(pipe: &NamedPipeServer) -> io::Result<()> {
    match pin!(pipe.connect()).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(connected) => connected,
        Poll::Pending => Err(io::ErrorKind::NotConnected.into()),
    }
}

/// Whether the child has read everything that was written to it. Nobody can tell here, so it counts as
/// read: a server that ended of its own accord is started once too often, and one that a probe ended
/// is started again.
pub(crate) fn is_drained(_: &Sender) -> bool {
    true
}

/// How many bytes have been written that nobody has read, at most.
pub(crate) fn held(_: &Receiver) -> u64 {
    u64::from(HOLDS + AHEAD)
}

/// Waits for bytes that the pipe may have [`held`]; false if they are not there.
pub(crate) async fn more(pipe: &Receiver) -> bool {
    tokio::time::timeout(TOLD, pipe.readable()).await.is_ok_and(|ready| ready.is_ok())
}

/// A pipe here holds what it was made for.
pub(crate) fn widen_sender(_: &Sender) {}

/// A pipe here holds what it was made for.
pub(crate) fn widen_receiver(_: &Receiver) {}
