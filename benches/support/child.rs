//! The server on stdio: it reads in big chunks and answers everything one read brought with one
//! write.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;

use memchr::memchr;

use crate::answers::Answers;
use crate::manner::{Manner, asked};

/// Serves until stdin ends if this process was started as the server; returns whether it was.
pub(crate) fn serve_if_asked() -> bool {
    let Some(manner) = asked() else { return false };
    // A client that kills or abandons its server is not this server's error.
    let ended = serve(manner);
    drop(ended);
    true
}

fn serve(manner: Manner) -> io::Result<()> {
    let mut input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let mut answers = Answers::new(manner);
    let mut buffer = vec![0; 256 * 1024];
    let mut filled = 0;
    loop {
        if filled == buffer.len() {
            buffer.resize(buffer.len() * 2, 0);
        }
        let read = input.read(&mut buffer[filled..])?;
        if read == 0 {
            return Ok(());
        }
        let used = answer_lines(&mut answers, &buffer[..filled + read], filled);
        buffer.copy_within(used..filled + read, 0);
        filled = filled + read - used;
        output.write_all(answers.bytes())?;
        answers.clear();
    }
}

/// Answers every complete line, of which the first `seen` bytes hold no end of line, and returns
/// how many bytes they take.
fn answer_lines(answers: &mut Answers, input: &[u8], seen: usize) -> usize {
    let mut start = 0;
    let mut from = seen;
    while let Some(at) = memchr(b'\n', &input[from..]) {
        answers.answer(&input[start..from + at]);
        start = from + at + 1;
        from = start;
    }
    start
}
