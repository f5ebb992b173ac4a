//! The picture of a report.

use std::fmt;

use anstyle::{AnsiColor, Style};
use textwrap::{Options, WordSplitter};

use super::{
    Report,
    timeline::{self, Mark},
};

/// How many lines of stderr are shown, of those that the report has.
const STDERR_SHOWN: usize = 8;

const WIDTH: usize = 80;
const NARROWEST: usize = 40;

/// A [`Report`] as a person sees it; it is printed by its `Display`.
///
/// Whatever comes from a server is shown without control characters, so that no server can do
/// anything to a terminal.
#[derive(Debug, Clone, Copy)]
#[must_use]
pub struct Sheet<'a> {
    report: &'a Report,
    color: bool,
    width: usize,
}

/// What is told apart by colour.
#[derive(Clone, Copy)]
enum Ink {
    Fault,
    Frame,
    Label,
    Quiet,
    Ours,
    Theirs,
    Wrong,
}

impl Ink {
    fn style(self) -> Style {
        match self {
            Self::Fault => AnsiColor::Red.on_default().bold(),
            Self::Frame => AnsiColor::Red.on_default(),
            Self::Label => AnsiColor::Cyan.on_default(),
            Self::Quiet => Style::new().dimmed(),
            Self::Ours => AnsiColor::Blue.on_default(),
            Self::Theirs => AnsiColor::Green.on_default(),
            Self::Wrong => AnsiColor::Yellow.on_default(),
        }
    }
}

impl<'a> Sheet<'a> {
    pub(super) fn new(report: &'a Report) -> Self {
        Self { report, color: false, width: WIDTH }
    }

    /// Whether to use colour: for a terminal, and for nothing else.
    pub fn color(mut self, color: bool) -> Self {
        self.color = color;
        self
    }

    /// How many columns to use, 40 at least.
    pub fn width(mut self, columns: usize) -> Self {
        self.width = columns.max(NARROWEST);
        self
    }

    fn ink(&self, ink: Ink, text: &str) -> String {
        if !self.color {
            return text.to_owned();
        }
        let style = ink.style();
        format!("{style}{text}{style:#}")
    }

    /// A paragraph after a label, which the following lines stand under.
    fn paragraph(
        &self,
        f: &mut fmt::Formatter<'_>,
        (ink, label): (Ink, &str),
        (behind, text): (&str, &str),
    ) -> fmt::Result {
        let indent = label.chars().count();
        let options = Options::new(self.width.saturating_sub(indent))
            .break_words(false)
            .word_splitter(WordSplitter::NoHyphenation);
        let text = plain(text);
        for (n, line) in textwrap::wrap(&text, options).iter().enumerate() {
            if n == 0 {
                writeln!(f, "{}{line}", self.ink(ink, label))?;
            } else {
                let gap = " ".repeat(indent - behind.chars().count());
                writeln!(f, "{}{gap}{line}", self.ink(ink, behind))?;
            }
        }
        Ok(())
    }

    fn headline(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { kind, what, server, epoch, cause, .. } = self.report;
        let of = match (server, epoch) {
            (Some(server), Some(epoch)) => format!(" · {server} (epoch {epoch})"),
            (Some(server), None) => format!(" · {server}"),
            (None, _) => String::new(),
        };
        writeln!(f, "{}{}", self.ink(Ink::Fault, kind), self.ink(Ink::Quiet, &plain(&of)))?;
        let behind = if cause.is_some() { "  │" } else { "" };
        self.paragraph(f, (Ink::Frame, "  × "), (behind, what))?;
        match cause {
            Some(cause) => self.paragraph(f, (Ink::Frame, "  ╰─▶ "), ("", &cause.sentence)),
            None => Ok(()),
        }
    }

    /// A frame with a title, around lines that are no longer than [`Self::inside`].
    fn boxed(
        &self,
        f: &mut fmt::Formatter<'_>,
        title: &str,
        lines: impl Iterator<Item = String>,
    ) -> fmt::Result {
        writeln!(f, "   {}", self.ink(Ink::Quiet, &format!("╭─[ {title} ]")))?;
        for line in lines {
            writeln!(f, "   {} {line}", self.ink(Ink::Quiet, "│"))?;
        }
        writeln!(f, "   {}", self.ink(Ink::Quiet, "╰────"))
    }

    /// How many columns are within a frame.
    fn inside(&self) -> usize {
        self.width - 5
    }

