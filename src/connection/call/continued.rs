//! A call that the server answered by questions or by a task, and what a host can do with a task.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
};

use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::{
    Call, Kept, Stage, Wishes,
    outcome::{Concluded, output},
    routed,
};
use crate::{
    catalog::Tool,
    connection::{
        Connection, SessionScope, host_requests,
        link::{Link, Timing},
        requests::{Answered, Clock, Kind, Question, kind},
        rounds,
        tasks::{self, Pursuit},
    },
    error::CallError,
    host::{Elicitation, UrlAnswer, UrlQuestion},
    output::Output,
    query::Query,
    received::part_for_host,
    telemetry::Traced,
};

/// JSON-RPC code of a server of MCP 2025-11-25 that wants URLs visited before it answers (client/
/// elicitation).
const URLS_FIRST: i64 = -32042;

type Ending = Pin<Box<dyn Future<Output = Result<Output, CallError>> + Send>>;

/// What is left of such a call.
pub(super) struct Continued {
    pub(super) tool: Tool,
    pub(super) span: Traced,
    rest: Ending,
}

impl Continued {
    pub(super) fn new(
        (tool, span): (Tool, Traced),
        question: Question,
        (concluded, link): (Concluded, Arc<Link>),
        (timing, began): (Timing, Instant),
    ) -> Self {
        let clock = Clock::since(timing, began);
        let result = concluded.result;
        let connection = Arc::clone(tool.connection());
        let rest = Box::pin(async move {
            let first = Answered { result, link, direct: true };
            let answered = rounds::complete(&connection, &question, first, clock).await?;
            Ok(output(&connection, answered.result).after_interim())
        });
        Self { tool, span, rest }
    }

    /// The call as it was sent first.
    pub(super) fn question(tool: &Tool, kept: &Kept, over: Option<Arc<Link>>) -> Question {
        let mut question = Question::new("tools/call", Some(tool.name()));
        question.what = tool.id().to_owned();
        question.members = tool.members().as_bytes().to_vec();
        // They were written before, so they can be.
        drop(kept.arguments.write(&mut question.members));
        question.mirrored = tool.mirrored(&kept.arguments);
        question.added = tool.terms().meta.clone();
        question.rounds = true;
        question.over = over.map(OnceLock::from).unwrap_or_default();
        question
    }

    /// The URLs that a server wants visited first, where that is why it refused a call.
    pub(super) fn urls_of(
        outcome: &Result<Output, CallError>,
        tool: &Tool,
    ) -> Option<Vec<UrlQuestion>> {
        #[derive(Deserialize)]
        struct Wanted<'a> {
            #[serde(borrow)]
            elicitations: Vec<&'a RawValue>,
        }
        let Err(CallError::Rejected { code: URLS_FIRST, data: Some(data), .. }) = outcome else {
            return None;
        };
        let connection = tool.connection();
        let wanted: Wanted<'_> = serde_json::from_str(data.get()).ok()?;
        let url = |raw: &&RawValue| match Elicitation::read(connection.name(), raw) {
            Ok(Elicitation::Url(url)) => Some(url),
            Ok(Elicitation::Form(_)) | Err(_) => None,
        };
        let urls: Option<Vec<_>> = wanted.elicitations.iter().map(url).collect();
        urls.filter(|urls| !urls.is_empty() && connection.shows_urls())
    }

    /// Has the host show the URLs, then makes the call once more.
    pub(super) fn after_urls(
        (tool, over): (Tool, Option<Arc<Link>>),
        (urls, link): (Vec<UrlQuestion>, &Arc<Link>),
        kept: Kept,
        (timing, more): (Timing, Wishes),
    ) -> Self {
        let mut question = Self::question(&tool, &kept, over);
        (question.progress, question.detached) = more;
        let clock = Clock::since(timing, kept.began);
        let connection = Arc::clone(tool.connection());
        let hold = Link::hold(link);
        let rest = Box::pin(async move {
            // The server that knows of them is in use while a person visits them.
            let _hold = hold;
            let about = question.about(&connection);
            for url in urls {
                let visited = host_requests::visit(&connection, url);
                if !matches!(rounds::within(about, clock, visited).await?, Ok(UrlAnswer::Accept)) {
                    return Err(CallError::InputDeclined {
                        server: connection.name().to_string(),
                        tool: about.what.to_owned(),
                        method: "elicitation/create".to_owned(),
                    });
                }
            }
            let answered = question.ask(&connection, clock).await?;
            Ok(output(&connection, answered.result).after_interim())
        });
        Self { tool, span: Traced::none(), rest }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Output, CallError>> {
        // What it takes besides is a part of the call.
        let _within = self.span.span().enter();
        self.rest.as_mut().poll(cx)
    }
}

