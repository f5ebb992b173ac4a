//! What a file has a person asked for (`${input:id}`): from a variable, or at the terminal.

use std::{
    collections::{HashMap, HashSet},
    error::Error,
};

use callboard::{
    ProvidedSecret, SecretProvider, SecretString, ServerSpec, config::Input,
    secrecy::ExposeSecret as _,
};

use crate::{
    console::Console,
    terminal::{Conversation, Terminal},
};

/// The answers to what a file asks for; those of a person were given before a server needed them.
pub(crate) struct Answers {
    /// By the name of the secret; none where nobody wanted to answer.
    given: HashMap<String, Option<SecretString>>,
}

impl Answers {
    /// Asks for what these servers need, for as long as a person takes: the start of a server would
    /// not wait that long, and may have no terminal to itself.
    pub(crate) async fn ask(
        console: &Console,
        terminal: &Terminal,
        specs: &[ServerSpec],
        inputs: &[Input],
    ) -> Self {
        let needed: HashSet<_> = specs.iter().flat_map(ServerSpec::provided_secrets).collect();
        let mut given = HashMap::new();
        for input in inputs.iter().filter(|input| needed.contains(&*input.secret_name)) {
            let answer = if let Some(answer) = from_variable(&input.id) {
                Some(answer)
            } else if let Ok(talk) = terminal.talk().await {
                ask(talk, input).await
            } else {
                // Whoever needs it is told which variable to set.
                continue;
            };
            let fits = |answer: &SecretString| {
                input.options.is_empty()
                    || input.options.iter().any(|one| one == answer.expose_secret())
            };
            if answer.as_ref().is_some_and(|answer| !fits(answer)) {
                console.warn(&format!("{} should be {}", input.id, input.options.join(" or ")));
            }
            given.insert(input.secret_name.clone(), answer);
        }
        Self { given }
    }

    fn answer(&self, name: &str) -> Result<SecretString, Box<dyn Error + Send + Sync>> {
        if let Some(answer) = self.given.get(name) {
            return Ok(answer.clone().ok_or("nobody answered")?);
        }
        // A file that has changed since may ask for more.
        let id = name.strip_prefix("input:").ok_or("the file does not say what that is")?;
        let unset = || format!("set {}, for nobody can be asked here", variable(id));
        Ok(from_variable(id).ok_or_else(unset)?)
    }
}

impl SecretProvider for Answers {
    fn secret<'a>(&'a self, name: &'a str) -> ProvidedSecret<'a> {
        Box::pin(std::future::ready(self.answer(name)))
    }
}

async fn ask(mut talk: Conversation<'_>, input: &Input) -> Option<SecretString> {
    let what = input.description.as_deref().unwrap_or(&input.id);
    let default = input.default.as_deref().filter(|_| !input.password);
    let options = match input.options.as_slice() {
        [] => String::new(),
        options => format!(" ({})", options.join(", ")),
    };
    let hint = default.map(|text| format!(" [{text}]")).unwrap_or_default();
    let question = format!("{what}{options}{hint}:");
    let line = if input.password {
        talk.hidden_line(&question).await?
    } else {
        talk.say(&question);
        talk.line().await?
    };
    let answer = if line.is_empty() { default.map(str::to_owned) } else { Some(line) };
    answer.map(SecretString::from)
}

fn from_variable(id: &str) -> Option<SecretString> {
    std::env::var(variable(id)).ok().map(SecretString::from)
}

/// The variable that answers an input: `CALLBOARD_INPUT_API_KEY` for `api-key`.
fn variable(id: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("CALLBOARD_INPUT_{}", id.chars().map(safe).collect::<String>())
}
