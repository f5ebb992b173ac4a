//! The client of the official SDK on HTTP: as it comes, with a new connection for every call, and
//! with a client that keeps its connections.

use std::marker::PhantomData;

use rmcp::RoleClient;
use rmcp::model::{CallToolRequestParams, JsonObject};
use rmcp::service::{RunningService, ServiceExt};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;

use crate::http_server::HttpServer;
use crate::manner::Manner;
use crate::peer::Peer;

type Transport = StreamableHttpClientTransport<reqwest::Client>;

/// How its HTTP client comes about.
pub(crate) trait Backend: Send + Sync + 'static {
    const NAME: &'static str;
    fn transport(url: String) -> Transport;
}

pub(crate) struct AsItComes;

impl Backend for AsItComes {
    const NAME: &'static str = "rmcp";

    fn transport(url: String) -> Transport {
        StreamableHttpClientTransport::from_uri(url)
    }
}

pub(crate) struct Pooled;

impl Backend for Pooled {
    const NAME: &'static str = "rmcp-pooled";

    fn transport(url: String) -> Transport {
        let client = reqwest::Client::builder().no_proxy().build().expect("build the client");
        let config = StreamableHttpClientTransportConfig::with_uri(url);
        StreamableHttpClientTransport::with_client(client, config)
    }
}

pub(crate) struct RmcpHttpPeer<B> {
    client: RunningService<RoleClient, ()>,
    server: HttpServer,
    backend: PhantomData<B>,
}

impl<B: Backend> Peer for RmcpHttpPeer<B> {
    const NAME: &'static str = B::NAME;

    type Request = String;

    fn request(text: &str) -> String {
        text.to_owned()
    }

    async fn open(manner: Manner) -> Self {
        let server = HttpServer::start(manner);
        let client = ().serve(B::transport(server.url(0, "/mcp"))).await.expect("shake hands");
        let tools = client.list_all_tools().await.expect("list the tools");
        assert_eq!(tools.len(), 1);
        Self { client, server, backend: PhantomData }
    }

    async fn call(&self, text: &String) -> Result<usize, String> {
        let arguments = JsonObject::from_iter([("text".to_owned(), text.as_str().into())]);
        let params = CallToolRequestParams::new("echo").with_arguments(arguments);
        let result = self.client.call_tool(params).await;
        let result = result.map_err(|error| error.to_string())?;
        let texts = result.content.iter().filter_map(|block| block.as_text());
        Ok(texts.map(|block| block.text.len()).sum())
    }

    fn pid(&self) -> u32 {
        self.server.child.id()
    }

    async fn close(self) {
        self.client.cancel().await.expect("close the client");
        self.server.stop();
    }
}
