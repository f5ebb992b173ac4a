//! What is said of config files.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{help, servers::Servers};

/// What is to be done with a config file.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print the JSON Schema of config files, for editors
    #[command(after_help = help::SCHEMA)]
    Schema {
        /// Of which form
        #[arg(long, default_value = "json")]
        form: FileForm,
    },
    /// Say everything that is wrong with a file, or odd; nothing is started
    #[command(after_help = help::CHECK)]
    Check {
        /// JSON or TOML as of any MCP client, or HCL
        file: PathBuf,
    },
    /// Print the servers of a file in the other form
    #[command(after_help = help::CONVERT)]
    Convert {
        /// JSON or TOML as of any MCP client, or HCL
        file: PathBuf,
        /// The form (default: the one that the file does not have)
        #[arg(long)]
        to: Option<FileForm>,
    },
}

/// The forms of config files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FileForm {
    /// The JSON of MCP clients
    Json,
    /// HCL
    Hcl,
}

/// Clients whose files a server can be written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ClientName {
    /// Claude Desktop and Claude Code
    Claude,
    /// Cursor
    Cursor,
    /// VS Code
    Vscode,
    /// opencode
    Opencode,
    /// Codex
    Codex,
}

#[derive(Debug, Args)]
pub(crate) struct Snippet {
    /// The client
    #[arg(short, long)]
    pub(crate) client: ClientName,
    /// The URL of a server, or names of servers of the file
    #[arg(value_name = "URL | SERVER")]
    pub(crate) words: Vec<String>,
    #[command(flatten)]
    pub(crate) servers: Servers,
}
