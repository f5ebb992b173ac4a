//! Files of servers: those of clients as they are, and everything that can be wrong with one.

#[path = "support/world.rs"]
mod world;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use callboard::{
    Auth, Secret, ServerSpec, Stdio, StreamableHttp, Transport,
    config::{self, Client, FeedError, Form, LoadError, Loaded},
};
use proptest::prelude::*;
use serde_json::{Value, json};
use world::{World, await_status};

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config").join(name)
}

fn load(name: &str) -> Loaded {
    let loaded = config::load(sample(name)).unwrap();
    assert!(loaded.faults.is_empty(), "{:#?}", loaded.faults);
    loaded
}

fn parse(text: &str) -> Loaded {
    config::parse_json(text, "x.json").unwrap()
}

/// Everything that is said of a server, as debugging shows it.
fn shown(loaded: &Loaded, server: &str) -> String {
    format!("{:?}", spec(loaded, server))
}

fn spec<'a>(loaded: &'a Loaded, server: &str) -> &'a ServerSpec {
    loaded.specs.iter().find(|spec| spec.name() == server).unwrap()
}

fn names(loaded: &Loaded) -> Vec<&str> {
    loaded.specs.iter().map(ServerSpec::name).collect()
}

fn lines(faults: &[config::Fault]) -> Vec<String> {
    faults.iter().map(ToString::to_string).collect()
}

#[test]
fn files_of_claude_desktop_load() {
    let loaded = load("claude_desktop.json");
    assert_eq!(names(&loaded), ["filesystem", "weather"]);
    assert_eq!(loaded.line_of("weather"), Some(8));
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    assert_eq!(loaded.notes.len(), 1, "of the shortcut");
    assert!(shown(&loaded, "filesystem").contains("server-filesystem"));
}

#[test]
fn files_of_claude_code_load() {
    let loaded = load("claude_code.mcp.json");
    assert_eq!(names(&loaded), ["api-server", "airtable", "asana", "registered"]);
    assert!(matches!(spec(&loaded, "asana").transport(), Transport::HttpSse(_)));
    let api = shown(&loaded, "api-server");
    assert!(api.contains("https://api.example.com/mcp"), "{api}");
    assert!(api.contains("Secret(text with env CALLBOARD_TEST_KEY)"), "{api}");
    assert!(api.contains("Secret(env CALLBOARD_TEST_TEAM, or a default)"), "{api}");
    let airtable = shown(&loaded, "airtable");
    assert!(airtable.contains("Secret(text with env CALLBOARD_TEST_AIRTABLE)"), "{airtable}");
    assert!(airtable.contains("Secret(env CALLBOARD_TEST_AIRTABLE)"), "{airtable}");
    assert_eq!(names(&load("claude_code_user.json")), ["search"]);
}

#[test]
fn files_of_cursor_load() {
    let loaded = load("cursor.json");
    assert_eq!(names(&loaded), ["local-tools", "hosted", "registered"]);
    assert_eq!(
        lines(&loaded.warnings)[0].split_once("cursor.json:").unwrap().1,
        "3:5: mcpServers.local tools: it is called \"local-tools\" here, for tool ids begin with it",
    );
    let local = shown(&loaded, "local-tools");
    assert!(!local.contains("${") && local.contains("/bin/tools-mcp"), "{local}");
    assert!(local.contains("\"FROM_FILE\", Secret(literal)"), "{local}");
    assert!(local.contains("Secret(env CALLBOARD_TEST_KEY)"), "{local}");
    assert!(shown(&loaded, "registered").contains("Secret(env CALLBOARD_TEST_SECRET)"));
}

#[test]
fn files_of_vs_code_load_and_name_what_has_to_be_asked() {
    let loaded = load("vscode.json");
    assert_eq!(names(&loaded), ["perplexity", "fetch"]);
    let [key, level] = loaded.inputs.as_slice() else { panic!("{:?}", loaded.inputs) };
    assert_eq!((key.id.as_str(), key.password), ("perplexity-key", true));
    assert_eq!(level.options, ["low", "high"]);
    assert_eq!(level.default.as_deref(), Some("low"));
    let shown = shown(&loaded, "perplexity");
    assert!(shown.contains(&format!("Secret(provider {})", key.secret_name)), "{shown}");
}

