//! What comes in over a link: answers to their callers, and what the server asks and tells of its
//! own accord.

use std::{borrow::Cow, sync::Arc};

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{json, value::RawValue};
use tokio::sync::Notify;

use super::{Connection, handshake::Era, host_requests, link::Link};
use crate::{
    event::Notification,
    record::EntryKind,
    redactor::Redactor,
    telemetry,
    transport::Frames,
    wire::{self, Incoming, RequestId},
};

const METHOD_NOT_FOUND: i64 = -32601;

/// The receiving side of one link.
pub(crate) struct Inbound {
    connection: Arc<Connection>,
    link: Arc<Link>,
    /// Told when the server says that its tools changed; remembers one change, however many come.
    tools_changed: Arc<Notify>,
    answers: Vec<(RequestId, Vec<u8>)>,
}

impl Inbound {
    pub(crate) fn new(
        connection: Arc<Connection>,
        link: Arc<Link>,
        tools_changed: Arc<Notify>,
    ) -> Self {
        Self { connection, link, tools_changed, answers: Vec::new() }
    }

    fn batch(&mut self, frames: &[&RawValue]) {
        for frame in frames {
            let frame = frame.get().as_bytes();
            let incoming = wire::classify(frame);
            // A batch within a batch is none.
            if let Incoming::Batch(_) = incoming {
                self.noise(frame);
            } else {
                self.single(incoming, Cow::Borrowed(frame));
            }
        }
    }

    fn single(&mut self, incoming: Incoming<'_>, frame: Cow<'_, [u8]>) {
        match incoming {
            Incoming::Answer { id } => self.answers.push((id, frame.into_owned())),
            Incoming::Request { id, method, params } => {
                self.link.heard(EntryKind::Received, &frame);
                self.question(id, (&method, params));
            }
            Incoming::Notification { method, params } => {
                self.link.heard(EntryKind::Received, &frame);
                self.told(method, params);
            }
            Incoming::Batch(frames) => self.batch(&frames),
            Incoming::Unroutable => {
                self.link.heard(EntryKind::Received, &frame);
                telemetry::stray_answers(1);
            }
            Incoming::Noise => self.noise(&frame),
        }
    }

    fn noise(&self, line: &[u8]) {
        // A blank line says nothing, and is no reason to warn.
        if !line.is_empty() {
            self.link.heard(EntryKind::Noise, line);
            telemetry::noise(self.connection.count_noise(), line.len());
        }
    }

    /// Answers a question of the server: every one, since silence would hang it. Ids of theirs and
    /// of ours never meet: theirs go back as they came.
    fn question(&self, id: &RawValue, (method, params): (&str, Option<&RawValue>)) {
        if self.link.era() == Some(Era::Modern) {
            // C8; MCP 2026-07-28, basic/transports: no such thing there, and no answer to it.
            let method = self.redactor().redact(method);
            return telemetry::question_on_modern_link(&method, self.connection.count_violation());
        }
        let answer = match method {
            "ping" => wire::answer(id, Ok(&json!({}))),
            _ if host_requests::is_for_host(method) => {
                return host_requests::ask(&self.connection, &self.link, id, (method, params));
            }
            _ => {
                telemetry::question_refused(&self.redactor().redact(method));
                let refusal = (METHOD_NOT_FOUND, "this client does not offer it");
                wire::answer(id, Err::<&(), _>(refusal))
            }
        };
        self.link.answer(answer);
    }

    fn told(&self, method: String, params: Option<&RawValue>) {
        if let Some("resources" | "prompts" | "tools" | "subscriptions") = method.split('/').nth(1)
        {
            self.connection.kept.forget(&method, params);
            let redacted = params.and_then(|params| self.redactor().redact_json(params));
            self.connection.subscriptions.take(&method, redacted.as_deref().or(params));
        }
        if method == "notifications/message" {
            let redacted = params.and_then(|params| self.redactor().redact_json(params));
            self.connection.logs.tell(redacted.as_deref().or(params));
        }
        match method.as_str() {
            "notifications/progress" => {
                if let Some((id, params)) = params.and_then(|p| Some((progress_token(p)?, p))) {
                    self.link.progress(id);
                    let redacted = self.redactor().redact_json(params);
                    self.link.listeners.tell(id, redacted.as_deref().unwrap_or(params));
                }
            }
            "notifications/cancelled" => {
                if let Some(id) = params.and_then(cancelled) {
                    self.link.questions.take_back(id);
                }
            }
            "notifications/tools/list_changed" => self.tools_changed.notify_one(),
            "notifications/subscriptions/acknowledged" => {}
            _ => self.connection.notifications.send(|| Notification::Message {
                epoch: self.link.epoch,
                method: self.redactor().redact(&method).into(),
                params: params.map(|params| {
                    let redacted = self.redactor().redact_json(params);
                    Arc::from(redacted.unwrap_or_else(|| params.to_owned()))
                }),
            }),
        }
    }

    fn redactor(&self) -> &Redactor {
        &self.connection.scope.secrets.redactor
    }
}

impl Frames for Inbound {
    fn frame(&mut self, frame: Cow<'_, [u8]>) {
        let trimmed = wire::trim(&frame);
        let incoming = wire::classify(trimmed);
        let Incoming::Answer { id } = incoming else {
            self.link.count_received(1, trimmed.len());
            return self.single(incoming, Cow::Borrowed(trimmed));
        };
        drop(incoming);
        let bare = trimmed.len() == frame.len();
        let owned = if bare { frame.into_owned() } else { trimmed.to_vec() };
        self.answers.push((id, owned));
    }

    fn flush(&mut self) {
        if self.answers.is_empty() {
            return;
        }
        let stray = self.link.complete(&mut self.answers);
        if stray > 0 {
            telemetry::stray_answers(stray);
        }
    }
}

/// The question that the server takes back.
fn cancelled(params: &RawValue) -> Option<&RawValue> {
    #[derive(Deserialize)]
    struct Cancelled<'a> {
        #[serde(borrow, rename = "requestId")]
        id: &'a RawValue,
        #[serde(default, rename = "reason")]
        _reason: Option<IgnoredAny>,
    }
    serde_json::from_str::<Cancelled<'_>>(params.get()).ok().map(|cancelled| cancelled.id)
}

/// The request that a progress notification is about: our tokens are the ids of our requests.
fn progress_token(params: &RawValue) -> Option<RequestId> {
    #[derive(Deserialize)]
    struct Progress<'a> {
        #[serde(borrow, rename = "progressToken")]
        token: &'a RawValue,
    }
    let Progress { token } = serde_json::from_str(params.get()).ok()?;
    wire::request_id(token.get())
}
