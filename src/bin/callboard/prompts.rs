//! `callboard prompts` and `callboard prompt`.

use callboard::{Server, Session};
use serde_json::{Value, json};

use crate::{
    Context,
    args::{self, take_url},
    console::{Console, Tone, harmless},
    content,
    exit::{Exit, Failure},
    open::{self, with_logs},
    resources::{of, or_none},
    table::Columns,
};

pub(crate) async fn list(context: &Context, args: args::Listing) -> Result<Exit, Failure> {
    let opened = open::open(context, &args.servers, args.url, None).await?.or_failure(context)?;
    let mut prompts = Vec::new();
    for server in opened.session.servers() {
        let listed = or_none(server.prompts().await)?;
        prompts.extend(listed.iter().flat_map(|all| all.iter().map(|one| of(&server, one.json()))));
    }
    let console = &context.console;
    if console.json {
        let errors: Vec<_> = opened.failures.iter().map(Failure::json).collect();
        console.document(&json!({ "prompts": prompts, "errors": errors }))?;
    } else if prompts.is_empty() {
        console.note("there are no prompts");
    } else {
        let mut columns = Columns::new(console, &["PROMPT", "SERVER", "ARGUMENTS", "DESCRIPTION"]);
        for prompt in &prompts {
            let text = |key: &str| prompt[key].as_str().unwrap_or_default().to_owned();
            columns.row([text("name"), text("server"), arguments(prompt), text("description")]);
        }
        console.result(&columns.text(console))?;
    }
    Ok(opened.tell(context))
}

/// The arguments of a prompt; those in brackets may be left out.
fn arguments(prompt: &Value) -> String {
    let all = prompt["arguments"].as_array().into_iter().flatten();
    let words = all.map(|argument| {
        let name = argument["name"].as_str().unwrap_or_default();
        if argument["required"] == true { name.to_owned() } else { format!("[{name}]") }
    });
    words.collect::<Vec<_>>().join(" ")
}

pub(crate) async fn get(context: &Context, args: args::Prompt) -> Result<Exit, Failure> {
    let mut words = args.words;
    let url = take_url(&mut words, 0);
    if words.is_empty() {
        return Err(Failure::usage("which prompt? List them with `callboard prompts`"));
    }
    let name = words.remove(0);
    let given = given(&words)?;
    let opened = open::open(context, &args.servers, url, None).await?.or_failure(context)?;
    let (server, name) = find(&opened.session, &name).await?;
    let mut query = server.prompt(name, given);
    if let Some(limit) = args.limits.timeout {
        query = query.total_timeout(limit);
    }
    if let Some(limit) = args.limits.idle_timeout {
        query = query.idle_timeout(limit);
    }
    let prompt = with_logs(context, &opened.session, query).await?;
    let value = prompt.json().map_err(|error| Failure::usage(error.to_string()))?;
    if context.console.json {
        context.console.document(&value)?;
    } else {
        show(&context.console, &value)?;
    }
    Ok(opened.tell(context))
}

fn given(words: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let pair = |word: &String| {
        let (key, value) = word.split_once('=').ok_or_else(|| {
            Failure::usage(format!("{word:?} is no argument: prompts take key=value"))
        })?;
        Ok((key.to_owned(), value.to_owned()))
    };
    words.iter().map(pair).collect()
}

/// The server of a prompt, which may stand before its name and a dot, and the name itself.
async fn find(session: &Session, wanted: &str) -> Result<(Server, String), Failure> {
    let (mut having, mut known) = (Vec::new(), Vec::new());
    for server in session.servers() {
        let Some(listed) = or_none(server.prompts().await)? else { continue };
        for name in listed.iter().filter_map(|prompt| prompt.text("name")) {
            let id = format!("{}.{name}", server.name());
            if name == wanted || id == wanted {
                having.push((server.clone(), name.clone()));
            }
            known.push(id);
        }
    }
    match having.len() {
        1 => Ok(having.remove(0)),
        0 if known.is_empty() => Err(Failure::usage("there are no prompts")),
        0 => {
            Err(Failure::usage(format!("there is no prompt {wanted:?}, but {}", known.join(", "))))
        }
        _ => {
            let ids = having.iter().map(|(server, name)| format!("{}.{name}", server.name()));
            let ids = ids.collect::<Vec<_>>().join(" or ");
            Err(Failure::usage(format!("{wanted:?} is a prompt of several servers: say {ids}")))
        }
    }
}

fn show(console: &Console, prompt: &Value) -> Result<(), Failure> {
    if let Some(description) = prompt["description"].as_str() {
        console.result(&console.paint(&harmless(description), Tone::Faint))?;
    }
    for message in prompt["messages"].as_array().into_iter().flatten() {
        let role = message["role"].as_str().unwrap_or_default();
        console.result(&console.paint(&format!("{}:", harmless(role)), Tone::Strong))?;
        let block = std::slice::from_ref(&message["content"]);
        content::print(console, block, (std::path::Path::new("."), "prompt"))?;
    }
    Ok(())
}
