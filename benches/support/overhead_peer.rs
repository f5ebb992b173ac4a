//! This crate, seen in one way.

use std::marker::PhantomData;
use std::sync::Arc;

use callboard::{Limits, Runtime, ServerSpec, Session, Stdio, Tool};
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

use crate::manner::{Manner, executable};
use crate::peer::Peer;
use crate::subscriber::Filter;

/// What the result has around its text.
const AROUND: usize = r#"{"content":[{"type":"text","text":""}]}"#.len();

/// How a session is seen.
pub(crate) trait Setting: Send + Sync + 'static {
    const NAME: &'static str;
    const TRACED: Filter = Filter::OFF;

    /// Before the session is opened.
    fn prepare() {}

    /// After its first calls.
    fn opened() {}

    fn limits(limits: Limits) -> Limits {
        limits
    }
}

macro_rules! traced {
    ($($setting:ident $name:literal $filter:ident;)*) => {$(
        pub(crate) struct $setting;

        impl Setting for $setting {
            const NAME: &'static str = $name;
            const TRACED: Filter = Filter::$filter;
        }
    )*};
}

traced! {
    Off "off" OFF;
    Info "info" INFO;
    Debug "debug" DEBUG;
    Trace "trace" TRACE;
}

/// Without the record of what goes over a link, which is on by default.
pub(crate) struct Unrecorded;

impl Setting for Unrecorded {
    const NAME: &'static str = "unrecorded";

    fn limits(limits: Limits) -> Limits {
        limits.with_record(0, 0)
    }
}

/// With a recorder, which sessions that are opened later tell of their calls.
#[cfg(feature = "metrics")]
pub(crate) struct Metrics;

#[cfg(feature = "metrics")]
impl Setting for Metrics {
    const NAME: &'static str = "metrics";

    fn prepare() {
        crate::recorder::listen(true);
    }

    /// Its tool has been called by now, so all that there is to register is.
    fn opened() {
        crate::recorder::listen(false);
    }
}

pub(crate) struct OverheadPeer<S> {
    runtime: Runtime,
    session: Session,
    tool: Tool,
    setting: PhantomData<S>,
}

impl<S: Setting> Peer for OverheadPeer<S> {
    const NAME: &'static str = S::NAME;

    type Request = Arc<RawValue>;

    fn request(text: &str) -> Arc<RawValue> {
        to_raw_value(&json!({ "text": text })).expect("a text is JSON").into()
    }

    async fn open(manner: Manner) -> Self {
        S::prepare();
        let runtime = Runtime::start().await;
        let server = Stdio::new(executable()).arg(manner.argument());
        // Nobody else here bounds what is in flight.
        let limits = S::limits(Limits::default().with_max_call_bytes(usize::MAX));
        let spec = ServerSpec::new("bench", server).required().limits(limits);
        let session = runtime.session("bench").server(spec).open().await.expect("open the session");
        let tool = session.tool("bench.echo").expect("the only tool");
        Self { runtime, session, tool, setting: PhantomData }
    }

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
