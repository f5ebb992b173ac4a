//! No text is too odd.

use callboard::config::{self, LoadError};
use proptest::prelude::*;

use super::{parse, sample};

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
        toml in torn("codex.toml"),
    ) {
        for text in [&any, &json, &hcl, &toml] {
            let lines = text.lines().count().max(1) + 1;
            for outcome in [
                config::parse_json(text, "x"),
                config::parse_hcl(text, "x"),
                config::parse_toml(text, "x"),
            ] {
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
    for text in ["[", "{a=", "a."] {
        let deep = format!("x = {}", text.repeat(20_000));
        assert!(config::parse_toml(&deep, "x.toml").is_err(), "{text}");
    }
    let dotted = format!("{}a = 1", "a.".repeat(20_000));
    assert!(config::parse_toml(&dotted, "x.toml").is_err());
    let many: String = (0..20_000).map(|n| format!(r#""a{n}": {{}},"#)).collect();
    let wide = format!("{{ \"mcpServers\": {{ {many} }} }}");
    let loaded = parse(&wide);
    assert!(loaded.specs.is_empty() && loaded.faults.len() == 1000, "they are counted no further");
}
