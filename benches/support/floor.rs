//! The least a client must do: a call is a ready line with an id patched into it, an answer is
//! the bytes found by that id. It parses nothing, bounds nothing and supervises nothing.
//!
//! A call that is alone writes at once. Otherwise the first caller of a burst lets the others
//! add their lines and writes for all of them; one read takes as many answers as there are. Large
//! texts are written from and handed over in the buffers they are in, through pipes as large as
//! an unprivileged process may have.

use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use memchr::{memchr, memmem};
use parking_lot::Mutex;
use rustix::pipe::fcntl_setpipe_size;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::sync::oneshot;
use tokio::task::{JoinSet, yield_now};

use crate::manner::{Manner, executable};
use crate::peer::Peer;

pub(crate) const HEAD: &str = r#"{"jsonrpc":"2.0","id":"#;
pub(crate) const TAIL: &str =
    r#","method":"tools/call","params":{"name":"echo","arguments":{"text":""#;
/// What an answer has around its id and text, without the end of the line.
pub(crate) const AROUND: usize =
    r#"{"jsonrpc":"2.0","id":,"result":{"content":[{"type":"text","text":""}]}}"#.len();
/// From this many bytes on, a line is not copied if that can be helped.
const LARGE: usize = 64 * 1024;
/// What a pipe holds, if the system lets it.
const PIPE: usize = 1024 * 1024;

pub(crate) struct Floor {
    sender: tokio::sync::Mutex<Sender>,
    calls: Arc<Mutex<Calls>>,
    reader: JoinSet<()>,
    child: Child,
}

#[derive(Default)]
struct Calls {
    waiting: Vec<Option<oneshot::Sender<Vec<u8>>>>,
    free: Vec<usize>,
    lines: Vec<u8>,
    /// Whether a caller writes the lines.
    writing: bool,
    ended: bool,
}

/// What is left to do for a caller that has its id.
enum Write {
    /// Somebody else writes its line.
    Nothing,
    /// Write the lines at once.
    Lines,
    /// Write the lines once the other callers have added theirs.
    Burst,
    /// Write its own line, which begins with this.
    Own(Vec<u8>),
}

impl Peer for Floor {
    const NAME: &'static str = "floor";

    /// The line from behind its id.
    type Request = Vec<u8>;

    fn request(text: &str) -> Vec<u8> {
        format!("{TAIL}{text}\"}}}}}}\n").into_bytes()
    }

    async fn open(manner: Manner) -> Self {
        let mut child = Command::new(executable())
            .arg(manner.argument())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("start the server");
        let stdin = OwnedFd::from(child.stdin.take().expect("a piped stdin"));
        let stdout = OwnedFd::from(child.stdout.take().expect("a piped stdout"));
        for pipe in [&stdin, &stdout] {
            // A user with many large pipes is refused more; it works without.
            if fcntl_setpipe_size(pipe, PIPE).is_err() {
                break;
            }
        }
        let receiver = Receiver::from_owned_fd(stdout).expect("a pipe");
        let calls = Arc::default();
        let mut reader = JoinSet::new();
        reader.spawn(read(receiver, Arc::clone(&calls)));
        Self { sender: Sender::from_owned_fd(stdin).expect("a pipe").into(), calls, reader, child }
    }

    async fn call(&self, tail: &Vec<u8>) -> Result<usize, String> {
        let (answer, answered) = oneshot::channel();
        let write = self.calls.lock().add(answer, tail);
        match write {
            Write::Nothing => {}
            Write::Lines => self.write_lines().await,
            Write::Burst => {
                yield_now().await;
                self.write_lines().await;
            }
            Write::Own(head) => self.write_large(&head, tail).await,
        }
        let line = answered.await.map_err(|_| "the server is gone".to_owned())?;
        let id = line[HEAD.len()..].iter().take_while(|byte| byte.is_ascii_digit());
        Ok(line.len() - AROUND - id.count())
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    async fn close(mut self) {
        drop(self.sender);
        self.reader.join_next().await;
        self.child.wait().expect("wait for the server");
    }
}

/// A failed write needs no answer here: the reader finds the end.
impl Floor {
    /// Writes until no line is left.
    async fn write_lines(&self) {
        let mut batch = Vec::new();
        while self.calls.lock().take_lines(&mut batch) {
            drop(self.sender.lock().await.write_all(&batch).await);
        }
    }

