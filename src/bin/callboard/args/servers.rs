//! What is said of servers, and of how long things may take.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::Args;

/// Which servers.
#[derive(Debug, Args)]
#[command(next_help_heading = "Servers")]
pub(crate) struct Servers {
    /// The file that declares the servers: JSON or TOML as of any MCP client, or HCL
    /// [env: CALLBOARD_CONFIG]
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
    /// Keep the tokens of logins in the system's keyring, not in files
    #[cfg(feature = "keyring")]
    #[arg(long)]
    pub(crate) keyring: bool,
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

/// A time such as `90s`, `500ms`, `5m`, or seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds) => Ok(Duration::from_secs(seconds)),
        Err(_) => humantime::parse_duration(text).map_err(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit_or_is_in_seconds() {
        for (text, millis) in [("90s", 90_000), ("500ms", 500), ("5m", 300_000), ("15", 15_000)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "-1", "1e99h", "5 parsecs"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
