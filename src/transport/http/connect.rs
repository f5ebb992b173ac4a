//! From a URL's origin to a connection that takes requests.

use std::{
    error::Error,
    io,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{HeaderValue, Uri};
use hyper::{
    client::conn::{http1, http2},
    rt::Executor,
};
use hyper_util::{
    client::legacy::connect::HttpConnector,
    rt::{TokioIo, TokioTimer},
};
use reqwest::Url;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::task::TaskTracker;
use tower_service::Service as _;

use super::{
    body::Message,
    failure::is_tls,
    sending::{Ended, Ending},
    socket::{Socket, Written},
    target::{Target, host},
    tasks::Tasks,
};
use crate::{error::HttpError, spec::origin};

/// How often an HTTP/2 connection that is waited for is asked whether it is still there, and how
/// long it has to answer: all calls share it, so nothing else would ever replace it.
const PING_EVERY: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// When a socket over which nothing goes is asked whether the other side is still there, how often
/// then, and how many such questions may go unanswered. A stream on which a server may say something
/// some day is never written to: of a connection that a router in between has forgotten, nothing else
/// would tell. (What carries requests through a proxy does the like by itself.)
const KEEPALIVE: Duration = Duration::from_secs(60);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(15);
const KEEPALIVE_RETRIES: u32 = 4;

/// How many streams a server is taken to allow before it says so (RFC 9113, 6.5.2: no fewer than 100).
const STREAMS: usize = 100;

/// Why there can be no connection at all.
pub(crate) type Fault = Arc<dyn Error + Send + Sync>;

pub(crate) fn fault(error: impl Error + Send + Sync + 'static) -> Fault {
    Arc::new(error)
}

/// What takes the requests of one connection.
pub(crate) enum Sender {
    Http1(Exclusive),
    Http2(Multiplexed),
}

/// A connection that takes one request at a time.
pub(crate) struct Exclusive {
    pub(crate) sender: http1::SendRequest<Message>,
    pub(crate) written: Written,
    pub(crate) ended: Ended,
}

/// A connection that takes as many requests at a time as the server allows.
pub(crate) struct Multiplexed {
    pub(crate) sender: http2::SendRequest<Message>,
    pub(crate) ended: Ended,
    /// How many streams the server allows.
    most: Arc<AtomicUsize>,
}

impl Multiplexed {
    /// How many requests may go over it at once.
    pub(crate) fn most_streams(&self) -> usize {
        self.most.load(Ordering::Relaxed).max(1)
    }
}

/// Connects to one origin.
pub(crate) struct Connector {
    pub(crate) origin: String,
    pub(crate) host: HeaderValue,
    uri: Uri,
    tcp: HttpConnector,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    limit: Duration,
    tasks: Arc<Tasks>,
    /// The connections that are open.
    pub(crate) open: TaskTracker,
    /// How many streams the server allows on a connection, by what it said last.
    streams: Arc<AtomicUsize>,
}

impl Connector {
    /// Connects to the origin of a URL, by TLS if there is a configuration for it.
    pub(crate) fn new(
        url: &Url,
        tls: Option<Arc<ClientConfig>>,
        limit: Duration,
        tasks: Arc<Tasks>,
    ) -> Result<Self, Fault> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(KEEPALIVE));
        tcp.set_keepalive_interval(Some(KEEPALIVE_EVERY));
        tcp.set_keepalive_retries(Some(KEEPALIVE_RETRIES));
        // Divided among the addresses of a name, so that the first cannot take it all.
        tcp.set_connect_timeout(Some(limit));
        let uri = Target::new(url).map_err(fault)?.absolute;
        let host = host(url).map_err(fault)?;
        let tls = match tls {
            Some(config) => Some((TlsConnector::from(config), server_name(url)?)),
            None => None,
        };
        let open = TaskTracker::new();
        let streams = Arc::new(AtomicUsize::new(STREAMS));
        Ok(Self { origin: origin(url), host, uri, tcp, tls, limit, tasks, open, streams })
    }

    pub(crate) fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    /// Opens a connection, with a task that drives it.
    pub(crate) async fn connect(&self) -> Result<Sender, HttpError> {
        match tokio::time::timeout(self.limit, self.shake_hands()).await {
            Ok(outcome) => outcome,
            Err(_elapsed) => {
                let text = format!("not within {:?}", self.limit);
                Err(self.failed(io::Error::new(io::ErrorKind::TimedOut, text)))
            }
        }
    }

    async fn shake_hands(&self) -> Result<Sender, HttpError> {
        let tcp = self.tcp.clone().call(self.uri.clone()).await;
        let tcp = tcp.map_err(|error| self.failed(error))?;
        let socket = Socket::new(tcp.into_inner());
        let written = socket.written();
        let Some((tls, name)) = &self.tls else { return self.http1(socket, written).await };
        let secure = tls.connect(name.clone(), socket).await;
        let secure = secure.map_err(|error| self.failed(error))?;
        if is_http2(&secure) { self.http2(secure).await } else { self.http1(secure, written).await }
    }

    async fn http1(
        &self,
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        written: Written,
    ) -> Result<Sender, HttpError> {
        let shaken = http1::handshake(TokioIo::new(io)).await;
        let (sender, connection) = shaken.map_err(|error| self.failed(error))?;
        let ended = self.drive(connection);
        Ok(Sender::Http1(Exclusive { sender, written, ended }))
    }

    async fn http2(&self, io: TlsStream<Socket>) -> Result<Sender, HttpError> {
        let streams = Arc::clone(&self.streams);
        let shaken = http2::Builder::new(Parts(Arc::clone(&self.tasks)))
            // What holds until it says so again: many may wait for this connection.
            .initial_max_send_streams(streams.load(Ordering::Relaxed))
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_TIMEOUT)
            .handshake(TokioIo::new(io))
            .await;
        let (sender, connection) = shaken.map_err(|error| self.failed(error))?;
        let most = Arc::clone(&streams);
        let ended = self.drive(async move {
            let mut connection = pin!(connection);
            std::future::poll_fn(|cx| {
                let driven = connection.as_mut().poll(cx);
                // What the server allows comes with the first answer, and may change.
                streams.store(connection.current_max_send_streams(), Ordering::Relaxed);
                driven
            })
            .await
        });
        Ok(Sender::Http2(Multiplexed { sender, ended, most }))
    }

    /// Has a task drive a connection, and tell what it ended by.
    fn drive(&self, connection: impl Future<Output = hyper::Result<()>> + Send + 'static) -> Ended {
        let ending = Ending::new();
        let ended = ending.ended();
        let driven = self.open.track_future(async move {
            if let Err(error) = connection.await {
                // Whoever waits for an answer is told, too.
                ending.because(error);
            }
        });
        drop(self.tasks.spawn(driven));
        ended
    }

    fn failed(&self, error: impl Error + Send + Sync + 'static) -> HttpError {
        let (origin, tls) = (self.origin.clone(), is_tls(&error));
        let source = Arc::new(error);
        if tls { HttpError::Tls { origin, source } } else { HttpError::Connect { origin, source } }
    }
}

fn server_name(url: &Url) -> Result<ServerName<'static>, Fault> {
    let host = url.host_str().unwrap_or_default();
    let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    ServerName::try_from(name).map_err(fault)
}

fn is_http2(stream: &TlsStream<Socket>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(b"h2")
}

/// Where an HTTP/2 connection spawns what sends its requests.
#[derive(Clone)]
struct Parts(Arc<Tasks>);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Parts {
    fn execute(&self, part: F) {
        self.0.spawn_part(part);
    }
}
