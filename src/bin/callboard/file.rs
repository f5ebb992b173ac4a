//! The servers of a config file, as far as they are right and asked for.

use std::path::{Path, PathBuf};

use callboard::{
    ServerSpec,
    config::{self, Fault, LoadError, Loaded},
};
use serde_json::json;

use crate::{
    Context,
    args::Servers,
    console::harmless,
    exit::{Exit, Failure},
    servers::Declared,
};

/// Names a file, where the command line does not.
const VARIABLE: &str = "CALLBOARD_CONFIG";

/// Files of clients that may lie in a project. They are not read unless they are named: whoever wrote
/// them decides what is run.
const USUAL: [&str; 5] =
    ["callboard.hcl", "callboard.json", ".mcp.json", ".vscode/mcp.json", ".cursor/mcp.json"];

/// The file that is to be read, if there is any.
pub(crate) fn path(args: &Servers) -> Option<PathBuf> {
    let named = || std::env::var_os(VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
    args.config.clone().or_else(named)
}

/// What to do where no server is named.
pub(crate) fn none() -> Failure {
    let here = USUAL.iter().find(|path| Path::new(path).exists());
    let here = here.map(|path| {
        format!("\n  callboard tools --config {path}      what it names is run: look at it first")
    });
    Failure::usage(format!(
        "no server: name a file, a command after `--`, or a URL{}\n  \
         callboard tools --config FILE\n  \
         callboard tools -- npx -y @modelcontextprotocol/server-everything\n  \
         callboard tools https://example.com/mcp",
        here.unwrap_or_default()
    ))
}

/// Says what is odd in a file, about the servers of these names if there are any.
fn tell(context: &Context, loaded: &Loaded, names: &[String]) {
    let meant = |fault: &&Fault| names.is_empty() || names.iter().any(|one| concerns(fault, one));
    for warning in loaded.warnings.iter().filter(meant) {
        context.console.warn(&harmless(&warning.to_string()));
    }
    for note in loaded.notes.iter().filter(meant).filter(|_| context.verbose > 0) {
        context.console.note(&harmless(&format!("note: {note}")));
    }
}

/// Whether a fault is about the server of this name.
fn concerns(fault: &Fault, name: &str) -> bool {
    fault.path.split(['.', '"']).any(|part| part == name)
}

pub(crate) fn unusable(error: &LoadError) -> Failure {
    match error {
        LoadError::Syntax(fault) => failure(fault),
        other => Failure::new(Exit::Usage, "config", other.to_string()),
    }
}

/// A fault of a file, as a failure.
pub(crate) fn failure(fault: &Fault) -> Failure {
    let mut failure = Failure::new(Exit::Usage, "config", fault.to_string());
    failure.more = vec![
        ("file", json!(fault.file)),
        ("line", json!(fault.line)),
        ("column", json!(fault.column)),
        ("path", json!(fault.path)),
    ];
    failure
}

/// The servers of a file that are asked for: all, or those of these names.
pub(crate) fn chosen(
    context: &Context,
    path: &Path,
    names: &[String],
) -> Result<Declared, Failure> {
    let loaded = config::load(path).map_err(|error| unusable(&error))?;
    tell(context, &loaded, names);
    chosen_of(loaded, path, names)
}

/// The same, of a file that has been read: nothing, where one that is named cannot be had.
fn chosen_of(loaded: Loaded, path: &Path, names: &[String]) -> Result<Declared, Failure> {
    // Of all servers, those that are right are opened beside those that are not.
    let all_wanted = !names.is_empty() || loaded.faults.is_empty();
    let mut declared = remaining(loaded, path, names);
    match declared.faults.is_empty() || !all_wanted {
        true => Ok(declared),
        false => Err(declared.faults.swap_remove(0)),
    }
}

/// Those of the servers that are asked for that a file still has, and why it does not have the others.
pub(crate) fn remaining(loaded: Loaded, path: &Path, names: &[String]) -> Declared {
    let missing = names.iter().filter_map(|name| is_there(&loaded, name, path).err());
    let mut faults: Vec<_> = missing.collect();
    // Where some are named, what is wrong with the others is nobody's business.
    if names.is_empty() {
        faults.extend(loaded.faults.iter().map(failure));
        if loaded.specs.is_empty() && faults.is_empty() {
            let text = format!("{} declares no server that is not disabled", path.display());
            faults.push(Failure::new(Exit::Usage, "config", text));
        }
    }
    let mut specs = loaded.specs;
    specs.retain(|spec| names.is_empty() || names.iter().any(|name| name == spec.name()));
    Declared { specs, faults, inputs: loaded.inputs }
}

/// Whether a file has a server of this name that can be used.
fn is_there(loaded: &Loaded, name: &str, path: &Path) -> Result<(), Failure> {
    if loaded.specs.iter().any(|spec| spec.name() == name) {
        return Ok(());
    }
    if let Some(fault) = loaded.faults.iter().find(|fault| concerns(fault, name)) {
        return Err(failure(fault));
    }
    if loaded.disabled.iter().any(|one| one == name) {
        let text = format!("server {name:?} is disabled in {}", path.display());
        return Err(Failure::new(Exit::Usage, "config", text));
    }
    Err(unknown(&loaded.specs, name, path))
}

fn unknown(specs: &[ServerSpec], name: &str, path: &Path) -> Failure {
    let names: Vec<_> = specs.iter().map(ServerSpec::name).collect();
    let text =
        format!("there is no server {name:?} in {}, but {}", path.display(), names.join(", "));
    Failure::new(Exit::Usage, "unknown_server", text)
}
