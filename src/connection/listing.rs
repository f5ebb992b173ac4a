//! Reading a server's list of tools, and keeping it fresh.

use std::{
    collections::{HashSet, hash_map::RandomState},
    future::poll_fn,
    hash::BuildHasher as _,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    Connection,
    ask::{AskError, ask},
    link::{Link, Loss, Timing},
};
use crate::{
    catalog::{CatalogFault, Listing},
    error::{DownReason, HttpError},
    event::Event,
    spec::Transport,
    telemetry,
    toolset::SavedTools,
    wire::RawResult,
};

/// How long after a `list_changed` the next is waited for, and how long that may go on.
const DEBOUNCE: Duration = Duration::from_millis(100);
const DEBOUNCE_LIMIT: Duration = Duration::from_secs(1);

/// How long a refresh may wait for one page.
const PAGE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long to wait before listening again to a server that ended the subscription.
const LISTEN_AGAIN: Duration = Duration::from_secs(5);

/// How often in a row a subscription may end young before it is given up.
const LISTEN_ATTEMPTS: u32 = 5;

/// The age at which a subscription was a good one.
const LISTENED_WELL: Duration = Duration::from_secs(30);

/// Why a listing says nothing at all: its question was lost.
pub(crate) enum ListingLost {
    Down(Arc<DownReason>),
    Http(Arc<HttpError>),
}

/// Reads all pages of `tools/list`, or as many as make sense.
///
/// Whatever is wrong with the list is in its faults, next to what was right.
pub(crate) async fn list_tools(
    connection: &Connection,
    link: &Arc<Link>,
    timing: Timing,
) -> Result<Listing, ListingLost> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Page<'a> {
        #[serde(borrow)]
        tools: Vec<&'a RawValue>,
        #[serde(default)]
        next_cursor: Option<String>,
    }
    let (server, prefix) = (connection.name().as_ref(), connection.spec.tool_prefix());
    let limits = &connection.spec.limits;
    let mut listing = Listing::default();
    let (mut seen, hasher) = (HashSet::new(), RandomState::new());
    let mut cursor = None;
    for pages in 0.. {
        if pages == limits.max_pages {
            let limit = limits.max_pages;
            listing.fault(CatalogFault::TooManyPages { server: server.to_owned(), limit });
            break;
        }
        let answer = match page(link, timing, cursor.as_deref()).await {
            Ok(result) => Ok(result),
            Err(AskError::Lost(Loss::Down { reason, .. })) => {
                return Err(ListingLost::Down(reason));
            }
            Err(AskError::Lost(Loss::Http { error, .. })) if pages == 0 => {
                return Err(ListingLost::Http(error));
            }
            Err(error) => Err(describe(error)),
        };
        let page = answer.as_ref().map_err(String::clone).and_then(|result| {
            serde_json::from_str::<Page<'_>>(result.get()).map_err(|error| error.to_string())
        });
        let page = match page {
            Ok(page) => page,
            Err(reason) => {
                let server = server.to_owned();
                listing.fault(CatalogFault::ListingFailed { server, pages, reason });
                break;
            }
        };
        for tool in page.tools {
            if listing.listed() == limits.max_tools {
                let (server, limit) = (server.to_owned(), limits.max_tools);
                listing.fault(CatalogFault::TooManyTools { server, limit });
                return Ok(listing);
            }
            listing.add(server, prefix, tool, link.mirrors());
        }
        // A missing cursor ends the list; an empty one is a cursor like any other (MCP 2026-07-28,
        // utilities/pagination).
        let Some(next) = page.next_cursor else { break };
        // A hash will do: a cursor may be as large as a frame.
        if !seen.insert(hasher.hash_one(&next)) {
            let (server, pages) = (server.to_owned(), pages + 1);
            listing.fault(CatalogFault::CursorRepeated { server, cursor: next, pages });
            break;
        }
        cursor = Some(next);
    }
    Ok(listing)
}

async fn page(
    link: &Arc<Link>,
    timing: Timing,
    cursor: Option<&str>,
) -> Result<RawResult, AskError> {
    ask(link, "tools/list", timing, |frame| {
        if let Some(cursor) = cursor {
            frame.extend_from_slice(b"\"cursor\":");
            serde_json::to_writer(frame, cursor)?;
        }
        Ok(())
    })
    .await
}

fn describe(error: AskError) -> String {
    match error {
        AskError::Refused(error) => format!("error {}: {}", error.code, error.message),
        AskError::Malformed(detail) => detail,
        AskError::Lost(Loss::TimedOut { after, .. }) => format!("no answer within {after:?}"),
        AskError::Lost(Loss::Down { reason, .. }) => reason.to_string(),
        AskError::Lost(Loss::Http { error, .. }) => error.to_string(),
        AskError::Lost(Loss::TooManyCalls | Loss::TooManyBytes) => "the link is full".to_owned(),
    }
}

