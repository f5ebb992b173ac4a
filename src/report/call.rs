//! Reports of calls without a result.

use super::{Diagnosis, Report, clues, down, name_of};
use crate::{
    error::{CallError, CallLimit, Delivery, OverBudget},
    record::EntryKind,
};

/// JSON-RPC 2.0, 5.1.
const METHOD_NOT_FOUND: i64 = -32601;
const INVALID_PARAMS: i64 = -32602;
const INTERNAL_ERROR: i64 = -32603;

impl CallError {
    /// What is known of it, for a person.
    #[must_use]
    pub fn report(&self) -> Report {
        let report = Report::new(self.kind(), what(self));
        let mut report = self.diagnosed(report);
        report.server = self.server().map(str::to_owned);
        report.epoch = self.epoch().or(report.epoch);
        report.delivery = Some(name_of(self.delivery()));
        report
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "these alone have something behind them")]
    fn diagnosed(&self, report: Report) -> Report {
        match self {
            Self::TransportDown { reason, .. } => report.because(down::of(reason, false)),
            Self::NotReady { error: Some(error), .. } => report.because(error.report()),
            Self::HttpStatus { error, .. } | Self::Unauthorized { error, .. } => {
                report.on_record(&self.record()).answered(error)
            }
            Self::TimedOut { limit, delivery, .. } => {
                let report = report.on_record(&self.record());
                let diagnosis = late((*limit, *delivery), &report);
                report.diagnosed(Some(diagnosis))
            }
            _ => report.on_record(&self.record()).diagnosed(diagnose(self)),
        }
    }

    /// The server of the tool, where it is known.
    #[must_use]
    pub fn server(&self) -> Option<&str> {
        match self {
            Self::SecretOutOfScope { server, .. }
            | Self::NotReady { server, .. }
            | Self::TransportDown { server, .. }
            | Self::TimedOut { server, .. }
            | Self::Overloaded { server, .. }
            | Self::OverBudget { server, .. }
            | Self::Rejected { server, .. }
            | Self::HttpStatus { server, .. }
            | Self::Unauthorized { server, .. }
            | Self::InvalidResponse { server, .. }
            | Self::NotOffered { server, .. }
            | Self::ResourceNotFound { server, .. }
            | Self::InputDeclined { server, .. }
            | Self::CircuitOpen { server, .. }
            | Self::RateLimited { server, .. } => Some(server),
            Self::UnknownTool { .. }
            | Self::AmbiguousTool { .. }
            | Self::InvalidArguments { .. }
            | Self::SchemaMismatch { .. }
            | Self::Cancelled { .. }
            | Self::UnroutedResource { .. }
            | Self::Denied { .. }
            | Self::Middleware { .. }
            | Self::SessionClosed { .. } => None,
        }
    }

    fn epoch(&self) -> Option<u64> {
        if let Self::TransportDown { epoch, .. } = self { Some(*epoch) } else { None }
    }
}

/// What happened, without what to do.
#[expect(clippy::wildcard_enum_match_arm, reason = "the messages of the others have no advice")]
fn what(error: &CallError) -> String {
    match error {
        CallError::UnknownTool { tool, .. } => format!("no tool {tool:?} in this session"),
        CallError::AmbiguousTool { tool, servers: (a, b) } => {
            format!("tool {tool:?} is offered by {a} and {b}")
        }
        CallError::NotReady { server, phase, .. } => format!("server {server:?} is {phase}"),
        CallError::TransportDown { reason, .. } => {
            format!("{} while the call was outstanding", reason.kind())
        }
        CallError::TimedOut { tool, limit, after, .. } => {
            format!("no answer to {tool:?} within {after:?} ({limit})")
        }
        CallError::Overloaded { server, limit, .. } => {
            format!("server {server:?} is at its limit of {limit}")
        }
        _ => error.to_string(),
    }
}

/// Of a budget without room.
pub(super) fn over_budget(over: &OverBudget) -> Diagnosis {
    Diagnosis::new(
        "over_budget",
        format!("the {} does as much at once as it may", over.of),
        format!("do less at once, or raise Budget::{}", over.item.as_str()),
    )
}

