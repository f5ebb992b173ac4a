//! Which servers a command is about: one that the command line names, or those of a file.

use std::{ffi::OsString, path::Path};

use callboard::{Auth, Secret, ServerSpec, Stdio, StreamableHttp, config::Input};

use crate::{Context, args::Servers, exit::Failure, file, login};

/// Programs that run others: what comes after them names the server.
const RUNNERS: [&str; 13] = [
    "npx", "uvx", "uv", "bunx", "bun", "pnpm", "node", "python", "python3", "deno", "docker",
    "podman", "sh",
];

/// Words of runners that name nothing.
const RUNNER_WORDS: [&str; 5] = ["run", "exec", "dlx", "tool", "x"];

/// The servers that a command is about, and what of them cannot be had.
pub(crate) struct Declared {
    pub(crate) specs: Vec<ServerSpec>,
    pub(crate) faults: Vec<Failure>,
    /// What a person may be asked for.
    pub(crate) inputs: Vec<Input>,
}

/// The servers that a command is about, as they are to be opened. Of a file, those that may have this
/// tool, if it is known which these are.
pub(crate) fn declared(
    context: &Context,
    args: &Servers,
    url: Option<String>,
    tool: Option<&str>,
) -> Result<Declared, Failure> {
    let mut declared = named(context, args, url, tool)?;
    declared.specs = opened(args, declared.specs);
    Ok(declared)
}

/// Declarations as they are to be opened.
pub(crate) fn opened(args: &Servers, specs: Vec<ServerSpec>) -> Vec<ServerSpec> {
    let opened = |spec: ServerSpec| {
        let spec = match args.init_timeout {
            Some(limit) => spec.init_timeout(limit),
            None => spec,
        };
        // Whatever is not there is said, and costs the others nothing.
        login::or_login(args, spec).optional()
    };
    specs.into_iter().map(opened).collect()
}

/// The servers that a command is about, as they are declared.
pub(crate) fn named(
    context: &Context,
    args: &Servers,
    url: Option<String>,
    tool: Option<&str>,
) -> Result<Declared, Failure> {
    let one = |spec| Declared { specs: vec![spec], faults: Vec::new(), inputs: Vec::new() };
    match (url, args.command.split_first()) {
        (Some(_), Some(_)) => {
            Err(Failure::usage("a URL and a command are two servers: take one of them"))
        }
        (Some(_), None) | (None, Some(_)) if args.config.is_some() || !args.server.is_empty() => {
            Err(Failure::usage("--config and --server are for the servers of a file"))
        }
        (Some(url), None) => Ok(one(remote(args, &url)?)),
        (None, Some((command, rest))) => Ok(one(local(args, command, rest)?)),
        (None, None) => of_file(context, args, tool),
    }
}

fn of_file(context: &Context, args: &Servers, tool: Option<&str>) -> Result<Declared, Failure> {
    let Some(path) = file::path(args) else { return Err(file::none()) };
    let own = [!args.env.is_empty(), args.env_all, args.cwd.is_some(), !args.header.is_empty()];
    if own.contains(&true) || args.bearer.is_some() {
        return Err(Failure::usage("--env, --header and their like are written into the file"));
    }
    let mut declared = file::chosen(context, &path, &args.server)?;
    if let Some(tool) = tool {
        let may_have = |spec: &ServerSpec| {
            let rest = tool.strip_prefix(spec.tool_prefix());
            rest.is_some_and(|rest| rest.starts_with('.'))
        };
        if declared.specs.iter().any(may_have) {
            declared.specs.retain(|spec| may_have(spec) || spec.tool_prefix().is_empty());
        }
    }
    Ok(declared)
}

fn local(args: &Servers, command: &OsString, rest: &[OsString]) -> Result<ServerSpec, Failure> {
    if !args.header.is_empty() || args.bearer.is_some() {
        return Err(Failure::usage("--header and --bearer are for a URL: give a command --env"));
    }
    let mut stdio = Stdio::new(command).args(rest);
    if args.env_all {
        for (name, _) in std::env::vars_os() {
            stdio = stdio.env(name);
        }
    }
    for variable in &args.env {
        stdio = match variable.split_once('=') {
            Some((name, value)) => stdio.env_literal(name, value),
            None => stdio.env(variable),
        };
    }
    if let Some(folder) = &args.cwd {
        stdio = stdio.cwd(folder);
    }
    Ok(ServerSpec::new(name_of(command, rest), stdio))
}

fn remote(args: &Servers, url: &str) -> Result<ServerSpec, Failure> {
    if !args.env.is_empty() || args.env_all || args.cwd.is_some() {
        return Err(Failure::usage("--env and --cwd are for a command: give a URL --header"));
    }
    let mut remote = StreamableHttp::new(url);
    for header in &args.header {
        let Some((name, value)) = header.split_once(':') else {
            return Err(Failure::usage(format!("--header {header:?} has no colon: NAME: VALUE")));
        };
        remote = remote.sensitive_header(name.trim(), value.trim());
    }
    if let Some(variable) = &args.bearer {
        remote = remote.auth(Auth::bearer(Secret::env(variable)));
    }
    if args.allow_http {
        remote = remote.allow_plain_http();
    }
    let host = url.split("://").nth(1).unwrap_or_default();
    let host = host.split(['/', ':', '?', '#']).next().unwrap_or_default();
    Ok(ServerSpec::new(name_like(host), remote))
}

/// A name for the server that a command starts: `npx -y @scope/server-git@1.2` is `server-git`.
fn name_of(command: &OsString, rest: &[OsString]) -> String {
    let stem = |word: &OsString| {
        let name = Path::new(word).file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = name.split_once('@').map_or(name.clone(), |(name, _)| name.to_owned());
        let ending = [".py", ".js", ".mjs", ".cjs", ".ts", ".exe", ".sh"];
        ending.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name).to_owned()
    };
    let program = stem(command);
    let is_runner = RUNNERS
        .contains(&program.trim_end_matches(|c: char| ".0123456789".contains(c)))
        || RUNNERS.contains(&program.as_str());
    let named = rest.iter().find(|word| {
        let text = word.to_string_lossy();
        !text.starts_with('-') && !RUNNER_WORDS.contains(&&*text)
    });
    name_like(&named.filter(|_| is_runner).map_or(program, stem))
}

/// The nearest name that a server may have.
fn name_like(text: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let name: String = text.chars().map(safe).take(64).collect();
    let name = name.trim_matches('-');
    if name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        name.to_owned()
    } else {
        format!("server-{name}").trim_end_matches('-').chars().take(64).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_after_what_is_run() {
        for (command, name) in [
            ("npx -y @modelcontextprotocol/server-everything", "server-everything"),
            ("npx -y @scope/server-git@1.2.3 --flag", "server-git"),
            ("/usr/bin/python3.11 /srv/tools/my_server.py", "my_server"),
            ("uv run --quiet weather", "weather"),
            ("mcp-server-git --repository .", "mcp-server-git"),
            ("docker run -i --rm mcp/fetch", "fetch"),
            ("./7zip", "server-7zip"),
            ("python3", "python3"),
            ("...", "server"),
        ] {
            let mut words = command.split(' ').map(OsString::from);
            let program = words.next().unwrap();
            assert_eq!(name_of(&program, &words.collect::<Vec<_>>()), name, "{command}");
        }
        assert_eq!(name_like("127.0.0.1"), "server-127-0-0-1");
        assert_eq!(name_like("mcp.example.com"), "mcp-example-com");
    }
}