#[test]
fn files_of_opencode_and_others_load() {
    let loaded = load("opencode.json");
    assert_eq!(names(&loaded), ["everything", "context7"]);
    assert_eq!(loaded.disabled, ["jira"]);
    let everything = shown(&loaded, "everything");
    assert!(everything.contains("Secret(env CALLBOARD_TEST_LEVEL)"), "{everything}");
    assert!(everything.contains("/.secret)"), "{everything}");

    let loaded = load("windsurf.json");
    assert_eq!(names(&loaded), ["figma"]);
    assert!(lines(&loaded.warnings)[0].contains("figma.disabledTools: it has no effect"));

    let loaded = load("cline.json");
    assert_eq!((names(&loaded), loaded.disabled.len()), (vec!["notes"], 1));
    assert!(lines(&loaded.warnings)[0].contains("notes.timeout: clients differ"));
    assert_eq!(names(&load("zed.json")), ["docs"]);
}

#[test]
fn all_of_our_own_keys_are_read() {
    let loaded = parse(
        r#"{ "mcpServers": { "a": { "command": "x", "callboard": {
            "prefix": "gh", "required": true, "init_timeout": "5s", "request_timeout": "1m 30s",
            "total_timeout": 300, "restart": { "policy": "always", "max_restarts": 3, "window": "10s",
            "reset_after": "20s", "initial_delay": "1s", "max_delay": "2s", "jitter": false },
            "limits": { "max_calls": 7, "max_concurrent": 2, "max_frame": 1024, "max_tools": 9,
            "max_pages": 8, "max_call_bytes": 77, "max_cached": 1, "max_cached_bytes": 2 },
            "trust_annotations": true, "tags": ["x"], "circuit_breaker": { "threshold": 2 },
            "rate_limit": { "calls": 30, "per": "60s", "burst": 3 }, "roots": ["file:///tmp"],
            "stop_when_idle": "5m", "when_down": "wait", "retry": { "max_attempts": 3 },
            "cache": { "keep_for": "60s" }, "meta": { "k": [1, "two", null] },
            "tools": { "get_*": { "request_timeout": "5s", "cache": { "policy": "off" } } },
            "eof_grace": "1s", "term_grace": "3s" } } } }"#,
    );
    assert!(loaded.faults.is_empty() && loaded.warnings.is_empty(), "{loaded:#?}");
    let shown = shown(&loaded, "a");
    for part in [
        "prefix: Some(\"gh\")",
        "required: true",
        "init_timeout: 5s",
        "idle_timeout: Some(90s)",
        "total_timeout: Some(300s)",
        "mode: Always, max_restarts: 3, window: 10s, reset_after: 20s, \
         backoff: Backoff { initial: 1s, max: 2s, jitter: false }",
        "max_calls: 7, max_concurrent: Some(2), max_cached: (1, 2), max_call_bytes: 77",
        "CircuitBreaker { threshold: 2, recovery: 60s }",
        "RateLimit { calls: 30, per: 60s, burst: 3 }",
        "stop_when_idle: Some(300s)",
        "when_down: Some(Wait)",
        "RetryPolicy { max_attempts: 3",
        "(\"get_*\", CallOptions { idle_timeout: Some(5s)",
        "eof_grace: 1s, term_grace: 3s",
    ] {
        assert!(shown.contains(part), "{part} is not in {shown}");
    }
}

