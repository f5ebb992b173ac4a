//! The other way around: a client for the tests of a server.

use crate::{
    arguments::Arguments,
    error::{CallError, OpenError},
    output::Output,
    resource::Contents,
    runtime::Runtime,
    session::Session,
    spec::{ServerSpec, Transport},
};

/// A session over one server, with a runtime of its own, for tests.
#[derive(Debug)]
pub struct Client {
    runtime: Runtime,
    session: Session,
}

/// What a client's server is called.
const NAME: &str = "server";

impl Client {
    /// Connects to a server, which has to become ready.
    ///
    /// # Errors
    ///
    /// Why it did not.
    pub async fn connect(transport: impl Into<Transport>) -> Result<Self, OpenError> {
        let runtime = Runtime::start().await;
        let spec = ServerSpec::new(NAME, transport).required();
        match runtime.session("client").server(spec).open().await {
            Ok(session) => Ok(Self { runtime, session }),
            Err(error) => {
                runtime.shutdown().await;
                Err(error)
            }
        }
    }

    /// Calls a tool by the name that its server gave it.
    ///
    /// # Errors
    ///
    /// As [`Call`](crate::Call).
    pub async fn execute_tool(
        &self,
        tool: &str,
        arguments: impl Into<Arguments>,
    ) -> Result<Output, CallError> {
        self.session.call(format!("{NAME}.{tool}"), arguments).await
    }

    /// Reads a resource.
    ///
    /// # Errors
    ///
    /// As [`Resource::read`](crate::Resource::read).
    pub async fn read_resource(&self, uri: &str) -> Result<Contents, CallError> {
        self.session.read(uri).await
    }

    /// The session, for everything else.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Closes the session and its runtime; returns when nothing of them is left.
    pub async fn close(self) {
        self.runtime.shutdown().await;
    }
}
