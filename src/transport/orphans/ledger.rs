//! What the next host finds, where both a host and its watchdog died: a file for each runtime, locked
//! as long as that lives.
//!
//! ```text
//! callboard 1 <boot id> <digits of the mark, or 0>
//! + <process id of a leader> <its start in clock ticks> <session id, as JSON>
//! - <process id>
//! ```

use std::{
    collections::HashMap,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;
use rustix::{
    fs::{FlockOperation, flock},
    process::{Pid, Signal, geteuid, kill_process_group},
};
use tracing::Span;

use super::Mark;
use crate::{
    host_death::LedgerPlace,
    telemetry,
    transport::{
        environment,
        process_table::{boot, started_at},
    },
};

/// After how many lines on what is gone the file is written anew.
const DEAD_LINES: usize = 1024;

/// What the names of ledgers end with.
const EXTENSION: &str = "ledger";

/// The ledger of one runtime, from its first process on.
#[derive(Debug)]
pub(crate) struct Ledger {
    folder: PathBuf,
    mark: Option<Mark>,
    span: Span,
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    file: Option<(File, PathBuf)>,
    /// Not to be tried again.
    failed: bool,
    /// When they started, and whose they are.
    alive: HashMap<u32, (u64, Arc<str>)>,
    dead: usize,
}

/// The folder that ledgers are kept in, made if need be; none where there is to be none, where it is
/// not safe, or where processes have no start times to be known by.
pub(super) fn folder(place: LedgerPlace, span: &Span) -> Option<PathBuf> {
    boot()?;
    let folder = match place {
        LedgerPlace::Usual => environment::runtime_folder()?.join("callboard"),
        LedgerPlace::Folder(folder) => folder,
        LedgerPlace::Nowhere => return None,
    };
    match prepare(&folder) {
        Ok(()) => Some(folder),
        Err(error) => {
            telemetry::ledger_missing(span, &error);
            None
        }
    }
}

/// Makes a folder, and sees to it that it is ours alone: what stands in it has processes killed.
fn prepare(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let found = fs::metadata(folder)?;
    let ours = found.uid() == geteuid().as_raw() && found.mode() & 0o022 == 0;
    if ours { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
}

impl Ledger {
    pub(super) fn new(folder: PathBuf, mark: Option<Mark>, span: Span) -> Self {
        Self { folder, mark, span, book: Mutex::default() }
    }

    pub(super) fn started(&self, leader: u32, session: &Arc<str>) {
        let Some(start) = started_at(leader) else { return };
        let mut book = self.book.lock();
        book.alive.insert(leader, (start, Arc::clone(session)));
        self.write(&mut book, &entry(leader, start, session));
    }

    pub(super) fn gone(&self, leader: u32) {
        let mut book = self.book.lock();
        if book.alive.remove(&leader).is_some() {
            book.dead += 1;
            self.write(&mut book, &format!("- {leader}\n"));
        }
    }

    /// Removes the file, unless something could not be ended.
    pub(super) fn close(&self) {
        self.book.lock().close();
    }

    /// Writes a line; where that fails, there is no ledger from then on.
    fn write(&self, book: &mut Book, line: &str) {
        if book.failed {
            return;
        }
        if let Err(error) = self.try_write(book, line) {
            telemetry::ledger_missing(&self.span, &error);
            (book.failed, book.file) = (true, None);
        }
    }

    fn try_write(&self, book: &mut Book, line: &str) -> io::Result<()> {
        let fresh = book.file.is_none();
        if fresh {
            book.file = Some(create(&self.folder)?);
        }
        let Some((file, _)) = &mut book.file else { return Ok(()) };
        if !fresh && book.dead < DEAD_LINES {
            return file.write_all(line.as_bytes());
        }
        let digits = self.mark.map(Mark::digits).unwrap_or_default();
        let mut text = format!("callboard 1 {} {digits}\n", boot().unwrap_or_default());
        for (leader, (start, session)) in &book.alive {
            text.push_str(&entry(*leader, *start, session));
        }
        file.set_len(0)?;
        file.rewind()?;
        book.dead = 0;
        file.write_all(text.as_bytes())
    }
}

impl Book {
    fn close(&mut self) {
        if let Some((file, path)) = self.file.take()
            && self.alive.is_empty()
        {
            // Still locked, so that nobody else is in the middle of it.
            drop(fs::remove_file(path));
            drop(file);
        }
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.close();
    }
}

fn entry(leader: u32, start: u64, session: &str) -> String {
    // As JSON, a text is written in one line, whatever is in it.
    format!("+ {leader} {start} {}\n", serde_json::Value::from(session))
}

/// A new file, locked before anybody can take it for one that was left behind.
fn create(folder: &Path) -> io::Result<(File, PathBuf)> {
    loop {
        let name = format!("{}-{:08x}", std::process::id(), fastrand::u32(..));
        let path = folder.join(name).with_extension(EXTENSION);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        // In between, a sweeper may have found it, and removed it.
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
            && file.metadata()?.nlink() > 0
        {
            return Ok((file, path));
        }
    }
}

/// Ends what hosts that are gone have left behind, and returns how many processes and groups that were.
pub(super) fn sweep(folder: &Path) -> usize {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let ledgers = paths.filter(|path| path.extension().is_some_and(|end| end == EXTENSION));
    ledgers.map(|path| sweep_one(&path).unwrap_or_default()).sum()
}

fn sweep_one(path: &Path) -> io::Result<usize> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    // Held by a runtime that lives, or by another that sweeps.
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    let ended = end_all(&text).unwrap_or_default();
    fs::remove_file(path)?;
    Ok(ended)
}

/// Ends what a ledger tells of, if it is of this boot.
fn end_all(text: &str) -> Option<usize> {
    let mut lines = text.lines();
    let mut header = lines.next()?.strip_prefix("callboard 1 ")?.split(' ');
    if header.next()? != boot()? {
        return None;
    }
    let mark = header.next()?.parse().ok().and_then(Mark::of);
    let groups = alive(lines).into_iter().filter(|(leader, start)| end_group(*leader, *start));
    let groups = groups.count();
    let mut ended = groups;
    // What forks while it is looked for is found the next time.
    for _ in 0..10 {
        let marked = mark.map(|mark| mark.find_now(None)).unwrap_or_default();
        if marked.is_empty() {
            break;
        }
        ended += marked.iter().filter(|held| held.kill()).count();
    }
    Some(ended)
}

/// The groups that were not seen gone, and when their leaders started.
fn alive<'a>(lines: impl Iterator<Item = &'a str>) -> HashMap<u32, u64> {
    let mut alive = HashMap::new();
    for line in lines {
        let mut words = line.split(' ');
        let (sign, leader) = (words.next(), words.next().and_then(|word| word.parse().ok()));
        let start = words.next().and_then(|word| word.parse().ok());
        match (sign, leader, start) {
            (Some("+"), Some(leader), Some(start)) => drop(alive.insert(leader, start)),
            (Some("-"), Some(leader), _) => drop(alive.remove(&leader)),
            // The host died in the middle of it.
            (_, _, _) => {}
        }
    }
    alive
}