#[test]
fn one_bad_entry_does_not_lose_its_siblings() {
    let loaded = parse(
        r#"{
  "mcpServers": {
    "good": { "command": "x" },
    "both": { "command": "x", "url": "https://example.com" },
    "neither": {},
    "typo": { "command": "x", "callboard": { "requst_timeout": "5s" } },
    "type": { "type": "stido", "command": "x" },
    "time": { "command": "x", "callboard": { "init_timeout": "soon" } },
    "wrong": { "command": 5.5, "args": "x" },
    "stray": { "command": "x", "callboard": { "auth": { "type": "bearer", "env": "A" } } },
    "plain": { "url": "http://example.com/mcp" },
    "unset": { "url": "${CALLBOARD_TEST_SURELY_UNSET}" },
    "foreign": { "command": "x", "env": { "A": "${command:x}" } },
    "scalar": 7,
    "also good": { "url": "https://example.com/mcp" }
  }
}"#,
    );
    assert_eq!(names(&loaded), ["good", "also-good"]);
    assert_eq!(
        lines(&loaded.faults),
        [
            "x.json:4:5: mcpServers.both: it has a command and a url; \
             leave one of the two out, or say which counts by its type",
            "x.json:5:5: mcpServers.neither: it has neither a command nor a url; \
             name the program to start, or the URL to talk to",
            "x.json:6:46: mcpServers.typo.callboard.requst_timeout: nothing is called so here; \
             did you mean \"request_timeout\"?",
            "x.json:7:23: mcpServers.type.type: one of stdio, streamable_http, http_sse, http is \
             wanted here; did you mean \"stdio\"?",
            "x.json:8:62: mcpServers.time.callboard.init_timeout: a time such as \"30s\" or \
             \"1m 30s\" is wanted here, not a text",
            "x.json:9:40: mcpServers.wrong.args: a list of texts is wanted here, not a text",
            "x.json:10:47: mcpServers.stray.callboard.auth: a server that is a process has no such \
             key; give it its credentials by env",
            "x.json:11:5: mcpServers.plain: server \"plain\": its url cannot be used: it is plain \
             http to another machine: use https, or allow_plain_http",
            "x.json:12:23: mcpServers.unset.url: the variable CALLBOARD_TEST_SURELY_UNSET is not \
             set; set it, or write ${CALLBOARD_TEST_SURELY_UNSET:-…} with what stands for it",
            "x.json:13:48: mcpServers.foreign.env.A: nothing is known of ${command:x}; \
             ${VAR}, ${VAR:-otherwise}, ${env:VAR} and ${input:id} are known",
            "x.json:14:15: mcpServers.scalar: an object is wanted here, not a number",
        ]
    );
}

#[test]
fn what_has_no_effect_is_said() {
    let loaded = parse(
        r#"{ "mcpServers": { "a": { "comand": "y", "command": "x", "command": "z", "prefix": "p",
            "env": { "GH_TOKEN": "ghp_0123456789abcdef" } } }, "mcpServer": {} }"#,
    );
    let warnings = lines(&loaded.warnings);
    for part in [
        "a.comand: nothing is called so here, and it has no effect; did you mean \"command\"?",
        "a.command: it stands here twice, and the last one counts; leave one of the two out",
        "a.prefix: it has no effect here; put it under \"callboard\"",
        "a.env.GH_TOKEN: a secret stands in the file, where whoever reads it has it; \
         put it into a variable, and write ${NAME} here",
        "mcpServer: no servers are looked for here; did you mean \"mcpServers\"?",
    ] {
        assert!(warnings.iter().any(|line| line.ends_with(part)), "{part} is not in {warnings:#?}");
    }
    assert!(!warnings.iter().any(|line| line.contains("ghp_")));
    assert!(shown(&loaded, "a").contains("(\"GH_TOKEN\", Secret(literal))"));
}

#[test]
fn what_is_no_file_of_servers_is_refused_with_its_place() {
    let refused = |text: &str| config::parse_json(text, "x.json").unwrap_err().to_string();
    assert_eq!(refused("{\n  \"a\": }"), "x.json:2:8: unexpected close brace");
    assert_eq!(refused(""), "x.json:1:1: it is empty");
    assert!(refused(&"[".repeat(100_000)).contains("nested deeper"));
    assert_eq!(
        lines(&parse("{ \"mcp_servers\": {} }").faults),
        ["x.json:1:3: mcp_servers: no servers are looked for here; did you mean \"mcpServers\"?"],
    );
    assert_eq!(lines(&parse("[]").faults), ["x.json:1:1: an object is wanted here, not a list"]);
    assert!(matches!(config::load("/nowhere.json"), Err(LoadError::Unreadable { .. })));
    assert!(config::load("/tmp").unwrap_err().to_string().contains("it is no file"));
}

