//! What went over a link, as lines of a picture.

use super::Report;
use crate::{
    record::{Entry, EntryKind},
    wire,
};

/// How many entries are shown, of those that the report has.
const SHOWN: usize = 10;

/// What an entry is marked with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    Ours,
    Theirs,
    Wrong,
    Quiet,
}

/// One line of it.
pub(super) struct Line {
    pub(super) at: String,
    pub(super) mark: (Mark, &'static str),
    pub(super) what: String,
    pub(super) size: String,
    pub(super) text: String,
}

/// The latest entries, and the request that failed; stderr has a place of its own. With how many were
/// left out.
pub(super) fn lines(report: &Report) -> (Vec<Line>, usize) {
    let told = |entry: &&Entry| entry.kind != EntryKind::Stderr;
    let entries: Vec<&Entry> = report.record.iter().filter(told).collect();
    let late = entries.len().saturating_sub(SHOWN);
    let shown = entries.iter().enumerate();
    let shown = shown.filter(|(n, entry)| *n >= late || Some(**entry) == report.sent.as_ref());
    let lines: Vec<Line> = shown.map(|(_, entry)| line(entry)).collect();
    let left_out = entries.len() - lines.len();
    (lines, left_out)
}

fn line(entry: &Entry) -> Line {
    let mark = match entry.kind {
        EntryKind::Sent => (Mark::Ours, "→"),
        EntryKind::Received => (Mark::Theirs, "←"),
        EntryKind::Noise => (Mark::Wrong, "!"),
        EntryKind::Stderr | EntryKind::Status => (Mark::Quiet, "·"),
    };
    let message = matches!(entry.kind, EntryKind::Sent | EntryKind::Received);
    let name = entry.method.as_deref().unwrap_or(if message { "an answer" } else { "" });
    let number = entry.id.map(|id| format!(" #{id}")).unwrap_or_default();
    let (what, text) = match entry.kind {
        EntryKind::Sent | EntryKind::Received => {
            (format!("{name}{number}"), wire::payload_of(&entry.text))
        }
        EntryKind::Noise => ("on stdout".to_owned(), entry.text.as_str()),
        EntryKind::Stderr | EntryKind::Status => (entry.text.clone(), ""),
    };
    let size = if message { size(entry.size) } else { String::new() };
    Line { at: format!("{:.3} s", entry.at.as_secs_f64()), mark, what, size, text: text.to_owned() }
}

fn size(bytes: usize) -> String {
    match bytes {
        0..10_000 => format!("{bytes} B"),
        10_000..10_000_000 => format!("{} KB", bytes / 1000),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}
