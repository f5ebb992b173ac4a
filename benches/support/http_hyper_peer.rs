//! Raw hyper on kept-alive connections: a ready-made body, an answer of which nothing is parsed.

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{HOST, HeaderMap, HeaderValue};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::http_request::{body, headers, text_in};
use crate::http_server::HttpServer;
use crate::manner::Manner;
use crate::peer::Peer;

pub(crate) struct HyperPeer {
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
    connections: Mutex<JoinSet<hyper::Result<()>>>,
    headers: HeaderMap,
    server: HttpServer,
}

impl Peer for HyperPeer {
    const NAME: &'static str = "hyper";

    type Request = Bytes;

    fn request(text: &str) -> Bytes {
        body(text).into()
    }

    async fn open(manner: Manner) -> Self {
        let server = HttpServer::start(manner);
        let mut headers = headers();
        let host = HeaderValue::from_str(&server.address(0).to_string());
        headers.insert(HOST, host.expect("an address is a header"));
        Self { idle: Mutex::default(), connections: Mutex::default(), headers, server }
    }

    async fn call(&self, body: &Bytes) -> Result<usize, String> {
        let length = self.exchange(body.clone()).await;
        text_in(length.map_err(|error| error.to_string())?)
    }

    fn pid(&self) -> u32 {
        self.server.child.id()
    }

    async fn close(self) {
        drop(self.idle);
        self.connections.into_inner().join_all().await;
        self.server.stop();
    }
}

impl HyperPeer {
    async fn exchange(&self, body: Bytes) -> hyper::Result<usize> {
        let idle = self.idle.lock().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        connection.ready().await?;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from_static("/mcp");
        *request.headers_mut() = self.headers.clone();
        let answer = connection.send_request(request).await?;
        let bytes = answer.into_body().collect().await?.to_bytes();
        self.idle.lock().push(connection);
        Ok(bytes.len())
    }

    async fn connect(&self) -> hyper::Result<SendRequest<Full<Bytes>>> {
        let stream = TcpStream::connect(self.server.address(0)).await.expect("connect");
        stream.set_nodelay(true).expect("set an option of a socket");
        let (requests, connection) = handshake(TokioIo::new(stream)).await?;
        self.connections.lock().spawn(connection);
        Ok(requests)
    }
}
