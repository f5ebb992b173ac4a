//! Servers declared in files: the JSON of MCP clients as it is, and HCL.
//!
//! [`load`] reads a file; what comes of it are [`ServerSpec`]s, to be given to
//! [`SessionBuilder::servers`](crate::SessionBuilder::servers), and whatever is wrong with the file,
//! each with its line. One entry that is wrong does not take the others with it.
//!
//! ```
//! let loaded = callboard::config::parse_json(
//!     r#"{ "mcpServers": { "git": { "command": "git-mcp" }, "web": { "ulr": "https://…" } } }"#,
//!     "servers.json",
//! )?;
//! assert_eq!(loaded.specs[0].name(), "git");
//! assert_eq!(
//!     loaded.faults[0].to_string(),
//!     "servers.json:1:52: mcpServers.web: it has neither a command nor a url; \
//!      name the program to start, or the URL to talk to",
//! );
//! assert!(loaded.warnings[0].to_string().ends_with("did you mean \"url\"?"));
//! # Ok::<(), callboard::config::LoadError>(())
//! ```
//!
//! # JSON
//!
//! Servers are found under `mcpServers` (Claude Desktop, Claude Code, Cursor, Windsurf, Cline),
//! `servers` (VS Code), `mcp` (opencode) and `context_servers` (Zed); with the feature `toml`, under
//! `mcp_servers` of a TOML file (Codex), too. What only callboard knows
//! stands in an entry under `"callboard"`:
//!
//! ```json
//! {
//!   "mcpServers": {
//!     "github": {
//!       "command": "github-mcp-server",
//!       "args": ["stdio"],
//!       "env": { "GITHUB_TOKEN": "${GITHUB_TOKEN}" },
//!       "callboard": { "prefix": "gh", "request_timeout": "30s", "restart": { "max_restarts": 3 } }
//!     }
//!   }
//! }
//! ```
//!
//! # HCL
//!
//! With the feature `hcl`, files that end so: the same keys, in blocks.
//!
//! ```hcl
//! mcp_server "linear" {
//!   transport = "streamable_http"
//!   url       = "https://mcp.linear.app/mcp"
//!   auth      = { type = "bearer", env = "LINEAR_API_KEY" }
//!
//!   restart { max_restarts = 3 }
//!   tools "get_*" { request_timeout = "5s" }
//! }
//! ```
//!
//! Nothing in it is evaluated; `${env.NAME}` may stand where a secret may: in `env`, `headers`,
//! `args` and `auth`. `env` is a list of variables to pass on, or an object:
//! `env = { TOKEN = { env = "GITHUB_TOKEN" }, LEVEL = "debug" }`.
//!
//! # Variables
//!
//! `${VAR}`, `${VAR:-otherwise}` and `${env:VAR}` are variables of the host's environment,
//! `${input:id}` is what the host's [`SecretProvider`](crate::SecretProvider) knows as `input:id`
//! (see [`Loaded::inputs`]). In `env`, `headers`, `args` and `auth` they become references, which are
//! resolved when a connection is made, and never stand in a [`ServerSpec`]; in `command`, `url`,
//! `cwd` and names of files they are read with the file.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a document has many kinds of parts, and each place takes one or two of them"
)]

mod auth;
mod clients;
mod convert;
mod document;
mod entry;
mod fault;
mod files;
#[cfg(feature = "hcl")]
mod hcl;
mod json;
mod options;
mod policies;
mod reached;
mod reader;
mod schema;
mod secrets;
mod snippet;
mod table;
#[cfg(feature = "toml")]
mod toml;
mod tree;
mod watch;
mod words;
mod write_auth;
#[cfg(feature = "hcl")]
mod write_hcl;
mod written;

use std::{
    collections::HashMap,
    env, io,
    path::{Path, PathBuf},
    sync::Arc,
};

pub use convert::{Converted, to_json};
pub use fault::Fault;
pub use schema::{Form, schema};
pub use snippet::{Client, snippet};
pub use watch::{FeedError, Watch, watch};
#[cfg(feature = "hcl")]
pub use write_hcl::to_hcl;