impl fmt::Debug for Continued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Continued")
    }
}

/// A call whose task, if it comes back as one, is the host's to follow: see [`Call::detach`].
#[derive(Debug)]
#[must_use = "a call is sent when it is awaited"]
pub struct Detach {
    call: Call,
    place: Place,
}

/// Whose task it would be.
#[derive(Debug)]
enum Place {
    Known(Arc<Connection>),
    /// Of the servers that may have the tool, the one that lists it by then.
    Unlisted(Arc<SessionScope>, String),
    Nowhere,
}

/// What a detached call came to.
#[derive(Debug)]
#[non_exhaustive]
pub enum Detached {
    /// The server answered it at once.
    Output(Output),
    /// The server made a task of it.
    Task(Task),
}

/// A call that runs on at its server as a task (MCP extension `io.modelcontextprotocol/tasks`).
///
/// A cheap handle: dropping it changes nothing. Its [`id`](Self::id) outlives the session;
/// [`Server::task`](crate::Server::task) takes it up again.
#[derive(Debug, Clone)]
pub struct Task {
    connection: Arc<Connection>,
    id: Arc<str>,
}

impl Call {
    /// Hands the host the task that the server may make of this call, instead of following it.
    pub fn detach(mut self) -> Detach {
        let place = match &self.stage {
            Stage::Declared { tool, .. } | Stage::Waiting { tool, .. } => {
                Place::Known(Arc::clone(tool.connection()))
            }
            Stage::Unlisted { unlisted, .. } => {
                Place::Unlisted(Arc::clone(&unlisted.scope), unlisted.id.clone())
            }
            Stage::Refused { .. }
            | Stage::Relisted(_)
            | Stage::Continued(_)
            | Stage::Guarded(_)
            | Stage::Ended => Place::Nowhere,
        };
        self.more().detached = true;
        Detach { call: self, place }
    }
}

impl Future for Detach {
    type Output = Result<Detached, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let output = ready!(Pin::new(&mut self.call).poll(cx))?;
        let connection = match &self.place {
            Place::Known(connection) => Some(Arc::clone(connection)),
            Place::Unlisted(scope, id) => {
                routed(scope, id).ok().map(|tool| Arc::clone(tool.connection()))
            }
            Place::Nowhere => None,
        };
        let id = tasks::id_of(output.raw()).filter(|_| is_task(&output));
        let task = connection.zip(id).map(|(connection, id)| Task::new(connection, &id));
        Poll::Ready(Ok(task.map_or(Detached::Output(output), Detached::Task)))
    }
}

pub(super) fn is_task(output: &Output) -> bool {
    kind(output.raw_result(), Some(crate::connection::handshake::Era::Modern)) == Ok(Kind::Task)
}

impl Task {
    pub(crate) fn new(connection: Arc<Connection>, id: &str) -> Self {
        Self { connection, id: id.into() }
    }

    /// What its server calls it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The name of its server.
    #[must_use]
    pub fn server(&self) -> &str {
        self.connection.name()
    }

    /// Follows it to its end: asks at the interval that the server wants, over whatever link there is,
    /// and has its questions answered. A server that is asleep is woken; one that is opened
    /// [for each call](crate::ServerSpec::per_call) is open until then. The total limit is that of the
    /// query; giving it up leaves the task alone.
    pub fn output(&self) -> Query<Output> {
        let id = Arc::clone(&self.id);
        Query::new(&self.connection, move |connection, terms| async move {
            let what = format!("task {id}");
            let answered = Pursuit::new(&connection, &id, &what).take_up(terms.clock).await?;
            Ok(output(&connection, answered.result))
        })
    }

    /// What the server says of it now, as JSON.
    pub fn state(&self) -> Query<Box<RawValue>> {
        let id = Arc::clone(&self.id);
        Query::new(&self.connection, move |connection, terms| async move {
            let question = Question::new("tasks/get", Some(&id)).with("taskId", &*id);
            let answered = question.ask(&connection, terms.clock).await?;
            let state: &RawValue = serde_json::from_str(answered.result.get())
                .map_err(|error| question.about(&connection).invalid(error.to_string()))?;
            Ok(part_for_host(&connection, state).into_owned())
        })
    }

    /// Asks the server to cancel it; it may, or not.
    pub fn cancel(&self) -> Query<()> {
        let id = Arc::clone(&self.id);
        Query::new(&self.connection, move |connection, _| async move {
            tasks::cancel(&connection, &id).await
        })
    }
}
