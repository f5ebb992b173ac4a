//! `callboard call`.

use callboard::{CallError, CallOptions, Catalog, Output, Session, Tool};
use serde_json::{Map, Value, json, value::RawValue};
use tokio::time::Instant;

use crate::{
    Context,
    args::{self, Limits, take_url},
    content,
    exit::{Exit, Failure},
    open::{self, with_logs},
    values::Given,
};

pub(crate) async fn run(context: &Context, args: args::Call) -> Result<Exit, Failure> {
    let mut words = args.words;
    let url = take_url(&mut words, 0);
    let wanted = if words.is_empty() { None } else { Some(words.remove(0)) };
    let given = Given::read(&words).await?;
    let opened =
        open::open(context, &args.servers, url, wanted.as_deref()).await?.or_failure(context)?;
    let tool = find(&opened.session, wanted.as_deref())?;
    opened.tell(context);
    let arguments = given.arguments(&tool.input_schema())?;
    let began = Instant::now();
    let tool = tool.with_options(&options(&args.limits));
    let called = call(context, &tool, arguments);
    let output = with_logs(context, &opened.session, called).await?;
    let console = &context.console;
    if console.json {
        let result: Option<&RawValue> = serde_json::from_str(output.raw()).ok();
        let seconds = began.elapsed().as_secs_f64();
        let (id, is_error) = (tool.id(), output.is_error());
        console.document(&Answered { tool: id, is_error, seconds, result })?;
    } else {
        show(context, &args.out, &tool, &output)?;
    }
    Ok(if output.is_error() { Exit::Failed } else { Exit::Done })
}

/// The JSON document of a call.
#[derive(serde::Serialize)]
struct Answered<'a> {
    tool: &'a str,
    is_error: bool,
    seconds: f64,
    /// To the byte, as the server wrote it.
    result: Option<&'a RawValue>,
}

/// What is said of the calls.
pub(crate) fn options(limits: &Limits) -> CallOptions {
    let mut options = CallOptions::default();
    (options.total_timeout, options.idle_timeout) = (limits.timeout, limits.idle_timeout);
    options
}

/// Calls a tool, and shows its progress meanwhile.
async fn call(
    context: &Context,
    tool: &Tool,
    arguments: Map<String, Value>,
) -> Result<Output, CallError> {
    let busy = context.console.waiting(tool.id().to_owned());
    let mut call = tool.call(arguments);
    let mut progress = call.progress();
    let shown = async {
        while let Some(report) = progress.next().await {
            busy.progress(report.progress, report.total, report.message.as_deref());
        }
    };
    tokio::join!(call, shown).0
}

fn show(
    context: &Context,
    out: &std::path::Path,
    tool: &Tool,
    output: &Output,
) -> Result<(), Failure> {
    let console = &context.console;
    let result: Value = output.json().unwrap_or_default();
    let blocks = result["content"].as_array().cloned().unwrap_or_default();
    if output.is_error() {
        console.warn(&format!("{} says that it failed:", tool.id()));
    }
    content::print(console, &blocks, (out, tool.name()))?;
    let structured = &result["structuredContent"];
    let has_text = blocks.iter().any(|block| block["type"] == "text");
    if !structured.is_null() && !has_text {
        let text = serde_json::to_string_pretty(structured);
        console.foreign(&text.unwrap_or_default())?;
    }
    if blocks.is_empty() && structured.is_null() {
        console.note("the answer is empty");
    }
    Ok(())
}

/// The tool of this id, or of this name where only one server has it.
pub(crate) fn find(session: &Session, wanted: Option<&str>) -> Result<Tool, Failure> {
    let catalog = session.tools();
    let Some(wanted) = wanted else {
        let ids: Vec<_> = catalog.iter().map(Tool::id).collect();
        return Err(Failure::usage(format!("which tool? There are: {}", ids.join(", "))));
    };
    if let Some(tool) = catalog.get(wanted) {
        return Ok(tool.clone());
    }
    let named: Vec<_> =
        catalog.iter().filter(|tool| tool.name() == wanted || tool.llm_name() == wanted).collect();
    match named.as_slice() {
        [tool] => Ok((*tool).clone()),
        [] => Err(unknown(&catalog, wanted)),
        several => {
            let ids: Vec<_> = several.iter().map(|tool| tool.id()).collect();
            let text = format!("{wanted:?} is a tool of several servers: say {}", ids.join(" or "));
            Err(Failure::new(Exit::Usage, "ambiguous_tool", text))
        }
    }
}

/// No tool is called like this; those that nearly are.
pub(crate) fn unknown(catalog: &Catalog, wanted: &str) -> Failure {
    const LIKE: f64 = 0.6;
    const SHOWN: usize = 3;
    let likeness = |tool: &Tool| {
        strsim::jaro_winkler(wanted, tool.id()).max(strsim::jaro_winkler(wanted, tool.name()))
    };
    let mut near: Vec<_> = catalog
        .iter()
        .map(|tool| (likeness(tool), tool.id()))
        .filter(|(like, _)| *like >= LIKE)
        .collect();
    near.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let near: Vec<_> = near.into_iter().take(SHOWN).map(|(_, id)| id).collect();
    let hint = match near.as_slice() {
        [] => "list them with `callboard tools`".to_owned(),
        near => format!("did you mean {}?", near.join(", ")),
    };
    let mut failure =
        Failure::new(Exit::Usage, "unknown_tool", format!("there is no tool {wanted:?}: {hint}"));
    failure.more = vec![("nearest", json!(near))];
    failure
}