use crate::spec::ServerSpec;
use document::Declared;
use reader::{Notation, Reader, Source};
use tree::Node;

/// No file of servers is larger; one that also keeps a client's history comes near it.
const LARGEST: u64 = 16 << 20;

/// What a file declares, and what is wrong with it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Loaded {
    /// The servers that can be used, in the order of the file.
    pub specs: Vec<ServerSpec>,
    /// The names of the servers that the file leaves out as disabled.
    pub disabled: Vec<String>,
    /// The names of the servers that cannot be used as they stand there; why, is in
    /// [`faults`](Self::faults). None of them is among the [`specs`](Self::specs), also where another
    /// entry of the name could be used.
    pub broken: Vec<String>,
    /// What the host has to be able to answer.
    pub inputs: Vec<Input>,
    /// What keeps an entry from being used. Each is about one entry; its siblings are in
    /// [`specs`](Self::specs).
    pub faults: Vec<Fault>,
    /// What is odd: unknown keys, secrets that stand in the file.
    pub warnings: Vec<Fault>,
    /// What is known to mean something to a client, and has no effect here.
    pub notes: Vec<Fault>,
    lines: HashMap<String, usize>,
}

impl Loaded {
    /// The line, from 1, in which a server begins.
    #[must_use]
    pub fn line_of(&self, server: &str) -> Option<usize> {
        self.lines.get(server).copied()
    }
}

/// What a file has a person asked for (VS Code's `inputs`): `${input:id}` stands for the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Input {
    /// Its id in the file.
    pub id: String,
    /// What the host's [`SecretProvider`](crate::SecretProvider) is asked for: `input:` and the id.
    pub secret_name: String,
    /// What to ask.
    pub description: Option<String>,
    /// The answer to propose.
    pub default: Option<String>,
    /// The answers to choose from; any, where there are none.
    pub options: Vec<String>,
    /// Whether nobody should see what is typed.
    pub password: bool,
}

/// Why nothing of a file can be used.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// It cannot be read.
    #[error("{} cannot be read: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: Arc<io::Error>,
    },
    /// It is not what its ending says: the first place where that shows.
    #[error("{0}")]
    Syntax(Fault),
    /// Files of this form are not read by this build.
    #[error("{}: {hint}", path.display())]
    UnknownForm {
        /// The file.
        path: PathBuf,
        /// What to do about it.
        hint: &'static str,
    },
}

/// Reads a file of servers; its ending says in which form it is (`.hcl` with the feature `hcl`,
/// `.toml` with the feature `toml`, anything else is JSON). `${workspaceFolder}` is the project that the file belongs to, or else the
/// current folder.
///
/// It reads the file, and what that names, and does not wait for anything else.
///
/// # Errors
///
/// [`LoadError`], if nothing of the file can be used.
pub fn load(path: impl AsRef<Path>) -> Result<Loaded, LoadError> {
    let path = path.as_ref();
    let unreadable =
        |cause| LoadError::Unreadable { path: path.to_owned(), cause: Arc::new(cause) };
    let content = files::read(path, LARGEST).map_err(unreadable)?;
    let text = String::from_utf8(content).map_err(|_| {
        unreadable(io::Error::new(io::ErrorKind::InvalidData, "it is no UTF-8 text"))
    })?;
    let file = path.display().to_string();
    let absolute = std::path::absolute(path).map_err(unreadable)?;
    match path.extension().and_then(|ending| ending.to_str()) {
        #[cfg(feature = "hcl")]
        Some("hcl") => parse_blocks(&text, &file, absolute.parent()),
        #[cfg(not(feature = "hcl"))]
        Some("hcl") => {
            let hint = "this program was built without HCL (the cargo feature `hcl` of callboard)";
            Err(LoadError::UnknownForm { path: path.to_owned(), hint })
        }
        #[cfg(feature = "toml")]
        Some("toml") => parse_toml_in(&text, &file, absolute.parent()),
        #[cfg(not(feature = "toml"))]
        Some("toml") => {
            let hint =
                "this program was built without TOML (the cargo feature `toml` of callboard)";
            Err(LoadError::UnknownForm { path: path.to_owned(), hint })
        }
        _ => parse(&text, &file, absolute.parent()),
    }
}

