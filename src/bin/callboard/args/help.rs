//! What `--help` teaches, after it has listed what there is.

pub(super) const CALLBOARD: &str = "\
Which servers:
  a file of any client    callboard tools --config .mcp.json   (or CALLBOARD_CONFIG=FILE)
  a command after `--`    callboard tools -- npx -y @modelcontextprotocol/server-everything
  a URL                   callboard tools https://example.com/mcp

First steps:
  callboard doctor --config .mcp.json                   does it all work?
  callboard tools -- mcp-server-git                     what can it do?
  callboard tools git_log -- mcp-server-git             what does this tool take?
  callboard call git_log repo_path=. -- mcp-server-git  do it

Exit codes:
  0    done
  1    the tool said that it failed, or its server answered with an error
  2    the command line or a config file is wrong
  3    a server is not connected, or was lost (transport_down)
  4    there was no answer in time
  130  stopped by Ctrl-C (143: by SIGTERM); calls are cancelled, and nothing is left running

Results go to stdout; everything else, logs included (-v, RUST_LOG), goes to stderr.";

pub(super) const TOOLS: &str = "\
Examples:
  callboard tools -- npx -y @modelcontextprotocol/server-everything
  callboard tools --config servers.hcl
  callboard tools https://example.com/mcp 'search*'
  callboard tools get-sum -- mcp-server-everything      one tool: what it takes, in full
  callboard tools --json -- mcp-server-git | jq '.tools[].id'";

pub(super) const CALL: &str = "\
Arguments:
  a=2 b=3              typed by the tool's schema: numbers, booleans, text
  tag=x tag=y          a list, by repetition
  filter:='{\"x\":1}'    JSON, whatever the schema says
  '{\"a\":2,\"b\":3}'      all of them as JSON; @FILE or - (stdin) reads it from there

The name of the server may be left out where only one has such a tool. Images, sounds and other
files of the answer are saved, and their paths printed.

Examples:
  callboard call --config .mcp.json github.search_issues query=bug
  callboard call get-sum a=2 b=3 -- mcp-server-everything
  callboard call https://example.com/mcp search query='open issues' --timeout 30s
  callboard call --json get-sum '{\"a\":2,\"b\":3}' -- mcp-server-everything | jq .result";

pub(super) const RESOURCES: &str = "\
Examples:
  callboard resources -- mcp-server-everything
  callboard resources --json https://example.com/mcp | jq '.resources[].uri'";

pub(super) const READ: &str = "\
Text is printed. What is no text is saved to a file, or written to stdout if that is no terminal.

Examples:
  callboard read demo://resource/dynamic/text/1 -- mcp-server-everything
  callboard read https://example.com/mcp file:///logo.png >logo.png";

pub(super) const PROMPTS: &str = "\
Examples:
  callboard prompts -- mcp-server-everything";

pub(super) const PROMPT: &str = "\
Examples:
  callboard prompt args-prompt city=Bern -- mcp-server-everything";

pub(super) const DOCTOR: &str = "\
Each server is started and asked for its tools. What is wrong is explained; what is odd is a warning,
and does not count as a failure.

Examples:
  callboard doctor --config ~/.config/Claude/claude_desktop_config.json
  callboard doctor --config servers.hcl github linear
  callboard doctor -- npx -y @modelcontextprotocol/server-everything";

pub(super) const WATCH: &str = "\
On a terminal: a screen with each server's status, epoch (which start of it), process, restarts, calls
in flight and latency, its last error, and what servers log and write on stderr. ↑ and ↓ select a
server, r restarts it, q closes the session and ends. A file is followed: when it changes, what is new
in it starts, what is gone stops, and what is as before goes on. Elsewhere: a line for everything that happens,
until Ctrl-C. With --json: what it looks like once all servers have started or failed, and no more.

Examples:
  callboard watch --config .mcp.json
  callboard watch --config .mcp.json github --every 1s
  callboard watch --config .mcp.json | grep ' status '";

pub(super) const LOGIN: &str = "\
The URL to log in at is printed; nothing is opened. Tokens are kept for the next command in the folder
that the file names, or else in ~/.local/share/callboard/tokens, readable by nobody else.

Examples:
  callboard login https://example.com/mcp
  callboard login --config .mcp.json linear";

pub(super) const BENCH: &str = "\
Every call is made: take a tool that may be called often.

Examples:
  callboard bench echo message=hi -n 1000 -c 16 -- mcp-server-everything
  callboard bench --json https://example.com/mcp search query=x -n 50 | jq .latency_seconds.p99";

pub(super) const SNIPPET: &str = "\
Secrets stay references to variables. What the client's file cannot say is told on stderr.

Examples:
  callboard snippet --client claude --config servers.hcl github
  callboard snippet --client codex -- npx -y @modelcontextprotocol/server-everything
  callboard snippet --client vscode https://example.com/mcp";

pub(super) const SCHEMA: &str = "\
Examples:
  callboard config schema >mcp.schema.json
  callboard config schema --form hcl";

pub(super) const CHECK: &str = "\
Each finding has file, line and column. Exit code 2 if an entry cannot be used.

Examples:
  callboard config check ~/.cursor/mcp.json
  callboard config check --json servers.hcl | jq .faults";

pub(super) const CONVERT: &str = "\
Secrets stay references; what cannot be written in the other form is told on stderr.

Examples:
  callboard config convert .mcp.json >servers.hcl
  callboard config convert servers.hcl --to json";

pub(super) const COMPLETIONS: &str = "\
Examples:
  callboard completions bash >~/.local/share/bash-completion/completions/callboard
  callboard completions zsh >~/.zfunc/_callboard
  callboard completions fish >~/.config/fish/completions/callboard.fish";
