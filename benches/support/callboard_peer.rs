//! This crate: one session with one server.

use callboard::{Runtime, ServerSpec, Session, Stdio};
use serde_json::json;

use crate::child::{Manner, executable};
use crate::peer::Peer;

pub(crate) struct CallboardPeer {
    runtime: Runtime,
    session: Session,
}

impl Peer for CallboardPeer {
    const NAME: &'static str = "callboard";

    type Request = String;

    fn request(text: &str) -> String {
        text.to_owned()
    }

    async fn open(manner: Manner) -> Self {
        let runtime = Runtime::start().await;
        let server = Stdio::new(executable()).arg(manner.argument());
        let session = runtime
            .session("bench")
            .server(ServerSpec::new("bench", server).required())
            .open()
            .await
            .expect("open the session");
        session.settled().await;
        assert_eq!(session.tools().len(), 1);
        Self { runtime, session }
    }

    async fn call(&self, text: &String) -> Result<usize, String> {
        let call = self.session.call("bench.echo", json!({ "text": text }));
        let output = call.await.map_err(|error| error.to_string())?;
        Ok(output.text().len())
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
