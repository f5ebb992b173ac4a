//! The client of the official SDK, as it comes.

use rmcp::RoleClient;
use rmcp::model::{CallToolRequestParams, JsonObject};
use rmcp::service::{RunningService, ServiceExt};
use rmcp::transport::TokioChildProcess;
use tokio::process::Command;

use crate::manner::{Manner, executable};
use crate::peer::Peer;

pub(crate) struct RmcpPeer {
    client: RunningService<RoleClient, ()>,
    pid: u32,
}

impl Peer for RmcpPeer {
    const NAME: &'static str = "rmcp";

    type Request = String;

    fn request(text: &str) -> String {
        text.to_owned()
    }

    async fn open(manner: Manner) -> Self {
        let mut command = Command::new(executable());
        command.arg(manner.argument());
        let process = TokioChildProcess::new(command).expect("start the server");
        let pid = process.id().expect("a process just started has an id");
        let client = ().serve(process).await.expect("shake hands");
        let tools = client.list_all_tools().await.expect("list the tools");
        assert_eq!(tools.len(), 1);
        Self { client, pid }
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
        self.pid
    }

    async fn close(self) {
        self.client.cancel().await.expect("close the client");
    }
}
