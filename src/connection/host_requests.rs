//! What a server asks of the host: answered by the host, or declined in its name.
//!
//! Up to MCP 2025-11-25 the questions come as requests of the server, in 2026-07-28 as a part of an
//! interim result ([`rounds`](super::rounds)). The answers are the same.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::{Connection, link::Link};
use crate::{
    caught::{Panicked, caught},
    host::{Elicitation, FormAnswer, FormQuestion, SamplingQuestion, UrlAnswer, UrlQuestion},
    telemetry,
    trace::TraceContext,
    wire,
};

const METHOD_NOT_FOUND: i64 = -32601;
const INVALID_PARAMS: i64 = -32602;
const INTERNAL: i64 = -32603;

/// What MCP 2025-11-25 has a client say when a person does not want a model to be asked
/// (client/sampling).
const REJECTED: i64 = -1;

/// How many questions of one server may be with the host at once.
const AT_ONCE: usize = 64;

/// Why a question has no answer.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The host implements no such thing.
    NotOffered,
    Declined,
    Invalid(String),
}

/// Whether the host is to be asked this, and not we.
pub(super) fn is_for_host(method: &str) -> bool {
    matches!(method, "roots/list" | "sampling/createMessage" | "elicitation/create")
}

/// Asks the host, in a span of its own, which is a part of the trace that the server says it is in.
pub(super) async fn answer(
    connection: &Connection,
    (method, id): (&str, Option<&RawValue>),
    params: Option<&RawValue>,
) -> Result<Value, Refusal> {
    let redactor = &connection.scope.secrets.redactor;
    let told = (&*redactor.redact(method), id.map(|id| redactor.redact(id.get())));
    let span = telemetry::question_span(connection.name(), (told.0, told.1.as_deref()));
    if let Some(context) = params.and_then(TraceContext::of_params) {
        context.adopt(&span);
    }
    let outcome = put(connection, method, params).instrument(span.clone()).await;
    telemetry::question_ended(&span, outcome.is_ok());
    outcome
}

async fn put(
    connection: &Connection,
    method: &str,
    params: Option<&RawValue>,
) -> Result<Value, Refusal> {
    let offered = &connection.offered;
    match method {
        "roots/list" if offered.roots => Ok(json!({ "roots": connection.roots() })),
        "sampling/createMessage" if offered.sampling => sample(connection, params).await,
        "elicitation/create" if offered.forms || offered.urls => elicit(connection, params).await,
        _ => Err(Refusal::NotOffered),
    }
}

async fn sample(connection: &Connection, params: Option<&RawValue>) -> Result<Value, Refusal> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Tools {
        tools: Option<Value>,
        tool_choice: Option<Value>,
    }
    let params = params.ok_or_else(|| Refusal::Invalid("no parameters".to_owned()))?;
    let asked: Tools =
        serde_json::from_str(params.get()).map_err(|error| Refusal::Invalid(error.to_string()))?;
    let tools = asked.tools.is_some() || asked.tool_choice.is_some();
    if tools && !connection.offered.sampling_tools {
        // MCP 2025-11-25, client/sampling: tools only for a client that declared them.
        return Err(Refusal::Invalid("this client does not take tools".to_owned()));
    }
    let Some(host) = &connection.scope.host else { return Err(Refusal::NotOffered) };
    let (server, params) = (Arc::clone(connection.name()), params.to_owned());
    let answer = host.sample(SamplingQuestion { server, params }).await;
    answer.map(|answer| answer.0).ok_or(Refusal::Declined)
}

async fn elicit(connection: &Connection, params: Option<&RawValue>) -> Result<Value, Refusal> {
    let params = params.ok_or_else(|| Refusal::Invalid("no parameters".to_owned()))?;
    match Elicitation::read(connection.name(), params).map_err(Refusal::Invalid)? {
        Elicitation::Form(form) if connection.offered.forms => fill(connection, form).await,
        Elicitation::Url(url) if connection.offered.urls => {
            let answer = visit(connection, url).await?;
            Ok(json!({ "action": answer.action() }))
        }
        // MCP 2025-11-25, client/elicitation: a mode that was not declared.
        Elicitation::Form(_) => Err(Refusal::Invalid("this client fills no forms".to_owned())),
        Elicitation::Url(_) => Err(Refusal::Invalid("this client shows no URLs".to_owned())),
    }
}

