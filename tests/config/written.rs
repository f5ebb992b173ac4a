//! What is written down can be read again.

use callboard::{
    Auth, Secret, ServerSpec, Stdio, StreamableHttp,
    config::{self, Client},
};
use serde_json::{Value, json};

use super::{load, parse};

/// What is written is what was read, in either form.
#[test]
fn servers_come_back_from_what_they_are_written_as() {
    for (file, lossless) in [
        ("claude_desktop.json", true),
        ("claude_code.mcp.json", false),
        ("vscode.json", true),
        ("opencode.json", true),
        ("cline.json", true),
        ("windsurf.json", true),
        ("servers.hcl", true),
    ] {
        let specs = load(file).specs;
        let json = config::to_json(&specs);
        let back = config::parse_json(&json.text, "x.json").unwrap();
        assert!(back.faults.is_empty(), "{file}: {:#?}", back.faults);
        assert_eq!(back.specs, specs, "{file}: {}", json.text);
        assert!(json.left_out.is_empty(), "{file}: {:?}", json.left_out);
        let hcl = config::to_hcl(&specs);
        let back = config::parse_hcl(&hcl.text, "x.hcl").unwrap();
        assert!(back.faults.is_empty(), "{file}: {:#?}\n{}", back.faults, hcl.text);
        if lossless {
            assert_eq!(back.specs, specs, "{file}: {}", hcl.text);
            assert!(hcl.left_out.is_empty(), "{file}: {:?}", hcl.left_out);
        } else {
            let lost = "api-server: what stands for CALLBOARD_TEST_TEAM where it is not set";
            assert_eq!(hcl.left_out, [lost]);
        }
    }
}

#[test]
fn secrets_that_stand_in_the_open_are_not_written_again() {
    let stdio = Stdio::new("x")
        .env_from("A", Secret::literal("hunter2-hunter2"))
        .env_literal("API_TOKEN", "abcdef0123456789")
        .env_literal("ODD", "${not.a.reference} \"\u{1}%{if}");
    let remote = StreamableHttp::new("https://example.com/mcp")
        .sensitive_header("X-Api-Key", "abcdef0123456789")
        .auth(Auth::bearer(Secret::literal("hunter2-hunter2")));
    let specs = [ServerSpec::new("a", stdio), ServerSpec::new("b", remote)];
    for converted in [config::to_json(&specs), config::to_hcl(&specs)] {
        let text = &converted.text;
        assert!(!text.contains("hunter2") && !text.contains("abcdef"), "{text}");
        assert_eq!(
            converted.left_out,
            [
                "a: the value of env.A: set the variable A",
                "a: the value of env.API_TOKEN: set the variable API_TOKEN",
                "b: the value of the header x-api-key: set the variable X_API_KEY",
                "b: the secret of its auth: set the variable TOKEN",
            ]
        );
    }
    let odd = Stdio::new("x").env_literal("ODD", "${not.a.reference} \"\u{1}%{if}");
    let odd = [ServerSpec::new("a", odd)];
    assert_eq!(parse(&config::to_json(&odd).text).specs, odd);
    let hcl = config::to_hcl(&odd).text;
    assert_eq!(config::parse_hcl(&hcl, "x.hcl").unwrap().specs, odd, "{hcl}");
}

#[test]
fn a_server_can_be_written_for_each_client() {
    let local = Stdio::new("gh-mcp").args(["stdio", "--log"]).env("GITHUB_TOKEN");
    let local = ServerSpec::new("github", local).prefix("gh");
    let remote = StreamableHttp::new("https://mcp.linear.app/mcp")
        .auth(Auth::bearer(Secret::env("LINEAR_API_KEY")))
        .header("X-Team", "core");
    let remote = ServerSpec::new("linear", remote);
    let snippet = |client, spec| -> Value {
        let snippet = config::snippet(client, spec);
        serde_json::from_str(&snippet.text).unwrap()
    };
    assert_eq!(
        snippet(Client::Claude, &local),
        json!({ "mcpServers": { "github": { "type": "stdio", "command": "gh-mcp",
            "args": ["stdio", "--log"], "env": { "GITHUB_TOKEN": "${GITHUB_TOKEN}" } } } })
    );
    assert_eq!(
        config::snippet(Client::Claude, &local).left_out,
        ["what only callboard knows: prefix"]
    );
    assert_eq!(
        snippet(Client::Cursor, &remote),
        json!({ "mcpServers": { "linear": { "url": "https://mcp.linear.app/mcp",
            "headers": { "x-team": "core", "Authorization": "Bearer ${env:LINEAR_API_KEY}" } } } })
    );
    assert_eq!(snippet(Client::VsCode, &remote)["servers"]["linear"]["type"], "http");
    assert_eq!(
        snippet(Client::OpenCode, &local),
        json!({ "mcp": { "github": { "type": "local", "command": ["gh-mcp", "stdio", "--log"],
            "environment": { "GITHUB_TOKEN": "{env:GITHUB_TOKEN}" }, "enabled": true } } })
    );
    assert_eq!(
        config::snippet(Client::Codex, &local).text,
        "[mcp_servers.github]\ncommand = \"gh-mcp\"\nargs = [\"stdio\",\"--log\"]\n\
         env_vars = [\"GITHUB_TOKEN\"]\n"
    );
    assert_eq!(
        config::snippet(Client::Codex, &remote).text,
        "[mcp_servers.linear]\nurl = \"https://mcp.linear.app/mcp\"\n\
         bearer_token_env_var = \"LINEAR_API_KEY\"\nhttp_headers = { x-team = \"core\" }\n"
    );
    // What is written for a client can be read again.
    for client in Client::ALL {
        for spec in [&local, &remote] {
            let text = config::snippet(client, spec).text;
            let back = match client {
                Client::Codex => config::parse_toml(&text, "x.toml").unwrap(),
                _ => parse(&text),
            };
            assert!(back.faults.is_empty() && back.warnings.is_empty(), "{text}: {back:?}");
            assert_eq!(back.specs[0].name(), spec.name());
        }
    }
}
