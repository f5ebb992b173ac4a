//! This crate: one session with one server.

use std::sync::Arc;

use callboard::{Limits, Runtime, ServerSpec, Session, Stdio, Tool};
use serde_json::{
    json,
    value::{RawValue, to_raw_value},
};

use crate::manner::{Manner, executable};
use crate::peer::Peer;

/// What the result has around its text.
const AROUND: usize = r#"{"content":[{"type":"text","text":""}]}"#.len();

pub(crate) struct CallboardPeer {
    runtime: Runtime,
    session: Session,
    tool: Tool,
}

impl Peer for CallboardPeer {
    const NAME: &'static str = "callboard";

    /// The arguments as JSON, as a model or a client wrote them.
    type Request = Arc<RawValue>;

    fn request(text: &str) -> Arc<RawValue> {
        to_raw_value(&json!({ "text": text })).expect("a text is JSON").into()
    }

    async fn open(manner: Manner) -> Self {
        let runtime = Runtime::start().await;
        let server = Stdio::new(executable()).arg(manner.argument());
        // Nobody else here bounds what is in flight.
        let limits = Limits::default().with_max_call_bytes(usize::MAX);
        let session = runtime
            .session("bench")
            .server(ServerSpec::new("bench", server).required().limits(limits))
            .open()
            .await
            .expect("open the session");
        session.settled().await;
        assert_eq!(session.tools().len(), 1);
        let tool = session.tool("bench.echo").expect("the only tool");
        Self { runtime, session, tool }
    }

    /// By a handle of the tool, as a program does that calls one tool often; by its id, a call costs
    /// a look into the catalog more.
    async fn call(&self, arguments: &Arc<RawValue>) -> Result<usize, String> {
        let output = self.tool.call(Arc::clone(arguments)).await;
        let output = output.map_err(|error| error.to_string())?;
        Ok(output.raw().len() - AROUND)
    }

    fn pid(&self) -> u32 {
        let server = self.session.server("bench").expect("the only server");
        server.status().pid.expect("a ready server has a process")
    }

    async fn close(self) {
        self.session.close().await;
        self.runtime.shutdown().await;
    }
}
