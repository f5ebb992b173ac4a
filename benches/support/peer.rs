//! What a client must do to be measured here.

use std::future::Future;

use crate::manner::Manner;

/// A client connected to a server of its own.
pub(crate) trait Peer: Send + Sync + Sized + 'static {
    /// What its lines in the report start with.
    const NAME: &'static str;

    /// What every call sends, as this client takes it from its caller.
    type Request: Send + Sync + 'static;

    /// A request that asks for `text`.
    fn request(text: &str) -> Self::Request;

    /// Starts a server, shakes hands and, where the client knows tools, lists them.
    fn open(manner: Manner) -> impl Future<Output = Self> + Send;

    /// Calls the tool and returns the length of the text it answered.
    fn call(&self, request: &Self::Request) -> impl Future<Output = Result<usize, String>> + Send;

    /// The process of its server.
    fn pid(&self) -> u32;

    /// Closes the connection and waits until the server is gone.
    fn close(self) -> impl Future<Output = ()> + Send;
}
