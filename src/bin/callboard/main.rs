//! `callboard`: the servers of a config file, or one that is named on the command line, from a shell.
//!
//! stdout carries results only, and [`console`] is the one place that writes there. Everything else,
//! logs included, goes to stderr.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "JSON, and what the library may add to its enums, is mostly shown as it is"
)]

mod args;
mod bench;
mod call;
mod config;
mod console;
mod content;
mod doctor;
mod exit;
mod file;
mod inputs;
mod logging;
mod login;
mod media;
mod open;
mod person;
mod prompts;
mod resources;
mod servers;
mod stop;
mod table;
mod terminal;
mod tools;
mod values;
mod watch;

use std::{process::ExitCode, time::Duration};

use callboard::Runtime;
use clap::{CommandFactory as _, Parser as _};

use args::{Cli, Command};
use console::Console;
use exit::{Exit, Failure};
use stop::{Signals, Stop};

/// How long a thread that waits for input may hold the end up.
const LAST: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // A pipe that nobody reads is no reason to say more.
            drop(error.print());
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() };
        }
    };
    let tokio = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(tokio) => tokio,
        Err(error) => return Console::new(&cli).fail(&Failure::usage(error.to_string())).into(),
    };
    let exit = tokio.block_on(run(cli));
    // Whoever is still asked something at the terminal would be waited for without this.
    tokio.shutdown_timeout(LAST);
    exit.into()
}

/// What every command is given.
pub(crate) struct Context {
    pub(crate) runtime: Runtime,
    pub(crate) console: Console,
    pub(crate) verbose: u8,
}

async fn run(cli: Cli) -> Exit {
    let console = Console::new(&cli);
    logging::start(&console, cli.verbose);
    let signals = match Signals::catch() {
        Ok(signals) => signals,
        Err(error) => return console.fail(&Failure::usage(error.to_string())),
    };
    let stop = Stop::default();
    let context =
        Context { runtime: Runtime::start().await, console: console.clone(), verbose: cli.verbose };
    let work = async {
        let outcome = tokio::select! {
            outcome = command(&context, cli.command) => outcome,
            // Whatever is under way is dropped, which cancels calls on the wire.
            signal = stop.asked() => Err(Failure::stopped(signal)),
        };
        console.clear();
        let exit = outcome.unwrap_or_else(|failure| console.fail(&failure));
        context.runtime.shutdown().await;
        exit
    };
    tokio::select! {
        exit = work => exit,
        // What is left is killed where the runtime is dropped.
        signal = stop.listen(signals) => Exit::Signal(signal),
    }
}

async fn command(context: &Context, command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Tools(args) => tools::run(context, args).await,
        Command::Call(args) => call::run(context, args).await,
        Command::Resources(args) => resources::list(context, args).await,
        Command::Read(args) => resources::read(context, args).await,
        Command::Prompts(args) => prompts::list(context, args).await,
        Command::Prompt(args) => prompts::get(context, args).await,
        Command::Doctor(args) => doctor::run(context, args).await,
        Command::Watch(args) => watch::run(context, args).await,
        Command::Login(args) => login::run(context, args).await,
        Command::Bench(args) => bench::run(context, args).await,
        Command::Snippet(args) => config::snippet(context, args),
        Command::Config(command) => config::run(context, command),
        Command::Completions { shell } => completions(context, shell),
    }
}

fn completions(context: &Context, shell: clap_complete::Shell) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "callboard", &mut script);
    context.console.bytes(&script)?;
    Ok(Exit::Done)
}
