//! Waiting for a server to be up, and starting one that is asleep.

use std::sync::{Arc, atomic::Ordering};

use tokio::time::Instant;

use super::{
    Ask, Connection,
    about::not_ready,
    guard::until,
    link::{Link, Timing},
    listing, per_call,
};
use crate::{
    error::{CallError, ServerError},
    policy::WhenDown,
    spec::Opening,
    status::Phase,
};

/// Waits for a live link as the options of a call say; of a server that is asleep, for the start that
/// this asks for. Fails with the reason why there is none.
pub(super) async fn link(
    connection: &Connection,
    when_down: WhenDown,
    deadline: Option<Instant>,
) -> Result<(), CallError> {
    let came = until(deadline, arrive(connection, when_down)).await;
    came.unwrap_or_else(|| Err(not_ready(connection)))
}

async fn arrive(connection: &Connection, when_down: WhenDown) -> Result<(), CallError> {
    let waits = when_down == WhenDown::Wait;
    loop {
        let moved = connection.status.moved();
        let phase = connection.status().phase;
        let is_up =
            connection.live_link().as_ref().is_some_and(|link| link.down_reason().is_none());
        if is_up {
            return Ok(());
        }
        let hopeful = match phase {
            Phase::Idle | Phase::GoingIdle if connection.spec.sleeps() => {
                connection.wake();
                true
            }
            Phase::Idle | Phase::GoingIdle => waits,
            Phase::Starting => waits || connection.spec.sleeps(),
            // Just lost, or fallen asleep: what follows will be told.
            Phase::Ready if connection.falls_asleep() => true,
            Phase::Ready | Phase::BackingOff => waits,
            Phase::AuthRequired | Phase::Failed | Phase::Stopping | Phase::Stopped => false,
        };
        if !hopeful || connection.is_ending() {
            return Err(not_ready(connection));
        }
        moved.await;
    }
}

/// Sees to it that a server's tools are listed, starting it if need be.
pub(crate) async fn listed(
    connection: &Arc<Connection>,
    when_down: WhenDown,
    deadline: Option<Instant>,
) -> Result<(), CallError> {
    if connection.scope.board.has_listed(connection.place) {
        return Ok(());
    }
    if connection.spec.opening == Opening::PerCall {
        return per_call::list_once(connection, deadline).await;
    }
    link(connection, when_down, deadline).await
}

/// Lists a server's tools now, starting it if need be.
pub(crate) async fn list_again(connection: &Arc<Connection>) -> Result<(), CallError> {
    if connection.spec.opening == Opening::PerCall {
        // As after any list that the host asked for, also where it is the same.
        connection.cache.forget();
        return per_call::list(connection, None).await;
    }
    link(connection, WhenDown::Wait, None).await?;
    let live: Option<Arc<Link>> = connection.live_link().clone();
    let live = live.ok_or_else(|| not_ready(connection))?;
    match listing::list_tools(connection, &live, Timing::default()).await {
        Ok(listing) => {
            listing::post(connection, listing);
            Ok(())
        }
        Err(_lost) => Err(not_ready(connection)),
    }
}

/// Waits until calls go through; the reason where they will not.
pub(crate) async fn ready(connection: &Connection) -> Result<(), Option<ServerError>> {
    if connection.spec.opening == Opening::PerCall && !connection.is_ending() {
        return Ok(());
    }
    loop {
        let moved = connection.status.moved();
        let now = connection.status();
        match now.phase {
            Phase::Ready => return Ok(()),
            Phase::AuthRequired | Phase::Failed | Phase::Stopped => return Err(now.last_error),
            Phase::Idle | Phase::GoingIdle => connection.wake(),
            Phase::Starting | Phase::BackingOff | Phase::Stopping => {}
        }
        moved.await;
    }
}

impl Connection {
    /// Asks its actor to start it if it is asleep; the first thing an actor does that comes later.
    fn wake(&self) {
        if self.mailbox.load().is_none() {
            self.wake_early.store(true, Ordering::SeqCst);
        }
        if let Some(mailbox) = self.mailbox.load_full() {
            (mailbox.0)(Ask::Wake);
        }
    }
}
