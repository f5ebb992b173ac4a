//! Files of clients load as they are, and one bad entry does not lose its siblings.

use std::time::Duration;

use callboard::{
    CallOptions, Limits, RetryPolicy, ServerSpec, Stdio, Transport,
    config::{self, LoadError},
};

use super::{lines, load, names, parse, shown, spec};

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
    assert!(shown(&loaded, "figma").contains("without_tools: [\"delete_all\"]"));

    let loaded = load("cline.json");
    assert_eq!((names(&loaded), loaded.disabled.len()), (vec!["notes"], 1));
    assert!(lines(&loaded.warnings)[0].contains("notes.timeout: clients differ"));
    assert_eq!(names(&load("zed.json")), ["docs"]);
}

#[test]
fn files_of_codex_load() {
    let loaded = load("codex.toml");
    assert!(loaded.warnings.is_empty(), "{:#?}", loaded.warnings);
    assert_eq!((names(&loaded), loaded.disabled.len()), (vec!["context7", "figma"], 1));
    assert_eq!(loaded.line_of("figma"), Some(18));
    let context = shown(&loaded, "context7");
    for part in [
        "(\"LOCAL_TOKEN\", inherited)",
        "(\"MY_ENV_VAR\", literal(…))",
        "init_timeout: 20s",
        "total_timeout: Some(45.5s)",
        "only_tools: Some([\"resolve-library-id\", \"get-library-docs\"])",
    ] {
        assert!(context.contains(part), "{part} is not in {context}");
    }
    let figma = shown(&loaded, "figma");
    assert!(figma.contains("Bearer(Secret(env FIGMA_OAUTH_TOKEN))"), "{figma}");
    assert!(figma.contains("(\"x-team\", Secret(env FIGMA_TEAM))"), "{figma}");

    let text = "[mcp_servers.a]\ncommand = \"x\"\n[tui]\nx = 1\n[mcp_servers.b]\ncomand = \"x\"\n";
    let loaded = config::parse_toml(text, "x.toml").unwrap();
    assert_eq!(names(&loaded), ["a"]);
    assert_eq!(
        lines(&loaded.warnings),
        ["x.toml:6:1: mcp_servers.b.comand: nothing is called so here, and it has no effect; \
          did you mean \"command\"?"]
    );
    assert!(loaded.faults[0].to_string().contains("5:14: mcp_servers.b: it has neither"));
    let broken = config::parse_toml("a = 1\nb = [", "x.toml").unwrap_err().to_string();
    assert!(broken.starts_with("x.toml:2:"), "{broken}");
}

/// Settings of VS Code, and Zed as it was.
#[test]
fn older_places_of_servers_are_found_too() {
    let text = r#"{ "editor.tabSize": 2, "mcp": { "inputs": [{ "id": "k", "type": "promptString" }],
        "servers": { "a": { "command": "x", "env": { "K": "${input:k}" } } } },
        "context_servers": { "b": { "command": { "path": "y", "args": ["z"], "env": { "L": "1" } },
        "settings": {} } } }"#;
    let loaded = parse(text);
    assert!(loaded.faults.is_empty() && loaded.warnings.is_empty(), "{loaded:#?}");
    assert_eq!((names(&loaded), loaded.inputs.len()), (vec!["a", "b"], 1));
    assert!(shown(&loaded, "a").contains("Secret(provider input:k)"));
    let zed = shown(&loaded, "b");
    assert!(zed.contains("command: \"y\", args: [Literal(\"z\")], env: [(\"L\""), "{zed}");
}

/// Claude Code keeps servers of projects beside those of the user.
#[test]
fn servers_of_the_current_project_go_before_those_of_the_user() {
    let here = std::env::current_dir().unwrap();
    let file = serde_json::json!({
        "mcpServers": { "a": { "command": "of-user" }, "b": { "command": "of-user" } },
        "projects": {
            "/elsewhere": { "mcpServers": { "c": { "command": "of-other" } } },
            here.to_str().unwrap(): { "mcpServers": { "b": { "command": "of-project" } } },
        },
    });
    let loaded = parse(&file.to_string());
    assert_eq!(names(&loaded), ["a", "b"]);
    assert!(shown(&loaded, "b").contains("of-project"));
}

