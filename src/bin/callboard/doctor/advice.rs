//! What works, and is odd all the same.

use callboard::{Server, Tool, TransportKind};

use super::schemas;

/// How many names are given of many.
const NAMED: usize = 3;

/// Of longer names the beginning is shown.
const LONGEST_NAME: usize = 40;

/// Providers cut longer descriptions, or refuse them.
const LONGEST_DESCRIPTION: usize = 1024;

/// Tools of about this many tokens crowd a model's context.
const MANY_TOKENS: usize = 20_000;

/// Of JSON, about so many bytes make a token.
const BYTES_OF_A_TOKEN: usize = 4;

/// What is odd about how a server speaks.
pub(super) fn on_server(server: &Server) -> Vec<String> {
    let mut found = Vec::new();
    if server.status().transport == Some(TransportKind::HttpSse) {
        found.push("it speaks HTTP+SSE, which MCP has given up in 2025-03-26".to_owned());
    }
    let skipped = server.skipped_lines();
    if skipped > 0 {
        found.push(format!(
            "it wrote {skipped} lines to stdout that are no messages: a server logs to stderr"
        ));
    }
    if server.violations() > 0 {
        found.push("it asked over a link of MCP 2026-07-28, where it must not".to_owned());
    }
    found
}

/// What models, and whoever approves their calls, may stumble over.
pub(super) fn on_tools(tools: &[&Tool]) -> Vec<String> {
    let mut found = Vec::new();
    let mut warn = |what: &str, names: Vec<&str>| {
        if !names.is_empty() {
            found.push(format!("{what}: {}", some_of(&names)));
        }
    };
    let named = |wanted: &dyn Fn(&Tool) -> bool| {
        tools.iter().filter(|tool| wanted(tool)).map(|tool| tool.name()).collect::<Vec<_>>()
    };
    warn(
        "models are given another name, for theirs is longer than 64 bytes or has odd characters",
        named(&|tool| tool.llm_name() != tool.id().replacen('.', "__", 1)),
    );
    warn(
        "it does not say whether these change anything, so that each call has to be approved",
        named(&|tool| {
            let said = tool.annotations();
            said.read_only.is_none() && said.destructive.is_none()
        }),
    );
    warn(
        "these have no description, so that a model has to guess",
        named(&|tool| tool.description().is_none_or(|text| text.trim().is_empty())),
    );
    warn(
        "some providers cut descriptions longer than 1024 characters",
        named(&|tool| {
            tool.description().is_some_and(|text| text.chars().count() > LONGEST_DESCRIPTION)
        }),
    );
    for tool in tools {
        let faults = schemas::faults(&tool.input_schema());
        found.extend(faults.into_iter().map(|fault| format!("{}: {fault}", tool.name())));
    }
    let tokens = tools.iter().map(|tool| tool.raw().len()).sum::<usize>() / BYTES_OF_A_TOKEN;
    if tokens > MANY_TOKENS {
        found.push(format!("its tools take about {tokens} tokens of a model's context"));
    }
    found
}

fn some_of(names: &[&str]) -> String {
    let short = |name: &&str| match name.char_indices().nth(LONGEST_NAME) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => (*name).to_owned(),
    };
    let shown = names.iter().take(NAMED).map(short).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
