//! Programs that print a secret.

use std::{io, process::Stdio, sync::Arc, time::Duration};

use secrecy::SecretString;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::{
    Command,
    resolve::{READ, text},
};
use crate::{
    census::ProcessRecord,
    connection::SessionScope,
    error::SecretCause,
    transport::{
        environment, pipe,
        process::{Ladder, Leader, Process},
    },
};

/// How much is read of what it complains about.
const COMPLAINTS: u64 = 4 << 10;

/// How long what it has written may take to be read once it has exited.
const LAST_WORDS: Duration = Duration::from_millis(250);

/// Runs a program to its end. Like a server it leads a group, which is stopped as a whole, also
/// where nobody waits for it any more.
pub(super) async fn run(
    command: &Command,
    scope: &SessionScope,
    server: Arc<str>,
) -> Result<SecretString, SecretCause> {
    let unreadable = |error| SecretCause::Unreadable(Arc::new(error));
    let (process, mut stdout, mut stderr) = start(command, scope, server).map_err(unreadable)?;
    let _stop = process.stop_guard();
    let (mut said, mut complaints) = (Vec::new(), Vec::new());
    let status = {
        let reading = async {
            let said = take(&mut stdout, READ, &mut said);
            tokio::join!(said, take(&mut stderr, COMPLAINTS, &mut complaints)).0
        };
        let mut reading = std::pin::pin!(reading);
        tokio::select! {
            read = &mut reading => {
                read.map_err(unreadable)?;
                process.exit().await
            }
            status = process.exit() => {
                // Whoever it leaves behind may hold its pipes open.
                drop(tokio::time::timeout(LAST_WORDS, reading).await);
                status
            }
        }
    };
    if !status.success() {
        let complaints = String::from_utf8_lossy(&complaints);
        let last = complaints.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
        let said = last.trim().chars().take(200).collect();
        return Err(SecretCause::Failed { code: status.code(), said });
    }
    text(said)
}

type Started = (Process, pipe::Receiver, pipe::Receiver);

fn start(command: &Command, scope: &SessionScope, server: Arc<str>) -> io::Result<Started> {
    let (program, arguments) = command.argv.split_first().ok_or(io::ErrorKind::NotFound)?;
    let (stdout, their_stdout) = pipe::from_child()?;
    let (stderr, their_stderr) = pipe::from_child()?;
    let mut process = tokio::process::Command::new(environment::tool(program));
    process
        .args(arguments)
        .env_clear()
        .envs(environment::passed(command.passed))
        .stdin(Stdio::null())
        .stdout(their_stdout)
        .stderr(their_stderr);
    let leader = Leader::spawn(process, &stdout, &scope.census)?;
    let ladder = Ladder { eof_grace: Duration::ZERO, term_grace: Duration::from_millis(250) };
    let record = ProcessRecord { session: Arc::clone(&scope.id), server };
    let (process, reaper) = Process::adopt(leader, ladder, &scope.census, record)?;
    scope.tasks.spawn(&scope.span, reaper);
    Ok((process, stdout, stderr))
}

async fn take(
    stream: &mut (impl AsyncRead + Unpin + Send),
    limit: u64,
    into: &mut Vec<u8>,
) -> io::Result<usize> {
    stream.take(limit).read_to_end(into).await
}
