//! Raw hyper with the pool of hyper-util, which reqwest is built on.

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::header::HeaderMap;
use hyper::{Method, Request, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::http_request::{body, headers, text_in};
use crate::http_server::HttpServer;
use crate::manner::Manner;
use crate::peer::Peer;

pub(crate) struct PoolPeer {
    client: Client<HttpConnector, Full<Bytes>>,
    uri: Uri,
    headers: HeaderMap,
    server: HttpServer,
}

impl Peer for PoolPeer {
    const NAME: &'static str = "hyper-util";

    type Request = Bytes;

    fn request(text: &str) -> Bytes {
        body(text).into()
    }

    async fn open(manner: Manner) -> Self {
        let server = HttpServer::start(manner);
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        let uri = server.url(0, "/mcp").parse().expect("a URI");
        Self { client, uri, headers: headers(), server }
    }

    async fn call(&self, body: &Bytes) -> Result<usize, String> {
        let mut request = Request::new(Full::new(body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        let answer = self.client.request(request).await.map_err(|error| error.to_string())?;
        let body = answer.into_body().collect().await.map_err(|error| error.to_string())?;
        text_in(body.to_bytes().len())
    }

    fn pid(&self) -> u32 {
        self.server.child.id()
    }

    async fn close(self) {
        drop(self.client);
        self.server.stop();
    }
}
