//! A call that the server refused because its headers do not match what it says: the tools are
//! listed again, for they have changed, and the call is made once more (MCP 2026-07-28,
//! basic/transports/streamable-http).

use std::{pin::Pin, time::Duration};

use tokio::{sync::broadcast::error::RecvError, time::Instant};

use super::{Call, Way, Wishes};
use crate::{arguments::Arguments, catalog::Tool, error::CallError, event::Event, output::Output};

/// JSON-RPC code of a server that found a header and the message at odds.
const HEADER_MISMATCH: i64 = -32020;

/// How long the new list is waited for.
const LISTING: Duration = Duration::from_secs(10);

/// What a call needs to be made once more.
#[derive(Debug)]
pub(super) struct Again {
    pub(super) arguments: Arguments,
    pub(super) began: Instant,
    pub(super) idle_timeout: Option<Duration>,
    pub(super) total: Option<Duration>,
    pub(super) more: Wishes,
}

/// A call in its second attempt.
pub(super) struct Relisted {
    pub(super) tool: Tool,
    attempt: Pin<Box<dyn Future<Output = Result<Output, CallError>> + Send>>,
}

impl Again {
    /// Whether the server refused the call for its headers, and so did nothing.
    pub(super) fn is_called_for(outcome: &Result<Output, CallError>) -> bool {
        matches!(outcome, Err(CallError::Rejected { code: HEADER_MISMATCH, .. }))
    }

    pub(super) fn start(self, tool: Tool, refused: Result<Output, CallError>) -> Relisted {
        Relisted { attempt: Box::pin(self.run(tool.clone(), refused)), tool }
    }

    async fn run(
        self,
        tool: Tool,
        refused: Result<Output, CallError>,
    ) -> Result<Output, CallError> {
        let left = self.total.map(|total| total.saturating_sub(self.began.elapsed()));
        let within = left.unwrap_or(LISTING).min(LISTING);
        let listed = tokio::time::timeout(within, list_again(&tool)).await;
        let options = tool.options().clone();
        let found = tool.connection().scope.board.load().get(tool.id()).cloned();
        let (Ok(()), Some(tool)) = (listed, found) else { return refused };
        let mut call = Call::of_tool(tool.with_options(&options), self.arguments);
        (call.idle_timeout, call.once, call.way) = (self.idle_timeout, true, Way::Live);
        call.total_timeout =
            self.total.map(|total| total.saturating_sub(self.began.elapsed()).max(NO_TIME));
        call.heed(self.more);
        call.await
    }
}

/// As a limit, zero would mean none.
const NO_TIME: Duration = Duration::from_nanos(1);

async fn list_again(tool: &Tool) {
    let connection = tool.connection();
    let board = &connection.scope.board;
    let mut events = connection.scope.events.subscribe();
    let before = board.posts(connection.place);
    match &*connection.live_link() {
        Some(link) => link.relist(),
        None => return,
    }
    loop {
        match events.recv().await {
            Err(RecvError::Closed) => return,
            // It may be the list of another server that is new.
            Ok(Event::Catalog { .. }) | Err(RecvError::Lagged(_)) => {
                if board.posts(connection.place) != before {
                    return;
                }
            }
            Ok(_) => {}
        }
    }
}

impl Relisted {
    pub(super) fn as_mut(
        &mut self,
    ) -> Pin<&mut (dyn Future<Output = Result<Output, CallError>> + Send)> {
        self.attempt.as_mut()
    }
}

impl std::fmt::Debug for Relisted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Relisted")
    }
}
