//! What the library traces, and what servers log: on stderr, if it is asked for.

use callboard::{LogLevel, Server};
use tracing_subscriber::EnvFilter;

use crate::console::{Console, harmless};

/// Sends traces to stderr: by `RUST_LOG`, or by how often `-v` was given.
pub(crate) fn start(console: &Console, verbose: u8) {
    let level = match verbose {
        0 => "off",
        1 => "callboard=info",
        2 => "callboard=debug",
        _ => "callboard=trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(console.clone());
    // It is the only one that is ever installed here.
    drop(subscriber.without_time().with_ansi(false).try_init());
}

/// Shows what a server logs, for as long as this is polled.
pub(crate) async fn follow(console: &Console, server: &Server, verbose: u8) {
    let mut logs = server.logs();
    let level = if verbose > 1 { LogLevel::Debug } else { LogLevel::Info };
    // A server that has no log says so, and there is nothing to be done about it.
    drop(server.log_level(level).await);
    while let Some(message) = logs.next().await {
        let said = message.data::<String>().unwrap_or_else(|_| message.raw().to_owned());
        let logger = message.logger.map(|name| format!(" {name}")).unwrap_or_default();
        console.note(&harmless(&format!("{}: {}{logger}: {said}", server.name(), message.level)));
    }
}
