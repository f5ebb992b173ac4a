//! HCL.

use callboard::config;

use super::{lines, load, names, sample, shown};

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
