//! This crate: one session with one server on HTTP, in the revision that it finds out and in the
//! last one with a handshake.

use std::marker::PhantomData;
use std::sync::Arc;

use callboard::{HttpEra, Limits, Runtime, ServerSpec, Session, StreamableHttp, Tool};
use serde_json::{
    json,
    value::{RawValue, to_raw_value},
};

use crate::http_server::HttpServer;
use crate::manner::Manner;
use crate::peer::Peer;

/// What the result has around its text.
const AROUND: usize = r#"{"content":[{"type":"text","text":""}]}"#.len();

/// How it is told to speak with the server.
pub(crate) trait Speech: Send + Sync + 'static {
    const NAME: &'static str;
    fn spec(server: StreamableHttp) -> StreamableHttp;
}

pub(crate) struct AsFound;

impl Speech for AsFound {
    const NAME: &'static str = "callboard";

    fn spec(server: StreamableHttp) -> StreamableHttp {
        server
    }
}

pub(crate) struct Legacy;

impl Speech for Legacy {
    const NAME: &'static str = "callboard-2025";

    fn spec(server: StreamableHttp) -> StreamableHttp {
        server.era(HttpEra::Legacy)
    }
}

pub(crate) struct CallboardHttpPeer<S> {
    runtime: Runtime,
    session: Session,
    tool: Tool,
    server: HttpServer,
    speech: PhantomData<S>,
}

impl<S: Speech> Peer for CallboardHttpPeer<S> {
    const NAME: &'static str = S::NAME;

    /// The arguments as JSON, as a model or a client wrote them.
    type Request = Arc<RawValue>;

    fn request(text: &str) -> Arc<RawValue> {
        to_raw_value(&json!({ "text": text })).expect("a text is JSON").into()
    }

    async fn open(manner: Manner) -> Self {
        let server = HttpServer::start(manner);
        let runtime = Runtime::start().await;
        // Nobody else here bounds what is in flight.
        let limits = Limits::default().with_max_call_bytes(usize::MAX);
        let spec = ServerSpec::new("bench", S::spec(StreamableHttp::new(server.url(0, "/mcp"))));
        let session = runtime
            .session("bench")
            .server(spec.required().limits(limits))
            .open()
            .await
            .expect("open the session");
        session.settled().await;
        assert_eq!(session.tools().len(), 1);
        let tool = session.tool("bench.echo").expect("the only tool");
        Self { runtime, session, tool, server, speech: PhantomData }
    }

    /// By a handle of the tool, as a program does that calls one tool often; by its id, a call costs
    /// a look into the catalog more.
    async fn call(&self, arguments: &Arc<RawValue>) -> Result<usize, String> {
        let output = self.tool.call(Arc::clone(arguments)).await;
        let output = output.map_err(|error| error.to_string())?;
        Ok(output.raw().len() - AROUND)
    }

    fn pid(&self) -> u32 {
        self.server.child.id()
    }

    async fn close(self) {
        self.session.close().await;
        self.runtime.shutdown().await;
        self.server.stop();
    }
}
