//! What a host asked for over earlier links, and every new one has to be told of.

use std::{sync::Arc, time::Duration};

use super::{
    Connection,
    ask::ask,
    handshake::Era,
    link::{Link, Timing},
    subscriptions,
};

/// How long a server may take to say that it heard.
const ANSWER: Duration = Duration::from_secs(30);

/// Takes up again what is not of one link alone.
pub(super) fn resume(connection: &Arc<Connection>, link: &Arc<Link>) {
    connection.note_offer(link);
    subscriptions::keep(connection, link);
    let level = connection.introduction.log_level();
    let logs = link.capabilities().is_some_and(|offered| offered.has("logging"));
    if let Some(level) = level.filter(|_| logs && link.era() == Some(Era::Legacy)) {
        let link = Arc::clone(link);
        connection.scope.tasks.spawn(&link.span.clone(), async move {
            let timing = Timing { idle: None, total: Some(ANSWER) };
            let asked = ask(&link, "logging/setLevel", timing, |frame| {
                frame.extend_from_slice(format!("\"level\":\"{level}\"").as_bytes());
                Ok(())
            });
            // A server that refuses logs as it likes.
            drop(asked.await);
        });
    }
}
