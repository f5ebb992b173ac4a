//! The person at the terminal: questions on stderr, answers from stdin, one at a time.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::{
    fmt,
    io::{self, IsTerminal as _},
};

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
    lines: Result<Mutex<Lines<BufReader<Stdin>>>, Nobody>,
}

/// Why nobody can be asked.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Nobody {
    NoTerminal,
    /// Each key comes to one reader only, and not as a line.
    ScreenTaken,
}

impl fmt::Display for Nobody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoTerminal => "this is no terminal",
            Self::ScreenTaken => "the screen shows something else",
        })
    }
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
        let lines = || Mutex::new(BufReader::new(tokio::io::stdin()).lines());
        let lines = there.then(lines).ok_or(Nobody::NoTerminal);
        Self { console: console.clone(), lines }
    }

    /// The terminal as others find it while it shows a screen.
    pub(crate) fn taken(console: &Console) -> Self {
        Self { console: console.clone(), lines: Err(Nobody::ScreenTaken) }
    }

    /// The person, once nobody else talks to them.
    pub(crate) async fn talk(&self) -> Result<Conversation<'_>, Nobody> {
        let lines = self.lines.as_ref().map_err(|nobody| *nobody)?.lock().await;
        Ok(Conversation { console: &self.console, lines, _free: self.console.undisturbed() })
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

    /// The answer to a question, which is not shown while it is typed, where that can be had.
    pub(crate) async fn hidden_line(&mut self, question: &str) -> Option<String> {
        // It drops what has been typed so far, which is no answer yet.
        let _silent = Silence::begin();
        self.say(question);
        let line = self.line().await;
        self.console.note("");
        line
    }
}
