//! Aligned lines that fit a terminal of eighty columns.

use std::{
    fmt::Display,
    io::{self, Write},
    time::Duration,
};

const WIDTH: usize = 79;
const MARGIN: usize = 10;

/// The first line of a step.
pub(crate) fn step(number: u8, name: &str, text: &str) {
    plain(format_args!("\n{}", cut(&format!("{number}  {name:<7}{text}"), WIDTH)));
}

/// A line of the step, cut off at the end of the terminal's line.
pub(crate) fn line(text: impl AsRef<str>) {
    plain(format_args!("{:MARGIN$}{}", "", cut(text.as_ref(), WIDTH - MARGIN)));
}

/// As many of the words as fit on a line, and how many more there are.
pub(crate) fn words(words: &[&str]) {
    let fits = |text: &str| text.chars().count() <= WIDTH - MARGIN;
    let more = |count| format!("… and {count} more");
    if fits(&words.join("  ")) {
        return line(words.join("  "));
    }
    let (mut shown, mut text) = (0, String::new());
    for word in words {
        let longer = format!("{text}{word}  ");
        if !fits(&format!("{longer}{}", more(words.len()))) {
            break;
        }
        (shown, text) = (shown + 1, longer);
    }
    line(format!("{text}{}", more(words.len() - shown)));
}

/// A line that stands on its own, whatever its length.
pub(crate) fn plain(text: impl Display) {
    // Whoever reads it may stop reading; what was started is still to be stopped.
    drop(writeln!(io::stdout(), "{text}"));
}

/// What went wrong.
pub(crate) fn error(error: impl Display) {
    drop(writeln!(io::stderr(), "\nerror: {error}\n"));
}

/// The text on one line, at most this wide.
pub(crate) fn cut(text: &str, width: usize) -> String {
    let words = text.trim_end().replace(['\n', '\r', '\t'], " ");
    if words.chars().count() <= width {
        return words;
    }
    words.chars().take(width - 1).chain(['…']).collect()
}

/// A duration as a person reads it.
pub(crate) fn ms(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1000.0;
    if ms < 100.0 { format!("{ms:.1} ms") } else { format!("{ms:.0} ms") }
}