/// Reads servers from a text in JSON, as of a file of this name.
///
/// # Errors
///
/// [`LoadError::Syntax`], if it is no JSON.
pub fn parse_json(text: &str, name: &str) -> Result<Loaded, LoadError> {
    parse(text, name, None)
}

/// Reads servers from a text in HCL, as of a file of this name.
///
/// # Errors
///
/// [`LoadError::Syntax`], if it is no HCL.
#[cfg(feature = "hcl")]
pub fn parse_hcl(text: &str, name: &str) -> Result<Loaded, LoadError> {
    parse_blocks(text, name, None)
}

#[cfg(feature = "hcl")]
fn parse_blocks(text: &str, file: &str, folder: Option<&Path>) -> Result<Loaded, LoadError> {
    let text = unmarked(text);
    let root = hcl::parse(text).map_err(|broken| LoadError::Syntax(syntax(text, file, broken)))?;
    let project = project_of(folder);
    let source = Source { file, text, folder, project: &project, notation: Notation::Own };
    let mut reader = Reader::new(source, &root);
    let declared = hcl::read(&root, &mut reader);
    Ok(loaded(declared, reader))
}

/// Reads servers from a text in TOML, as of a file of Codex of this name.
///
/// # Errors
///
/// [`LoadError::Syntax`], if it is no TOML.
#[cfg(feature = "toml")]
pub fn parse_toml(text: &str, name: &str) -> Result<Loaded, LoadError> {
    parse_toml_in(text, name, None)
}

#[cfg(feature = "toml")]
fn parse_toml_in(text: &str, file: &str, folder: Option<&Path>) -> Result<Loaded, LoadError> {
    let text = unmarked(text);
    let root = toml::parse(text).map_err(|broken| LoadError::Syntax(syntax(text, file, broken)))?;
    Ok(of_client((text, file), folder, &root, Notation::Own))
}

fn parse(text: &str, file: &str, folder: Option<&Path>) -> Result<Loaded, LoadError> {
    let text = unmarked(text);
    let root = json::parse(text).map_err(|broken| LoadError::Syntax(syntax(text, file, broken)))?;
    Ok(of_client((text, file), folder, &root, Notation::Dollar))
}

fn of_client(
    (text, file): (&str, &str),
    folder: Option<&Path>,
    root: &Node,
    notation: Notation,
) -> Loaded {
    let project = project_of(folder);
    let source = Source { file, text, folder, project: &project, notation };
    let mut reader = Reader::new(source, root);
    let declared = document::read(root, &mut reader);
    loaded(declared, reader)
}

/// Some editors mark a text as UTF-8.
fn unmarked(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

fn loaded(declared: Declared, reader: Reader<'_>) -> Loaded {
    let Declared { specs, lines, disabled, broken, inputs } = declared;
    let Reader { faults, warnings, notes, .. } = reader;
    Loaded { specs, disabled, broken, inputs, faults, warnings, notes, lines }
}

fn syntax(text: &str, file: &str, (at, message): (usize, String)) -> Fault {
    let (line, column) = reader::place(text, &reader::line_starts(text), at);
    let (path, suggestion) = (String::new(), None);
    Fault { file: file.to_owned(), line, column, path, message, suggestion }
}

/// The project of a file: the folder that has the client's folder in it.
fn project_of(folder: Option<&Path>) -> PathBuf {
    let of_client = |folder: &&Path| {
        let name = folder.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| [".vscode", ".cursor", ".claude"].contains(&name))
    };
    let project = folder.filter(of_client).and_then(Path::parent).map(Path::to_owned);
    project.or_else(|| env::current_dir().ok()).unwrap_or_default()
}
