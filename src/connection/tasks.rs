//! Calls that come back as a task (MCP extension `io.modelcontextprotocol/tasks`): asked for at their
//! interval until they end, over whatever link there is by then.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, OnceLock},
    time::Duration,
};

use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};

use super::{
    Connection,
    link::{Hold, Link, Timing},
    per_call,
    requests::{Answered, Clock, Question},
    rounds::{Asked, answer_all, within},
    wake,
};
use crate::{
    error::{CallError, Delivery},
    policy::WhenDown,
    spec::Opening,
    wire::RpcError,
};

/// How often a task is asked for whose server does not say, and the bounds of what it may say.
const INTERVAL: Duration = Duration::from_secs(1);
const SHORTEST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(60);

/// How long the server may take to hear that nobody waits for a task any more.
const FAREWELL: Duration = Duration::from_secs(10);

/// What a server says of a task.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct State<'a> {
    task_id: String,
    status: String,
    poll_interval_ms: Option<u64>,
    #[serde(borrow, default)]
    input_requests: BTreeMap<String, Asked<'a>>,
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
    #[serde(default)]
    error: Option<RpcError>,
}

/// A task that a call came back as.
pub(crate) struct Pursuit {
    connection: Arc<Connection>,
    id: String,
    /// What it is called in errors.
    what: String,
    interval: Duration,
    /// The link that it is asked for over, where that is not the live one.
    over: Option<Arc<Link>>,
    /// The link of the latest answer, which is in use also while nothing is asked over it.
    held: Option<Hold>,
    /// The questions that the server has the answers to: they stand in its state until it has seen that.
    answered: HashSet<String>,
    /// Answers that the server may not have got: nobody is asked twice for them.
    given: Map<String, Value>,
    /// Whether the server said that it has ended, in whichever way.
    ended: bool,
}

/// The id that a server gave a call that came back as a task.
pub(crate) fn id_of(result: &str) -> Option<String> {
    serde_json::from_str::<State<'_>>(result).ok().map(|state| state.task_id)
}

/// Follows a call that came back as a task to its end. Nobody waiting for it any more cancels it.
pub(super) async fn follow(
    connection: &Arc<Connection>,
    question: &Question,
    answered: Answered,
    clock: Clock,
) -> Result<Answered, CallError> {
    let about = question.about(connection);
    let created: State<'_> = serde_json::from_str(answered.result.get())
        .map_err(|error| about.invalid(error.to_string()))?;
    let mut pursuit = Pursuit::new(connection, &created.task_id, &question.what);
    pursuit.heed(created.poll_interval_ms);
    pursuit.over = question.over.get().cloned();
    pursuit.held = Some(Link::hold(&answered.link));
    let mut guard =
        CancelOnDrop { connection: Arc::clone(connection), id: created.task_id, on: true };
    let outcome = pursuit.run(clock).await;
    // Whatever else ended the call, the task runs on, as far as the server knows.
    guard.on = !pursuit.ended;
    let latest = pursuit.held.as_ref().map_or(&answered.link, Hold::link);
    outcome.map_err(|error| about.begun(latest, error))
}

impl Pursuit {
    pub(crate) fn new(connection: &Arc<Connection>, id: &str, what: &str) -> Self {
        Self {
            connection: Arc::clone(connection),
            id: id.to_owned(),
            what: what.to_owned(),
            interval: INTERVAL,
            over: None,
            held: None,
            answered: HashSet::new(),
            given: Map::new(),
            ended: false,
        }
    }

    /// Takes the server's word on how often it is to be asked.
    fn heed(&mut self, interval: Option<u64>) {
        if let Some(interval) = interval {
            self.interval = Duration::from_millis(interval).clamp(SHORTEST, LONGEST);
        }
    }

    /// Follows a task to its end that no call leads to: over a link of its own, where each call has
    /// one.
    pub(crate) async fn take_up(mut self, clock: Clock) -> Result<Answered, CallError> {
        if self.connection.spec.opening != Opening::PerCall {
            return self.run(clock).await;
        }
        let connection = Arc::clone(&self.connection);
        let follow = |link| async move {
            self.over = Some(link);
            self.run(clock).await
        };
        per_call::over(&connection, clock.ends(), follow).await
    }

    fn question(&self, method: &'static str) -> Question {
        let mut question = Question::new(method, Some(&self.id)).with("taskId", &self.id);
        question.over = self.over.clone().map(OnceLock::from).unwrap_or_default();
        question
    }

    /// Waits for a link to ask over, waking the server if it is asleep, and keeps it in use; a link of
    /// its own does not come back.
    async fn reach(&mut self) -> Result<(), ()> {
        if let Some(link) = &self.over {
            return if link.down_reason().is_none() { Ok(()) } else { Err(()) };
        }
        wake::link(&self.connection, WhenDown::Wait, None).await.map_err(drop)?;
        if let Some(link) = &*self.connection.live_link() {
            self.held = Some(Link::hold(link));
        }
        Ok(())
    }