    async fn write_large(&self, head: &[u8], tail: &[u8]) {
        let mut sender = self.sender.lock().await;
        if sender.write_all(head).await.is_ok() {
            drop(sender.write_all(tail).await);
        }
    }
}

impl Calls {
    fn add(&mut self, answer: oneshot::Sender<Vec<u8>>, tail: &[u8]) -> Write {
        if self.ended {
            return Write::Nothing;
        }
        let id = self.free.pop().unwrap_or_else(|| {
            self.waiting.push(None);
            self.waiting.len() - 1
        });
        self.waiting[id] = Some(answer);
        if tail.len() >= LARGE {
            return Write::Own(format!("{HEAD}{id}").into_bytes());
        }
        self.lines.extend_from_slice(HEAD.as_bytes());
        push_number(&mut self.lines, id);
        self.lines.extend_from_slice(tail);
        if std::mem::replace(&mut self.writing, true) {
            Write::Nothing
        } else if self.waiting.len() - self.free.len() == 1 {
            Write::Lines
        } else {
            Write::Burst
        }
    }

    /// Trades the lines for an empty buffer; false if there are none, and nobody writes then.
    fn take_lines(&mut self, batch: &mut Vec<u8>) -> bool {
        batch.clear();
        std::mem::swap(&mut self.lines, batch);
        self.writing = !batch.is_empty();
        if batch.is_empty() && batch.capacity() < self.lines.capacity() {
            std::mem::swap(&mut self.lines, batch);
        }
        self.writing
    }

    fn take(&mut self, line: &[u8]) -> Option<oneshot::Sender<Vec<u8>>> {
        let at = memmem::find(line, br#""id":"#)? + 5;
        let end = at + memchr(b',', &line[at..])?;
        let id = std::str::from_utf8(&line[at..end]).ok()?.parse::<usize>().ok()?;
        let answer = self.waiting.get_mut(id)?.take();
        self.free.push(id);
        answer
    }
}

fn push_number(bytes: &mut Vec<u8>, number: usize) {
    if number >= 10 {
        push_number(bytes, number / 10);
    }
    bytes.push(b'0' + (number % 10) as u8);
}

/// Hands every answer to its caller until the server's stdout ends.
async fn read(mut receiver: Receiver, calls: Arc<Mutex<Calls>>) {
    let mut buffer = Vec::new();
    let mut found = Vec::new();
    loop {
        buffer.reserve(PIPE);
        let seen = buffer.len();
        if !matches!(receiver.read_buf(&mut buffer).await, Ok(1..)) {
            break;
        }
        take_answers(&mut buffer, seen, &calls, &mut found);
        for (answer, line) in found.drain(..) {
            // A caller that went away needs no answer.
            drop(oneshot::Sender::send(answer, line));
        }
    }
    let mut calls = calls.lock();
    calls.ended = true;
    calls.waiting.clear();
}

type Found = Vec<(oneshot::Sender<Vec<u8>>, Vec<u8>)>;

/// Takes the complete lines out of the buffer, whose first `seen` bytes hold no end of line.
fn take_answers(buffer: &mut Vec<u8>, seen: usize, calls: &Mutex<Calls>, found: &mut Found) {
    let mut start = 0;
    let mut from = seen;
    let mut calls = calls.lock();
    while let Some(at) = memchr(b'\n', &buffer[from..]) {
        let end = from + at;
        let answer = calls.take(&buffer[start..end]);
        from = end + 1;
        if end - start >= LARGE {
            let rest = buffer.split_off(from);
            let mut line = std::mem::replace(buffer, rest);
            line.truncate(end);
            line.drain(..start);
            found.extend(answer.map(|answer| (answer, line)));
            from = 0;
        } else {
            found.extend(answer.map(|answer| (answer, buffer[start..end].to_vec())));
        }
        start = from;
    }
    buffer.drain(..start);
}