async fn fill(connection: &Connection, form: FormQuestion) -> Result<Value, Refusal> {
    let Some(host) = &connection.scope.host else { return Err(Refusal::NotOffered) };
    match host.fill(form.clone()).await {
        FormAnswer::Accept(content) => match form.check(content) {
            Ok(content) => Ok(json!({ "action": "accept", "content": content })),
            Err(faults) => {
                telemetry::form_does_not_fit(&connection.span, faults.len());
                Ok(json!({ "action": "cancel" }))
            }
        },
        FormAnswer::Decline => Ok(json!({ "action": "decline" })),
        FormAnswer::Cancel => Ok(json!({ "action": "cancel" })),
    }
}

/// Has the host show a URL, if it is of a scheme that it takes.
pub(super) async fn visit(connection: &Connection, url: UrlQuestion) -> Result<UrlAnswer, Refusal> {
    if !url.is_of(&connection.offered.url_schemes) {
        telemetry::url_is_declined(&connection.span);
        return Ok(UrlAnswer::Decline);
    }
    let Some(host) = &connection.scope.host else { return Err(Refusal::NotOffered) };
    Ok(host.visit(url).await)
}

/// The questions of one link that are with the host.
#[derive(Default)]
pub(super) struct Questions {
    count: AtomicUsize,
    /// By the server's id, as it wrote it.
    open: Mutex<FxHashMap<String, CancellationToken>>,
}

impl Questions {
    /// The server takes a question back.
    pub(super) fn take_back(&self, id: &RawValue) {
        let asked = self.open.lock().get(id.get()).cloned();
        if let Some(asked) = asked {
            asked.cancel();
        }
    }
}

/// Has the host answer a question of a server, in a task of its own: the host may take its time, and
/// the link is read on meanwhile.
pub(super) fn ask(
    connection: &Arc<Connection>,
    link: &Arc<Link>,
    id: &RawValue,
    (method, params): (&str, Option<&RawValue>),
) {
    let questions = &link.questions;
    if questions.count.fetch_add(1, Ordering::Relaxed) >= AT_ONCE {
        questions.count.fetch_sub(1, Ordering::Relaxed);
        let refusal = (INTERNAL, "too many questions at once");
        return link.answer(wire::answer(id, Err::<&(), _>(refusal)));
    }
    let taken_back = CancellationToken::new();
    questions.open.lock().insert(id.get().to_owned(), taken_back.clone());
    let asking = Asking { link: Arc::clone(link), id: id.to_owned(), _pause: Link::pause(link) };
    let (asked, method) = (Arc::clone(connection), method.to_owned());
    let params = params.map(RawValue::to_owned);
    connection.scope.tasks.spawn(&link.span, async move {
        let answer = pin!(answer(&asked, (&method, Some(&asking.id)), params.as_deref()));
        tokio::select! {
            biased;
            outcome = caught(answer) => {
                match outcome {
                    Ok(outcome) => asking.answer(&method, outcome),
                    Err(Panicked) => asking.refuse(&method, INTERNAL, "the host failed"),
                }
            }
            () = taken_back.cancelled() => {}
            _ = asking.link.down() => {}
        }
    });
}

/// A question that is with the host; the idle limits of its link pause as long.
struct Asking {
    link: Arc<Link>,
    id: Box<RawValue>,
    _pause: super::link::Pause,
}

impl Asking {
    fn answer(&self, method: &str, outcome: Result<Value, Refusal>) {
        let not_offered = "this client does not offer it";
        match outcome {
            Ok(answer) => self.link.answer(wire::answer(&self.id, Ok(&answer))),
            Err(Refusal::NotOffered) => self.refuse(method, METHOD_NOT_FOUND, not_offered),
            Err(Refusal::Declined) => self.refuse(method, REJECTED, "declined"),
            Err(Refusal::Invalid(fault)) => self.refuse(method, INVALID_PARAMS, &fault),
        }
    }

    fn refuse(&self, method: &str, code: i64, message: &str) {
        telemetry::question_refused(method);
        self.link.answer(wire::answer(&self.id, Err::<&(), _>((code, message))));
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        let questions = &self.link.questions;
        drop(questions.open.lock().remove(self.id.get()));
        questions.count.fetch_sub(1, Ordering::Relaxed);
    }
}
