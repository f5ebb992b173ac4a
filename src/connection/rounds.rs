//! Calls that the server answers with questions (MCP 2026-07-28, basic/patterns/mrtr): the host
//! answers all of them, then the call is made again with the answers.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};

use super::{
    Connection,
    about::About,
    host_requests::{self, Refusal},
    link::Link,
    requests::{Answered, Clock, Kind, Question, kind},
    tasks,
};
use crate::error::{CallError, CallLimit, Delivery};

/// How often a server may ask before its call ends.
const MOST: u32 = 10;

/// How long a call waits before it is made again where nobody was asked anything: a server that says
/// so wants it to come back later.
const PAUSE: Duration = Duration::from_millis(100);

/// A question of the server within a result.
#[derive(Deserialize)]
pub(super) struct Asked<'a> {
    method: String,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
}

/// Goes on until the result is complete.
pub(super) async fn complete(
    connection: &Arc<Connection>,
    question: &Question,
    mut answered: Answered,
    clock: Clock,
) -> Result<Answered, CallError> {
    let about = question.about(connection);
    for round in 0..=MOST {
        let era = answered.link.era();
        match kind(&answered.result, era).map_err(|detail| about.invalid(detail))? {
            Kind::Complete => return Ok(answered),
            Kind::Task if question.detached => return Ok(answered),
            Kind::Task if question.method == "tools/call" => {
                return tasks::follow(connection, question, answered, clock).await;
            }
            Kind::InputRequired if question.rounds && round < MOST => {}
            Kind::InputRequired if question.rounds => {
                return Err(about.invalid(format!("it asked for input more than {MOST} times")));
            }
            // C28: only three methods may be answered so.
            Kind::InputRequired | Kind::Task => {
                return Err(about.never_asked());
            }
        }
        let link = Arc::clone(&answered.link);
        // Nothing is in flight while a person thinks, and yet the server is in use.
        let _hold = Link::hold(&link);
        let more = prepare(about, &answered, clock, round).await?;
        let sent = question.send(connection, clock.left(), &more).await;
        answered = sent.map_err(|error| about.begun(&link, error))?;
        answered.direct = false;
    }
    Err(about.invalid("it asks for ever".to_owned()))
}

/// What the next round says more than the first: the answers, and the server's state to the byte.
async fn prepare(
    about: About<'_>,
    answered: &Answered,
    clock: Clock,
    round: u32,
) -> Result<Vec<u8>, CallError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Interim<'a> {
        #[serde(borrow, default)]
        input_requests: Option<BTreeMap<String, Asked<'a>>>,
        #[serde(borrow, default)]
        request_state: Option<&'a RawValue>,
    }
    let interim: Interim<'_> = serde_json::from_str(answered.result.get())
        .map_err(|error| about.invalid(error.to_string()))?;
    let mut more = Vec::new();
    match interim.input_requests {
        Some(asked) => {
            let answers = within(about, clock, answer_all(about, &asked)).await??;
            more.extend_from_slice(b"\"inputResponses\":");
            more.extend_from_slice(Value::Object(answers).to_string().as_bytes());
        }
        None if interim.request_state.is_some() => {
            within(about, clock, tokio::time::sleep(PAUSE * (round + 1))).await?;
        }
        None => return Err(about.invalid("it asks for input, and for none".to_owned())),
    }
    if let Some(state) = interim.request_state {
        if !more.is_empty() {
            more.push(b',');
        }
        more.extend_from_slice(b"\"requestState\":");
        more.extend_from_slice(state.get().as_bytes());
    }
    Ok(more)
}

/// Has every question answered, one after the other: a person answers one at a time.
pub(super) async fn answer_all(
    about: About<'_>,
    asked: &BTreeMap<String, Asked<'_>>,
) -> Result<Map<String, Value>, CallError> {
    let mut answers = Map::new();
    for (key, Asked { method, params }) in asked {
        match host_requests::answer(about.connection, (method, None), *params).await {
            Ok(answer) => answers.insert(key.clone(), answer),
            Err(Refusal::Invalid(detail)) => return Err(about.invalid(detail)),
            Err(Refusal::NotOffered | Refusal::Declined) => {
                return Err(CallError::InputDeclined {
                    server: about.connection.name().to_string(),
                    tool: about.what.to_owned(),
                    method: method.clone(),
                });
            }
        };
    }
    Ok(answers)
}

/// Bounds what happens between two messages by the limit of the whole.
pub(super) async fn within<T>(
    about: About<'_>,
    clock: Clock,
    work: impl Future<Output = T>,
) -> Result<T, CallError> {
    let Some(ends) = clock.ends() else { return Ok(work.await) };
    tokio::time::timeout_at(ends, work).await.map_err(|_| CallError::TimedOut {
        server: about.connection.name().to_string(),
        tool: about.what.to_owned(),
        limit: CallLimit::Total,
        record: crate::record::Record::default(),
        after: clock.timing().total.unwrap_or_default(),
        delivery: Delivery::Answered,
    })
}
