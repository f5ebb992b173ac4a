//! Bodies that come compressed.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use async_compression::{
    tokio::bufread::{BrotliDecoder, GzipDecoder, ZstdDecoder},
    zstd::DParameter,
};
use bytes::{Buf as _, Bytes};
use http::{HeaderMap, HeaderValue, header::CONTENT_ENCODING};
use tokio::io::{AsyncBufRead, AsyncRead, ReadBuf};

use super::body::{Body, Pooled};

/// What is asked for.
pub(crate) const OFFERED: HeaderValue = HeaderValue::from_static("gzip, br, zstd");

/// How much is unpacked at once.
const ROOM: usize = 16 << 10;

/// The window that a sender of zstd may count on, as a power of two (RFC 8878, 3.1.1.1.2).
const ZSTD_WINDOW: u32 = 23;

/// A body that is unpacked while it comes.
pub(crate) struct Decoded {
    decoder: Decoder,
    room: Box<[u8]>,
    state: State,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    /// Nothing may come at all, also where something compressed was announced.
    Empty,
    Unpacking,
    /// What was packed is over, the body may not be.
    Unpacked,
}

enum Decoder {
    Gzip(GzipDecoder<Chunks>),
    Brotli(BrotliDecoder<Chunks>),
    Zstd(ZstdDecoder<Chunks>),
}

/// The body of an answer, unpacked if its headers say that it has to be.
pub(crate) fn decoded(headers: &HeaderMap, body: Pooled) -> Body {
    let Some(encoding) = headers.get(CONTENT_ENCODING) else { return Body::Direct(body) };
    let chunks = |body| Chunks { body, chunk: Bytes::new() };
    let decoder = match encoding.as_bytes().to_ascii_lowercase().as_slice() {
        b"gzip" | b"x-gzip" => Decoder::Gzip(GzipDecoder::new(chunks(body))),
        b"br" => Decoder::Brotli(BrotliDecoder::new(chunks(body))),
        b"zstd" => {
            let window = [DParameter::window_log_max(ZSTD_WINDOW)];
            Decoder::Zstd(ZstdDecoder::with_params(chunks(body), &window))
        }
        _ => return Body::Direct(body),
    };
    let room = vec![0; ROOM].into_boxed_slice();
    Body::Decoded(Box::new(Decoded { decoder, room, state: State::Empty }))
}

impl Decoded {
    pub(crate) fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, io::Error>>> {
        if self.state == State::Empty {
            let first = ready!(Pin::new(self.decoder.chunks()).poll_fill_buf(cx));
            match first {
                Ok([]) => return Poll::Ready(None),
                Ok(_) => self.state = State::Unpacking,
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
        if self.state == State::Unpacking {
            let mut unpacked = ReadBuf::new(&mut self.room);
            match ready!(self.decoder.poll_read(cx, &mut unpacked)) {
                Ok(()) if unpacked.filled().is_empty() => self.state = State::Unpacked,
                Ok(()) => {
                    let chunk = Bytes::copy_from_slice(unpacked.filled());
                    return Poll::Ready(Some(Ok(chunk)));
                }
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
        // Read to its end, for the connection to be used again.
        let rest = ready!(self.decoder.chunks().poll_rest(cx));
        Poll::Ready(rest.map(Err))
    }
}

impl Decoder {
    fn chunks(&mut self) -> &mut Chunks {
        match self {
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Brotli(decoder) => decoder.get_mut(),
            Self::Zstd(decoder) => decoder.get_mut(),
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Gzip(decoder) => Pin::new(decoder).poll_read(cx, room),
            Self::Brotli(decoder) => Pin::new(decoder).poll_read(cx, room),
            Self::Zstd(decoder) => Pin::new(decoder).poll_read(cx, room),
        }
    }
}

/// A body as a decoder reads it.
struct Chunks {
    body: Pooled,
    chunk: Bytes,
}

impl Chunks {
    /// Makes sure that there is something to read, unless it is over.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.chunk.is_empty() {
            match ready!(self.body.poll_frame(cx)) {
                Some(Ok(frame)) => self.chunk = frame.into_data().unwrap_or_default(),
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None => break,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Reads what should be the end of the body.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Error>> {
        if self.chunk.is_empty() && self.body.is_at_end() {
            return Poll::Ready(None);
        }
        let over = match ready!(self.poll_fill(cx)) {
            Ok(()) if self.chunk.is_empty() => None,
            Ok(()) => Some(io::Error::new(io::ErrorKind::InvalidData, "it goes on after its end")),
            Err(error) => Some(error),
        };
        Poll::Ready(over)
    }
}

impl AsyncRead for Chunks {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_fill(cx))?;
        let count = room.remaining().min(self.chunk.len());
        room.put_slice(&self.chunk.split_to(count));
        Poll::Ready(Ok(()))
    }
}

impl AsyncBufRead for Chunks {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        ready!(this.poll_fill(cx))?;
        Poll::Ready(Ok(&this.chunk))
    }

    fn consume(mut self: Pin<&mut Self>, count: usize) {
        self.chunk.advance(count);
    }
}
