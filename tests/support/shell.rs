//! The command `callboard`, run as a process.

#![allow(dead_code, reason = "each test uses its own part of it")]
#![allow(missing_docs, reason = "a test's harness")]

use std::{path::PathBuf, process::Stdio, time::Duration};

use rustix::process::Signal;
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::world::{self, World};

/// How long the command may take, on a machine that does other things too.
const LIMIT: Duration = Duration::from_secs(60);

/// What became of a command.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// The one JSON document that it printed.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// All of it, as a snapshot keeps it: without what is different each time.
    pub(crate) fn shown(&self, world: &World) -> String {
        let folder = world.folder().display().to_string();
        let root = world::root().display().to_string();
        let clean = |text: &str| {
            without_times(text).replace(&folder, "FOLDER").replace(&root, "REPOSITORY")
        };
        let code = self.code.map_or("none".to_owned(), |code| code.to_string());
        format!("exit: {code}\n--- stdout\n{}--- stderr\n{}", clean(&self.out), clean(&self.err))
    }
}

/// A text without the boxes that show, by the clock, what went over a link.
fn without_times(text: &str) -> String {
    let mut inside = false;
    let keep = |line: &&str| {
        let (begins, ends) = (line.contains("╭─[ what went over"), line.contains("╰────"));
        inside |= begins;
        let kept = !inside;
        inside &= !ends;
        kept
    };
    text.split_inclusive('\n').filter(keep).collect()
}

/// The command with these arguments, in the folder of the world. What it starts is marked as this
/// world's: a server that is named after `--` by what stands before, one of a file by its variables.
pub(crate) fn command<S: AsRef<str>>(world: &World, args: &[S]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_callboard"));
    let [(name, value)] = world.marked();
    let mut args: Vec<String> = args.iter().map(|arg| arg.as_ref().to_owned()).collect();
    if let Some(dashes) = args.iter().position(|arg| arg == "--") {
        args.splice(dashes..dashes, ["--env".to_owned(), name.to_owned()]);
    }
    for variable in ["CALLBOARD_CONFIG", "RUST_LOG", "COLUMNS"] {
        command.env_remove(variable);
    }
    command.args(args).env(name, value).env("NO_COLOR", "1").current_dir(world.folder());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs it to its end.
pub(crate) async fn run<S: AsRef<str>>(world: &World, args: &[S]) -> Ran {
    ended(command(world, args).spawn().unwrap()).await
}

/// Waits until it has ended.
pub(crate) async fn ended(child: Child) -> Ran {
    let output = tokio::time::timeout(LIMIT, child.wait_with_output()).await;
    let output = output.unwrap_or_else(|_| panic!("it has not ended after {LIMIT:?}")).unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// Sends a signal to it alone.
pub(crate) fn signal(child: &Child, signal: Signal) {
    world::signal(child.id().expect("it has not ended"), signal);
}

/// The words of a server's command, after `--`.
fn words(program: PathBuf, args: &[&str]) -> Vec<String> {
    let program = program.to_str().unwrap().to_owned();
    [program].into_iter().chain(args.iter().map(|arg| (*arg).to_owned())).collect()
}

/// The reference server.
pub(crate) fn everything() -> Vec<String> {
    words(world::installed("node/node_modules/.bin/mcp-server-everything"), &["stdio"])
}

/// The hostile server in one of its modes.
pub(crate) fn hostile(args: &[&str]) -> Vec<String> {
    let script = world::root().join("tests/servers/hostile.py");
    let script = script.to_str().unwrap().to_owned();
    [&["python3", &script, "--mode"], args].concat().into_iter().map(str::to_owned).collect()
}

/// These words, and a server's after `--`.
pub(crate) fn on(args: &[&str], server: &[String]) -> Vec<String> {
    let args = args.iter().map(|arg| (*arg).to_owned()).chain(["--".to_owned()]);
    args.chain(server.iter().cloned()).collect()
}
