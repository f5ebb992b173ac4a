//! The host's requests beside the calls of tools: admitted, timed, cancelled and lost as those are.

use std::sync::{Arc, OnceLock};

use serde::Deserialize;
use tokio::time::Instant;

use super::{
    Connection,
    about::{About, not_ready, not_ready_for},
    call::check_egress,
    handshake::{Capabilities, Era},
    link::{Link, Loss, Request, Subject, Timing},
    listeners::Listening,
    per_call, rounds, wake,
};
use crate::{
    budget::Room,
    error::CallError,
    policy::WhenDown,
    progress::ProgressReport,
    queue::Writer,
    spec::Opening,
    telemetry,
    wire::{self, Answer, Meta, RawResult},
};

/// The method of a call.
const CALL: &str = "tools/call";

/// A request of the host, as often as it may have to be sent.
pub(crate) struct Question {
    pub(crate) method: &'static str,
    /// What it is asked of, which stands outside of the message, too, where there is an outside: a
    /// name or a URI.
    pub(crate) name: Option<String>,
    /// What it is called in errors and traces.
    pub(crate) what: String,
    /// The members of its parameters, without the braces.
    pub(crate) members: Vec<u8>,
    /// Arguments that are repeated outside.
    pub(crate) mirrored: Vec<(String, String)>,
    /// Who listens to its progress.
    pub(crate) progress: Option<Writer<ProgressReport>>,
    /// Whether the server may answer with questions of its own.
    pub(crate) rounds: bool,
    /// Members that the host adds to the `_meta`.
    pub(crate) added: String,
    /// The link that it goes over, where that is not the live one.
    pub(crate) over: OnceLock<Arc<Link>>,
    /// Whether a task is handed to the host instead of being followed.
    pub(crate) detached: bool,
}

/// A result, and the link that it came over.
pub(crate) struct Answered {
    /// Whether it took no questions to the host.
    pub(crate) direct: bool,
    pub(crate) result: RawResult,
    pub(crate) link: Arc<Link>,
}

/// The limits of one request of the host, from when it was first polled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    timing: Timing,
    ends: Option<Instant>,
}

impl Clock {
    pub(crate) fn start(timing: Timing) -> Self {
        Self::since(timing, Instant::now())
    }

    pub(crate) fn since(timing: Timing, began: Instant) -> Self {
        Self { timing, ends: timing.total.and_then(|total| began.checked_add(total)) }
    }

    /// What is left, for one more message.
    pub(crate) fn left(&self) -> Timing {
        const NO_TIME: std::time::Duration = std::time::Duration::from_nanos(1);
        let left = |at: Instant| at.saturating_duration_since(Instant::now()).max(NO_TIME);
        Timing { idle: self.timing.idle, total: self.ends.map(left) }
    }

    /// When it is over in any case.
    pub(crate) fn ends(&self) -> Option<Instant> {
        self.ends
    }

    /// The limits as they were declared.
    pub(crate) fn timing(&self) -> Timing {
        self.timing
    }
}

impl Question {
    pub(crate) fn new(method: &'static str, name: Option<&str>) -> Self {
        let what = name.map_or_else(|| method.to_owned(), |name| format!("{method} {name}"));
        Self {
            method,
            name: name.map(str::to_owned),
            what,
            members: Vec::new(),
            mirrored: Vec::new(),
            progress: None,
            rounds: false,
            added: String::new(),
            over: OnceLock::new(),
            detached: false,
        }
    }

