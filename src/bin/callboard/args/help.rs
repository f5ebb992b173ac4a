//! What `--help` teaches, after it has listed what there is.

pub(super) const CALLBOARD: &str = "\
Which servers:
  a command after `--`    callboard tools -- npx -y @modelcontextprotocol/server-everything
  a URL                   callboard tools https://example.com/mcp

First steps:
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

pub(super) const COMPLETIONS: &str = "\
Examples:
  callboard completions bash >~/.local/share/bash-completion/completions/callboard
  callboard completions zsh >~/.zfunc/_callboard
  callboard completions fish >~/.config/fish/completions/callboard.fish";