fn diagnose(error: &CallError) -> Option<Diagnosis> {
    Some(match error {
        CallError::UnknownTool { nearest, .. } => unknown(nearest),
        CallError::AmbiguousTool { .. } => Diagnosis::help("give one of them a prefix"),
        CallError::InvalidArguments { .. } => Diagnosis::help("tools take a JSON object"),
        CallError::SchemaMismatch { .. } => {
            Diagnosis::help("correct the arguments; the schema is that of Tool::input_schema")
        }
        CallError::SecretOutOfScope { .. } => Diagnosis::new(
            "secret_misdirected",
            "whoever made the arguments was talked into handing a secret to another server",
            "look at where the arguments come from; declare the secret for both servers if both \
             are to know it",
        ),
        CallError::NotReady { .. } => {
            Diagnosis::help("await Server::ready, or let calls wait by WhenDown::Wait")
        }
        CallError::Overloaded { setting, .. } => Diagnosis::new(
            "overloaded",
            "more is asked of it at once than it answers",
            format!("wait for calls to end, ask for less at once, or raise Limits::{setting}"),
        ),
        CallError::OverBudget { over, .. } => over_budget(over),
        CallError::Rejected { code, message, .. } => return rejected(*code, message),
        CallError::InvalidResponse { detail, .. } => malformed(detail),
        CallError::NotOffered { .. } => Diagnosis::help(
            "ask another server, or update it; Server::capabilities lists what it has",
        ),
        CallError::ResourceNotFound { .. } => {
            Diagnosis::help("list what it has; it may have been removed since")
        }
        CallError::UnroutedResource { .. } => Diagnosis::help("read it by Server::resource"),
        CallError::InputDeclined { .. } => {
            Diagnosis::help("give the session a Host that can answer that, or ask for less")
        }
        CallError::CircuitOpen { .. } => Diagnosis::new(
            "circuit_open",
            "calls to it have failed again and again, and it is left alone for a while",
            "look at what they failed of, in its status; it is tried again by itself",
        ),
        CallError::RateLimited { .. } => {
            Diagnosis::help("call it less often, give the call more time, or raise its rate_limit")
        }
        CallError::Denied { .. }
        | CallError::Middleware { .. }
        | CallError::Cancelled { .. }
        | CallError::SessionClosed { .. }
        | CallError::TransportDown { .. }
        | CallError::TimedOut { .. }
        | CallError::HttpStatus { .. }
        | CallError::Unauthorized { .. } => return None,
    })
}

fn malformed(detail: &str) -> Diagnosis {
    if detail.starts_with("not JSON-RPC") {
        return Diagnosis::new(
            "answer_torn",
            "the server broke its answer off, or printed other text into the middle of it",
            clues::STDOUT_HELP,
        );
    }
    Diagnosis::new(
        "broken_server",
        "a defect of the server: it answers, but not as MCP wants it",
        "update it",
    )
}

fn unknown(nearest: &[String]) -> Diagnosis {
    if nearest.is_empty() {
        return Diagnosis::help("list the tools there are by Session::tools");
    }
    let help = format!("did you mean {}?", nearest.join(", "));
    Diagnosis::new("tool_misspelt", "its id is spelt in another way", help)
}

fn late(what: (CallLimit, Delivery), report: &Report) -> Diagnosis {
    let asked = report.sent.as_ref().map(|sent| sent.at);
    let noise = report.record.iter().find(|entry| {
        entry.kind == EntryKind::Noise && asked.is_some_and(|asked| entry.at >= asked)
    });
    if let Some(noise) = noise {
        return Diagnosis::new(
            "stdout_noise",
            format!(
                "the server printed text on stdout instead of an answer, or into the middle of one \
                 ({})",
                clues::quoted(&noise.text)
            ),
            clues::STDOUT_HELP,
        );
    }
    match what {
        (_, Delivery::NotSent) => Diagnosis::new(
            "not_reading",
            "the server does not read what it is sent: it hangs, or is busy with something else",
            "look at what it does; restart it by Server::restart",
        ),
        (CallLimit::Idle, _) => Diagnosis::new(
            "no_progress",
            "the tool hangs, or works for longer than that without reporting progress",
            "raise the idle timeout of the call, of the tool or of the server if it is only slow",
        ),
        (CallLimit::Total, _) => Diagnosis::new(
            "too_slow",
            "the tool takes longer than it may in all",
            "raise the total timeout of the call, of the tool or of the server, or ask for less at once",
        ),
    }
}

fn rejected(code: i64, message: &str) -> Option<Diagnosis> {
    let said = message.to_lowercase();
    Some(match code {
        METHOD_NOT_FOUND | INVALID_PARAMS
            if said.contains("unknown tool") || said.contains("not found") =>
        {
            Diagnosis::new(
                "tool_gone",
                "the server does not have this tool any more: its list has changed",
                "list its tools again by Server::rediscover",
            )
        }
        INVALID_PARAMS => Diagnosis::new(
            "arguments_refused",
            "the arguments do not fit what the tool wants",
            "correct them; with the feature `validate` they are checked before they are sent",
        ),
        METHOD_NOT_FOUND => Diagnosis::new(
            "method_unknown",
            "the server does not know this method",
            "ask for what it offers only; Server::capabilities lists that",
        ),
        INTERNAL_ERROR => Diagnosis::new(
            "server_failed",
            "the server failed by a defect of its own, or something behind it did",
            "look into its log, and at its stderr",
        ),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::record::Entry;

    fn entry(at: u64, kind: EntryKind, text: &str) -> Entry {
        let (at, text) = (Duration::from_millis(at), text.to_owned());
        Entry { at, kind, id: None, method: None, size: text.len(), text, cut: false }
    }

    #[test]
    fn what_is_printed_in_the_place_of_an_answer_explains_its_absence() {
        let mut report = Report::new("timed_out", "no answer");
        report.record = vec![
            entry(1, EntryKind::Noise, "Welcome"),
            entry(2, EntryKind::Sent, "{}"),
            entry(3, EntryKind::Noise, "{\"jsonrpc\":\"2.0\",INFO done"),
        ];
        report.sent = Some(report.record[1].clone());
        let late = |report: &Report| {
            late((CallLimit::Idle, Delivery::MaybeSent), report).cause.map(|cause| cause.code)
        };
        assert_eq!(late(&report), Some("stdout_noise"));
        report.record.pop();
        assert_eq!(late(&report), Some("no_progress"), "what came before does not count");
    }
}
