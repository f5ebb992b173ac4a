//! A server for a host's tests: tools, resources and prompts as closures, in this process.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! use callboard::{Runtime, ServerSpec, testing};
//! use serde_json::json;
//!
//! let weather = testing::Server::new();
//! weather.tool("sky", |arguments| async move { Ok(json!(format!("blue over {}", arguments["city"]))) });
//!
//! let runtime = Runtime::start().await;
//! let session = runtime.session("test").server(ServerSpec::new("weather", weather.transport()).required());
//! let session = session.open().await.unwrap();
//! let output = session.call("weather.sky", json!({ "city": "Bern" })).await.unwrap();
//! assert_eq!(output.text(), r#"blue over "Bern""#);
//!
//! weather.fault(testing::Fault::Disconnect);
//! assert_eq!(session.call("weather.sky", json!({})).await.unwrap_err().kind(), "transport_down");
//! runtime.shutdown().await;
//! weather.stop().await;
//! # }
//! ```

mod answer;
mod client;
mod fault;
#[doc(hidden)]
pub mod fuzzed;
mod serving;
mod tape;

pub use client::Client;
pub use fault::{Fault, Faults};

use std::{collections::BTreeMap, fmt, future::Future, pin::Pin, sync::Arc};

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tracing::Span;

use serving::Deed;
use tape::Tape;

use crate::{
    record::Cassette,
    scope::Scope,
    transport::memory::{Memory, MemoryListener},
    wire,
};

type Answer = Pin<Box<dyn Future<Output = Result<Value, String>> + Send>>;
type Tool = Arc<dyn Fn(Value) -> Answer + Send + Sync>;
type Read = Arc<dyn Fn() -> String + Send + Sync>;
type Prompt = Arc<dyn Fn(Value) -> String + Send + Sync>;

/// What a test server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Era {
    /// MCP 2026-07-28.
    #[default]
    Modern,
    /// MCP 2025-11-25.
    Legacy,
}

/// A server in this process, for tests. A cheap handle; when the last one is dropped, it stops.
///
/// It listens from the beginning. [`stop`](Self::stop) ends its connections and refuses others until
/// [`start`](Self::start).
#[derive(Clone)]
pub struct Server {
    inner: Arc<Inner>,
}

struct Inner {
    board: Arc<Board>,
    memory: Memory,
    listener: Arc<tokio::sync::Mutex<MemoryListener>>,
    /// What runs while it listens.
    tasks: Mutex<Option<Scope>>,
}

/// What it offers, and what it was asked.
struct Board {
    era: Era,
    offers: Mutex<Offers>,
    /// What it plays instead of what it offers.
    tape: Option<Tape>,
}

#[derive(Default)]
struct Offers {
    tools: BTreeMap<String, (Value, Tool)>,
    resources: BTreeMap<String, Read>,
    prompts: BTreeMap<String, Prompt>,
    fault: Fault,
    faults: Option<Faults>,
    /// How many pages of an endless list it gave.
    pages: u64,
    calls: Vec<(String, Value)>,
    clients: Vec<mpsc::Sender<Deed>>,
}

impl Server {
    /// A server of MCP 2026-07-28 that offers nothing yet, and listens. To be called on tokio.
    #[must_use]
    pub fn new() -> Self {
        Self::speaking(Era::default())
    }

    /// A server of this era that offers nothing yet, and listens. To be called on tokio.
    #[must_use]
    pub fn speaking(era: Era) -> Self {
        Self::of(Board { era, offers: Mutex::default(), tape: None })
    }

    /// A server that does what a recorded one did, and listens: to a request that is like a recorded
    /// one, but for its number and its `_meta`, it gives what was given then, with the notifications
    /// that came before the answer. Requests that are alike get their answers in the order of the
    /// recording, and then the last one. What was left unanswered stays so. Others are refused, as are
    /// those whose answer was cut. To be called on tokio.
    ///
    /// What a server asked of its host is not played. [Faults](Self::fault) go before the recording.
    #[must_use]
    pub fn replay(cassette: &Cassette) -> Self {
        let tape = Some(Tape::of(cassette));
        Self::of(Board { era: Era::default(), offers: Mutex::default(), tape })
    }

    fn of(board: Board) -> Self {
        let (memory, listener) = Memory::pair();
        let board = Arc::new(board);
        let listener = Arc::new(tokio::sync::Mutex::new(listener));
        let inner = Inner { board, memory, listener, tasks: Mutex::new(None) };
        let server = Self { inner: Arc::new(inner) };
        server.start();
        server
    }

