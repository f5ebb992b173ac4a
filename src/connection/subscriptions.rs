//! What hosts want to be told of, and how a server is had to tell: `resources/subscribe` up to MCP
//! 2025-11-25, `subscriptions/listen` in 2026-07-28.
//!
//! One task a link keeps what is subscribed to equal to what is wanted; every new link starts from
//! nothing, and whoever listens is told that changes may have been missed.

use std::{collections::BTreeSet, future::poll_fn, sync::Arc, task::Poll, time::Duration};

use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use tokio::{sync::Notify, time::Instant};
use tracing::Span;

use super::{
    Connection,
    ask::{AskError, ask},
    handshake::Era,
    kept::updated,
    link::{Link, Loss, Reply, Request, Subject, Timing},
};
use crate::{
    changes::{Change, Topics},
    queue::Writer,
    wire::{self, Meta, RequestId},
};

/// How long a server may take to subscribe or unsubscribe.
const ANSWER: Duration = Duration::from_secs(30);

/// How long to wait before listening again to a server that ended the subscription, and the age at
/// which it was a good one.
const AGAIN: Duration = Duration::from_secs(1);
const LISTENED_WELL: Duration = Duration::from_secs(30);
const LONGEST: Duration = Duration::from_secs(30);

/// The listeners of one connection.
#[derive(Default)]
pub(crate) struct Subscriptions {
    book: Mutex<Book>,
    moved: Notify,
}

#[derive(Default)]
struct Book {
    listeners: Vec<Listener>,
    /// The link whose keeper runs.
    kept: Option<u64>,
    /// The request by which a modern server is listened to.
    listening: Option<RequestId>,
}

struct Listener {
    topics: Topics,
    writer: Writer<Change>,
    /// The link over which it was last told that all is well.
    epoch: u64,
}

impl Subscriptions {
    /// What is wanted may have changed.
    pub(crate) fn moved(&self) {
        self.moved.notify_one();
    }

    /// All that is wanted together; who does not listen any more wants nothing.
    fn wanted(&self) -> Topics {
        let mut wanted = Topics::new();
        let mut book = self.book.lock();
        book.listeners.retain(|listener| !listener.writer.is_deaf());
        book.listeners.iter().for_each(|listener| wanted.add(&listener.topics));
        wanted
    }

    fn is_empty(&self) -> bool {
        self.book.lock().listeners.is_empty()
    }

    fn tell(&self, change: &Change) {
        let book = self.book.lock();
        for listener in book.listeners.iter().filter(|listener| listener.topics.want(change)) {
            listener.writer.send(change.clone());
        }
    }

    /// Tells those who listened over an earlier link that they may have missed something.
    fn resumed(&self, epoch: u64) {
        for listener in &mut self.book.lock().listeners {
            if listener.epoch != epoch {
                listener.epoch = epoch;
                listener.writer.send(Change::Resumed { epoch });
            }
        }
    }

    /// Has everybody told again that they may have missed something, over this very link.
    fn interrupted(&self) {
        self.book.lock().listeners.iter_mut().for_each(|listener| listener.epoch = 0);
    }

    /// Ends every stream: the session is over.
    pub(super) fn close(&self) {
        let listeners = std::mem::take(&mut self.book.lock().listeners);
        drop(listeners);
    }

    /// Takes a notification that may be about something that is wanted.
    pub(super) fn take(&self, method: &str, params: Option<&RawValue>) {
        let change = match (method, params) {
            ("notifications/resources/updated", Some(params)) => {
                let Some(uri) = updated(params) else { return };
                Change::ResourceUpdated { uri, params: Arc::from(params.to_owned()) }
            }
            ("notifications/resources/list_changed", _) => Change::ResourceList,
            ("notifications/prompts/list_changed", _) => Change::PromptList,
            ("notifications/tools/list_changed", _) => Change::ToolList,
            ("notifications/subscriptions/acknowledged", Some(params)) => {
                return self.acknowledged(params);
            }
            _ => return,
        };
        self.tell(&change);
    }