/// The schema comes from the tables by which files are read, so all that loads fits it.
#[test]
fn all_sample_files_fit_the_schema() {
    let schema = config::schema(Form::Json);
    let validator = jsonschema::draft7::new(&schema).unwrap();
    for file in [
        "claude_desktop.json",
        "claude_code.mcp.json",
        "claude_code_user.json",
        "cursor.json",
        "opencode.json",
        "windsurf.json",
        "cline.json",
        "zed.json",
    ] {
        let text = std::fs::read_to_string(sample(file)).unwrap();
        let document = serde_json::from_str(&text).unwrap();
        let errors: Vec<_> = validator.iter_errors(&document).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "{file}: {errors:?}");
    }
    let bad = serde_json::json!({ "mcpServers": { "a": { "callboard": { "prefx": 1 } } } });
    assert!(!validator.is_valid(&bad));
}

/// CK-10, CK-14 to CK-21, CK-25: every form of a block that is documented.
#[test]
fn blocks_of_hcl_load() {
    let loaded = load("servers.hcl");
    assert!(loaded.warnings.is_empty(), "{:#?}", loaded.warnings);
    assert_eq!(names(&loaded), ["linear", "github", "notes", "billing", "old"]);
    assert_eq!(loaded.disabled, ["off"]);
    assert_eq!(loaded.line_of("github"), Some(9));
    for (server, parts) in [
        ("linear", vec!["Bearer(Secret(env LINEAR_API_KEY))", "https://mcp.linear.app/mcp"]),
        (
            "github",
            vec![
                "Literal(\"stdio\"), Secret(Secret(text with env CALLBOARD_TEST_HOST))",
                "(\"GITHUB_TOKEN\", inherited), (\"GITHUB_HOST\", inherited)",
                "prefix: Some(\"gh\")",
                "init_timeout: 20s",
                "idle_timeout: Some(30s)",
                "cwd: Some(\"/srv\")",
                "mode: OnFailure, max_restarts: 3",
                "(\"get_*\", CallOptions",
                "lifetime: Fixed(60s)",
                "(\"create_*\", CallOptions { idle_timeout: None, total_timeout: Some(120s)",
            ],
        ),
        (
            "notes",
            vec![
                "(\"LEVEL\", literal(…))",
                "(\"DOLLARS\", literal(…))",
                "(\"TOKEN\", Secret(env NOTES_TOKEN))",
                "(\"KEY\", Secret(op://work/notes/key))",
                "(\"PAIR\", Secret(text with env NOTES_PASSWORD))",
            ],
        ),
        (
            "billing",
            vec![
                "ClientCredentials { id:",
                "scopes: [\"read\", \"write\"]",
                "(\"x-key\", Secret(env BILLING_KEY))",
            ],
        ),
        ("old", vec!["HttpSse(", "pinned: Some(Sse)"]),
    ] {
        let shown = shown(&loaded, server);
        parts.iter().for_each(|part| assert!(shown.contains(part), "{part} is not in {shown}"));
    }
}

