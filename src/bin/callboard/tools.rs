//! `callboard tools`.

use callboard::{Annotations, Catalog, Tool};
use serde_json::{Value, json};

use crate::{
    Context,
    args::{self, take_url},
    console::{Console, Tone, harmless},
    exit::{Exit, Failure},
    open::{self, Opened},
    table::{Columns, one_line},
    values::kinds,
};

pub(crate) async fn run(context: &Context, args: args::Tools) -> Result<Exit, Failure> {
    let mut patterns = args.words;
    let url = take_url(&mut patterns, 0);
    let opened = open::open(context, &args.servers, url, None).await?.or_failure(context)?;
    let catalog = opened.session.tools();
    let tools = chosen(&catalog, &patterns)?;
    let console = &context.console;
    if console.json {
        console.document(&document(&opened, &catalog, &tools))?;
    } else if let ([tool], [_]) = (tools.as_slice(), patterns.as_slice()) {
        describe(console, tool)?;
    } else {
        list(console, &tools)?;
    }
    for fault in catalog.faults() {
        console.warn(&harmless(&fault.to_string()));
    }
    Ok(opened.tell(context))
}

/// The tools that fit one of these patterns, by their ids or by their own names.
fn chosen<'a>(catalog: &'a Catalog, patterns: &[String]) -> Result<Vec<&'a Tool>, Failure> {
    if patterns.is_empty() {
        return Ok(catalog.iter().collect());
    }
    let all = catalog.toolset();
    let mut wanted: Vec<&Tool> = Vec::new();
    for pattern in patterns {
        let by_id = all.select(&[pattern]);
        let bare = all.select(&[format!("*.{pattern}")]);
        let fits = |tool: &&Tool| {
            by_id.get(tool.id()).is_some()
                || bare.get(tool.id()).is_some()
                || tool.name() == pattern
        };
        let fitting: Vec<_> = catalog.iter().filter(fits).collect();
        if fitting.is_empty() {
            return Err(crate::call::unknown(catalog, pattern));
        }
        wanted.extend(fitting);
    }
    Ok(catalog.iter().filter(|tool| wanted.iter().any(|one| one.id() == tool.id())).collect())
}

fn document(opened: &Opened, catalog: &Catalog, tools: &[&Tool]) -> Value {
    let tools = tools.iter().map(|tool| {
        json!({
            "id": tool.id(),
            "server": tool.server(),
            "llm_name": tool.llm_name(),
            "tool": tool.json(),
        })
    });
    let faults = catalog.faults().iter().map(|fault| json!(fault.to_string()));
    json!({
        "tools": tools.collect::<Vec<_>>(),
        "faults": faults.collect::<Vec<_>>(),
        "errors": opened.failures.iter().map(Failure::json).collect::<Vec<_>>(),
    })
}

fn list(console: &Console, tools: &[&Tool]) -> Result<(), Failure> {
    if tools.is_empty() {
        console.note("there are no tools");
        return Ok(());
    }
    let mut columns = Columns::new(console, &["TOOL", "DOES", "DESCRIPTION"]);
    for tool in tools {
        let description = tool.description().unwrap_or_default();
        columns.row([tool.id(), does(tool.annotations()), first_sentence(&one_line(&description))]);
    }
    console.result(&columns.text(console))
}

/// What a tool does by its own word.
pub(crate) fn does(annotations: Annotations) -> &'static str {
    match annotations {
        Annotations { read_only: Some(true), .. } => "reads",
        Annotations { destructive: Some(true), .. } => "destroys",
        Annotations { destructive: Some(false), .. } => "adds",
        Annotations { read_only: Some(false), .. } => "changes",
        _ => "?",
    }
}

/// The first sentence of a description, or as much of it as fits a line.
fn first_sentence(text: &str) -> &str {
    const LONGEST: usize = 160;
    let end = text.find(". ").map_or(text.len(), |end| end + 1).min(LONGEST);
    let end = (0..=end.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or_default()]
}

