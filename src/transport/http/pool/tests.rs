use std::{
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Response};
use http_body::Body as _;
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use reqwest::Url;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, rustls};

use super::*;
use crate::{
    error::HttpError,
    spec::{Http, StreamableHttp},
    transport::http::{
        body::{Body, Message},
        client::Client,
        clients::Clients,
        failure::Cause,
        socket::PAUSE,
    },
};

const LONG: Duration = Duration::from_secs(20);

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// What a test server's connections come to.
struct Server {
    url: Url,
    accepted: Arc<AtomicUsize>,
    /// Told when the client has closed a connection, or the server has.
    ended: mpsc::Receiver<()>,
}

/// A server that does this with every connection.
async fn server<F>(each: impl Fn(BufReader<TcpStream>) -> F + Send + 'static) -> Server
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/mcp?a=b", listener.local_addr().unwrap()).parse().unwrap();
    let (accepted, (end, ended)) = (Arc::new(AtomicUsize::new(0)), mpsc::channel(64));
    let count = Arc::clone(&accepted);
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            let (served, end) = (each(BufReader::new(socket)), end.clone());
            tokio::spawn(async move {
                served.await;
                end.send(()).await.unwrap_or_default();
            });
        }
    });
    Server { url, accepted, ended }
}

impl Server {
    fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    async fn one_ended(&mut self) {
        timeout(LONG, self.ended.recv()).await.unwrap().unwrap();
    }
}

/// The head of the next request, after its body; none if the client has closed the connection.
async fn request(socket: &mut BufReader<TcpStream>) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if socket.read_line(&mut head).await.unwrap_or_default() == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    socket.read_exact(&mut body).await.ok()?;
    Some(head)
}

/// Answers every request until the client closes the connection.
async fn answer_all(mut socket: BufReader<TcpStream>) {
    while request(&mut socket).await.is_some() {
        socket.write_all(ANSWER).await.unwrap();
    }
}

struct Caller {
    clients: Clients,
    client: Client,
    url: Url,
    target: Target,
}

impl Caller {
    fn new(url: &Url, declare: impl Fn(StreamableHttp) -> StreamableHttp) -> Self {
        let http: Http = declare(StreamableHttp::new(url.as_str())).http;
        let clients = Clients::new(None);
        let client = clients.client(&http, url).unwrap();
        Self { clients, client, url: url.clone(), target: Target::new(url).unwrap() }
    }

    async fn ask(&self) -> Result<Response<Body>, Failure> {
        let asked = || {
            let headers: HeaderMap = self.client.headers();
            Asked { method: Method::POST, headers, body: Bytes::from_static(b"{}") }
        };
        timeout(LONG, self.client.send((&self.url, &self.target), asked)).await.unwrap()
    }

    async fn call(&self) -> Bytes {
        let mut response = self.ask().await.unwrap();
        let mut read = Vec::new();
        while let Some(frame) = next(response.body_mut()).await {
            read.extend_from_slice(&frame.unwrap());
        }
        read.into()
    }

    fn pool(&self) -> &Arc<Pool> {
        let Client::Direct { pool, .. } = &self.client else { panic!() };
        pool
    }
}

