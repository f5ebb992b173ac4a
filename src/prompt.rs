//! Prompts, and what may be said in their arguments.

use rmcp::model::{CompleteResult, GetPromptResult, Prompt};
use serde_json::{Map, Value, json};

use crate::{
    connection::{kept::list, requests::Question},
    query::Query,
    received::{Listed, Received, for_host},
    server::Server,
};

impl Server {
    /// The prompts that it lists, over all pages.
    pub fn prompts(&self) -> Query<Listed<Prompt>> {
        Query::new(&self.connection(), |connection, terms| async move {
            let listed = list(&connection, ("prompts/list", "prompts"), terms).await?;
            Ok(Listed::for_host(listed, &connection))
        })
    }

    /// The prompt of this name, with these arguments.
    pub fn prompt<K: Into<String>, V: Into<String>>(
        &self,
        name: impl Into<String>,
        arguments: impl IntoIterator<Item = (K, V)>,
    ) -> Query<Received<GetPromptResult>> {
        let given = arguments.into_iter().map(|(key, value)| (key.into(), json!(value.into())));
        let (name, given) = (name.into(), given.collect::<Map<_, _>>());
        Query::new(&self.connection(), move |connection, terms| async move {
            let mut question = Question::new("prompts/get", Some(&name)).with("name", &name);
            if !given.is_empty() {
                question = question.with("arguments", &given);
            }
            question.rounds = true;
            let answered = question.ask(&connection, terms.clock).await?;
            Ok(Received::new(for_host(&connection, answered.result.into())))
        })
    }

    /// What an argument of a prompt or of a template may be (MCP 2025-11-25,
    /// server/utilities/completion): a hundred values at most.
    pub fn complete(&self, argument: Completion) -> Query<Received<CompleteResult>> {
        Query::new(&self.connection(), move |connection, terms| async move {
            let Completion { of, name, value, context } = argument;
            let mut question = Question::new("completion/complete", None)
                .with("ref", &of)
                .with("argument", &json!({ "name": name, "value": value }));
            if !context.is_empty() {
                question = question.with("context", &json!({ "arguments": context }));
            }
            let answered = question.ask(&connection, terms.clock).await?;
            Ok(Received::new(for_host(&connection, answered.result.into())))
        })
    }
}

/// An argument that is being typed.
#[derive(Debug, Clone)]
#[must_use = "completions are asked for by `Server::complete`"]
pub struct Completion {
    of: Value,
    name: String,
    value: String,
    context: Map<String, Value>,
}

impl Completion {
    /// An argument of a prompt, as far as it is typed.
    pub fn of_prompt(
        prompt: impl Into<String>,
        argument: impl Into<String>,
        value: impl Into<String>,
    ) -> Self {
        Self::of(json!({ "type": "ref/prompt", "name": prompt.into() }), argument, value)
    }

    /// A variable of a template of resources, as far as it is typed.
    pub fn of_template(
        template: impl Into<String>,
        variable: impl Into<String>,
        value: impl Into<String>,
    ) -> Self {
        Self::of(json!({ "type": "ref/resource", "uri": template.into() }), variable, value)
    }

    fn of(of: Value, name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { of, name: name.into(), value: value.into(), context: Map::new() }
    }

    /// Says what another argument is already (since MCP 2025-06-18).
    pub fn given(mut self, argument: impl Into<String>, value: impl Into<String>) -> Self {
        self.context.insert(argument.into(), json!(value.into()));
        self
    }
}