/// Puts up what a server lists, and tells of it. Whoever has a link may do so; each list replaces the
/// one before.
pub(crate) fn post(connection: &Arc<Connection>, mut listing: Listing) {
    let Connection { scope, span, .. } = &**connection;
    let redactor = &scope.secrets.redactor;
    for fault in &mut listing.faults {
        fault.redact(redactor);
        telemetry::catalog_fault(span, fault);
    }
    connection.cache.forget();
    let Some(catalog) = scope.board.post(connection, listing) else { return };
    let name = connection.name().as_ref();
    for fault in catalog.faults().iter().filter(|fault| fault.is_collision_of(name)) {
        telemetry::catalog_fault(span, &redactor.redact(&fault.to_string()));
    }
    scope.events.send(|| Event::Catalog { version: catalog.version() });
}

/// Puts up what a server listed in an earlier session.
pub(crate) fn put_up(connection: &Arc<Connection>, saved: &SavedTools) {
    let (server, prefix) = (connection.name().as_ref(), connection.spec.tool_prefix());
    let mut listing = Listing::default();
    // Whether a link wants arguments in headers is known once there is one.
    let mirrors = !matches!(connection.spec.transport, Transport::Stdio(_) | Transport::Memory(_));
    saved.of_server(server).for_each(|tool| listing.add(server, prefix, tool, mirrors));
    if !listing.tools.is_empty() {
        post(connection, listing);
    }
}

impl CatalogFault {
    fn is_collision_of(&self, server: &str) -> bool {
        matches!(self, Self::Collision { servers, .. } if servers.0 == server || servers.1 == server)
    }
}

/// The task that lists again when the server says that its tools changed: once for all that it says
/// within a moment, and never twice at the same time. Ends with the link.
pub(crate) async fn keep_fresh(
    connection: Arc<Connection>,
    link: Arc<Link>,
    tools_changed: Arc<Notify>,
    post: impl Fn(Listing) + Send,
) {
    let timing = Timing { idle: Some(PAGE_TIMEOUT), total: None };
    let refresh = async {
        loop {
            tools_changed.notified().await;
            debounce(&tools_changed).await;
            match Box::pin(list_tools(&connection, &link, timing)).await {
                Ok(listing) => post(listing),
                Err(ListingLost::Down(_)) => return,
                // What was listed before stands, until the question comes through.
                Err(ListingLost::Http(_)) => {
                    tokio::time::sleep(LISTEN_AGAIN.mul_f64(fastrand::f64())).await;
                    tools_changed.notify_one();
                }
            }
        }
    };
    tokio::select! {
        biased;
        () = refresh => {}
        _ = link.down() => {}
    }
}

async fn debounce(changed: &Notify) {
    let limit = Instant::now() + DEBOUNCE_LIMIT;
    while Instant::now() < limit {
        if tokio::time::timeout(DEBOUNCE, changed.notified()).await.is_err() {
            return;
        }
    }
}

/// The task that asks a modern server to tell about changes of its tools (MCP 2026-07-28,
/// basic/patterns/subscriptions): there, nobody is told unasked. Ends with the link.
///
/// `subscribed` fires once the question is on its way, or will not be.
pub(crate) async fn listen(
    link: Arc<Link>,
    tools_changed: Arc<Notify>,
    subscribed: CancellationToken,
) {
    let _subscribed = subscribed.clone().drop_guard();
    let subscribe = async {
        let mut failures = 0;
        while failures < LISTEN_ATTEMPTS {
            let began = Instant::now();
            let question = ask(&link, "subscriptions/listen", Timing::default(), |frame| {
                frame.extend_from_slice(br#""notifications":{"toolsListChanged":true}"#);
                Ok(())
            });
            let mut question = std::pin::pin!(question);
            // It is queued by the first poll.
            let first = poll_fn(|cx| Poll::Ready(question.as_mut().poll(cx))).await;
            subscribed.cancel();
            let ended = match first {
                Poll::Ready(ended) => ended,
                Poll::Pending => question.await,
            };
            // A server that refuses will refuse again; one that ended it may have missed a change.
            match ended {
                Ok(_) => {}
                Err(AskError::Lost(Loss::Http { error, .. })) if error.is_transient() => {}
                Err(_) => return,
            }
            failures = if began.elapsed() < LISTENED_WELL { failures + 1 } else { 0 };
            tokio::time::sleep(LISTEN_AGAIN.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
            tools_changed.notify_one();
        }
    };
    tokio::select! {
        biased;
        () = subscribe => {}
        _ = link.down() => {}
    }
}