    /// C22: what the server grants is compared with what was asked for.
    fn acknowledged(&self, params: &RawValue) {
        #[derive(Deserialize)]
        struct Acknowledged {
            #[serde(default)]
            notifications: Value,
            #[serde(default, rename = "_meta")]
            meta: Value,
        }
        let Ok(granted) = serde_json::from_str::<Acknowledged>(params.get()) else { return };
        let ours = self.book.lock().listening.map(|id| id.to_string());
        let told = match &granted.meta["io.modelcontextprotocol/subscriptionId"] {
            Value::String(id) => Some(id.clone()),
            Value::Number(id) => Some(id.to_string()),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        };
        if ours.is_none() || told != ours {
            return;
        }
        let wanted = self.wanted();
        let grants = |member: &str| granted.notifications[member] == true;
        let lists = [
            ("resources/list", wanted.resource_list, grants("resourcesListChanged")),
            ("prompts/list", wanted.prompt_list, grants("promptsListChanged")),
            ("tools/list", wanted.tool_list, grants("toolsListChanged")),
        ];
        for (list, ..) in lists.into_iter().filter(|(_, wanted, granted)| *wanted && !granted) {
            self.refused(list, "the server does not tell of it");
        }
        let uris = granted.notifications["resourceSubscriptions"].as_array();
        for uri in &wanted.resources {
            if !uris.is_some_and(|uris| uris.iter().any(|granted| granted == uri.as_str())) {
                self.refused(uri, "the server does not tell of it");
            }
        }
    }

    fn refused(&self, topic: &str, reason: &str) {
        let (topic, reason) = (topic.to_owned(), reason.to_owned());
        self.tell(&Change::Refused { topic, reason });
    }
}

/// Adds a listener, and sees to it that the server is told.
pub(crate) fn add(connection: &Arc<Connection>, topics: Topics, writer: Writer<Change>) {
    if connection.is_over() {
        return;
    }
    let link = connection.live_link().clone();
    // One that comes before the first link has missed nothing.
    let epoch = link.as_ref().map_or(connection.status().epoch, |link| link.epoch);
    let epoch = if epoch == 0 { 1 } else { epoch };
    let subscriptions = &connection.subscriptions;
    subscriptions.book.lock().listeners.push(Listener { topics, writer, epoch });
    subscriptions.moved();
    if let Some(link) = link {
        keep(connection, &link);
    }
}

/// Starts the task that keeps the subscriptions over a link, if anybody wants any.
pub(super) fn keep(connection: &Arc<Connection>, link: &Arc<Link>) {
    let subscriptions = &connection.subscriptions;
    {
        let mut book = subscriptions.book.lock();
        if book.listeners.is_empty() || book.kept == Some(link.epoch) {
            return;
        }
        book.kept = Some(link.epoch);
    }
    let (kept, over) = (Arc::clone(connection), Arc::clone(link));
    connection.scope.tasks.spawn(&link.span, async move {
        tokio::select! {
            biased;
            () = keep_over(&kept, &over) => {}
            _ = over.down() => {}
        }
        let mut book = kept.subscriptions.book.lock();
        if book.kept == Some(over.epoch) {
            book.kept = None;
        }
    });
}

async fn keep_over(connection: &Connection, link: &Arc<Link>) {
    match link.era() {
        Some(Era::Modern) => listen(connection, link).await,
        Some(Era::Legacy) | None => subscribe(connection, link).await,
    }
}

/// Up to MCP 2025-11-25: each resource by a request of its own; lists are told of unasked.
async fn subscribe(connection: &Connection, link: &Arc<Link>) {
    let subscriptions = &connection.subscriptions;
    let offered = link.capabilities();
    let offers = |family: &str, part: &str| offered.is_some_and(|it| it.has_part(family, part));
    let mut subscribed = BTreeSet::new();
    loop {
        let wanted = subscriptions.wanted();
        let _hold = (!subscriptions.is_empty()).then(|| Link::hold(link));
        for uri in wanted.resources.difference(&subscribed.clone()) {
            subscribed.insert(uri.clone());
            if !offers("resources", "subscribe") {
                subscriptions.refused(uri, "the server offers no subscriptions");
            } else if let Err(error) = tell(link, "resources/subscribe", uri).await {
                let redactor = &connection.scope.secrets.redactor;
                subscriptions.refused(uri, &redactor.redact(&error));
            }
        }
        for uri in subscribed.clone().difference(&wanted.resources) {
            subscribed.remove(uri);
            // Whatever it says, nobody listens any more.
            drop(tell(link, "resources/unsubscribe", uri).await);
        }
        subscriptions.resumed(link.epoch);
        subscriptions.moved.notified().await;
    }
}

async fn tell(link: &Arc<Link>, method: &str, uri: &str) -> Result<(), String> {
    let timing = Timing { idle: None, total: Some(ANSWER) };
    let told = ask(link, method, timing, |frame| {
        frame.extend_from_slice(b"\"uri\":");
        serde_json::to_writer(frame, uri)
    });
    match told.await {
        Ok(_) => Ok(()),
        Err(AskError::Refused(error)) => Err(format!("error {}: {}", error.code, error.message)),
        Err(AskError::Malformed(detail)) => Err(detail),
        Err(AskError::Lost(_)) => Err("no answer".to_owned()),
    }
}