    fn timeline(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (lines, left_out) = timeline::lines(self.report);
        if lines.is_empty() {
            return Ok(());
        }
        let over = self.report.transport.unwrap_or("the link");
        let title = match left_out {
            0 => format!("what went over {over}"),
            _ => format!("what went over {over}, {left_out} left out"),
        };
        let (at, size) = (widest(&lines, |line| &line.at), widest(&lines, |line| &line.size));
        let messages = lines.iter().filter(|line| !line.size.is_empty());
        let what = messages.map(|line| line.what.chars().count()).max().unwrap_or(0).min(32);
        let rows = lines.iter().map(|line| {
            let (mark, sign) = line.mark;
            let ink = match mark {
                Mark::Ours => Ink::Ours,
                Mark::Theirs => Ink::Theirs,
                Mark::Wrong => Ink::Wrong,
                Mark::Quiet => Ink::Quiet,
            };
            let text = plain(&format!("{:what$} {:>size$}  {}", line.what, line.size, line.text));
            let text = cut(text.trim_end(), self.inside().saturating_sub(at + 3));
            let when = self.ink(Ink::Quiet, &format!("{:>at$}", line.at));
            format!("{when} {} {text}", self.ink(ink, sign))
        });
        self.boxed(f, &title, rows)
    }

    /// The beginning of an HTTP answer.
    fn answer(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 4;
        let Some(answer) = &self.report.answer else { return Ok(()) };
        let lines = answer.lines().filter(|line| !line.trim().is_empty()).take(SHOWN);
        self.boxed(f, "what it answered", lines.map(|line| cut(&plain(line), self.inside())))
    }

    fn stderr(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = &self.report.stderr;
        if lines.is_empty() {
            return Ok(());
        }
        let left_out = lines.len().saturating_sub(STDERR_SHOWN);
        let title = match left_out {
            0 => "its last words on stderr".to_owned(),
            _ => format!("its last words on stderr, {left_out} lines before them left out"),
        };
        let lines = lines[left_out..].iter().map(|line| cut(&plain(line), self.inside()));
        self.boxed(f, &title, lines)
    }
}

impl fmt::Display for Sheet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.headline(f)?;
        self.timeline(f)?;
        self.answer(f)?;
        self.stderr(f)?;
        if let Some(help) = &self.report.help {
            self.paragraph(f, (Ink::Label, "  help: "), ("", help))?;
        }
        let repeatable = match self.report.delivery {
            Some("not_sent") => Some("the server has not acted: the call may be repeated"),
            Some("maybe_sent") => {
                Some("the server may have acted: repeat the call only if that does no harm")
            }
            Some(_) | None => None,
        };
        if let Some(text) = repeatable {
            self.paragraph(f, (Ink::Label, "  note: "), ("", text))?;
        }
        for related in &self.report.related {
            writeln!(f)?;
            Sheet { report: related, ..*self }.fmt(f)?;
        }
        Ok(())
    }
}

/// The text without what a terminal would act on: control characters, and the sequences that begin
/// with one (ECMA-48, 5.4).
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\u{1b}' if rest.peek() == Some(&'[') => {
                rest.next();
                while rest.next().is_some_and(|c| !('@'..='~').contains(&c)) {}
            }
            '\t' | '\n' => plain.push(' '),
            c if c.is_control() || is_direction(c) => {}
            c => plain.push(c),
        }
    }
    plain
}

/// Characters that turn the direction of a text around, and with it what seems to stand there.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

fn widest<'a>(lines: &'a [timeline::Line], part: impl Fn(&'a timeline::Line) -> &'a str) -> usize {
    lines.iter().map(|line| part(line).chars().count()).max().unwrap_or(0)
}

fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_acts_on_is_printed() {
        let mut report = Report::new("ended", "a\u{1b}[31mb\u{7}c\rd\u{1b}]0;title\u{7}e");
        report.stderr = vec!["\u{1b}[1;32mgreen\u{1b}[0m\u{202e}".to_owned()];
        let shown = report.to_string();
        assert!(shown.contains("abcd]0;titlee") && shown.contains("│ green\n"), "{shown}");
        assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
        assert!(report.sheet().color(true).to_string().contains("\u{1b}[1m"));
    }

    #[test]
    fn long_sentences_are_wrapped_under_themselves() {
        let report = Report::new("kind", "word ".repeat(30));
        let shown = report.sheet().width(50).to_string();
        assert!(shown.lines().all(|line| line.chars().count() <= 50), "{shown}");
        assert!(shown.lines().skip(2).all(|line| line.starts_with("    word")), "{shown}");
    }
}
