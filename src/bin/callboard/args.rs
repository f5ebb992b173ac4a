//! The command line.

mod help;

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};

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
    /// Print the completions of a shell
    #[command(after_help = help::COMPLETIONS)]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Which servers.
#[derive(Debug, Args)]
#[command(next_help_heading = "Servers")]
pub(crate) struct Servers {
    /// The file that declares the servers: JSON as of any MCP client, or HCL [env: CALLBOARD_CONFIG]
    #[arg(short = 'f', long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Of the file, take no other servers than this one; may be repeated
    #[arg(short, long, value_name = "NAME")]
    pub(crate) server: Vec<String>,
    /// Give the command this variable, or pass it on; may be repeated
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    pub(crate) env: Vec<String>,
    /// Pass all variables on to the command, instead of PATH, HOME and their like
    #[arg(long)]
    pub(crate) env_all: bool,
    /// Run the command in this folder
    #[arg(long, value_name = "FOLDER")]
    pub(crate) cwd: Option<PathBuf>,
    /// Send this header to the URL; may be repeated
    #[arg(short = 'H', long, value_name = "NAME: VALUE")]
    pub(crate) header: Vec<String>,
    /// Send `Authorization: Bearer` to the URL, with the value of this variable
    #[arg(long, value_name = "VARIABLE")]
    pub(crate) bearer: Option<OsString>,
    /// Allow a URL that is plain http and leads to another machine
    #[arg(long)]
    pub(crate) allow_http: bool,
    /// How long a server may take to start, such as 90s (default: 30s)
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) init_timeout: Option<Duration>,
    /// A server that is started by this command
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

/// How long things may take.
#[derive(Debug, Args)]
pub(crate) struct Limits {
    /// How long it may take in all (default: 10m); 0 for any time
    #[arg(short, long, value_name = "TIME", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    /// How long the server may neither answer nor report progress (default: 60s); 0 for any time
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) idle_timeout: Option<Duration>,
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

/// A time such as `90s`, `500ms`, `5m`, or seconds.
fn duration(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds) => Ok(Duration::from_secs(seconds)),
        Err(_) => humantime::parse_duration(text).map_err(|error| error.to_string()),
    }
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
    fn a_time_has_a_unit_or_is_in_seconds() {
        for (text, millis) in [("90s", 90_000), ("500ms", 500), ("5m", 300_000), ("15", 15_000)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "-1", "1e99h", "5 parsecs"] {
            assert!(duration(text).is_err(), "{text}");
        }
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
