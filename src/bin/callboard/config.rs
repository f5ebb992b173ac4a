//! `callboard config` and `callboard snippet`.

use std::path::Path;

use callboard::{
    ServerSpec,
    config::{self, Client, Converted, Fault, Form},
};
use serde_json::{Value, json};

use crate::{
    Context,
    args::{self, ConfigCommand, FileForm, take_url},
    console::{Console, Tone, harmless},
    exit::{Exit, Failure},
    file, servers,
};

pub(crate) fn run(context: &Context, command: ConfigCommand) -> Result<Exit, Failure> {
    match command {
        ConfigCommand::Schema { form } => {
            let form = match form {
                FileForm::Json => Form::Json,
                FileForm::Hcl => Form::Hcl,
            };
            context.console.document(&config::schema(form))?;
            Ok(Exit::Done)
        }
        ConfigCommand::Check { file } => check(context, &file),
        ConfigCommand::Convert { file, to } => convert(context, &file, to),
    }
}

fn check(context: &Context, path: &Path) -> Result<Exit, Failure> {
    let loaded = config::load(path).map_err(|error| file::unusable(&error))?;
    let console = &context.console;
    let names: Vec<_> = loaded.specs.iter().map(ServerSpec::name).collect();
    if console.json {
        let all = |faults: &[Fault]| faults.iter().map(fault_json).collect::<Vec<_>>();
        console.document(&json!({
            "servers": names,
            "disabled": loaded.disabled,
            "faults": all(&loaded.faults),
            "warnings": all(&loaded.warnings),
            "notes": all(&loaded.notes),
        }))?;
    } else {
        say(console, ("error", Tone::Bad), &loaded.faults)?;
        say(console, ("warning", Tone::Warning), &loaded.warnings)?;
        say(console, ("note", Tone::Faint), &loaded.notes)?;
        let disabled = match loaded.disabled.len() {
            0 => String::new(),
            count => format!(", and {count} disabled"),
        };
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        console.foreign(&format!(
            "{} can be used: {names}{disabled}; {} errors, {} warnings",
            loaded.specs.len(),
            loaded.faults.len(),
            loaded.warnings.len()
        ))?;
    }
    Ok(if loaded.faults.is_empty() { Exit::Done } else { Exit::Usage })
}

fn say(console: &Console, (kind, tone): (&str, Tone), faults: &[Fault]) -> Result<(), Failure> {
    faults.iter().try_for_each(|fault| {
        let text = harmless(&fault.to_string());
        console.result(&format!("{} {text}", console.paint(&format!("{kind}:"), tone)))
    })
}

fn fault_json(fault: &Fault) -> Value {
    let Fault { file, line, column, path, message, suggestion, .. } = fault;
    json!({
        "file": file, "line": line, "column": column, "path": path, "message": message,
        "suggestion": suggestion,
    })
}

fn convert(context: &Context, path: &Path, to: Option<FileForm>) -> Result<Exit, Failure> {
    let loaded = config::load(path).map_err(|error| file::unusable(&error))?;
    let is_hcl = path.extension().is_some_and(|ending| ending == "hcl");
    let other = if is_hcl { FileForm::Json } else { FileForm::Hcl };
    let Converted { text, left_out, .. } = match to.unwrap_or(other) {
        FileForm::Json => config::to_json(&loaded.specs),
        FileForm::Hcl => config::to_hcl(&loaded.specs),
    };
    let console = &context.console;
    let warnings = loaded.warnings.iter().map(ToString::to_string);
    let disabled = loaded.disabled.iter().map(|name| format!("{name}: it is disabled"));
    let inputs = loaded.inputs.iter().map(|input| format!("what to ask for as {}", input.id));
    let left_out = disabled.chain(inputs).chain(left_out).map(|what| format!("left out: {what}"));
    warnings.chain(left_out).for_each(|text| console.warn(&harmless(&text)));
    loaded.faults.iter().for_each(|fault| console.tell(&file::failure(fault)));
    console.foreign(&text)?;
    Ok(if loaded.faults.is_empty() { Exit::Done } else { Exit::Usage })
}

pub(crate) fn snippet(context: &Context, args: args::Snippet) -> Result<Exit, Failure> {
    let mut words = args.words;
    let url = take_url(&mut words, 0);
    let mut chosen = args.servers;
    chosen.server.append(&mut words);
    let declared = servers::named(context, &chosen, url, None)?;
    let console = &context.console;
    let client = args.client.client();
    let mut documents = Vec::new();
    for (number, spec) in declared.specs.iter().enumerate() {
        let Converted { text, left_out, .. } = config::snippet(client, spec);
        for what in &left_out {
            console.warn(&harmless(&format!("{}: left out: {what}", spec.name())));
        }
        if console.json {
            documents.push(json!({ "server": spec.name(), "text": text, "left_out": left_out }));
        } else {
            console.foreign(&format!("{}{text}", if number == 0 { "" } else { "\n" }))?;
        }
    }
    if console.json {
        console.document(&json!({ "client": client.as_str(), "snippets": documents }))?;
    }
    declared.faults.iter().for_each(|fault| console.tell(fault));
    Ok(declared.faults.iter().map(|fault| fault.exit).max().unwrap_or(Exit::Done))
}

impl args::ClientName {
    fn client(self) -> Client {
        match self {
            Self::Claude => Client::Claude,
            Self::Cursor => Client::Cursor,
            Self::Vscode => Client::VsCode,
            Self::Opencode => Client::OpenCode,
            Self::Codex => Client::Codex,
        }
    }
}
