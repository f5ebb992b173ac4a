//! Raw reqwest: a ready-made body, an answer of which nothing is parsed.

use hyper::body::Bytes;
use hyper::header::HeaderMap;
use reqwest::{Client, Url};

use crate::http_request::{body, headers, text_in};
use crate::http_server::HttpServer;
use crate::manner::Manner;
use crate::peer::Peer;

pub(crate) struct ReqwestPeer {
    client: Client,
    url: Url,
    headers: HeaderMap,
    server: HttpServer,
}

impl Peer for ReqwestPeer {
    const NAME: &'static str = "reqwest";

    type Request = Bytes;

    fn request(text: &str) -> Bytes {
        body(text).into()
    }

    async fn open(manner: Manner) -> Self {
        let server = HttpServer::start(manner);
        let client = Client::builder().no_proxy().build().expect("build the client");
        let url = server.url(0, "/mcp").parse().expect("a URL");
        Self { client, url, headers: headers(), server }
    }

    async fn call(&self, body: &Bytes) -> Result<usize, String> {
        let request = self.client.post(self.url.clone()).headers(self.headers.clone());
        let answer = async { request.body(body.clone()).send().await?.bytes().await };
        text_in(answer.await.map_err(|error| error.to_string())?.len())
    }

    fn pid(&self) -> u32 {
        self.server.child.id()
    }

    async fn close(self) {
        drop(self.client);
        self.server.stop();
    }
}