/// Kills a group whose leader is still the one that was written down.
fn end_group(leader: u32, start: u64) -> bool {
    let pid = i32::try_from(leader).ok().and_then(Pid::from_raw);
    started_at(leader) == Some(start)
        && pid.is_some_and(|pid| kill_process_group(pid, Signal::KILL).is_ok())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A folder of one test's own.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new() -> Self {
            let name = format!("callboard-ledger-{}-{}", std::process::id(), fastrand::u64(..));
            Self(std::env::temp_dir().join(name))
        }

        fn place(&self) -> Option<PathBuf> {
            folder(LedgerPlace::Folder(self.0.clone()), &Span::none())
        }

        fn texts(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.0).unwrap();
            entries.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap()).collect()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn a_folder_that_others_can_write_to_is_not_used() {
        let scratch = Scratch::new();
        assert!(scratch.place().is_some(), "it is made");
        assert_eq!(fs::metadata(&scratch.0).unwrap().mode() & 0o777, 0o700);
        fs::set_permissions(&scratch.0, fs::Permissions::from_mode(0o770)).unwrap();
        assert_eq!(scratch.place(), None);
    }

    #[test]
    fn a_ledger_does_not_grow_with_what_is_gone_and_is_left_alone_while_it_is_held() {
        let scratch = Scratch::new();
        let ledger = Ledger::new(scratch.place().unwrap(), None, Span::none());
        let (us, session) = (std::process::id(), Arc::from("one \"session\"\nof many"));
        for _ in 0..3 * DEAD_LINES {
            ledger.started(us, &session);
            ledger.gone(us);
        }
        ledger.started(us, &session);
        let [text] = &scratch.texts()[..] else { panic!("one file") };
        assert!(text.lines().count() <= 2 * DEAD_LINES + 2, "{}", text.lines().count());
        let started = started_at(us).unwrap();
        assert_eq!(alive(text.lines().skip(1)), HashMap::from([(us, started)]));
        assert!(text.ends_with("\"one \\\"session\\\"\\nof many\"\n"), "{text}");
        // This very process stands in it, and lives on.
        assert_eq!(sweep(&scratch.0), 0);
        assert_eq!(scratch.texts().len(), 1);
        ledger.gone(us);
        drop(ledger);
        assert_eq!(scratch.texts().len(), 0);
    }

    #[test]
    fn what_is_of_another_boot_or_process_or_makes_no_sense_ends_nobody() {
        let scratch = Scratch::new();
        let place = scratch.place().unwrap();
        let (us, boot) = (std::process::id(), boot().unwrap());
        let start = started_at(us).unwrap();
        for text in [
            format!("callboard 1 another-boot 0\n+ {us} {start} \"s\"\n"),
            format!("callboard 1 {boot} 0\n+ {us} {} \"s\"\n", start + 1),
            format!("callboard 1 {boot} 0\n+ {us} {start} \"s\"\n- {us}\n"),
            format!("callboard 2 {boot} 0\n+ {us} {start} \"s\"\n"),
            format!("callboard 1 {boot} 0\n+ {us}"),
            String::new(),
        ] {
            fs::write(place.join("old.ledger"), &text).unwrap();
            assert_eq!(sweep(&place), 0, "{text}");
            assert_eq!(scratch.texts().len(), 0, "it is of no more use");
        }
    }
}