const BROKEN_BLOCKS: [&str; 18] = [
    "x.hcl:5:1: mcp_server \"no_transport\": its transport is missing; \
             one of stdio, streamable_http, http_sse, http",
    "x.hcl:6:1: mcp_server \"no_command\": its command is missing",
    "x.hcl:7:1: mcp_server \"no_url\": its url is missing",
    "x.hcl:11:3: mcp_server \"stray\".auth: a server that is a process has no such key; \
             give it its credentials by env",
    "x.hcl:16:3: mcp_server \"also_stray\".args: a server behind a URL has no such key",
    "x.hcl:19:15: mcp_server \"typo\".transport: one of stdio, streamable_http, http_sse, \
             http is wanted here; did you mean \"stdio\"?",
    "x.hcl:21:3: mcp_server \"typo\".requst_timeout: nothing is called so here; \
             did you mean \"request_timeout\"?",
    "x.hcl:26:19: mcp_server \"kind\".auth.type: one of bearer, api_key, basic, \
             client_credentials, oauth is wanted here; did you mean \"bearer\"?",
    "x.hcl:31:29: mcp_server \"keys\".auth.user: auth of the type bearer has no such key",
    "x.hcl:35:13: mcp_server \"eval\".command: no variable may stand here; \
             variables may stand where a secret may: in env, headers, args and auth",
    "x.hcl:36:9: mcp_server \"eval\".cwd: a text is wanted here, \
             not an expression (nothing is evaluated)",
    "x.hcl:37:11: mcp_server \"eval\".args[0]: a text is wanted here, \
             not a call of a function (nothing is evaluated)",
    "x.hcl:37:23: mcp_server \"eval\".args[1]: a text is wanted here, \
             not a template with more in it than ${env.NAME}",
    "x.hcl:37:37: mcp_server \"eval\".args[2]: a text is wanted here, \
             not an expression (nothing is evaluated)",
    "x.hcl:39:1: mcp_server: it has to have one name; write mcp_server \"name\" { … }",
    "x.hcl:40:1: mcp_server \"good\": two servers are named \"good\"; \
             give each its own name",
    "x.hcl:44:1: step \"tool\" \"x\": no block of this kind is supported here; \
             only blocks of the kind mcp_server \"name\" { … } are read",
    "x.hcl:45:1: name: nothing called so is supported here; \
             only blocks of the kind mcp_server \"name\" { … } are read",
];

/// CK-14 to CK-16, CK-24: what is missing or wrong is named with its line and its block.
#[test]
fn what_is_wrong_with_a_block_is_named_with_its_line() {
    let text = std::fs::read_to_string(sample("broken.hcl")).unwrap();
    let loaded = config::parse_hcl(&text, "x.hcl").unwrap();
    assert_eq!(names(&loaded), ["good"]);
    assert_eq!(lines(&loaded.faults), BROKEN_BLOCKS);
    let broken = config::parse_hcl("mcp_server \"x\" {\n  command = \n}", "x.hcl").unwrap_err();
    assert!(broken.to_string().starts_with("x.hcl:2:1"), "{broken}");
}

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
    // What is written for a client, but for the one with TOML, can be read again.
    for client in Client::ALL.into_iter().filter(|client| *client != Client::Codex) {
        for spec in [&local, &remote] {
            let text = config::snippet(client, spec).text;
            let back = parse(&text);
            assert!(back.faults.is_empty() && back.warnings.is_empty(), "{text}: {back:?}");
            assert_eq!(back.specs[0].name(), spec.name());
        }
    }
}

/// Whatever the schema of blocks knows, the reading of blocks knows; what it refuses is refused.
#[test]
fn the_schema_of_blocks_says_what_is_read() {
    let schema = config::schema(Form::Hcl);
    let blocks = &schema["properties"]["mcp_server"]["additionalProperties"]["anyOf"];
    for (kind, begin) in [
        (0, "transport = \"stdio\"\n command = \"x\""),
        (1, "transport = \"http\"\n url = \"https://example.com\""),
    ] {
        let keys: Vec<_> = blocks[kind]["properties"].as_object().unwrap().keys().collect();
        assert!(keys.len() > 20, "{keys:?}");
        let first = ["transport", "command", "url"];
        for key in keys.into_iter().filter(|key| !first.contains(&key.as_str())) {
            let text = format!("mcp_server \"a\" {{\n{begin}\n{key} = null\n}}");
            let loaded = config::parse_hcl(&text, "x.hcl").unwrap();
            assert!(loaded.faults.is_empty(), "{key}: {:?}", loaded.faults);
        }
    }
    let validator = jsonschema::draft7::new(&schema).unwrap();
    let block = |block: Value| json!({ "mcp_server": { "a": block } });
    for good in [
        json!({ "transport": "http", "url": "https://x", "auth": { "type": "bearer", "env": "X" } }),
        json!({ "transport": "stdio", "command": "x", "env": ["A"], "restart": "never" }),
        json!({ "transport": "stdio", "command": "x", "env": { "A": { "op": "op://a/b/c" } },
            "tools": { "get_*": { "cache": { "keep_for": "60s" } } } }),
    ] {
        assert!(validator.is_valid(&block(good.clone())), "{good}");
    }
    for bad in [
        json!({ "command": "x" }),
        json!({ "transport": "stdio", "url": "https://x" }),
        json!({ "transport": "stdio", "command": "x", "auth": { "type": "bearer", "env": "X" } }),
        json!({ "transport": "stdio", "command": "x", "requst_timeout": "1s" }),
        json!({ "transport": "http", "url": "https://x", "auth": { "env": "X" } }),
        json!({ "transport": "stdio", "command": "x", "env": { "A": { "opp": "x" } } }),
    ] {
        assert!(!validator.is_valid(&block(bad.clone())), "{bad}");
    }
}

