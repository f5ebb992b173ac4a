//! Reading a server's list of tools.

mod fresh;

use std::{
    collections::{HashSet, hash_map::RandomState},
    hash::BuildHasher as _,
    sync::Arc,
    time::Duration,
};

use serde::Deserialize;
use serde_json::value::RawValue;

pub(crate) use self::fresh::{keep_fresh, listen};
use super::{
    Connection, SessionScope,
    ask::{AskError, ask},
    handshake::Era,
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
        #[serde(default)]
        ttl_ms: Option<f64>,
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
            Err(AskError::Lost(loss)) => Err(lost(loss, pages == 0)?),
            answer => answer.map_err(describe),
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
        if link.era() == Some(Era::Modern) {
            listing.lasts(hinted(page.ttl_ms));
        }
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

/// What there is to say of a page that was lost, unless the whole list is with it.
fn lost(loss: Loss, first: bool) -> Result<String, ListingLost> {
    match loss {
        Loss::Down { reason, .. } => Err(ListingLost::Down(reason)),
        Loss::Http { error, .. } if first => Err(ListingLost::Http(error)),
        Loss::Http { .. } | Loss::TimedOut { .. } | Loss::TooManyCalls | Loss::TooManyBytes => {
            Ok(describe(AskError::Lost(loss)))
        }
    }
}

/// For how long an answer may be used, by what its server says in milliseconds. C23: nothing is
/// said by no number, nor by a negative one.
pub(super) fn hinted(ttl_ms: Option<f64>) -> Option<Duration> {
    ttl_ms.filter(|ttl| *ttl >= 1.0).map(|ttl| Duration::from_millis(ttl as u64))
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
    listing.retain(|tool| connection.spec.offers(tool));
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

/// The same, where the server is asked again and again, and mostly lists what it did before: then
/// nothing has changed, and what was kept of its answers still holds.
pub(crate) fn post_if_new(connection: &Arc<Connection>, mut listing: Listing) {
    listing.retain(|tool| connection.spec.offers(tool));
    if !connection.scope.board.lists(connection.place, &listing) {
        post(connection, listing);
    }
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

/// What the server that a connection takes the place of has on the board, under the names that its
/// tools have now.
pub(crate) fn inherited(connection: &Connection, before: &Connection) -> Listing {
    let (server, prefix) = (connection.name().as_ref(), connection.spec.tool_prefix());
    let mirrors = !matches!(connection.spec.transport, Transport::Stdio(_) | Transport::Memory(_));
    let mut listing = Listing::default();
    let tools = connection.scope.board.tools_of(before.place);
    tools.iter().for_each(|tool| listing.add(server, prefix, tool.raw_value(), mirrors));
    listing.retain(|tool| connection.spec.offers(tool));
    listing
}

/// Says which servers there are, in which order, and what stands for those that have not listed yet.
pub(crate) fn arrange(
    scope: &SessionScope,
    order: Vec<usize>,
    inherited: Vec<(Arc<Connection>, Listing)>,
) {
    if let Some(catalog) = scope.board.arrange(order, inherited) {
        scope.events.send(|| Event::Catalog { version: catalog.version() });
    }
}

impl CatalogFault {
    fn is_collision_of(&self, server: &str) -> bool {
        matches!(self, Self::Collision { servers, .. } if servers.0 == server || servers.1 == server)
    }
}
