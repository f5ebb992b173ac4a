//! What the live view knows.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, SystemTime},
};

use callboard::{Phase, ServerSnapshot, SessionSnapshot};

use crate::console::harmless;

/// How many lines are kept.
const KEPT: usize = 1000;

/// What is shown of a session.
pub(super) struct Model {
    pub(super) servers: Vec<ServerSnapshot>,
    pub(super) selected: usize,
    pub(super) taken_at: SystemTime,
    /// The last lines of all servers, oldest first.
    pub(super) lines: VecDeque<Line>,
    began: SystemTime,
    /// How long each server took to list its tools, when it was last asked.
    asked: HashMap<String, Duration>,
    /// What was on the stderr of each server when it was last looked at.
    stderr: HashMap<String, Vec<String>>,
}

/// Something that was said or happened.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    /// After the beginning.
    pub(super) at: Duration,
    pub(super) server: String,
    pub(super) kind: Kind,
    pub(super) text: String,
}

/// Where a line comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Status,
    Stderr,
    Log,
    Note,
}

impl Kind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Stderr => "stderr",
            Self::Log => "log",
            Self::Note => "note",
        }
    }
}

impl Model {
    pub(super) fn new(began: SystemTime) -> Self {
        Self {
            servers: Vec::new(),
            selected: 0,
            taken_at: began,
            lines: VecDeque::new(),
            began,
            asked: HashMap::new(),
            stderr: HashMap::new(),
        }
    }

    /// Takes a new look at the session; what servers wrote on stderr since the last becomes lines.
    pub(super) fn look(&mut self, session: SessionSnapshot, now: SystemTime) -> Vec<Line> {
        let mut new = Vec::new();
        for server in &session.servers {
            let before = self.stderr.entry(server.name.clone()).or_default();
            let added = added(before, &server.stderr_tail);
            new.extend(added.iter().map(|text| (server.name.clone(), text.clone())));
            before.clone_from(&server.stderr_tail);
        }
        self.servers = session.servers;
        self.selected = self.selected.min(self.servers.len().saturating_sub(1));
        self.taken_at = now;
        new.into_iter().map(|(server, text)| self.add(&server, Kind::Stderr, &text)).collect()
    }

    /// Keeps a line.
    pub(super) fn add(&mut self, server: &str, kind: Kind, text: &str) -> Line {
        let at = SystemTime::now().duration_since(self.began).unwrap_or_default();
        let text = harmless(text).replace('\n', " ");
        let line = Line { at, server: server.to_owned(), kind, text };
        self.lines.push_back(line.clone());
        if self.lines.len() > KEPT {
            self.lines.pop_front();
        }
        line
    }

    /// A server listed its tools within this time.
    pub(super) fn answered(&mut self, server: &str, after: Duration) {
        self.asked.insert(server.to_owned(), after);
    }

    /// How long a server takes: half of its calls in the last minute, or else its last list.
    pub(super) fn latency(&self, server: &ServerSnapshot) -> Option<Duration> {
        let called = server.usage.latency.p50;
        if !called.is_zero() {
            return Some(called);
        }
        self.asked.get(&server.name).copied().filter(|_| server.phase == Phase::Ready)
    }

    pub(super) fn uptime(&self) -> Duration {
        self.taken_at.duration_since(self.began).unwrap_or_default()
    }

    pub(super) fn ready(&self) -> usize {
        self.servers.iter().filter(|server| server.phase == Phase::Ready).count()
    }

    pub(super) fn select(&mut self, by: isize) {
        let last = self.servers.len().saturating_sub(1);
        self.selected = self.selected.saturating_add_signed(by).min(last);
    }

    pub(super) fn selected(&self) -> Option<&ServerSnapshot> {
        self.servers.get(self.selected)
    }
}

/// The lines at the end of a tail that the one before did not have.
fn added<'a>(before: &[String], now: &'a [String]) -> &'a [String] {
    let kept = (0..=before.len()).find(|from| now.starts_with(&before[*from..]));
    &now[kept.map_or(0, |from| before.len() - from)..]
}

/// A time in a few characters, for a clock that counts up.
pub(super) fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_new_of_a_tail_is_added() {
        let lines = |text: &str| text.split_terminator(' ').map(str::to_owned).collect::<Vec<_>>();
        for (before, now, new) in [
            ("", "a b", "a b"),
            ("a b", "a b", ""),
            ("a b", "a b c", "c"),
            ("a b c", "b c d e", "d e"),
            ("a a", "a a a", "a"),
            ("a b", "x y", "x y"),
            ("a b", "", ""),
        ] {
            assert_eq!(added(&lines(before), &lines(now)), lines(new), "{before:?} {now:?}");
        }
    }
}