async fn next(body: &mut Body) -> Option<Result<Bytes, crate::transport::http::body::BodyError>> {
    let frame = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx));
    let frame = timeout(LONG, frame).await.unwrap()?;
    Some(frame.map(|frame| frame.into_data().unwrap()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_one_after_another_use_one_connection() {
    let server = server(answer_all).await;
    let caller = Caller::new(&server.url, |http| http);
    for _ in 0..200 {
        assert_eq!(caller.call().await, "ok");
    }
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn as_many_requests_as_there_are_at_once_use_as_many_connections() {
    let server = server(answer_all).await;
    let caller = Arc::new(Caller::new(&server.url, |http| http));
    for _ in 0..5 {
        let mut calls = JoinSet::new();
        for _ in 0..300 {
            let caller = Arc::clone(&caller);
            calls.spawn(async move { caller.call().await });
        }
        assert!(calls.join_all().await.iter().all(|answer| answer == "ok"));
        assert!(caller.pool().state.lock().idle.len() <= IDLE);
    }
    assert!(server.accepted() <= 300 + 4 * (300 - IDLE), "{}", server.accepted());
}

#[tokio::test]
async fn a_request_says_where_it_goes_and_who_sends_it() {
    let (tell, mut told) = mpsc::channel(1);
    let server = server(move |mut socket| {
        let tell = tell.clone();
        async move {
            tell.send(request(&mut socket).await.unwrap()).await.unwrap();
            socket.write_all(ANSWER).await.unwrap();
        }
    });
    let server = server.await;
    Caller::new(&server.url, |http| http).call().await;
    let head = told.recv().await.unwrap();
    let lines: Vec<_> = head.lines().collect();
    assert_eq!(lines[0], "POST /mcp?a=b HTTP/1.1");
    assert_eq!(lines[1], format!("host: 127.0.0.1:{}", server.url.port().unwrap()));
    assert_eq!(lines[2], concat!("user-agent: callboard/", env!("CARGO_PKG_VERSION")));
    assert_eq!(lines[3], "accept-encoding: gzip, br, zstd");
}

#[tokio::test]
async fn a_connection_that_the_server_closed_while_it_was_idle_fails_nobody() {
    let mut server = server(async |mut socket: BufReader<TcpStream>| {
        request(&mut socket).await.unwrap();
        socket.write_all(ANSWER).await.unwrap();
    })
    .await;
    let caller = Caller::new(&server.url, |http| http);
    for _ in 0..20 {
        assert_eq!(caller.call().await, "ok");
        server.one_ended().await;
        // Nobody else on this thread gets the chance to learn of it in between.
        std::thread::sleep(PAUSE);
    }
    assert_eq!(server.accepted(), 20);
}

#[tokio::test]
async fn a_request_that_was_not_written_goes_to_another_connection() {
    let server = server(answer_all).await;
    let caller = Caller::new(&server.url, |http| http);
    caller.call().await;
    // Its connection is gone the next time that this thread does something else.
    caller.pool().tasks.abort_these();
    assert_eq!(caller.call().await, "ok");
    assert_eq!(server.accepted(), 2);
}

#[tokio::test]
async fn a_request_that_may_have_arrived_is_not_sent_again() {
    let server = server(async |mut socket: BufReader<TcpStream>| {
        request(&mut socket).await.unwrap();
        socket.write_all(ANSWER).await.unwrap();
        request(&mut socket).await.unwrap();
    })
    .await;
    let caller = Caller::new(&server.url, |http| http);
    caller.call().await;
    let Err(Failure { cause: Cause::Http(error), delivery }) = caller.ask().await else { panic!() };
    assert!(matches!(*error, HttpError::Broken { .. }), "{error:?}");
    assert_eq!((delivery, server.accepted()), (Delivery::MaybeSent, 1));
}

#[tokio::test]
async fn a_body_that_is_dropped_closes_its_connection() {
    let mut server = server(async |mut socket: BufReader<TcpStream>| {
        request(&mut socket).await.unwrap();
        let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n";
        socket.write_all(head).await.unwrap();
        assert_eq!(request(&mut socket).await, None, "it is not used again");
    })
    .await;
    let caller = Caller::new(&server.url, |http| http);
    let mut response = caller.ask().await.unwrap();
    assert_eq!(next(response.body_mut()).await.unwrap().unwrap(), "abc");
    drop(response);
    server.one_ended().await;
    // Nor is one whose answer has not even begun.
    let mut calls = JoinSet::new();
    let caller = Arc::new(caller);
    let asking = Arc::clone(&caller);
    calls.spawn(async move { asking.ask().await.is_ok() });
    assert!(calls.join_next().await.unwrap().unwrap());
    server.one_ended().await;
    assert_eq!(server.accepted(), 2);
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_time() {
    let mut server = server(answer_all).await;
    let kept = Duration::from_millis(60);
    let caller = Caller::new(&server.url, |http| http.keep_alive(kept));
    for round in 1..3 {
        let began = Instant::now();
        caller.call().await;
        server.one_ended().await;
        assert!(began.elapsed() >= kept);
        assert_eq!(server.accepted(), round);
    }
}

#[tokio::test]
async fn nothing_is_kept_for_no_time() {
    let mut server = server(answer_all).await;
    let caller = Caller::new(&server.url, |http| http.keep_alive(Duration::ZERO));
    for round in 1..4 {
        caller.call().await;
        server.one_ended().await;
        assert_eq!(server.accepted(), round);
    }
}

#[tokio::test]
async fn the_end_leaves_neither_task_nor_connection() {
    let mut server = server(answer_all).await;
    let caller = Caller::new(&server.url, |http| http);
    caller.call().await;
    let unread = caller.ask().await.unwrap();
    timeout(LONG, caller.clients.close()).await.unwrap();
    assert_eq!(caller.pool().connector.open.len(), 0);
    server.one_ended().await;
    drop(unread);
    assert_eq!(caller.pool().state.lock().idle.len(), 0);
    let Err(Failure { cause: Cause::Http(error), delivery }) = caller.ask().await else { panic!() };
    assert!(matches!(*error, HttpError::Connect { .. }), "{error:?}");
    assert_eq!(delivery, Delivery::NotSent);
}

/// A server that speaks HTTP/2 over TLS, with the PEM of its certificate.
async fn http2_server() -> (Server, String) {
    let signed = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (pem, chain) = (signed.cert.pem(), vec![signed.cert.der().clone()]);
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(signed.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let mut config = config.with_single_cert(chain, key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let mut server = server(move |socket| {
        let acceptor = acceptor.clone();
        async move {
            let secure = acceptor.accept(socket.into_inner()).await.unwrap();
            let answer = service_fn(async |request: Request<Incoming>| {
                assert_eq!(request.headers().get("host"), None);
                assert_eq!(request.uri().path(), "/mcp");
                assert_eq!(request.uri().scheme_str(), Some("https"));
                Ok::<_, std::convert::Infallible>(Response::new(Message::new("ok".into())))
            });
            let serving = http2::Builder::new(TokioExecutor::new());
            drop(serving.serve_connection(TokioIo::new(secure), answer).await);
        }
    })
    .await;
    server.url.set_scheme("https").unwrap();
    (server, pem)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_requests_to_a_server_with_http2_share_one_connection() {
    let (mut server, pem) = http2_server().await;
    let kept = Duration::from_millis(200);
    let declare = |http: StreamableHttp| http.root_certificate(pem.clone()).keep_alive(kept);
    let caller = Arc::new(Caller::new(&server.url, declare));
    for round in 1..3 {
        let mut calls = JoinSet::new();
        for _ in 0..100 {
            let caller = Arc::clone(&caller);
            calls.spawn(async move { caller.call().await });
        }
        assert!(calls.join_all().await.iter().all(|answer| answer == "ok"));
        assert_eq!(server.accepted(), round);
        // Idle for long enough, it is closed like any other.
        server.one_ended().await;
    }
    timeout(LONG, caller.clients.close()).await.unwrap();
    assert_eq!(caller.pool().connector.open.len(), 0);
}

/// A host may keep a call that it does not poll any more, and others must not wait for that.
#[tokio::test]
async fn a_first_request_that_is_not_polled_keeps_nobody_waiting() {
    let (server, pem) = http2_server().await;
    let caller = Caller::new(&server.url, |http| http.root_certificate(pem.clone()));
    let mut context = Context::from_waker(Waker::noop());
    let mut forgotten: Vec<_> = (0..3).map(|_| Box::pin(caller.ask())).collect();
    for ask in &mut forgotten {
        assert!(ask.as_mut().poll(&mut context).is_pending());
    }
    for _ in 0..3 {
        assert_eq!(timeout(LONG, caller.call()).await.expect("it waits for the others"), "ok");
    }
    assert_eq!(server.accepted(), 1);
    // They are not lost either.
    for ask in forgotten {
        assert!(ask.await.is_ok());
    }
}

#[tokio::test]
async fn of_many_first_requests_each_fails_on_its_own() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url: Url = format!("https://{}/", listener.local_addr().unwrap()).parse().unwrap();
    // It accepts connections, and says nothing.
    let limit = Duration::from_millis(200);
    let caller = Arc::new(Caller::new(&url, |http| http.connect_timeout(limit)));
    let began = Instant::now();
    let mut calls = JoinSet::new();
    for _ in 0..50 {
        let caller = Arc::clone(&caller);
        calls.spawn(async move { caller.ask().await.is_err() });
    }
    assert!(calls.join_all().await.into_iter().all(|failed| failed));
    // One goes ahead, all others follow at once.
    assert!(began.elapsed() < limit * 10, "{:?}", began.elapsed());
    drop(listener);
}

/// Whatever a connection ends by, and however far a request on its way to it has come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_ends_as_a_request_comes_keeps_nobody_waiting() {
    let server = server(async |mut socket: BufReader<TcpStream>| {
        while request(&mut socket).await.is_some() && socket.write_all(ANSWER).await.is_ok() {}
    })
    .await;
    let caller = Caller::new(&server.url, |http| http);
    for round in 0..10_000_u32 {
        caller.call().await;
        let pool = Arc::clone(caller.pool());
        let cut = tokio::spawn(async move {
            (0..round % 200).for_each(|_| std::hint::spin_loop());
            pool.tasks.abort_these();
        });
        drop(caller.ask().await);
        cut.await.unwrap();
    }
}
