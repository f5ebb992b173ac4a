//! The one place that writes: results to stdout, all else to stderr.

mod busy;

use std::{
    io::{self, IsTerminal as _, Write},
    sync::Arc,
};

use callboard::Report;
use crossterm::style::Stylize as _;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget};
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

pub(crate) use busy::Busy;
use busy::style;

use crate::{
    args::Cli,
    exit::{Exit, Failure},
};

/// How many notes are kept while nobody looks.
const MOST_KEPT: usize = 200;

/// Lines that are longer are hard to read.
const WIDEST: usize = 100;

/// stdout and stderr, and what is known of who reads them.
#[derive(Clone)]
pub(crate) struct Console {
    /// On stderr, and only if that is a terminal; other lines have to go around it.
    bars: MultiProgress,
    shown: bool,
    /// What is said while the screen is somebody else's.
    kept: Arc<Mutex<Option<Vec<String>>>>,
    pub(crate) json: bool,
    /// Whether a person reads the results on a terminal.
    pub(crate) terminal: bool,
    /// Whether results, and errors, are coloured.
    colour: (bool, bool),
}

/// What is said by a colour.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Tone {
    Good,
    Bad,
    Warning,
    Faint,
    Strong,
}

impl Console {
    pub(crate) fn new(cli: &Cli) -> Self {
        let (out, err) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        // https://no-color.org
        let allowed = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let bars = MultiProgress::new();
        let shown = err && !cli.quiet;
        if !shown {
            bars.set_draw_target(ProgressDrawTarget::hidden());
        }
        Self {
            bars,
            shown,
            kept: Arc::default(),
            json: cli.json,
            terminal: out,
            colour: (allowed && out, allowed && err),
        }
    }

    /// How many columns a result may have; `None` where nobody counts them.
    pub(crate) fn width(&self) -> Option<u16> {
        let columns = crossterm::terminal::size().ok().map(|(columns, _)| columns);
        columns.filter(|_| self.terminal)
    }

    /// Writes a result, with a line end.
    pub(crate) fn result(&self, text: &str) -> Result<(), Failure> {
        let end = if text.ends_with('\n') { "" } else { "\n" };
        self.bytes(format!("{text}{end}").as_bytes())
    }

    /// Writes what came from a server: to a terminal without what would control it.
    pub(crate) fn foreign(&self, text: &str) -> Result<(), Failure> {
        if self.terminal { self.result(&harmless(text)) } else { self.result(text) }
    }