/// All that is known of one tool.
fn describe(console: &Console, tool: &Tool) -> Result<(), Failure> {
    let strong = |text: &str| console.paint(text, Tone::Strong);
    console.result(&strong(&harmless(tool.id())))?;
    if let Some(description) = tool.description() {
        let lines = harmless(&description);
        let lines = lines.trim().lines().map(|line| format!("  {line}").trim_end().to_owned());
        console.result(&lines.collect::<Vec<_>>().join("\n"))?;
    }
    let schema = tool.input_schema();
    console.result("")?;
    let rows = arguments(&schema);
    if rows.is_empty() {
        console.result("It takes no arguments.")?;
    } else {
        let mut columns = Columns::new(console, &["ARGUMENT", "TYPE", "DEFAULT", "DESCRIPTION"]);
        rows.iter().for_each(|row| columns.row(row));
        console.result(&columns.text(console))?;
    }
    console.result(&format!("\n{} {}", strong("It"), claims(tool.annotations())))?;
    console.result(&format!("{} {}", strong("Models call it"), tool.llm_name()))?;
    console.result(&format!("{} {}", strong("Try it:"), example(tool.name(), &schema)))
}

/// What a tool takes: name, type, default and description of each.
fn arguments(schema: &Value) -> Vec<[String; 4]> {
    let properties = schema["properties"].as_object().into_iter().flatten();
    let mut rows: Vec<_> = properties
        .map(|(name, described)| {
            let required = is_required(schema, name);
            let default = match &described["default"] {
                Value::Null if required => "(required)".to_owned(),
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let about = described["description"].as_str().unwrap_or_default().to_owned();
            (!required, [name.clone(), kind_of(described, schema), default, about])
        })
        .collect();
    // Those that have to be given stand first, and all as the schema has them.
    rows.sort_by_key(|(optional, _)| *optional);
    rows.into_iter().map(|(_, row)| row).collect()
}

fn is_required(schema: &Value, name: &str) -> bool {
    schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name))
}

/// A type in a few words.
fn kind_of(described: &Value, root: &Value) -> String {
    const DEEPEST: usize = 16;
    let kinds = kinds(described, root, DEEPEST);
    let choices = kinds.iter().map(|(_, one)| *one).chain([described]);
    if let Some(choices) = choices.filter_map(|one| one["enum"].as_array()).next() {
        let choices = choices.iter().map(|one| one.as_str().map_or(one.to_string(), str::to_owned));
        return choices.collect::<Vec<_>>().join(" | ");
    }
    let names = kinds.iter().map(|(kind, described)| match *kind {
        "array" => format!("{} …", kind_of(&described["items"], root)),
        kind => kind.to_owned(),
    });
    let names: Vec<_> = names.collect();
    if names.is_empty() { "any".to_owned() } else { names.join(" or ") }
}

fn claims(annotations: Annotations) -> String {
    let Annotations { read_only, destructive, idempotent, open_world, .. } = match annotations {
        annotations if annotations == Annotations::default() => {
            return "does not say whether it changes anything".to_owned();
        }
        annotations => annotations,
    };
    let said = |hint: Option<bool>, yes: &'static str, no: &'static str| {
        hint.map(|hint| if hint { yes } else { no })
    };
    let parts = [
        said(read_only, "changes nothing", "changes things"),
        said(destructive.filter(|_| read_only != Some(true)), "may destroy", "destroys nothing"),
        said(
            idempotent.filter(|_| read_only != Some(true)),
            "may be repeated",
            "is not to be repeated",
        ),
        said(open_world, "deals with the world outside", "stays inside of its server"),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    format!("{} (its own word)", parts.join(", "))
}

/// A call with what has to be given.
fn example(name: &str, schema: &Value) -> String {
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let words = required.map(|name| format!(" {name}=…"));
    format!("callboard call {name}{}", words.collect::<String>())
}
