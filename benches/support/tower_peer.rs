//! The client of tower-mcp, as it comes.

use serde_json::json;
use tower_mcp::client::{McpClient, StdioClientTransport};

use crate::manner::{Manner, executable};
use crate::peer::Peer;

pub(crate) struct TowerPeer {
    client: McpClient,
    pid: u32,
}

impl Peer for TowerPeer {
    const NAME: &'static str = "tower-mcp";

    type Request = String;

    fn request(text: &str) -> String {
        text.to_owned()
    }

    async fn open(manner: Manner) -> Self {
        let program = executable();
        let program = program.to_str().expect("the path is UTF-8");
        let transport = StdioClientTransport::spawn(program, &[manner.argument()])
            .await
            .expect("start the server");
        let pid = transport.child_id().expect("a process just started has an id");
        let client = McpClient::connect(transport).await.expect("connect");
        client.initialize("bench", "1.0.0").await.expect("shake hands");
        let tools = client.list_all_tools().await.expect("list the tools");
        assert_eq!(tools.len(), 1);
        Self { client, pid }
    }

    async fn call(&self, text: &String) -> Result<usize, String> {
        let result = self.client.call_tool("echo", json!({ "text": text })).await;
        let result = result.map_err(|error| error.to_string())?;
        let texts = result.content.iter().filter_map(|block| block.as_text());
        Ok(texts.map(str::len).sum())
    }

    fn pid(&self) -> u32 {
        self.pid
    }

    async fn close(self) {
        self.client.shutdown().await.expect("close the client");
    }
}
