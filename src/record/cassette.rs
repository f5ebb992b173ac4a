//! A record as a file: one JSON value a line.

use std::{fmt, str::FromStr, time::UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::{Entry, Record};

/// The version of the format.
const FORMAT: u32 = 1;

/// A [`Record`] to be kept: its `Display` is JSON lines, a head and then an [`Entry`] each, which
/// [`FromStr`] reads again. `testing::Server::replay` (feature `testing`) plays it back.
///
/// Only what is whole can be played back: see [`Limits::record`](crate::Limits::record), of which the
/// default keeps the beginnings. Like the record it comes from, it is without the session's secrets.
#[derive(Debug, Clone, PartialEq)]
pub struct Cassette {
    head: Head,
    entries: Vec<Entry>,
}

/// Why a text is no cassette.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CassetteError {
    /// A line is not what belongs there.
    #[error("line {line} of the cassette cannot be read: {detail}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What is wrong with it.
        detail: String,
    },
    /// It is of another format.
    #[error("the cassette is of format {found}, and {FORMAT} is known here: record it anew")]
    Format {
        /// What it says of itself.
        found: u32,
    },
    /// There is nothing in it.
    #[error("the cassette is empty")]
    Empty,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Head {
    cassette: u32,
    server: String,
    epoch: u64,
    transport: String,
    /// When the link was made, in milliseconds since 1970.
    since_ms: u64,
    /// How many messages were not kept.
    left_out: u64,
}

impl Record {
    /// It to be kept.
    #[must_use]
    pub fn to_cassette(&self) -> Cassette {
        let since = self.since().and_then(|since| since.duration_since(UNIX_EPOCH).ok());
        let head = Head {
            cassette: FORMAT,
            server: self.server().unwrap_or_default().to_owned(),
            epoch: self.epoch().unwrap_or_default(),
            transport: self.transport().unwrap_or_default().to_owned(),
            since_ms: since.unwrap_or_default().as_millis() as u64,
            left_out: self.left_out(),
        };
        Cassette { head, entries: self.entries() }
    }
}

impl Cassette {
    /// The server that was recorded.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.head.server
    }

    /// What is on it, oldest first.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// How many messages were not kept when it was recorded.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.head.left_out
    }
}

impl fmt::Display for Cassette {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |value: Result<String, serde_json::Error>| value.map_err(|_| fmt::Error);
        writeln!(f, "{}", line(serde_json::to_string(&self.head))?)?;
        self.entries
            .iter()
            .try_for_each(|entry| writeln!(f, "{}", line(serde_json::to_string(entry))?))
    }
}

impl FromStr for Cassette {
    type Err = CassetteError;

    fn from_str(text: &str) -> Result<Self, CassetteError> {
        let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let (number, head) = lines.next().ok_or(CassetteError::Empty)?;
        let head: Head = open(number, head)?;
        if head.cassette != FORMAT {
            return Err(CassetteError::Format { found: head.cassette });
        }
        let entries = lines.map(|(number, line)| open(number, line)).collect::<Result<_, _>>()?;
        Ok(Self { head, entries })
    }
}

fn open<'a, T: Deserialize<'a>>(number: usize, line: &'a str) -> Result<T, CassetteError> {
    serde_json::from_str(line)
        .map_err(|error| CassetteError::Line { line: number + 1, detail: error.to_string() })
}
