//! What changed, told to the host in order.

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::value::RawValue;
use tokio::sync::broadcast::{self, error::RecvError};

use crate::status::{Phase, Status};

/// How many events wait for a slow reader before the oldest are dropped and counted.
const CAPACITY: usize = 256;

/// A bounded broadcast that takes memory only once somebody listens, and can be ended.
#[derive(Debug)]
pub(crate) struct Feed<T>(Mutex<FeedState<T>>);

#[derive(Debug)]
enum FeedState<T> {
    Unheard,
    Heard(broadcast::Sender<T>),
    Ended,
}

impl<T> Default for Feed<T> {
    fn default() -> Self {
        Self(Mutex::new(FeedState::Unheard))
    }
}

impl<T: Clone> Feed<T> {
    /// Hands an item to those who listen; nobody may.
    pub(crate) fn send(&self, item: impl FnOnce() -> T) {
        // Whom it wakes is none of this lock's business.
        let sender = match &*self.0.lock() {
            FeedState::Heard(sender) if sender.receiver_count() > 0 => sender.clone(),
            FeedState::Unheard | FeedState::Heard(_) | FeedState::Ended => return,
        };
        drop(sender.send(item()));
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<T> {
        let mut state = self.0.lock();
        match &*state {
            FeedState::Heard(sender) => sender.subscribe(),
            FeedState::Unheard => {
                let (sender, receiver) = broadcast::channel(CAPACITY);
                *state = FeedState::Heard(sender);
                receiver
            }
            FeedState::Ended => broadcast::channel(1).1,
        }
    }

    /// Ends it: whoever listens gets what is left, and then the end.
    pub(crate) fn close(&self) {
        let ended = std::mem::replace(&mut *self.0.lock(), FeedState::Ended);
        drop(ended);
    }
}

/// Something that changed in a session.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A server's connection changed its phase.
    Status {
        /// The server.
        server: Arc<str>,
        /// The phase before.
        from: Phase,
        /// The status now.
        status: Box<Status>,
    },
    /// The session's catalog changed; [`Session::tools`](crate::Session::tools) has it.
    Catalog {
        /// Its new version.
        version: u64,
    },
    /// This reader was too slow, and events were dropped in front of the next one.
    Lagged {
        /// How many.
        missed: u64,
    },
}

/// The events of a session, from the moment of subscribing.
///
/// At most 256 events wait; a slower reader loses the oldest and is told how many by
/// [`Event::Lagged`].
#[derive(Debug)]
pub struct Events {
    receiver: broadcast::Receiver<Event>,
}

impl Events {
    pub(crate) fn new(receiver: broadcast::Receiver<Event>) -> Self {
        Self { receiver }
    }

    /// The next event; `None` once the session has ended.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no event.
    pub async fn next(&mut self) -> Option<Event> {
        next(&mut self.receiver, |missed| Event::Lagged { missed }).await
    }
}

/// A notification of a server that this crate does not consume itself: log messages, and whatever
/// it does not know.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Notification {
    /// What the server sent.
    Message {
        /// The link it came over.
        epoch: u64,
        /// The method, such as `notifications/message`.
        method: Arc<str>,
        /// The parameters; untouched but for the session's secrets, which are redacted.
        params: Option<Arc<RawValue>>,
    },
    /// This reader was too slow, and notifications were dropped in front of the next one.
    Lagged {
        /// How many.
        missed: u64,
    },
}

/// The notifications of one server, in order, across its restarts.
///
/// At most 256 wait; a slower reader loses the oldest and is told how many by
/// [`Notification::Lagged`].
#[derive(Debug)]
pub struct Notifications {
    receiver: broadcast::Receiver<Notification>,
}

impl Notifications {
    pub(crate) fn new(receiver: broadcast::Receiver<Notification>) -> Self {
        Self { receiver }
    }

    /// The next notification; `None` once the session has ended.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no notification.
    pub async fn next(&mut self) -> Option<Notification> {
        next(&mut self.receiver, |missed| Notification::Lagged { missed }).await
    }
}

async fn next<T: Clone>(
    receiver: &mut broadcast::Receiver<T>,
    lagged: impl FnOnce(u64) -> T,
) -> Option<T> {
    match receiver.recv().await {
        Ok(item) => Some(item),
        Err(RecvError::Lagged(missed)) => Some(lagged(missed)),
        Err(RecvError::Closed) => None,
    }
}
