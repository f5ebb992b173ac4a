//! `callboard resources` and `callboard read`.

use callboard::{Body, CallError, Contents, Server};
use serde_json::{Value, json};

use crate::{
    Context,
    args::{self, Limits, take_url},
    console::Console,
    exit::{Exit, Failure},
    media,
    open::{self, with_logs},
    table::Columns,
};

pub(crate) async fn list(context: &Context, args: args::Listing) -> Result<Exit, Failure> {
    let opened = open::open(context, &args.servers, args.url, None).await?.or_failure(context)?;
    let (mut resources, mut templates) = (Vec::new(), Vec::new());
    for server in opened.session.servers() {
        let listed = or_none(server.resources().await)?;
        resources
            .extend(listed.iter().flat_map(|all| all.iter().map(|one| of(&server, one.json()))));
        let listed = or_none(server.resource_templates().await)?;
        templates
            .extend(listed.iter().flat_map(|all| all.iter().map(|one| of(&server, one.json()))));
    }
    let console = &context.console;
    if console.json {
        let errors: Vec<_> = opened.failures.iter().map(Failure::json).collect();
        console.document(&json!({
            "resources": resources, "templates": templates, "errors": errors,
        }))?;
    } else if resources.is_empty() && templates.is_empty() {
        console.note("there are no resources");
    } else {
        show(console, "RESOURCE", "uri", &resources)?;
        show(console, "TEMPLATE", "uriTemplate", &templates)?;
    }
    Ok(opened.tell(context))
}

/// What a server offers, with its name.
pub(crate) fn of(server: &Server, mut item: Value) -> Value {
    if let Value::Object(item) = &mut item {
        item.insert("server".to_owned(), server.name().into());
    }
    item
}

/// What a server lists; nothing, where it has no such thing, or is not there, which is said elsewhere.
pub(crate) fn or_none<T>(listed: Result<T, CallError>) -> Result<Option<T>, Failure> {
    match listed {
        Ok(listed) => Ok(Some(listed)),
        Err(CallError::NotOffered { .. } | CallError::NotReady { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn show(console: &Console, heading: &str, key: &str, items: &[Value]) -> Result<(), Failure> {
    let text = |item: &Value, key: &str| item[key].as_str().unwrap_or_default().to_owned();
    let mut columns = Columns::new(console, &[heading, "SERVER", "TYPE", "NAME"]);
    for item in items {
        let name = item["title"].as_str().map_or_else(|| text(item, "name"), str::to_owned);
        columns.row([text(item, key), text(item, "server"), text(item, "mimeType"), name]);
    }
    if columns.is_empty() { Ok(()) } else { console.result(&columns.text(console)) }
}

pub(crate) async fn read(context: &Context, args: args::Read) -> Result<Exit, Failure> {
    let mut words = args.words;
    let url = take_url(&mut words, 1);
    let [uri] = words.as_slice() else {
        return Err(Failure::usage(
            "read takes one URI, after the URL of a server if there is one",
        ));
    };
    let opened = open::open(context, &args.servers, url, None).await?.or_failure(context)?;
    let Limits { timeout, idle_timeout } = args.limits;
    let mut query = opened.session.read(uri);
    if let Some(limit) = timeout {
        query = query.total_timeout(limit);
    }
    if let Some(limit) = idle_timeout {
        query = query.idle_timeout(limit);
    }
    let busy = context.console.waiting(uri.clone());
    let contents = with_logs(context, &opened.session, query).await?;
    drop(busy);
    print(&context.console, &contents, &args.out)?;
    Ok(opened.tell(context))
}

fn print(console: &Console, contents: &Contents, out: &std::path::Path) -> Result<(), Failure> {
    if console.json {
        let value = contents.received().json();
        return console.document(&value.map_err(|error| Failure::usage(error.to_string()))?);
    }
    for part in contents.parts() {
        match &part.body {
            Body::Text(text) => console.foreign(text)?,
            Body::Blob(bytes) if console.terminal => {
                let mime = part.mime_type.as_deref().unwrap_or_default();
                let path = media::save(out, &part.uri, mime, bytes)?;
                console.result(&format!("saved to {} ({} bytes)", path.display(), bytes.len()))?;
            }
            Body::Blob(bytes) => console.bytes(bytes)?,
            _ => console.warn("a part of a kind that is not known is left out"),
        }
    }
    Ok(())
}
