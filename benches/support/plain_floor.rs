//! The same as the floor, written as one writes it at first: each caller writes its own line, and the
//! reader takes line after line. What the floor gains beyond it is gained by gathering.

use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use memchr::{memchr, memmem};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::floor::{AROUND, HEAD, TAIL};
use crate::manner::{Manner, executable};
use crate::peer::Peer;

type Waiting = Arc<Mutex<FxHashMap<u64, oneshot::Sender<Vec<u8>>>>>;

pub(crate) struct PlainFloor {
    sender: tokio::sync::Mutex<Sender>,
    ids: AtomicU64,
    waiting: Waiting,
    reader: JoinSet<()>,
    child: Child,
}

impl Peer for PlainFloor {
    const NAME: &'static str = "plain";

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
        let receiver = Receiver::from_owned_fd(stdout).expect("a pipe");
        let waiting = Waiting::default();
        let mut reader = JoinSet::new();
        reader.spawn(read(receiver, Arc::clone(&waiting)));
        let sender = Sender::from_owned_fd(stdin).expect("a pipe").into();
        Self { sender, ids: AtomicU64::new(1), waiting, reader, child }
    }

    async fn call(&self, tail: &Vec<u8>) -> Result<usize, String> {
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        self.waiting.lock().insert(id, answer);
        let mut line = format!("{HEAD}{id}").into_bytes();
        let digits = line.len() - HEAD.len();
        line.extend_from_slice(tail);
        let written = self.sender.lock().await.write_all(&line).await;
        written.map_err(|error| error.to_string())?;
        let answer = answered.await.map_err(|_| "the server is gone".to_owned())?;
        Ok(answer.len() - AROUND - digits)
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

/// Hands every answer to its caller until the server's stdout ends.
async fn read(receiver: Receiver, waiting: Waiting) {
    let mut reader = BufReader::with_capacity(64 * 1024, receiver);
    loop {
        let mut line = Vec::new();
        if !matches!(reader.read_until(b'\n', &mut line).await, Ok(1..)) {
            return waiting.lock().clear();
        }
        line.pop();
        let answer = id_of(&line).and_then(|id| waiting.lock().remove(&id));
        if let Some(answer) = answer {
            // A caller that went away needs no answer.
            drop(answer.send(line));
        }
    }
}

fn id_of(line: &[u8]) -> Option<u64> {
    let at = memmem::find(line, br#""id":"#)? + 5;
    let end = at + memchr(b',', &line[at..])?;
    std::str::from_utf8(&line[at..end]).ok()?.parse().ok()
}
