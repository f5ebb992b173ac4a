//! What the terminal shows, by its modes.

use std::io;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// Keeps the terminal from showing what is typed.
pub(super) struct Silence(Option<Termios>);

impl Silence {
    pub(super) fn begin() -> Self {
        let before = tcgetattr(io::stdin()).ok();
        if let Some(mut modes) = before.clone() {
            modes.local_modes -= LocalModes::ECHO;
            // It is shown then, and nothing else is wrong.
            tcsetattr(io::stdin(), OptionalActions::Flush, &modes).unwrap_or_default();
        }
        Self(before)
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            tcsetattr(io::stdin(), OptionalActions::Now, before).unwrap_or_default();
        }
    }
}
