//! What takes its time, as long as it does.

use indicatif::{ProgressBar, ProgressStyle};

use super::harmless;

/// Something that takes its time, shown as long as this lives.
pub(crate) struct Busy(pub(crate) ProgressBar);

impl Busy {
    /// As of the server's own words: from one bar without an end to one with it.
    pub(crate) fn progress(&self, done: f64, of: Option<f64>, message: Option<&str>) {
        const STEPS: f64 = 1000.0;
        if let Some(of) = of.filter(|of| *of > 0.0) {
            self.0.set_style(style("{msg} {wide_bar} {percent:>3} % {elapsed:.dim}"));
            self.0.set_length(1000);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "it is clamped to the steps"
            )]
            self.0.set_position((done / of * STEPS).clamp(0.0, STEPS) as u64);
        }
        if let Some(message) = message {
            self.0.set_message(harmless(message).replace('\n', " "));
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

pub(super) fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}
