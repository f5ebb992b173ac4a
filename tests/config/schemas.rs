//! The schemas say what is read.

use callboard::config::{self, Form};
use serde_json::{Value, json};

use super::sample;

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