/// No float has all of them.
#[test]
fn numbers_keep_their_digits() {
    let json = r#"{ "mcpServers": { "a": { "command": "x", "args": [-9007199254740993, 3.10],
        "env": { "ID": 123456789012345678901234567890123456789, "N": 1e3 },
        "callboard": { "limits": { "max_memory": 18446744073709551615, "max_frame": 1e3 },
            "request_timeout": 1.5, "retry": { "backoff": 1.25 },
            "meta": { "id": 9007199254740993, "less": -9007199254740993, "half": -0.5,
                "most": 18446744073709551615 } } } } }"#;
    let hcl = r#"mcp_server "a" {
  transport = "stdio"
  command = "x"
  args = [-9007199254740993, 3.10]
  env = { ID = 123456789012345678901234567890123456789, N = 1e3 }
  limits {
    max_memory = 18446744073709551615
    max_frame = 1e3
  }
  request_timeout = 1.5
  retry { backoff = 1.25 }
  meta = {
    id = 9007199254740993
    less = - 9007199254740993
    half = -0.5
    most = 18446744073709551615
  }
}"#;
    let stdio = Stdio::new("x").args(["-9007199254740993", "3.10"]);
    let stdio = stdio.env_literal("ID", "123456789012345678901234567890123456789");
    let limits = Limits::default().with_max_memory(u64::MAX).with_max_frame(1000);
    let options = CallOptions::default()
        .idle_timeout(Duration::from_millis(1500))
        .retry(RetryPolicy::default().backoff(1.25))
        .meta("id", 9_007_199_254_740_993_u64)
        .meta("less", -9_007_199_254_740_993_i64)
        .meta("half", -0.5)
        .meta("most", u64::MAX);
    let spec = ServerSpec::new("a", stdio.env_literal("N", "1e3"));
    let specs = [spec.limits(limits).call_options(options)];
    for loaded in [parse(json), config::parse_hcl(hcl, "x.hcl").unwrap()] {
        assert!(loaded.faults.is_empty(), "{:?}", loaded.faults);
        assert_eq!(loaded.specs, specs);
    }
    for (written, form) in [(config::to_json(&specs), "json"), (config::to_hcl(&specs), "hcl")] {
        let text = &written.text;
        let back = match form {
            "json" => config::parse_json(text, "x.json"),
            _ => config::parse_hcl(text, "x.hcl"),
        };
        assert_eq!((back.unwrap().specs.as_slice(), written.left_out.len()), (&specs[..], 0));
    }
    let toml = "[mcp_servers.a]\ncommand = \"x\"\nargs = [-9007199254740993]\n";
    let loaded = config::parse_toml(toml, "x.toml").unwrap();
    assert_eq!(loaded.specs, [ServerSpec::new("a", Stdio::new("x").arg("-9007199254740993"))]);
    // What is no number of the wanted kind is refused, and not taken for another.
    for (key, value) in [("max_calls", "-1"), ("max_calls", "1.5"), ("max_calls", "1e999")] {
        let limits = format!(r#"{{ "limits": {{ "{key}": {value} }} }}"#);
        let entry = format!(r#"{{ "command": "x", "callboard": {limits} }}"#);
        let loaded = parse(&format!(r#"{{ "mcpServers": {{ "a": {entry} }} }}"#));
        assert_eq!((loaded.specs.len(), loaded.faults.len()), (0, 1), "{value}");
    }
}

/// No name is both usable and broken, however that comes about.
#[test]
fn of_two_entries_of_a_name_the_last_counts_also_where_one_is_broken() {
    let (good, bad, off) = (
        r#"{ "command": "x" }"#,
        r#"{ "comand": "x" }"#,
        r#"{ "command": "x", "disabled": true }"#,
    );
    // Usable, broken and disabled.
    let one = |counts: &str| match counts {
        "good" => (1, 0, 0),
        "bad" => (0, 1, 0),
        _ => (0, 0, 1),
    };
    for (first, last, counts) in [
        (good, bad, "bad"),
        (bad, good, "good"),
        (bad, bad, "bad"),
        (good, off, "off"),
        (off, good, "good"),
    ] {
        let text = format!(r#"{{ "mcpServers": {{ "a": {first}, "a": {last} }} }}"#);
        let loaded = parse(&text);
        let found = (loaded.specs.len(), loaded.broken.len(), loaded.disabled.len());
        assert_eq!(found, one(counts), "{text}");
        assert!(lines(&loaded.warnings)[0].contains("it stands here twice"), "{text}");
    }
    // Two keys that come to the same name. One that is disabled is in nobody's way.
    for (first, last, found) in [
        (good, bad, (0, 1, 0)),
        (bad, good, (1, 0, 0)),
        (good, off, (1, 0, 1)),
        (off, good, (1, 0, 1)),
    ] {
        let text = format!(r#"{{ "mcpServers": {{ "a b": {first}, "a-b": {last} }} }}"#);
        let loaded = parse(&text);
        assert_eq!(
            (loaded.specs.len(), loaded.broken.len(), loaded.disabled.len()),
            found,
            "{text}"
        );
        let told = lines(&loaded.warnings).iter().any(|line| line.contains("the last one counts"));
        assert_eq!(told, found.2 == 0, "{text}");
    }
    let block = |body: &str| format!("mcp_server \"a\" {{ \n transport = \"stdio\"\n {body}\n}}\n");
    let (good, bad) = (block("command = \"x\""), block("comand = \"x\""));
    for (text, usable) in [(good.clone() + &bad, 1), (bad + &good, 0)] {
        let loaded = config::parse_hcl(&text, "x.hcl").unwrap();
        assert_eq!((loaded.specs.len(), loaded.broken.len()), (usable, 1 - usable), "{text}");
    }
}

#[test]
fn all_of_our_own_keys_are_read() {
    let loaded = parse(
        r#"{ "mcpServers": { "a": { "command": "x", "callboard": {
            "prefix": "gh", "required": true, "init_timeout": "5s", "request_timeout": "1m 30s",
            "total_timeout": 300, "restart": { "policy": "always", "max_restarts": 3, "window": "10s",
            "reset_after": "20s", "initial_delay": "1s", "max_delay": "2s", "jitter": false },
            "limits": { "max_calls": 7, "max_concurrent": 2, "max_frame": 1024, "max_tools": 9,
            "max_pages": 8, "max_call_bytes": 77, "max_cached": 1, "max_cached_bytes": 2,
            "max_memory": 99 }, "health": { "probe_after": 4, "probe_every": "30s",
            "probe_within": "5s", "down_after": 9 },
            "trust_annotations": true, "tags": ["x"], "only_tools": ["get_*"], "without_tools": ["x"], "circuit_breaker": { "threshold": 2 },
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
        "only_tools: Some([\"get_*\"]), without_tools: [\"x\"]",
        "max_memory: Some(99)",
        "HealthCheck { probe_after: Some(4), probe_every: Some(30s), probe_within: 5s, \
         down_after: Some(9) }",
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
