//! The client of tower-mcp on HTTP, as it comes.

use serde_json::json;
use tower_mcp::client::{HttpClientTransport, McpClient};

use crate::http_server::HttpServer;
use crate::manner::Manner;
use crate::peer::Peer;

pub(crate) struct TowerHttpPeer {
    client: McpClient,
    server: HttpServer,
}

impl Peer for TowerHttpPeer {
    const NAME: &'static str = "tower-mcp";

    type Request = String;

    fn request(text: &str) -> String {
        text.to_owned()
    }

    async fn open(manner: Manner) -> Self {
        let server = HttpServer::start(manner);
        let transport = HttpClientTransport::new(server.url(0, "/mcp"));
        let client = McpClient::connect(transport).await.expect("connect");
        client.initialize("bench", "1.0.0").await.expect("shake hands");
        let tools = client.list_all_tools().await.expect("list the tools");
        assert_eq!(tools.len(), 1);
        Self { client, server }
    }

    async fn call(&self, text: &String) -> Result<usize, String> {
        let result = self.client.call_tool("echo", json!({ "text": text })).await;
        let result = result.map_err(|error| error.to_string())?;
        let texts = result.content.iter().filter_map(|block| block.as_text());
        Ok(texts.map(str::len).sum())
    }

    fn pid(&self) -> u32 {
        self.server.child.id()
    }

    async fn close(self) {
        self.client.shutdown().await.expect("close the client");
        self.server.stop();
    }
}
