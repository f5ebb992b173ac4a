//! The command line.

mod files;
mod help;
mod servers;

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};

pub(crate) use files::{ClientName, ConfigCommand, FileForm, Snippet};
use servers::duration;
pub(crate) use servers::{Limits, Servers};

/// Try, use and check MCP servers from a shell.
#[derive(Debug, Parser)]
#[command(
    name = "callboard",
    version,
    after_help = help::CALLBOARD,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    /// Print one JSON document instead of text
    #[arg(long, global = true, display_order = 100)]
    pub(crate) json: bool,
    /// Show what the library and the servers log, on stderr; -vv and -vvv show more
    #[arg(short, long, global = true, action = clap::ArgAction::Count, display_order = 101)]
    pub(crate) verbose: u8,
    /// Show no progress
    #[arg(short, long, global = true, display_order = 102)]
    pub(crate) quiet: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List tools, or describe one
    #[command(after_help = help::TOOLS)]
    Tools(Tools),
    /// Call a tool
    #[command(after_help = help::CALL)]
    Call(Call),
    /// List resources and their templates
    #[command(after_help = help::RESOURCES)]
    Resources(Listing),
    /// Read a resource
    #[command(after_help = help::READ)]
    Read(Read),
    /// List prompts
    #[command(after_help = help::PROMPTS)]
    Prompts(Listing),
    /// Show a prompt, filled in
    #[command(after_help = help::PROMPT)]
    Prompt(Prompt),
    /// Check servers: command, secrets, handshake, tools, and what models may stumble over
    #[command(after_help = help::DOCTOR)]
    Doctor(Doctor),
    /// Hold a session open, and see what becomes of its servers
    #[command(after_help = help::WATCH)]
    Watch(Watch),
    /// Log in to a server that wants a person to
    #[command(after_help = help::LOGIN)]
    Login(Login),
    /// Measure how long calls of a tool take
    #[command(after_help = help::BENCH)]
    Bench(Bench),
    /// Write a server down as a client's file wants it
    #[command(after_help = help::SNIPPET)]
    Snippet(Snippet),
    /// Check and convert config files
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print the completions of a shell
    #[command(after_help = help::COMPLETIONS)]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Tools {
    /// The URL of a server; tools, by id or by a pattern such as 'git.*'
    #[arg(value_name = "URL | TOOL")]
    pub(crate) words: Vec<String>,
    #[command(flatten)]
    pub(crate) servers: Servers,
}

#[derive(Debug, Args)]
pub(crate) struct Call {
    /// The URL of a server; a tool; its arguments, as JSON or as key=value
    #[arg(value_name = "[URL] TOOL [JSON | KEY=VALUE]", required = true)]
    pub(crate) words: Vec<String>,
    #[command(flatten)]
    pub(crate) limits: Limits,
    /// Where images and other files of the answer are put
    #[arg(short, long, value_name = "FOLDER", default_value = ".")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) servers: Servers,
}

#[derive(Debug, Args)]
pub(crate) struct Listing {
    /// The URL of a server
    pub(crate) url: Option<String>,
    #[command(flatten)]
    pub(crate) servers: Servers,
}

#[derive(Debug, Args)]
pub(crate) struct Read {
    /// The URL of a server; the URI of a resource
    #[arg(value_name = "[URL] URI", required = true, num_args = 1..=2)]
    pub(crate) words: Vec<String>,
    #[command(flatten)]
    pub(crate) limits: Limits,
    /// Where what is no text is put, if it is not piped on
    #[arg(short, long, value_name = "FOLDER", default_value = ".")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) servers: Servers,
}

#[derive(Debug, Args)]
pub(crate) struct Prompt {
    /// The URL of a server; the name of a prompt; its arguments
    #[arg(value_name = "[URL] NAME [KEY=VALUE]", required = true)]
    pub(crate) words: Vec<String>,
    #[command(flatten)]
    pub(crate) limits: Limits,
    #[command(flatten)]
    pub(crate) servers: Servers,
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// The URL of a server, or names of servers of the file
    #[arg(value_name = "URL | SERVER")]
    pub(crate) words: Vec<String>,
    #[command(flatten)]
    pub(crate) servers: Servers,
}

#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// The URL of a server, or the name of a server of the file
    #[arg(value_name = "URL | SERVER")]
    pub(crate) url: Option<String>,
    /// How often to ask each server for its tools, which shows how fast it is; 0 for never
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    pub(crate) every: Duration,
    #[command(flatten)]
    pub(crate) servers: Servers,
}

#[derive(Debug, Args)]
pub(crate) struct Login {
    /// The URL of a server, or the name of a server of the file
    #[arg(value_name = "URL | SERVER")]
    pub(crate) server_or_url: Option<String>,
    #[command(flatten)]
    pub(crate) servers: Servers,
}

#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// The URL of a server; a tool; its arguments, as JSON or as key=value
    #[arg(value_name = "[URL] TOOL [JSON | KEY=VALUE]", required = true)]
    pub(crate) words: Vec<String>,
    /// How many calls to make
    #[arg(short, long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) number: u64,
    /// How many of them at a time
    #[arg(short, long, default_value_t = 1, value_parser = at_least_one)]
    pub(crate) concurrency: usize,
    /// How many calls to make before that, which do not count
    #[arg(long, default_value_t = 1)]
    pub(crate) warm_up: u64,
    #[command(flatten)]
    pub(crate) limits: Limits,
    #[command(flatten)]
    pub(crate) servers: Servers,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    let number: usize = text.parse().map_err(|error| format!("{error}"))?;
    if number == 0 { Err("at least 1".to_owned()) } else { Ok(number) }
}

/// Takes the URL of a server off the front, where more than this many words are there.
pub(crate) fn take_url(words: &mut Vec<String>, rest: usize) -> Option<String> {
    let is_url = |word: &String| word.starts_with("http://") || word.starts_with("https://");
    (words.len() > rest && words.first().is_some_and(is_url)).then(|| words.remove(0))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_declared_without_contradictions() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_url_is_a_server_where_it_need_not_be_something_else() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let mut one = words("https://a/mcp echo");
        assert_eq!(take_url(&mut one, 0).as_deref(), Some("https://a/mcp"));
        assert_eq!(one, ["echo"]);
        assert_eq!(take_url(&mut words("https://a/page"), 1), None);
        assert_eq!(take_url(&mut words("a.echo https://x"), 0), None);
    }
}
