//! The person at the terminal: questions on stderr, answers from stdin, one at a time.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::io::{self, IsTerminal as _};

use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines, Stdin},
    sync::{Mutex, MutexGuard},
};

#[cfg(unix)]
use unix::Silence;
#[cfg(windows)]
use windows::Silence;

use crate::console::{Console, Undisturbed, harmless};

/// Where a person can be asked, if anybody is there.
pub(crate) struct Terminal {
    console: Console,
    lines: Option<Mutex<Lines<BufReader<Stdin>>>>,
}

/// A conversation with the person, who is not asked anything else meanwhile.
pub(crate) struct Conversation<'a> {
    console: &'a Console,
    lines: MutexGuard<'a, Lines<BufReader<Stdin>>>,
    _free: Undisturbed,
}

impl Terminal {
    pub(crate) fn new(console: &Console) -> Self {
        let there = io::stdin().is_terminal() && io::stderr().is_terminal();
        let lines = there.then(|| Mutex::new(BufReader::new(tokio::io::stdin()).lines()));
        Self { console: console.clone(), lines }
    }

    /// The person, once nobody else talks to them; `None` if nobody is there.
    pub(crate) async fn talk(&self) -> Option<Conversation<'_>> {
        let lines = self.lines.as_ref()?.lock().await;
        Some(Conversation { console: &self.console, lines, _free: self.console.undisturbed() })
    }
}

impl Conversation<'_> {
    pub(crate) fn say(&self, text: &str) {
        self.console.note(&harmless(text));
    }

    /// The next line; `None` if the person wants no more of it.
    pub(crate) async fn line(&mut self) -> Option<String> {
        let line = self.lines.next_line().await.ok().flatten()?;
        Some(line.trim().to_owned())
    }

    /// The next line, which is not shown while it is typed, where that can be had.
    pub(crate) async fn hidden_line(&mut self) -> Option<String> {
        let _silent = Silence::begin();
        let line = self.line().await;
        self.console.note("");
        line
    }
}
