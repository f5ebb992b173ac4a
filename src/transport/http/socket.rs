//! A socket that knows how much of what was written has left.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use rustix::net::{RecvFlags, recv};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::Instant,
};

/// After how long a pause somebody looks whether the other side has closed the connection: sooner
/// than the async runtime may notice, which is busy with others, and before a request is lost there.
pub(super) const PAUSE: Duration = Duration::from_micros(200);

/// How a socket is looked into: nothing is taken, and nobody waits.
#[cfg(unix)]
const LOOK: RecvFlags = RecvFlags::PEEK.union(RecvFlags::DONTWAIT);

/// The same: on Windows a socket waits for nobody because it is one of tokio's.
#[cfg(windows)]
const LOOK: RecvFlags = RecvFlags::PEEK;

/// How many bytes have left by a socket.
#[derive(Debug, Clone, Default)]
pub(crate) struct Written(Arc<AtomicU64>);

impl Written {
    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// A connected socket.
pub(crate) struct Socket {
    tcp: TcpStream,
    written: Written,
    used: Instant,
}

impl Socket {
    pub(crate) fn new(tcp: TcpStream) -> Self {
        Self { tcp, written: Written::default(), used: Instant::now() }
    }

    pub(crate) fn written(&self) -> Written {
        self.written.clone()
    }

    /// Refuses to write to nobody, after a pause.
    fn check(&self) -> io::Result<()> {
        if self.used.elapsed() < PAUSE {
            return Ok(());
        }
        match recv(&self.tcp, &mut [0_u8; 1], LOOK) {
            Ok((0, _)) => Err(io::ErrorKind::ConnectionReset.into()),
            Ok(_) | Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn wrote(&mut self, count: usize) -> Poll<io::Result<usize>> {
        self.written.0.fetch_add(count as u64, Ordering::Release);
        self.used = Instant::now();
        Poll::Ready(Ok(count))
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = ready!(Pin::new(&mut self.tcp).poll_read(cx, buffer));
        self.used = Instant::now();
        Poll::Ready(read)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        let count = ready!(Pin::new(&mut self.tcp).poll_write(cx, bytes))?;
        self.wrote(count)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        let count = ready!(Pin::new(&mut self.tcp).poll_write_vectored(cx, pieces))?;
        self.wrote(count)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