    /// Adds a member to its parameters.
    pub(crate) fn with(mut self, key: &str, value: &(impl serde::Serialize + ?Sized)) -> Self {
        if !self.members.is_empty() {
            self.members.push(b',');
        }
        // What is given here is a string, or was JSON before: it can be written.
        let value = serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned());
        self.members.extend_from_slice(format!("\"{key}\":{value}").as_bytes());
        self
    }

    pub(crate) fn about<'a>(&'a self, connection: &'a Connection) -> About<'a> {
        About { connection, what: &self.what }
    }

    /// Asks until there is a result; what the server asks in return, the host answers.
    pub(crate) async fn ask(
        &self,
        connection: &Arc<Connection>,
        clock: Clock,
    ) -> Result<Answered, CallError> {
        let ends = clock.ends();
        let when_down = connection.options.when_down.unwrap_or_default();
        let waits = when_down == WhenDown::Wait;
        match connection.spec.opening {
            _ if self.over.get().is_some() => {}
            // All rounds of it go over the one link that it has.
            Opening::PerCall => {
                let ask = |link| async move {
                    self.over.get_or_init(|| link);
                    self.ask_awake(connection, clock).await
                };
                return per_call::over(connection, ends, ask).await;
            }
            Opening::Lazy | Opening::Eager if connection.spec.sleeps() || waits => loop {
                wake::link(connection, when_down, ends).await?;
                match self.ask_awake(connection, clock).await {
                    // It fell asleep, or was lost, in the moment before.
                    Err(CallError::NotReady { phase, .. })
                        if waits || phase.is_asleep() || connection.falls_asleep() => {}
                    outcome => return outcome,
                }
            },
            Opening::Lazy | Opening::Eager => {}
        }
        self.ask_awake(connection, clock).await
    }

    async fn ask_awake(
        &self,
        connection: &Arc<Connection>,
        clock: Clock,
    ) -> Result<Answered, CallError> {
        // A call that is made once more has its room still.
        let _room = match self.method {
            CALL => Room::default(),
            _ => connection.room(self.members.len(), clock.ends()).await?,
        };
        let answered = self.send(connection, clock.left(), &[]).await?;
        rounds::complete(connection, self, answered, clock).await
    }

    /// Sends it once; `more` are members that only this round has.
    pub(crate) async fn send(
        &self,
        connection: &Connection,
        timing: Timing,
        more: &[u8],
    ) -> Result<Answered, CallError> {
        let about = self.about(connection);
        let live = || connection.live_link().clone();
        let link = self.over.get().cloned().or_else(live).ok_or_else(|| not_ready(connection))?;
        self.check_offer(connection, &link)?;
        let id = link.next_id();
        let began = Instant::now();
        let traced = telemetry::request_span(&link, (self.method, self.name.as_deref()), id);
        let trace = link.trace_members(traced.span());
        // A call has those of its tool, which are these, too, if nothing else was said there.
        let meant = (self.method != CALL).then(|| connection.options.meta_members());
        let meta = Meta {
            added: meant.as_ref().unwrap_or(&self.added),
            trace: trace.as_deref().unwrap_or_default(),
            ..link.meta(timing.idle.is_some() || self.progress.is_some())
        };
        let mut frame = Vec::with_capacity(self.members.len() + more.len() + 256);
        let written = wire::request(&mut frame, (id, self.method), meta, |frame| {
            frame.extend_from_slice(&self.members);
            if !self.members.is_empty() && !more.is_empty() {
                frame.push(b',');
            }
            frame.extend_from_slice(more);
            Ok(())
        });
        written.map_err(|error| about.invalid(error.to_string()))?;
        let server = connection.name();
        check_egress(&connection.scope.secrets, (server, &self.what), [&frame, &[]])?;
        let _listening = self.progress.as_ref().map(|writer| Listening::to(&link, id, writer));
        let (admitted, cancellable, waker) = (true, true, None);
        let subject =
            Subject { method: self.method, name: self.name.as_deref(), mirrored: &self.mirrored };
        let request = Request {
            id,
            frame: &mut frame,
            splice: None,
            subject,
            timing,
            now: began,
            admitted,
            cancellable,
            waker,
        };
        let outcome = match link.send(request) {
            Ok(reply) => reply.await.map_err(|loss| about.lost(link.epoch, loss)),
            // It went down in the moment before, and this request has not been part of it.
            Err(Loss::Down { reason, .. }) => Err(not_ready_for(connection, Some(reason))),
            Err(loss) => Err(about.lost(link.epoch, loss)),
        };
        let outcome = outcome.and_then(|frame| open(about, frame));
        let outcome =
            outcome.map_err(|error| about.redacted(error).on_record(|| link.record_of(id)));
        // A round of a call is a part of it, and counted there.
        if self.method != CALL {
            let error = outcome.as_ref().err().map(CallError::kind);
            link.usage.meter.answered(self.method, error, began.elapsed());
        }
        traced.request_ended(outcome.as_ref().err());
        outcome.map(|result| Answered { result, link: Arc::clone(&link), direct: true })
    }

    /// Refuses what the server does not offer: only what was agreed on is asked for (MCP 2025-11-25,
    /// basic/lifecycle).
    fn check_offer(&self, connection: &Connection, link: &Link) -> Result<(), CallError> {
        let offered = link.capabilities().is_none_or(|offer| offers(offer, self.method));
        if offered {
            return Ok(());
        }
        Err(CallError::NotOffered {
            server: connection.name().to_string(),
            method: self.method.to_owned(),
        })
    }
}