    /// Asks for it until it has ended.
    async fn run(&mut self, clock: Clock) -> Result<Answered, CallError> {
        let connection = Arc::clone(&self.connection);
        let what = self.what.clone();
        let about = super::about::About { connection: &connection, what: &what };
        loop {
            within(about, clock, tokio::time::sleep(self.interval)).await?;
            let got = match self.question("tasks/get").send(&connection, clock.left(), &[]).await {
                Ok(got) => got,
                // A task outlives the link that it was begun over.
                Err(error) if is_passing(&error) => {
                    within(about, clock, self.reach()).await?.map_err(|()| error)?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            self.held = Some(Link::hold(&got.link));
            let state: State<'_> = serde_json::from_str(got.result.get())
                .map_err(|error| about.invalid(error.to_string()))?;
            self.heed(state.poll_interval_ms);
            self.ended = matches!(&*state.status, "completed" | "failed" | "cancelled");
            match state.status.as_str() {
                "working" => {}
                "input_required" => {
                    within(about, clock, self.inform(state.input_requests, clock)).await??;
                }
                "completed" => {
                    let part = state.result.and_then(|result| got.result.part(result.get()));
                    let result = part.ok_or_else(|| about.invalid("no result".to_owned()))?;
                    return Ok(Answered { result, link: got.link, direct: false });
                }
                "failed" => {
                    let error = state.error;
                    return Err(error.map_or_else(
                        || about.invalid("it failed, and does not say why".to_owned()),
                        |error| about.rejected(error),
                    ));
                }
                "cancelled" => {
                    let (tool, delivery) = (what.clone(), Delivery::Answered);
                    return Err(CallError::Cancelled { tool, delivery });
                }
                other => return Err(about.invalid(format!("a task that is {other:?}"))),
            }
        }
    }

    /// Has the host answer what it was not asked yet, and hands the answers on.
    async fn inform(
        &mut self,
        mut asked: BTreeMap<String, Asked<'_>>,
        clock: Clock,
    ) -> Result<(), CallError> {
        asked.retain(|key, _| !self.answered.contains(key));
        if asked.is_empty() {
            return Ok(());
        }
        let about = super::about::About { connection: &self.connection, what: &self.what };
        let keys: Vec<String> = asked.keys().cloned().collect();
        asked.retain(|key, _| !self.given.contains_key(key));
        let mut answers = answer_all(about, &asked).await?;
        self.given.append(&mut answers);
        let answers = keys.iter().filter_map(|key| Some((key, self.given.get(key)?)));
        let answers: BTreeMap<_, _> = answers.collect();
        let question = self.question("tasks/update").with("inputResponses", &answers);
        match question.send(&self.connection, clock.left(), &[]).await {
            Ok(_) => {
                self.given.retain(|key, _| !keys.contains(key));
                self.answered.extend(keys);
                Ok(())
            }
            // Whether they have arrived is in the state that is asked for next.
            Err(error @ (CallError::TransportDown { .. } | CallError::NotReady { .. })) => {
                self.reach().await.map_err(|()| error)
            }
            Err(error) => Err(error),
        }
    }
}

/// Asks the server to cancel a task: it may, or not (C32). A task outlives the process that began it,
/// so a server that is asleep is woken for this, and one that each call opens is opened.
pub(crate) async fn cancel(connection: &Arc<Connection>, id: &str) -> Result<(), CallError> {
    let question = Question::new("tasks/cancel", Some(id)).with("taskId", &id);
    let timing = Timing { idle: None, total: Some(FAREWELL) };
    question.ask(connection, Clock::start(timing)).await.map(drop)
}

/// Whether another link may bring an answer.
fn is_passing(error: &CallError) -> bool {
    if let CallError::HttpStatus { status, .. } = error {
        return matches!(status, 429 | 500..);
    }
    matches!(error, CallError::TransportDown { .. } | CallError::NotReady { .. })
}

/// Tells the server, without waiting for it, that nobody waits for a task any more.
struct CancelOnDrop {
    connection: Arc<Connection>,
    id: String,
    on: bool,
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        // Whoever drops a call may be outside of any async runtime.
        let runs = tokio::runtime::Handle::try_current().is_ok();
        if !self.on || !runs || self.connection.is_ending() {
            return;
        }
        let (connection, id) = (Arc::clone(&self.connection), std::mem::take(&mut self.id));
        let span = connection.span.clone();
        let stop = connection.scope.tasks.token().clone();
        self.connection.scope.tasks.spawn(&span, async move {
            drop(stop.run_until_cancelled(cancel(&connection, &id)).await);
        });
    }
}