    /// Writes the one JSON document.
    pub(crate) fn document(&self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value);
        self.result(&text.map_err(|error| Failure::usage(error.to_string()))?)
    }

    /// Writes bytes as they are.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        let written = self.bars.suspend(|| {
            let mut stdout = io::stdout().lock();
            stdout.write_all(bytes).and_then(|()| stdout.flush())
        });
        written.map_err(|error| {
            if error.kind() == io::ErrorKind::BrokenPipe {
                return Failure::unread();
            }
            Failure::usage(format!("stdout cannot be written to: {error}"))
        })
    }

    /// Says something beside the results.
    pub(crate) fn note(&self, text: &str) {
        let mut stderr = self.clone();
        // There is nobody left to tell if this fails.
        drop(stderr.write_all(format!("{text}\n").as_bytes()));
    }

    /// Says that something is not as it should be.
    pub(crate) fn warn(&self, text: &str) {
        self.note(&format!("{} {text}", tone("warning:", Tone::Warning, self.colour.1)));
    }

    /// Says what failed.
    pub(crate) fn tell(&self, failure: &Failure) {
        match &failure.report {
            Some(report) => self.note(&drawn(report, self.colour.1, 0)),
            None => {
                let error = tone("error:", Tone::Bad, self.colour.1);
                self.note(&format!("{error} {}", harmless(&failure.message).trim_end()));
            }
        }
    }

    /// What failed, as a part of a result that stands this far to the right.
    pub(crate) fn picture(&self, failure: &Failure, indent: usize) -> String {
        let report = failure.report.as_ref();
        report.map_or(failure.message.clone(), |report| drawn(report, self.colour.0, indent))
    }

    /// Says why there is no result, and how it ends therefore.
    pub(crate) fn fail(&self, failure: &Failure) -> Exit {
        if failure.message.is_empty() {
            return failure.exit;
        }
        self.tell(failure);
        if self.json {
            // Nobody may read it, and it is said.
            drop(self.document(&json!({ "error": failure.json() })));
        }
        failure.exit
    }

    /// Colours a part of a result.
    pub(crate) fn paint(&self, text: &str, as_: Tone) -> String {
        tone(text, as_, self.colour.0)
    }

    /// Shows that something takes its time, until it is dropped.
    pub(crate) fn waiting(&self, what: String) -> Busy {
        let bar = self.bars.add(ProgressBar::new_spinner());
        bar.set_style(style("{spinner} {msg} {elapsed:.dim}"));
        bar.set_message(what);
        bar.enable_steady_tick(std::time::Duration::from_millis(100));
        Busy(bar)
    }

    /// Shows how far something is that is counted, until it is dropped.
    pub(crate) fn counting(&self, what: String, of: u64) -> Busy {
        let bar = self.bars.add(ProgressBar::new(of));
        bar.set_style(style("{msg} {wide_bar} {human_pos}/{human_len} {elapsed:.dim}"));
        bar.set_message(what);
        Busy(bar)
    }

    /// Takes all of that away.
    pub(crate) fn clear(&self) {
        // It is gone as well if it cannot be erased.
        drop(self.bars.clear());
        self.bars.set_draw_target(ProgressDrawTarget::hidden());
    }

    /// Keeps what would be said, until what this returns is dropped.
    pub(crate) fn keep_notes(&self) -> KeptNotes {
        *self.kept.lock() = Some(Vec::new());
        KeptNotes(Arc::clone(&self.kept))
    }

    /// Keeps the terminal free for a question, until what this returns is dropped.
    pub(crate) fn undisturbed(&self) -> Undisturbed {
        // It is only untidy if it cannot be erased.
        drop(self.bars.clear());
        self.bars.set_draw_target(ProgressDrawTarget::hidden());
        Undisturbed { bars: self.bars.clone(), shown: self.shown }
    }
}

/// What would have been said.
pub(crate) struct KeptNotes(Arc<Mutex<Option<Vec<String>>>>);

impl KeptNotes {
    /// What has been kept since it was last asked for.
    pub(crate) fn take(&self) -> Vec<String> {
        self.0.lock().as_mut().map(std::mem::take).unwrap_or_default()
    }
}

impl Drop for KeptNotes {
    fn drop(&mut self) {
        *self.0.lock() = None;
    }
}

/// Keeps the terminal free for a question.
pub(crate) struct Undisturbed {
    bars: MultiProgress,
    shown: bool,
}

impl Drop for Undisturbed {
    fn drop(&mut self) {
        if self.shown {
            self.bars.set_draw_target(ProgressDrawTarget::stderr());
        }
    }
}

/// A report as wide as the terminal, but for an indent; in colour, if that is one.
fn drawn(report: &Report, coloured: bool, indent: usize) -> String {
    let columns = crossterm::terminal::size().ok().filter(|_| coloured);
    let width =
        columns.map_or(80, |(columns, _)| usize::from(columns).min(WIDEST).saturating_sub(indent));
    report.sheet().color(coloured).width(width).to_string()
}

fn tone(text: &str, tone: Tone, coloured: bool) -> String {
    if !coloured {
        return text.to_owned();
    }
    match tone {
        Tone::Good => text.green().to_string(),
        Tone::Bad => text.red().bold().to_string(),
        Tone::Warning => text.yellow().to_string(),
        Tone::Faint => text.dim().to_string(),
        Tone::Strong => text.bold().to_string(),
    }
}

/// A text without the characters that a terminal takes for commands.
pub(crate) fn harmless(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\t' => c,
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    text.replace("\r\n", "\n").chars().map(shown).collect()
}

/// Writes to stderr, around whatever is shown there.
impl Write for Console {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(kept) = &mut *self.kept.lock() {
            // More than a screen holds is not looked for there.
            kept.truncate(MOST_KEPT);
            kept.push(String::from_utf8_lossy(bytes).trim_end().to_owned());
            return Ok(bytes.len());
        }
        self.bars.suspend(|| io::stderr().lock().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}

impl MakeWriter<'_> for Console {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
