//! A child's stderr: drained for ever, kept to a bounded tail, and shown to tracing at a bounded
//! rate.

use std::{collections::VecDeque, io, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{pipe, stdio::Stream};
use crate::{
    redactor::{Redacting, Redactor},
    telemetry,
};

const TAIL_BYTES: usize = 64 << 10;
const TAIL_LINES: usize = 200;

/// How many lines of one child go to tracing within a second; the rest are counted.
const TRACED_A_SECOND: u32 = 20;

/// The last 64 KiB, at most 200 lines, that a child wrote on stderr.
#[derive(Debug)]
pub(crate) struct StderrTail {
    /// Redacted.
    bytes: Mutex<VecDeque<u8>>,
    redacting: Mutex<Redacting>,
    redactor: Redactor,
    /// Set once all that the child wrote before its end is here.
    complete: CancellationToken,
}

impl StderrTail {
    pub(crate) fn new(redactor: Redactor) -> Self {
        Self {
            bytes: Mutex::default(),
            redacting: Mutex::new(redactor.stream()),
            redactor,
            complete: CancellationToken::new(),
        }
    }

    /// Takes what the child wrote, and returns what can be told of it by now.
    pub(crate) fn push(&self, bytes: &[u8]) -> Vec<u8> {
        let redacted = self.redacting.lock().push(bytes);
        self.keep(&redacted);
        redacted
    }

    /// Knows that nothing follows what has come.
    fn finish(&self) {
        let rest = self.redacting.lock().flush();
        self.keep(&rest);
        self.complete.cancel();
    }

    fn keep(&self, bytes: &[u8]) {
        let kept = &bytes[bytes.len().saturating_sub(TAIL_BYTES)..];
        let mut tail = self.bytes.lock();
        let excess = (tail.len() + kept.len()).saturating_sub(TAIL_BYTES);
        tail.drain(..excess);
        tail.extend(kept);
    }

    /// The lines, oldest first; what is not UTF-8 is replaced.
    pub(crate) fn lines(&self) -> Vec<String> {
        let bytes: Vec<u8> = self.bytes.lock().iter().copied().collect();
        let text = String::from_utf8_lossy(&bytes);
        // Of what has been learnt since.
        let text = self.redactor.redact(&text);
        let mut lines: Vec<_> = text.lines().rev().take(TAIL_LINES).map(str::to_owned).collect();
        lines.reverse();
        lines
    }

    /// Waits until the tail is complete, but no longer than this.
    pub(crate) async fn complete_within(&self, limit: Duration) {
        drop(tokio::time::timeout(limit, self.complete.cancelled()).await);
    }
}

/// The task that drains a child's stderr: until its end or, where a stranger holds it open, until the
/// group is `gone`. What it says is given to `note`, too. The tail is complete once what was written
/// before the child `exited` is read, or all of it where that cannot be told.
pub(crate) async fn drain(
    stream: Stream,
    tail: std::sync::Arc<StderrTail>,
    (exited, gone): (CancellationToken, CancellationToken),
    note: impl Fn(&[u8]) + Send,
) {
    let pipe = &stream.pipe;
    let mut traced = (Rate::new(), note);
    let mut leader_lives = true;
    loop {
        tokio::select! {
            ready = pipe.readable() => match ready.and_then(|()| read(pipe, &tail, &mut traced)) {
                Ok(true) => {}
                Ok(false) | Err(_) => break,
            },
            () = exited.cancelled(), if leader_lives => {
                leader_lives = false;
                if !matches!(read(pipe, &tail, &mut traced), Ok(true)) {
                    break;
                }
                if pipe::READS_ALL {
                    tail.finish();
                }
            }
            () = gone.cancelled() => {
                // Its last words are still in the pipe.
                drop(read(pipe, &tail, &mut traced));
                if !pipe::READS_ALL && pipe::more(pipe).await {
                    drop(read(pipe, &tail, &mut traced));
                }
                break;
            }
        }
        tokio::task::consume_budget().await;
    }
    tail.finish();
}

/// Reads what is there, a pipe's fill at most; false at the end of the stream.
fn read(
    stream: &pipe::Receiver,
    tail: &StderrTail,
    (traced, note): &mut (Rate, impl Fn(&[u8])),
) -> io::Result<bool> {
    let mut chunk = [0u8; 8 << 10];
    for _ in 0..8 {
        match stream.try_read(&mut chunk) {
            Ok(0) => return Ok(false),
            Ok(count) => {
                let told = tail.push(&chunk[..count]);
                note(&told);
                trace(&told, traced);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

fn trace(bytes: &[u8], traced: &mut Rate) {
    if !telemetry::stderr_is_traced() {
        return;
    }
    for line in String::from_utf8_lossy(bytes).lines().filter(|line| !line.trim().is_empty()) {
        if let Some(suppressed) = traced.admit() {
            telemetry::stderr_line(line, suppressed);
        }
    }
}

/// So many in a second, and the number of those left out since.
struct Rate {
    since: Instant,
    admitted: u32,
    suppressed: u64,
}

impl Rate {
    fn new() -> Self {
        Self { since: Instant::now(), admitted: 0, suppressed: 0 }
    }

    fn admit(&mut self) -> Option<u64> {
        if self.since.elapsed() > Duration::from_secs(1) {
            (self.since, self.admitted) = (Instant::now(), 0);
        }
        if self.admitted >= TRACED_A_SECOND {
            self.suppressed += 1;
            return None;
        }
        self.admitted += 1;
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_bounded_in_lines_and_bytes() {
        let tail = StderrTail::new(Redactor::default());
        for n in 0..1000 {
            drop(tail.push(format!("line {n}\n").as_bytes()));
        }
        let lines = tail.lines();
        assert_eq!(lines.len(), TAIL_LINES);
        assert_eq!(lines.last().map(String::as_str), Some("line 999"));
        drop(tail.push(&vec![b'x'; 10 * TAIL_BYTES]));
        assert_eq!(tail.lines().concat().len(), TAIL_BYTES);
    }
}
