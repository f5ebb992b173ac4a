//! The person at the terminal, whom servers may ask.

use callboard::{
    FormAnswer, FormQuestion, Host, HostCapabilities, HostFuture, UrlAnswer, UrlQuestion,
};
use serde_json::{Map, Value};

use crate::{
    console::{Console, harmless},
    terminal::{Conversation, Nobody, Terminal},
    values::typed,
};

/// Answers forms at the terminal, and declines where there is none. Nothing is ever opened.
pub(crate) struct Person {
    console: Console,
    terminal: Terminal,
}

impl Person {
    pub(crate) fn new(console: &Console, terminal: Terminal) -> Self {
        Self { console: console.clone(), terminal }
    }

    fn nobody_is_there(&self, asked: &str, nobody: Nobody) {
        self.console.warn(&harmless(&format!("{asked}\n  declined, for {nobody}")));
    }
}

impl Host for Person {
    fn capabilities(&self) -> HostCapabilities {
        // The same with and without a terminal: some servers offer other tools otherwise.
        HostCapabilities::default().elicitation_forms().elicitation_urls()
    }

    fn fill(&self, question: FormQuestion) -> HostFuture<'_, FormAnswer> {
        Box::pin(async move {
            let asked = format!("{} asks: {}", question.server(), question.message());
            let mut talk = match self.terminal.talk().await {
                Ok(talk) => talk,
                Err(nobody) => {
                    self.nobody_is_there(&asked, nobody);
                    return FormAnswer::Decline;
                }
            };
            talk.say(&asked);
            talk.say("  Enter to fill it in, n to decline:");
            match talk.line().await.as_deref() {
                None => FormAnswer::Cancel,
                Some("n" | "N" | "no") => FormAnswer::Decline,
                Some(_) => form(&mut talk, &question).await,
            }
        })
    }

    fn visit(&self, question: UrlQuestion) -> HostFuture<'_, UrlAnswer> {
        Box::pin(async move {
            let (server, said, url) = (question.server(), question.message(), question.url());
            let asked = format!("{server} asks you to visit a page: {said}\n  {url}");
            let mut talk = match self.terminal.talk().await {
                Ok(talk) => talk,
                Err(nobody) => {
                    self.nobody_is_there(&asked, nobody);
                    return UrlAnswer::Decline;
                }
            };
            talk.say(&asked);
            talk.say("  Open it yourself. Enter when you are done there, n to decline:");
            match talk.line().await.as_deref() {
                None => UrlAnswer::Cancel,
                Some("n" | "N" | "no") => UrlAnswer::Decline,
                Some(_) => UrlAnswer::Accept,
            }
        })
    }
}

/// Has a form filled in, until it fits or the person wants no more of it.
async fn form(talk: &mut Conversation<'_>, question: &FormQuestion) -> FormAnswer {
    let schema = question.schema();
    let fields = schema["properties"].as_object().cloned().unwrap_or_default();
    loop {
        let mut content = Map::new();
        for (name, described) in &fields {
            match field(talk, (name, described), schema).await {
                Some(Some(value)) => drop(content.insert(name.clone(), value)),
                Some(None) => {}
                None => return FormAnswer::Cancel,
            }
        }
        match question.check(content) {
            Ok(content) => return FormAnswer::Accept(content),
            Err(faults) => {
                faults.iter().for_each(|one| talk.say(&format!("  {} {}", one.field, one.fault)));
            }
        }
    }
}

/// Asks for one field: its value, or none; `None` if the person wants no more of it.
async fn field(
    talk: &mut Conversation<'_>,
    (name, described): (&str, &Value),
    schema: &Value,
) -> Option<Option<Value>> {
    let required =
        schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name));
    let about = described["description"].as_str().or(described["title"].as_str());
    let about = about.map(|text| format!(" ({text})")).unwrap_or_default();
    let choices = choices(described).map(|all| format!(", one of {}", all.join(", ")));
    let default = match &described["default"] {
        Value::Null if required => String::new(),
        Value::Null => " [none]".to_owned(),
        default => format!(" [{default}]"),
    };
    loop {
        talk.say(&format!("  {name}{about}{}{default}:", choices.as_deref().unwrap_or_default()));
        let line = talk.line().await?;
        if line.is_empty() {
            if !required || !described["default"].is_null() {
                return Some(None);
            }
            talk.say("  that has to be said; Ctrl-D gives the form up");
            continue;
        }
        match typed(&line, described, schema) {
            Ok(value) => return Some(Some(value)),
            Err(wanted) => talk.say(&format!("  that is no {wanted}")),
        }
    }
}

/// The values of a choice.
fn choices(described: &Value) -> Option<Vec<&str>> {
    if let Some(values) = described["enum"].as_array() {
        return Some(values.iter().filter_map(Value::as_str).collect());
    }
    let titled = described["oneOf"].as_array().or_else(|| described["anyOf"].as_array())?;
    Some(titled.iter().filter_map(|one| one["const"].as_str()).collect())
}
