//! The person at the terminal, whom servers may ask.

use std::io::{self, IsTerminal as _};

use callboard::{
    FormAnswer, FormQuestion, Host, HostCapabilities, HostFuture, UrlAnswer, UrlQuestion,
};
use serde_json::{Map, Value};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines, Stdin},
    sync::Mutex,
};

use crate::{
    console::{Console, harmless},
    values::typed,
};

/// Answers forms at the terminal, and declines where there is none. Nothing is ever opened.
pub(crate) struct Person {
    console: Console,
    /// One question at a time; nobody, where there is no terminal.
    lines: Option<Mutex<Lines<BufReader<Stdin>>>>,
}

impl Person {
    pub(crate) fn new(console: &Console) -> Self {
        let there = io::stdin().is_terminal() && io::stderr().is_terminal();
        let lines = there.then(|| Mutex::new(BufReader::new(tokio::io::stdin()).lines()));
        Self { console: console.clone(), lines }
    }

    /// Asks for one field; `None` if the person wants no more of it.
    async fn field(
        &self,
        lines: &mut Lines<BufReader<Stdin>>,
        (name, described): (&str, &Value),
        (schema, required): (&Value, bool),
    ) -> Option<Option<Value>> {
        let about = described["description"].as_str().or(described["title"].as_str());
        let about = about.map(|text| format!(" ({text})")).unwrap_or_default();
        let choices = choices(described).map(|all| format!(" one of {}", all.join(", ")));
        let default = match &described["default"] {
            Value::Null if required => String::new(),
            Value::Null => " [none]".to_owned(),
            default => format!(" [{default}]"),
        };
        loop {
            let choices = choices.as_deref().unwrap_or_default();
            self.console.note(&harmless(&format!("  {name}{about}{choices}{default}:")));
            let line = lines.next_line().await.ok().flatten()?;
            let line = line.trim();
            if line.is_empty() && (!required || !described["default"].is_null()) {
                return Some(None);
            }
            match typed(line, described, schema) {
                Ok(value) => return Some(Some(value)),
                Err(wanted) => self.console.note(&format!("  that is no {wanted}")),
            }
        }
    }

    async fn ask(
        &self,
        lines: &mut Lines<BufReader<Stdin>>,
        question: &FormQuestion,
    ) -> FormAnswer {
        let schema = question.schema();
        let fields = schema["properties"].as_object().cloned().unwrap_or_default();
        loop {
            let mut content = Map::new();
            for (name, described) in &fields {
                let required = schema["required"]
                    .as_array()
                    .is_some_and(|all| all.iter().any(|one| one == name));
                match self.field(lines, (name, described), (schema, required)).await {
                    Some(Some(value)) => drop(content.insert(name.clone(), value)),
                    Some(None) => {}
                    None => return FormAnswer::Cancel,
                }
            }
            match question.check(content) {
                Ok(content) => return FormAnswer::Accept(content),
                Err(faults) => {
                    for fault in faults {
                        self.console.note(&harmless(&format!("  {} {}", fault.field, fault.fault)));
                    }
                }
            }
        }
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
            let Some(lines) = &self.lines else {
                self.console.warn(&harmless(&format!("{asked}\n  declined: this is no terminal")));
                return FormAnswer::Decline;
            };
            let mut lines = lines.lock().await;
            let _free = self.console.undisturbed();
            self.console.note(&harmless(&asked));
            self.console.note("  Enter fills it in, n declines:");
            match lines.next_line().await.ok().flatten().as_deref().map(str::trim) {
                None => FormAnswer::Cancel,
                Some("n" | "N" | "no") => FormAnswer::Decline,
                Some(_) => self.ask(&mut lines, &question).await,
            }
        })
    }

    fn visit(&self, question: UrlQuestion) -> HostFuture<'_, UrlAnswer> {
        Box::pin(async move {
            let (server, said, url) = (question.server(), question.message(), question.url());
            let asked = harmless(&format!("{server} asks you to visit a page: {said}\n  {url}"));
            let Some(lines) = &self.lines else {
                self.console.warn(&format!("{asked}\n  declined: this is no terminal"));
                return UrlAnswer::Decline;
            };
            let mut lines = lines.lock().await;
            let _free = self.console.undisturbed();
            self.console.note(&asked);
            self.console.note("  Open it yourself. Enter when you are done there, n declines:");
            match lines.next_line().await.ok().flatten().as_deref().map(str::trim) {
                None => UrlAnswer::Cancel,
                Some("n" | "N" | "no") => UrlAnswer::Decline,
                Some(_) => UrlAnswer::Accept,
            }
        })
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
