use super::*;

fn code(text: &str) -> &'static str {
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    read(&lines).and_then(|diagnosis| diagnosis.cause).map_or("", |cause| cause.code)
}

/// What servers were seen to say, each by the tool that says it, and what it means.
const SEEN: &[(&str, &str)] = &[
    (
        "Traceback (most recent call last):\n  File \"/srv/s.py\", line 3, in <module>\n    \
             from mcp.server.fastmcp import FastMCP\nModuleNotFoundError: No module named 'mcp'",
        "python_module_missing",
    ),
    (
        "node:internal/modules/cjs/loader:1228\n  throw err;\n  ^\n\nError: Cannot find module \
             '/srv/dist/index.js'\n    at Module._resolveFilename (node:internal)\n  code: \
             'MODULE_NOT_FOUND',\n  requireStack: []\n}\n\nNode.js v22.1.0",
        "node_module_missing",
    ),
    (
        "Error [ERR_MODULE_NOT_FOUND]: Cannot find package 'zod' imported from /srv/x.js",
        "node_module_missing",
    ),
    (
        "npm error code E404\nnpm error 404 Not Found - GET https://npm.example/@x%2fy\nnpm \
             error 404  '@x/y@*' is not in this registry.",
        "npm_package_missing",
    ),
    ("npm error could not determine executable to run", "npm_program_missing"),
    ("npm ERR! code EACCES\nnpm ERR! syscall mkdir", "npm_cache"),
    ("npm error code ENOTFOUND\nnpm error network request failed", "registry_unreachable"),
    (
        "  × No solution found when resolving tool dependencies:\n  ╰─▶ Because mcp-x was not \
             found in the package registry and you require mcp-x",
        "python_package_missing",
    ),
    (
        "error: Failed to spawn: `mysql_server`\n  Caused by: No such file or directory",
        "python_program_missing",
    ),
    (
        "docker: Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the \
             docker daemon running?.",
        "docker_not_running",
    ),
    ("the input device is not a TTY", "docker_wants_terminal"),
    ("Error: listen EADDRINUSE: address already in use :::3000", "port_taken"),
    ("FATAL ERROR: Reached heap limit - JavaScript heap out of memory", "out_of_memory"),
    ("sh: 1: tsx: not found", "program_missing"),
    ("env: ‘node’: No such file or directory", "program_missing"),
    ("/bin/sh: line 1: uvx: command not found", "program_missing"),
    ("SyntaxError: Unexpected token '??='", "runtime_version"),
    ("Error: self-signed certificate in certificate chain", "certificate_refused"),
    ("requests.exceptions.HTTPError: 401 Unauthorized", "key_refused"),
    ("Error: connect ECONNREFUSED 127.0.0.1:5432", "service_unreachable"),
    ("Error: EACCES: permission denied, open '/root/x'", "permission_denied"),
    ("python3: can't open file '/x/server.py': [Errno 2] No such file", "file_missing"),
    ("thread 'main' panicked at src/main.rs:3:5:\nboom", "crashed"),
    ("Error: GITHUB_TOKEN environment variable is required", "variable_missing"),
    ("Please set your API key: api key is missing", "variable_missing"),
    ("KeyError: 'SLACK_BOT_TOKEN'", "variable_missing"),
    ("run.sh: line 3: DB_URL: unbound variable", "variable_missing"),
    (
        "usage: server.py [-h] --root ROOT\nserver.py: error: the following arguments are required: --root",
        "arguments_refused",
    ),
    ("error: unexpected argument '--stdio' found\n\nUsage: server [OPTIONS]", "arguments_refused"),
    ("starting", ""),
    ("", ""),
];

#[test]
fn what_servers_say_is_understood() {
    for &(said, meant) in SEEN {
        assert_eq!(code(said), meant, "{said}");
    }
}

#[test]
fn a_missing_variable_is_named_and_the_telling_line_quoted() {
    let read = |line: &str| read(&[line.to_owned()]).and_then(|one| one.cause).unwrap().sentence;
    assert_eq!(
        read("Error: GITHUB_PERSONAL_ACCESS_TOKEN not set"),
        "GITHUB_PERSONAL_ACCESS_TOKEN is not set in the environment of the child"
    );
    let sentence = read("ModuleNotFoundError: No module named 'mcp'");
    assert!(sentence.ends_with("(ModuleNotFoundError: No module named 'mcp')"), "{sentence}");
    assert!(read(&format!("permission denied {}", "x".repeat(900))).chars().count() < 300);
}

#[test]
fn servers_of_http_and_installers_are_known_by_what_they_say() {
    let lines = |text: &str| vec![text.to_owned()];
    let uvicorn = "INFO:     Uvicorn running on http://127.0.0.1:8000 (Press CTRL+C to quit)";
    assert!(http_address(&lines(uvicorn)).is_some());
    assert!(http_address(&lines("Secure MCP Filesystem Server running on stdio")).is_none());
    assert!(is_installing(&lines("npm warn exec The following package was not found")));
    assert!(!is_installing(&lines("ready")));
}