    /// Listens again, after [`stop`](Self::stop).
    pub fn start(&self) {
        let mut running = self.inner.tasks.lock();
        if running.is_some() {
            return;
        }
        let tasks = Scope::default();
        let (board, scope) = (Arc::clone(&self.inner.board), tasks.clone());
        let listener = Arc::clone(&self.inner.listener);
        self.inner.memory.listen(true);
        tasks.spawn(&Span::none(), async move {
            let token = scope.token().clone();
            let accepting = async {
                let mut listener = listener.lock().await;
                loop {
                    let stream = listener.accept().await;
                    let (board, token) = (Arc::clone(&board), scope.token().clone());
                    scope.spawn(&Span::none(), async move {
                        token.run_until_cancelled(board.serve(stream)).await;
                    });
                }
            };
            token.run_until_cancelled(accepting).await;
        });
        *running = Some(tasks);
    }

    /// The way to it, for a [`ServerSpec`](crate::ServerSpec).
    #[must_use]
    pub fn transport(&self) -> Memory {
        self.inner.memory.clone()
    }

    /// Adds a tool that takes any object. What it returns is the text of its output, if that is text,
    /// and else its structured content; what it fails with is the text of an output with `isError`.
    ///
    /// Returns the handle, so that more can be added to it.
    pub fn tool<F, A>(&self, name: impl Into<String>, tool: F) -> Self
    where
        F: Fn(Value) -> A + Send + Sync + 'static,
        A: Future<Output = Result<Value, String>> + Send + 'static,
    {
        self.tool_with(name, json!({ "type": "object" }), tool)
    }

    /// As [`tool`](Self::tool), with a JSON Schema for its arguments.
    pub fn tool_with<F, A>(&self, name: impl Into<String>, schema: Value, tool: F) -> Self
    where
        F: Fn(Value) -> A + Send + Sync + 'static,
        A: Future<Output = Result<Value, String>> + Send + 'static,
    {
        let tool: Tool = Arc::new(move |arguments| Box::pin(tool(arguments)));
        self.inner.board.offers.lock().tools.insert(name.into(), (schema, tool));
        self.tell("notifications/tools/list_changed", &json!({}));
        self.clone()
    }

    /// Takes a tool away.
    pub fn remove_tool(&self, name: &str) {
        let removed = self.inner.board.offers.lock().tools.remove(name);
        drop(removed);
        self.tell("notifications/tools/list_changed", &json!({}));
    }

    /// Adds a resource of text.
    pub fn resource(
        &self,
        uri: impl Into<String>,
        read: impl Fn() -> String + Send + Sync + 'static,
    ) -> Self {
        self.inner.board.offers.lock().resources.insert(uri.into(), Arc::new(read));
        self.tell("notifications/resources/list_changed", &json!({}));
        self.clone()
    }

    /// Says that a resource changed.
    pub fn touch(&self, uri: &str) {
        self.tell("notifications/resources/updated", &json!({ "uri": uri }));
    }

    /// Adds a prompt of one message.
    pub fn prompt(
        &self,
        name: impl Into<String>,
        prompt: impl Fn(Value) -> String + Send + Sync + 'static,
    ) -> Self {
        self.inner.board.offers.lock().prompts.insert(name.into(), Arc::new(prompt));
        self.tell("notifications/prompts/list_changed", &json!({}));
        self.clone()
    }

    /// What it does wrong from now on, with requests that come after the handshake; goes before
    /// its [plan](Self::faults).
    pub fn fault(&self, fault: Fault) {
        self.inner.board.offers.lock().fault = fault;
    }

    /// What it does wrong by a plan, from now on and from the plan's beginning. Seeds the jitter of this
    /// thread as well, see [`Faults`].
    pub fn faults(&self, plan: Faults) -> Self {
        fastrand::seed(plan.seeds());
        self.inner.board.offers.lock().faults = Some(plan);
        self.clone()
    }

    /// The calls of tools that it acted on so far: names and arguments.
    #[must_use]
    pub fn calls(&self) -> Vec<(String, Value)> {
        self.inner.board.offers.lock().calls.clone()
    }

    /// The same, which it forgets: for a server that is called for hours.
    pub fn take_calls(&self) -> Vec<(String, Value)> {
        std::mem::take(&mut self.inner.board.offers.lock().calls)
    }

    /// Ends every connection, and refuses others; returns when none is left.
    pub async fn stop(&self) {
        let running = self.inner.tasks.lock().take();
        if let Some(running) = running {
            self.inner.memory.listen(false);
            running.token().cancel();
            running.ended().await;
        }
    }

    fn tell(&self, method: &str, params: &Value) {
        self.inner.board.tell(method, params);
    }
}

impl Default for Server {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(running) = self.tasks.lock().take() {
            running.token().cancel();
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("era", &self.inner.board.era).finish_non_exhaustive()
    }
}

impl Board {
    /// Tells every client, or those of the modern era that listen: which is all of them, for this
    /// server does not weigh who wants what.
    fn tell(&self, method: &str, params: &Value) {
        let mut offers = self.offers.lock();
        offers.clients.retain(|client| !client.is_closed());
        for client in &offers.clients {
            // A client that does not read misses it.
            drop(client.try_send(Deed::Send(wire::notification_of(method, params))));
        }
    }
}
