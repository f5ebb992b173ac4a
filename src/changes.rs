//! Changes of what a server has, as one stream.

mod filter;
mod window;

pub use filter::Filtered;
pub use window::Windows;

use std::{
    collections::BTreeSet,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll},
};

use futures_core::Stream;
use serde_json::{Value, json, value::RawValue};

use crate::{
    connection::{Connection, subscriptions},
    queue::{self, Next, Queue},
    server::Server,
};

/// How many changes wait for a slow reader, unless it says otherwise.
const CAPACITY: usize = 1000;

/// What a host wants to know of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use = "topics are subscribed to by `Server::subscribe`"]
pub struct Topics {
    pub(crate) resources: BTreeSet<String>,
    pub(crate) resource_list: bool,
    pub(crate) prompt_list: bool,
    pub(crate) tool_list: bool,
    pub(crate) capacity: Option<usize>,
}

impl Topics {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Changes of the resource of this URI, and of its parts.
    pub fn resource(mut self, uri: impl Into<String>) -> Self {
        self.resources.insert(uri.into());
        self
    }

    /// Changes of the list of resources.
    pub fn resource_list(mut self) -> Self {
        self.resource_list = true;
        self
    }

    /// Changes of the list of prompts.
    pub fn prompt_list(mut self) -> Self {
        self.prompt_list = true;
        self
    }

    /// Changes of the list of tools; the session's catalog follows them by itself.
    pub fn tool_list(mut self) -> Self {
        self.tool_list = true;
        self
    }

    /// How many changes may wait for a slow reader. Default 1000; one at least.
    pub fn capacity(mut self, changes: usize) -> Self {
        self.capacity = Some(changes.max(1));
        self
    }

    pub(crate) fn want(&self, change: &Change) -> bool {
        match change {
            Change::ResourceUpdated { uri, .. } => {
                self.resources.iter().any(|wanted| uri.starts_with(wanted.as_str()))
            }
            Change::ResourceList => self.resource_list,
            Change::PromptList => self.prompt_list,
            Change::ToolList => self.tool_list,
            Change::Refused { topic, .. } => {
                self.resources.contains(topic) || self.lists().contains(&topic.as_str())
            }
            Change::Resumed { .. } | Change::Missed { .. } => true,
        }
    }

    fn lists(&self) -> Vec<&'static str> {
        let lists = [
            ("resources/list", self.resource_list),
            ("prompts/list", self.prompt_list),
            ("tools/list", self.tool_list),
        ];
        lists.into_iter().filter_map(|(list, wanted)| wanted.then_some(list)).collect()
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.resources.extend(other.resources.iter().cloned());
        self.resource_list |= other.resource_list;
        self.prompt_list |= other.prompt_list;
        self.tool_list |= other.tool_list;
    }
}

/// Something that changed at a server, or with the subscription.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Change {
    /// A resource is not what it was.
    ResourceUpdated {
        /// Its URI: that of the subscription, or of a part of it.
        uri: String,
        /// What the server said, untouched.
        params: Arc<RawValue>,
    },
    /// The list of resources is not what it was.
    ResourceList,
    /// The list of prompts is not what it was.
    PromptList,
    /// The list of tools is not what it was.
    ToolList,
    /// The server does not tell of this; nothing will come of it on this link.
    Refused {
        /// The URI, or the method that lists, such as `prompts/list`.
        topic: String,
        /// What the server said.
        reason: String,
    },
    /// The subscription was lost and made again: changes in between may have been missed.
    Resumed {
        /// The link that it goes over now.
        epoch: u64,
    },
    /// This reader was too slow, and the oldest changes were dropped in front of the next one.
    Missed {
        /// How many.
        count: u64,
    },
}

impl Change {
    /// The change as JSON, with its `type`, and its `data` where it has any.
    #[must_use]
    pub fn json(&self) -> Value {
        match self {
            Self::ResourceUpdated { uri, params } => {
                let data: Value = serde_json::from_str(params.get()).unwrap_or_default();
                json!({ "type": "resource_updated", "uri": uri, "data": data })
            }
            Self::ResourceList => json!({ "type": "resource_list" }),
            Self::PromptList => json!({ "type": "prompt_list" }),
            Self::ToolList => json!({ "type": "tool_list" }),
            Self::Refused { topic, reason } => {
                json!({ "type": "refused", "topic": topic, "reason": reason })
            }
            Self::Resumed { epoch } => json!({ "type": "resumed", "epoch": epoch }),
            Self::Missed { count } => json!({ "type": "missed", "count": count }),
        }
    }

    /// Whether it is about the subscription, and not about what the server has.
    #[must_use]
    pub fn is_about_subscription(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::Resumed { .. } | Self::Missed { .. })
    }
}

/// The changes of one server that a host subscribed to, in order, across its restarts.
///
/// Bounded: a reader that is too slow loses the oldest, and is told how many by [`Change::Missed`].
/// After every new link the subscription is made again, and [`Change::Resumed`] says that changes may
/// have been missed. Ends with the session; dropping it ends the subscription.
#[derive(Debug)]
pub struct Changes {
    queue: Queue<Change>,
    server: Arc<str>,
    _left: Left,
}

/// Has the server told, in its time, that nobody listens any more.
#[derive(Debug)]
struct Left(Weak<Connection>);

impl Drop for Left {
    fn drop(&mut self) {
        if let Some(connection) = self.0.upgrade() {
            connection.subscriptions.moved();
        }
    }
}

impl Changes {
    pub(crate) fn of(connection: &Arc<Connection>, topics: Topics) -> Self {
        let (writer, queue) = queue::queue(topics.capacity.unwrap_or(CAPACITY));
        subscriptions::add(connection, topics, writer);
        let left = Left(Arc::downgrade(connection));
        Self { queue, server: Arc::clone(connection.name()), _left: left }
    }

    /// The name of the server.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The next change; `None` once the session has ended.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no change.
    pub async fn next(&mut self) -> Option<Change> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Change>> {
        self.queue.poll_next(cx).map(|next| {
            next.map(|next| match next {
                Next::Item(change) => change,
                Next::Missed(count) => Change::Missed { count },
            })
        })
    }
}

impl Stream for Changes {
    type Item = Change;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Change>> {
        self.poll(cx)
    }
}

impl Server {
    /// Changes of what it has, from now on: of resources by `resources/subscribe` up to MCP
    /// 2025-11-25, of all topics by `subscriptions/listen` in 2026-07-28.
    ///
    /// Returns at once; a topic that the server does not tell of comes as [`Change::Refused`].
    #[must_use]
    pub fn subscribe(&self, topics: Topics) -> Changes {
        Changes::of(&self.connection(), topics)
    }
}
