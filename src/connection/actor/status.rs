//! The status as it is written beside the connection's own actor: by those who know before it, or after
//! its end.

use std::{
    sync::{Arc, atomic::Ordering},
    time::SystemTime,
};

use crate::{
    connection::{Ask, Connection},
    error::{DownReason, ServerError},
    event::Event,
    spec::Opening,
    status::{Phase, Status},
    telemetry,
};

/// Has a connection go on counting epochs where the one before it ended.
pub(crate) fn succeed(connection: &Connection, before: &Connection) {
    let before = before.status().epoch;
    connection.inherited.store(before, Ordering::Release);
    connection.status.send_if_modified(|status| {
        status.epoch = before;
        false
    });
}

/// Writes that an open link was lost, before anybody else learns of it: whoever lost a call over it
/// must not see the server Ready. What follows is the actor's to say.
pub(crate) fn lose(connection: &Connection, epoch: u64, reason: &Arc<DownReason>) {
    connection.status.send_if_modified(|status| {
        let lost = status.phase == Phase::Ready && status.epoch == epoch;
        if lost {
            let phase = match () {
                () if reason.is_unused() => Phase::GoingIdle,
                () if reason.needs_login() => Phase::AuthRequired,
                () => Phase::BackingOff,
            };
            (status.phase, status.since) = (phase, SystemTime::now());
            (status.pid, status.protocol_version) = (None, None);
            if !reason.is_unused() {
                status.last_error = Some(ServerError::Down(Arc::clone(reason)));
            }
        }
        lost
    });
}

/// Asks for a restart by hand. The status leaves Ready and Failed at once, so that whoever waits for
/// Ready from now on does not find what was before.
pub(crate) fn restart(connection: &Connection) {
    let Some(mailbox) = connection.mailbox.load_full() else { return };
    // Nothing of it is up but for a call, and each call has its own.
    if connection.spec.opening == Opening::PerCall {
        return;
    }
    connection.status.send_if_modified(|status| {
        let settled = matches!(status.phase, Phase::Ready | Phase::Failed | Phase::AuthRequired);
        if settled {
            (status.phase, status.since) = (Phase::BackingOff, SystemTime::now());
            (status.pid, status.protocol_version) = (None, None);
        }
        settled
    });
    (mailbox.0)(Ask::Restart);
}

/// Writes where the breaker stands, whichever of those who moved it comes last.
pub(crate) fn breaker_moved(connection: &Connection) {
    let mut moved = None;
    connection.status.send_if_modified(|status| {
        let state = connection.guard.breaker_state();
        moved = (status.breaker != state).then_some(state);
        status.breaker = state;
        moved.is_some()
    });
    // Told here, for whoever listens may ask for the status.
    if let Some(state) = moved {
        telemetry::breaker_moved(&connection.span, state);
        connection.usage.meter.breaker(state);
        connection.scope.book.changed();
    }
}

/// Writes that a connection is given up whose actors die of a defect again and again.
pub(crate) fn give_up(connection: &Connection) {
    connection.mailbox.store(None);
    write_final(connection, Phase::Failed);
}

/// Writes the last status of a connection that has ended, or whose session has, however its actor
/// did.
pub(crate) fn bury(connection: &Connection) {
    write_final(connection, Phase::Stopped);
    connection.end.cancel();
}

fn write_final(connection: &Connection, phase: Phase) {
    if phase == Phase::Stopped {
        connection.end_streams();
    }
    connection.link.store(None);
    let mut published = None;
    connection.status.send_if_modified(|status| {
        let from = status.phase;
        (status.pid, status.protocol_version) = (None, None);
        if from != phase {
            (status.phase, status.since) = (phase, SystemTime::now());
            published = Some((from, status.clone()));
        }
        from != phase
    });
    // Its actor, which tells of all other changes, is dead.
    if let Some((from, status)) = published {
        tell_all(connection, from, status, None, 0);
    }
}

pub(super) fn tell_all(
    connection: &Connection,
    from: Phase,
    status: Status,
    error: Option<&ServerError>,
    pending: usize,
) {
    telemetry::status_changed(&connection.span, (from, &status), error, pending);
    let server = Arc::clone(connection.name());
    let events = &connection.scope.events;
    connection.scope.book.changed();
    events.send(|| Event::Status { server, from, status: Box::new(status) });
}
