//! Arguments and results against the schemas of their tools (JSON Schema 2020-12 and its elders).

mod cost;

use std::sync::OnceLock;

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

use crate::{
    arguments::Arguments, catalog::Tool, error::CallError, output::Output, policy::SchemaCheck,
    telemetry,
};

/// A larger schema is not compiled: it comes from a server.
const LARGEST: usize = 512 << 10;
/// How much a pattern may try, and how large its program may be.
const BACKTRACKING: usize = 100_000;
const PATTERN_BYTES: usize = 1 << 20;
/// How many faults are told.
const TOLD: usize = 5;

/// The schemas of one tool, as it was listed: compiled once, when first wanted.
#[derive(Debug, Default)]
pub(crate) struct Schemas {
    input: OnceLock<Compiled>,
    output: OnceLock<Compiled>,
}

#[derive(Debug)]
enum Compiled {
    /// There is no such schema.
    Missing,
    Ready(Box<Validator>),
    /// It cannot be used, for this reason.
    Unusable(String),
}

/// Checks the arguments of a call before they are sent, if its options say so.
pub(crate) fn check_arguments(tool: &Tool, arguments: &Arguments) -> Result<(), CallError> {
    let check = tool.options().check_arguments.unwrap_or_default();
    if check == SchemaCheck::Off {
        return Ok(());
    }
    let compiled = tool.schemas().input.get_or_init(|| compile(tool, "inputSchema"));
    let faults = faults(compiled, &arguments.to_value());
    if faults.is_empty() {
        return Ok(());
    }
    telemetry::schema_mismatch(tool.id(), "arguments", faults.len());
    let refused = CallError::SchemaMismatch { tool: tool.id().to_owned(), faults };
    if check == SchemaCheck::Refuse { Err(refused) } else { Ok(()) }
}

/// Checks the structured content of a result, if the options of its call say so.
pub(crate) fn check_output(tool: &Tool, output: &Output) -> Result<(), CallError> {
    let check = tool.options().check_output.unwrap_or_default();
    if check == SchemaCheck::Off || output.is_error() {
        return Ok(());
    }
    let compiled = tool.schemas().output.get_or_init(|| compile(tool, "outputSchema"));
    let faults = match (compiled, output.structured::<Value>()) {
        (Compiled::Missing, _) => return Ok(()),
        (_, Ok(Some(structured))) => faults(compiled, &structured),
        (_, Ok(None)) => vec!["it has an output schema, and no structured content".to_owned()],
        (_, Err(error)) => vec![error.to_string()],
    };
    if faults.is_empty() {
        return Ok(());
    }
    telemetry::schema_mismatch(tool.id(), "structured content", faults.len());
    let refused = CallError::InvalidResponse {
        server: tool.server().to_owned(),
        tool: tool.id().to_owned(),
        detail: faults.join("; "),
        record: crate::record::Record::default(),
    };
    if check == SchemaCheck::Refuse { Err(refused) } else { Ok(()) }
}

fn compile(tool: &Tool, member: &str) -> Compiled {
    let mut json = tool.json();
    let schema = match json.get_mut(member).map(Value::take) {
        None | Some(Value::Null) => return Compiled::Missing,
        Some(schema) => schema,
    };
    if tool.raw().len() > LARGEST {
        return Compiled::Unusable(format!("it is larger than {LARGEST} bytes"));
    }
    if !cost::is_affordable(&schema) {
        return Compiled::Unusable("its references multiply, or lead nowhere".to_owned());
    }
    let patterns = PatternOptions::fancy_regex()
        .backtrack_limit(BACKTRACKING)
        .size_limit(PATTERN_BYTES)
        .dfa_size_limit(PATTERN_BYTES);
    let options = jsonschema::options().offline().with_pattern_options(patterns);
    match options.build(&schema) {
        Ok(validator) => Compiled::Ready(Box::new(validator)),
        Err(error) => Compiled::Unusable(error.to_string()),
    }
}

/// What does not fit, without the values themselves: they may be secrets.
fn faults(compiled: &Compiled, value: &Value) -> Vec<String> {
    match compiled {
        Compiled::Missing => Vec::new(),
        Compiled::Unusable(reason) => vec![format!("its schema cannot be used: {reason}")],
        Compiled::Ready(validator) => validator
            .iter_errors(value)
            .take(TOLD)
            .map(|error| {
                let place = error.instance_path().to_string();
                let place = if place.is_empty() { "/" } else { &place };
                format!("{place}: {}", error.masked())
            })
            .collect(),
    }
}
