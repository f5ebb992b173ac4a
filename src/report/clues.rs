//! What servers say on stderr when they fail, and what it means: a table of what people have met.

mod table;

use super::Diagnosis;
use crate::record::{Entry, EntryKind};
use table::{CLUES, Clue};

/// Longer quotations of a line are cut.
const QUOTED: usize = 200;

/// What to do about text on stdout.
pub(super) const STDOUT_HELP: &str = "stdout is for messages alone (MCP, basic/transports): have it \
    log to stderr, by `console.error`, `print(…, file=sys.stderr)` or a setting";

/// What a server said outside of messages.
#[derive(Clone, Copy)]
pub(super) struct Said<'a> {
    pub(super) stderr: &'a [String],
    pub(super) record: &'a [Entry],
}

impl Said<'_> {
    /// What it printed on stdout.
    pub(super) fn noise(self) -> Vec<String> {
        let noise = self.record.iter().filter(|entry| entry.kind == EntryKind::Noise);
        noise.map(|entry| entry.text.clone()).collect()
    }

    /// What it means, be it on stderr or, where it does not belong, on stdout.
    pub(super) fn meant(self) -> Option<Diagnosis> {
        read(self.stderr).or_else(|| read(&self.noise()))
    }

    /// What it printed on stdout before its first message.
    pub(super) fn banner(self) -> Option<Diagnosis> {
        let message = |entry: &Entry| entry.kind == EntryKind::Received;
        let mut first = self.record.iter().take_while(|entry| !message(entry));
        let line = first.find(|entry| entry.kind == EntryKind::Noise)?;
        let any = self.record.iter().any(message);
        let which = if any { "its first message" } else { "any message" };
        Some(Diagnosis::new(
            "stdout_banner",
            format!("the server printed text on stdout before {which} ({})", quoted(&line.text)),
            STDOUT_HELP,
        ))
    }
}

/// What these lines mean.
pub(super) fn read(lines: &[String]) -> Option<Diagnosis> {
    variable(lines)
        .or_else(|| usage(lines))
        .or_else(|| CLUES.iter().find_map(|clue| clue.find(lines)))
}

impl Clue {
    fn find(&self, lines: &[String]) -> Option<Diagnosis> {
        let marked = |line: &&String| {
            let line = line.to_lowercase();
            self.marks.iter().any(|mark| line.contains(mark))
        };
        let line = lines.iter().rev().find(marked)?;
        // A traceback's last line says what it was.
        let said = if self.code == "crashed" { lines.last().unwrap_or(line) } else { line };
        Some(Diagnosis::new(self.code, format!("{} ({})", self.sentence, quoted(said)), self.help))
    }
}

/// Whether it misses a variable of its environment, or a key.
fn variable(lines: &[String]) -> Option<Diagnosis> {
    const WANTED: [&str; 10] = [
        "not set",
        "required",
        "missing",
        "must be",
        "not provided",
        "not found",
        "undefined",
        "unset",
        "keyerror",
        "unbound variable",
    ];
    const WHAT: [&str; 7] = [
        "environment variable",
        "env var",
        "api key",
        "api_key",
        "token",
        "keyerror",
        "unbound variable",
    ];
    let line = lines.iter().rev().find(|line| {
        let lower = line.to_lowercase();
        let about = WHAT.iter().any(|what| lower.contains(what)) && !lower.contains("unexpected");
        let named = variable_in(line).is_some() && !lower.contains("module");
        WANTED.iter().any(|wanted| lower.contains(wanted)) && (named || about)
    })?;
    Some(match variable_in(line) {
        Some(name) => Diagnosis::new(
            "variable_missing",
            format!("{name} is not set in the environment of the child"),
            format!(
                "a child gets PATH, HOME and a few more, and what the spec names: pass it on by \
                 `env(\"{name}\")`, or set it by `env_from(\"{name}\", …)`"
            ),
        ),
        None => Diagnosis::new(
            "variable_missing",
            format!("it misses a key or a variable of its environment ({})", quoted(line)),
            "a child gets PATH, HOME and a few more, and what the spec names by `env`, \
             `env_literal` or `env_from`",
        ),
    })
}

/// The first word that looks like the name of a variable: capitals, and a `_` within.
fn variable_in(line: &str) -> Option<&str> {
    let is_part = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    line.split(|c: char| !(c.is_alphanumeric() || c == '_')).find(|word| {
        let named = word.trim_matches('_').contains('_')
            && word.starts_with(|c: char| c.is_ascii_uppercase());
        // `ERR_MODULE_NOT_FOUND` and its kind are codes.
        named && word.chars().all(is_part) && !word.starts_with("ERR_")
    })
}

/// Whether it prints how it is to be used, or says that its arguments are wrong.
fn usage(lines: &[String]) -> Option<Diagnosis> {
    const WRONG: [&str; 8] = [
        "unrecognized argument",
        "unexpected argument",
        "unknown option",
        "unknown argument",
        "the following arguments are required",
        "the following required arguments",
        "missing required argument",
        "invalid option",
    ];
    let wrong = lines.iter().find(|line| {
        let lower = line.to_lowercase();
        WRONG.iter().any(|mark| lower.contains(mark))
    });
    let usage = || lines.iter().find(|line| line.trim_start().to_lowercase().starts_with("usage:"));
    let line = wrong.or_else(usage)?;
    Some(Diagnosis::new(
        "arguments_refused",
        format!("it does not take the arguments that it was started with ({})", quoted(line)),
        "compare them with its documentation: many servers want a subcommand such as `stdio`, or a \
         folder to serve",
    ))
}

/// Whether it serves HTTP, and nothing on its stdin and stdout: the line that says so.
pub(super) fn http_address(lines: &[String]) -> Option<&String> {
    const MARKS: [&str; 5] = [
        "listening on",
        "running on http",
        "uvicorn running",
        "server started on",
        "running at http",
    ];
    lines.iter().rev().find(|line| {
        let lower = line.to_lowercase();
        MARKS.iter().any(|mark| lower.contains(mark))
            && (lower.contains("http") || lower.contains("port"))
    })
}

/// Whether a package is being fetched or built.
pub(super) fn is_installing(lines: &[String]) -> bool {
    const MARKS: [&str; 10] = [
        "npm warn exec",
        "need to install the following",
        "npm warn deprecated",
        "downloading",
        "installed ",
        "resolved ",
        "building ",
        "prepared ",
        "pulling from",
        "unable to find image",
    ];
    lines.iter().any(|line| {
        let lower = line.to_lowercase();
        MARKS.iter().any(|mark| lower.contains(mark))
    })
}

pub(super) fn quoted(line: &str) -> String {
    let line = line.trim();
    if line.chars().count() <= QUOTED {
        return line.to_owned();
    }
    line.chars().take(QUOTED).chain(['…']).collect()
}

#[cfg(test)]
mod tests;
