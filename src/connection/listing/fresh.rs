//! Keeping a server's list of tools fresh: when it says that they changed, and when its list has
//! outlived what it said of it.

use std::{
    future::{pending, poll_fn},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{ListingLost, list_tools};
use crate::{
    catalog::Listing,
    connection::{
        Connection,
        ask::{AskError, ask},
        link::{Link, Loss, Timing},
    },
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

/// How often a list is asked for again, at most, because it has outlived what its server said of it.
const AT_MOST_EVERY: Duration = Duration::from_secs(60);

/// The task that lists again when the server says that its tools changed: once for all that it says
/// within a moment, and never twice at the same time; or when the list is older than it allows.
/// Ends with the link. What it seldom waits for is boxed: there is such a task for every link.
pub(crate) async fn keep_fresh(
    connection: Arc<Connection>,
    link: Arc<Link>,
    tools_changed: Arc<Notify>,
    mut lasts: Option<Duration>,
    post: impl Fn(Listing) + Send,
) {
    let timing = Timing { idle: Some(PAGE_TIMEOUT), total: None };
    let refresh = async {
        loop {
            tokio::select! {
                biased;
                () = tools_changed.notified() => Box::pin(debounce(&tools_changed)).await,
                () = outlived(&link, lasts) => {}
            }
            match Box::pin(list_tools(&connection, &link, timing)).await {
                Ok(listing) => {
                    lasts = listing.lasting();
                    post(listing);
                }
                Err(ListingLost::Down(_)) => return,
                // What was listed before stands, until the question comes through.
                Err(ListingLost::Http(_)) => {
                    Box::pin(tokio::time::sleep(LISTEN_AGAIN.mul_f64(fastrand::f64()))).await;
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

/// Resolves when a list is older than its server allows, and the server is in use: its age alone is
/// no reason to ask, and never one to ask often (C23: MCP 2026-07-28, server/utilities/caching).
async fn outlived(link: &Link, lasts: Option<Duration>) {
    let Some(lasts) = lasts else { return pending().await };
    let seen = link.requests();
    loop {
        // Not all sessions at once. Boxed, for most servers do not say.
        let age = lasts.max(AT_MOST_EVERY).mul_f64(1.0 + fastrand::f64() / 8.0);
        Box::pin(tokio::time::sleep(age)).await;
        if link.requests() != seen {
            return;
        }
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
