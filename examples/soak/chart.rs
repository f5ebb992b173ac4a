//! What is seen of the run: a chart that is drawn anew in a terminal, and a line a look elsewhere.

use std::{
    fmt::{self, Display},
    io::{self, IsTerminal, Write},
    time::Duration,
};

use super::{lives::Told, meter::Look, slope::Trend};

/// How wide a series is drawn.
const WIDTH: usize = 56;
const MIB: f64 = 1024.0 * 1024.0;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// One thing that is looked at, look after look.
struct Series {
    name: &'static str,
    unit: f64,
    values: Vec<f64>,
    /// By how much it may grow over the run: absolutely, and as a part of what it is. None if it may
    /// do what it likes.
    allowed: Option<(f64, f64)>,
}

pub(crate) struct Chart {
    total: Duration,
    series: Vec<Series>,
    before: Told,
    drawn: bool,
}

/// What grew.
pub(crate) struct Verdict {
    telling: bool,
    grew: Vec<String>,
}

/// Fewer looks than this say nothing.
const ENOUGH: usize = 6;

impl Chart {
    pub(crate) fn new(total: Duration) -> Self {
        let series = |name, unit, allowed| Series { name, unit, values: Vec::new(), allowed };
        let exact = Some((1.0, 0.0));
        let series = vec![
            series("descriptors", 1.0, exact),
            series("tasks", 1.0, exact),
            series("processes", 1.0, exact),
            // What a hash map gains when it doubles, and a pool when it fills.
            series("heap, MiB", MIB, Some((MIB, 0.10))),
            // The allocator's, which cuts its pages into pieces.
            series("resident, MiB", MIB, Some((8.0 * MIB, 0.10))),
            series("sessions", 1.0, None),
            series("calls", 1.0, None),
            series("lost calls", 1.0, None),
            series("restarts", 1.0, None),
        ];
        Self { total, series, before: Told::default(), drawn: false }
    }

    /// Whether there are looks enough to judge by.
    pub(crate) fn is_telling(&self) -> bool {
        self.series[0].values.len() >= ENOUGH
    }

    pub(crate) fn take(&mut self, at: Duration, told: Told, look: Look) {
        let since = |now: u64, before: u64| now.saturating_sub(before) as f64;
        let values = [
            look.descriptors,
            look.tasks,
            look.processes,
            look.heap,
            look.resident,
            since(told.sessions, self.before.sessions),
            since(told.answered, self.before.answered),
            since(told.lost, self.before.lost),
            since(told.restarts, self.before.restarts),
        ];
        for (series, value) in self.series.iter_mut().zip(values) {
            series.values.push(value);
        }
        self.before = told;
        self.show(at, told);
    }

    fn show(&mut self, at: Duration, told: Told) {
        let (at, total) = (at.as_secs(), self.total.as_secs());
        let head = format!(
            "{at} s of {total} s: {} sessions, {} calls answered, {} lost, {} restarts",
            told.sessions, told.answered, told.lost, told.restarts
        );
        if !io::stdout().is_terminal() {
            let values = self.series.iter().map(|series| {
                format!("{} {}", series.name, series.told(series.values.last().copied()))
            });
            return say(format!("{head} | {}", values.collect::<Vec<_>>().join(", ")));
        }
        if self.drawn {
            // Back to the first line of the chart.
            draw(format!("\x1b[{}A", self.series.len() + 1));
        }
        self.drawn = true;
        say(format!("\x1b[2K{head}"));
        self.series.iter().for_each(|series| say(format!("\x1b[2K{series}")));
    }

    pub(crate) fn verdict(&self) -> Verdict {
        let grew = self.series.iter().filter_map(Series::growth).collect();
        Verdict { telling: self.is_telling(), grew }
    }
}

impl Series {
    fn told(&self, value: Option<f64>) -> String {
        let value = value.unwrap_or_default() / self.unit;
        if self.unit > 1.0 { format!("{value:.2}") } else { format!("{value:.0}") }
    }

    /// How much it grew, if that is too much.
    fn growth(&self) -> Option<String> {
        let (absolute, part) = self.allowed?;
        let Trend { growth, median } = Trend::of(&self.values);
        let too_much = growth > absolute + part * median;
        too_much.then(|| {
            let (growth, median) = (growth / self.unit, median / self.unit);
            format!("{} by {growth:.2} (median {median:.2})", self.name)
        })
    }
}

impl Display for Series {
    /// Its name, its bars, and between what it moved.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let low = self.values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = self.values.iter().copied().fold(0.0, f64::max);
        write!(f, "{:<14}", self.name)?;
        for column in columns(&self.values) {
            // From nothing, so that what hardly moves looks like it.
            let share = if high > 0.0 { column / high } else { 0.0 };
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 7")]
            let bar = (share * (BARS.len() - 1) as f64).round() as usize;
            write!(f, "{}", BARS[bar.min(BARS.len() - 1)])?;
        }
        let last = self.values.last().copied();
        let (low, high, last) = (self.told(Some(low)), self.told(Some(high)), self.told(last));
        write!(f, " {last} ({low}–{high})")
    }
}

/// The series in at most as many columns as fit; the highest value counts in each.
fn columns(values: &[f64]) -> Vec<f64> {
    let looks = values.len().div_ceil(WIDTH).max(1);
    values.chunks(looks).map(|chunk| chunk.iter().copied().fold(0.0, f64::max)).collect()
}

impl Verdict {
    pub(crate) fn is_flat(&self) -> bool {
        self.grew.is_empty() && self.telling
    }
}

impl Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.telling {
            return f.write_str("flat: no, for so few looks say nothing");
        }
        if self.grew.is_empty() {
            return f.write_str("flat: yes");
        }
        write!(f, "flat: no, grew: {}", self.grew.join(", "))
    }
}

/// A line; whoever reads it may stop reading, and what was started is still to be stopped.
pub(crate) fn say(line: impl Display) {
    drop(writeln!(io::stdout(), "{line}"));
}

fn draw(text: impl Display) {
    drop(write!(io::stdout(), "{text}"));
}
