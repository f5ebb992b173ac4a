//! What servers log.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_core::Stream;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::{
    connection::{Connection, requests::Question},
    error::CallError,
    host::LogLevel,
    query::{Query, Terms},
    queue::{self, Next, Queue},
    server::Server,
};

/// How many messages wait for a slow reader before the oldest are dropped and counted.
const CAPACITY: usize = 256;

/// One message of a server's log (MCP 2025-11-25, server/utilities/logging).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LogMessage {
    /// How grave it is; the gravest where the server names a level that there is not.
    pub level: LogLevel,
    /// What part of the server says it.
    pub logger: Option<String>,
    data: Arc<RawValue>,
}

impl LogMessage {
    pub(crate) fn read(params: &RawValue) -> Option<Self> {
        #[derive(Deserialize)]
        struct Params<'a> {
            level: String,
            #[serde(default)]
            logger: Option<String>,
            #[serde(borrow)]
            data: &'a RawValue,
        }
        let Params { level, logger, data } = serde_json::from_str(params.get()).ok()?;
        let level = LogLevel::named(&level).unwrap_or(LogLevel::Emergency);
        Some(Self { level, logger, data: Arc::from(data.to_owned()) })
    }

    /// What it says, as JSON.
    #[must_use]
    pub fn raw(&self) -> &str {
        self.data.get()
    }

    /// What it says, as a type of the host's.
    ///
    /// # Errors
    ///
    /// Where it does not fit the type.
    pub fn data<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_str(self.raw())
    }
}

/// The log messages of one server, in order, across its restarts, until its session ends.
///
/// At most 256 wait; a slower reader loses the oldest, and [`missed`](Self::missed) says how many.
#[derive(Debug)]
pub struct Logs {
    queue: Queue<LogMessage>,
    missed: u64,
}

impl Logs {
    /// The next message; `None` once the session has ended.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no message.
    pub async fn next(&mut self) -> Option<LogMessage> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    /// How many messages were lost because this reader was too slow.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<LogMessage>> {
        loop {
            match self.queue.poll_next(cx) {
                Poll::Ready(Some(Next::Item(message))) => return Poll::Ready(Some(message)),
                Poll::Ready(Some(Next::Missed(count))) => self.missed += count,
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl Stream for Logs {
    type Item = LogMessage;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<LogMessage>> {
        self.poll(cx)
    }
}

impl Server {
    /// What it logs from now on, if it does: [`log_level`](Self::log_level) asks for it.
    #[must_use]
    pub fn logs(&self) -> Logs {
        let (writer, queue) = queue::queue(CAPACITY);
        self.connection().logs.add(writer);
        Logs { queue, missed: 0 }
    }

    /// Asks the server for messages of this level and graver ones: at once, and again after each
    /// restart, up to MCP 2025-11-25; with every request in 2026-07-28.
    pub fn log_level(&self, level: LogLevel) -> Query<()> {
        Query::new(&self.connection(), move |connection, terms| async move {
            connection.want_log(level);
            set_level(&connection, level, terms).await
        })
    }
}

async fn set_level(
    connection: &Arc<Connection>,
    level: LogLevel,
    terms: Terms,
) -> Result<(), CallError> {
    if connection.is_modern() {
        return Ok(());
    }
    let question = Question::new("logging/setLevel", None).with("level", &level.as_str());
    question.ask(connection, terms.clock).await.map(drop)
}
