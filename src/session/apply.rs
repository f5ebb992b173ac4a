//! Changing which servers a session has, while it goes on.

use std::{collections::HashSet, sync::Arc};

use super::Session;
use crate::{
    connection::{Connection, Leave, listing},
    error::ApplyError,
    session_actor::Shift,
    spec::{self, ServerSpec},
};

/// What [`Session::apply`] has done: the names of the servers, each in one of these lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Applied {
    /// Those that are new. They start as they would with a session.
    pub started: Vec<String>,
    /// Those that are gone. Nothing is left of them.
    pub stopped: Vec<String>,
    /// Those that are declared otherwise now. Nothing is left of what they were, and they start anew.
    pub restarted: Vec<String>,
    /// Those that are declared as before. They were not touched.
    pub unchanged: Vec<String>,
}

impl Applied {
    /// Whether nothing had to be done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.started.is_empty() && self.stopped.is_empty() && self.restarted.is_empty()
    }
}

impl Session {
    /// Has the session go on with these servers: starts those that are new, stops those that are not
    /// among them, restarts those that are declared otherwise than before, and leaves the others
    /// alone, with their processes, their epochs and their calls in flight.
    ///
    /// Which are which goes by their names, and by whether the declarations are equal: secrets are
    /// equal by reference, layers and clients of the host's own if they are the same one.
    ///
    /// Calls in flight on a server that is stopped or restarted fail as `transport_down`
    /// ([`DownCause::Removed`](crate::DownCause::Removed),
    /// [`DownCause::Restarted`](crate::DownCause::Restarted)). Tools of one that is restarted stay in
    /// the catalog until it has listed them anew; handles ([`Server`](crate::Server)s,
    /// [`Tool`](crate::Tool)s) go on with what has taken its place, and its epochs go on counting.
    /// What was had of it before, such as a status that is watched, a subscription or a log, ends.
    ///
    /// Returns when nothing is left of what was stopped, bounded by the longest ladder of a server.
    /// It does not wait for anything to be Ready, also not of what is
    /// [`required`](ServerSpec::required): [`settled`](Self::settled) does. Of several at the same
    /// time, one goes after the other.
    ///
    /// # Errors
    ///
    /// [`ApplyError::Spec`] with every fault of the declarations, before anything is changed;
    /// [`ApplyError::SessionClosed`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the change going on, or not made at all where it still waited for
    /// another; never half made.
    pub async fn apply(
        &self,
        specs: impl IntoIterator<Item = ServerSpec>,
    ) -> Result<Applied, ApplyError> {
        let specs: Vec<_> = specs.into_iter().collect();
        let faults = spec::faults(&specs);
        if !faults.is_empty() {
            return Err(ApplyError::Spec(faults));
        }
        let mut next_place = self.inner.shifting.lock().await;
        if self.inner.scope.tasks.is_ending() {
            return Err(ApplyError::SessionClosed);
        }
        let (applied, shift) = self.shift(specs, &mut next_place);
        let leaving: Vec<_> =
            shift.leaving.iter().map(|(leaving, _)| Arc::clone(leaving)).collect();
        let sent = applied.is_empty() || self.inner.open.port.shift(shift);
        for connection in leaving {
            connection.end.cancelled().await;
        }
        // What came too late for the last rites of the session gets its own.
        if !sent || self.inner.scope.tasks.is_ending() {
            self.connections()
                .iter()
                .for_each(|connection| crate::connection::actor::bury(connection));
            return Err(ApplyError::SessionClosed);
        }
        Ok(applied)
    }

    /// Puts the new list in the place of the old; what that means for the actors is left to do.
    fn shift(&self, specs: Vec<ServerSpec>, next_place: &mut usize) -> (Applied, Shift) {
        let (scope, roster) = (&self.inner.scope, &self.inner.roster);
        let (mut applied, before) = (Applied::default(), roster.list());
        let (mut leaving, mut coming) = (Vec::new(), Vec::new());
        let mut connect = |spec: ServerSpec| {
            let place = std::mem::replace(next_place, *next_place + 1);
            Arc::new(Connection::new(spec, place, &self.inner.options, Arc::clone(scope)))
        };
        let mut now = Vec::with_capacity(specs.len());
        let mut inherited = Vec::new();
        for spec in specs {
            let name = spec.name().to_owned();
            let known = before.iter().find(|one| one.name().as_ref() == name);
            now.push(match known {
                Some(same) if same.spec == spec => {
                    applied.unchanged.push(name);
                    Arc::clone(same)
                }
                Some(other) => {
                    applied.restarted.push(name);
                    let connection = connect(spec);
                    inherited
                        .push((Arc::clone(&connection), listing::inherited(&connection, other)));
                    leaving.push((Arc::clone(other), Some(Arc::clone(&connection))));
                    connection
                }
                None => {
                    applied.started.push(name);
                    coming.push(connect(spec));
                    Arc::clone(&coming[coming.len() - 1])
                }
            });
        }
        let kept: HashSet<_> = now.iter().map(|one| one.name().as_ref()).collect();
        for gone in before.iter().filter(|one| !kept.contains(one.name().as_ref())) {
            applied.stopped.push(gone.name().to_string());
            leaving.push((Arc::clone(gone), None));
        }
        let order = now.iter().map(|one| one.place).collect();
        roster.replace(now);
        for (connection, successor) in &leaving {
            let how = if successor.is_some() { Leave::Replaced } else { Leave::Removed };
            connection.leave(how);
        }
        listing::arrange(scope, order, inherited);
        (applied, Shift { leaving, coming })
    }
}