/// A sample, cut and pasted at random.
fn torn(file: &'static str) -> impl Strategy<Value = String> {
    let text: Vec<char> = std::fs::read_to_string(sample(file)).unwrap().chars().collect();
    let cut = (0..text.len(), 0..text.len(), 0..text.len(), any::<char>());
    proptest::collection::vec(cut, 1..6).prop_map(move |cuts| {
        let mut text = text.clone();
        for (a, b, c, other) in cuts {
            let (a, b) = (a.min(b) % text.len().max(1), a.max(b).min(text.len()));
            let piece: Vec<char> = text.drain(a.min(b)..b).take(200).collect();
            let at = c.min(text.len());
            text.splice(at..at, piece.into_iter().chain([other]));
        }
        text.into_iter().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// No text makes the loaders panic, and each fault has its place in it.
    #[test]
    fn no_text_is_too_odd(
        any in "\\PC{0,60}",
        json in torn("vscode.json"),
        hcl in torn("servers.hcl"),
    ) {
        for text in [&any, &json, &hcl] {
            let lines = text.lines().count().max(1) + 1;
            for outcome in [config::parse_json(text, "x"), config::parse_hcl(text, "x")] {
                let faults = match outcome {
                    Ok(loaded) => [loaded.faults, loaded.warnings, loaded.notes].concat(),
                    Err(LoadError::Syntax(fault)) => vec![fault],
                    Err(error) => panic!("{error}"),
                };
                prop_assert!(faults.iter().all(|f| (1..=lines).contains(&f.line) && f.column > 0));
            }
        }
    }
}

#[test]
fn deep_and_long_texts_are_refused_or_read_at_once() {
    for text in ["(", "[", "{a=", "!", "1+", "a.b[", "\"${", "x {", "<<A\n${", "[for a in "] {
        let deep = format!("mcp_server \"a\" {{\n x = {}", text.repeat(20_000));
        assert!(config::parse_hcl(&deep, "x.hcl").is_err(), "{text}");
    }
    let wide = format!("{{ \"mcpServers\": {{ {} }} }}", r#""a": {},"#.repeat(20_000));
    let loaded = parse(&wide);
    assert!(loaded.specs.is_empty() && loaded.faults.len() == 1000, "they are counted no further");
}

/// An entry for a server whose processes a world looks after.
fn entry(world: &World, args: &[&str], env: &Value) -> Value {
    let script = world::root().join("tests/servers/hostile.py");
    let mut all = vec![script.to_str().unwrap()];
    all.extend(args);
    let mut env = env.clone();
    for (name, value) in world.marked() {
        env[name] = value.into();
    }
    json!({ "command": "python3", "args": all, "env": env })
}

const LONG: Duration = Duration::from_secs(30);

#[test]
fn references_are_resolved_when_the_server_starts() {
    world::run(async |world| {
        let args = ["--mode", "normal", "--size", "${CALLBOARD_TEST_UNSET:-7}"];
        let env = json!({ "HOMES": "at ${HOME} and ${env:HOME}", "SET": "${CALLBOARD_UNSET:-}" });
        let file = json!({ "mcpServers": { "a": entry(&world, &args, &env) } });
        let loaded = parse(&file.to_string());
        assert!(loaded.faults.is_empty() && loaded.warnings.is_empty(), "{loaded:?}");
        let session = world.open(loaded.specs).await;
        let status = await_status(&session.server("a").unwrap(), LONG, |s| s.is_ready()).await;
        let of_process = |file: &str| {
            let bytes = std::fs::read(format!("/proc/{}/{file}", status.pid.unwrap())).unwrap();
            String::from_utf8(bytes).unwrap()
        };
        assert!(of_process("cmdline").ends_with("--size\07\0"));
        let home = std::env::var("HOME").unwrap();
        let environment = of_process("environ");
        assert!(environment.contains(&format!("HOMES=at {home} and {home}\0")), "{environment}");
        assert!(environment.contains("\0SET=\0"));
        // What came from the environment is a secret; what stands in the file is none.
        let redacted = session.redactor().redact(&format!("at {home} and 7")).into_owned();
        assert_eq!(redacted, "at [redacted] and 7");
        session.close().await;
    });
}

#[test]
fn a_file_is_followed_and_a_broken_one_costs_nothing() {
    world::run(async |world| {
        let path = world.folder().join("servers.json");
        let plain = entry(&world, &["--mode", "normal"], &json!({}));
        // As editors do it: another file takes the place.
        let save = |servers: &Value| {
            let draft = world.folder().join("draft");
            std::fs::write(&draft, json!({ "mcpServers": servers }).to_string()).unwrap();
            std::fs::rename(&draft, &path).unwrap();
        };
        save(&json!({ "a": plain, "b": plain }));
        let mut watch = config::watch(&path).every(Duration::from_millis(20));
        let session = world.open(watch.next().await.unwrap().specs).await;
        let pid = |name: &str| session.server(name).map(|server| server.status().pid);
        let first = pid("a").unwrap().unwrap();

        // Broken as a whole, then put right in place; nothing is touched.
        std::fs::write(&path, "{ \"mcpServers\": ").unwrap();
        let broken = in_time(watch.feed(&session)).await.unwrap_err();
        assert!(
            matches!(&broken, FeedError::Load(LoadError::Syntax(f)) if f.line == 1),
            "{broken}"
        );
        assert!(pid("b").unwrap().is_some());
        let servers = json!({ "a": plain, "b": plain });
        std::fs::write(&path, json!({ "mcpServers": servers }).to_string()).unwrap();
        let (_, applied) = in_time(watch.feed(&session)).await.unwrap();
        assert!(applied.is_empty(), "{applied:?}");

        // One entry is wrong now: that server stays as it is.
        save(&json!({ "a": { "comand": "x" }, "c": plain }));
        let (loaded, applied) = in_time(watch.feed(&session)).await.unwrap();
        assert_eq!((loaded.broken.as_slice(), loaded.faults.len()), (&["a".to_owned()][..], 1));
        assert_eq!(
            (applied.unchanged.as_slice(), applied.stopped.len()),
            (&["a".to_owned()][..], 1)
        );
        session.settled().await;
        assert_eq!((pid("a"), pid("b")), (Some(Some(first)), None));

        // A file that is gone is told once, and has its servers go on.
        std::fs::remove_file(&path).unwrap();
        let gone = in_time(watch.feed(&session)).await.unwrap_err();
        assert!(matches!(gone, FeedError::Load(LoadError::Unreadable { .. })), "{gone}");
        save(&json!({ "c": plain }));
        let (_, applied) = in_time(watch.feed(&session)).await.unwrap();
        assert_eq!((applied.stopped.len(), applied.unchanged.len()), (1, 1));
        assert_eq!(world.processes().len(), 1);
        session.close().await;
    });
}

async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONG, what).await.unwrap()
}
