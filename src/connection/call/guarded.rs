//! The way of a call that something stands in front of: layers, policies, a server that is asleep.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
};

use tokio::time::Instant;

use super::{attempts, routed};
use crate::{
    arguments::Arguments,
    catalog::Tool,
    connection::{Connection, SessionScope, wake},
    error::CallError,
    layer::{CallFuture, Request, Ticket},
    output::Output,
    policy::CallOptions,
    usage::Usage,
};

/// A call on this way.
pub(super) struct Guarded {
    work: CallFuture,
    /// The books of the tool that was found, where it had to be looked for.
    found: Option<Arc<OnceLock<Arc<Usage>>>>,
}

impl Guarded {
    /// A call of a tool.
    pub(super) fn call(tool: Tool, arguments: Arguments, ticket: Ticket) -> Self {
        let cancelled = Cancelled::new(tool.id(), &ticket);
        let work = cancelled.or(through_layers(Request::new(tool, arguments, ticket)));
        Self { work, found: None }
    }

    /// A call by an id that is in no list yet.
    pub(super) fn search(unlisted: Unlisted, arguments: Arguments, ticket: Ticket) -> Self {
        let cancelled = Cancelled::new(&unlisted.id, &ticket);
        let found = Arc::new(OnceLock::new());
        let place = Arc::clone(&found);
        let work = cancelled.or(Box::pin(async move {
            let tool = unlisted.find(ticket.began).await?;
            place.get_or_init(|| Arc::clone(tool.usage()));
            through_layers(Request::new(tool, arguments, ticket)).await
        }));
        Self { work, found: Some(found) }
    }

    /// The books of the tool, where it had to be looked for and was found.
    pub(super) fn found(&self) -> Option<&Arc<Usage>> {
        self.found.as_ref()?.get()
    }
}

fn through_layers(request: Request) -> CallFuture {
    let connection = request.tool.connection();
    let layers = connection.scope.layers.as_ref().or_else(|| connection.layers());
    match layers.cloned() {
        Some(layers) => layers.run(request),
        None => Box::pin(attempts::run(request)),
    }
}

/// What ends a call early, where a layer or a policy is in the middle of something.
struct Cancelled {
    tool: String,
    ticket: Option<Ticket>,
}

impl Cancelled {
    fn new(tool: &str, ticket: &Ticket) -> Self {
        let can_be = ticket.cancel.is_some();
        let tool = if can_be { tool.to_owned() } else { String::new() };
        Self { tool, ticket: can_be.then(|| ticket.clone()) }
    }

    /// The work itself is looked at first: an attempt that is cancelled knows best what was sent.
    fn or(self, work: CallFuture) -> CallFuture {
        let Some((ticket, token)) = self.ticket.and_then(|ticket| {
            let token = ticket.cancel.clone()?;
            Some((ticket, token))
        }) else {
            return work;
        };
        Box::pin(async move {
            tokio::select! {
                biased;
                outcome = work => outcome,
                () = token.cancelled() => {
                    Err(CallError::Cancelled { tool: self.tool, delivery: ticket.delivery() })
                }
            }
        })
    }
}

/// A tool id that no server has listed, and the servers that may yet do so.
#[derive(Debug)]
pub(super) struct Unlisted {
    pub(super) scope: Arc<SessionScope>,
    pub(super) id: String,
    pub(super) servers: Vec<Arc<Connection>>,
    pub(super) options: CallOptions,
}

impl Unlisted {
    /// The servers of a session that have not listed their tools because nobody has started them
    /// yet, and whose prefix is that of the id.
    pub(super) fn servers(id: &str, all: &[Arc<Connection>]) -> Vec<Arc<Connection>> {
        let may_have = |connection: &&Arc<Connection>| {
            let prefix = connection.spec.tool_prefix();
            let fits = prefix.is_empty()
                || id.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('.'));
            fits && connection.is_unlisted()
        };
        all.iter().filter(may_have).cloned().collect()
    }

    /// Has the servers list their tools, one after the other, until one has this.
    async fn find(self, began: Instant) -> Result<Tool, CallError> {
        let mut failed = None;
        for connection in &self.servers {
            let options = self.options.over(&connection.options);
            let deadline = options.total().and_then(|limit| began.checked_add(limit));
            let when_down = options.when_down.unwrap_or_default();
            failed = wake::listed(connection, when_down, deadline).await.err().or(failed);
            if let Ok(tool) = routed(&self.scope, &self.id) {
                return Ok(tool.with_options(&self.options));
            }
        }
        match failed {
            Some(error) => Err(error),
            None => routed(&self.scope, &self.id).map_err(|refused| *refused),
        }
    }
}

impl Future for Guarded {
    type Output = Result<Output, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.work.as_mut().poll(cx)
    }
}

impl fmt::Debug for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guarded")
    }
}