fn offers(offer: &Capabilities, method: &str) -> bool {
    match method.split_once('/').map_or(method, |(family, _)| family) {
        "resources" => offer.has("resources"),
        "prompts" => offer.has("prompts"),
        "completion" => offer.has("completions"),
        "logging" => offer.has("logging"),
        "skills" => offer.extension("io.modelcontextprotocol/skills").is_some(),
        _ => true,
    }
}

fn open(about: About<'_>, frame: Vec<u8>) -> Result<RawResult, CallError> {
    match wire::open_answer(frame).map_err(|detail| about.invalid(detail))? {
        Answer::Result(result) => Ok(result),
        Answer::Error(error) => Err(about.rejected(error)),
    }
}

/// What kind of result it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Complete,
    InputRequired,
    Task,
}

/// C7: no `resultType` means that it is complete, and an unrecognised one is invalid (MCP 2026-07-28,
/// basic). What is no object is no result of any method.
pub(crate) fn kind(result: &RawResult, era: Option<Era>) -> Result<Kind, String> {
    #[derive(Deserialize)]
    struct Head {
        #[serde(rename = "resultType")]
        result_type: Option<String>,
    }
    if !result.get().starts_with('{') {
        return Err("the result is not an object".to_owned());
    }
    // Most do not say it, and a long result is not worth a second reading.
    let said = || memchr::memmem::find(result.get().as_bytes(), b"\"resultType\"").is_some();
    if era != Some(Era::Modern) || !said() {
        return Ok(Kind::Complete);
    }
    let head: Head = serde_json::from_str(result.get()).map_err(|error| error.to_string())?;
    match head.result_type.as_deref() {
        None | Some("complete") => Ok(Kind::Complete),
        Some("input_required") => Ok(Kind::InputRequired),
        Some("task") => Ok(Kind::Task),
        Some(other) => Err(format!("a result of the type {other:?}, which was not asked for")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind_of(result: &str, era: Era) -> Result<Kind, String> {
        kind(&RawResult::of(result.to_owned()), Some(era))
    }

    /// C7: a type that is not said is `complete`, one that nobody knows makes no sense.
    #[test]
    fn the_type_of_a_result_is_known_or_refused() {
        for (result, kind) in [
            ("{}", Kind::Complete),
            (r#"{"resultType":"complete"}"#, Kind::Complete),
            (r#"{"resultType":"input_required"}"#, Kind::InputRequired),
            (r#"{"resultType":"task"}"#, Kind::Task),
            (r#"{"content":[{"text":"\"resultType\""}]}"#, Kind::Complete),
        ] {
            assert_eq!(kind_of(result, Era::Modern), Ok(kind), "{result}");
        }
        assert!(kind_of(r#"{"resultType":"surprise"}"#, Era::Modern).is_err());
        assert_eq!(kind_of(r#"{"resultType":"surprise"}"#, Era::Legacy), Ok(Kind::Complete));
        assert!(kind_of("[]", Era::Modern).is_err());
    }
}
