//! What a file has a person asked for (`${input:id}`): from a variable, or at the terminal.

use std::{collections::HashMap, error::Error, sync::Arc};

use callboard::{
    ProvidedSecret, SecretProvider, SecretString, config::Input, secrecy::ExposeSecret as _,
};
use tokio::sync::Mutex;

use crate::{
    console::Console,
    terminal::{Conversation, Terminal},
};

/// Answers what a file asks for, each once.
pub(crate) struct Answers {
    console: Console,
    terminal: Arc<Terminal>,
    inputs: Vec<Input>,
    given: Mutex<HashMap<String, SecretString>>,
}

impl Answers {
    pub(crate) fn new(console: &Console, terminal: &Arc<Terminal>, inputs: Vec<Input>) -> Self {
        let (console, terminal) = (console.clone(), Arc::clone(terminal));
        Self { console, terminal, inputs, given: Mutex::default() }
    }

    async fn answer(&self, name: &str) -> Result<SecretString, Box<dyn Error + Send + Sync>> {
        let mut given = self.given.lock().await;
        if let Some(answer) = given.get(name) {
            return Ok(answer.clone());
        }
        let Some(input) = self.inputs.iter().find(|input| input.secret_name == name) else {
            return Err("the file does not say what that is".into());
        };
        let variable = variable(&input.id);
        let answer = match std::env::var(&variable) {
            Ok(value) => SecretString::from(value),
            Err(_) => {
                let Some(talk) = self.terminal.talk().await else {
                    return Err(format!("set {variable}, for nobody can be asked here").into());
                };
                ask(talk, input).await.ok_or("nobody answered")?
            }
        };
        if !input.options.is_empty()
            && !input.options.iter().any(|one| one == answer.expose_secret())
        {
            self.console.warn(&format!("{} should be {}", input.id, input.options.join(" or ")));
        }
        given.insert(name.to_owned(), answer.clone());
        Ok(answer)
    }
}

impl SecretProvider for Answers {
    fn secret<'a>(&'a self, name: &'a str) -> ProvidedSecret<'a> {
        Box::pin(self.answer(name))
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
    talk.say(&format!("{what}{options}{hint}:"));
    let line = if input.password { talk.hidden_line().await? } else { talk.line().await? };
    let answer = if line.is_empty() { default.map(str::to_owned) } else { Some(line) };
    answer.map(SecretString::from)
}

/// The variable that answers an input: `CALLBOARD_INPUT_API_KEY` for `api-key`.
fn variable(id: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("CALLBOARD_INPUT_{}", id.chars().map(safe).collect::<String>())
}