/// MCP 2026-07-28, basic/patterns/subscriptions: one request for all, which is made again when what
/// is wanted changes, or when it ends.
async fn listen(connection: &Connection, link: &Arc<Link>) {
    let subscriptions = &connection.subscriptions;
    let (mut failures, mut missed) = (0, false);
    let mut current: Option<(Topics, Reply)> = None;
    loop {
        let wanted = subscriptions.wanted();
        let _hold = (!subscriptions.is_empty()).then(|| Link::hold(link));
        if current.as_ref().is_none_or(|(topics, _)| *topics != wanted) {
            // The earlier is given up only when the new one is on its way: better twice than never.
            let next = begin(connection, link, &wanted).await;
            current = next.map(|reply| (wanted, reply));
        }
        if std::mem::take(&mut missed) {
            connection.kept.forget_all();
        }
        subscriptions.resumed(link.epoch);
        let began = Instant::now();
        let Some((_, reply)) = &mut current else {
            subscriptions.moved.notified().await;
            continue;
        };
        let ended = tokio::select! {
            biased;
            () = subscriptions.moved.notified() => continue,
            ended = reply => ended,
        };
        current = None;
        match ended {
            // It was ended in good order, or its stream broke: either way changes are missed.
            Ok(frame) => {
                if let Ok(wire::Answer::Error(error)) = wire::open_answer(frame) {
                    let redactor = &connection.scope.secrets.redactor;
                    let reason = format!("error {}: {}", error.code, error.message);
                    refuse_all(subscriptions, &redactor.redact(&reason));
                    subscriptions.moved.notified().await;
                    continue;
                }
            }
            Err(Loss::Http { error, .. }) if !error.is_transient() => {
                refuse_all(subscriptions, &error.to_string());
                subscriptions.moved.notified().await;
                continue;
            }
            Err(_) => {}
        }
        failures = if began.elapsed() < LISTENED_WELL { failures + 1 } else { 0 };
        let pause = AGAIN.saturating_mul(1 << failures.min(5)).min(LONGEST);
        tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
        subscriptions.interrupted();
        missed = true;
    }
}

fn refuse_all(subscriptions: &Subscriptions, reason: &str) {
    let wanted = subscriptions.wanted();
    wanted.resources.iter().for_each(|uri| subscriptions.refused(uri, reason));
    for (list, wanted) in [
        ("resources/list", wanted.resource_list),
        ("prompts/list", wanted.prompt_list),
        ("tools/list", wanted.tool_list),
    ] {
        if wanted {
            subscriptions.refused(list, reason);
        }
    }
}

/// Asks to be told of these; nothing where nothing is wanted. It is on its way when this returns.
async fn begin(connection: &Connection, link: &Arc<Link>, wanted: &Topics) -> Option<Reply> {
    if connection.subscriptions.is_empty() {
        return None;
    }
    let mut filter = json!({});
    let lists = [
        ("resourcesListChanged", wanted.resource_list),
        ("promptsListChanged", wanted.prompt_list),
        ("toolsListChanged", wanted.tool_list),
    ];
    for (member, _) in lists.into_iter().filter(|(_, wanted)| *wanted) {
        filter[member] = json!(true);
    }
    if !wanted.resources.is_empty() {
        filter["resourceSubscriptions"] = json!(wanted.resources);
    }
    let (id, method) = (link.next_id(), "subscriptions/listen");
    let mut frame = Vec::new();
    let trace = link.trace_members(&Span::current());
    let meta = Meta { trace: trace.as_deref().unwrap_or_default(), ..link.meta(false) };
    let written = wire::request(&mut frame, (id, method), meta, |frame| {
        frame.extend_from_slice(b"\"notifications\":");
        serde_json::to_writer(frame, &filter)
    });
    written.ok()?;
    connection.subscriptions.book.lock().listening = Some(id);
    let (admitted, cancellable, waker, timing) = (false, true, None, Timing::default());
    let subject = Subject { method, ..Subject::default() };
    let request = Request {
        id,
        frame: &mut frame,
        splice: None,
        subject,
        timing,
        now: Instant::now(),
        admitted,
        cancellable,
        waker,
    };
    let mut reply = link.send(request).ok()?;
    // Where it has to be driven, the first poll sends it.
    let first = poll_fn(|cx| Poll::Ready(std::pin::Pin::new(&mut reply).poll(cx))).await;
    if first.is_ready() { None } else { Some(reply) }
}
